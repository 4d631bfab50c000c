"""The trace of a run as it grows: its bins, and summaries of them from which any picture of it is made quickly.

Bins come in tiles. Blocks of BLOCK neighbouring bins are kept sorted beside them, so that the extremes of those within
a range of counts are found by a few comparisons, and a picture of a day takes a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.levels import first_count

BLOCK = 64
# A bin that has not come yet; no detector counts so far.
UNKNOWN = np.uint32(0xFFFFFFFF)
# More bins than this are not taken: as many as the trace itself may have.
MOST_BINS = 100_000_000
# Classes of the histogram that is kept; where there are more counts than that, classes are of several.
MOST_CLASSES = 1 << 16
_MOST_COUNT = int(UNKNOWN) - 1

Counts = NDArray[np.uint32]
# Counts from the first to the second, both included.
Range = tuple[int, int]


@dataclass(frozen=True)
class Columns:
    """The bins of ``edges[k]`` to ``edges[k + 1]`` in column k: smallest and largest count of all and of the selected
    ones (NaN where there is none), and the share of these.
    """

    edges: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    on_low: NDArray[np.float64]
    on_high: NDArray[np.float64]
    on_share: NDArray[np.float64]


def count_ranges(on_levels: NDArray[np.bool_]) -> list[Range]:
    """The counts of the levels that are on; a range with the highest level is open to what lies above."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(on_levels, bool), [False]])))
    return [
        (int(first_count(a)), _MOST_COUNT if b == len(on_levels) else int(first_count(b)) - 1)
        for a, b in edges.reshape(-1, 2).tolist()
    ]


