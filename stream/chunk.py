"""What flows through the program: stream info, chunks, gaps and results, and the laws that chunks keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from numpy.typing import NDArray

Mode = Literal["T2", "T3"]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the header of a tag file says about its records, in SI units.

    ``macrotime_unit_s`` is the header's own number, unrounded. ``sync_rate_hz`` is the rate of laser pulses,
    ``None`` where the header says 0 or nothing. ``dtime_resolution_s`` is the width of one TCSPC bin in T3 and
    the device's tick in T2. ``settings`` holds every further acquisition setting by its name in the header.
    """

    format: str
    record_type: str
    mode: Mode
    macrotime_unit_s: float
    dtime_resolution_s: float
    sync_rate_hz: float | None
    sync_divider: int
    channels: int
    created: str | None = None
    comment: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pulse_period_s(self) -> float | None:
        """Time between laser pulses.

        In T3 the macrotime counts sync periods. A device behind a sync divider may count the divided ones;
        the header's rate is that of the laser, so the two differ by the divider then.
        """
        if self.sync_rate_hz is None:
            return self.macrotime_unit_s if self.mode == "T3" else None
        if self.mode == "T2":
            return 1.0 / self.sync_rate_hz
        pulses_per_tick = round(self.macrotime_unit_s * self.sync_rate_hz)
        return self.macrotime_unit_s / max(1, pulses_per_tick)


def _read_only(columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    for array in columns.values():
        array.flags.writeable = False
    return MappingProxyType(dict(columns))


@dataclass(frozen=True)
class Chunk:
    """A half-open piece ``[start, stop)`` of one stream, with its events as read-only columns.

    The axis is the record index for raw records and the macrotime (integer ticks) for everything after
    ``decode``. ``events`` is the number of photons (or records), which the ledger counts; an empty chunk is
    legal and moves the watermark ``stop`` on. ``stamp`` is no part of the data: when its newest record was found in the
    file (`latency`), None where it is not in step with time.
    """

    sequence: int
    start: int
    stop: int
    events: int
    columns: Mapping[str, NDArray[Any]]
    stamp: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", _read_only(self.columns))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns


@dataclass(frozen=True, slots=True)
class Gap:
    """Where our chain or the device lost data: ``[start, stop)`` on the axis of the stream, with its cause.

    Dead time of a detector is not a gap.
    """

    start: int
    stop: int
    cause: str


@dataclass(frozen=True, slots=True)
class Result:
    """The whole present state of one key of one node; a newer one replaces an older one.

    ``stamp`` is no part of it: that of the newest photon it contains (`Chunk`).
    """

    node: str
    key: str
    value: Mapping[str, Any]
    final: bool = False
    stamp: int | None = None


class ChunkLawError(ValueError):
    """A chunk that breaks a law of the stream; its text says which."""


class ChunkLaws:
    """Checks the laws of one stream: contiguous sequence numbers and intervals, events within their interval.

    Keeps only the place where the last chunk or gap stopped.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._sequence = 0
        self._stop: int | None = None

    def admit(self, chunk: Chunk) -> None:
        """Raise ChunkLawError unless ``chunk`` continues the stream."""
        where = f"stream {self._stream}, chunk {chunk.sequence}"
        if chunk.sequence != self._sequence:
            raise ChunkLawError(f"{where}: sequence {self._sequence} was due")
        if chunk.stop < chunk.start:
            raise ChunkLawError(f"{where}: stops at {chunk.stop}, before its start {chunk.start}")
        if self._stop is not None and chunk.start != self._stop:
            raise ChunkLawError(f"{where}: starts at {chunk.start}, but the stream had reached {self._stop}")
        macrotime = chunk.columns.get("macrotime")
        if macrotime is not None and macrotime.size:
            first, last = int(macrotime[0]), int(macrotime[-1])
            if first < chunk.start or last >= chunk.stop:
                raise ChunkLawError(
                    f"{where}: photons at {first} to {last} lie outside [{chunk.start}, {chunk.stop})"
                )
        self._sequence += 1
        self._stop = chunk.stop

    def skip(self, gap: Gap) -> None:
        """Take a gap: the stream goes on where it stops."""
        if self._stop is not None and gap.start != self._stop:
            raise ChunkLawError(
                f"stream {self._stream}: gap at {gap.start}, the stream had reached {self._stop}"
            )
        self._stop = gap.stop
