"""PicoQuant's older tag files with fixed headers: .pt2 and .pt3 (PicoHarp), .ht2 and .ht3 (HydraHarp).

Source: PicoQuant's published descriptions of PicoHarp file format 2.0 and HydraHarp file formats 1.0 and
2.0. All numbers are little-endian; a header is packed without alignment. Fields keep PicoQuant's names.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from photonstream.nodes.formats import records
from photonstream.nodes.formats.base import (
    LONGEST_UNIT_S,
    SHORTEST_UNIT_S,
    HeaderReader,
    TagFile,
    Verdict,
    match_magic,
    padded_text,
    settle_records,
)
from photonstream.nodes.formats.records import RecordType
from photonstream.stream.chunk import StreamInfo

Fields = tuple[tuple[str, str], ...]

PICOHARP, HYDRAHARP = "PicoHarp 300", "HydraHarp"
_IDENT_BYTES = 16

# (device, format version, measurement mode) -> what its records are
RECORD_TYPES: Mapping[tuple[str, str, int], RecordType] = {
    (PICOHARP, "2.0", 2): records.PICOHARP_T2,
    (PICOHARP, "2.0", 3): records.PICOHARP_T3,
    (HYDRAHARP, "1.0", 2): records.HYDRAHARP_V1_T2,
    (HYDRAHARP, "1.0", 3): records.HYDRAHARP_V1_T3,
    (HYDRAHARP, "2.0", 2): records.HYDRAHARP_V2_T2,
    (HYDRAHARP, "2.0", 3): records.HYDRAHARP_V2_T3,
}

# A PicoHarp's T2 tick is fixed by its hardware; its header holds the histogram's bin width.
PICOHARP_T2_TICK_S = 4e-12

_TEXT: Fields = (
    ("Ident", "16s"),
    ("FormatVersion", "6s"),
    ("CreatorName", "18s"),
    ("CreatorVersion", "12s"),
    ("FileTime", "18s"),
    ("CRLF", "2s"),
    ("CommentField", "256s"),
)
_DISPLAY: Fields = (
    ("DispLinLog", "i"),
    ("DispTimeFrom", "i"),
    ("DispTimeTo", "i"),
    ("DispCountsFrom", "i"),
    ("DispCountsTo", "i"),
    ("DispCurves", "16i"),
    ("Params", "9f"),
    ("RepeatMode", "i"),
    ("RepeatsPerCurve", "i"),
    ("RepeatTime", "i"),
    ("RepeatWaitTime", "i"),
    ("ScriptName", "20s"),
)
_PICOHARP_SOFTWARE: Fields = (
    ("Curves", "i"),
    ("BitsPerRecord", "i"),
    ("RoutingChannels", "i"),
    ("NumberOfBoards", "i"),
    ("ActiveCurve", "i"),
    ("MeasurementMode", "i"),
    ("SubMode", "i"),
    ("RangeNo", "i"),
    ("Offset", "i"),
    ("AcquisitionTime", "i"),
    ("StopAt", "i"),
    ("StopOnOvfl", "i"),
    ("Restart", "i"),
    *_DISPLAY,
)
_PICOHARP_BOARD: Fields = (
    ("HardwareIdent", "16s"),
    ("HardwareVersion", "8s"),
    ("HardwareSerial", "i"),
    ("SyncDivider", "i"),
    ("CFDZeroCross0", "i"),
    ("CFDLevel0", "i"),
    ("CFDZeroCross1", "i"),
    ("CFDLevel1", "i"),
    ("Resolution", "f"),
    ("RouterModelCode", "i"),
    ("RouterEnabled", "i"),
)
_PICOHARP_ROUTER_INPUT: Fields = (
    ("RtChan_InputType", "i"),
    ("RtChan_InputLevel", "i"),
    ("RtChan_InputEdge", "i"),
    ("RtChan_CFDPresent", "i"),
    ("RtChan_CFDLevel", "i"),
    ("RtChan_CFDZeroCross", "i"),
)
_PICOHARP_ROUTER_INPUTS = 4
_PICOHARP_RUN: Fields = (
    ("ExtDevices", "i"),
    ("Reserved1", "i"),
    ("Reserved2", "i"),
    ("CntRate0", "i"),
    ("CntRate1", "i"),
    ("StopAfter", "i"),
    ("StopReason", "i"),
    ("Records", "i"),
    ("ImgHdrSize", "i"),
)
_HYDRAHARP_SOFTWARE: Fields = (
    ("Curves", "i"),
    ("BitsPerRecord", "i"),
    ("ActiveCurve", "i"),
    ("MeasurementMode", "i"),
    ("SubMode", "i"),
    ("Binning", "i"),
    ("Resolution", "d"),
    ("Offset", "i"),
    ("AcquisitionTime", "i"),
    ("StopAt", "i"),
    ("StopOnOvfl", "i"),
    ("Restart", "i"),
    *_DISPLAY,
)
_HYDRAHARP_HARDWARE: Fields = (
    ("HardwareIdent", "16s"),
    ("HardwarePartNo", "8s"),
    ("HardwareSerial", "i"),
    ("nModulesPresent", "i"),
    ("ModuleInfo", "20i"),
    ("BaseResolution", "d"),
    ("InputsEnabled", "Q"),
    ("InpChansPresent", "i"),
    ("RefClockSource", "i"),
    ("ExtDevices", "i"),
    ("MarkerSettings", "i"),
    ("SyncDivider", "i"),
    ("SyncCFDLevel", "i"),
    ("SyncCFDZeroCross", "i"),
    ("SyncOffset", "i"),
)
_HYDRAHARP_INPUT: Fields = (
    ("InputModuleIndex", "i"),
    ("InputCFDLevel", "i"),
    ("InputCFDZeroCross", "i"),
    ("InputOffset", "i"),
)
_HYDRAHARP_RATE: Fields = (("InputRate", "i"),)
_HYDRAHARP_RUN: Fields = (
    ("SyncRate", "i"),
    ("StopAfter", "i"),
    ("StopReason", "i"),
    ("ImgHdrSize", "i"),
    ("nRecords", "q"),
)

_IN_STREAM_INFO = frozenset({"Ident", "FormatVersion", "CRLF", "CommentField", "FileTime", "SyncDivider"})


class LegacyFormat:
    """Reads .pt2, .pt3, .ht2 and .ht3 files."""

    name = "PicoQuant legacy"

    def sniff(self, head: bytes) -> Verdict:
        """Say whether a file begins with the padded name of one of the two devices."""
        verdicts = [_match_ident(head, ident.encode()) for ident in (PICOHARP, HYDRAHARP)]
        if Verdict.YES in verdicts:
            return Verdict.YES
        return Verdict.MORE if Verdict.MORE in verdicts else Verdict.NO

    def open(self, path: Path) -> TagFile:
        """Read the header. Raises TagFileError."""
        with HeaderReader(path) as reader:
            header = _read_fields(reader, _TEXT, "the text header")
            if header["Ident"] == PICOHARP:
                _read_picoharp(reader, header)
            elif header["Ident"] == HYDRAHARP:
                _read_hydraharp(reader, header)
            else:
                raise reader.error("this is neither a PicoHarp nor a HydraHarp file", 0)
            _skip_image_header(reader, header)
            record_type = _record_type(reader, header)
            info = _stream_info(reader, header, record_type)
            data_offset, file_bytes = reader.offset, reader.file_bytes
        declared = header["Records" if header["Ident"] == PICOHARP else "nRecords"]
        present, notes = settle_records(declared, file_bytes, data_offset)
        return TagFile(
            path, info, record_type, tuple(notes), header, data_offset, declared, present, tuple(notes)
        )


def _match_ident(head: bytes, ident: bytes) -> Verdict:
    verdict = match_magic(head, ident)
    padding = head[len(ident) : _IDENT_BYTES]
    if padding.strip(b" \0"):
        return Verdict.NO
    return Verdict.MORE if verdict is Verdict.YES and len(head) < _IDENT_BYTES else verdict


def _read_fields(reader: HeaderReader, fields: Fields, what: str, index: int | None = None) -> dict[str, Any]:
    header: dict[str, Any] = {}
    for name, code in fields:
        values = struct.unpack(f"<{code}", reader.take(struct.calcsize(f"<{code}"), what))
        value = padded_text(values[0]) if code.endswith("s") else values if len(values) > 1 else values[0]
        header[name if index is None else f"{name}({index})"] = value
    return header


def _check_bits(reader: HeaderReader, header: Mapping[str, Any], versions: tuple[str, ...]) -> None:
    version, bits = header["FormatVersion"], header["BitsPerRecord"]
    if version not in versions:
        raise reader.error(f"{header['Ident']} file format {version!r} is not known", _IDENT_BYTES)
    if bits != 32:
        raise reader.error(f"records of {bits} bits, only 32 are known")


def _read_picoharp(reader: HeaderReader, header: dict[str, Any]) -> None:
    header |= _read_fields(reader, _PICOHARP_SOFTWARE, "the software settings")
    _check_bits(reader, header, ("2.0",))
    boards = header["NumberOfBoards"]
    if boards != 1:
        raise reader.error(f"the header speaks of {boards} boards, a PicoHarp has one")
    header |= _read_fields(reader, _PICOHARP_BOARD, "the board settings")
    for index in range(_PICOHARP_ROUTER_INPUTS):
        header |= _read_fields(reader, _PICOHARP_ROUTER_INPUT, "the router settings", index)
    header |= _read_fields(reader, _PICOHARP_RUN, "the run header")


def _read_hydraharp(reader: HeaderReader, header: dict[str, Any]) -> None:
    header |= _read_fields(reader, _HYDRAHARP_SOFTWARE, "the software settings")
    _check_bits(reader, header, ("1.0", "2.0"))
    header |= _read_fields(reader, _HYDRAHARP_HARDWARE, "the hardware settings")
    inputs = header["InpChansPresent"]
    if not 1 <= inputs <= records.HYDRAHARP_V2_T2.channels:
        raise reader.error(f"the header speaks of {inputs} detector inputs")
    for index in range(inputs):
        header |= _read_fields(reader, _HYDRAHARP_INPUT, "the input settings", index)
    for index in range(inputs):
        header |= _read_fields(reader, _HYDRAHARP_RATE, "the input rates", index)
    header |= _read_fields(reader, _HYDRAHARP_RUN, "the run header")


def _skip_image_header(reader: HeaderReader, header: dict[str, Any]) -> None:
    # The size counts 32-bit words. The longest image header of the format's description has 36 bytes.
    words = header["ImgHdrSize"]
    if not 0 <= words <= 4096:
        raise reader.error(f"the header has an impossible image header of {words} words")
    if words:
        header["ImgHdr"] = struct.unpack(f"<{words}i", reader.take(4 * words, "the image header"))


def _record_type(reader: HeaderReader, header: Mapping[str, Any]) -> RecordType:
    mode = header["MeasurementMode"]
    kind = RECORD_TYPES.get((header["Ident"], header["FormatVersion"], mode))
    if kind is None:
        histogram = ", a histogram without records" if mode == 0 else ""
        raise reader.error(f"unknown record type: {header['Ident']} measurement mode {mode}{histogram}")
    return kind


def _stream_info(reader: HeaderReader, header: Mapping[str, Any], record_type: RecordType) -> StreamInfo:
    picoharp = header["Ident"] == PICOHARP
    sync_rate_hz = header["CntRate0" if picoharp else "SyncRate"]
    # The PicoHarp gives its bin width in ns, the HydraHarp in ps.
    resolution_s = header["Resolution"] * (1e-9 if picoharp else 1e-12)
    if record_type is records.PICOHARP_T2:
        resolution_s = PICOHARP_T2_TICK_S
    if not SHORTEST_UNIT_S <= resolution_s <= LONGEST_UNIT_S:
        raise reader.error(f"the header says that the resolution is {resolution_s} s, which no device has")
    if record_type.mode == "T3" and sync_rate_hz <= 0:
        raise reader.error(f"the header says that the sync rate is {sync_rate_hz} Hz, so T3 has no time unit")
    return StreamInfo(
        format=f"{header['Ident']} {header['FormatVersion']}",
        record_type=record_type.name,
        mode=record_type.mode,
        macrotime_unit_s=1.0 / sync_rate_hz if record_type.mode == "T3" else resolution_s,
        dtime_resolution_s=resolution_s,
        sync_rate_hz=float(sync_rate_hz) if sync_rate_hz > 0 else None,
        sync_divider=max(1, header["SyncDivider"]),
        channels=_channels(header, record_type),
        created=_date(header["FileTime"]),
        comment=header["CommentField"] or None,
        settings={name: value for name, value in header.items() if name not in _IN_STREAM_INFO},
    )


def _channels(header: Mapping[str, Any], record_type: RecordType) -> int:
    if header["Ident"] == HYDRAHARP:
        return int(header["InpChansPresent"])
    # In T2 the sync input counts as a detector in front of the router's.
    inputs = header["RoutingChannels"] + (1 if record_type.mode == "T2" else 0)
    return int(inputs) if 1 <= inputs <= record_type.channels else record_type.channels


def _date(text: str) -> str | None:
    for style in ("%d/%m/%y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%y %H:%M"):
        try:
            return datetime.strptime(text.strip(), style).isoformat()
        except ValueError:
            continue
    return text.strip() or None
