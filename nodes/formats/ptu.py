"""PicoQuant's unified tag files (.ptu): a list of named tags, then the records.

Source: PicoQuant's published description of the tagged file format. A tag is 48 bytes: a name of 32, an
index (-1 where the name stands alone), a type and a value of 8. Texts, arrays and blobs follow their tag,
and the value is their length in bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from photonstream.nodes.formats.base import (
    LONGEST_UNIT_S,
    SHORTEST_UNIT_S,
    HeaderReader,
    TagFile,
    TagFileError,
    Verdict,
    match_magic,
    padded_text,
    settle_records,
)
from photonstream.nodes.formats.records import BY_CODE, RecordType
from photonstream.nodes.recording_events import COMPLETE_TAG
from photonstream.stream.chunk import StreamInfo

# Identifies a recording among all.
GUID_TAG = "File_GUID"
MAGIC = b"PQTTTR\0\0"
TAG = struct.Struct("<32siI8s")

TY_EMPTY = 0xFFFF0008
TY_BOOL = 0x00000008
TY_INT = 0x10000008
TY_BITSET = 0x11000008
TY_COLOR = 0x12000008
TY_FLOAT = 0x20000008
TY_DATETIME = 0x21000008
TY_FLOAT_ARRAY = 0x2001FFFF
TY_ANSI_STRING = 0x4001FFFF
TY_WIDE_STRING = 0x4002FFFF
TY_BLOB = 0xFFFFFFFF

# The low half of every type code says where the value is: in the tag or behind it.
_INLINE, _BEHIND = 0x0008, 0xFFFF

# Real headers have some hundred tags and a few kilobytes of payload; what is far beyond is damage.
MAX_TAGS = 65536
MAX_PAYLOAD_BYTES = 16 << 20
MAX_HEADER_BYTES = 64 << 20

_DATE_ZERO = datetime(1899, 12, 30)

_IN_STREAM_INFO = frozenset(
    {
        "TTResultFormat_TTTRRecType",
        "TTResult_NumberOfRecords",
        "TTResult_SyncRate",
        "Measurement_Mode",
        "MeasDesc_GlobalResolution",
        "MeasDesc_Resolution",
        "HWSync_Divider",
        "HW_InpChannels",
        "File_CreatingTime",
        "File_Comment",
    }
)


class PtuFormat:
    """Reads .ptu files of every device and record type in `records`."""

    name = "PTU"

    def sniff(self, head: bytes) -> Verdict:
        """Say whether these are the first bytes of a .ptu file."""
        return match_magic(head, MAGIC)

    def open(self, path: Path) -> TagFile:
        """Read the header of a .ptu file. Raises TagFileError."""
        with HeaderReader(path) as reader:
            if reader.take(len(MAGIC), "the magic number") != MAGIC:
                raise reader.error("this is not a PTU file", 0)
            version = padded_text(reader.take(8, "the version"))
            tags, notes = read_tags(reader)
            data_offset = reader.offset
            file_bytes = reader.file_bytes
            tags_of = _Tags(tags, reader)
            record_type = tags_of.record_type()
            info = _stream_info(f"PTU {version}", tags_of, record_type, notes)
        declared = tags.get("TTResult_NumberOfRecords")
        if not isinstance(declared, int):
            declared = None
        said = tags.get(COMPLETE_TAG)
        complete = said if isinstance(said, bool) else None
        records, disagreements = settle_records(declared, file_bytes, data_offset, complete)
        return TagFile(
            path,
            info,
            record_type,
            (*notes, *disagreements),
            tags,
            data_offset,
            declared,
            records,
            tuple(disagreements),
            complete,
        )


def read_tags(reader: HeaderReader) -> tuple[dict[str, Any], list[str]]:
    """Read tags up to and without ``Header_End``; also notes on oddities.

    An indexed tag is called ``name(index)``. Where a name comes twice the last one counts.
    Raises TagFileError for an impossible type or length, and where the file ends within the header.
    """
    tags: dict[str, Any] = {}
    notes: list[str] = []
    for _ in range(MAX_TAGS):
        offset = reader.offset
        name_bytes, index, kind, value = TAG.unpack(reader.take(TAG.size, "a tag of the header"))
        name = padded_text(name_bytes)
        if name == "Header_End":
            return tags, notes
        payload = _payload(reader, offset, name, kind, value)
        key = name if index < 0 else f"{name}({index})"
        if key in tags:
            notes.append(f"the header has the tag {key} more than once; the last one counts")
        tags[key] = decode_value(kind, value, payload)
        if reader.offset > MAX_HEADER_BYTES:
            break
    raise reader.error("the header has no end: its last tag, Header_End, is missing")


def _payload(reader: HeaderReader, offset: int, name: str, kind: int, value: bytes) -> bytes:
    place = kind & 0xFFFF
    if place == _INLINE:
        return b""
    if place != _BEHIND:
        raise reader.error(f"tag {name!r} has an impossible type 0x{kind:08X}", offset)
    (length,) = struct.unpack("<q", value)
    if not 0 <= length <= MAX_PAYLOAD_BYTES:
        raise reader.error(f"tag {name!r} has an impossible length of {length} bytes", offset)
    return reader.take(length, f"tag {name!r}")


def decode_value(kind: int, value: bytes, payload: bytes) -> Any:
    """The value of a tag as a Python object; types that are not known keep their bytes."""
    if kind == TY_EMPTY:
        return None
    if kind == TY_BOOL:
        return any(value)
    if kind == TY_INT:
        return int.from_bytes(value, "little", signed=True)
    if kind in (TY_BITSET, TY_COLOR):
        return int.from_bytes(value, "little")
    if kind == TY_FLOAT:
        return struct.unpack("<d", value)[0]
    if kind == TY_DATETIME:
        return _date(struct.unpack("<d", value)[0])
    if kind == TY_FLOAT_ARRAY:
        return struct.unpack(f"<{len(payload) // 8}d", payload[: len(payload) // 8 * 8])
    if kind == TY_ANSI_STRING:
        return padded_text(payload)
    if kind == TY_WIDE_STRING:
        return payload.decode("utf-16-le", errors="replace").partition("\0")[0].rstrip()
    return payload if kind & 0xFFFF == _BEHIND else value


def _date(days: float) -> str | float:
    """An ISO date from days since 1899-12-30, or the number itself where it is no date of our time."""
    try:
        date = _DATE_ZERO + timedelta(days=days)
    except (OverflowError, ValueError):
        return days
    return date.isoformat(timespec="milliseconds") if 1990 <= date.year < 2200 else days


class _Tags:
    """Typed access to the tags that the stream info needs."""

    def __init__(self, tags: Mapping[str, Any], reader: HeaderReader) -> None:
        self.all = tags
        self._reader = reader

    def number(self, name: str) -> float | int | None:
        value = self.all.get(name)
        return value if isinstance(value, (int, float)) and math.isfinite(value) else None

    def text(self, name: str) -> str | None:
        value = self.all.get(name)
        return value if isinstance(value, str) and value else None

    def positive(self, name: str) -> float:
        value = self.number(name)
        if value is None:
            raise self._missing(name)
        if not SHORTEST_UNIT_S <= value <= LONGEST_UNIT_S:
            raise self._reader.error(f"the header says that {name} is {value} s, which no device has")
        return float(value)

    def record_type(self) -> RecordType:
        code = self.number("TTResultFormat_TTTRRecType")
        if code is None:
            raise self._missing("TTResultFormat_TTTRRecType")
        kind = BY_CODE.get(int(code))
        if kind is None:
            raise self._reader.error(f"unknown record type 0x{int(code) & 0xFFFFFFFF:08X}")
        bits = self.number("TTResultFormat_BitsPerRecord")
        if bits is not None and bits != 32:
            raise self._reader.error(f"records of {bits} bits, only 32 are known")
        return kind

    def _missing(self, name: str) -> TagFileError:
        there = "is of the wrong type" if name in self.all else "is missing"
        return self._reader.error(f"the header's tag {name} {there}")


def _stream_info(file_format: str, tags: _Tags, record_type: RecordType, notes: list[str]) -> StreamInfo:
    macrotime_unit_s = tags.positive("MeasDesc_GlobalResolution")
    t3 = record_type.mode == "T3"
    dtime_resolution_s = tags.positive("MeasDesc_Resolution") if t3 else macrotime_unit_s
    mode = tags.number("Measurement_Mode")
    if mode is not None and mode != (3 if t3 else 2):
        notes.append(f"the header says mode T{mode}, but its records are {record_type.name}")
    sync_rate_hz = tags.number("TTResult_SyncRate")
    return StreamInfo(
        format=file_format,
        record_type=record_type.name,
        mode=record_type.mode,
        macrotime_unit_s=macrotime_unit_s,
        dtime_resolution_s=dtime_resolution_s,
        sync_rate_hz=float(sync_rate_hz) if sync_rate_hz and sync_rate_hz > 0 else None,
        sync_divider=max(1, int(tags.number("HWSync_Divider") or 1)),
        channels=_channels(tags, record_type),
        created=tags.text("File_CreatingTime"),
        comment=tags.text("File_Comment"),
        settings=_settings(tags.all, t3),
    )


def _channels(tags: _Tags, record_type: RecordType) -> int:
    # A PicoHarp's inputs are those of its router, which HW_InpChannels does not count.
    said = None if record_type.layout == "picoharp" else tags.number("HW_InpChannels")
    return int(said) if said is not None and 1 <= said <= record_type.channels else record_type.channels


def _settings(tags: Mapping[str, Any], t3: bool) -> dict[str, Any]:
    # In T2 the resolution tag is that of the device's histograms and says nothing about the records.
    used = _IN_STREAM_INFO if t3 else _IN_STREAM_INFO - {"MeasDesc_Resolution"}
    return {name: value for name, value in tags.items() if name not in used and not isinstance(value, bytes)}
