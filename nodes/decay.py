"""Decay histograms by channel, level and dtime."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.kernels.decay import histogram_levels
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import Opening, PhotonNode

# A T2 tick is often 1 ps: its dtimes are put into at most this many bins a period.
MOST_T2_BINS = 4096


@dataclass(frozen=True)
class DecayParameters:
    """The decay has none: bins are the recording's own."""


class Decay(PhotonNode[DecayParameters]):
    """Counts by level, channel and dtime; "all", "on" and any window are sums of its rows.

    The histogram covers one pulse period (the last bin may be cut by its end). Photons beyond it, and photons
    that follow no known pulse, are counted apart.
    """

    Parameters = DecayParameters

    def open(self, opening: Opening) -> Opening:
        period_s: float | None = opening.facts["pulse_period_s"]
        resolution_s = opening.info.dtime_resolution_s
        self._shift = 0
        bins = 1
        if period_s is not None:
            bins = max(1, math.ceil(period_s / resolution_s * (1 - 1e-12)))
            if opening.info.mode == "T2":
                while bins > MOST_T2_BINS:
                    self._shift += 1
                    bins = -(-bins // 2)
            else:
                bins = min(bins, opening.facts["dtime_range"])
        self._resolution_s = resolution_s * 2**self._shift
        self._period_s = period_s
        self._row_of_level = np.full(64, -1, np.int64)
        self._level_of_row: list[int] = []
        self._histogram = np.zeros((0, 1, bins + 1), np.int64)
        return opening

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        level = chunk["level"]
        self._make_room(level, chunk["counts"].shape[1])
        histogram_levels(
            chunk["offsets"],
            self._row_of_level[level],
            chunk["channel"],
            chunk["dtime"],
            np.uint32(self._shift),
            self._histogram,
        )
        self.ledger.end("histogram", chunk.events)
        return ()

    def _make_room(self, level: NDArray[np.int64], channels: int) -> None:
        """Give every level that comes for the first time a row, in the order of the bins."""
        top = int(level.max()) + 1
        if top > len(self._row_of_level):
            grown = np.full(2 * top, -1, np.int64)
            grown[: len(self._row_of_level)] = self._row_of_level
            self._row_of_level = grown
        new = level[self._row_of_level[level] < 0]
        for one in dict.fromkeys(new.tolist()):
            self._row_of_level[one] = len(self._level_of_row)
            self._level_of_row.append(one)
        rows, had, bins = self._histogram.shape
        if len(self._level_of_row) > rows or channels > had:
            rows_now = max(rows, 2 * len(self._level_of_row) if len(self._level_of_row) > rows else rows)
            grown_histogram = np.zeros((rows_now, max(had, channels), bins), np.int64)
            grown_histogram[:rows, :had] = self._histogram
            self._histogram = grown_histogram

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``rows``: counts (levels, channels, dtime bins) with the level of each row; ``beyond`` (levels, channels)."""
        used = len(self._level_of_row)
        order = np.argsort(np.array(self._level_of_row, np.int64))
        counts = self._histogram[:used][order]
        yield self.result(
            "rows",
            {
                "levels": np.array(self._level_of_row, np.int64)[order],
                "counts": counts[:, :, :-1],
                "beyond": counts[:, :, -1],
                "resolution_s": self._resolution_s,
                "pulse_period_s": self._period_s,
            },
            final=final,
        )
