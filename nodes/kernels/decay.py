"""Decay histograms by label, channel and dtime."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def histogram_labels(
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    channel: NDArray[np.uint8],
    column: NDArray[np.int64],
    dtime: NDArray[Any],
    shift: np.uint32,
    limit: np.uint32,
    histogram: NDArray[np.int64],
) -> int:
    """Add photons, piece by piece, to ``histogram`` (rows, columns, dtime bins + 1).

    The photons ``offsets[b]:offsets[b + 1]`` go to row ``rows[b]`` and column ``column[channel]``, each at
    ``dtime >> shift``; those whose dtime is not below ``limit`` are counted in the extra bin behind the last one, and
    their number is returned.
    """
    beyond = np.uint32(histogram.shape[2] - 1)
    outside = 0
    for b in range(offsets.size - 1):
        row = histogram[rows[b]]
        for i in range(np.uint64(offsets[b]), np.uint64(offsets[b + 1])):
            d = np.uint32(dtime[i])
            inside = d < limit
            row[column[channel[i]], d >> shift if inside else beyond] += 1
            outside += not inside
    return outside
