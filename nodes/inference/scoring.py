"""Maximum of the likelihood by Fisher scoring with Levenberg damping, within bounds.

A parameter pressed against its bound is frozen for the step: on single-exponential data plain scoring goes
singular, because nothing determines the lifetime of an absent component.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.likelihood import (
    BACKGROUND,
    LN_SIGMA,
    LN_TAIL,
    LN_TAU_X,
    LN_TAU_XX,
    MIX,
    PER_CHANNEL,
    SHARED,
    T0,
    Likelihood,
    evaluate,
)

_STEPS = 60
# The scoring stops when the next step would gain less log-likelihood than this,
_GAIN = 1e-8
# or when so many steps together gained less than that: an edge much steeper than a bin makes the likelihood of t0
# a chain of kinks, on which expected gains mean little.
_PATIENCE = 8
# Eigenvalues of the information below this part of the largest are nothing.
_SINGULAR = 1e-13
# Where the parameters before it leave less than this part of the information of one, the eigenvalues are asked.
_PLAIN = 1e-9
_PATIENT_GAIN = 1e-5


@dataclass(frozen=True, slots=True)
class Box:
    """Bounds of each parameter and which of them the fit may move; the others stay where they start.

    ``known``: information on single parameters that their bounds are and the data are not (None: of none). It has its
    part in errors, and none in where the optimum is.
    """

    lower: Floats
    upper: Floats
    free: NDArray[np.bool_]
    known: Floats | None = None

    def untold(self, index: int) -> bool:
        """Whether only the bounds of this parameter tell of it."""
        return self.known is not None and bool(self.known[index] > 0.0)


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where the scoring stopped: half the Poisson deviance there, its gradient, the Fisher information."""

    theta: Floats
    half_deviance: float
    gradient: Floats
    information: Floats
    converged: bool


@njit(nogil=True, cache=True)
def _solve(
    information: Floats, gradient: Floats, active: NDArray[np.bool_], damping: float, step: Floats
) -> bool:
    """Damped Newton step of the active parameters, by Cholesky on the unit-diagonal form."""
    size = gradient.size
    index = np.empty(size, np.int64)
    m = 0
    for i in range(size):
        step[i] = 0.0
        if active[i]:
            index[m] = i
            m += 1
    lower = np.zeros((m, m))
    for i in range(m):
        for k in range(i + 1):
            a, b = index[i], index[k]
            value = information[a, b] / math.sqrt(information[a, a] * information[b, b])
            if i == k:
                value = 1.0 + damping
            for j in range(k):
                value -= lower[i, j] * lower[k, j]
            if i == k:
                if not value > 1e-14:
                    return False
                lower[i, i] = math.sqrt(value)
            else:
                lower[i, k] = value / lower[k, k]
    solution = np.empty(m)
    for i in range(m):
        value = -gradient[index[i]] / math.sqrt(information[index[i], index[i]])
        for k in range(i):
            value -= lower[i, k] * solution[k]
        solution[i] = value / lower[i, i]
    for back in range(m):
        i = m - 1 - back
        value = solution[i]
        for k in range(i + 1, m):
            value -= lower[k, i] * solution[k]
        solution[i] = value / lower[i, i]
        step[index[i]] = solution[i] / math.sqrt(information[index[i], index[i]])
    return True


@njit(nogil=True, cache=True)
def _confine(
    theta: Floats, lower: Floats, upper: Floats, free: NDArray[np.bool_], ln_max_ratio: float
) -> None:
    for i in range(theta.size):
        if free[i]:
            theta[i] = min(max(theta[i], lower[i]), upper[i])
    if theta[LN_TAU_XX] > theta[LN_TAU_X] + ln_max_ratio:
        if free[LN_TAU_XX]:
            theta[LN_TAU_XX] = theta[LN_TAU_X] + ln_max_ratio
        elif free[LN_TAU_X]:
            theta[LN_TAU_X] = theta[LN_TAU_XX] - ln_max_ratio


