"""Brightness levels of an intensity trace, and the window on the brightest of them.

A bin with ``n`` counts has the level ``floor(4 sqrt(n))``: on that axis the Poisson width of any rate is about
2, so one scale serves a dark detector and a bright emitter alike.

How many levels the trace has is asked of a mixture: each component is a normal distribution of 4 sqrt(rate)
(its width is what the emitter does beyond Poisson noise) seen through the exact Poisson probabilities of the
levels. The number of components is chosen by the Bayesian information criterion; components between which the
mixture has no valley are one level, whatever their number: that is drift, focus or bleaching, not blinking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from photonstream.nodes.kernels.mixture import LEAST_SEEN, climb

MOST_COMPONENTS = 4
# A level must hold this share of the time to be the emitter's on state: shorter ones are bursts or dust.
SHORTEST_SHARE = 0.02
# Between two levels the mixture must fall below this share of the lower peak.
DEEPEST_BRIDGE = 0.8
# Standard deviation of the level of Poisson counts.
POISSON_WIDTH = 2.0
_GRID = 256
# Steps of the fit of a mixture, at most, and the gain in log-likelihood below which it ends.
_ITERATIONS, _TOLERANCE = 300, 1e-3


@dataclass(frozen=True)
class LevelRange:
    """Levels ``low`` to ``high`` (half-open) of the bins; ``on`` says whether their photons are selected."""

    low: int
    high: int
    on: bool


def level_of(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Level of bins with ``counts`` photons: floor(4 sqrt(n))."""
    level: NDArray[np.int64] = np.floor(4.0 * np.sqrt(counts)).astype(np.int64)
    return level


def first_count(level: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Smallest number of counts whose level is at least ``level``."""
    return -((-(np.asarray(level, np.int64) ** 2)) // 16)


def window_ranges(low_counts: float, high_counts: float, levels: int) -> list[LevelRange]:
    """Ranges for bins of ``low_counts`` to ``high_counts`` photons, both included, of ``levels`` levels in all.

    Ranges below, in and above the window. It takes every level whose counts all lie within it, so it can end up
    narrower than asked by less than half a Poisson width at either side; where that would leave nothing, the level
    at its middle is taken. A window without a whole number of counts in it selects nothing.
    """
    first = first_count(np.arange(levels + 1))
    # A rate times a bin width is a whole number of counts only to within rounding.
    least = math.ceil(min(low_counts * (1 - 1e-6), float(first[-1])))
    most = math.floor(min(high_counts * (1 + 1e-6), float(first[-1])))
    low = int(np.searchsorted(first[:-1], least))
    high = int(np.searchsorted(first[1:] - 1, most, side="right"))
    if least > most or least >= first[-1]:
        return [LevelRange(0, levels, False)]
    if high <= low or first[high] <= first[low]:
        low = int(level_of(np.array([(least + most) // 2]))[0])
        high = low + 1
    low, high = min(low, levels), min(high, levels)
    parts = [LevelRange(0, low, False), LevelRange(low, high, True), LevelRange(high, levels, False)]
    return [p for p in parts if p.high > p.low]


def automatic_ranges(bins_per_level: NDArray[np.int64]) -> list[LevelRange]:
    """Split the levels of a trace at the valleys of its brightness distribution; the brightest one is on.

    ``bins_per_level[k]`` is the number of bins of level k. One range, all on, where there is one level.
    """
    levels = len(bins_per_level)
    occupied = np.flatnonzero(bins_per_level)
    if occupied.size < 2:
        return [LevelRange(0, levels, True)]
    # At most _GRID groups of levels keep the cost independent of the brightness.
    group = -(-levels // _GRID)
    edges = np.arange(0, levels + group, group)
    observed = np.add.reduceat(bins_per_level, edges[:-1])
    parts = list(pairwise([0, *_Mixture(observed, edges).cuts(), levels]))
    share = [bins_per_level[a:b].sum() / bins_per_level.sum() for a, b in parts]
    on = max((k for k, s in enumerate(share) if s >= SHORTEST_SHARE), default=int(np.argmax(share)))
    return [LevelRange(a, b, k == on) for k, (a, b) in enumerate(parts) if b > a]


class _Mixture:
    """Maximum-likelihood mixtures of 1 to MOST_COMPONENTS components for one histogram of levels."""

    def __init__(self, observed: NDArray[np.int64], edges: NDArray[np.int64]) -> None:
        # Only levels that occur have a say.
        occupied = np.flatnonzero(observed)
        self._observed = observed[occupied].astype(float)
        self._y = np.linspace(edges[occupied[0]], edges[occupied[-1] + 1], _GRID)
        rate = (self._y / 4.0) ** 2
        # Neighbours share an edge, and each costs as much as a step of the fit.
        ends = np.union1d(occupied, occupied + 1)
        first = first_count(edges[ends])
        cumulative = np.where(first <= 0, 0.0, pdtr(first - 1.0, rate[:, None]))
        below, above = (np.take(cumulative, np.searchsorted(ends, k), 1) for k in (occupied, occupied + 1))
        # (grid, groups): probability of a group of levels at a rate.
        seen = above - below
        self._seen = np.where(seen < LEAST_SEEN, 0.0, seen)
        self._bins = observed.sum()

    def cuts(self) -> list[int]:
        """Levels at which the best mixture has its valleys, ascending."""
        best_score, best_density = np.inf, self._y
        for components in range(1, MOST_COMPONENTS + 1):
            log_likelihood, density = self._fit(components)
            score = -2.0 * log_likelihood + (3 * components - 1) * np.log(self._bins)
            if score < best_score:
                best_score, best_density = score, density
        return [round(float(self._y[k])) for k in valleys(best_density)]

    def _fit(self, components: int) -> tuple[float, NDArray[np.float64]]:
        """Log-likelihood and brightness density (on the grid, Poisson width included) after EM."""
        y = self._y
        mean = np.linspace(y[0], y[-1], components + 2)[1:-1]
        width = np.full(components, max(1.0, (y[-1] - y[0]) / (4.0 * components)))
        weight = np.full(components, 1.0 / components)
        log_likelihood = climb(y, self._seen, self._observed, weight, mean, width, _ITERATIONS, _TOLERANCE)
        mean, width, weight = mean[:, None], width[:, None], weight[:, None]
        seen_width = np.sqrt(width**2 + POISSON_WIDTH**2)
        density = weight / seen_width * np.exp(-0.5 * ((y - mean) / seen_width) ** 2)
        return log_likelihood, density.sum(axis=0)


def valleys(density: NDArray[np.float64]) -> list[int]:
    """Indices of the minima of ``density`` that part two peaks, ascending.

    Two neighbouring peaks are parted when the minimum between them lies below DEEPEST_BRIDGE times the lower
    one; else the lower one is part of the higher one.
    """
    padded = np.concatenate([[-np.inf], density, [-np.inf]])
    peaks = [int(k) for k in np.flatnonzero((padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:]))]
    while len(peaks) > 1:
        lowest = [a + int(np.argmin(density[a : b + 1])) for a, b in pairwise(peaks)]
        bridge = [
            density[v] / min(density[a], density[b])
            for v, (a, b) in zip(lowest, pairwise(peaks), strict=True)
        ]
        worst = int(np.argmax(bridge))
        if bridge[worst] <= DEEPEST_BRIDGE:
            return lowest
        a, b = peaks[worst], peaks[worst + 1]
        peaks.remove(a if density[a] < density[b] else b)
    return []
