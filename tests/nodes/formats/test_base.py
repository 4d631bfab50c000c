"""Raw records from a file: which ones count, and reading them whole."""

import numpy as np
import pytest

from photonstream.nodes.formats.base import (
    HeaderReader,
    TagFile,
    TagFileError,
    Verdict,
    count_whole_records,
    match_magic,
    open_raw,
    padded_text,
    read_records,
    settle_records,
)
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.stream.chunk import StreamInfo

INFO = StreamInfo("test", GENERIC_T3.name, "T3", 1e-7, 1e-11, 1e7, 1, 2)


def tag_file(path, records, data_offset=10):
    return TagFile(path, INFO, GENERIC_T3, (), {}, data_offset, records, records)


@pytest.fixture
def hundred(tmp_path):
    """A file of 10 header bytes and the records 0 to 99."""
    path = tmp_path / "hundred"
    path.write_bytes(b"h" * 10 + np.arange(100, dtype="<u4").tobytes())
    return path


@pytest.mark.parametrize(
    ("size", "sizes"), [(30, [30, 30, 30, 10]), (100, [100]), (1000, [100]), (1, [1] * 100)]
)
def test_blocks_hold_every_record_once(hundred, size, sizes):
    blocks = list(tag_file(hundred, 100).blocks(size))
    assert [block.size for block in blocks] == sizes
    assert np.array_equal(np.concatenate(blocks), np.arange(100))
    assert all(block.dtype == np.uint32 for block in blocks)


def test_blocks_start_anywhere_and_stop_at_the_records_that_count(hundred):
    assert np.array_equal(np.concatenate(list(tag_file(hundred, 60).blocks(7, start=41))), np.arange(41, 60))
    assert list(tag_file(hundred, 60).blocks(start=60)) == []


def test_blocks_are_fresh_arrays(hundred):
    first, second = tag_file(hundred, 100).blocks(50)
    second[:] = 0
    assert first[-1] == 49


def test_a_file_that_became_shorter_is_an_error_and_not_an_end(hundred):
    blocks = tag_file(hundred, 100).blocks(20)
    next(blocks)
    with hundred.open("r+b") as file:
        file.truncate(10 + 4 * 33 + 3)
    assert next(blocks).size == 13
    with pytest.raises(TagFileError, match=r"ends after 33 records.*at byte 142"):
        next(blocks)


def test_a_growing_file_is_read_from_where_reading_stopped(hundred):
    with open_raw(hundred) as file:
        assert read_records(file, 10, 98, 50).tolist() == [98, 99]
        with hundred.open("ab") as writer:
            writer.write(np.array([100, 101], "<u4").tobytes()[:6])
        assert read_records(file, 10, 100, 50).tolist() == [100]
        assert read_records(file, 10, 101, 50).size == 0


@pytest.mark.parametrize(("file_bytes", "whole"), [(0, 0), (10, 0), (13, 0), (14, 1), (17, 1), (18, 2)])
def test_count_whole_records(file_bytes, whole):
    assert count_whole_records(file_bytes, 10) == whole


@pytest.mark.parametrize(
    ("declared", "file_bytes", "records", "words"),
    [
        (5, 30, 5, []),
        (5, 33, 5, ["3 bytes after the 5 declared records"]),
        (5, 38, 5, ["8 bytes after the 5 declared records"]),
        (0, 30, 5, ["declares 0 records, the file holds 5"]),
        (-1, 30, 5, ["declares -1 records, the file holds 5"]),
        (1000, 30, 5, ["declares 1000 records, the file holds 5"]),
        (1000, 32, 5, ["declares 1000 records, the file holds 5", "not read: 2 bytes at the end"]),
        (0, 31, 5, ["declares 0 records, the file holds 5", "not read: 1 byte at the end"]),
        (None, 30, 5, ["does not say"]),
        (0, 10, 0, []),
        (7, 10, 0, ["declares 7 records, the file holds 0"]),
    ],
)
def test_header_and_file_disagree(declared, file_bytes, records, words):
    settled, notes = settle_records(declared, file_bytes, 10)
    assert settled == records
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (b"", Verdict.MORE),
        (b"AB", Verdict.MORE),
        (b"AX", Verdict.NO),
        (b"ABC", Verdict.YES),
        (b"ABCD", Verdict.YES),
    ],
)
def test_match_magic(head, verdict):
    assert match_magic(head, b"ABC") is verdict


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"abc\0\0", "abc"),
        (b"abc  ", "abc"),
        (b"a b \0xyz", "a b"),
        ("µm".encode(), "µm"),
        (b"5 \xb5W", "5 µW"),
        (b"", ""),
    ],
)
def test_padded_text(raw, text):
    assert padded_text(raw) == text


def test_header_reader_says_where_the_file_ends(hundred):
    with HeaderReader(hundred) as reader:
        assert reader.take(10, "the start") == b"h" * 10
        with pytest.raises(
            TagFileError, match=r"hundred: the header is cut short: .* 600 bytes .*at byte 410"
        ):
            reader.take(1000, "the rest")


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(TagFileError, match="no such file"):
        open_raw(tmp_path / "none")
    with pytest.raises(TagFileError, match="directory"):
        open_raw(tmp_path)
    with pytest.raises(TagFileError, match="cannot be opened"):
        open_raw(tmp_path / "a\0b")
