"""A tag file that somebody else may still be writing, looked at again and again."""

from __future__ import annotations

import io
import math
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.checksum import Checksum
from photonstream.nodes.event_log import EventLog
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import (
    RESERVED_RECORDS,
    HeaderCutShortError,
    TagFile,
    TagFileError,
    count_whole_records,
    ends_reserved,
    keep_open,
    read_records,
    written_records,
)
from photonstream.nodes.formats.ptu import GUID_TAG
from photonstream.nodes.holes import Holes
from photonstream.stream.latency import stamp_of

# The events are looked at so often, and the header where the file was written to since. After the longer time the
# header is read whatever the share says of that: opening a file makes it tell the truth.
AGAIN_S, ANYWAY_S = 0.5, 5.0
# The recorder's last event may come so long after its last record.
LAST_EVENT_S = 1.0
# Zeros at the end of a recording that is complete are records of it when nothing has come for so long.
FILLED_S = 10.0
# So many of the records that were read last are looked at again wherever the file was written to.
TAIL_RECORDS = 256


class GrowingFile:
    """One run of data at ``path``, from its first byte on; another file there, or one that was cut, is another run.

    It is ``ready`` once its header is whole. ``idle_s``: no byte for so long ends it, None never. ``clock`` in seconds.
    """

    file: TagFile
    events: EventLog

    def __init__(self, path: Path, clock: Callable[[], float], idle_s: float | None) -> None:
        self.path = path
        self.ready = False
        # Whole records there; once it has ended, those that it ended with.
        self.records = 0
        # There is no file of this name any more.
        self.gone = False
        # Why this run of data is over and what comes is another one; empty as long as that is not so.
        self.successor = ""
        self.ended = False
        # Somebody wanted the end; nobody knows what would have come.
        self.stopped = False
        # Nothing was taken away of what was read.
        self.whole = True
        self._spoilt = False
        self.notes: list[str] = []
        # Up to which record it had come at which moment, of what is not read yet.
        self._found: deque[tuple[int, int]] = deque()
        self._clock = clock
        self._idle_s = idle_s
        self._held: io.FileIO | None = None
        self._bytes = 0
        # Size and time of the last change at the last look; the records that were read last, and where they begin.
        self._measured: tuple[int, int] | None = None
        self._tail: tuple[int, NDArray[np.uint32]] | None = None
        # Zeros with something behind them that were read as records.
        self._holes = Holes(self.read)
        # Its end is space that was reserved and not filled yet; nothing more is expected to come there.
        self._reserved = self._settled = False
        # When the file was last seen to grow.
        self._since_s = clock()
        self._again_s = self._anyway_s = -math.inf
        # Size and time of the last change when the header was read last.
        self._read_at: tuple[int, int] | None = None
        self._complete_s: float | None = None
        # How many records the header of a complete recording declares; of a copy under way they are not all there.
        self._promised = 0
        # Its recorder died: what is there now is all.
        self._died = False
        self._checksum: tuple[int, Checksum] | None = None

    # Before there is a header

    def awaits(self) -> str:
        """What is missing before this can be read, in words; empty when it is ``ready``.

        Raises TagFileError where it can never be read, or nothing has come for too long within its header.
        """
        if self.ready:
            return ""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            self._since_s = self._clock()
            return f"waiting for {self.path}"
        except OSError:
            # Whoever opens it says what is wrong.
            there = None
        now_s = self._clock()
        if there is not None and stat.S_ISREG(there.st_mode):
            if not there.st_size:
                self._since_s = now_s
                return f"waiting for the first byte of {self.path}"
            if there.st_size == self._bytes and now_s < self._again_s and not self._silent(now_s):
                return f"waiting for the header of {self.path}"
            if there.st_size != self._bytes:
                self._bytes, self._since_s = there.st_size, now_s
        self._again_s = now_s + AGAIN_S
        try:
            held = keep_open(self.path)
            file = open_tag_file(self.path)
            same = os.path.samestat(os.fstat(held.fileno()), self.path.stat())
        except HeaderCutShortError as error:
            if self._silent(now_s):
                cause = f"{error.cause}; nothing has come for {self._idle_s:g} s"
                raise HeaderCutShortError(self.path, error.offset, cause) from None
            return f"waiting for the header of {self.path}"
        except FileNotFoundError:
            return f"waiting for {self.path}"
        except TagFileError:
            if not self._there():
                return f"waiting for {self.path}"
            if self._silent(now_s) or not ends_reserved(self.path):
                raise
            return f"waiting for the header of {self.path}"
        if not same:
            return f"waiting for the header of {self.path}"
        self._begin(file, held)
        return ""

    def _there(self) -> bool:
        try:
            self.path.stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def _begin(self, file: TagFile, held: io.FileIO) -> None:
        self.file, self._held, self.ready = file, held, True
        self.events = EventLog(
            self.path, file.record_type, file.info.macrotime_unit_s, self.read, file.header.get(GUID_TAG)
        )

    def _silent(self, now_s: float) -> bool:
        return self._idle_s is not None and now_s - self._since_s >= self._idle_s

    # While it grows

    @property
    def silent_s(self) -> float:
        """For how long nothing has come."""
        return self._clock() - self._since_s

    def look(self, taken: int) -> None:
        """See how far the file is, of which ``taken`` records were read."""
        if self.ended:
            return
        now_s = self._clock()
        if now_s >= self._again_s:
            self._again_s = now_s + AGAIN_S
            # The header first: what it calls complete is so, whatever its size was before.
            self._look_at_header(now_s)
            self.events.look()
        # Before the size, which is the last one then.
        self._died = self.events.died
        assert self._held is not None
        try:
            there = self.path.stat()
        except OSError:
            # Deleted, moved, or on a share that does not answer now: what is held can perhaps still be read.
            self.gone = True
        else:
            self.gone = False
            if not os.path.samestat(there, os.fstat(self._held.fileno())):
                self.successor = (
                    f"another file has taken the place of the one of which {taken:,} records were read"
                )
        self._measure(taken, now_s)

    def _measure(self, taken: int, now_s: float) -> None:
        assert self._held is not None
        try:
            there = os.fstat(self._held.fileno())
        except OSError:
            return
        size, measured = there.st_size, (there.st_size, there.st_mtime_ns)
        if size > self._bytes:
            self._since_s = now_s
            # A gap is told of before the records that stand for it.
            self.events.look()
        self._bytes = size
        records = self._written(count_whole_records(size, self.file.data_offset), measured)
        if records > self.records:
            if not self._settled:
                self._since_s = now_s
            self._found.append((records, stamp_of(now_s)))
        self.records = records
        if self.records < taken or size < self.file.data_offset:
            self._spoilt = True
            self.successor = (
                f"the file became shorter: it holds {self.records:,} records, {taken:,} were read"
            )
        elif measured != self._measured and not self._tail_stands():
            self._spoilt = True
            self.successor = (
                f"the file was written anew: the last of the {taken:,} records that were read are others"
            )
        elif measured != self._measured and self._holes.filled(at_ends=True):
            self._fill()
        self._measured = measured

    def _written(self, present: int, measured: tuple[int, int]) -> int:
        """How many of the records that are ``present`` were written, as `written_records` tells.

        On the way whatever ends with zeros may still be filled; at the end only what is too much to be records.
        """
        if measured == self._measured and not self._reserved:
            return present
        assert self._held is not None
        known, least = min(self.records, present), RESERVED_RECORDS if self._settled else 1
        records = _filled(self._held, self.file, present, known, least)
        self._reserved = records < present
        return max(records, known)

    def _tail_stands(self) -> bool:
        """Whether the file still holds what was read last: it may have been cut and filled again between two looks."""
        if self._tail is None:
            return True
        first, records = self._tail
        return np.array_equal(self.read(first, len(records)), records)

    def _fill(self) -> None:
        self._spoilt = True
        self.successor = "what was read as zeros is filled now"

    def _look_at_header(self, now_s: float) -> None:
        """Read the header anew: is it still this recording's, and does it say that nothing more will come?"""
        try:
            there = self.path.stat()
        except OSError:
            return
        read_at = there.st_size, there.st_mtime_ns
        if read_at == self._read_at and now_s < self._anyway_s:
            return
        self._read_at, self._anyway_s = read_at, now_s + ANYWAY_S
        seen = self._header()
        if seen is None:
            return
        if not _same_recording(self.file, seen):
            self._spoilt = True
            self.successor = "the header is another recording's now"
        if seen.complete and self._complete_s is None:
            self._complete_s, self._promised = now_s, seen.declared_records or 0

    def _header(self) -> TagFile | None:
        """The header as it is now, None where it is not there."""
        assert self._held is not None
        try:
            seen = open_tag_file(self.path)
            same = os.path.samestat(os.fstat(self._held.fileno()), self.path.stat())
        except (TagFileError, OSError):
            # It may be written at this moment.
            return None
        return seen if same else None

    def found(self, taken: int) -> int | None:
        """When the last of the first ``taken`` records was found; None for what is not known of any more."""
        while self._found and self._found[0][0] < taken:
            self._found.popleft()
        return self._found[0][1] if self._found else None

    def over(self, taken: int) -> bool:
        """Whether all that will come was ``taken``: it is complete, or nothing has come for too long."""
        if self.ended:
            return taken >= self.records
        now_s = self._clock()
        if taken < self.records:
            return False
        if self._reserved and not self._settled:
            filled = self._complete_s is not None and self.silent_s >= FILLED_S
            self._settled = filled or self._died or self._silent(now_s)
            return False
        if self._complete_s is not None and taken >= self._promised:
            over = self.events.stopped or now_s - self._complete_s >= LAST_EVENT_S
        else:
            over = self._died or self._silent(now_s)
        if over and self._holes.filled():
            self._fill()
            return False
        return over

    def read(self, first: int, count: int) -> NDArray[np.uint32]:
        """Up to ``count`` records from record ``first`` on, as many as are there; raises TagFileError."""
        assert self._held is not None
        return read_records(self._held, self.file.data_offset, first, count)

    def take(self, first: int, count: int) -> NDArray[np.uint32]:
        """As `read`, of what goes out; `look` finds out whether the last of it is still there."""
        records = self.read(first, count)
        if records.size:
            tail = records[-TAIL_RECORDS:].copy()
            self._tail = first + len(records) - len(tail), tail
            self._holes.see(first, records)
        return records

    # At its end

    @property
    def empty(self) -> bool:
        """Whether not a byte of it has come."""
        return not self._bytes

    def stop(self, taken: int) -> None:
        """Nothing more is read, although more may come: somebody wants the end after ``taken`` records."""
        if not self.ended:
            self._settled = True
            self.look(taken)
            self.ended = self.stopped = True

    def cut(self, taken: int) -> None:
        """It is over, and what followed it is nothing that can be read."""
        # Of a file that was replaced what is held is there still; what has come into the same one is something else.
        self.whole = not self._spoilt
        self.records = max(self.records, taken)
        self.successor, self.ended = "", True

    def end(self) -> GrowingFile | None:
        """Nothing more is read; the same run by its header as it is now where that says other physics, else None."""
        if self.ended:
            return None
        self.ended = True
        seen = self._header()
        if seen is None:
            return None
        changed = [
            f"{name} {old} to {new}"
            for (name, old), (_, new) in zip(_physics(self.file), _physics(seen), strict=True)
            if old != new
        ]
        if not changed:
            # What else the header says at the end is what counts: comment, date, how many records.
            self.file = seen
            return None
        again = GrowingFile(self.path, self._clock, self._idle_s)
        assert self._held is not None
        again._begin(seen, self._held)
        again._bytes, again._since_s = self._bytes, self._since_s
        present = count_whole_records(self._bytes, seen.data_offset)
        again.records, again.ended = _filled(self._held, seen, present), True
        changes = ", ".join(changed)
        again.notes = [
            *self.notes,
            f"at its end the header was changed ({changes}): all was read again by that",
        ]
        return again

    def sha256(self) -> str | None:
        """Checksum of the file as long as it was at the end."""
        assert self._held is not None
        written_ns = os.fstat(self._held.fileno()).st_mtime_ns
        if self._checksum is None or self._checksum[0] != written_ns:
            self._checksum = written_ns, Checksum(self._held, self._bytes)
        return self._checksum[1].finish()


