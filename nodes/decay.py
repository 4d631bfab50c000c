"""Decay histograms by channel, label and dtime."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.kernels.decay import histogram_labels
from photonstream.nodes.kernels.waits import BINS, count_waits, wait_edges_s
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import InputError, Opening, PhotonNode

# What the histogram may take: a real one has some dozens of levels, two detectors and thousands of dtime bins.
MOST_BYTES = 1 << 30
MOST_CHANNELS = 256

# A T2 tick is often 1 ps: its dtimes are put into at most this many bins a period.
MOST_T2_BINS = 4096


@dataclass(frozen=True)
class DtimeAxis:
    """Bins of the decay: ``bins`` of 2^``shift`` TCSPC bins (ticks in T2); dtimes from ``limit`` on lie outside."""

    bins: int
    shift: int
    limit: int


def dtime_axis(period_s: float | None, resolution_s: float, most: int, *, join: bool) -> DtimeAxis:
    """The axis over one pulse period; the bin in which it ends is the last.

    With more than ``most`` bins it joins them by powers of two (``join``), or ends after ``most``: a device cannot
    tell longer dtimes. Without a period there is no axis, only one bin that stays empty.
    """
    if period_s is None:
        return DtimeAxis(1, 0, 0)
    # A hair less, so that a period of a whole number of bins is that number.
    ticks = max(1, math.ceil(period_s / resolution_s * (1 - 1e-12)))
    shift = 0
    while join and (ticks - 1 >> shift) >= most:
        shift += 1
    limit = ticks if join else min(ticks, most)
    return DtimeAxis((limit - 1 >> shift) + 1, shift, limit)


@dataclass(frozen=True)
class DecayParameters:
    """The decay has none: bins are the recording's own."""


class Decay(PhotonNode[DecayParameters]):
    """Counts by label, channel and dtime; "all", "on", any state and any window are sums of its rows.

    The histogram covers one pulse period (the last bin may be cut by its end). Photons beyond it, and photons
    that follow no known pulse, are counted apart.
    """

    Parameters = DecayParameters
    inner = frozenset({"rows"})
    rest = 0.3

    def open(self, opening: Opening) -> Opening:
        period_s: float | None = opening.facts["pulse_period_s"]
        info = opening.info
        coarsest = MOST_T2_BINS if info.mode == "T2" else opening.facts["dtime_range"]
        self._axis = dtime_axis(period_s, info.dtime_resolution_s, coarsest, join=info.mode == "T2")
        self._resolution_s = info.dtime_resolution_s * 2**self._axis.shift
        self._period_s = period_s
        self._row_of_label = np.full(64, -1, np.int64)
        self._label_of_row: list[int] = []
        self._column_of_channel = np.full(MOST_CHANNELS, -1, np.int64)
        self._channel_of_column: list[int] = []
        self._histogram = np.zeros((0, 0, self._axis.bins + 1), np.int64)
        self._unit_s = info.macrotime_unit_s
        # In T2 the macrotime holds the whole time of a photon.
        self._delay_s = info.dtime_resolution_s if info.mode == "T3" else 0.0
        self._wait_edges_s = wait_edges_s()
        self._waits = np.zeros((MOST_CHANNELS, BINS + 1), np.int64)
        self._last = np.zeros((MOST_CHANNELS, 2), np.uint64)
        # Photons so far, and when the rows were told last.
        self._photons, self._told = 0, -1
        return opening

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        label = chunk["label"]
        top = int(label.max()) + 1
        if top > len(self._row_of_label):
            self._row_of_label = np.pad(
                self._row_of_label, (0, 2 * top - len(self._row_of_label)), constant_values=-1
            )
        seen = np.flatnonzero(chunk["counts"].any(axis=0))
        self._name(label, self._row_of_label, self._label_of_row)
        self._name(seen, self._column_of_channel, self._channel_of_column)
        self._make_room()
        outside = histogram_labels(
            chunk["offsets"],
            self._row_of_label[label],
            chunk["channel"],
            self._column_of_channel,
            chunk["dtime"],
            np.uint32(self._axis.shift),
            np.uint32(self._axis.limit),
            self._histogram,
        )
        count_waits(
            chunk["macrotime"],
            chunk["channel"],
            chunk["dtime"],
            self._unit_s,
            self._delay_s,
            self._wait_edges_s,
            self._last,
            self._waits,
        )
        self._photons += chunk.events
        without_pulse = chunk.events - int(chunk["timed"].sum(dtype=np.int64))
        self.ledger.end("histogram", chunk.events - outside)
        self.ledger.end("beyond_period", outside - without_pulse)
        self.ledger.end("without_pulse", without_pulse)
        return ()

    def _name(self, keys: NDArray[np.int64], place: NDArray[np.int64], names: list[int]) -> None:
        """Give every key that comes for the first time the next place."""
        for one in dict.fromkeys(keys[place[keys] < 0].tolist()):
            place[one] = len(names)
            names.append(one)

    def _make_room(self) -> None:
        """Let the histogram grow to the rows and columns that have been named, by doubling."""
        rows, columns, bins = self._histogram.shape
        wanted = len(self._label_of_row), len(self._channel_of_column)
        if wanted[0] <= rows and wanted[1] <= columns:
            return
        shape = (rows if wanted[0] <= rows else 2 * wanted[0], max(columns, wanted[1]), bins)
        if math.prod(shape) * 8 > MOST_BYTES:
            raise InputError(
                f"the decay histogram would take {math.prod(shape) * 8 / 1e9:.1f} GB ({wanted[1]} channels, "
                f"{wanted[0]} labels, {bins - 1} dtime bins): the records are corrupt, or the bins too wide (--bin)"
            )
        grown = np.zeros(shape, np.int64)
        grown[:rows, :columns] = self._histogram
        self._histogram = grown

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``rows``: counts (labels, channels, dtime bins) with the label and channel of each; ``beyond`` likewise.

        ``waits`` (channels, bins): photons by their wait for the one before on their channel (`count_waits`). On the
        way nothing is told again where no photon came.
        """
        if not final and self._told == self._photons:
            return
        self._told = self._photons
        labels = np.array(self._label_of_row, np.int64)
        channels = np.array(self._channel_of_column, np.int64)
        order, side = np.argsort(labels), np.argsort(channels)
        counts = self._histogram[: len(labels), : len(channels)][np.ix_(order, side)]
        yield self.result(
            "rows",
            {
                "labels": labels[order],
                "channels": channels[side],
                "counts": counts[:, :, :-1],
                "beyond": counts[:, :, -1],
                "resolution_s": self._resolution_s,
                "pulse_period_s": self._period_s,
                "waits": self._waits[channels[side]],
                "wait_edges_s": self._wait_edges_s,
            },
            final=final,
        )
