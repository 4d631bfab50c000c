"""Makes long curves fit a screen: extremes per pixel column, sums of neighbouring bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def column_starts(bins: int, columns: int) -> NDArray[np.int64]:
    """First bin of each of at most ``columns`` runs of neighbouring bins, as equal as they can be.

    Every one of the ``bins`` bins is in exactly one run, and no run is empty.
    """
    used = min(bins, columns)
    return np.arange(used, dtype=np.int64) * bins // max(1, used)


def extremes(
    values: NDArray[np.float64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest of ``values`` in each run, NaN left aside; NaN where a run holds nothing else."""
    if not len(starts):
        return np.empty(0), np.empty(0)
    return np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)


def skyline(
    edges: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A step-like path through runs ``[edges[k], edges[k + 1])``: along the low end of each, then up and along
    the high end. Where both are the same this is the plain step curve. Returns x and y, four points a run.
    """
    left, right = edges[:-1], edges[1:]
    middle = np.where(low == high, right, 0.5 * (left + right))
    x = np.stack([left, middle, middle, right], axis=1)
    y = np.stack([low, low, high, high], axis=1)
    return x.ravel(), y.ravel()


def rebin(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Sums of ``factor`` neighbouring values; the last one may be of fewer."""
    if not len(values):
        return values
    return np.add.reduceat(values, np.arange(0, len(values), factor))
