"""How long after the photon before it, on the same channel, each photon came: what a dead time must leave empty."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Bins of the waits: so many an octave, from SHORTEST_S on. Longer waits are as common as chance makes them.
OCTAVE, BINS, SHORTEST_S = 4, 48, 1e-9
# Waits of each channel; the last bin has all that are longer than the others.
MOST_CHANNELS = 256


def wait_edges_s() -> NDArray[np.float64]:
    """Upper ends of the bins of `count_waits` but the last, (BINS,): 1 ns to some 3.4 µs."""
    edges: NDArray[np.float64] = SHORTEST_S * 2.0 ** (np.arange(BINS) / OCTAVE)
    return edges


@njit(nogil=True, cache=True)
def count_waits(
    macrotime: NDArray[np.uint64],
    channel: NDArray[np.uint8],
    dtime: NDArray[Any],
    unit_s: float,
    dtime_s: float,
    edges_s: NDArray[np.float64],
    last: NDArray[np.uint64],
    waits: NDArray[np.int64],
) -> None:
    """Add the waits of photons to ``waits`` (channels, edges + 1).

    A photon's time is ``macrotime * unit_s + dtime * dtime_s``. ``last`` (channels, 2) holds macrotime + 1 (0: none
    yet), dtime of each channel's last photon, and is carried on.
    """
    longest = edges_s.size
    for i in range(macrotime.size):
        c = channel[i]
        m, d = macrotime[i], np.uint64(dtime[i])
        if last[c, 0]:
            wait_s = np.float64(m + np.uint64(1) - last[c, 0]) * unit_s
            wait_s += (np.float64(d) - np.float64(last[c, 1])) * dtime_s
            place = longest
            while place and wait_s < edges_s[place - 1]:
                place -= 1
            waits[c, place] += 1
        last[c, 0], last[c, 1] = m + np.uint64(1), d
