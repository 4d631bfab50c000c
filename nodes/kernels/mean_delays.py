"""The mean delay of each bin of the trace, counted from wherever the period may be cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# The period may be cut at so many places: where the pulse stands is known later than the photons are there.
CUTS = 16


@njit(nogil=True, cache=True)
def map_delays(
    offsets: NDArray[np.int64],
    level: NDArray[np.int64],
    dtime: NDArray[Any],
    no_dtime: np.uint32,
    period: float,
    cells: NDArray[np.int64],
    photons: NDArray[np.int64],
) -> None:
    """Add bins that have photons to ``cells`` (CUTS, levels, columns), and all photons to ``photons`` (CUTS,).

    Bin ``b``, of ``level[b]``, holds the photons ``offsets[b]:offsets[b + 1]``. In ``cells[k]`` it lies by the mean
    delay after the k-th cut, at k/CUTS of the ``period`` (in TCSPC bins): a photon before a cut came a period later.
    ``photons[k]`` are those between that cut and the next.
    """
    columns = cells.shape[2]
    part = CUTS / period
    parts = np.zeros(CUTS, np.int64)
    last = np.int64(columns - 1)
    for b in range(offsets.size - 1):
        parts[:] = 0
        total, timed = np.int64(0), 0
        for i in range(np.uint64(offsets[b]), np.uint64(offsets[b + 1])):
            d = np.uint32(dtime[i])
            if d != no_dtime:
                total += np.int64(d)
                timed += 1
                parts[min(np.int64(d * part), np.int64(CUTS - 1))] += 1
        if timed == 0:
            continue
        before = np.int64(0)
        for k in range(CUTS):
            mean = (total + before * period) / timed - k / part
            column = np.int64(mean / period * columns)
            cells[k, level[b], min(max(column, np.int64(0)), last)] += 1
            before += parts[k]
            photons[k] += parts[k]
