"""PTU headers, built byte by byte."""

import contextlib
import math
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.formats.base import TagFileError, Verdict
from photonstream.nodes.formats.ptu import PtuFormat

INT, FLOAT, BOOL, BITS, COLOR, EMPTY = 0x10000008, 0x20000008, 0x8, 0x11000008, 0x12000008, 0xFFFF0008
DATE, FLOATS, ANSI, WIDE, BLOB = 0x21000008, 0x2001FFFF, 0x4001FFFF, 0x4002FFFF, 0xFFFFFFFF

HYDRAHARP_V2_T3, GENERIC_T2, PICOHARP_T3 = 0x01010304, 0x00010207, 0x00010303


def tag(name, kind, value=0, index=-1):
    """One tag; ``value`` is a number, or bytes that follow the tag."""
    payload = value if isinstance(value, bytes) else b""
    number = len(payload) if isinstance(value, bytes) else value
    packed = struct.pack("<d", number) if isinstance(number, float) else struct.pack("<q", number)
    return struct.pack("<32siI", name.encode(), index, kind) + packed + payload


MANDATORY = {
    "TTResultFormat_TTTRRecType": tag("TTResultFormat_TTTRRecType", INT, HYDRAHARP_V2_T3),
    "MeasDesc_GlobalResolution": tag("MeasDesc_GlobalResolution", FLOAT, 1.0 / 5000003),
    "MeasDesc_Resolution": tag("MeasDesc_Resolution", FLOAT, 64e-12),
}


def ptu(*tags, records=b"", without=(), end=True):
    head = b"PQTTTR\0\0" + b"1.0.00\0\0"
    given_tags = [mandatory for name, mandatory in MANDATORY.items() if name not in without]
    return head + b"".join([*given_tags, *tags]) + (tag("Header_End", EMPTY) if end else b"") + records


@pytest.fixture
def opened(tmp_path):
    def open_bytes(content):
        path = tmp_path / "file"
        path.write_bytes(content)
        return PtuFormat().open(path)

    return open_bytes


def test_stream_info_holds_the_headers_own_numbers(opened):
    file = opened(
        ptu(
            tag("TTResult_SyncRate", INT, 5000003),
            tag("HWSync_Divider", INT, 4),
            tag("HW_InpChannels", INT, 8),
            tag("TTResult_NumberOfRecords", INT, 2),
            tag("File_Comment", ANSI, b"NC 12\0\0\0"),
            tag("File_CreatingTime", DATE, 43845.5),
            tag("HWInpChan_CFDLevel", INT, -80, 0),
            tag("HWInpChan_CFDLevel", INT, -90, 1),
            records=bytes(8),
        )
    )
    info = file.info
    assert (info.format, info.record_type, info.mode) == ("PTU 1.0.00", "HydraHarp v2 T3", "T3")
    assert info.macrotime_unit_s == 1.0 / 5000003
    assert info.dtime_resolution_s == 64e-12
    assert info.sync_rate_hz == 5000003.0
    assert (info.sync_divider, info.channels) == (4, 8)
    assert info.comment == "NC 12"
    assert info.created == "2020-01-15T12:00:00.000"
    assert info.settings == {"HWInpChan_CFDLevel(0)": -80, "HWInpChan_CFDLevel(1)": -90}
    assert (file.declared_records, file.records, file.notes) == (2, 2, ())
    assert file.data_offset == len(file.path.read_bytes()) - 8


