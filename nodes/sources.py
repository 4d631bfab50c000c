"""Where the stream begins: replay of a finished tag file."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.checksum import Checksum
from photonstream.nodes.event_log import EventLog
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import count_whole_records, keep_open, read_records
from photonstream.nodes.formats.ptu import GUID_TAG
from photonstream.nodes.pacing import Mark, RecordClock
from photonstream.nodes.tag_source import TagParameters, TagSource
from photonstream.stream.chunk import Chunk
from photonstream.stream.latency import stamp_of
from photonstream.stream.node import Opening
from photonstream.stream.orders import Pace

# A paced source sends what belongs to about this much time of the person who watches in one chunk.
PACED_CHUNK_S = 0.02
# Nothing is waited for longer than this, so that new orders are heeded soon, nor shorter than the other.
LONGEST_WAIT_S = 0.05
# A replay that is so far behind its clock is not in step with it.
BEHIND_S = 0.5
SHORTEST_WAIT_S = 1e-3


@dataclass(frozen=True)
class ReplayParameters(TagParameters):
    """Those of every source, and ``speed`` in recorded seconds per second, None for as fast as it goes.

    ``records``: no more than so many are read, None for all.
    """

    speed: float | None = None
    records: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.speed is not None and not self.speed > 0:
            raise ValueError(f"the speed must be positive, not {self.speed}")
        if self.records is not None and self.records < 1:
            raise ValueError(f"at least one record is read, not {self.records}")


class Replay(TagSource[ReplayParameters]):
    """Reads a tag file from its first record to its last.

    Without a speed full chunks go out, and nobody knows their time. By a pace, what is due goes out; a pace that
    begins on the way needs the time that was reached, so what has gone out is then decoded once more.
    """

    Parameters = ReplayParameters
    # Another pace is a command of its own.
    fixed = frozenset({"path", "speed", "records", "device"})

    def first_pace(self) -> Pace:
        # The clock of `Pace`.
        return Pace(self.parameters.speed, since_s=self.clock())

    def begin(self) -> Opening:
        """Open the file, and hold it: a recording that is deleted, moved or replaced meanwhile is still read, and one
        that is still written is read as far as it was at first. Raises TagFileError.
        """
        path, earlier = Path(self.parameters.path), self._earlier
        self._earlier = None
        if earlier is None or earlier.parameters.path != self.parameters.path:
            self._file = open_tag_file(path)
            self._held = keep_open(path)
            self._checksum = Checksum(keep_open(path))
            self._events = EventLog(
                path,
                self._file.record_type,
                self._file.info.macrotime_unit_s,
                self._read,
                self._file.header.get(GUID_TAG),
            )
            self._events.look()
        else:
            self._file, self._held, self._checksum = earlier._file, earlier._held, earlier._checksum
            self._events = earlier._events
        opening = self._opening()
        there = count_whole_records(os.fstat(self._held.fileno()).st_size, self._file.data_offset)
        if there < self._file.records:
            self._notes.append(
                f"{path}: it holds {there} records now; it held {self._file.records} when it was opened"
            )
        info, records = self._file.info, self._file.records
        most = min(self.parameters.chunk_records, records)
        self._times = RecordClock(self._file.record_type, info.macrotime_unit_s, most)
        # How far the records that have gone out were looked at for their time.
        self._mark = self._times.start
        return opening

    def _read(self, first: int, count: int) -> NDArray[np.uint32]:
        return read_records(self._held, self._file.data_offset, first, count)

    def chunks(self) -> Generator[Chunk | float, None, None]:
        """The records, by the pace of the orders; meanwhile the checksum of the file is made."""
        self._checksum.start()
        whole = False
        try:
            yield from super().chunks()
            whole = self._complete
        finally:
            if not whole:
                self._checksum.cancel()

    def _pieces(self) -> Iterator[NDArray[np.uint32] | float]:
        """Records that go out at once, or for how many seconds there are none."""
        records = 1
        for block in self._file.blocks(self.parameters.chunk_records, held=self._held):
            pending = block
            while pending.size and not self._over:
                if not self._paced:
                    piece, pending = pending[: self._left], pending[self._left :]
                    yield piece
                    continue
                if self._mark.records < self._given:
                    yield from self._look_back()
                    continue
                mark, wait_s = self._next(pending, records)
                records = mark.records - self._given
                if wait_s > 0.0:
                    yield wait_s
                    continue
                self._mark = mark
                piece, pending = pending[:records], pending[records:]
                yield piece
            if self._over:
                return

    @property
    def _left(self) -> int:
        """How many records may still go out."""
        ends = (self._file.records, self.orders.end_at, self.parameters.records)
        return max(0, min(end for end in ends if end is not None) - self._given)

    @property
    def _over(self) -> bool:
        return self.halted or not self._left

    @property
    def _paced(self) -> bool:
        # A stream that is to end does not wait on its way there.
        return self.orders.end_at is None and math.isfinite(self.orders.pace.due_s(self.clock()))

    def _stamp(self) -> int | None:
        pace, now_s = self.orders.pace, self.clock()
        if pace.paused or pace.speed is None or not self._paced:
            return None
        # On its way back to its place it reads at full speed.
        behind_s = (pace.due_s(now_s) - self._mark.time_s) / pace.speed
        return stamp_of(now_s) if behind_s < BEHIND_S else None

    @property
    def _records_there(self) -> int:
        return self._file.records

    def _sha256(self) -> str | None:
        return self._checksum.finish()

    def _look_back(self) -> Iterator[float]:
        """Find the time of what went out without a look at it, as long as a pace asks for that."""
        for block in self._file.blocks(self.parameters.chunk_records, self._mark.records, self._held):
            self._mark = self._times.after(self._mark, block[: self._given - self._mark.records])
            if self._mark.records == self._given:
                return
            yield 0.0
            if self._over or not self._paced:
                return

    def _next(self, pending: NDArray[np.uint32], guess: int) -> tuple[Mark, float]:
        """The place behind those ``pending`` records that go out next, and in how many seconds they do."""
        pace = self.orders.pace
        due_s = pace.due_s(self.clock())
        speed = 0.0 if pace.paused or pace.speed is None else pace.speed
        if not speed:
            mark = self._times.until(self._mark, pending, due_s, guess)
            return mark, 0.0 if mark.records > self._mark.records else LONGEST_WAIT_S
        step_s = min(self._mark.time_s + PACED_CHUNK_S * speed, pace.hold_s)
        mark = self._times.until(self._mark, pending, max(due_s, step_s), guess)
        if mark.records == self._mark.records:
            mark = self._times.after(self._mark, pending[:1])
        if mark.time_s <= due_s:
            return mark, 0.0
        return mark, min(max((mark.time_s - due_s) / speed, SHORTEST_WAIT_S), LONGEST_WAIT_S)

    def _progress(self) -> Mapping[str, Any]:
        notes = [*self._file.count_notes, *self._notes]
        return {
            "records": self._given,
            "total": self._file.records,
            "time_s": self._mark.time_s if self._mark.records == self._given else None,
            **({"notes": notes} if notes else {}),
            **self._shortage(),
        }
