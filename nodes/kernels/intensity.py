"""Counts per bin and channel of the intensity trace."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def count_bins(
    offsets: NDArray[np.int64],
    channel: NDArray[np.uint8],
    dtime: NDArray[Any],
    no_dtime: np.uint32,
    counts: NDArray[np.uint32],
    timed: NDArray[np.uint32],
) -> None:
    """Fill the per-bin sums from photons in order.

    Bin ``b`` holds the photons ``offsets[b]:offsets[b + 1]``. ``counts`` is (bins, channels); ``timed`` (bins,) counts
    the photons that have a dtime (are not ``no_dtime``).
    """
    for b in range(offsets.size - 1):
        with_dtime = np.uint32(0)
        for i in range(np.uint64(offsets[b]), np.uint64(offsets[b + 1])):
            counts[b, channel[i]] += np.uint32(1)
            if np.uint32(dtime[i]) != no_dtime:
                with_dtime += np.uint32(1)
        timed[b] = with_dtime
