"""Pairs of photons on two detectors, by how far apart they are.

Photons come in order of a ``key``: the number of their laser pulse, or their macrotime where there are no pulses.
Two photons on different channels are a pair while their keys differ by no more than ``reach``. A pair adds to a
cell, one for each row and pair of channels; cells are taken when the first pair asks for them. A photon's row is 1 +
its label; a pair's row is that of its photons, and MIXED where they differ.

All photons are paired with their predecessor, then those that had it in reach with the one before it, and so on:
without a branch that depends on the next photon, several times faster than one photon after the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Row of the pairs whose photons have different labels.
MIXED = 0
# Places in the state: cells in use, and 1 once a photon had more than MOST_PARTNERS others before it in its reach.
CELLS, STOPPED = 0, 1
STATE_SIZE = 2
# No experiment has that many photons that close together: the recording's time stands still.
MOST_PARTNERS = 4096
# What is worked on at once stays in the fastest cache.
_BLOCK = 4096


class Photons(NamedTuple):
    """Photons in the order of their ``key``."""

    key: NDArray[np.uint64]
    channel: NDArray[np.uint8]
    dtime: NDArray[Any]
    row: NDArray[np.int32]


class Layout(NamedTuple):
    """How pairs are told apart.

    ``pair[c, d]`` (channels, channels) is the number of a pair of channels. A pair's separation is the key on its
    higher channel less that on the lower. With pulses ``class_of[dtime >> class_shift]`` is the class of a delay after
    the pulse, and the pair's delay is ``(base[separation + reach] + dtime difference) >> delay_shift``. Without pulses
    ``base`` is empty and the delay is ``(separation + reach) // width``. Delays outside the histogram are left out.
    """

    reach: int
    pair: NDArray[np.int64]
    class_of: NDArray[np.uint8]
    class_shift: int
    base: NDArray[np.int64]
    delay_shift: int
    width: int


class Tally(NamedTuple):
    """Counts: ``cell`` (rows, pairs) with -1 for none, ``classes`` (cells, separations, classes, classes) of the lower
    and the higher channel, ``delays`` (cells, bins)."""

    cell: NDArray[np.int32]
    classes: NDArray[np.int64]
    delays: NDArray[np.int64]


@njit(nogil=True, cache=True)
def count_pairs(begin: int, photons: Photons, layout: Layout, tally: Tally, state: NDArray[np.int64]) -> None:
    """Add the pairs of the photons from ``begin`` on with all before them to ``tally``.

    There must be a free cell for every pair of channels and every row that a photon has, MIXED included.
    """
    key, channel, dtime, row = photons
    reach, pair_of, class_of, class_shift, base, delay_shift, width = layout
    cell_of, classes, delays = tally
    one, most_apart, bins = np.uint64(1), np.uint64(reach), np.uint64(delays.shape[1])
    last_class, timed = np.int64(class_of.size - 1), base.size > 0
    near = np.empty(_BLOCK, np.uint64)
    crossing = np.empty(_BLOCK, np.uint64)
    for block in range(begin, key.size, _BLOCK):
        n_near = np.uint64(min(_BLOCK, key.size - block))
        for m in range(n_near):
            near[m] = np.uint64(block) + m
        lag = one
        while n_near:
            if lag > MOST_PARTNERS + 1:
                state[STOPPED] = 1
                return
            still, n_crossing = np.uint64(0), np.uint64(0)
            for m in range(n_near):
                i = near[m]
                j = max(i, lag) - lag
                reached = np.uint64(i >= lag) & np.uint64(key[i] - key[j] <= most_apart)
                near[still] = i
                still += reached
                crossing[n_crossing] = i
                n_crossing += reached & np.uint64(channel[i] != channel[j])
            n_near = still
            for m in range(n_crossing):
                i, j = crossing[m], crossing[m] - lag
                number = pair_of[channel[i], channel[j]]
                where = row[i] if row[i] == row[j] else MIXED
                cell = cell_of[where, number]
                if cell < 0:
                    cell = cell_of[where, number] = state[CELLS]
                    state[CELLS] += 1
                # 1 and 0 where the later photon is on the higher channel, else -1 and all ones.
                sign = 1 if channel[i] > channel[j] else -1
                swapped = sign >> 1
                separation = np.uint64(reach + sign * np.int64(key[i] - key[j]))
                if timed:
                    later, earlier = np.int64(dtime[i]), np.int64(dtime[j])
                    low = np.int64(class_of[min(np.int64(earlier >> class_shift), last_class)])
                    high = np.int64(class_of[min(np.int64(later >> class_shift), last_class)])
                    change = (low ^ high) & swapped
                    classes[cell, separation, np.uint64(low ^ change), np.uint64(high ^ change)] += 1
                    delay = np.uint64((base[separation] + sign * (later - earlier)) >> delay_shift)
                else:
                    delay = separation // np.uint64(width)
                if delay < bins:
                    delays[cell, delay] += 1
            lag += one
