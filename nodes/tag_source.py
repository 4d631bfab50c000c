"""What every source has in common that reads a tag file."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.event_log import EventLog
from photonstream.nodes.formats.base import BLOCK_RECORDS, RECORD_BYTES, TagFile, TagFileError
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import PROGRESS, Opening, Source

EVENTS = "events"
# So many records of nothing but zeros are none that a device wrote.
MOST_ZEROS = 1000


@dataclass(frozen=True)
class TagParameters:
    """``path`` of the tag file; ``sync_rate_hz`` replaces what its header says of the laser.

    ``chunk_records`` is the size of a full chunk. ``device`` is kept with the others: the ``name`` of the device that
    recorded it, and the ``settings`` that it was armed with.
    """

    path: str
    sync_rate_hz: float | None = None
    chunk_records: int = BLOCK_RECORDS
    device: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.sync_rate_hz is not None and not 1.0 <= self.sync_rate_hz <= 1e11:
            raise ValueError(f"the sync rate must be 1 Hz to 100 GHz, not {self.sync_rate_hz:g} Hz")
        if self.chunk_records < 1:
            raise ValueError(f"a chunk holds at least one record, not {self.chunk_records}")


P = TypeVar("P", bound=TagParameters)


class TagSource(Source[P]):
    """Gives the records of a tag file. What is said of the file is the same for all.

    Columns: ``records`` (uint32); ``blind`` (n, 2): which of them, from and to, only stand for the time of a gap.
    """

    clock: Callable[[], float] = staticmethod(time.monotonic)

    _file: TagFile
    _events: EventLog
    _earlier: Any = None

    def inherit(self, earlier: Any) -> None:
        """Nobody may lose records without a word between two readings of the same file."""
        self._earlier = earlier

    def _opening(self) -> Opening:
        """What is known of the stream of the file that is open."""
        self._given = 0
        # Each epoch tells them at once: it is compared with the one before it by who has said something.
        self._told: tuple[int, int] | None = None
        self._notes: list[str] = []
        self._zeros = 0
        info = self._file.info
        given_hz = self.parameters.sync_rate_hz
        facts = {
            "record_type": self._file.record_type.name,
            "pulse_period_s": 1.0 / given_hz if given_hz is not None else info.pulse_period_s,
        }
        return Opening(info, facts)

    def chunks(self) -> Generator[Chunk | float, None, None]:
        """The records, as they are due."""
        sequence = 0
        try:
            for piece in self._pieces():
                if isinstance(piece, float):
                    yield piece
                    continue
                start = self._given
                self._given += len(piece)
                self._zeros += len(piece) - int(np.count_nonzero(piece))
                blind = self._events.blind(start, self._given) - start
                columns: dict[str, NDArray[Any]] = {"records": piece, "blind": blind}
                yield Chunk(sequence, start, self._given, len(piece), columns, self._stamp())
                sequence += 1
                self._events.advance(self._given)
        except TagFileError as error:
            if not self._given:
                raise
            # What was read before the file broke off is worth as much as any interrupted recording.
            self._notes.append(str(error))

    def account(self) -> Result:
        """Its line in the ledger, with what the device lost in what was given."""
        self._events.finish(self._given)
        self.ledger.gaps = self._events.gaps(self._given)
        return super().account()

    @abstractmethod
    def _pieces(self) -> Iterator[NDArray[np.uint32] | float]:
        """Records that go out at once, or for how many seconds there are none."""

    @abstractmethod
    def _stamp(self) -> int | None:
        """When the newest of the records given was found in the file; None where they are not in step with time."""

    @property
    @abstractmethod
    def _over(self) -> bool:
        """Whether no more may go out."""

    @property
    @abstractmethod
    def _records_there(self) -> int:
        """How many records the file holds."""

    @property
    def _complete(self) -> bool:
        return self._given == self._records_there

    @property
    def _interrupted(self) -> bool:
        """Whether somebody wanted the end before the recording's."""
        return self._over and not self._complete

    @abstractmethod
    def _sha256(self) -> str | None:
        """Checksum of the file that was read whole."""

    @abstractmethod
    def _progress(self) -> Mapping[str, Any]:
        """The value of the result ``progress``."""

    def _shortage(self) -> Mapping[str, int]:
        """How many records the header declares, where the file holds fewer: part of ``progress``."""
        declared = self._file.declared_records or 0
        return {"declared": declared} if declared > self._records_there else {}

    def _file_notes(self) -> Iterable[str]:
        """Remarks on the file and its reading."""
        return [*self._file.notes, *self._notes]

    def _zero_notes(self) -> Iterator[str]:
        if self._zeros > MOST_ZEROS:
            yield (
                f"{self._zeros:,} records are nothing but zeros: space that was never filled, as after a power cut; "
                "they are counted as photons all the same"
            )

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``progress`` and ``events``; at the end also ``recording``: what the file says, and how far it was read."""
        yield self.result(PROGRESS, self._progress(), final=final)
        known = self._events.known(self._given)
        if final or known != self._told:
            # Of a long recording they are many, and told only when there is something new.
            self._told = known
            self.ledger.gaps = self._events.gaps(self._given)
            yield self.result(EVENTS, self._events.value(self._given), final=final)
        if not final:
            return
        info, complete, records = self._file.info, self._complete, self._records_there
        value = {
            "path": str(self._file.path),
            "sha256": self._sha256() if complete else None,
            "bytes": self._file.data_offset + records * RECORD_BYTES,
            "format": info.format,
            "record_type": info.record_type,
            "mode": info.mode,
            "records_in_file": records,
            "records_read": self._given,
            "complete": complete,
            "interrupted": self._interrupted,
            "sync_rate_hz": self.parameters.sync_rate_hz or info.sync_rate_hz,
            "sync_divider": info.sync_divider,
            "dtime_resolution_s": info.dtime_resolution_s,
            "macrotime_unit_s": info.macrotime_unit_s,
            "created": info.created,
            "comment": info.comment,
            "settings": dict(info.settings),
            "notes": [*self._file_notes(), *self._zero_notes(), *self._events.notes],
        }
        yield self.result("recording", value, final=final)