def test_every_type_of_tag(opened):
    header = opened(
        ptu(
            tag("empty", EMPTY),
            tag("true", BOOL, -1),
            tag("false", BOOL, 0),
            tag("int", INT, -7),
            tag("bits", BITS, -1),
            tag("color", COLOR, 0xFF00FF),
            tag("float", FLOAT, 2.5),
            tag("nan", FLOAT, math.nan),
            tag("date", DATE, 43845.25),
            tag("unix date", DATE, 13334234245.695),
            tag("floats", FLOATS, struct.pack("<3d", 1, 2, 3)),
            tag("odd floats", FLOATS, struct.pack("<d", 1) + b"xyz"),
            tag("ansi", ANSI, b"5 \xb5W   "),
            tag("wide", WIDE, "Größe\0".encode("utf-16-le")),
            tag("half wide", WIDE, b"a\0b"),
            tag("blob", BLOB, b"\0\1\2"),
            tag("new inline", 0x77770008, 5),
            tag("new behind", 0x7777FFFF, b"abc"),
        )
    ).header
    assert header["empty"] is None
    assert (header["true"], header["false"]) == (True, False)
    assert (header["int"], header["bits"], header["color"]) == (-7, 2**64 - 1, 0xFF00FF)
    assert header["float"] == 2.5
    assert math.isnan(header["nan"])
    assert header["date"] == "2020-01-15T06:00:00.000"
    assert header["unix date"] == 13334234245.695
    assert (header["floats"], header["odd floats"]) == ((1.0, 2.0, 3.0), (1.0,))
    assert (header["ansi"], header["wide"]) == ("5 µW", "Größe")
    assert header["half wide"].startswith("a")
    assert header["blob"] == b"\0\1\2"
    assert header["new inline"] == struct.pack("<q", 5)
    assert header["new behind"] == b"abc"


def test_space_padded_names(opened):
    name = b"TTResult_SyncRate".ljust(32)
    raw = name + struct.pack("<iIq", -1, INT, 80000000)
    assert opened(ptu(raw)).info.sync_rate_hz == 8e7


def test_t2_takes_the_device_tick_as_its_resolution(opened):
    file = opened(
        ptu(
            tag("TTResultFormat_TTTRRecType", INT, GENERIC_T2),
            tag("MeasDesc_GlobalResolution", FLOAT, 5e-12),
            tag("MeasDesc_Resolution", FLOAT, 80e-12),
            without=MANDATORY,
        )
    )
    assert (file.info.mode, file.info.macrotime_unit_s, file.info.dtime_resolution_s) == ("T2", 5e-12, 5e-12)
    assert file.info.settings["MeasDesc_Resolution"] == 80e-12


@pytest.mark.parametrize(("rate", "sync_rate_hz"), [(0, None), (-5, None), (1, 1.0)])
def test_sync_rate_of_nothing_is_unknown(opened, rate, sync_rate_hz):
    assert opened(ptu(tag("TTResult_SyncRate", INT, rate))).info.sync_rate_hz == sync_rate_hz


@pytest.mark.parametrize(("said", "channels"), [(3, 3), (64, 64), (0, 64), (-1, 64), (10**9, 64)])
def test_channels_are_what_the_header_says_where_that_is_possible(opened, said, channels):
    assert opened(ptu(tag("HW_InpChannels", INT, said))).info.channels == channels


def test_picoharp_inputs_are_those_of_its_router(opened):
    kind = tag("TTResultFormat_TTTRRecType", INT, PICOHARP_T3)
    file = opened(ptu(kind, tag("HW_InpChannels", INT, 2), without=["TTResultFormat_TTTRRecType"]))
    assert file.info.channels == 4


def test_a_mode_that_contradicts_the_records_is_a_note(opened):
    assert "T2" in opened(ptu(tag("Measurement_Mode", INT, 2))).notes[0]
    assert "T3" not in " ".join(opened(ptu(tag("Measurement_Mode", INT, 3))).notes)


def test_a_tag_that_comes_twice_is_a_note(opened):
    file = opened(ptu(tag("a", INT, 1), tag("a", INT, 2)))
    assert file.header["a"] == 2
    assert "more than once" in file.notes[0]


