"""The trace of a run as it grows: its bins, and summaries of them from which any picture of it is made quickly.

Bins come in tiles. The extremes of each block of BLOCK neighbouring bins are kept beside them, of all bins and of the
selected ones, so that a picture of a day takes a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.dashboard.fine import FineTrace
from photonstream.nodes.inference.levels import first_count
from photonstream.nodes.inference.rows import STATES

BLOCK = 64
# A bin that has not come yet, or lies in a gap of the recording; no detector counts so far.
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
    ones (NaN where there is none), and the share of these; and the extremes of those in each state, (STATES, columns).
    """

    edges: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    on_low: NDArray[np.float64]
    on_high: NDArray[np.float64]
    on_share: NDArray[np.float64]
    state_low: NDArray[np.float64]
    state_high: NDArray[np.float64]


def count_ranges(on_levels: NDArray[np.bool_]) -> list[Range]:
    """The counts of the levels that are on; a range with the highest level is open to what lies above."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(on_levels, bool), [False]])))
    return [
        (int(first_count(a)), _MOST_COUNT if b == len(on_levels) else int(first_count(b)) - 1)
        for a, b in edges.reshape(-1, 2).tolist()
    ]


class TraceTiles:
    """Counts of every bin, all channels together, and which bins are selected: by their counts or by their state.

    A last bin that is cut short is left out. ``bin_s`` is 0 before the first tile; ``bins`` is one past the last bin
    that came.
    """

    def __init__(self) -> None:
        self.bin_s = 0.0
        self.bins = 0
        self._counts: Counts = np.full(BLOCK, UNKNOWN)
        # The state that each bin mostly was in, and whether it is selected.
        self._states = np.zeros(BLOCK, np.uint8)
        self._on = np.zeros(BLOCK, bool)
        self._blocks = _Blocks()
        self._shift = 0
        # Bins by their counts: all of them, and the selected ones.
        self._classes = np.zeros((2, 1), np.int64)
        self._selection: list[Range] | NDArray[np.bool_] = []
        # Counts by bin and channel of the newest two tiles, by their first bin.
        self._newest: dict[int, Counts] = {}
        self.fine = FineTrace()

    def take(self, tile: Mapping[str, Any]) -> None:
        """Take the present state of a tile. Raises ValueError, KeyError or TypeError for what is none."""
        first, bin_s, counts = int(tile["first"]), float(tile["bin_s"]), np.asarray(tile["counts"])
        if counts.ndim != 2 or counts.dtype.kind not in "ui" or not bin_s > 0:
            raise ValueError("a tile has counts by bin and channel, a place and a width")
        stop = _end(first, len(counts))
        total = np.minimum(counts.sum(axis=1, dtype=np.int64), _MOST_COUNT).astype(np.uint32)
        for begin, end in np.asarray(tile.get("unseen", ()), np.int64).reshape(-1, 2).tolist():
            total[max(0, begin - first) : max(0, end - first)] = UNKNOWN
        if len(total) and float(tile["end_s"]) < (stop - 1e-6) * bin_s:
            total, stop = total[:-1], stop - 1
        self.bin_s = bin_s
        self._reserve(stop)
        self._count(first, stop, -1)
        self._counts[first:stop] = total
        self.bins = max(self.bins, stop)
        self._select(first, stop)
        self._count(first, stop, 1)
        self._newest[first] = counts[: len(total)]
        while len(self._newest) > 2:
            del self._newest[min(self._newest)]

    def rates_hz(self, time_s: float) -> list[float]:
        """Mean rate of every channel in the last ``time_s`` seconds of the trace, gaps left out; none without bins."""
        wanted = max(1, round(time_s / self.bin_s)) if self.bin_s else 0
        sums: NDArray[np.int64] = np.zeros(0, np.int64)
        bins = 0
        for first, counts in sorted(self._newest.items(), reverse=True):
            part = counts[max(0, len(counts) - (wanted - bins)) :]
            part = part[self._counts[first + len(counts) - len(part) : first + len(counts)] != UNKNOWN]
            here = part.sum(axis=0, dtype=np.int64)
            width = max(len(sums), len(here))
            sums = np.pad(sums, (0, width - len(sums))) + np.pad(here, (0, width - len(here)))
            bins += len(part)
        return [float(n) / (bins * self.bin_s) for n in sums] if bins else []

    def on(self, most: int) -> NDArray[np.bool_]:
        """Which of the last ``most`` bins are selected."""
        return self._on[max(0, self.bins - most) : self.bins].copy()

    def unseen(self, most: int) -> NDArray[np.bool_]:
        """Which of the last ``most`` bins lie in gaps."""
        found: NDArray[np.bool_] = self._counts[max(0, self.bins - most) : self.bins] == UNKNOWN
        return found

    def take_states(self, tile: Mapping[str, Any]) -> None:
        """Take the states of the bins of a tile. Raises ValueError, KeyError or TypeError for what is none."""
        first, states = int(tile["first"]), np.asarray(tile["states"])
        if states.ndim != 1 or states.dtype.kind not in "ui" or (states >= STATES).any():
            raise ValueError("a tile of states has a place and a state for each bin")
        stop = _end(first, len(states))
        self._reserve(stop)
        self._count(first, stop, -1)
        self._states[first:stop] = states
        self._select(first, stop)
        self._count(first, stop, 1)

    def select(self, ranges: list[Range]) -> None:
        """Which bins are selected, by their counts."""
        self._select_anew(list(ranges))

    def select_states(self, on_states: NDArray[np.bool_]) -> None:
        """Which bins are selected, by the state that they mostly were in."""
        if on_states.shape != (STATES,):
            raise ValueError(f"{STATES} states are selected or not")
        self._select_anew(np.asarray(on_states, bool))

    def _select_anew(self, selection: list[Range] | NDArray[np.bool_]) -> None:
        if np.array_equal(selection, self._selection) and type(selection) is type(self._selection):
            return
        self._selection = selection
        self._select(0, self.bins)
        self._classes[1] = 0
        self._count(0, self.bins, 1, rows=slice(1, 2))

    def _select(self, first: int, stop: int) -> None:
        """Find out anew which of these bins are selected."""
        counts, on = self._counts[first:stop], self._on[first:stop]
        if isinstance(self._selection, list):
            on[:] = False
            for low, high in self._selection:
                on |= (counts >= low) & (counts <= high)
        else:
            on[:] = self._selection[self._states[first:stop]]
        on &= counts != UNKNOWN
        low, high = first // BLOCK, -(-stop // BLOCK)
        whole = slice(low * BLOCK, high * BLOCK)
        shape = (-1, BLOCK)
        self._blocks.replace(
            low,
            self._counts[whole].reshape(shape),
            self._on[whole].reshape(shape),
            self._states[whole].reshape(shape),
        )

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
            none = np.empty((STATES, 0))
            return Columns(edges[:1], nothing, nothing, nothing, nothing, nothing, none, none)
        if per_column <= 2 * BLOCK:
            return self._from_bins(edges)
        return self._blocks.columns(edges)

    def _from_bins(self, edges: NDArray[np.int64]) -> Columns:
        here = slice(edges[0], edges[-1])
        return columns_of(edges, self._counts[here], self._on[here], self._states[here])

    def fine_columns(self, first: int, stop: int, per_column: int) -> Columns | None:
        """The short bins of the bins ``first`` to ``stop``, ``per_column`` of them in each column; edges are in those.

        None where they are not known.
        """
        stop = min(stop, self.bins)
        per_bin, first = self.fine.per_bin, max(0, first)
        # States are told a little later than counts: what lacks its short bins at the end is drawn when it has them.
        stop = min(stop, self.fine.end // per_bin) if per_bin else stop
        found = self.fine.bins(first * per_bin, stop * per_bin) if per_bin and first < stop else None
        if found is None or abs(self.fine.bin_s * per_bin - self.bin_s) > 1e-6 * self.bin_s:
            return None
        counts, states = found
        # A window selects bins of the trace.
        by_bin = isinstance(self._selection, list)
        on = np.repeat(self._on[first:stop], per_bin) if by_bin else self._on_states[states]
        edges = np.append(np.arange(first * per_bin, stop * per_bin, max(1, per_column)), stop * per_bin)
        return columns_of(edges, counts, on, states)

    @property
    def states_seen(self) -> list[int]:
        """The states that bins were found in, where states are what is selected; none where rates are."""
        return [] if isinstance(self._selection, list) else self._blocks.states()

    def is_on(self, state: int) -> bool:
        """Whether this state is selected."""
        return bool(self._on_states[state])

    @property
    def _on_states(self) -> NDArray[np.bool_]:
        return np.zeros(STATES, bool) if isinstance(self._selection, list) else self._selection

    def histogram(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Bins by their counts: all of them, the selected ones, and how many counts one class holds."""
        every, selected = self._classes.copy()
        return every, selected, 1 << self._shift

    @property
    def highest(self) -> int:
        """The largest count of a bin (to within a class of the histogram), 0 without bins."""
        filled = np.flatnonzero(self._classes[0])
        return int(filled[-1]) << self._shift if filled.size else 0

    def _count(self, first: int, stop: int, sign: int, rows: slice = slice(0, 2)) -> None:
        """Add these bins to the histogram, or, with ``sign`` -1, take them out."""
        counts, on = self._counts[first:stop], self._on[first:stop]
        known = counts != UNKNOWN
        highest = int(counts[known].max(initial=0))
        while highest >> self._shift >= MOST_CLASSES:
            even = np.pad(self._classes, ((0, 0), (0, self._classes.shape[1] % 2)))
            self._classes = even.reshape(2, -1, 2).sum(axis=2)
            self._shift += 1
        missing = (highest >> self._shift) + 1 - self._classes.shape[1]
        self._classes = np.pad(self._classes, ((0, 0), (0, max(0, missing))))
        for number, which in tuple(enumerate((known, on)))[rows]:
            found = np.bincount(counts[which] >> np.uint32(self._shift))
            self._classes[number, : len(found)] += sign * found

    def _reserve(self, bins: int) -> None:
        before = len(self._counts)
        if bins > before:
            blocks = -(-max(bins, 2 * before) // BLOCK)
            new = blocks * BLOCK - before
            self._counts = np.append(self._counts, np.full(new, UNKNOWN))
            self._states = np.append(self._states, np.zeros(new, np.uint8))
            self._on = np.append(self._on, np.zeros(new, bool))
            self._blocks.reserve(blocks)


def _end(first: int, bins: int) -> int:
    """One past the last of ``bins`` bins from ``first`` on; raises ValueError where a trace cannot have them."""
    if first < 0 or first + bins > MOST_BINS:
        raise ValueError(f"bins {first:,} to {first + bins:,} are more than a trace can have")
    return first + bins


def columns_of(
    edges: NDArray[np.int64], counts: Counts, on: NDArray[np.bool_], states: NDArray[np.uint8]
) -> Columns:
    """Columns between ``edges``, of the bins from the first of these on: their counts, selection and states."""
    known = counts != UNKNOWN
    starts = edges[:-1] - edges[0]
    every = np.where(known, counts, np.nan)
    selected = np.where(on, every, np.nan)
    state_low, state_high = np.full((2, STATES, len(starts)), np.nan)
    for state in np.flatnonzero(np.bincount(states, minlength=STATES)).tolist():
        of_state = np.where(states == state, every, np.nan)
        state_low[state] = np.fmin.reduceat(of_state, starts)
        state_high[state] = np.fmax.reduceat(of_state, starts)
    return Columns(
        edges,
        np.fmin.reduceat(every, starts),
        np.fmax.reduceat(every, starts),
        np.fmin.reduceat(selected, starts),
        np.fmax.reduceat(selected, starts),
        np.add.reduceat(on, starts, dtype=np.int64)
        / np.maximum(np.add.reduceat(known, starts, dtype=np.int64), 1),
        state_low,
        state_high,
    )


class _Blocks:
    """What is known of each block of bins: the extremes of all of them, of the selected ones and of each state."""

    def __init__(self) -> None:
        # Rows of three, bins, lowest and highest count: of all, of the selected ones, of those in each state.
        self._summary = np.zeros((3 * (2 + STATES), 1), np.uint32)

    def states(self) -> list[int]:
        """The states that any bin was in."""
        return np.flatnonzero(self._summary[6::3].any(axis=1)).tolist()

    def reserve(self, blocks: int) -> None:
        self._summary = np.pad(self._summary, ((0, 0), (0, blocks - self._summary.shape[1])))

    def replace(self, first: int, counts: Counts, on: NDArray[np.bool_], states: NDArray[np.uint8]) -> None:
        """New bins, (blocks, BLOCK), for the blocks from ``first`` on."""
        rows = slice(first, first + len(counts))
        known = counts != UNKNOWN
        here = np.bincount(states[known], minlength=STATES)
        for k in range(2 + STATES):
            if k >= 2 and not here[k - 2]:
                self._summary[3 * k, rows] = 0
                continue
            which = (known, on)[k] if k < 2 else known & (states == k - 2)
            self._summary[3 * k, rows] = np.count_nonzero(which, axis=1)
            self._summary[3 * k + 1, rows] = np.where(which, counts, UNKNOWN).min(axis=1)
            self._summary[3 * k + 2, rows] = np.where(which, counts, 0).max(axis=1)

    def columns(self, edges: NDArray[np.int64]) -> Columns:
        """Columns whose edges lie at blocks, but for the last one."""
        begin, end = edges[0] // BLOCK, -(-edges[-1] // BLOCK)
        starts = edges[:-1] // BLOCK - begin
        # Blocks without such a bin have none of its extremes.
        bins, low, high = (self._summary[row::3, begin:end] for row in range(3))
        there = np.add.reduceat(bins, starts, axis=1, dtype=np.int64)
        lowest = np.minimum.reduceat(np.where(bins > 0, low, UNKNOWN), starts, axis=1)
        highest = np.maximum.reduceat(np.where(bins > 0, high, 0), starts, axis=1)
        least, most = (np.where(there > 0, each, np.nan) for each in (lowest, highest))
        share = there[1] / np.maximum(there[0], 1)
        return Columns(edges, least[0], most[0], least[1], most[1], share, least[2:], most[2:])
