"""Decay histograms by level, channel and dtime."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def histogram_levels(
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    channel: NDArray[np.uint8],
    dtime: NDArray[Any],
    shift: np.uint32,
    histogram: NDArray[np.int64],
) -> None:
    """Add photons, bin by bin, to ``histogram`` (rows, channels, dtime bins + 1).

    The photons ``offsets[b]:offsets[b + 1]`` go to row ``rows[b]``, each at ``dtime >> shift``; whatever lies
    beyond the last dtime bin is counted in the extra one behind it.
    """
    beyond = np.uint32(histogram.shape[2] - 1)
    for b in range(offsets.size - 1):
        row = histogram[rows[b]]
        for i in range(np.uint64(offsets[b]), np.uint64(offsets[b + 1])):
            d = np.uint32(dtime[i]) >> shift
            row[channel[i], d if d < beyond else beyond] += 1