@njit(nogil=True, cache=True)
def _movable(
    theta: Floats,
    gradient: Floats,
    information: Floats,
    lower: Floats,
    upper: Floats,
    free: NDArray[np.bool_],
    ln_max_ratio: float,
    active: NDArray[np.bool_],
) -> None:
    """A parameter pressed against its bound, or one the data say nothing about, is frozen for this step."""
    for i in range(theta.size):
        pressed = (theta[i] <= lower[i] and gradient[i] > 0.0) or (theta[i] >= upper[i] and gradient[i] < 0.0)
        active[i] = free[i] and not pressed and information[i, i] > 1e-30
    if theta[LN_TAU_XX] >= theta[LN_TAU_X] + ln_max_ratio - 1e-12:
        if gradient[LN_TAU_XX] < 0.0:
            active[LN_TAU_XX] = False
        if not free[LN_TAU_XX] and gradient[LN_TAU_X] > 0.0:
            active[LN_TAU_X] = False


@njit(nogil=True, cache=True)
def scoring(
    theta: Floats,
    lower: Floats,
    upper: Floats,
    free: NDArray[np.bool_],
    ln_max_ratio: float,
    max_steps: int,
    as_beta: bool,
    counts: Floats,
    efficiency: Floats,
    extra: Floats,
    edges_s: Floats,
    period_s: float,
    irf: Floats,
    irf_bin_s: float,
    s: float,
    gradient: Floats,
    information: Floats,
) -> tuple[float, bool]:
    """Descend from ``theta``, in place; returns half the deviance and whether it stopped by itself."""
    size = theta.size
    ends = SHARED + PER_CHANNEL * counts.shape[0]
    active = np.zeros(size, np.bool_)
    step = np.empty(size)
    trial_gradient = np.empty(size)
    trial_information = np.empty((size, size))
    single = theta[MIX] == 0.0 and not free[MIX]
    _confine(theta, lower, upper, free, ln_max_ratio)
    value = evaluate(
        theta,
        as_beta,
        single,
        counts,
        efficiency,
        extra,
        edges_s,
        period_s,
        irf,
        irf_bin_s,
        s,
        gradient,
        information,
    )
    narrowest = edges_s[1] - edges_s[0]
    for b in range(1, edges_s.size - 2):
        narrowest = min(narrowest, edges_s[b + 1] - edges_s[b])
    damping = 1e-3
    milestone = value
    for done in range(max_steps):
        if done % _PATIENCE == _PATIENCE - 1:
            if milestone - value < _PATIENT_GAIN:
                return value, True
            milestone = value
        if not value < math.inf:
            return value, False
        _movable(theta, gradient, information, lower, upper, free, ln_max_ratio, active)
        if not _solve(information, gradient, active, damping, step):
            damping = max(10.0 * damping, 1e-6)
            continue
        gain = 0.0
        shrink = 1.0
        for i in range(size):
            gain -= gradient[i] * step[i]
            own = SHARED <= i < ends
            if i < MIX or i == ends + LN_TAIL or (own and (i - SHARED) % PER_CHANNEL == LN_SIGMA):
                shrink = min(shrink, 1.0 / max(abs(step[i]), 1e-300))
            if own and (i - SHARED) % PER_CHANNEL == T0:
                reach = 2.0 * math.exp(theta[i + 1]) + 2.0 * narrowest
                shrink = min(shrink, reach / max(abs(step[i]), 1e-300))
        if gain < _GAIN:
            return value, True
        trial = theta + shrink * step
        _confine(trial, lower, upper, free, ln_max_ratio)
        found = evaluate(
            trial,
            as_beta,
            single,
            counts,
            efficiency,
            extra,
            edges_s,
            period_s,
            irf,
            irf_bin_s,
            s,
            trial_gradient,
            trial_information,
        )
        if found <= value:
            theta[:] = trial
            gradient[:] = trial_gradient
            information[:, :] = trial_information
            value = found
            damping = max(0.1 * damping, 1e-12)
        else:
            damping = 10.0 * max(damping, 1e-5)
            if damping > 1e10:
                return value, True
    return value, False