def test_interrupted_recording_holds_every_whole_record(opened):
    file = opened(ptu(tag("TTResult_NumberOfRecords", INT, 0), records=b"\1\0\0\0\2\0\0\0\3\0"))
    assert [block.tolist() for block in file.blocks()] == [[1, 2]]
    assert len(file.notes) == 2


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (ptu(without=["TTResultFormat_TTTRRecType"]), "TTResultFormat_TTTRRecType is missing"),
        (ptu(without=["MeasDesc_GlobalResolution"]), "MeasDesc_GlobalResolution is missing"),
        (ptu(without=["MeasDesc_Resolution"]), "MeasDesc_Resolution is missing"),
        (ptu(tag("MeasDesc_Resolution", ANSI, b"4 ps")), "MeasDesc_Resolution is of the wrong type"),
        (ptu(tag("MeasDesc_Resolution", FLOAT, math.nan)), "MeasDesc_Resolution is of the wrong type"),
        (ptu(tag("MeasDesc_GlobalResolution", FLOAT, -1.0)), "which no device has"),
        (ptu(tag("TTResultFormat_TTTRRecType", INT, 0x00010309)), "unknown record type 0x00010309"),
        (ptu(tag("TTResultFormat_BitsPerRecord", INT, 64)), "records of 64 bits"),
        (
            ptu(tag("x", INT), tag("odd", 0x12345678)),
            r"'odd' has an impossible type 0x12345678 \(at byte 208\)",
        ),
        (ptu(tag("long", ANSI, 2**62)), r"'long' has an impossible length of 4611686018427387904 bytes"),
        (ptu(tag("long", ANSI, 10**7)), r"the header is cut short: .*'long'"),
        (ptu(tag("negative", BLOB, -1)), r"'negative' has an impossible length of -1 bytes \(at byte 160\)"),
        (ptu(end=False), "the header is cut short"),
        (b"PQHISTO\0" + ptu()[8:], "not a PTU file"),
    ],
)
def test_errors_name_file_byte_and_cause(opened, content, cause):
    with pytest.raises(TagFileError, match=cause) as caught:
        opened(content)
    assert str(caught.value).startswith(str(caught.value.path))
    assert f"at byte {caught.value.offset}" in str(caught.value)


def test_a_header_without_end_is_given_up(opened):
    with pytest.raises(TagFileError, match="no end"):
        opened(ptu(*[tag("again", INT)] * 70000, end=False))


def test_absurd_lengths_allocate_nothing(opened):
    content = ptu(*[tag("long", BLOB, 15 << 20)] * 3)
    tracemalloc.start()
    try:
        with pytest.raises(TagFileError):
            opened(content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


FULL = ptu(
    tag("TTResult_NumberOfRecords", INT, 3),
    tag("File_Comment", ANSI, b"a comment\0"),
    tag("wide", WIDE, "wide".encode("utf-16-le")),
    tag("floats", FLOATS, bytes(16)),
    tag("date", DATE, 43845.5),
    records=bytes(12),
)


def test_cut_anywhere_in_its_header_it_is_cut_short(opened):
    for length in range(len(FULL) - 12):
        with pytest.raises(TagFileError, match="cut short"):
            opened(FULL[:length])
    assert opened(FULL[:-12]).records == 0


@settings(max_examples=300)
@given(
    flips=st.lists(st.tuples(st.integers(0, len(FULL) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    length=st.integers(0, len(FULL)),
)
def test_damage_gives_a_result_or_a_tag_file_error(tmp_path_factory, flips, length):
    damaged = bytearray(FULL)
    for place, byte in flips:
        damaged[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.ptu"
    for content in (damaged, damaged[:length]):
        path.write_bytes(content)
        with contextlib.suppress(TagFileError):
            file = PtuFormat().open(path)
            assert sum(block.size for block in file.blocks()) == file.records <= len(FULL) // 4


def test_every_single_byte_replaced_gives_a_result_or_a_tag_file_error(opened):
    outcomes = set()
    for place in range(len(FULL) - 12):
        for byte in (0x00, 0xFF, FULL[place] ^ 0x80):
            try:
                outcomes.add(opened(FULL[:place] + bytes([byte]) + FULL[place + 1 :]).records)
            except TagFileError:
                outcomes.add(None)
    assert outcomes >= {None, 3}


def test_sniffs_by_its_magic():
    assert PtuFormat().sniff(FULL[:64]) is Verdict.YES
    assert PtuFormat().sniff(b"PQTT") is Verdict.MORE
    assert PtuFormat().sniff(b"PQHISTO\0") is Verdict.NO
