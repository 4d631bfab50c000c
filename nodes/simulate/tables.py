"""The numbers that the emission kernel looks up, from the parameters; times in phases or pulses."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.cascade import exciton_distribution, radiative_rates_hz, total_rates_hz
from photonstream.nodes.simulate.emission import PHASES
from photonstream.nodes.simulate.parameters import STATES, Dwell, SimulationParameters

FWHM_PER_SIGMA = math.sqrt(8.0 * math.log(2.0))


class EmissionTables(NamedTuple):
    """Arguments of `emission.emit`, which says what they are."""

    created: NDArray[np.float64]
    waits: NDArray[np.float64]
    seen: NDArray[np.float64]
    response: NDArray[np.float64]
    dwells: NDArray[np.float64]


def emission_tables(parameters: SimulationParameters) -> EmissionTables:
    """Everything that stays the same over a run."""
    return EmissionTables(
        _created(parameters), *_recombination(parameters), _response(parameters), _dwells(parameters)
    )


def _created(parameters: SimulationParameters) -> NDArray[np.float64]:
    """Cumulative probability that a pulse that was absorbed leaves 0, 1, 2, ... excitons, by state."""
    most, eta = parameters.emitter.max_excitons, parameters.cm_efficiency
    excited = exciton_distribution(parameters.mean_n, eta, most)[1:].sum()
    found = np.ones((len(STATES), most + 1))
    if excited == 0.0:
        return found
    pmf = exciton_distribution(parameters.mean_n, eta, most)
    found[:, 0] = 0.0
    found[:, 1:] = np.cumsum(pmf[1:]) / excited
    blinking = parameters.blinking
    if blinking is not None:
        pmf = exciton_distribution(parameters.mean_n * blinking.dim_photon_survival, eta, most)
        left = np.cumsum(_thinned(pmf, blinking.dim_exciton_survival)[:0:-1])[::-1] / excited
        found[STATES.index("dim")] = 1.0 - np.append(left, 0.0)
    return found


def _thinned(pmf: NDArray[np.float64], survival: float) -> NDArray[np.float64]:
    """The distribution of what is left when each of n survives with that probability."""
    found = np.zeros_like(pmf)
    for n, probability in enumerate(pmf):
        for left in range(n + 1):
            share = math.comb(n, left) * survival**left * (1.0 - survival) ** (n - left)
            found[left] += probability * share
    return found


def _recombination(parameters: SimulationParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    emitter, blinking, detector = parameters.emitter, parameters.blinking, parameters.detector
    size = emitter.max_excitons + 1
    totals = np.tile(total_rates_hz(emitter), (len(STATES), 1))
    photon = np.zeros((len(STATES), size))
    photon[:, 1:] = radiative_rates_hz(emitter)[1:] / totals[0, 1:]
    if blinking is not None:
        totals[1, 1] = 1.0 / blinking.tau_trion_s
        if blinking.tau_dim_s is not None:
            totals[2, 1] = 1.0 / blinking.tau_dim_s
        photon[1, 1] *= blinking.yield_trion
        photon[2] *= blinking.yield_dim
    waits = np.zeros_like(totals)
    waits[:, 1:] = parameters.repetition_rate_hz * PHASES / totals[:, 1:]
    arms = np.array([1.0 - detector.beam_splitter, detector.beam_splitter]) * detector.efficiency
    return waits, photon[:, :, np.newaxis] * np.cumsum(arms)


def _response(parameters: SimulationParameters) -> NDArray[np.float64]:
    detector = parameters.detector
    phases_per_s = parameters.repetition_rate_hz * PHASES
    rows = [
        (
            t0_s * phases_per_s,
            fwhm_s / FWHM_PER_SIGMA * phases_per_s,
            detector.tail_s * phases_per_s,
            detector.tail_share,
        )
        for t0_s, fwhm_s in zip(detector.t0_s, detector.irf_fwhm_s, strict=True)
    ]
    return np.array(rows)


def _dwells(parameters: SimulationParameters) -> NDArray[np.float64]:
    blinking = parameters.blinking
    if blinking is None:
        return np.zeros((0, 4))
    rows = [_dwell_row(each) for each in (blinking.dwell_neutral, blinking.dwell_charged, blinking.dwell_dim)]
    rows_s = np.array(rows)
    rows_s[:, [0, 2, 3]] *= parameters.repetition_rate_hz
    return rows_s


def _dwell_row(dwell: Dwell) -> tuple[float, float, float, float]:
    return dwell.mean_s, dwell.alpha or 0.0, dwell.shortest_s, dwell.longest_s