def maximise(
    likelihood: Likelihood, theta: Floats, box: Box, *, as_beta: bool = False, max_steps: int = _STEPS
) -> Optimum:
    """The nearest maximum of the likelihood from ``theta`` (which is left alone) within ``box``."""
    found = theta.copy()
    gradient = np.zeros(theta.size)
    information = np.zeros((theta.size, theta.size))
    value, converged = scoring(
        found,
        box.lower,
        box.upper,
        box.free,
        math.log(likelihood.max_ratio),
        max_steps,
        as_beta,
        likelihood.counts,
        likelihood.efficiency,
        likelihood.extra,
        likelihood.edges_s,
        likelihood.period_s,
        likelihood.irf,
        likelihood.irf_bin_s,
        likelihood.s,
        gradient,
        information,
    )
    return Optimum(found, value, gradient, information, converged)


@njit(nogil=True, cache=True)
def _invert(information: Floats, index: NDArray[np.int64], out: Floats) -> bool:
    """The inverse of the rows and columns ``index``, by Cholesky on the unit-diagonal form; False: nearly singular."""
    m = index.size
    lower = np.zeros((m, m))
    for i in range(m):
        for k in range(i + 1):
            a, b = index[i], index[k]
            value = information[a, b] / math.sqrt(information[a, a] * information[b, b])
            for j in range(k):
                value -= lower[i, j] * lower[k, j]
            if i == k:
                if not value > _PLAIN:
                    return False
                lower[i, i] = math.sqrt(value)
            else:
                lower[i, k] = value / lower[k, k]
    # The inverse of ``lower``, and its product with its own transpose.
    root = np.zeros((m, m))
    for k in range(m):
        root[k, k] = 1.0 / lower[k, k]
        for i in range(k + 1, m):
            value = 0.0
            for j in range(k, i):
                value -= lower[i, j] * root[j, k]
            root[i, k] = value / lower[i, i]
    for i in range(m):
        for k in range(i + 1):
            value = 0.0
            for j in range(i, m):
                value += root[j, i] * root[j, k]
            a, b = index[i], index[k]
            out[a, b] = out[b, a] = value / math.sqrt(information[a, a] * information[b, b])
    return True


def covariance(optimum: Optimum, box: Box) -> Floats:
    """Inverse Fisher information of the parameters that are free and not at a bound; zero elsewhere.

    A background at its bound of nothing stays in: it is well determined there, and its error is part of the others.
    So does what the bounds alone tell of.
    """
    inside = (optimum.theta > box.lower) & (optimum.theta < box.upper)
    inside[SHARED + BACKGROUND :: PER_CHANNEL] = True
    if box.known is not None:
        inside |= box.known > 0.0
    return inverse(with_known(optimum.information, box), inside & box.free)


def with_known(information: Floats, box: Box) -> Floats:
    """The ``information`` with that of the bounds."""
    return information if box.known is None else information + np.diag(box.known)


def inverse(information: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Pseudo-inverse of the ``chosen`` rows and columns that say anything; zero elsewhere."""
    diagonal = np.diag(information)
    index = np.flatnonzero(chosen & (diagonal > 0.0))
    out = np.zeros_like(information)
    if index.size and not _invert(information, index, out):
        scale = 1.0 / np.sqrt(diagonal[index])
        unit = information[np.ix_(index, index)] * np.outer(scale, scale)
        # Written out, because numpy's takes three times as long.
        values, vectors = np.linalg.eigh(unit)
        known = np.abs(values) > _SINGULAR * np.abs(values).max()
        scaled = vectors[:, known] * scale[:, None]
        out[np.ix_(index, index)] = (scaled / values[known]) @ scaled.T
    return out
