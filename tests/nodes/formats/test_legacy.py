"""Headers of .pt2, .pt3, .ht2 and .ht3 files, built byte by byte."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.formats.base import TagFileError, Verdict
from photonstream.nodes.formats.legacy import LegacyFormat


def text_header(ident, version, pad=b"\0", comment=b"a comment", when=b"18/10/13 14:34:28"):
    fields = [
        (ident, 16),
        (version, 6),
        (b"Software", 18),
        (b"1.0", 12),
        (when, 18),
        (b"\r\n", 2),
        (comment, 256),
    ]
    return b"".join(text.ljust(width, pad) for text, width in fields)


def display():
    return struct.pack("<5i", 1, 0, 66, 1, 65535) + bytes(64) + bytes(36) + bytes(16) + bytes(20)


def picoharp(
    mode=3,
    version=b"2.0",
    bits=32,
    routing=4,
    resolution_ns=0.016,
    rate=78133041,
    records=2,
    image_words=0,
    boards=1,
    divider=8,
    pad=b"\0",
    **text,
):
    software = struct.pack("<13i", 0, bits, routing, boards, 0, mode, 0, 2, 0, 36000, 0, 0, 0) + display()
    board = b"PicoHarp 300".ljust(16, pad) + b"2.0".ljust(8, pad)
    board += struct.pack("<6ifii", 1013247, divider, 10, 120, 11, 400, resolution_ns, 0, 1)
    router = b"".join(struct.pack("<6i", 1, -200 - index, 0, 1, 50, 10) for index in range(4))
    run = struct.pack("<9i", 0, 0, 0, rate, 88739, 11080, 1, records, image_words)
    return text_header(b"PicoHarp 300", version, pad, **text) + software + board + router + run


def hydraharp(
    mode=3,
    version=b"2.0",
    bits=32,
    inputs=2,
    resolution_ps=16.0,
    rate=998898,
    records=2,
    image_words=0,
    **text,
):
    software = struct.pack("<6id5i", 0, bits, 0, mode, 0, 4, resolution_ps, 0, 10000, -1, 0, 0) + display()
    hardware = b"HydraHarp 400".ljust(16, b"\0") + b"930021".ljust(8, b"\0")
    hardware += struct.pack("<22id", 1018786, 4, *range(20), 1.0)
    hardware += struct.pack("<Q8i", 15, inputs, 0, 0, 3855, 2, 50, 10, -10000)
    settings = b"".join(struct.pack("<4i", 2, 50 + index, 10, 0) for index in range(max(0, inputs)))
    rates = b"".join(struct.pack("<i", 1000 + index) for index in range(max(0, inputs)))
    run = struct.pack("<4iq", rate, 10000, 0, image_words, records)
    return text_header(b"HydraHarp", version, **text) + software + hardware + settings + rates + run


TWO_RECORDS = struct.pack("<2I", 7, 8)


@pytest.fixture
def opened(tmp_path):
    def open_bytes(content):
        path = tmp_path / "file"
        path.write_bytes(content)
        return LegacyFormat().open(path)

    return open_bytes


def test_header_lengths_are_those_of_the_formats():
    assert len(picoharp()) == 728
    assert len(hydraharp(inputs=4)) == 800
    assert len(hydraharp(inputs=8)) == 880


def test_picoharp_t3(opened):
    file = opened(picoharp() + TWO_RECORDS)
    info = file.info
    assert (info.format, info.record_type) == ("PicoHarp 300 2.0", "PicoHarp T3")
    assert info.macrotime_unit_s == 1.0 / 78133041
    assert info.dtime_resolution_s == pytest.approx(16e-12, rel=1e-7)
    assert (info.sync_rate_hz, info.sync_divider, info.channels) == (78133041.0, 8, 4)
    assert (info.created, info.comment) == ("2013-10-18T14:34:28", "a comment")
    assert info.settings["HardwareSerial"] == 1013247
    assert info.settings["AcquisitionTime"] == 36000
    assert (info.settings["CFDLevel0"], info.settings["CFDLevel1"]) == (120, 400)
    assert info.settings["RtChan_InputLevel(3)"] == -203
    assert (info.settings["StopAfter"], info.settings["StopReason"]) == (11080, 1)
    assert (file.data_offset, file.declared_records, file.records, file.notes) == (728, 2, 2, ())
    assert [block.tolist() for block in file.blocks()] == [[7, 8]]


def test_picoharp_t2_has_a_fixed_tick_and_counts_the_sync_input(opened):
    info = opened(picoharp(mode=2, resolution_ns=0.5, routing=1)).info
    assert (info.record_type, info.mode) == ("PicoHarp T2", "T2")
    assert info.macrotime_unit_s == info.dtime_resolution_s == 4e-12
    assert info.channels == 2


@pytest.mark.parametrize(("version", "firmware"), [(b"1.0", "v1"), (b"2.0", "v2")])
def test_hydraharp(opened, version, firmware):
    info = opened(hydraharp(version=version)).info
    assert (info.record_type, info.macrotime_unit_s) == (f"HydraHarp {firmware} T3", 1.0 / 998898)
    assert (info.dtime_resolution_s, info.sync_divider, info.channels) == (16.0 * 1e-12, 2, 2)
    info = opened(hydraharp(version=version, mode=2, resolution_ps=0.5)).info
    assert (info.record_type, info.macrotime_unit_s) == (f"HydraHarp {firmware} T2", 5e-13)
    assert info.settings["SyncCFDLevel"] == 50
    assert [info.settings[f"InputCFDLevel({index})"] for index in (0, 1)] == [50, 51]
    assert [info.settings[f"InputRate({index})"] for index in (0, 1)] == [1000, 1001]


def test_space_padded_strings(opened):
    file = opened(picoharp(pad=b" ", when=b"10/03/2014 16:59", comment=b"") + TWO_RECORDS)
    assert file.info.format == "PicoHarp 300 2.0"
    assert (file.info.created, file.info.comment) == ("2014-03-10T16:59:00", None)
    assert LegacyFormat().sniff(b"PicoHarp 300".ljust(16)) is Verdict.YES


def test_texts_of_any_encoding_and_dates_of_any_style(opened):
    info = opened(hydraharp(comment=b"20 \xb0C", when=b"yesterday")).info
    assert (info.comment, info.created) == ("20 °C", "yesterday")
    assert opened(hydraharp(when=b"")).info.created is None


def test_an_image_header_is_stepped_over(opened):
    file = opened(hydraharp(image_words=3) + struct.pack("<3i", 1, 2, 3) + TWO_RECORDS)
    assert file.header["ImgHdr"] == (1, 2, 3)
    assert [block.tolist() for block in file.blocks()] == [[7, 8]]


def test_t2_without_sync_has_no_sync_rate(opened):
    assert opened(hydraharp(mode=2, rate=0)).info.sync_rate_hz is None
    assert opened(picoharp(divider=0)).info.sync_divider == 1


def test_a_promise_of_more_records_is_a_note(opened):
    file = opened(hydraharp(records=72463591) + TWO_RECORDS)
    assert (file.declared_records, file.records) == (72463591, 2)
    assert len(file.notes) == 1


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (picoharp(version=b"3.0"), r"PicoHarp 300 file format '3.0' is not known \(at byte 16\)"),
        (hydraharp(version=b"9"), "HydraHarp file format '9' is not known"),
        (picoharp(mode=0), "measurement mode 0, a histogram"),
        (hydraharp(mode=7), "unknown record type: HydraHarp measurement mode 7"),
        (picoharp(bits=64), "records of 64 bits"),
        (picoharp(boards=2), "2 boards"),
        (hydraharp(inputs=-1), "-1 detector inputs"),
        (hydraharp(inputs=0), "0 detector inputs"),
        (hydraharp(inputs=65), "65 detector inputs"),
        (picoharp(rate=0), "sync rate is 0 Hz"),
        (hydraharp(rate=-3), "sync rate is -3 Hz"),
        (picoharp(resolution_ns=float("nan")), "resolution is nan"),
        (hydraharp(resolution_ps=-1.0), "which no device has"),
        (picoharp(image_words=-1), "impossible image header of -1 words"),
        (hydraharp(image_words=2**30), "impossible image header"),
        (hydraharp(image_words=9), "cut short"),
        (text_header(b"TimeHarp 200", b"6.0"), "neither a PicoHarp nor a HydraHarp"),
    ],
)
def test_errors_name_the_cause(opened, content, cause):
    with pytest.raises(TagFileError, match=cause):
        opened(content)


@pytest.mark.parametrize("content", [picoharp(), hydraharp(), hydraharp(mode=2, image_words=2) + bytes(8)])
def test_cut_anywhere_in_its_header_it_is_cut_short(opened, content):
    for length in range(len(content)):
        with pytest.raises(TagFileError, match="cut short"):
            opened(content[:length])
    assert opened(content).records == 0


@settings(max_examples=200)
@given(
    original=st.sampled_from([picoharp() + TWO_RECORDS, hydraharp(mode=2) + TWO_RECORDS]),
    flips=st.lists(st.tuples(st.integers(0, 735), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damage_gives_a_result_or_a_tag_file_error(tmp_path_factory, original, flips):
    damaged = bytearray(original)
    for place, byte in flips:
        damaged[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    with contextlib.suppress(TagFileError):
        file = LegacyFormat().open(path)
        assert sum(block.size for block in file.blocks()) == file.records


def test_every_single_byte_replaced_gives_a_result_or_a_tag_file_error(opened):
    content = hydraharp() + TWO_RECORDS
    outcomes = set()
    for place in range(328, len(content) - 8):
        for byte in (0x00, 0xFF, content[place] ^ 0x80):
            try:
                outcomes.add(opened(content[:place] + bytes([byte]) + content[place + 1 :]).records)
            except TagFileError:
                outcomes.add(None)
    assert outcomes >= {None, 2}


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (b"Pico", Verdict.MORE),
        (b"HydraHarp\0\0", Verdict.MORE),
        (b"HydraHarp".ljust(16, b"\0"), Verdict.YES),
        (b"HydraHarp of Lerna", Verdict.NO),
        (b"PicoHarp 330    ", Verdict.NO),
        (b"PQTTTR\0\0", Verdict.NO),
        (b"\x89HDF", Verdict.NO),
    ],
)
def test_sniffs_by_its_ident(head, verdict):
    assert LegacyFormat().sniff(head) is verdict
