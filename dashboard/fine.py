"""The newest part of the trace in the short bins of the states: what is drawn when somebody looks closely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.rows import STATES
from photonstream.nodes.trace import FINE_TILES

Counts = NDArray[np.uint32]
# Longer tiles than this no node makes, so nothing grows without end whatever comes.
MOST_TILE_BINS = 1 << 16


class FineTrace:
    """Counts and states of short bins, ``per_bin`` of ``bin_s`` each to a bin of the trace (0: there are none).

    As many of the newest tiles are kept as the node keeps: what is older is drawn in bins of the trace.
    """

    def __init__(self) -> None:
        self.per_bin = 0
        self.bin_s = 0.0
        # By their first bin.
        self._tiles: dict[int, tuple[Counts, NDArray[np.uint8]]] = {}

    def take(self, tile: Mapping[str, Any]) -> None:
        """Take the present state of a tile. Raises ValueError, KeyError or TypeError for what is none."""
        first, per_bin, bin_s = int(tile["first"]), int(tile["per_bin"]), float(tile["bin_s"])
        counts, states = np.asarray(tile["counts"]), np.asarray(tile["states"])
        plain = all(each.ndim == 1 and each.dtype.kind in "ui" for each in (counts, states))
        if (
            not plain
            or len(counts) != len(states)
            or len(counts) > MOST_TILE_BINS
            or (states >= STATES).any()
        ):
            raise ValueError("a fine tile has a count and a state for each bin")
        if first < 0 or per_bin < 1 or not bin_s > 0.0:
            raise ValueError("a fine tile has a place and a width")
        if (per_bin, bin_s) != (self.per_bin, self.bin_s):
            self._tiles.clear()
        self.per_bin, self.bin_s = per_bin, bin_s
        self._tiles[first] = counts.astype(np.uint32), states.astype(np.uint8)
        while len(self._tiles) > FINE_TILES:
            del self._tiles[min(self._tiles)]

    @property
    def end(self) -> int:
        """Behind the last bin that is known."""
        return max((first + len(counts) for first, (counts, _) in self._tiles.items()), default=0)

    def bins(self, first: int, stop: int) -> tuple[Counts, NDArray[np.uint8]] | None:
        """Counts and states of the bins from ``first`` to ``stop``; None where not all of them are here."""
        counts, states = np.empty(max(0, stop - first), np.uint32), np.empty(max(0, stop - first), np.uint8)
        found = 0
        for begin, tile in self._tiles.items():
            low, high = max(first, begin), min(stop, begin + len(tile[0]))
            if low < high:
                for into, of in ((counts, tile[0]), (states, tile[1])):
                    into[low - first : high - first] = of[low - begin : high - begin]
                found += high - low
        return (counts, states) if found and found == stop - first else None
