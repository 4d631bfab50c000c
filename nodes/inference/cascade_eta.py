"""CM efficiency behind an apparent beta when three and more excitons are counted too.

The formula of beta knows at most two excitons. Higher ones decay faster still, and a fit of two exponentials counts
them as more biexcitons. Here the exact decay of the cascade (`cascade.expected_decay`) is given to the same fit
without noise, and the cascade is adjusted until the fit reads what it read from the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from photonstream.nodes.inference.beta import (
    HIGHEST_ETA,
    LOWEST_ETA,
    apparent_beta,
    beta_from_amplitudes,
    eta_from_beta,
    poisson_factor,
)
from photonstream.nodes.inference.beta_fit import within_domain
from photonstream.nodes.inference.cascade import Cascade, expected_decay
from photonstream.nodes.inference.decay_data import FitOptions, max_sigma_s
from photonstream.nodes.inference.decay_model import Floats, bin_shares
from photonstream.nodes.inference.irf import FWHM_PER_SIGMA
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX, Likelihood
from photonstream.nodes.inference.scoring import maximise
from photonstream.nodes.inference.search import MAX_RATIO, box_of

TWO_LEVELS = "n<=2 closed form"
CASCADE = "n^2 cascade"

# The share of the flat background in the noiseless decay; it weighs the late bins and moves the reading by < 1e-3.
_BACKGROUND = 0.01
_PHOTONS = 1e6
_MOST_BINS = 2048
_STEPS = 40
_CLOSE = 1e-5
# A step moves eta and the logarithms of the lifetimes by at most this.
_REACH = 0.2
# Rounds in which beta without leftovers settles: each is nearer by their share of the pulses.
_ROUNDS = 4
# With fewer photons per pulse no pulse absorbs two, and the rates of the cascade come too close to nothing.
_LEAST_MEAN_N = 1e-6


class Reading(NamedTuple):
    """What the fit of two exponentials finds."""

    beta: float
    tau_x_s: float
    tau_xx_s: float


def reading(
    cascade: Cascade, mean_n: float, eta: float, period_s: float, irf_fwhm_s: float, *, width_fitted: bool
) -> Reading | None:
    """What is read from the noiseless decay of ``cascade``; None where the fit does not converge.

    ``width_fitted``: whether the fit may change the width of the instrument response.
    Raises ValueError for an emitter that cannot be.
    """
    rates_hz, amplitudes_hz = expected_decay(cascade, mean_n, eta, period_s)
    edges_s = np.linspace(0.0, period_s, _MOST_BINS + 1)
    t0_s = 0.1 * period_s
    sigma_s = min(max(irf_fwhm_s / FWHM_PER_SIGMA, 1e-4 * period_s), 0.5 * max_sigma_s(period_s))
    photons = amplitudes_hz / rates_hz
    shares = sum(
        (
            share * bin_shares(edges_s, period_s, t0_s, 1.0 / rate_hz, sigma_s=sigma_s)
            for rate_hz, share in zip(rates_hz.tolist(), (photons / photons.sum()).tolist(), strict=True)
        ),
        start=np.zeros(_MOST_BINS),
    )
    counts = _PHOTONS * ((1.0 - _BACKGROUND) * shares + _BACKGROUND / _MOST_BINS)
    counts = np.maximum(counts, 0.0)[None, :]
    likelihood = Likelihood(
        counts=counts,
        efficiency=np.ones_like(counts),
        extra=np.zeros_like(counts),
        edges_s=edges_s,
        period_s=period_s,
        irf=np.zeros((1, 0)),
        irf_bin_s=0.0,
        s=cascade.radiative_ratio,
        max_ratio=MAX_RATIO,
    )
    start = _start(cascade, eta, mean_n, t0_s, sigma_s)
    box = box_of(likelihood, FitOptions(), start)
    box.free[LN_TAU_XX] = True
    box.free[-2] = width_fitted
    likelihood, box = within_domain(likelihood, box)
    found = maximise(likelihood, start, box, as_beta=True)
    if not (found.converged and math.isfinite(found.half_deviance)):
        return None
    theta = found.theta
    return Reading(float(theta[MIX]), math.exp(float(theta[LN_TAU_X])), math.exp(float(theta[LN_TAU_XX])))


def _start(cascade: Cascade, eta: float, mean_n: float, t0_s: float, sigma_s: float) -> Floats:
    return np.array(
        [
            math.log(cascade.tau_x_s),
            math.log(cascade.tau_xx_s),
            apparent_beta(eta, mean_n),
            (1.0 - _BACKGROUND) * _PHOTONS,
            t0_s,
            math.log(sigma_s),
            _BACKGROUND * _PHOTONS,
        ]
    )


@dataclass(frozen=True, slots=True)
class Behind:
    """The emitter that is read as something and its eta; neither where there is none, and then the ``reason``."""

    cascade: Cascade | None = None
    eta: float | None = None
    reason: str = ""


def cascade_behind(
    read: Reading,
    mean_n: float,
    period_s: float,
    irf_fwhm_s: float,
    *,
    s: float,
    quantum_yield_x: float,
    width_fitted: bool,
) -> Behind:
    """The n^2 cascade from which the fit reads ``read``.

    Broyden's method for eta and both lifetimes: at <N> = 0.5 the reading follows eta twice as steeply as two levels
    would, and the lifetimes move with it.
    """
    mean_n = max(mean_n, _LEAST_MEAN_N)
    slopes = np.diag([poisson_factor(mean_n), 1.0, 1.0])
    wanted = _vector(read)
    x = _vector(read._replace(beta=eta_from_beta(read.beta, mean_n)))
    last: tuple[Floats, Floats] | None = None
    why = "no such cascade is read as this decay"
    for _ in range(_STEPS):
        x[0] = min(max(x[0], LOWEST_ETA), HIGHEST_ETA)
        cascade = Cascade(math.exp(x[1]), math.exp(x[2]), quantum_yield_x, s)
        found = None
        if problem := cascade.problem():
            why = f"the emitter behind this decay cannot be: {problem}"
        else:
            found = reading(cascade, mean_n, float(x[0]), period_s, irf_fwhm_s, width_fitted=width_fitted)
        if found is None:
            if last is None:
                return Behind(reason=why)
            x = 0.5 * (x + last[0])
            continue
        miss = wanted - _vector(found)
        if abs(miss[0]) < _CLOSE and np.abs(miss[1:]).max() < 10.0 * _CLOSE:
            return Behind(cascade, float(x[0]))
        if last is not None:
            # The inverse slopes that explain the last step (Broyden 1965).
            moved = x - last[0]
            change = slopes @ (last[1] - miss)
            if bottom := float(moved @ change):
                slopes = slopes + np.outer(moved - change, moved @ slopes) / bottom
        last = x, miss
        step = slopes @ miss
        x = x + step * min(1.0, _REACH / float(np.abs(step).max()))
    return Behind(reason=why)


def _vector(read: Reading) -> Floats:
    return np.array([read.beta, math.log(read.tau_x_s), math.log(read.tau_xx_s)])


def leftover_shift(beta: float, mean_n: float, emitter: Cascade, period_s: float) -> float:
    """By how much excitons left over from earlier pulses raise an apparent ``beta``, for at most two excitons.

    To first order by (1 - exp(-N)) exp(-T/tau_x), the share of the pulses that find an exciton: one that adds another
    makes a biexciton of two excited pulses. Taken from the stationary train of pulses, whose decay has the same two
    lifetimes: nothing else moves.
    Raises ValueError where ``emitter`` allows no biexciton.
    """
    two = replace(emitter, max_excitons=2)

    def read(without: float) -> float:
        _, (a_x, a_xx) = expected_decay(two, mean_n, eta_from_beta(without, mean_n), period_s)
        return beta_from_amplitudes(float(a_xx / a_x), two.tau_x_s, two.tau_xx_s, two.radiative_ratio)

    without = beta
    for _ in range(_ROUNDS):
        without = beta - (read(without) - without)
    return beta - without
