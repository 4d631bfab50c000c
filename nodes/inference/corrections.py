"""The likelihood with what the detectors did to the photons put into it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from photonstream.nodes.inference.beta import beta_from_photon_share
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.detector import (
    MOST_BLIND,
    Detector,
    Emission,
    afterpulses,
    emitter_efficiency,
    independent_efficiency,
    pair_window_s,
)
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX, PHOTONS, T0, Likelihood
from photonstream.nodes.inference.means import at, component_shares, model_means

# Refitting stops when the efficiencies move by no more than this from one fit to the next.
SETTLED = 1e-6
MOST_REFITS = 12


def pulses_of(data: DecayData, detector: Detector) -> float:
    """Pulses in the time of the selected photons. Raises ValueError where they are needed and not known."""
    if data.pulses is not None:
        return data.pulses
    if detector.blinding:
        raise ValueError(
            f"{detector.name_of_blindness} was given, but how many laser pulses the photons came from is not known"
        )
    return math.inf


def corrected(
    likelihood: Likelihood, theta: Floats, data: DecayData, options: FitOptions, detector: Detector
) -> Likelihood:
    """``likelihood`` with efficiencies and afterpulses; ``theta`` says what one emitter's photons are.

    Raises ValueError where the figures and the counts cannot both be right.
    """
    pulses = pulses_of(data, detector)
    edges_s, period_s = likelihood.edges_s, likelihood.period_s
    efficiency, extra = np.ones_like(likelihood.counts), np.zeros_like(likelihood.counts)
    for c, row in enumerate(likelihood.counts):
        if detector.blinding:
            efficiency[c] = independent_efficiency(detector, row / pulses, edges_s, period_s)
            _check(efficiency[c], detector)
        extra[c] = afterpulses(detector, row, efficiency[c], edges_s, period_s)
    if detector.blinding and options.mean_n is not None:
        for c in range(efficiency.shape[0]):
            emission = _emission(likelihood, theta, c, extra[c], pulses, options, detector)
            efficiency[c] = emitter_efficiency(
                detector, emission, likelihood.counts[c] / pulses, efficiency[c], edges_s, period_s
            )
            _check(efficiency[c], detector)
    return replace(likelihood, efficiency=efficiency, extra=extra)


def _check(efficiency: Floats, detector: Detector) -> None:
    lowest = float(efficiency.min())
    if lowest < 1.0 - MOST_BLIND:
        raise ValueError(
            f"with {detector.name_of_blindness} as given a detector would be blind for "
            f"{100.0 * (1.0 - lowest):.0f} % of the photons at some delay: figures and count rate do not fit "
            f"together, or the light is too bright to be corrected (at most {100.0 * MOST_BLIND:.0f} %)"
        )


def _emission(
    likelihood: Likelihood,
    theta: Floats,
    channel: int,
    extra: Floats,
    pulses: float,
    options: FitOptions,
    detector: Detector,
) -> Emission:
    """One channel's photons as the fitted decay has them."""
    assert options.mean_n is not None
    edges_s, period_s = likelihood.edges_s, likelihood.period_s
    tau_x_s, tau_xx_s = math.exp(float(theta[LN_TAU_X])), math.exp(float(theta[LN_TAU_XX]))
    slow, fast, flat = (part[channel] / pulses for part in model_means(likelihood, theta, edges_s))
    # A wrapped exponential exceeds its latest turn by the factor 1/(1 - exp(-T/tau)), wherever in the period.
    own = -math.expm1(-period_s / tau_x_s) * slow - math.expm1(-period_s / tau_xx_s) * fast
    pulse_s = float(theta[at(channel, T0)])
    if likelihood.irf.size:
        pulse_s += float(np.argmax(likelihood.irf[channel])) * likelihood.irf_bin_s
    window_s = pair_window_s(detector, pulse_s, period_s)
    photons = float(theta[at(channel, PHOTONS)]) / pulses
    biexciton, exciton = _split(photons, theta, options.s)
    arrives = min(1.0, exciton / -math.expm1(-options.mean_n))

    def behind(delay_s: float) -> Floats:
        x = component_shares(likelihood, theta, channel, edges_s, tau_x_s, delay_s)
        xx = component_shares(likelihood, theta, channel, edges_s, tau_xx_s, delay_s)
        return np.asarray(biexciton * arrives * (tau_x_s * x - tau_xx_s * xx) / (tau_x_s - tau_xx_s))

    return Emission(
        own=np.asarray(own),
        other=np.asarray(slow + fast + flat - own + extra / pulses),
        pulse_s=pulse_s,
        pairs=behind(0.0),
        pairs_late=math.exp(-window_s / tau_x_s) * behind(window_s),
    )


def _split(photons: float, theta: Floats, s: float) -> tuple[float, float]:
    """Biexciton and exciton photons of ``photons``; no biexciton where the decay cannot be of one."""
    q, rho = float(theta[MIX]), math.exp(float(theta[LN_TAU_XX] - theta[LN_TAU_X]))
    gain = s - 1.0 / (1.0 - rho)
    if gain <= s * q:
        return 0.0, photons
    emitted = s * rho * min(1.0, beta_from_photon_share(q, rho, s))
    return photons * emitted / (1.0 + emitted), photons / (1.0 + emitted)


def describe(options: FitOptions) -> dict[str, Any] | None:
    """What was corrected, with the figures, as result.json has it; None where nothing was."""
    detector = options.detector
    if detector is None:
        return None
    pairs = None
    if detector.blinding:
        pairs = "independent photons" if options.mean_n is None else "one emitter"
    return {
        "dead_time_s": options.dead_time_s,
        "pile_up": detector.pile_up,
        "afterpulsing": options.afterpulsing,
        "afterpulse_s": detector.afterpulse_s if options.afterpulsing is not None else None,
        "photon_statistics": pairs,
    }


def note(options: FitOptions) -> str:
    """What must be said of the corrections that were made; empty where nothing."""
    detector = options.detector
    if detector is None or not detector.blinding or options.mean_n is not None:
        return ""
    return (
        f"{detector.name_of_blindness} corrected as for independent photons, which those of one emitter are not: "
        "give <N>"
    )
