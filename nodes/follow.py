"""Where a live stream begins: a tag file that somebody else is still writing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.device_time import only_wraps
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.growing import GrowingFile
from photonstream.nodes.recorder_orders import Note, goes_on, leave_note
from photonstream.nodes.recording_events import events_path
from photonstream.nodes.tag_source import TagParameters, TagSource
from photonstream.stream.chunk import Result
from photonstream.stream.node import Opening

# How often a file is looked at that grows, and one that has not for some time.
POLL_S, CALM_POLL_S, CALM_S = 0.01, 0.02, 1.0
# What comes meanwhile is one chunk: each costs the same, whatever it holds.
CHUNK_S = 0.02
# What only tells the time, as in the dark, can wait so long for the next photon.
DARK_S = 0.1
# A silence is worth a word from here on.
SILENCE_S = 2.0


@dataclass(frozen=True)
class FollowParameters(TagParameters):
    """Those of every source, and ``idle_timeout_s``: no byte for so long after the first one is the end, None never.

    ``run`` counts the runs of data that have begun at ``path``; the node finds that out itself.
    """

    idle_timeout_s: float | None = 10.0
    run: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.idle_timeout_s is not None and not self.idle_timeout_s > 0:
            raise ValueError(f"the idle timeout must be positive, not {self.idle_timeout_s:g} s")


class Follow(TagSource[FollowParameters]):
    """Reads a tag file from its first record on, and goes on as it grows.

    Its end is where the recorder says that it is complete, or where nothing has come for too long; a count in the
    header means nothing. What comes after the file was cut, replaced or given another header is another run of data:
    then everything begins again with that.
    """

    Parameters = FollowParameters
    fixed = frozenset({"path", "idle_timeout_s", "device"})
    learns = "run"
    clocked = False

    _growing: GrowingFile | None = None
    # The run of data that follows this one.
    _next: GrowingFile | None = None
    # When records went out last.
    _gave_s = -math.inf

    def awaits(self) -> str:
        return self._adopt().awaits()

    def begin(self) -> Opening:
        """Open the file. Raises TagFileError where it cannot be read, or not yet."""
        growing = self._adopt()
        if missing := growing.awaits():
            raise TagFileError(self.parameters.path, None, missing)
        if growing.ended and not growing.whole:
            cause = f"the {growing.records:,} records that were read are not there any more, and cannot be read again"
            raise TagFileError(self.parameters.path, None, cause)
        self._file, self._events = growing.file, growing.events
        growing.look(0)
        # What was there before is read at full speed.
        self._there = growing.records
        return self._opening()

    def note(self, text: str, utc: str, record: int) -> str:
        path = Path(self.parameters.path)
        if not goes_on(path):
            return "it is in the run's log, not beside the recording"
        leave_note(path, Note(text, utc, record))
        return f"its recorder writes it into {events_path(path).name}"

    def _adopt(self) -> GrowingFile:
        """The run of data that is read: that of the epoch before, where it is still the same."""
        if self._growing is None:
            earlier = self._earlier
            if isinstance(earlier, Follow) and earlier.parameters.path == self.parameters.path:
                further = self.parameters.run > earlier.parameters.run
                self._growing = (earlier._next if further else None) or earlier._growing
            if self._growing is None:
                idle_s = self.parameters.idle_timeout_s
                self._growing = GrowingFile(Path(self.parameters.path), self.clock, idle_s)
        self._earlier = None
        return self._growing

    def choice(self, *, final: bool) -> Any:
        return self.parameters.run + (self._next is not None)

    def _pieces(self) -> Iterator[NDArray[np.uint32] | float]:
        growing = self._adopt()
        while not self._over:
            growing.look(self._given)
            if growing.successor and self.orders.end_at is None:
                yield from self._await_next(growing)
                return
            if left := min(growing.records - self._given, self._left):
                count = min(left, self.parameters.chunk_records)
                if self._can_wait(growing, count):
                    yield CHUNK_S
                    continue
                piece = growing.take(self._given, count)
                if piece.size:
                    self.says, self._gave_s = "", self.clock()
                    yield piece
                    if self._given == growing.records and not growing.ended and self.orders.end_at is None:
                        yield CHUNK_S
                    continue
                if growing.ended:
                    cause = f"the file ends after {self._given} records, it held {growing.records} when it was read"
                    raise TagFileError(growing.path, None, cause)
            if self.orders.end_at is not None:
                break
            if growing.over(self._given):
                self.says = ""
                self._next = growing.end()
                self._file = growing.file
                return
            yield self._wait_s(growing)
        self.says = ""

    def _can_wait(self, growing: GrowingFile, count: int) -> bool:
        """Whether all that has come, ``count`` records, tells the time and nothing else."""
        more_at_once = (
            count == self.parameters.chunk_records or growing.ended or self.orders.end_at is not None
        )
        if more_at_once or self.clock() - self._gave_s >= DARK_S:
            return False
        records = growing.read(self._given, count)
        return records.size > 0 and only_wraps(records, growing.file.record_type)

    def account(self) -> Result:
        # Whoever was told to end is not asked for the next chunk.
        self._adopt().stop(self._given)
        return super().account()

    def _await_next(self, growing: GrowingFile) -> Iterator[float]:
        """Until the header of the next run of data is there; where it never comes, this one has ended."""
        coming = GrowingFile(growing.path, self.clock, self.parameters.idle_timeout_s)
        idle_s, began_s = self.parameters.idle_timeout_s, self.clock()
        note = f"{growing.path}: {growing.successor}"
        while not self._over and self.orders.end_at is None:
            try:
                missing = coming.awaits()
            except TagFileError as error:
                growing.notes.append(f"{note}; what came then is no recording: {error.cause}")
                break
            if not missing:
                coming.notes = [
                    *growing.notes,
                    f"{note}: what follows is another run of data, read from its start",
                ]
                self._next = coming
                return
            if idle_s is not None and self.clock() - began_s >= idle_s and coming.empty:
                growing.notes.append(f"{note}; nothing came after that")
                break
            self.says = f"{growing.successor}: {missing}"
            yield CALM_POLL_S
        self.says = ""
        growing.cut(self._given)

    def _wait_s(self, growing: GrowingFile) -> float:
        """How long until the next look at a file that has not grown."""
        if self._events.advance(self._given):
            return 0.0
        silent_s = growing.silent_s
        if silent_s < SILENCE_S:
            self.says = ""
        else:
            gone = f"{growing.path} is not there any more; " if growing.gone else ""
            self.says = f"{gone}no data for {int(silent_s)} s"
        return POLL_S if silent_s < CALM_S else CALM_POLL_S

    def _stamp(self) -> int | None:
        found = self._adopt().found(self._given)
        return found if self._given > self._there else None

    @property
    def _left(self) -> int:
        """How many records may still go out; more than there can be where nobody says."""
        end_at = self.orders.end_at
        return (1 << 62) if end_at is None else max(0, end_at - self._given)

    @property
    def _over(self) -> bool:
        return self.halted or not self._left

    @property
    def repeatable(self) -> bool:
        return self._adopt().whole

    @property
    def _records_there(self) -> int:
        return self._adopt().records

    @property
    def _complete(self) -> bool:
        return super()._complete and self._adopt().whole

    @property
    def _interrupted(self) -> bool:
        return self._adopt().stopped or super()._interrupted

    def _sha256(self) -> str | None:
        return self._adopt().sha256()

    def _file_notes(self) -> Iterable[str]:
        growing, file = self._adopt(), self._file
        notes = [note for note in file.notes if note not in file.count_notes]
        # Of a file that may go on growing, the header's count says nothing.
        whole = self._complete and not growing.stopped
        if whole and file.records == self._given:
            notes += file.count_notes
        elif whole and file.declared_records:
            notes.append(f"the header declares {file.declared_records} records, {self._given} were read")
        if growing.gone:
            notes.append(f"{file.path}: the file was deleted or moved after {self._given:,} records")
        return [*notes, *growing.notes, *self._notes]

    def _gone_notes(self) -> list[str]:
        """Said at once: whoever writes there may not know of it."""
        growing = self._adopt()
        # At the end it is a note on the file.
        if not growing.gone or growing.ended:
            return []
        return [f"{growing.path} is not there any more, deleted or moved; what is open is read on"]

    def _progress(self) -> Mapping[str, Any]:
        growing = self._adopt()
        return {
            "records": self._given,
            "total": growing.records if growing.ended else None,
            "time_s": None,
            "says": self.says,
            "notes": [*self._gone_notes(), *growing.notes, *self._notes],
            # As long as it may grow, the header's count says nothing.
            **(self._shortage() if growing.ended and not growing.stopped else {}),
        }
