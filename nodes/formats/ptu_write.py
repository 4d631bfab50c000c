"""Writes PicoQuant's unified tag files (.ptu): header first, then records as they come.

Source: PicoQuant's published description of the tagged file format; which tags are mandatory is said there.
The header never changes its length: what is known only later (how many records, how long) is kept at 0 and
overwritten in place. So a file whose writer was killed is an ordinary interrupted recording.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.base import RECORD_BYTES
from photonstream.nodes.formats.ptu import (
    GUID_TAG,
    MAGIC,
    TAG,
    TY_ANSI_STRING,
    TY_BOOL,
    TY_DATETIME,
    TY_EMPTY,
    TY_FLOAT,
    TY_INT,
    TY_WIDE_STRING,
)
from photonstream.nodes.formats.records import RecordType

VERSION = b"1.0.00\0\0"
CREATOR = "photonstream"

RECORDS_TAG = "TTResult_NumberOfRecords"
# Elapsed time in ms; MeasDesc_AcquisitionTime, in ms too, is the time that was asked for.
ELAPSED_TAG = "TTResult_StopAfter"
ASKED_TAG = "MeasDesc_AcquisitionTime"

_NAME_BYTES = 32
_DATE_ZERO = datetime(1899, 12, 30)


class PtuWriter:
    """A .ptu file that grows: the header is written at once, records are appended, the count follows them.

    ``record_type`` is a type of `records`, ``macrotime_unit_s`` the sync period (T3) or the device's tick
    (T2), ``dtime_resolution_s`` the width of a TCSPC bin (T3) or the tick. ``settings`` are further tags by
    name (bool, int, float, str or datetime; an index in brackets, as in ``HWInpChan_Offset(0)``). ``created``
    and ``guid`` are taken from the clock and drawn when they are None. An existing file is overwritten unless
    ``exclusive``, in which case FileExistsError is raised.

    Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        record_type: RecordType,
        macrotime_unit_s: float,
        dtime_resolution_s: float,
        sync_rate_hz: float | None,
        sync_divider: int = 1,
        channels: int = 2,
        comment: str = "",
        created: datetime | None = None,
        guid: str | None = None,
        settings: Mapping[str, Any] | None = None,
        exclusive: bool = False,
    ) -> None:
        self.guid = guid or f"{{{str(uuid.uuid4()).upper()}}}"
        tags: dict[str, Any] = {
            GUID_TAG: self.guid,
            "File_AssuredContent": "",
            "CreatorSW_ContentVersion": "1.0",
            "CreatorSW_Name": CREATOR,
            "CreatorSW_Version": "1.0",
            "File_CreatingTime": created or datetime.now(),
            "File_Comment": comment,
            "Measurement_Mode": 3 if record_type.mode == "T3" else 2,
            "Measurement_SubMode": 0,
            "TTResult_StopReason": 0,
            "TTResultFormat_TTTRRecType": record_type.code,
            "TTResultFormat_BitsPerRecord": 32,
            ASKED_TAG: 0,
            "HW_Type": record_type.device.partition(",")[0],
            "HW_PartNo": "",
            "HW_Version": "2.0",
            "HW_SerialNo": "",
            "HW_InpChannels": channels,
            "HWSync_Divider": sync_divider,
            "MeasDesc_Resolution": float(dtime_resolution_s),
            "MeasDesc_GlobalResolution": float(macrotime_unit_s),
            "TTResult_SyncRate": round(sync_rate_hz or 0),
            ELAPSED_TAG: 0,
            **(settings or {}),
            # Last, because the record count is the one tag that readers expect close to the records.
            RECORDS_TAG: 0,
        }
        header, self._places = encode_header(tags)
        self.path = Path(path)
        self.data_offset = len(header)
        self.records = 0
        self._file = self.path.open("xb" if exclusive else "wb", buffering=0)
        self._write_all(header)

    def write(self, records: NDArray[np.uint32]) -> None:
        """Append raw records, a one-dimensional array."""
        little_endian = np.ascontiguousarray(records, "<u4")
        self._write_all(little_endian.data.cast("B"))
        self.records += int(little_endian.size)

    def update(self, elapsed_s: float = 0.0, records: int | None = None) -> None:
        """Bring the header up to what has been written, or to the first ``records`` of it.

        The count never runs ahead of its records.
        """
        self._overwrite(ELAPSED_TAG, round(elapsed_s * 1000))
        self._overwrite(RECORDS_TAG, self.records if records is None else records)

    def fileno(self) -> int:
        """The descriptor of the file, for whoever wants it to reach the disk."""
        return self._file.fileno()

    def keep_whole(self) -> None:
        """After a write that failed: keep what it wrote as far as that is whole records."""
        size = self._file.seek(0, os.SEEK_END)
        self.records = (size - self.data_offset) // RECORD_BYTES
        self._file.truncate(self.data_offset + self.records * RECORD_BYTES)
        self._file.seek(0, os.SEEK_END)

    def close(self, elapsed_s: float = 0.0, complete_tag: str | None = None) -> None:
        """Fill in the record count and the acquisition time, and close the file; again does nothing.

        ``complete_tag``, a bool of the settings, is made true as the very last, when all else has reached the disk.
        """
        if self._file.closed:
            return
        try:
            self._overwrite(ASKED_TAG, round(elapsed_s * 1000))
            self.update(elapsed_s)
            if complete_tag is not None:
                os.fsync(self._file.fileno())
                self._overwrite(complete_tag, -1)
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def __enter__(self) -> PtuWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _overwrite(self, tag: str, value: int) -> None:
        end = self._file.tell()
        self._file.seek(self._places[tag])
        self._write_all(struct.pack("<q", value))
        self._file.seek(end)

    def _write_all(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]


