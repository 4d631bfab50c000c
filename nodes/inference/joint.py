"""Joint Poisson likelihood of several decays of one nanocrystal that share s, and what else follows from <N>.

Calibration runs are excited below twice the gap, where biexcitons come from pulses that are absorbed twice and from
nothing else. With N_i = scale * weight_i their decays are B_i = 1 - N_i/(exp(N_i) - 1) biexcitons in the two-level
closed form, or all the exponentials of the n^2 cascade (`cascade_likelihood`). They share both lifetimes and s. The
``sample``, where there is one, has lifetimes and a beta of its own and only s in common with them.

Parameters, one float64 vector: ``ln tau_x, ln tau_xx, s``, the logarithms of the scales, the four of each channel of
each run and its tail (`likelihood`), then for the sample ``beta, ln tau_x, ln tau_xx`` and those of its channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.beta import beta_from_photon_share, poisson_factor, poisson_factor_slope
from photonstream.nodes.inference.cascade_likelihood import SOURCES, exponentials
from photonstream.nodes.inference.cascade_likelihood import differentiate as differentiate_cascade
from photonstream.nodes.inference.decay_data import MEAN_N_MOST
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.likelihood import (
    BACKGROUND,
    LN_SIGMA,
    LN_TAU_X,
    LN_TAU_XX,
    MIX,
    PER_CHANNEL,
    SHARED,
    T0,
    Likelihood,
    differentiate,
    photon_share,
)
from photonstream.nodes.inference.refit import Refit
from photonstream.nodes.inference.scoring import Box, Optimum, with_known

S, SCALES = 2, 3
LEAST_S, MOST_S = 1.2, 50.0
# <N> over its weight is sought from here on; what ends there is not determined.
LEAST_SCALE = 1e-3
_BETA_RANGE = -0.5, 50.0
_LEAST_OWN = 1e-3
_STEPS = 80
# Half deviance that the next step must promise to gain.
_GAIN = 1e-8


@dataclass(frozen=True, eq=False)
class Joint:
    """The runs, ``groups`` (which scale belongs to each run) with their ``weights``, and the sample if there is one.

    ``errors``: for each scale the standard error of a Gaussian constraint around 1; None: no constraint, 0: held at 1.
    It is common to all scales, and each has ``own`` times as much again that is not.
    ``cascade_yield_x``: the quantum yield of the exciton whose n^2 cascade the runs are; None: the closed form.
    """

    runs: tuple[Refit, ...]
    groups: tuple[int, ...]
    weights: tuple[float, ...]
    errors: tuple[float | None, ...]
    sample: Refit | None = None
    cascade_yield_x: float | None = None
    own: float = 0.0

    @cached_property
    def _constrained(self) -> tuple[NDArray[np.int64], Floats]:
        """The scales that have a constraint, and its inverse covariance."""
        index = np.array([k for k, error in enumerate(self.errors) if error], np.int64)
        errors = np.array([self.errors[k] for k in index], float)
        # Where all is common and there are several, the pseudoinverse would leave their differences free.
        own = self.own if len(index) < 2 else max(self.own, _LEAST_OWN)
        return index, np.linalg.inv(np.outer(errors, errors) + np.diag((own * errors) ** 2))

    @property
    def scales(self) -> int:
        return len(self.errors)

    @property
    def _offsets(self) -> list[int]:
        """Where the channels of each run begin, and where those of the last one end."""
        sizes = [run.optimum.theta.size - SHARED for run in self.runs]
        return [SCALES + self.scales + sum(sizes[:k]) for k in range(len(sizes) + 1)]

    @property
    def beta(self) -> int:
        """Index of the sample's beta."""
        return self._offsets[-1]

    @property
    def size(self) -> int:
        own = 0 if self.sample is None else self.sample.optimum.theta.size
        return self._offsets[-1] + own

    def start(self, s: float, scales: Sequence[float]) -> Floats:
        """A vector to begin from: each decay where it was alone, with the lifetimes of the clearest run."""
        phi = np.empty(self.size)
        clearest = max(self.runs, key=lambda run: float(run.optimum.theta[MIX]))
        phi[:S] = clearest.optimum.theta[:MIX]
        phi[S] = s
        phi[SCALES : SCALES + self.scales] = np.log(scales)
        for run, offset in zip(self.runs, self._offsets, strict=False):
            local = run.optimum.theta[SHARED:]
            phi[offset : offset + local.size] = local
        if self.sample is not None:
            theta = self.sample.optimum.theta
            share = float(theta[MIX])
            phi[self.beta] = beta_from_photon_share(share, self.sample.tau_ratio, s)
            phi[self.beta + 1 : self.beta + SHARED] = theta[:MIX]
            phi[self.beta + SHARED :] = theta[SHARED:]
        return phi

    def box(self, *, s_free: bool) -> Box:
        """Bounds of every parameter and which are free; those of a channel as in the fit of its run alone."""
        lower, upper = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        free = np.ones(self.size, np.bool_)
        lower[:S] = np.min([run.box.lower[:MIX] for run in self.runs], axis=0)
        upper[:S] = np.max([run.box.upper[:MIX] for run in self.runs], axis=0)
        lower[S], upper[S], free[S] = LEAST_S, MOST_S, s_free
        lower[SCALES : SCALES + self.scales] = math.log(LEAST_SCALE)
        for k in range(self.scales):
            largest = max(w for w, group in zip(self.weights, self.groups, strict=True) if group == k)
            upper[SCALES + k] = math.log(MEAN_N_MOST / largest)
        free[SCALES : SCALES + self.scales] = [error != 0.0 for error in self.errors]
        known = np.zeros(self.size)
        for run, offset in zip(self.runs, self._offsets, strict=False):
            _copy(run.box, slice(SHARED, None), lower, upper, free, offset)
            if run.box.known is not None:
                known[offset : offset + run.box.known.size - SHARED] = run.box.known[SHARED:]
        if self.sample is not None:
            lower[self.beta], upper[self.beta] = _BETA_RANGE
            _copy(self.sample.box, slice(0, MIX), lower, upper, free, self.beta + 1)
            _copy(self.sample.box, slice(SHARED, None), lower, upper, free, self.beta + SHARED)
            if self.sample.box.known is not None:
                known[self.beta + SHARED :] = self.sample.box.known[SHARED:]
        return Box(lower, upper, free, known)

    def evaluate(self, phi: Floats) -> tuple[float, Floats, Floats]:
        """Half the deviance, with the constraint; its gradient and the expected information."""
        gradient, information = np.zeros(self.size), np.zeros((self.size, self.size))
        total = 0.0
        for run, offset, group, weight in zip(
            self.runs, self._offsets, self.groups, self.weights, strict=False
        ):
            if self.cascade_yield_x is not None:
                ln_n = SCALES + group, math.log(weight)
                total += _add_cascade(run, phi, self.cascade_yield_x, ln_n, offset, gradient, information)
                continue
            mean_n = weight * math.exp(float(phi[SCALES + group]))
            factor = poisson_factor(mean_n)
            biexcitons = 1.0 - 1.0 / factor
            by_ln_scale = mean_n * poisson_factor_slope(mean_n) / factor**2
            places = (LN_TAU_X, LN_TAU_XX, SCALES + group, offset, run.optimum.theta.size - SHARED)
            total += _add(run.likelihood, phi, biexcitons, by_ln_scale, places, gradient, information)
        if self.sample is not None:
            beta = self.beta
            places = (beta + 1, beta + 2, beta, beta + SHARED, self.size - beta - SHARED)
            total += _add(self.sample.likelihood, phi, float(phi[beta]), 1.0, places, gradient, information)
        index, inverse = self._constrained
        if index.size:
            scale = np.exp(phi[SCALES + index])
            pull = inverse @ (scale - 1.0)
            total += 0.5 * float((scale - 1.0) @ pull)
            gradient[SCALES + index] += scale * pull
            information[np.ix_(SCALES + index, SCALES + index)] += inverse * np.outer(scale, scale)
        return total, gradient, information

    def _reach(self, phi: Floats) -> Floats:
        """How far one step may move each parameter."""
        reach = np.full(self.size, np.inf)
        reach[: SCALES + self.scales] = 1.0
        blocks = list(zip(self.runs, self._offsets, strict=False))
        if self.sample is not None:
            reach[self.beta : self.beta + SHARED] = 1.0
            blocks.append((self.sample, self.beta + SHARED))
        for run, offset in blocks:
            bin_s = run.likelihood.bin_s
            for base in range(offset, offset + PER_CHANNEL * len(run.rows), PER_CHANNEL):
                reach[base + T0] = 2.0 * math.exp(float(phi[base + LN_SIGMA])) + 2.0 * bin_s
                reach[base + LN_SIGMA] = 1.0
        return reach

    def maximise(self, phi: Floats, box: Box) -> Optimum:
        """The nearest maximum from ``phi`` within ``box``, by Fisher scoring with Levenberg damping.

        Where ``phi`` is no emitter the deviance of what it returns is infinite.
        """
        phi = np.clip(phi, box.lower, box.upper)
        value, gradient, information = self.evaluate(phi)
        if not math.isfinite(value):
            return Optimum(phi, value, gradient, information, False)
        damping, converged = 1e-3, False
        for _ in range(_STEPS):
            diagonal = information.diagonal()
            pressed = ((phi <= box.lower) & (gradient > 0.0)) | ((phi >= box.upper) & (gradient < 0.0))
            index = np.flatnonzero(box.free & (diagonal > 0.0) & ~pressed)
            scale = 1.0 / np.sqrt(diagonal[index])
            unit = information[np.ix_(index, index)] * np.outer(scale, scale) + damping * np.eye(index.size)
            step = np.zeros_like(phi)
            step[index] = -scale * np.linalg.solve(unit, scale * gradient[index])
            if -float(gradient @ step) < _GAIN:
                converged = True
                break
            shrink = min(
                1.0, float(np.min(self._reach(phi)[index] / np.maximum(np.abs(step[index]), 1e-300)))
            )
            trial = np.clip(phi + shrink * step, box.lower, box.upper)
            found, trial_gradient, trial_information = self.evaluate(trial)
            if found <= value:
                phi, value, gradient, information = trial, found, trial_gradient, trial_information
                damping = max(0.1 * damping, 1e-10)
            else:
                damping = 10.0 * max(damping, 1e-5)
                if damping > 1e10:
                    converged = True
                    break
        return Optimum(phi, value, gradient, information, converged)

    def covariance(self, optimum: Optimum, box: Box) -> Floats:
        """Inverse information of what is free and not at a bound, zero elsewhere; no background is too small for it."""
        phi, information = optimum.theta, with_known(optimum.information, box)
        diagonal = information.diagonal()
        inside = (phi > box.lower) & (phi < box.upper)
        for offset, run in zip(self._offsets, self.runs, strict=False):
            inside[offset + BACKGROUND : offset + PER_CHANNEL * len(run.rows) : PER_CHANNEL] = True
        if self.sample is not None:
            inside[self.beta + SHARED + BACKGROUND :: PER_CHANNEL] = True
        if box.known is not None:
            inside |= box.known > 0.0
        index = np.flatnonzero(inside & box.free & (diagonal > 0.0))
        scale = 1.0 / np.sqrt(diagonal[index])
        unit = information[np.ix_(index, index)] * np.outer(scale, scale)
        out = np.zeros_like(optimum.information)
        out[np.ix_(index, index)] = np.linalg.pinv(unit, rcond=1e-13, hermitian=True) * np.outer(scale, scale)
        return out


