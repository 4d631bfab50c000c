"""Where the stream begins: replay of a finished tag file."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.checksum import Checksum
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import (
    BLOCK_RECORDS,
    RECORD_BYTES,
    TagFileError,
    count_whole_records,
    keep_open,
)
from photonstream.nodes.pacing import Mark, RecordClock
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import PROGRESS, Opening, Source
from photonstream.stream.orders import Pace

# A paced source sends what belongs to about this much time of the person who watches in one chunk.
PACED_CHUNK_S = 0.02
# Nothing is waited for longer than this, so that new orders are heeded soon, nor shorter than the other.
LONGEST_WAIT_S = 0.05
SHORTEST_WAIT_S = 1e-3


@dataclass(frozen=True)
class ReplayParameters:
    """``path`` of the tag file; ``speed`` in recorded seconds per second, None for as fast as it goes.

    ``sync_rate_hz`` replaces what the header says of the laser; ``chunk_records`` is the size of a full chunk.
    """

    path: str
    speed: float | None = None
    sync_rate_hz: float | None = None
    chunk_records: int = BLOCK_RECORDS

    def __post_init__(self) -> None:
        if self.speed is not None and not self.speed > 0:
            raise ValueError(f"the speed must be positive, not {self.speed}")
        if self.sync_rate_hz is not None and not 1.0 <= self.sync_rate_hz <= 1e11:
            raise ValueError(f"the sync rate must be 1 Hz to 100 GHz, not {self.sync_rate_hz:g} Hz")
        if self.chunk_records < 1:
            raise ValueError(f"a chunk holds at least one record, not {self.chunk_records}")


class Replay(Source[ReplayParameters]):
    """Reads a tag file from its first record to its last. Column: ``records`` (uint32).

    Without a speed full chunks go out, and nobody knows their time. By a pace, what is due goes out; a pace that
    begins on the way needs the time that was reached, so what has gone out is then decoded once more.
    """

    Parameters = ReplayParameters
    # Another pace is a command of its own.
    fixed = frozenset({"path", "speed"})
    # The clock of `Pace`.
    clock: Callable[[], float] = staticmethod(time.monotonic)

    _earlier: Any = None

    def first_pace(self) -> Pace:
        return Pace(self.parameters.speed, since_s=self.clock())

    def begin(self) -> Opening:
        """Open the file, and hold it: a recording that is deleted, moved or replaced meanwhile is still read, and one
        that is still written is read as far as it was at first. Raises TagFileError.
        """
        self._given = 0
        path, earlier = Path(self.parameters.path), self._earlier
        self._earlier = None
        if earlier is None or earlier.parameters.path != self.parameters.path:
            self._file = open_tag_file(path)
            self._held = keep_open(path)
            self._checksum = Checksum(keep_open(path))
        else:
            self._file, self._held, self._checksum = earlier._file, earlier._held, earlier._checksum
        self._notes = list(self._file.notes)
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
        given_hz = self.parameters.sync_rate_hz
        facts = {
            "record_type": self._file.record_type.name,
            "pulse_period_s": 1.0 / given_hz if given_hz is not None else info.pulse_period_s,
        }
        return Opening(info, facts)

    def inherit(self, earlier: Any) -> None:
        """Nobody may lose records without a word between two readings of the same file."""
        self._earlier = earlier

    def chunks(self) -> Generator[Chunk | float, None, None]:
        """The records, by the pace of the orders; meanwhile the checksum of the file is made."""
        self._checksum.start()
        sequence, broken = 0, True
        try:
            for piece in self._pieces():
                if isinstance(piece, float):
                    yield piece
                    continue
                start = self._given
                self._given += len(piece)
                yield Chunk(sequence, start, self._given, len(piece), {"records": piece})
                sequence += 1
            broken = False
        except TagFileError as error:
            if not self._given:
                raise
            # What was read before the file broke off is worth as much as any interrupted recording.
            self._notes.append(str(error))
        finally:
            if broken or not self._complete:
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
        end_at = self.orders.end_at
        return max(0, (self._file.records if end_at is None else end_at) - self._given)

    @property
    def _over(self) -> bool:
        return self.halted or not self._left

    @property
    def _paced(self) -> bool:
        # A stream that is to end does not wait on its way there.
        return self.orders.end_at is None and math.isfinite(self.orders.pace.due_s(self.clock()))

    @property
    def _complete(self) -> bool:
        return self._given == self._file.records

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
        step_s = self._mark.time_s + PACED_CHUNK_S * speed
        mark = self._times.until(self._mark, pending, max(due_s, step_s), guess)
        if mark.records == self._mark.records:
            mark = self._times.after(self._mark, pending[:1])
        if mark.time_s <= due_s:
            return mark, 0.0
        return mark, min(max((mark.time_s - due_s) / speed, SHORTEST_WAIT_S), LONGEST_WAIT_S)

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``progress``; at the end also ``recording``: what the file says of itself and how much of it was read."""
        info = self._file.info
        progress = {
            "records": self._given,
            "total": self._file.records,
            "time_s": self._mark.time_s if self._mark.records == self._given else None,
        }
        yield self.result(PROGRESS, progress, final=final)
        if not final:
            return
        complete = self._complete
        value = {
            "path": str(self._file.path),
            "sha256": self._checksum.finish() if complete else self._checksum.cancel(),
            "bytes": self._file.data_offset + self._file.records * RECORD_BYTES,
            "format": info.format,
            "record_type": info.record_type,
            "mode": info.mode,
            "records_in_file": self._file.records,
            "records_read": self._given,
            "complete": complete,
            "interrupted": self._over and not complete,
            "sync_rate_hz": self.parameters.sync_rate_hz or info.sync_rate_hz,
            "sync_divider": info.sync_divider,
            "dtime_resolution_s": info.dtime_resolution_s,
            "macrotime_unit_s": info.macrotime_unit_s,
            "created": info.created,
            "comment": info.comment,
            "settings": dict(info.settings),
            "notes": list(self._notes),
        }
        yield self.result("recording", value, final=final)