def encode_header(tags: Mapping[str, Any]) -> tuple[bytes, dict[str, int]]:
    """The bytes of a header with these tags, and by tag the place of its 8-byte value.

    Raises ValueError for a name that does not fit and a value of a type that has no tag type.
    """
    header = bytearray(MAGIC + VERSION)
    places = {}
    for key, value in tags.items():
        places[key] = len(header) + TAG.size - 8
        header += encode_tag(key, value)
    header += encode_tag("Header_End", None)
    return bytes(header), places


def encode_tag(key: str, value: Any) -> bytes:
    """One tag; ``key`` may end with an index in brackets. Raises ValueError as `encode_header` does."""
    name, bracket, rest = key.partition("(")
    index = int(rest.rstrip(")")) if bracket else -1
    raw_name = name.encode("ascii")
    if len(raw_name) > _NAME_BYTES:
        raise ValueError(f"the tag name {name!r} is longer than {_NAME_BYTES} bytes")
    kind, raw_value, payload = _encode_value(key, value)
    return TAG.pack(raw_name, index, kind, raw_value) + payload


def _encode_value(key: str, value: Any) -> tuple[int, bytes, bytes]:
    if value is None:
        return TY_EMPTY, bytes(8), b""
    if isinstance(value, bool):
        return TY_BOOL, struct.pack("<q", -1 if value else 0), b""
    if isinstance(value, int):
        return TY_INT, struct.pack("<q", value), b""
    if isinstance(value, float):
        return TY_FLOAT, struct.pack("<d", value), b""
    if isinstance(value, datetime):
        days = (value.replace(tzinfo=None) - _DATE_ZERO) / timedelta(days=1)
        return TY_DATETIME, struct.pack("<d", days), b""
    if isinstance(value, str):
        # Ends with a NUL and is padded to whole words, as the description asks for. ANSI text has no stated
        # code page, so what is not ASCII goes out as UTF-16.
        kind, coding = (TY_ANSI_STRING, "ascii") if value.isascii() else (TY_WIDE_STRING, "utf-16-le")
        raw = (value + "\0").encode(coding)
        raw += bytes(-len(raw) % 8)
        return kind, struct.pack("<q", len(raw)), raw
    raise ValueError(f"the tag {key} cannot hold a value of type {type(value).__name__}")
