"""Profile-likelihood intervals: where the deviance, minimised over everything else, has risen by a set amount."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.estimate import Interval
from photonstream.nodes.inference.likelihood import Likelihood
from photonstream.nodes.inference.scoring import Box, Optimum, covariance, maximise

# Rise of the deviance at the 68.27 and 95 % points of chi-squared with one degree of freedom.
RISE_68 = 1.0
RISE_95 = 3.8414588
# One-sided 95 %.
RISE_UPPER95 = 2.7055435

# The nearest maximum from a parameter vector within a box.
Fit = Callable[[Floats, Box], Optimum]

_FITS_PER_ROOT = 30
_CLOSE = 2e-3
_BETTER = 1e-3


@dataclass(frozen=True, slots=True)
class Profile:
    """Intervals of one parameter. ``better``: a point found on the way that beats the optimum it started from."""

    ci68: Interval
    ci95: Interval
    better: Optimum | None


class ProfileSide:
    """One parameter walked away from its optimum in one direction; each root starts from the last fit."""

    def __init__(
        self, fit: Fit, optimum: Optimum, errors: Floats, box: Box, index: int, direction: int
    ) -> None:
        self._fit, self._optimum = fit, optimum
        self._index, self._direction = index, direction
        free = box.free.copy()
        free[index] = False
        self._box = replace(box, free=free)
        variance = float(errors[index, index])
        self._step = math.sqrt(variance)
        self._along: Floats = errors[:, index] / variance if variance > 0.0 else np.zeros_like(optimum.theta)
        self._limit = float(box.upper[index] if direction > 0 else box.lower[index])
        self._last = optimum.theta
        self.better: Optimum | None = None

    def _root_rise(self, distance: float) -> float:
        """Square root of the rise of the profiled deviance at ``distance`` from the optimum."""
        x = self._optimum.theta[self._index] + self._direction * distance
        theta = self._last + self._along * (x - self._last[self._index])
        theta[self._index] = x
        found = self._fit(theta, self._box)
        if not math.isfinite(found.half_deviance):
            return math.inf
        self._last = found.theta
        rise = 2.0 * (found.half_deviance - self._optimum.half_deviance)
        if rise < -_BETTER and (self.better is None or found.half_deviance < self.better.half_deviance):
            self.better = found
        return math.sqrt(max(rise, 0.0))

    def cross(self, rise: float) -> float | None:
        """The parameter's value at which the deviance has risen by ``rise``; None if it never does in its range."""
        target = math.sqrt(rise)
        reach = abs(self._limit - float(self._optimum.theta[self._index]))
        if not self._step > 0.0 or not reach > 0.0:
            return None
        near, near_root, far, far_root = 0.0, 0.0, math.inf, math.inf
        distance = min(self._step * target, reach)
        for _ in range(_FITS_PER_ROOT):
            root = self._root_rise(distance)
            if root < target:
                if distance >= reach and root < target * (1.0 - _CLOSE):
                    return None
                near, near_root = distance, root
            else:
                far, far_root = distance, root
            if abs(root - target) < _CLOSE * target:
                break
            distance = min(self._next(near, near_root, far, far_root, target), reach)
        else:
            return None
        return float(self._optimum.theta[self._index]) + self._direction * distance * (target / root)

    def _next(self, near: float, near_root: float, far: float, far_root: float, target: float) -> float:
        if not math.isfinite(far):
            slope = near_root / near if near > 0.0 else 0.0
            return min(near * 3.0, near + 1.05 * (target - near_root) / slope) if slope > 0.0 else near * 3.0
        if not math.isfinite(far_root):
            return 0.5 * (near + far)
        share = (target - near_root) / max(far_root - near_root, 1e-300)
        return near + min(max(share, 0.05), 0.95) * (far - near)


def profile(
    likelihood: Likelihood, optimum: Optimum, box: Box, index: int, *, as_beta: bool = False
) -> Profile:
    """68 and 95 % intervals of parameter ``index`` around a converged ``optimum``."""
    fit = partial(maximise, likelihood, as_beta=as_beta)
    return profile_of(fit, optimum, covariance(optimum, box), box, index)


def profile_of(fit: Fit, optimum: Optimum, errors: Floats, box: Box, index: int) -> Profile:
    """The same of any likelihood that ``fit`` maximises; ``errors`` is the covariance at ``optimum``."""
    sides = [ProfileSide(fit, optimum, errors, box, index, direction) for direction in (-1, 1)]
    low68, high68 = (side.cross(RISE_68) for side in sides)
    low95, high95 = (side.cross(RISE_95) for side in sides)
    better = [side.better for side in sides if side.better is not None]
    return Profile(
        (low68, high68),
        (low95, high95),
        min(better, key=lambda found: found.half_deviance) if better else None,
    )
