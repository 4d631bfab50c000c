"""The counts of pairs of photons as they grow: what the kernel adds to, and the photons that later ones may meet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.kernels.coincidence import (
    CELLS,
    MOST_PARTNERS,
    STATE_SIZE,
    STOPPED,
    Layout,
    Photons,
    Tally,
    count_pairs,
)

# Delays after the pulse are kept in this many classes of a period, for both photons of a pair.
CLASSES = 16
# Bins of a period in the histogram of delays between the photons of a pair, at most.
PERIOD_BINS = 256
# What the counts may take: a real recording has some dozens of levels and one pair of detectors.
MOST_BYTES = 1 << 30
# A table of classes has at most this many entries.
_MOST_ENTRIES = 1 << 16
_NOBODY = Photons(
    np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.uint32), np.empty(0, np.int32)
)


def _photons(columns: Iterable[NDArray[Any]]) -> Photons:
    return Photons(*columns)


@dataclass(frozen=True)
class Scale:
    """How pairs are told apart (the kernel's layout but for its channels), and what that is in seconds.

    ``class_starts_s`` is empty where there are no pulses.
    """

    layout: Layout
    separations: int
    classes: int
    bins: int
    start_s: float
    bin_s: float
    class_starts_s: NDArray[np.float64]

    @property
    def cell_bytes(self) -> int:
        return 8 * (self.separations * self.classes**2 + self.bins)


def pulse_scale(reach: int, period_s: float, resolution_s: float) -> Scale:
    """Pairs up to ``reach`` pulses apart, of photons whose delays are in TCSPC bins of ``resolution_s``."""
    period = max(1.0, period_s / resolution_s)
    class_shift = max(0, math.ceil(math.log2(period / _MOST_ENTRIES)))
    entries = math.ceil(period / 2**class_shift)
    class_of = (np.arange(entries) * CLASSES // entries).astype(np.uint8)
    starts = np.searchsorted(class_of, np.arange(CLASSES)) * 2**class_shift
    delay_shift = max(0, math.ceil(math.log2(period / PERIOD_BINS)))
    base = np.round(np.arange(2 * reach + 1) * period).astype(np.int64)
    layout = Layout(reach, np.empty((0, 0), np.int64), class_of, class_shift, base, delay_shift, 1)
    bins = math.ceil(2 * reach * period / 2**delay_shift)
    # The difference of two delays of whole bins lies about its value, so bins of it begin half a bin below.
    start_s = -reach * period_s - 0.5 * resolution_s
    bin_s = 2**delay_shift * resolution_s
    return Scale(layout, 2 * reach + 1, CLASSES, bins, start_s, bin_s, starts * resolution_s)


def time_scale(window_s: float, bins: int, unit_s: float) -> Scale:
    """Pairs whose macrotimes of ``unit_s`` differ by up to ``window_s`` (or half a bin in whole ticks more)."""
    width = max(1, round(2 * window_s / bins / unit_s))
    reach = max(1, width * bins // 2)
    none = np.empty(0, np.int64)
    layout = Layout(reach, np.empty((0, 0), np.int64), np.zeros(1, np.uint8), 0, none, 0, width)
    bins = 2 * reach // width
    return Scale(layout, 0, 0, bins, -(reach + 0.5) * unit_s, width * unit_s, np.empty(0))


class Pairs:
    """Counts of pairs by label, pair of channels, separation and delays; any split of the photons gives the same."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self._state = np.zeros(STATE_SIZE, np.int64)
        self._held = _NOBODY
        self._channels: set[int] = set()
        self._pair_of = np.empty((0, 0), np.int64)
        self._tally = self._cells(0)
        self._cell_of = np.full((64, 1), -1, np.int32)

    def _cells(self, cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        s = self.scale
        classes = np.zeros((cells, s.separations, s.classes, s.classes), np.int64)
        return classes, np.zeros((cells, s.bins), np.int64)

    @property
    def problem(self) -> str:
        """Why counting had to end; empty while it goes on."""
        if self._state[STOPPED]:
            return (
                f"more than {MOST_PARTNERS:,} photons within the reach of one: the window is too wide for this rate, "
                "or the recording's time stands still"
            )
        if self._state[CELLS] * self.scale.cell_bytes > MOST_BYTES:
            return (
                f"the counts of pairs take more than {MOST_BYTES / 1e9:.1f} GB: too many labels and channels"
            )
        return ""

    def add(self, photons: Photons, rows: NDArray[np.integer], channels: NDArray[np.integer]) -> None:
        """Pair ``photons``, which follow those of the calls before, with all before them.

        ``rows`` and ``channels`` are those that they may have, each named once.
        """
        if not photons.key.size or self.problem:
            return
        self._make_room(rows, channels)
        reach = self.scale.layout.reach
        # The first photons still have earlier ones in their reach, the others those of this call only.
        head = int(np.searchsorted(photons.key, photons.key[0] + np.uint64(reach), side="right"))
        if self._held.key.size:
            seam = _photons(np.concatenate([self._held[k], photons[k][:head]]) for k in range(len(photons)))
            self._count(self._held.key.size, seam)
        else:
            seam, head = photons, 0
        self._count(head, photons)
        last = photons if head < photons.key.size else seam
        now = int(last.key[-1])
        first = int(np.searchsorted(last.key, np.uint64(max(0, now - reach))))
        self._held = _NOBODY if self.problem else _photons(column[first:].copy() for column in last)

    def _count(self, begin: int, photons: Photons) -> None:
        # Compiled for arrays that cannot be written, as those of a chunk.
        fixed = _photons(column.view() for column in photons)
        for column in fixed:
            column.flags.writeable = False
        layout = self.scale.layout._replace(pair=self._pair_of)
        count_pairs(begin, fixed, layout, Tally(self._cell_of, *self._tally), self._state)

    def _make_room(self, rows: NDArray[np.integer], new_channels: NDArray[np.integer]) -> None:
        """Let the tables grow to the rows and channels that come."""
        self._channels.update(new_channels.tolist())
        channels = max(self._channels) + 1
        if channels > len(self._pair_of):
            lower, higher = np.indices((channels, channels))
            lower, higher = np.minimum(lower, higher), np.maximum(lower, higher)
            self._pair_of = np.where(lower == higher, 0, higher * (higher - 1) // 2 + lower)
        wanted = int(rows.max()) + 1, max(1, channels * (channels - 1) // 2)
        have = self._cell_of.shape
        if wanted[0] > have[0] or wanted[1] > have[1]:
            grown = np.full((max(have[0], 2 * wanted[0]), max(have[1], wanted[1])), -1, np.int32)
            grown[: have[0], : have[1]] = self._cell_of
            self._cell_of = grown
        used = int(self._state[CELLS])
        n = len(self._channels)
        spare = (len(rows) + 1) * (n * (n - 1) // 2)
        if used + spare > len(self._tally[1]):
            # Cells that no pair has asked for are not touched, so they take no memory.
            grown_tally = self._cells(2 * used + spare)
            for new, old in zip(grown_tally, self._tally, strict=True):
                new[:used] = old[:used]
            self._tally = grown_tally

    def totals(self) -> list[tuple[int, int, int]]:
        """Lower channel, higher channel and number of pairs (by delay) of every pair of channels that has any."""
        found = []
        for low, high in itertools.combinations(sorted(self._channels), 2):
            cells = self._column(low, high)
            pairs = int(sum(self._sum(cell) for cell in cells[cells >= 0]))
            if pairs:
                found.append((low, high, pairs))
        return found

    def _sum(self, cell: int) -> int:
        return int(self._tally[0 if self.scale.separations else 1][cell].sum())

    def _column(self, low: int, high: int) -> NDArray[np.int32]:
        return self._cell_of[:, self._pair_of[low, high]]

    @property
    def detectors(self) -> int:
        """Channels that have given photons."""
        return len(self._channels)

    def rows(self, low: int, high: int) -> dict[str, Any]:
        """The counts of one pair of channels by label, ascending; -1 is the label of pairs across two labels."""
        cell = self._column(low, high)
        rows = np.flatnonzero(cell >= 0)
        classes, delays = (counts[cell[rows]] for counts in self._tally)
        return {"labels": rows - 1, "classes": classes, "delays": delays}
