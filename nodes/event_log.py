"""The events beside a tag file, read as they come, with the recorded time at which each stands."""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import RecordType
from photonstream.nodes.pacing import Mark, RecordClock
from photonstream.nodes.recording_events import (
    GAP,
    START,
    STATUS,
    STOP,
    RecordingEvent,
    events_path,
    parse_event,
)
from photonstream.stream.ledger import Gaps

# Records that are looked at in one step, and places between which a late event is looked for again.
STEP_RECORDS = 1 << 17
MARK_RECORDS = 1 << 20
# So much is read at once; a longer line is none.
BLOCK_BYTES = 1 << 22
LINE_BYTES = 1 << 14
# Events that are kept at all, that a result lists, their bytes together (a message must hold them), and lines that a
# note is made of.
MOST_KEPT = 100_000
MOST_LISTED = 1000
MOST_LISTED_BYTES = 400_000
MOST_NOTES = 20

Read = Callable[[int, int], NDArray[np.uint32]]


class EventLog:
    """The events of the tag file ``path``; ``read(first, count)`` gives records of it.

    Events that tell how the device is come every now and then for hours: of these only the newest is kept.
    The time of an event is that of the last record before it, found by decoding up to there: nothing is decoded
    where there are no events, and only a step at a time. Events that say that they are of a recording with another
    identifier than ``guid``, the one in the header, are left out as a whole.
    """

    def __init__(
        self, path: Path, record_type: RecordType, unit_s: float, read: Read, guid: object = None
    ) -> None:
        self._path = events_path(path)
        self._record_type = record_type
        self._unit_s = unit_s
        self._read = read
        self._guid = guid
        self._clock: RecordClock | None = None
        self._marks: list[Mark] = []
        # By record; not a number where the records were gone.
        self._times_s: dict[int, float] = {0: 0.0}
        self._identity: tuple[int, int] | None = None
        self._seen: tuple[int, int] | None = None
        # Rises with whatever changes in what there is to say.
        self.version = 0
        self._forget()

    def _forget(self) -> None:
        self.version += 1
        self.notes: list[str] = []
        self._events: list[RecordingEvent] = []
        # Records that stand for gaps, from and to, apart from each other and in order.
        self._blind: list[tuple[int, int]] = []
        self._status: RecordingEvent | None = None
        self._counts: Counter[str] = Counter()
        # Records whose time is wanted, the first one first.
        self._wanted: list[int] = []
        self._offset = self._line = self._broken = 0
        self._given_up = self._full = self._foreign = False
        # Somebody has said that the recorder ended without completing its file.
        self.died = False

    @property
    def stopped(self) -> bool:
        """Whether the recorder has said that it stopped, or there are no events that could say so."""
        nothing_said = self._identity is None or self._foreign
        return nothing_said or any(event.kind == STOP for event in self._events)

    def look(self) -> bool:
        """Take in the whole lines that are new; whether there were any. Another file is read from its start."""
        try:
            there = self._path.stat()
        except OSError:
            # A recording without events, or whose events were taken away: what was read of them stays.
            return False
        identity, seen = (there.st_dev, there.st_ino), (there.st_size, there.st_mtime_ns)
        if identity != self._identity or there.st_size < self._offset:
            self._forget()
        elif seen == self._seen:
            return False
        self._identity, self._seen = identity, seen
        before = self._line
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while not self._given_up and (block := file.read(BLOCK_BYTES)):
                    whole = block[: block.rfind(b"\n") + 1]
                    self._take(whole)
                    if len(block) == BLOCK_BYTES and not whole:
                        self._given_up = True
                        self._note("it is longer than any line can be; the rest is not read", self._line + 1)
                    if len(block) < BLOCK_BYTES:
                        break
                    file.seek(self._offset)
        except OSError as error:
            self._note(f"cannot be read: {error.strerror or error}", self._line + 1)
        return self._line != before

    def _take(self, whole: bytes) -> None:
        self._offset += len(whole)
        self.version += 1
        for raw in whole.splitlines():
            self._line += 1
            if not raw.strip():
                continue
            try:
                if len(raw) > LINE_BYTES:
                    raise ValueError(f"{len(raw)} bytes, a line has {LINE_BYTES} at most")
                event = parse_event(raw.decode("utf-8"))
            except ValueError as error:
                self._note(str(error), self._line)
                continue
            if event.kind == START and self._is_foreign(event):
                self._leave_out(event)
                return
            self._counts[event.kind] += 1
            self.died |= event.died
            if event.inserted_records and len(self._blind) < MOST_KEPT:
                self._add_blind(event.record, event.record + event.inserted_records)
            if event.kind == STATUS:
                self._status = event
            elif len(self._events) < MOST_KEPT:
                bisect.insort(self._events, event, key=lambda each: each.record)
            elif not self._full:
                self._full = True
                self.notes.append(
                    f"{self._path}: more than {MOST_KEPT:,} events; from line {self._line} on they are only counted by "
                    "their kind, and the ledger lacks their gaps"
                )
            heapq.heappush(self._wanted, event.record)

    def _is_foreign(self, event: RecordingEvent) -> bool:
        """Whether the events say that they are of another recording; older recorders did not say of which."""
        guid = event.more.get("guid")
        told = isinstance(guid, str) and isinstance(self._guid, str)
        return told and bool(guid and self._guid) and str(guid).upper() != str(self._guid).upper()

    def _leave_out(self, event: RecordingEvent) -> None:
        identity, seen = self._identity, self._seen
        self._forget()
        self._identity, self._seen = identity, seen
        self._foreign = self._given_up = True
        self.notes.append(
            f"{self._path}: not read, as it is of another recording: it names {event.more['guid']:.60}, and the header "
            f"of the tag file {self._guid:.60}"
        )

    def _note(self, what: str, line: int) -> None:
        self._broken += 1
        if self._broken <= MOST_NOTES:
            self.notes.append(f"{self._path}, line {line}: skipped: {what}")
        elif self._broken == MOST_NOTES + 1:
            self.notes.append(f"{self._path}: further lines are skipped")

    # When

    def advance(self, reached: int) -> bool:
        """One step towards the times of the events among the first ``reached`` records; whether there is more to do."""
        while self._wanted and self._wanted[0] in self._times_s:
            heapq.heappop(self._wanted)
        if not self._wanted or self._wanted[0] > reached:
            return False
        target = self._wanted[0]
        if self._clock is None:
            self._clock = RecordClock(self._record_type, self._unit_s, STEP_RECORDS)
            self._marks = [self._clock.start]
        place = bisect.bisect_right(self._marks, target, key=lambda mark: mark.records) - 1
        mark = self._marks[place]
        if mark.records < target:
            piece = self._read(mark.records, min(STEP_RECORDS, target - mark.records))
            if not piece.size:
                # The records are not there any more.
                self._times_s[target] = math.nan
                return True
            mark = self._clock.after(mark, piece)
            self._keep(place, mark)
        if mark.records == target:
            self._times_s[target] = mark.time_s
            self.version += 1
        return True

    def _keep(self, place: int, mark: Mark) -> None:
        """The place reached stays the last one; those before it stay where they are far enough apart."""
        last = place == len(self._marks) - 1
        if last and place and mark.records - self._marks[place - 1].records < MARK_RECORDS:
            self._marks[place] = mark
        elif self._marks[place].records < mark.records:
            self._marks.insert(place + 1, mark)

    def known(self, reached: int) -> tuple[int, int]:
        """Something that is another one when there is something new to say of the first ``reached`` records."""
        return self.version, bisect.bisect_right(self._events, reached, key=lambda event: event.record)

    def finish(self, reached: int) -> None:
        """Take in what there is, and find all times."""
        self.look()
        while self.advance(reached):
            pass

    # What there is to say

    def gaps(self, reached: int) -> Gaps:
        """What the device lost among the first ``reached`` records, for the ledger."""
        gaps = [event for event in self._events if event.kind == GAP and event.record <= reached]
        records = [event.lost_records for event in gaps if event.lost_records is not None]
        times_s = [event.lost_s for event in gaps if event.lost_s is not None]
        return Gaps(
            len(gaps),
            sum(records) if records else None,
            math.fsum(times_s) if times_s else None,
            len(gaps) - len(records),
        )

    def blind(self, start: int, stop: int) -> NDArray[np.int64]:
        """Which of the records ``start`` to ``stop`` stand for the time of a gap: (n, 2), from and to, in order."""
        found = []
        first = bisect.bisect_right(self._blind, start, key=lambda gap: gap[1])
        for begin, end in itertools.islice(self._blind, first, None):
            if begin >= stop:
                break
            found.append((max(begin, start), min(end, stop)))
        return np.array(found, np.int64).reshape(-1, 2)

    def _add_blind(self, begin: int, end: int) -> None:
        """Gaps that touch or overlap are one."""
        first = bisect.bisect_left(self._blind, begin, key=lambda gap: gap[1])
        last = first
        while last < len(self._blind) and self._blind[last][0] <= end:
            begin, end = min(begin, self._blind[last][0]), max(end, self._blind[last][1])
            last += 1
        self._blind[first:last] = [(begin, end)]

    def value(self, reached: int) -> dict[str, Any]:
        """The events among the first ``reached`` records, with their times in seconds where they are known yet.

        ``events`` (the first `MOST_LISTED`), ``counts`` of all lines by kind, ``status``: how the device was last.
        """
        listed, room = [], MOST_LISTED_BYTES
        for event in self._events[:MOST_LISTED]:
            room -= len(event.to_json().encode())
            if event.record > reached or room < 0:
                break
            listed.append(event)
        status = self._status if self._status is not None and self._status.record <= reached else None
        return {
            "events": [self._told(event) for event in listed],
            "counts": dict(sorted(self._counts.items())),
            "status": None if status is None else self._told(status),
        }

    def _told(self, event: RecordingEvent) -> dict[str, Any]:
        time_s = self._times_s.get(event.record)
        known = time_s is not None and math.isfinite(time_s)
        told = {"record": event.record, "time_s": time_s if known else None, **event.value()}
        if event.kind == GAP:
            told |= {"cause": event.cause, "lost_s": event.lost_s, "lost_records": event.lost_records}
        return told
