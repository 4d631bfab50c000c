"""A second opinion on the states: levels of the intensity between change points, found photon by photon at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.brightness import dwell_time
from photonstream.nodes.decay import MOST_CHANNELS, MOST_T2_BINS, dtime_axis
from photonstream.nodes.inference.changepoint import CRITICAL, Stretches, divide, levels_of, neutral_levels
from photonstream.nodes.inference.rows import STATES, states_of
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import Opening, PhotonNode

# A photon takes some 14 bytes, and five times as many while the photons are divided.
MOST_PHOTONS = 20_000_000


@dataclass(frozen=True)
class ChangepointParameters:
    """``alpha``: probability that a window of constant rate is divided. ``most_photons`` are kept, later ones not."""

    alpha: float = 0.05
    most_photons: int = MOST_PHOTONS

    def __post_init__(self) -> None:
        if self.alpha not in CRITICAL:
            known = " or ".join(f"{alpha:g}" for alpha in CRITICAL)
            raise ValueError(f"alpha is {known}, not {self.alpha:g}")
        if not 1 <= self.most_photons <= 1 << 30:
            raise ValueError(f"most_photons is 1 to {1 << 30}, not {self.most_photons}")


class Changepoint(PhotonNode[ChangepointParameters]):
    """Keeps the photons of the recording, up to a number that is said, and divides them when it has ended."""

    Parameters = ChangepointParameters
    inner = frozenset({"second_opinion"})

    def open(self, opening: Opening) -> Opening:
        info = opening.info
        self._unit_s = info.macrotime_unit_s
        self._dtime_s = info.dtime_resolution_s
        self._period_s: float | None = opening.facts["pulse_period_s"]
        coarsest = MOST_T2_BINS if info.mode == "T2" else opening.facts["dtime_range"]
        self._axis = dtime_axis(self._period_s, self._dtime_s, coarsest, join=info.mode == "T2")
        self._kept: list[tuple[NDArray[Any], ...]] = []
        self._photons = 0
        self._seen = 0
        self._stop = 0
        self._value: dict[str, Any] | None = None
        return opening

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        room = self.parameters.most_photons - self._photons
        state = np.repeat(states_of(chunk["label"]).astype(np.uint8), np.diff(chunk["offsets"]))
        columns = (chunk["macrotime"], chunk["channel"], chunk["dtime"], state)
        part = tuple(column[:room].copy() for column in columns)
        taken = len(part[0])
        if room > 0:
            # Whatever the chunks: with the last photon that is kept ends what is known.
            self._stop = chunk.stop if taken < room else int(part[0][-1])
            self._kept.append(part)
        self._photons += taken
        self._seen += chunk.events
        self.ledger.end("divided", taken)
        self.ledger.end("beyond_most", chunk.events - taken)
        return ()

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``second_opinion``: the levels, with the decay of each and the time it shares with each of the states."""
        if not final:
            return
        if self._value is None:
            self._value = self._divided()
        yield self.result("second_opinion", self._value, final=final)

    def _divided(self) -> dict[str, Any]:
        common = {
            "alpha": self.parameters.alpha,
            "photons": self._photons,
            "left_out": self._seen - self._photons,
        }
        if self._photons < 2:
            return {**common, "reason": "fewer than two photons"}
        times, channel, dtime, state = (np.concatenate(each) for each in zip(*self._kept, strict=True))
        self._kept = [(times, channel, dtime, state)]
        stretches = divide(times, self._stop, self.parameters.alpha)
        level = levels_of(stretches)
        of_photon = np.repeat(level, stretches.photons)
        levels = int(level.max()) + 1
        ticks = np.bincount(level, stretches.ticks.astype(float)).astype(np.int64)
        decays, channels = self._decays(of_photon, channel, dtime, levels)
        neutral = neutral_levels(decays, ticks)
        by_state = np.zeros((levels, STATES))
        waits = np.diff(times.astype(np.int64), prepend=0)
        np.add.at(by_state, (of_photon, state), waits * self._unit_s)
        return {
            **common,
            "reason": "",
            "covered_s": self._stop * self._unit_s,
            "change_points": len(level) - 1,
            "unsure_s": float(np.median(stretches.unsure_ticks)) * self._unit_s if len(level) > 1 else None,
            "levels": self._rows(stretches, level, ticks, neutral),
            "start_s": np.concatenate([[0], np.cumsum(stretches.ticks)[:-1]]) * self._unit_s,
            "level": level,
            "neutral": neutral,
            "neutral_s": float(ticks[neutral].sum()) * self._unit_s,
            "by_state_s": by_state,
            "decays": decays,
            "channels": channels,
            "resolution_s": self._dtime_s * 2**self._axis.shift,
            "pulse_period_s": self._period_s,
        }

    def _decays(
        self, level: NDArray[np.int64], channel: NDArray[np.uint8], dtime: NDArray[Any], levels: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts (levels, channels, dtime bins) and the channels that have photons."""
        channels = np.flatnonzero(np.bincount(channel, minlength=MOST_CHANNELS))
        place = np.zeros(MOST_CHANNELS, np.int64)
        place[channels] = np.arange(len(channels))
        inside = dtime < self._axis.limit
        shape = levels, len(channels), self._axis.bins
        index = np.ravel_multi_index(
            (level[inside], place[channel[inside]], (dtime[inside] >> self._axis.shift).astype(np.int64)),
            shape,
        )
        return np.bincount(index, minlength=int(np.prod(shape))).reshape(shape), channels

    def _rows(
        self,
        stretches: Stretches,
        level: NDArray[np.int64],
        ticks: NDArray[np.int64],
        neutral: NDArray[np.bool_],
    ) -> list[dict[str, Any]]:
        counts = np.bincount(level, stretches.photons.astype(float))
        visits = np.bincount(level[np.diff(level, prepend=-1) != 0], minlength=len(ticks))
        return [
            {
                "rate_hz": float(counts[k] / (ticks[k] * self._unit_s)),
                "rate_stderr_hz": math.sqrt(counts[k]) / float(ticks[k] * self._unit_s),
                "time_share": float(ticks[k] / ticks.sum()),
                **dwell_time(float(ticks[k] * self._unit_s), int(visits[k])),
                "neutral": bool(neutral[k]),
            }
            for k in range(len(ticks))
        ]
