"""Expectation maximisation of a mixture of normal distributions, each seen through a table of probabilities."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_PROBABILITY, LEAST_MASS = 1e-300, 1e-9
# Below these, table and components count as 0: products of smaller numbers cost the processor a hundred times as much.
LEAST_SEEN, FARTHEST = 1e-150, 345.0


@njit(nogil=True, cache=True)
def climb(
    y: Floats,
    seen: Floats,
    observed: Floats,
    weight: Floats,
    mean: Floats,
    width: Floats,
    iterations: int,
    tolerance: float,
) -> float:
    """Improve ``weight``, ``mean`` and ``width`` (K,) in place; returns the log-likelihood of the last step.

    ``y`` (grid,) is an even grid, on which each component is normalised; ``seen`` (grid, classes) the probability of
    each class at each of its places; ``observed`` (classes,) the counts. It ends when a step gains less than
    ``tolerance``. Dempster, Laird and Rubin, J. R. Stat. Soc. B 39, 1 (1977).
    """
    components, grid, classes = mean.size, y.size, observed.size
    narrowest = 0.5 * (y[1] - y[0])
    # Sums over either axis run along the other one, which the processor does several at a time.
    seen_by_class = np.ascontiguousarray(seen.T)
    joint, density, back = np.empty((components, grid)), np.empty(grid), np.empty(grid)
    expected = np.empty(classes)
    before = value = -np.inf
    for _ in range(iterations):
        density[:] = 0.0
        for k in range(components):
            prior, centre, per_width, total = joint[k], mean[k], 1.0 / width[k], 0.0
            for j in range(grid):
                half = 0.5 * ((y[j] - centre) * per_width) ** 2
                prior[j] = math.exp(-half) if half < FARTHEST else 0.0
                total += prior[j]
            share = weight[k] / max(total, LEAST_PROBABILITY)
            for j in range(grid):
                prior[j] *= share
                density[j] += prior[j]
        expected[:] = 0.0
        for j in range(grid):
            row, factor = seen[j], density[j]
            for i in range(classes):
                expected[i] += factor * row[i]
        value = 0.0
        for i in range(classes):
            expected[i] = max(expected[i], LEAST_PROBABILITY)
            value += observed[i] * math.log(expected[i])
        if value - before < tolerance:
            break
        before = value
        back[:] = 0.0
        for i in range(classes):
            row, factor = seen_by_class[i], observed[i] / expected[i]
            for j in range(grid):
                back[j] += factor * row[j]
        for k in range(components):
            posterior, mass, moment, spread = joint[k], 0.0, 0.0, 0.0
            for j in range(grid):
                posterior[j] *= back[j]
                mass += posterior[j]
                moment += posterior[j] * y[j]
            mass = max(mass, LEAST_MASS)
            centre = moment / mass
            for j in range(grid):
                spread += posterior[j] * (y[j] - centre) ** 2
            weight[k], mean[k], width[k] = mass, centre, math.sqrt(max(spread / mass, narrowest**2))
        weight /= weight.sum()
    return value
