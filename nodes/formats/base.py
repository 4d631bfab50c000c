"""What a tag file is to the rest of the program: stream info, notes and blocks of raw records."""

from __future__ import annotations

import io
import os
import stat
import weakref
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import RecordType
from photonstream.stream.chunk import StreamInfo
from photonstream.stream.node import InputError

RECORD_BYTES = 4
BLOCK_RECORDS = 524288
# A file that ends with so many records of zeros, as no device gives, ends with space that was reserved.
RESERVED_RECORDS = 256
# Bounds of a time unit in a header: from far below any device's resolution to a laser that nobody would wait for.
SHORTEST_UNIT_S, LONGEST_UNIT_S = 1e-15, 10.0


class TagFileError(InputError):
    """A tag file that cannot be read; its text names the file, the cause, and the byte unless it is as a whole."""

    def __init__(self, path: str | os.PathLike[str], offset: int | None, cause: str) -> None:
        place = "" if offset is None else f" (at byte {offset})"
        super().__init__(f"{os.fspath(path)}: {cause}{place}")
        self.path = Path(path)
        self.offset = offset
        self.cause = cause


class HeaderCutShortError(TagFileError):
    """The file ends within its header. Whoever follows a growing file may try again later."""


class Verdict(Enum):
    """What a format says about the first bytes of a file."""

    NO = "no"
    MORE = "more bytes needed"
    YES = "yes"


def match_magic(head: bytes, magic: bytes) -> Verdict:
    """Compare the first bytes of a file with a magic number, of which they may be only a part."""
    if len(head) >= len(magic):
        return Verdict.YES if head.startswith(magic) else Verdict.NO
    return Verdict.MORE if magic.startswith(head) else Verdict.NO


@dataclass(frozen=True)
class TagFile:
    """An opened tag file: its header, read once, and access to its raw records.

    ``records`` is the number of records that `blocks` gives: what was there when the file was opened, and
    not more than the header declares where it declares any. ``header`` holds every tag as it was read.
    ``count_notes`` are those of the ``notes`` that come of how many there are. ``complete`` says whether the recorder
    has written all it will, None where the file does not tell.
    """

    path: Path
    info: StreamInfo
    record_type: RecordType
    notes: tuple[str, ...]
    header: Mapping[str, Any]
    data_offset: int
    declared_records: int | None
    records: int
    count_notes: tuple[str, ...] = ()
    complete: bool | None = None

    def blocks(
        self, size_records: int = BLOCK_RECORDS, start: int = 0, held: io.FileIO | None = None
    ) -> Iterator[NDArray[np.uint32]]:
        """Yield the records from ``start`` on, in order, as fresh uint32 arrays of up to ``size_records``.

        ``held`` is the file where it is open already, and stays open.
        Raises TagFileError when the file cannot be read or has become shorter than it was.
        """
        with open_raw(self.path) if held is None else nullcontext(held) as file:
            at = start
            while at < self.records:
                block = read_records(file, self.data_offset, at, min(size_records, self.records - at))
                if not block.size:
                    offset = self.data_offset + at * RECORD_BYTES
                    cause = f"the file ends after {at} records, it held {self.records} when it was opened"
                    raise TagFileError(self.path, offset, cause)
                yield block
                at += block.size


class TagFormat(Protocol):
    """A kind of tag file. Third parties add theirs to the entry-point group ``photonstream.formats``."""

    name: str

    def sniff(self, head: bytes) -> Verdict:
        """Say from the first bytes of a file, and from nothing else, whether it is of this kind."""
        ...

    def open(self, path: Path) -> TagFile:
        """Read the header. Raises TagFileError."""
        ...


class HeaderReader:
    """The first bytes of a file, taken one after the other; ``offset`` is the place reached."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._file = io.BufferedReader(open_raw(path))
        self.file_bytes = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> HeaderReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def take(self, count: int, what: str) -> bytes:
        """The next ``count`` bytes. Raises HeaderCutShortError where the file ends before."""
        missing = self.offset + count - self.file_bytes
        if missing > 0:
            cause = f"the header is cut short: the file ends {_bytes(missing)} before the end of {what}"
            raise HeaderCutShortError(self.path, self.file_bytes, cause)
        try:
            taken = self._file.read(count)
        except OSError as error:
            raise self.error(f"cannot be read: {error}") from error
        if len(taken) < count:
            raise HeaderCutShortError(self.path, self.offset + len(taken), f"the file ends within {what}")
        self.offset += count
        return taken

    def error(self, cause: str, offset: int | None = None) -> TagFileError:
        """A TagFileError at ``offset``, by default at the place reached."""
        return TagFileError(self.path, self.offset if offset is None else offset, cause)


def padded_text(raw: bytes) -> str:
    """Text of a field padded with NUL or blanks. What is not UTF-8 is read as Latin-1, which never fails."""
    text = raw.partition(b"\0")[0].rstrip()
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def open_raw(path: Path) -> io.FileIO:
    """Open a file for unbuffered reading. Raises TagFileError with the reason."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise TagFileError(path, None, "this is a directory")
        if not stat.S_ISREG(kind):
            raise TagFileError(path, None, "this is not a regular file")
        return io.FileIO(path, "r")
    except FileNotFoundError:
        raise TagFileError(path, None, "there is no such file") from None
    except PermissionError:
        raise TagFileError(path, None, "no permission to read it") from None
    except (OSError, ValueError) as error:
        raise TagFileError(
            path, None, f"cannot be opened: {error.strerror if isinstance(error, OSError) else error}"
        ) from error


