"""Pairs of photons on two detectors, kept so that selection, place of the pulse and centre can be chosen later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from photonstream.nodes.kernels.coincidence import Photons
from photonstream.nodes.kernels.decode import NO_DTIME
from photonstream.nodes.pairs import Pairs, pulse_scale, time_scale
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import Opening, PhotonNode

MOST_PULSES = 1000
MOST_BINS = 100_000
LONGEST_S = 1.0


@dataclass(frozen=True)
class AntibunchingParameters:
    """``pulses``: pairs are kept up to that many laser pulses apart (0: no pairs at all); where there are no pulses
    (T2) up to ``window_s`` apart, in ``bins``.

    ``offset_pulses`` or ``offset_s``: where the centre lies if the cables differ in length, as time on the higher
    channel less that on the lower; None finds it. A photon is late when it comes ``late_s`` after its own pulse.
    """

    pulses: int = 10
    window_s: float = 5e-7
    bins: int = 500
    offset_pulses: int | None = None
    offset_s: float | None = None
    # Five times the fast lifetime that is assumed, 3.9 ns.
    late_s: float = 19.5e-9

    def __post_init__(self) -> None:
        if self.pulses != 0 and not 2 <= self.pulses <= MOST_PULSES:
            raise ValueError(f"pairs are kept up to 2 to {MOST_PULSES} pulses apart, not {self.pulses}")
        if not 0 < self.window_s <= LONGEST_S:
            raise ValueError(
                f"the window must be positive and at most {LONGEST_S:g} s, not {self.window_s:g} s"
            )
        if not 4 <= self.bins <= MOST_BINS:
            raise ValueError(f"the window takes 4 to {MOST_BINS} bins, not {self.bins}")
        if self.offset_pulses is not None and self.offset_s is not None:
            raise ValueError("the offset is given in pulses or in seconds, not in both")
        if abs(self.offset_pulses or 0) >= max(1, self.pulses):
            raise ValueError(f"the offset must be less than the {self.pulses} pulses that are kept")
        if not 0 <= self.late_s <= LONGEST_S:
            raise ValueError(f"late_s must be 0 to {LONGEST_S:g} s, not {self.late_s:g} s")


class Antibunching(PhotonNode[AntibunchingParameters]):
    """Counts pairs by label, separation in pulses and both photons' delays after the pulse, and by their own delay.

    A pair has the label of its photons. One whose photons have different labels is counted apart: it is
    among all pairs and never among the selected ones. T2 photons are also paired by macrotime, for recordings
    without pulses.
    """

    Parameters = AntibunchingParameters

    def open(self, opening: Opening) -> Opening:
        info, period_s = opening.info, opening.facts["pulse_period_s"]
        self._t2 = info.mode == "T2"
        self._period_s: float | None = period_s
        self._ways: dict[str, Pairs] = {}
        self._reason = ""
        reach = self.parameters.pulses
        if not reach:
            self._reason = "pairs were not counted (pulses = 0)"
            return opening
        if period_s is not None and (self._t2 or round(info.macrotime_unit_s / period_s) == 1):
            self._ways["pulses"] = Pairs(pulse_scale(reach, period_s, info.dtime_resolution_s))
        elif not self._t2:
            self._reason = "a sync period holds several laser pulses: that of a photon is not known"
        if self._t2:
            window_s, bins = self.parameters.window_s, self.parameters.bins
            self._ways["time"] = Pairs(time_scale(window_s, bins, info.macrotime_unit_s))
        return opening

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        self.ledger.end("paired", chunk.events)
        if not self._ways:
            return ()
        rows, channels = np.unique(chunk["label"]) + 1, np.flatnonzero(chunk["counts"].any(axis=0))
        row = np.repeat((chunk["label"] + 1).astype(np.int32), np.diff(chunk["offsets"]))
        channel, dtime = chunk["channel"], chunk["dtime"]
        if "time" in self._ways:
            self._ways["time"].add(Photons(chunk["macrotime"], channel, dtime, row), rows, channels)
        if "pulses" in self._ways:
            photons = Photons(chunk["nsync" if self._t2 else "macrotime"], channel, dtime, row)
            if self._t2:
                timed = dtime != NO_DTIME
                photons = Photons(*(column[timed] for column in photons))
            self._ways["pulses"].add(photons, rows, channels)
        return ()

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``pairs``: the counts of the pair of channels that has most, for `judge` of the inference.

        ``by`` is "pulses", "time", or None with the ``reason``.
        """
        value = {
            "period_s": self._period_s,
            "offset_pulses": self.parameters.offset_pulses,
            "offset_s": self.parameters.offset_s,
            "late_s": self.parameters.late_s,
            **self._describe(),
        }
        yield self.result("pairs", value, final=final)

    def _describe(self) -> dict[str, Any]:
        reason = self._reason
        for by, pairs in self._ways.items():
            totals = pairs.totals()
            if pairs.problem:
                return {"by": None, "reason": pairs.problem}
            if totals:
                low, high, _ = max(totals, key=itemgetter(2))
                return {
                    "by": by,
                    "reason": "",
                    "channels": [low, high],
                    "totals": totals,
                    "delay_start_s": pairs.scale.start_s,
                    "delay_bin_s": pairs.scale.bin_s,
                    "class_starts_s": pairs.scale.class_starts_s,
                    **pairs.rows(low, high),
                }
            few = {0: "no photons", 1: "photons on one detector only"}
            reason = few.get(pairs.detectors, "no two photons on different detectors came close enough")
        return {"by": None, "reason": reason}
