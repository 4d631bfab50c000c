"""What is known of the bins of the trace by their brightness: sums of each level, the window on them, the FLID."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.delays import cut_before_pulse
from photonstream.nodes.inference.levels import (
    LevelRange,
    automatic_ranges,
    first_count,
    level_of,
    window_ranges,
)
from photonstream.nodes.kernels.decode import NO_DTIME
from photonstream.nodes.kernels.mean_delays import CUTS, map_delays
from photonstream.stream.chunk import Chunk
from photonstream.stream.node import Opening

# Columns of the FLID (fluorescence lifetime-intensity distribution) over the pulse period.
FLID_COLUMNS = 128
# A learned choice is made at these data times, doubling from the first, and at the end (second law of the design).
FIRST_CHOICE_S = 2.0
Window = tuple[float, float]


class Brightness:
    """Sums by level, floor(4 sqrt(counts)) of a bin, and which levels a window selects.

    The level depends on the bin alone; which levels are "on" is a choice about levels. So a window that moves, by
    itself or by hand, relabels nothing. A window by hand leaves what is found, and what is due to be looked at, as they
    are for the time when it is taken back.
    """

    def __init__(self, opening: Opening) -> None:
        self._bin_ticks: int = opening.facts["bin_ticks"]
        self._bin_s: float = opening.facts["bin_s"]
        self._dtime_s: float = opening.info.dtime_resolution_s
        period_s: float | None = opening.facts["pulse_period_s"]
        self._period_s = period_s or opening.info.dtime_resolution_s
        self._bins_seen = 0
        self._choice_bin = max(1, round(FIRST_CHOICE_S / self._bin_s))
        # One row a level: bins and photons.
        self._sums = np.zeros((1, 2), np.int64)
        # The FLID for every place where the period may be cut, and the photons between these places.
        self._flid = np.zeros((CUTS, 1, FLID_COLUMNS), np.int64)
        self._parts = np.zeros(CUTS, np.int64)
        self._short_level: int | None = None
        self._short_s = 0.0
        # What the automatic choice has found, whether or not it is shown.
        self._found = [LevelRange(0, 1, True)]
        # Bins per level as they stood when an automatic choice was last due; None once it has been made.
        self._due: NDArray[np.int64] | None = None

    @property
    def levels(self) -> int:
        """One more than the highest level so far."""
        return len(self._sums)

    def add(self, chunk: Chunk) -> NDArray[np.int64]:
        """Take the bins of a chunk; gives their levels."""
        total = chunk["counts"].sum(axis=1, dtype=np.int64)
        level = level_of(total)
        self._grow(int(level.max()) + 1)
        begin = 0
        while begin < len(level):
            end = min(len(level), begin + self._choice_bin - self._bins_seen)
            self._add(chunk, level, total, begin, end)
            self._bins_seen += end - begin
            begin = end
            if self._bins_seen == self._choice_bin:
                self._due = self._sums[:, 0].copy()
                self._choice_bin *= 2
        # In a gap it is none of a level's.
        if chunk.stop % self._bin_ticks and not chunk["blind"][-1]:
            self._short_level = int(level[-1])
            self._short_s = self._bin_s * (chunk.stop % self._bin_ticks) / self._bin_ticks
        return level

    def _grow(self, levels: int) -> None:
        missing = levels - len(self._sums)
        if missing > 0:
            self._sums = np.pad(self._sums, ((0, missing), (0, 0)))
            self._flid = np.pad(self._flid, ((0, 0), (0, missing), (0, 0)))

    def _add(
        self, chunk: Chunk, level: NDArray[np.int64], total: NDArray[np.int64], begin: int, end: int
    ) -> None:
        part = slice(begin, end)
        # In a gap nobody looked.
        seen = ~chunk["blind"][part]
        np.add.at(self._sums, level[part], np.stack([seen.astype(np.int64), total[part]], axis=1))
        map_delays(
            chunk["offsets"][begin : end + 1],
            level[part],
            chunk["dtime"],
            np.uint32(NO_DTIME),
            self._period_s / self._dtime_s,
            self._flid,
            self._parts,
        )

    def _chosen(self, window: Window | None, *, final: bool) -> list[LevelRange]:
        """The ranges of levels. A window given by rates holds at once; a found one only when it is due."""
        if window is not None:
            low, high = window
            return window_ranges(float(low) * self._bin_s, float(high) * self._bin_s, len(self._sums))
        if final:
            self._due = self._sums[:, 0].copy()
            # A last bin cut short by the end of the recording has no say.
            if self._short_level is not None:
                self._due[self._short_level] -= 1
        if self._due is not None:
            self._found = automatic_ranges(self._due)
            self._due = None
        return self._found

    def selection(self, window: Window | None, *, final: bool) -> dict[str, Any]:
        """The levels that ``window`` (rates in Hz) selects, or, for None, the rule; for `rows.selected`."""
        ranges = self._chosen(window, final=final)
        levels = len(self._sums)
        on = np.zeros(levels, bool)
        rows = []
        for r in ranges:
            high = min(r.high, levels) if r is not ranges[-1] else levels
            on[r.low : high] = r.on
            between = (r.low, None if r is ranges[-1] else high)
            rows.append({**self._describe(r.low, high, r.on), "between": between})
        return {
            "chosen": "automatic" if window is None else "given",
            # A window in which nothing lies is told as it was given.
            "window_hz": self._window(on) or (None if window is None else _plain(window)),
            "on_levels": on,
            # Which levels of the trace each is: from the first to before the second, None for all above.
            "levels": [row for row in rows if row["bins"]],
        }

    def flid(self) -> dict[str, Any]:
        """Bins by level and mean dtime, with the edges of both: a period from before the pulse on."""
        cut = cut_before_pulse(self._parts)
        edges = cut / CUTS + np.arange(FLID_COLUMNS + 1) / FLID_COLUMNS
        return {
            "counts": self._flid[cut].copy(),
            "rate_edges_hz": first_count(np.arange(len(self._sums) + 1)) / self._bin_s,
            "dtime_edges_s": edges * self._period_s,
        }

    def _window(self, on: NDArray[np.bool_]) -> list[float | None] | None:
        """Rates [low, high) that the on levels span; high is null where it is open."""
        selected = np.flatnonzero(on)
        if not selected.size:
            return None
        low, high = int(selected[0]), int(selected[-1]) + 1
        return [
            float(first_count(low)) / self._bin_s,
            None if high >= len(on) else float(first_count(high)) / self._bin_s,
        ]

    def _describe(self, low: int, high: int, on: bool) -> Mapping[str, Any]:
        bins, photons = (int(x) for x in self._sums[low:high].sum(axis=0))
        time_s = bins * self._bin_s
        if self._short_level is not None and low <= self._short_level < high:
            time_s -= self._bin_s - self._short_s
        return describe(photons, time_s, bins, int(self._sums[:, 0].sum()), on)


def _plain(window: Window) -> list[float | None]:
    low, high = window
    return [float(low), None if math.isinf(high) else float(high)]


def describe(photons: int, time_s: float, bins: int, all_bins: int, on: bool) -> dict[str, Any]:
    """What is said of a level or state of ``bins`` bins out of ``all_bins``."""
    return {
        "rate_hz": photons / time_s if time_s > 0 else None,
        # Of counting; a blinking or drifting level scatters by more.
        "rate_stderr_hz": math.sqrt(photons) / time_s if time_s > 0 and photons else None,
        "time_share": bins / all_bins if all_bins else None,
        "on": on,
        "bins": bins,
        "photons": photons,
        "time_s": time_s,
    }


NO_DWELL: dict[str, float | None] = {"dwell_s": None, "dwell_stderr_s": None}


def dwell_time(time_s: float, visits: int) -> dict[str, float | None]:
    """Mean time of a visit, and its error as the mean of an exponential: a part of itself, 1/sqrt(visits).

    A single visit is cut by the ends of the recording, and its length says nothing of the next one's.
    """
    if visits < 2:
        return {"dwell_s": time_s, "dwell_stderr_s": None}
    return {"dwell_s": time_s / visits, "dwell_stderr_s": time_s / visits**1.5}