class TraceTiles:
    """Counts of every bin, all channels together. A last bin that is cut short is left out.

    ``bin_s`` is 0 before the first tile; ``bins`` is one past the last bin that came.
    """

    def __init__(self) -> None:
        self.bin_s = 0.0
        self.bins = 0
        self._counts: Counts = np.full(BLOCK, UNKNOWN)
        self._blocks = _Blocks()
        self._shift = 0
        self._classes = np.zeros(1, np.int64)
        self._ranges: list[Range] = []

    def take(self, tile: Mapping[str, Any]) -> None:
        """Take the present state of a tile. Raises ValueError, KeyError or TypeError for what is none."""
        first, bin_s, counts = int(tile["first"]), float(tile["bin_s"]), np.asarray(tile["counts"])
        if counts.ndim != 2 or counts.dtype.kind not in "ui" or not bin_s > 0 or first < 0:
            raise ValueError("a tile has counts by bin and channel, a place and a width")
        stop = first + len(counts)
        if stop > MOST_BINS:
            raise ValueError(f"{stop:,} bins are more than a trace can have")
        total = np.minimum(counts.sum(axis=1, dtype=np.int64), _MOST_COUNT).astype(np.uint32)
        if len(total) and float(tile["end_s"]) < (stop - 1e-6) * bin_s:
            total, stop = total[:-1], stop - 1
        self.bin_s = bin_s
        self._reserve(stop)
        self._recount(self._counts[first:stop], -1)
        self._counts[first:stop] = total
        self._recount(total, 1)
        self.bins = max(self.bins, stop)
        low, high = first // BLOCK, -(-stop // BLOCK)
        self._blocks.replace(low, self._counts[low * BLOCK : high * BLOCK].reshape(-1, BLOCK), self._ranges)

    def select(self, ranges: list[Range]) -> None:
        """Which bins are selected, by their counts."""
        if ranges != self._ranges:
            self._ranges = list(ranges)
            self._blocks.select(-(-self.bins // BLOCK), self._ranges)

    def columns(self, first: int, stop: int, per_column: int) -> Columns:
        """The bins of ``first`` to ``stop``, ``per_column`` in each column.

        Columns begin at multiples of ``per_column``: so a column stays what it is while the trace grows. Where they are
        wider than two blocks they are of whole blocks, and the last one ends with its block.
        """
        per_column = max(1, per_column)
        if per_column > 2 * BLOCK:
            per_column = -(-per_column // BLOCK) * BLOCK
            stop = -(-stop // BLOCK) * BLOCK
        stop = min(stop, self.bins)
        first = max(0, first) // per_column * per_column
        edges = np.append(np.arange(first, max(first, stop), per_column), max(first, stop))
        if len(edges) < 2:
            nothing = np.empty(0)
            return Columns(edges[:1], nothing, nothing, nothing, nothing, nothing)
        if per_column <= 2 * BLOCK:
            return self._from_bins(edges)
        return self._blocks.columns(edges)

    def _from_bins(self, edges: NDArray[np.int64]) -> Columns:
        counts = self._counts[edges[0] : edges[-1]]
        known = counts != UNKNOWN
        on = np.zeros(len(counts), bool)
        for low, high in self._ranges:
            on |= (counts >= low) & (counts <= high)
        starts = edges[:-1] - edges[0]
        every = np.where(known, counts, np.nan)
        selected = np.where(on, every, np.nan)
        return Columns(
            edges,
            np.fmin.reduceat(every, starts),
            np.fmax.reduceat(every, starts),
            np.fmin.reduceat(selected, starts),
            np.fmax.reduceat(selected, starts),
            np.add.reduceat(on, starts, dtype=np.int64)
            / np.maximum(np.add.reduceat(known, starts, dtype=np.int64), 1),
        )

    def histogram(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Bins by their counts: all of them, the selected ones, and how many counts one class holds."""
        first = np.arange(len(self._classes), dtype=np.int64) << self._shift
        on = np.zeros(len(first), bool)
        for low, high in self._ranges:
            on |= (first >= low) & (first <= high)
        return self._classes.copy(), np.where(on, self._classes, 0), 1 << self._shift

    @property
    def highest(self) -> int:
        """The largest count of a bin (to within a class of the histogram), 0 without bins."""
        filled = np.flatnonzero(self._classes)
        return int(filled[-1]) << self._shift if filled.size else 0

    def _recount(self, counts: Counts, sign: int) -> None:
        counts = counts[counts != UNKNOWN]
        if not counts.size:
            return
        while int(counts.max()) >> self._shift >= MOST_CLASSES:
            even = np.pad(self._classes, (0, len(self._classes) % 2))
            self._classes = even.reshape(-1, 2).sum(axis=1)
            self._shift += 1
        found = np.bincount(counts >> np.uint32(self._shift))
        if len(found) > len(self._classes):
            self._classes = np.pad(self._classes, (0, len(found) - len(self._classes)))
        self._classes[: len(found)] += sign * found

    def _reserve(self, bins: int) -> None:
        if bins > len(self._counts):
            blocks = -(-max(bins, 2 * len(self._counts)) // BLOCK)
            grown = np.full(blocks * BLOCK, UNKNOWN)
            grown[: len(self._counts)] = self._counts
            self._counts = grown
            self._blocks.reserve(blocks)


class _Blocks:
    """What is known of each block of bins: the bins sorted, and the extremes of the selected ones."""

    def __init__(self) -> None:
        self._sorted: Counts = np.full((1, BLOCK), UNKNOWN)
        # Rows: bins, lowest, highest; selected bins, lowest of them, highest.
        self._summary = np.zeros((6, 1), np.uint32)

    def reserve(self, blocks: int) -> None:
        before = len(self._sorted)
        grown = np.full((blocks, BLOCK), UNKNOWN)
        grown[:before] = self._sorted
        self._sorted = grown
        self._summary = np.pad(self._summary, ((0, 0), (0, blocks - before)))

    def replace(self, first: int, bins: Counts, ranges: list[Range]) -> None:
        """New bins for the blocks from ``first`` on."""
        rows = slice(first, first + len(bins))
        self._sorted[rows] = np.sort(bins, axis=1)
        known = np.count_nonzero(bins != UNKNOWN, axis=1)
        self._summary[0, rows] = known
        self._summary[1, rows] = self._sorted[rows, 0]
        self._summary[2, rows] = self._sorted[np.arange(rows.start, rows.stop), np.maximum(known, 1) - 1]
        self._select(rows, ranges)

    def select(self, blocks: int, ranges: list[Range]) -> None:
        """Another selection for the first ``blocks`` blocks."""
        self._select(slice(0, blocks), ranges)

    def _select(self, rows: slice, ranges: list[Range]) -> None:
        bins, lowest, highest = self._summary[:3, rows]
        on_bins, on_low, on_high = self._summary[3:, rows]
        on_bins[:], on_low[:], on_high[:] = 0, UNKNOWN, 0
        for low, high in ranges:
            inside = (lowest >= low) & (highest <= high) & (bins > 0)
            on_bins[inside] += bins[inside]
            on_low[inside] = np.minimum(on_low[inside], lowest[inside])
            on_high[inside] = np.maximum(on_high[inside], highest[inside])
            mixed = np.flatnonzero(~inside & (lowest <= high) & (highest >= low) & (bins > 0))
            begin = self._before(rows.start + mixed, low)
            end = self._before(rows.start + mixed, high + 1)
            some = end > begin
            mixed, begin, end = mixed[some], begin[some], end[some]
            on_bins[mixed] += (end - begin).astype(np.uint32)
            on_low[mixed] = np.minimum(on_low[mixed], self._sorted[rows.start + mixed, begin])
            on_high[mixed] = np.maximum(on_high[mixed], self._sorted[rows.start + mixed, end - 1])

    def _before(self, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """How many bins of each of the blocks ``rows`` have fewer than ``count`` counts; by bisection."""
        flat, base = self._sorted.ravel(), rows * BLOCK
        found = np.zeros(len(rows), np.int64)
        step = BLOCK
        while step:
            probe = np.minimum(found + step, BLOCK)
            found = np.where(flat[base + probe - 1] < count, probe, found)
            step //= 2
        return found

    def columns(self, edges: NDArray[np.int64]) -> Columns:
        """Columns whose edges lie at blocks, but for the last one."""
        begin, end = edges[0] // BLOCK, -(-edges[-1] // BLOCK)
        starts = edges[:-1] // BLOCK - begin
        bins, low, high, on_bins, on_low, on_high = self._summary[:, begin:end]
        known = np.add.reduceat(bins, starts, dtype=np.int64)
        selected = np.add.reduceat(on_bins, starts, dtype=np.int64)

        def extreme(ufunc: np.ufunc, values: Counts, there: NDArray[np.int64]) -> NDArray[np.float64]:
            found = ufunc.reduceat(values, starts)
            return np.where(there > 0, found, np.nan)

        # An empty block has the highest "lowest" and may have no say in "highest".
        high = np.where(bins > 0, high, 0).astype(np.uint32)
        return Columns(
            edges,
            extreme(np.minimum, low, known),
            extreme(np.maximum, high, known),
            extreme(np.minimum, on_low, selected),
            extreme(np.maximum, on_high, selected),
            selected / np.maximum(known, 1),
        )