def _filled(
    held: io.FileIO, file: TagFile, present: int, known: int = 0, least: int = RESERVED_RECORDS
) -> int:
    """`written_records` with the last one before zeros, which may be half there, where the header counts it."""
    records = written_records(held, file.data_offset, present, known, least)
    return records + (records < present and file.declared_records == records + 1)


def _same_recording(one: TagFile, other: TagFile) -> bool:
    """Whether two headers are of the same recording, as far as they tell: by their identifier, else by their date."""
    ours, theirs = (file.header.get(GUID_TAG) for file in (one, other))
    if not (ours and theirs):
        ours, theirs = one.info.created, other.info.created
    return not (ours and theirs) or ours == theirs


def _physics(file: TagFile) -> tuple[tuple[str, Any], ...]:
    """What the meaning of the records depends on."""
    info = file.info
    return (
        ("record type", info.record_type),
        ("macrotime unit", f"{info.macrotime_unit_s:.12g} s"),
        ("delay resolution", f"{info.dtime_resolution_s:.12g} s"),
        ("sync rate", "unknown" if info.sync_rate_hz is None else f"{info.sync_rate_hz:.12g} Hz"),
        ("sync divider", info.sync_divider),
        ("detector inputs", info.channels),
        ("length of the header", f"{file.data_offset} bytes"),
    )
