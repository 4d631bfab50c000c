"""The writer of .ptu files, by what other readers make of its files."""

import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import ptufile
import pytest
import tttrlib

from photonstream.nodes.formats.ptu_write import PtuWriter, encode_tag
from photonstream.nodes.formats.records import (
    GENERIC_T3,
    HYDRAHARP_V2_T3,
    RECORD_TYPES,
    RecordType,
)

# Photons of channels 0 and 1 after pulses 1, 2 and, one wrap later, 1024 + 3.
RECORDS = np.array(
    [100 << 10 | 1, 1 << 25 | 200 << 10 | 2, 0x80000000 | 63 << 25 | 1, 300 << 10 | 3], np.uint32
)


def writer(path: Path, kind: RecordType = HYDRAHARP_V2_T3, **more: Any) -> PtuWriter:
    return PtuWriter(
        path,
        record_type=kind,
        macrotime_unit_s=1 / 4.75e6,
        dtime_resolution_s=64e-12,
        sync_rate_hz=4.75e6,
        **more,
    )


def test_every_record_type_opens_with_its_code(tmp_path: Path) -> None:
    for kind in RECORD_TYPES:
        with writer(tmp_path / "x.ptu", kind):
            pass
        with ptufile.PtuFile(tmp_path / "x.ptu") as file:
            assert file.tags["TTResultFormat_TTTRRecType"] == kind.code
            assert file.tags["Measurement_Mode"] == int(kind.mode[1])


def test_header_says_what_was_given(tmp_path: Path) -> None:
    created = datetime(2024, 5, 17, 13, 14, 15, 250000)
    more = {
        "comment": "Grün, 640 nm",
        "created": created,
        "guid": "{12345678-1234-1234-1234-123456789012}",
        "sync_divider": 4,
        "settings": {
            "HWInpChan_Offset(0)": -5,
            "HWInpChan_Offset(1)": 7,
            "A_flag": True,
            "HW_BaseResolution": 1e-12,
        },
    }
    with writer(tmp_path / "x.ptu", GENERIC_T3, **more) as ptu:
        ptu.write(RECORDS)
        ptu.close(elapsed_s=1.5)
    with ptufile.PtuFile(tmp_path / "x.ptu") as file:
        tags = file.tags
    assert tags["File_Comment"] == "Grün, 640 nm"
    assert abs((tags["File_CreatingTime"] - created).total_seconds()) < 1e-3
    assert tags["File_GUID"] == more["guid"]
    assert tags["HWSync_Divider"] == 4
    assert tags["HWInpChan_Offset"] == [-5, 7]
    assert tags["A_flag"] is True
    assert tags["HW_BaseResolution"] == 1e-12
    assert tags["MeasDesc_GlobalResolution"] == 1 / 4.75e6
    assert tags["MeasDesc_Resolution"] == 64e-12
    assert tags["TTResult_SyncRate"] == 4750000
    assert tags["TTResult_NumberOfRecords"] == 4
    assert tags["TTResult_StopAfter"] == tags["MeasDesc_AcquisitionTime"] == 1500


def test_other_readers_read_the_records(tmp_path: Path) -> None:
    with writer(tmp_path / "x.ptu") as ptu:
        ptu.write(RECORDS[:1])
        ptu.write(RECORDS[1:])
    with ptufile.PtuFile(tmp_path / "x.ptu") as file:
        records = file.decode_records()
    records = records[records["channel"] >= 0]
    assert records["time"].tolist() == [1, 2, 1027]
    assert records["dtime"].tolist() == [100, 200, 300]
    other = tttrlib.TTTR(str(tmp_path / "x.ptu"), "PTU")
    assert other.macro_times.tolist() == [1, 2, 1027]
    assert other.micro_times.tolist() == [100, 200, 300]
    assert other.routing_channels.tolist() == [0, 1, 0]


def test_a_growing_file_is_readable_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "x.ptu"
    ptu = writer(path)
    header_bytes = path.stat().st_size
    with ptufile.PtuFile(path) as file:
        assert file.tags["TTResult_NumberOfRecords"] == 0
    ptu.write(RECORDS)
    assert path.read_bytes()[header_bytes:] == RECORDS.astype("<u4").tobytes()
    ptu.update(elapsed_s=0.25)
    with ptufile.PtuFile(path) as file:
        assert file.tags["TTResult_NumberOfRecords"] == 4
        assert file.tags["TTResult_StopAfter"] == 250
    ptu.write(RECORDS)
    ptu.close()
    ptu.close()
    with ptufile.PtuFile(path) as file:
        assert file.tags["TTResult_NumberOfRecords"] == 8
    assert path.stat().st_size == header_bytes + 32


def test_records_in_any_memory_layout(tmp_path: Path) -> None:
    swapped = np.repeat(RECORDS, 2)[::2].astype(">u4")
    with writer(tmp_path / "x.ptu") as ptu:
        ptu.write(swapped)
        ptu.write(np.empty(0, np.uint32))
    assert (tmp_path / "x.ptu").read_bytes().endswith(RECORDS.astype("<u4").tobytes())
    assert ptu.records == 4


def test_what_was_written_survives_an_error(tmp_path: Path) -> None:
    def record() -> None:
        with writer(tmp_path / "x.ptu") as ptu:
            ptu.write(RECORDS)
            raise RuntimeError("device gone")

    with pytest.raises(RuntimeError, match="device gone"):
        record()
    with ptufile.PtuFile(tmp_path / "x.ptu") as file:
        assert file.tags["TTResult_NumberOfRecords"] == 4


def test_exclusive_keeps_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "x.ptu").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        writer(tmp_path / "x.ptu", exclusive=True)
    assert (tmp_path / "x.ptu").read_bytes() == b"precious"


def test_bytes_of_a_tag() -> None:
    assert encode_tag("Name(3)", 5) == b"Name".ljust(32, b"\0") + struct.pack("<iIq", 3, 0x10000008, 5)
    text = encode_tag("T", "1234567")
    assert text == b"T".ljust(32, b"\0") + struct.pack("<iIq", -1, 0x4001FFFF, 8) + b"1234567\0"


@pytest.mark.parametrize(("name", "value"), [("x" * 33, 1), ("x", [1, 2]), ("ü", 1)])
def test_tags_that_cannot_be_are_refused(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"tag|ascii"):
        writer(tmp_path / "x.ptu", settings={name: value})
    assert not (tmp_path / "x.ptu").exists()