def without_reserved(file: TagFile) -> TagFile:
    """``file`` without the zeros at its end that were never written, and with a note on them. Raises TagFileError."""
    with open_raw(file.path) as raw:
        records = written_records(raw, file.data_offset, file.records)
    if records == file.records:
        return file
    note = (
        f"not read: the last {file.records - records:,} of {file.records:,} records, zeros but perhaps for the first: "
        "space that was reserved and not filled"
    )
    return replace(
        file,
        records=records,
        notes=(*file.notes, note),
        count_notes=(*file.count_notes, note),
        complete=None if file.complete is None else False,
    )


def ends_reserved(path: Path) -> bool:
    """Whether the file ends with space that was reserved and not filled yet. Raises TagFileError."""
    with open_raw(path) as raw:
        present = count_whole_records(os.fstat(raw.fileno()).st_size, 0)
        return written_records(raw, 0, present) < present


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


def keep_open(path: Path) -> io.FileIO:
    """A file that stays open for as long as somebody has it. Raises TagFileError with the reason."""
    with open_raw(path) as file:
        descriptor = os.dup(file.fileno())
    held = io.FileIO(descriptor, closefd=False)
    held.name = str(path)
    weakref.finalize(held, os.close, descriptor)
    return held


def count_whole_records(file_bytes: int, data_offset: int) -> int:
    """Whole records that a file of this size holds after its header."""
    return max(0, file_bytes - data_offset) // RECORD_BYTES


def written_records(
    file: io.FileIO, data_offset: int, present: int, known: int = 0, least: int = RESERVED_RECORDS
) -> int:
    """How many of the ``present`` records were written: who reserves the whole length before filling it leaves zeros.

    All of them where the last ``least`` are not all zero; else those before the zeros, but for the last one, which may
    be half there. ``known``: so many were written. A file is taken to be filled from its beginning on. Raises
    TagFileError when the medium fails.
    """

    def written(first: int) -> int:
        """How many of the records from ``first`` on are more than zeros, as far as the last of them within a block."""
        block = read_records(file, data_offset, first, min(RESERVED_RECORDS, present - first))
        return int(np.flatnonzero(block)[-1]) + 1 if block.any() else 0

    if present < least or read_records(file, data_offset, present - least, least).any():
        return present
    # In blocks: there is something in the one before `low`, and nothing in `high`.
    low, high = min(known, present) // RESERVED_RECORDS, -(-present // RESERVED_RECORDS)
    while low < high:
        middle = (low + high) // 2
        if written(middle * RESERVED_RECORDS):
            low = middle + 1
        else:
            high = middle
    if not low:
        return 0
    last = (low - 1) * RESERVED_RECORDS
    return max(last + written(last) - 1, 0)


def read_records(file: io.FileIO, data_offset: int, first: int, count: int) -> NDArray[np.uint32]:
    """Read up to ``count`` records from record ``first`` on: as many whole ones as are there now.

    Plain reads into a fresh array: a file mapped into memory kills the process when it is truncated.
    Raises TagFileError when the medium fails.
    """
    raw = np.empty(count, np.dtype("<u4"))
    target = raw.view(np.uint8).data
    offset = data_offset + first * RECORD_BYTES
    filled = 0
    try:
        file.seek(offset)
        while filled < len(target):
            got = file.readinto(target[filled:])
            if not got:
                break
            filled += got
    except OSError as error:
        raise TagFileError(str(file.name), offset + filled, f"cannot be read: {error}") from error
    return raw[: filled // RECORD_BYTES].astype(np.uint32, copy=False)


def settle_records(
    declared: int | None, file_bytes: int, data_offset: int, complete: bool | None = None
) -> tuple[int, list[str]]:
    """How many records count, and notes on where header and file disagree.

    An interrupted recording leaves 0 (or a hope) in its header, so without a believable number every whole
    word of the file is a record. A believable number is kept to: what follows the last declared record was
    not written as one, and reading it would invent photons. The note says how much is left out. The count of a file
    that is not ``complete`` stays behind its records, and all of them are read.
    """
    present = count_whole_records(file_bytes, data_offset)
    stray_bytes = max(0, file_bytes - data_offset) - present * RECORD_BYTES
    notes = []
    if complete is not False and declared is not None and 0 < declared <= present:
        beyond = file_bytes - data_offset - declared * RECORD_BYTES
        if beyond:
            notes.append(f"not read: {_bytes(beyond)} after the {declared} declared records")
        return declared, notes
    if complete is False:
        counts = f": the header declares {declared} records, the file holds {present}"
        notes.append(f"its recorder has not completed it{counts if declared != present else ''}")
    elif declared is None:
        notes.append(f"the header does not say how many records there are; the file holds {present}")
    elif declared > 0 or present > 0:
        notes.append(f"the header declares {declared} records, the file holds {present}")
    if stray_bytes:
        notes.append(f"not read: {_bytes(stray_bytes)} at the end, less than a whole record")
    return present, notes
