"""Which bins belong to the selected state: labels every bin, chooses, and keeps the sums of each level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.levels import (
    LevelRange,
    automatic_ranges,
    first_count,
    level_of,
    window_ranges,
)
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import Opening, PhotonNode

# Columns of the FLID (fluorescence lifetime-intensity distribution) over the pulse period.
FLID_COLUMNS = 128
# A learned choice is made at these data times, doubling from the first, and at the end (second law of the design).
FIRST_CHOICE_S = 2.0


@dataclass(frozen=True)
class StatesParameters:
    """``on``: "auto", or the window of rates (low, high) in photons per second whose bins are selected."""

    on: str | tuple[float, float] = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.on, str):
            if self.on != "auto":
                raise ValueError(f"the on window is 'auto' or two rates, not {self.on!r}")
        elif not 0 <= self.on[0] < self.on[1]:
            raise ValueError(
                f"the on window must rise from 0 or more, not from {self.on[0]:g} to {self.on[1]:g}"
            )


class States(PhotonNode[StatesParameters]):
    """Labels each bin with its level, floor(4 sqrt(counts)), and selects levels by a window.

    The label depends on the bin alone; which levels are "on" is a choice about levels. So a window that moves,
    by itself or by hand, relabels nothing, and ``decay`` only adds up other rows. A window by hand leaves what is
    found, and what is due to be looked at, as they are for the time when it is taken back.
    Column added: ``level`` (bins,).
    """

    Parameters = StatesParameters
    live = frozenset({"on"})

    def open(self, opening: Opening) -> Opening:
        self._bin_ticks: int = opening.facts["bin_ticks"]
        self._bin_s: float = opening.facts["bin_s"]
        self._dtime_s: float = opening.info.dtime_resolution_s
        period_s: float | None = opening.facts["pulse_period_s"]
        self._flid_s = (period_s or opening.info.dtime_resolution_s) / FLID_COLUMNS
        self._bins_seen = 0
        self._choice_bin = max(1, round(FIRST_CHOICE_S / self._bin_s))
        # One row a level: bins, photons, photons with a dtime, sum of their dtimes (in TCSPC bins).
        self._sums = np.zeros((1, 4), np.int64)
        self._flid = np.zeros((1, FLID_COLUMNS), np.int64)
        self._short_level: int | None = None
        self._short_s = 0.0
        # What the automatic choice has found, whether or not it is shown.
        self._found = [LevelRange(0, 1, True)]
        # Bins per level as they stood when an automatic choice was last due; None once it has been made.
        self._due: NDArray[np.int64] | None = None
        return opening

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
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
        if chunk.stop % self._bin_ticks:
            self._short_level = int(level[-1])
            self._short_s = self._bin_s * (chunk.stop % self._bin_ticks) / self._bin_ticks
        return [
            Chunk(chunk.sequence, chunk.start, chunk.stop, chunk.events, {**chunk.columns, "level": level})
        ]

    def _grow(self, levels: int) -> None:
        missing = levels - len(self._sums)
        if missing > 0:
            self._sums = np.pad(self._sums, ((0, missing), (0, 0)))
            self._flid = np.pad(self._flid, ((0, missing), (0, 0)))

    def _add(
        self, chunk: Chunk, level: NDArray[np.int64], total: NDArray[np.int64], begin: int, end: int
    ) -> None:
        part = slice(begin, end)
        timed = chunk["timed"][part].astype(np.int64)
        dtime_sum = chunk["dtime_sum"][part].astype(np.int64)
        rows = np.stack([np.ones(end - begin, np.int64), total[part], timed, dtime_sum], axis=1)
        np.add.at(self._sums, level[part], rows)
        has = timed > 0
        mean_s = dtime_sum[has] / timed[has] * self._dtime_s
        column = np.minimum((mean_s / self._flid_s).astype(np.int64), FLID_COLUMNS - 1)
        np.add.at(self._flid, (level[part][has], column), 1)

    def _chosen(self, *, final: bool) -> list[LevelRange]:
        """The ranges of levels. A window given by rates holds at once; a found one only when it is due."""
        if not isinstance(self.parameters.on, str):
            low, high = self.parameters.on
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

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``selection``: the ranges of levels with their rates, shares and mean dtimes; ``flid``: the map."""
        ranges = self._chosen(final=final)
        levels = len(self._sums)
        on = np.zeros(levels, bool)
        rows = []
        for r in ranges:
            high = min(r.high, levels) if r is not ranges[-1] else levels
            on[r.low : high] = r.on
            rows.append(self._describe(r.low, high, r.on))
        selected = [row for row in rows if row["on"]]
        window = self._window(on)
        yield self.result(
            "selection",
            {
                "method": "window",
                "chosen": "automatic" if self.parameters.on == "auto" else "given",
                "window_hz": window,
                "on_levels": on,
                "levels": [row for row in rows if row["bins"]],
                "on_time_s": sum(row["time_s"] for row in selected),
                "on_photons": sum(row["photons"] for row in selected),
                "bins": int(self._sums[:, 0].sum()),
            },
            final=final,
        )
        yield self.result(
            "flid",
            {
                "counts": self._flid.copy(),
                "rate_edges_hz": first_count(np.arange(levels + 1)) / self._bin_s,
                "dtime_edges_s": np.arange(FLID_COLUMNS + 1) * self._flid_s,
            },
            final=final,
        )

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

    def _describe(self, low: int, high: int, on: bool) -> dict[str, Any]:
        bins, photons, timed, dtime_sum = (int(x) for x in self._sums[low:high].sum(axis=0))
        time_s = bins * self._bin_s
        if self._short_level is not None and low <= self._short_level < high:
            time_s -= self._bin_s - self._short_s
        all_bins = int(self._sums[:, 0].sum())
        return {
            "rate_hz": photons / time_s if time_s > 0 else None,
            "time_share": bins / all_bins if all_bins else None,
            "mean_dtime_s": dtime_sum / timed * self._dtime_s if timed else None,
            "on": on,
            "bins": bins,
            "photons": photons,
            "time_s": time_s,
        }
