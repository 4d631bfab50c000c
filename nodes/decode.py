"""Raw records to photons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import BY_NAME
from photonstream.nodes.kernels.decode import (
    MOST_DIVIDER,
    MOST_TICKS,
    NO_DTIME,
    EventArrays,
    counts,
    decode_into,
    new_carry,
    watermark_ticks,
)
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import Opening, ParameterError, PhotonNode

_NO_GAPS = np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class DecodeParameters:
    """``sync_channel``: T2 only, the detector input (from 0) that carries the laser; -1 for the device's own."""

    sync_channel: int = -1


class Decode(PhotonNode[DecodeParameters]):
    """Gives the photons with ``macrotime`` (ticks), ``dtime`` (TCSPC bins), ``channel`` and, in T2, ``nsync``; and
    ``blind`` (n, 2): from and to which tick there was a gap.

    Time moves on with records of any kind. The photons of the latest tick wait for the next chunk, because
    another one on the same tick may follow and chunks are half-open.
    """

    Parameters = DecodeParameters

    def open(self, opening: Opening) -> Opening:
        self._type = BY_NAME[opening.facts["record_type"]]
        self._info = opening.info
        if self._type.mode == "T3" and self.parameters.sync_channel >= 0:
            raise ParameterError("a sync channel can be named for T2 recordings only; this one is T3")
        if self.parameters.sync_channel >= self._type.channels:
            raise ParameterError(
                f"the sync channel must be 0 to {self._type.channels - 1} for {self._type.name}"
            )
        # In T3 the device itself counts the pulses; a divider matters where laser pulses are records.
        self._divider = opening.info.sync_divider if self._type.mode == "T2" else 1
        if not 1 <= self._divider <= MOST_DIVIDER:
            raise ParameterError(
                f"a sync divider of {self._divider} in the header; 1 to {MOST_DIVIDER} can be"
            )
        self._carry = new_carry()
        self._held: dict[str, NDArray[Any]] = {}
        self._per_channel = np.zeros(self._type.channels, np.int64)
        self._without_pulse = 0
        # Photons among the records that are said to stand for gaps.
        self._not_blind = 0
        # The time of gaps, in ticks.
        self._gap_ticks = 0
        self._sequence = 0
        self._start = 0
        self._stamp: int | None = None
        return opening.with_facts(dtime_range=1 << self._type.dtime_bits)

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        self._stamp = chunk.stamp
        held = len(self._held["macrotime"]) if self._held else 0
        out = EventArrays.allocate(self._type, held + chunk.events)
        for name, photons in self._held.items():
            getattr(out, name)[:held] = photons
        before = counts(self._carry)
        n, blind = self._decode(chunk["records"], chunk.columns.get("blind", _NO_GAPS), out, held)
        after = counts(self._carry)
        for kind in ("markers", "overflows", "syncs", "other"):
            self.ledger.end(kind, getattr(after, kind) - getattr(before, kind))
        self._count(out.channel[held:n], out.dtime[held:n])
        stop = watermark_ticks(self._carry)
        ready = int(np.searchsorted(out.macrotime[:n], np.uint64(stop)))
        columns = {"macrotime": out.macrotime[:n], "dtime": out.dtime[:n], "channel": out.channel[:n]}
        if out.nsync is not None:
            columns["nsync"] = out.nsync[:n]
        self._held = {name: array[ready:].copy() for name, array in columns.items()}
        return [self._emit(stop, {name: array[:ready] for name, array in columns.items()} | {"blind": blind})]

    def _decode(
        self, records: NDArray[np.uint32], blind: NDArray[np.int64], out: EventArrays, held: int
    ) -> tuple[int, NDArray[np.int64]]:
        """Decode into ``out`` after those ``held``: how many events are there then, and the ``blind`` times (ticks)."""
        times = []
        done, n = 0, held
        for place, edge in enumerate((*blind.ravel().tolist(), len(records))):
            before = n
            n, _ = decode_into(
                records[done:edge],
                self._type,
                self._carry,
                out,
                n,
                0,
                sync_channel=self.parameters.sync_channel,
                sync_divider=self._divider,
            )
            times.append(watermark_ticks(self._carry))
            done = edge
            if place % 2:
                self._not_blind += n - before
        gaps = np.array(times[:-1], np.int64).reshape(-1, 2)
        self._gap_ticks += int(np.diff(gaps, axis=1).sum())
        return n, gaps

    def close(self) -> Iterable[Chunk]:
        if self._held and len(self._held["macrotime"]):
            yield self._emit(watermark_ticks(self._carry) + 1, self._held | {"blind": _NO_GAPS})

    def _emit(self, stop: int, columns: dict[str, NDArray[Any]]) -> Chunk:
        chunk = Chunk(self._sequence, self._start, stop, len(columns["macrotime"]), columns, self._stamp)
        self._sequence += 1
        self._start = stop
        return chunk

    def _count(self, channel: NDArray[np.uint8], dtime: NDArray[Any]) -> None:
        if channel.size:
            for c in range(int(channel.max()) + 1):
                self._per_channel[c] += np.count_nonzero(channel == c)
            if self._type.mode == "T2":
                self._without_pulse += int(np.count_nonzero(dtime == NO_DTIME))

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``counts``: the records by kind, photons per channel, the time reached, and the time of gaps in it."""
        total = counts(self._carry)
        notes = []
        if total.backwards:
            notes.append(
                f"{total.backwards:,} events were earlier than their predecessor; they keep their place and "
                "take its time"
            )
        if watermark_ticks(self._carry) >= MOST_TICKS:
            notes.append("its counter wraps add up to more time than can be counted: the records are corrupt")
        if total.other:
            notes.append(f"{total.other:,} records are of no kind that {self._type.name} defines")
        if self._not_blind:
            notes.append(
                f"{self._not_blind:,} photons lie where the events beside the recording say that there was a gap: "
                "bins with photons are taken as they are"
            )
        if total.photons and self._without_pulse == total.photons:
            notes.append("no laser pulses in this T2 recording: there is a trace, but no decay")
        elif self._without_pulse:
            notes.append(
                f"{self._without_pulse:,} photons follow no known laser pulse and are not in the decay"
            )
        value = {
            "photons": total.photons,
            "markers": total.markers,
            "overflows": total.overflows,
            "overflow_wraps": total.overflow_wraps,
            "syncs": total.syncs,
            "other": total.other,
            "backwards": total.backwards,
            "photons_without_pulse": self._without_pulse,
            "photons_per_channel": {str(c): int(n) for c, n in enumerate(self._per_channel) if n},
            "duration_s": watermark_ticks(self._carry) * self._info.macrotime_unit_s,
            "gap_s": self._gap_ticks * self._info.macrotime_unit_s,
            "notes": notes,
        }
        yield self.result("counts", value, final=final)
