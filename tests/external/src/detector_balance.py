"""Photons per detector in equal windows of recorded time: where the shares drift, the alignment does."""

from dataclasses import dataclass

import numpy as np

from photonstream.stream.node import InputError, ParameterError, PhotonNode

# More windows are no experiment, but a recording whose time is corrupt, or a window far too short.
MOST_WINDOWS = 100_000


@dataclass(frozen=True)
class BalanceParameters:
    """``window_s``: length of a window. ``least_photons``: a window with fewer gets no shares."""

    window_s: float = 1.0
    least_photons: int = 100

    def __post_init__(self):
        if not 0 < self.window_s <= 86400:
            raise ValueError(f"a window lasts more than 0 s and at most a day, not {self.window_s:g} s")


class Balance(PhotonNode[BalanceParameters]):
    """Counts photons by window and detector; their way ends here."""

    Parameters = BalanceParameters
    live = frozenset({"least_photons"})

    def open(self, opening):
        unit_s = opening.info.macrotime_unit_s
        self._width = round(self.parameters.window_s / unit_s)
        if self._width < 1:
            raise ParameterError(f"windows are shorter than one tick of this recording, {unit_s:g} s")
        self._window_s = self._width * unit_s
        self._counts = np.zeros((0, 1), np.int64)
        self._stop = 0
        return opening

    def fold(self, chunk):
        windows = -(-chunk.stop // self._width)
        if windows > MOST_WINDOWS:
            raise InputError(
                f"the recording's time reaches {windows:,} windows: it is corrupt, or they are too short"
            )
        channel = chunk["channel"]
        self._make_room(windows, int(channel.max(initial=0)) + 1)
        window = (chunk["macrotime"] // np.uint64(self._width)).astype(np.int64)
        np.add.at(self._counts, (window, channel), 1)
        self._stop = chunk.stop
        self.ledger.end("counted", chunk.events)
        return ()

    def snapshot(self, *, final):
        """``windows``: counts and shares (windows, detectors); the first ``complete`` windows are over."""
        counts = self._counts.copy()
        total = counts.sum(axis=1)
        enough = total >= max(1, self.parameters.least_photons)
        shares = np.full(counts.shape, np.nan)
        shares[enough] = counts[enough] / total[enough, np.newaxis]
        value = {
            "window_s": self._window_s,
            "complete": self._stop // self._width,
            "counts": counts,
            "shares": shares,
        }
        yield self.result("windows", value, final=final)

    def _make_room(self, windows, detectors):
        more = np.maximum(0, np.array([windows, detectors]) - self._counts.shape)
        if more.any():
            self._counts = np.pad(self._counts, [(0, more[0]), (0, more[1])])