def _add_cascade(
    run: Refit,
    phi: Floats,
    quantum_yield_x: float,
    ln_n: tuple[int, float],
    offset: int,
    gradient: Floats,
    information: Floats,
) -> float:
    """`_add` of a run that decays by the cascade; ``ln_n``: where the logarithm of its scale is, and its weight's."""
    scale, ln_weight = ln_n
    index = [LN_TAU_X, LN_TAU_XX, S, scale, *range(offset, offset + run.optimum.theta.size - SHARED)]
    local = phi[index]
    local[SOURCES - 1] += ln_weight
    parts = exponentials(local[:SOURCES], quantum_yield_x, run.likelihood.period_s)
    if parts is None:
        return math.inf
    value, own_gradient, own_information = differentiate_cascade(run.likelihood, parts, local[SOURCES:])
    gradient[index] += own_gradient
    information[np.ix_(index, index)] += own_information
    return value


def _copy(box: Box, part: slice, lower: Floats, upper: Floats, free: NDArray[np.bool_], to: int) -> None:
    size = box.lower[part].size
    lower[to : to + size], upper[to : to + size] = box.lower[part], box.upper[part]
    free[to : to + size] = box.free[part]


def _add(
    likelihood: Likelihood,
    phi: Floats,
    biexcitons: float,
    by_source: float,
    places: tuple[int, int, int, int, int],
    gradient: Floats,
    information: Floats,
) -> float:
    """Half the deviance of one decay, its gradient and information added to the joint ones.

    ``biexcitons`` per excited pulse, and its derivative to the parameter behind it. ``places``: indices of ln tau_x,
    ln tau_xx, that parameter and the first channel.
    """
    ln_tau_x, ln_tau_xx, source, offset, locals_ = places
    s = float(phi[S])
    rho = math.exp(float(phi[ln_tau_xx] - phi[ln_tau_x]))
    if rho >= 1.0:
        return math.inf
    share, by_beta, by_rho = photon_share(biexcitons, rho, s, True)
    by_s = biexcitons * rho * (1.0 - share) / (1.0 + s * biexcitons * rho)
    theta = np.concatenate([phi[[ln_tau_x, ln_tau_xx]], [share], phi[offset : offset + locals_]])
    index = np.concatenate([[ln_tau_x, ln_tau_xx, S, source], np.arange(offset, offset + locals_)])
    slopes = np.zeros((theta.size, index.size))
    slopes[LN_TAU_X, 0] = slopes[LN_TAU_XX, 1] = 1.0
    slopes[MIX, :4] = -by_rho * rho, by_rho * rho, by_s, by_beta * by_source
    slopes[SHARED:, 4:] = np.eye(locals_)
    own_gradient, own_information = np.zeros(theta.size), np.zeros((theta.size, theta.size))
    value = differentiate(likelihood, theta, own_gradient, own_information)
    gradient[index] += slopes.T @ own_gradient
    information[np.ix_(index, index)] += slopes.T @ own_information @ slopes
    return value
