"""How many photons came lately, by label: what the present rate of selected photons is, whatever is selected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.rows import selected

Integers = NDArray[np.int64]
# Stretches of the recording that are told apart: when there are more, two become one.
MOST_STRETCHES = 64
# Lately is this part of the recording, and no less than so long: blinking is to be in it.
LATELY, LEAST_S = 0.25, 10.0


class Recent:
    """Photons by label in stretches of equal length, counted in flow; any split of the bins gives the same."""

    def __init__(self, bin_s: float) -> None:
        self._bin_s = bin_s
        # Bins of the trace in a stretch, and the photons by label of every stretch.
        self._length = 1
        self._stretches: list[Counter[int]] = []
        self._bins = 0

    def add(self, labels: Integers, photons: Integers, in_bin: Integers, bins: int) -> None:
        """Take the pieces of the next ``bins`` bins of the trace: label, photons and bin (from 0) of each."""
        first = self._bins
        self._bins += bins
        while self._bins > MOST_STRETCHES * self._length:
            self._merge()
        stretch = (first + in_bin) // self._length
        edges = np.flatnonzero(np.diff(stretch, prepend=-1, append=-1))
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            while len(self._stretches) <= stretch[begin]:
                self._stretches.append(Counter())
            found, place = np.unique(labels[begin:end], return_inverse=True)
            counts = np.zeros(len(found), np.int64)
            np.add.at(counts, place, photons[begin:end])
            self._stretches[stretch[begin]].update(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def _merge(self) -> None:
        pairs = zip(self._stretches[::2], [*self._stretches[1::2], Counter[int]()], strict=False)
        self._stretches = [one + other for one, other in pairs]
        self._length *= 2

    def describe(self, selection: Mapping[str, Any]) -> dict[str, float | int]:
        """``recent_s`` and ``recent_photons``: of the latest stretches, time and photons that are selected."""
        wanted = max(LATELY * self._bins, LEAST_S / self._bin_s)
        first = max(0, int((self._bins - wanted) // self._length))
        lately: Counter[int] = Counter()
        for stretch in self._stretches[first:]:
            lately += stretch
        labels, counts = np.array(list(lately), np.int64), np.array(list(lately.values()), np.int64)
        bins = self._bins - min(first * self._length, self._bins)
        photons = int(counts[selected(selection, labels)].sum()) if labels.size else 0
        return {"recent_s": bins * self._bin_s, "recent_photons": photons}
