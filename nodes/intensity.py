"""The intensity trace: photons are handed on bin by bin, with each bin's counts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.kernels.decode import NO_DTIME
from photonstream.nodes.kernels.intensity import count_bins
from photonstream.nodes.trace import TRACE, Tiles, tile_key
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import InputError, Opening, ParameterError, PhotonNode

# More than this is no trace of an experiment but a recording whose time is corrupt (28 hours of 1 ms bins).
MOST_BINS = 100_000_000
# What the bins of one chunk may take, were all channels in use: no device is silent for so many bins.
MOST_CHANNELS = 64
MOST_CHUNK_BYTES = 1 << 30
LONGEST_BIN_S = 86400.0


@dataclass(frozen=True)
class IntensityParameters:
    """``bin_s``: wished width of a bin in seconds; the real one is a whole number of macrotime ticks."""

    bin_s: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.bin_s <= LONGEST_BIN_S:
            raise ValueError(f"the bin width must be positive and at most a day, not {self.bin_s:g} s")


class Intensity(PhotonNode[IntensityParameters]):
    """Cuts the stream at bin edges and counts per bin and channel.

    A chunk goes out when its last bin is complete, so everything after this node sees whole bins only; the
    photons of the open bin wait here. Columns added: ``offsets`` (bins + 1: bin b holds the photons
    ``offsets[b]:offsets[b + 1]``), ``counts`` (bins, channels), ``timed`` (bins): photons with a delay, ``blind``
    (bins): whether the bin lies in a gap of the recording as a whole.
    The bin at the end of the recording is shorter than the others when time ends within it.
    """

    Parameters = IntensityParameters

    def open(self, opening: Opening) -> Opening:
        unit_s = opening.info.macrotime_unit_s
        self._width = round(self.parameters.bin_s / unit_s)
        if self._width < 1:
            raise ParameterError(
                f"bins of {self.parameters.bin_s:g} s are finer than this recording's macrotime unit, {unit_s:g} s"
            )
        self._unit_s = unit_s
        self._held: list[Chunk] = []
        # Gaps that do not lie wholly before the bins that are open, in ticks.
        self._gaps: list[tuple[int, int]] = []
        # Bins that lie in gaps: from and to which.
        self._unseen: list[tuple[int, int]] = []
        self._bins_done = 0
        self._sequence = 0
        self._stop = 0
        self._tiles = Tiles()
        # Bins that had been given out when somebody last looked.
        self._shown = 0
        return opening.with_facts(bin_ticks=self._width, bin_s=self._width * unit_s)

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        columns = dict(chunk.columns)
        if (gaps := columns.pop("blind", None)) is not None:
            _append_joined(self._gaps, gaps)
        self._held.append(Chunk(chunk.sequence, chunk.start, chunk.stop, chunk.events, columns))
        self._stop = chunk.stop
        complete = chunk.stop // self._width
        return [self._emit(complete, complete * self._width)] if complete > self._bins_done else ()

    def close(self) -> Iterable[Chunk]:
        complete = -(-self._stop // self._width)
        if self._gaps and self._gaps[-1][1] == self._stop:
            # Nor was the rest of the last bin seen.
            self._gaps[-1] = self._gaps[-1][0], complete * self._width
        return [self._emit(complete, self._stop)] if complete > self._bins_done else ()

    def _emit(self, bins_done: int, stop: int) -> Chunk:
        """The chunk of the bins from the last one given out up to ``bins_done``, which end at ``stop``."""
        if bins_done > MOST_BINS:
            raise InputError(
                f"the recording's time runs to {stop * self._unit_s:.3g} s, more than {MOST_BINS:,} bins: "
                "its records are corrupt, or the bins far too fine (--bin)"
            )
        first = self._bins_done
        if (bins_done - first) * MOST_CHANNELS * 4 > MOST_CHUNK_BYTES:
            raise InputError(
                f"the recording's time jumps by {(bins_done - first) * self._width * self._unit_s:.3g} s within "
                f"{self._photons_held():,} photons: its records are corrupt, or the bins far too fine (--bin)"
            )
        photons = self._take_held()
        edges = np.arange(first, bins_done + 1, dtype=np.uint64) * np.uint64(self._width)
        edges[-1] = stop
        offsets = np.searchsorted(photons["macrotime"], edges).astype(np.int64)
        offsets[0] = 0
        ready = int(offsets[-1])
        channel = photons["channel"]
        channels = int(channel[:ready].max()) + 1 if ready else 1
        bins = bins_done - first
        counts = np.zeros((bins, channels), np.uint32)
        timed = np.empty(bins, np.uint32)
        count_bins(offsets, channel, photons["dtime"], np.uint32(NO_DTIME), counts, timed)
        self._tiles.add(counts)
        columns = {name: array[:ready] for name, array in photons.items()}
        columns |= {"offsets": offsets, "counts": counts, "timed": timed}
        # Photons tell that somebody looked, whatever is said of a gap.
        columns["blind"] = blind = self._blind(first, bins_done) & ~counts.any(axis=1)
        turns = np.flatnonzero(np.diff(blind, prepend=False, append=False)).astype(np.int64)
        _append_joined(self._unseen, first + turns.reshape(-1, 2))
        out = Chunk(self._sequence, first * self._width, stop, ready, columns)
        self._sequence += 1
        self._bins_done = bins_done
        rest = {name: array[ready:].copy() for name, array in photons.items()}
        self._held = [Chunk(0, stop, self._stop, len(rest["channel"]), rest)]
        return out

    def _blind(self, first: int, stop: int) -> NDArray[np.bool_]:
        """Which of the bins ``first`` to ``stop`` lie in gaps as a whole; gaps before ``stop`` are forgotten."""
        blind = np.zeros(stop - first, bool)
        for begin, end in self._gaps:
            blind[max(0, -(-begin // self._width) - first) : max(0, end // self._width - first)] = True
        self._gaps = [gap for gap in self._gaps if gap[1] >= stop * self._width]
        return blind

    def _photons_held(self) -> int:
        return sum(c.events for c in self._held)

    def _take_held(self) -> dict[str, NDArray[Any]]:
        if len(self._held) == 1:
            return dict(self._held[0].columns)
        names = self._held[0].columns
        return dict(Chunk(0, 0, 0, 0, {n: np.concatenate([c[n] for c in self._held]) for n in names}).columns)

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``trace/K``: tile K of the trace, where it changed since somebody last looked; ``trace``: how many there are.

        A tile has the ``counts`` (bins, channels), a read-only view, the number of its ``first`` bin, how many
        ``bins`` it has, ``bin_s`` their width, ``end_s``, where the last one ends, and ``unseen`` (n, 2): from and to
        which number bins lie in gaps. At the end all tiles are given.
        """
        for tile in self._tiles.touched(0 if final else self._shown):
            first, counts = self._tiles.tile(tile)
            stop = first + len(counts)
            # They lie in order, and there may be many.
            ends = bisect_right(self._unseen, first, key=itemgetter(1))
            begins = bisect_left(self._unseen, stop, key=itemgetter(0))
            unseen = [(max(first, a), min(stop, b)) for a, b in self._unseen[ends:begins]]
            value = {
                "first": first,
                "counts": counts,
                "unseen": np.array(unseen, np.int64).reshape(-1, 2),
                **self._extent(len(counts), stop),
            }
            yield self.result(tile_key(tile), value, final=final)
        self._shown = self._bins_done
        value = {"tiles": len(self._tiles), **self._extent(self._bins_done, self._bins_done)}
        yield self.result(TRACE, value, final=final)

    def _extent(self, bins: int, stop_bin: int) -> dict[str, Any]:
        """Number and width of some bins and where they end; the recording may end within its last bin."""
        end_s = min(stop_bin * self._width, self._stop) * self._unit_s
        return {"bin_s": self._width * self._unit_s, "bins": bins, "end_s": end_s}


def _append_joined(stretches: list[tuple[int, int]], more: NDArray[np.int64]) -> None:
    """Append ``more`` stretches, (n, 2); one that came in pieces is one."""
    for begin, end in more.tolist():
        if stretches and stretches[-1][1] == begin:
            begin = stretches.pop()[0]
        stretches.append((begin, end))
