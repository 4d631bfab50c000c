"""The intensity trace in tiles: what has been published of a long trace is not published again with every new bin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Bins of a tile. Every tile but the last has so many and never changes again.
TILE_BINS = 16384
# The trace in the bins of the states, mostly of 1 ms: bins of a tile, and how many of the newest tiles are kept. Those
# are more than two hours in 25 MB, whatever the length of the run.
FINE_TILE_BINS = 4096
FINE_TILES = 2048
# Key of the result that says how many tiles there are; tile K has the key of `tile_key`.
TRACE = "trace"


def tile_key(tile: int) -> str:
    """Key of the result that holds tile ``tile`` of the trace."""
    return f"{TRACE}/{tile}"


def state_tile_key(tile: int) -> str:
    """Key of the result that holds the states of the bins of tile ``tile``."""
    return f"states/{tile}"


def fine_tile_key(tile: int) -> str:
    """Key of the result that holds tile ``tile`` of the fine trace: a newer one takes the place of the oldest."""
    return f"fine/{tile % FINE_TILES}"


class FineTiles:
    """Photons and state of every short bin, all channels together, of the newest ``FINE_TILES`` tiles.

    ``per_bin`` of them are in a bin of the trace. What was handed out stays as it was, as with `Tiles`.
    """

    def __init__(self, per_bin: int, bin_s: float) -> None:
        self.per_bin = per_bin
        self._bin_s = bin_s / per_bin
        self._tiles: dict[int, tuple[NDArray[np.uint16], NDArray[np.uint8]]] = {}
        self.bins = 0

    def add(self, counts: NDArray[np.int64], states: NDArray[np.int64]) -> None:
        """Add bins; a count that is too large for two bytes is the largest that is not."""
        begin = 0
        while begin < len(counts):
            tile, place = divmod(self.bins, FINE_TILE_BINS)
            if not place:
                self._tiles[tile] = np.zeros(FINE_TILE_BINS, np.uint16), np.zeros(FINE_TILE_BINS, np.uint8)
                self._tiles.pop(tile - FINE_TILES, None)
            end = min(len(counts), begin + FINE_TILE_BINS - place)
            here = slice(place, place + end - begin)
            of_counts, of_states = self._tiles[tile]
            of_counts[here] = np.minimum(counts[begin:end], np.iinfo(np.uint16).max)
            of_states[here] = states[begin:end]
            self.bins += end - begin
            begin = end

    def results(self, since: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Keys and values of the tiles in which bins from number ``since`` on lie."""
        for tile in sorted(self._tiles):
            first = tile * FINE_TILE_BINS
            if first + FINE_TILE_BINS <= since or first >= self.bins:
                continue
            counts, states = (array[: self.bins - first] for array in self._tiles[tile])
            counts.flags.writeable = states.flags.writeable = False
            head = {"first": first, "bin_s": self._bin_s, "per_bin": self.per_bin}
            yield fine_tile_key(tile), head | {"counts": counts, "states": states}


class Tiles:
    """Counts per bin and channel. A tile has the channels up to the highest that counted anything in it, at least one.

    So the tiles do not depend on how the bins came in. What was handed out stays as it was: bins are only added, and
    a tile that gains a channel moves to a new array.
    """

    def __init__(self) -> None:
        self._tiles: list[NDArray[np.uint32]] = []
        self.bins = 0

    def __len__(self) -> int:
        return len(self._tiles)

    def add(self, counts: NDArray[np.uint32]) -> None:
        """Add bins, (bins, channels)."""
        while len(counts):
            place = self.bins % TILE_BINS
            if not place:
                self._tiles.append(np.zeros((TILE_BINS, 1), np.uint32))
            part, counts = counts[: TILE_BINS - place], counts[TILE_BINS - place :]
            seen = np.flatnonzero(part.any(axis=0))
            channels = int(seen[-1]) + 1 if seen.size else 1
            tile = self._tiles[-1]
            if channels > tile.shape[1]:
                tile = np.pad(tile, ((0, 0), (0, channels - tile.shape[1])))
                self._tiles[-1] = tile
            tile[place : place + len(part), :channels] = part[:, :channels]
            self.bins += len(part)

    def touched(self, since: int) -> range:
        """The tiles in which bins from number ``since`` on lie."""
        return range(since // TILE_BINS, len(self._tiles)) if since < self.bins else range(0)

    def tile(self, tile: int) -> tuple[int, NDArray[np.uint32]]:
        """The first bin of tile ``tile``, and what it holds so far, (bins, channels): a read-only view."""
        first = tile * TILE_BINS
        counts = self._tiles[tile][: self.bins - first]
        counts.flags.writeable = False
        return first, counts


def assemble(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The trace as one piece, from the values of the trace's results by their keys.

    ``bin_s``, ``bins``, ``end_s`` (recorded time where the last bin ends), ``counts``, uint32 (bins, channels), and
    ``unseen`` (bins): whether it lies in a gap of the recording. The tiles may be of different times, as they are while
    a run goes on: the trace ends with the first one that is missing or not full.
    """
    tiles: list[Mapping[str, Any]] = []
    while (tile := results.get(tile_key(len(tiles)))) is not None:
        tiles.append(tile)
        if tile["bins"] < TILE_BINS:
            break
    channels = max((tile["counts"].shape[1] for tile in tiles), default=1)
    counts = np.zeros((sum(tile["bins"] for tile in tiles), channels), np.uint32)
    unseen = np.zeros(len(counts), bool)
    for tile in tiles:
        for begin, end in tile["unseen"].tolist():
            unseen[begin:end] = True
        here = tile["counts"]
        counts[tile["first"] : tile["first"] + len(here), : here.shape[1]] = here
    return {
        "bin_s": results[TRACE]["bin_s"],
        "bins": len(counts),
        "end_s": tiles[-1]["end_s"] if tiles else 0.0,
        "counts": counts,
        "unseen": unseen,
    }
