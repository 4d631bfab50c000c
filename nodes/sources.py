"""Where the stream begins: replay of a finished tag file."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import BLOCK_RECORDS, RECORD_BYTES, TagFileError
from photonstream.nodes.kernels.decode import EventArrays, decode_into, new_carry, watermark_ticks
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import Opening, Source

# A paced source sends what belongs to about this much recorded time in one chunk.
PACED_CHUNK_S = 0.02
_HASH_BLOCK_BYTES = 1 << 22
# Waits are cut into pieces, so that an end is noticed; no replay waits longer than ten years.
_WAIT_S = 0.05
_LONGEST_WAIT_S = 3e8


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
    """Reads a tag file from its first record to its last. Column: ``records`` (uint32)."""

    Parameters = ReplayParameters

    def begin(self) -> Opening:
        """Open the file. Raises TagFileError."""
        self._file = open_tag_file(Path(self.parameters.path))
        self._given = 0
        self._notes = list(self._file.notes)
        self._checksum = _Checksum(self._file.path)
        info = self._file.info
        given_hz = self.parameters.sync_rate_hz
        facts = {
            "record_type": self._file.record_type.name,
            "pulse_period_s": 1.0 / given_hz if given_hz is not None else info.pulse_period_s,
        }
        return Opening(info, facts)

    def chunks(self) -> Iterator[Chunk]:
        blocks = (
            self._blocks() if self.parameters.speed is None else self._paced_blocks(self.parameters.speed)
        )
        sequence = 0
        try:
            for block in blocks:
                start = self._given
                self._given += len(block)
                yield Chunk(sequence, start, self._given, len(block), {"records": block})
                sequence += 1
        except TagFileError as error:
            if not self._given:
                raise
            # What was read before the file broke off is worth as much as any interrupted recording.
            self._notes.append(str(error))

    def _blocks(self) -> Iterator[NDArray[np.uint32]]:
        return self._file.blocks(self.parameters.chunk_records)

    def _paced_blocks(self, speed: float) -> Iterator[NDArray[np.uint32]]:
        """Blocks of about PACED_CHUNK_S of recorded time each, given out when their time has come."""
        record_type, unit_s = self._file.record_type, self._file.info.macrotime_unit_s
        carry = new_carry()
        scratch = EventArrays.allocate(record_type, self.parameters.chunk_records)
        began = time.monotonic()
        size = 1
        for block in self._blocks():
            pending = block
            while pending.size:
                piece, pending = pending[:size], pending[size:]
                before_s = watermark_ticks(carry) * unit_s
                # Only the decoder knows when a record happened; its photons are of no use here.
                decode_into(piece, record_type, carry, scratch)
                now_s = watermark_ticks(carry) * unit_s
                due = began + min(now_s / speed, _LONGEST_WAIT_S)
                while not self.halted and (left_s := due - time.monotonic()) > 0:
                    time.sleep(min(left_s, _WAIT_S))
                if self.halted:
                    return
                yield piece
                wished = size * PACED_CHUNK_S * speed / max(now_s - before_s, 1e-9)
                size = int(min(max(1.0, wished), 2.0 * size, self.parameters.chunk_records))

    def progress(self) -> tuple[int, int | None]:
        return self._given, self._file.records

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``recording``: what the file says of itself and how much of it was read."""
        info = self._file.info
        if not final:
            return
        complete = self._given == self._file.records
        value = {
            "path": str(self._file.path),
            "sha256": self._checksum.finish(wait=complete),
            "bytes": self._file.data_offset + self._file.records * RECORD_BYTES,
            "format": info.format,
            "record_type": info.record_type,
            "mode": info.mode,
            "records_in_file": self._file.records,
            "records_read": self._given,
            "complete": complete,
            "interrupted": self.halted and not complete,
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


class _Checksum:
    """SHA-256 of a file, computed beside the run in a thread (hashing releases the interpreter)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cancel = threading.Event()
        self._digest: str | None = None
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        digest = hashlib.sha256()
        try:
            with self._path.open("rb") as file:
                while block := file.read(_HASH_BLOCK_BYTES):
                    if self._cancel.is_set():
                        return
                    digest.update(block)
        except OSError:
            # The reader of the records meets the same fault and names it; here there is just no checksum.
            return
        self._digest = digest.hexdigest()

    def finish(self, *, wait: bool) -> str | None:
        """The checksum; None where it is not known, or not yet and ``wait`` is false."""
        if not wait:
            self._cancel.set()
        self._thread.join()
        return self._digest
