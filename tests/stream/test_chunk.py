"""The laws that every stream keeps."""

import numpy as np
import pytest

from photonstream.stream.chunk import Chunk, ChunkLawError, ChunkLaws, Gap, StreamInfo


def chunk(sequence, start, stop, macrotimes=()):
    times = np.array(macrotimes, np.uint64)
    return Chunk(sequence, start, stop, len(times), {"macrotime": times})


def test_contiguous_chunks_empty_ones_included_are_admitted():
    laws = ChunkLaws("decode")
    for piece in (chunk(0, 0, 10, [0, 9]), chunk(1, 10, 10), chunk(2, 10, 30), chunk(3, 30, 31, [30])):
        laws.admit(piece)


@pytest.mark.parametrize(
    ("second", "law"),
    [
        (chunk(2, 10, 20), "sequence 1 was due"),
        (chunk(1, 11, 20), "starts at 11, but the stream had reached 10"),
        (chunk(1, 10, 9), "before its start"),
        (chunk(1, 10, 20, [9]), "lie outside"),
        (chunk(1, 10, 20, [20]), "lie outside"),
    ],
)
def test_a_broken_law_is_named(second, law):
    laws = ChunkLaws("decode")
    laws.admit(chunk(0, 0, 10))
    with pytest.raises(ChunkLawError, match=law):
        laws.admit(second)


def test_a_gap_moves_the_stream_on():
    laws = ChunkLaws("decode")
    laws.admit(chunk(0, 0, 10))
    laws.skip(Gap(10, 50, "FIFO overrun"))
    laws.admit(chunk(1, 50, 60))
    with pytest.raises(ChunkLawError, match="gap at 10"):
        laws.skip(Gap(10, 70, "FIFO overrun"))


def test_columns_cannot_be_written_to():
    piece = chunk(0, 0, 10, [1, 2])
    with pytest.raises(ValueError, match="read-only"):
        piece["macrotime"][0] = 5


@pytest.mark.parametrize(
    ("mode", "unit_s", "rate_hz", "period_s"),
    [
        ("T3", 2e-7, 5e6, 2e-7),
        ("T3", 2e-7, None, 2e-7),
        ("T3", 8e-7, 5e6, 2e-7),  # behind a sync divider of 4 that the macrotime does not undo
        ("T2", 1e-12, 5e6, 2e-7),
        ("T2", 1e-12, None, None),
    ],
)
def test_the_pulse_period_is_that_of_the_laser(mode, unit_s, rate_hz, period_s):
    info = StreamInfo("PTU", "x", mode, unit_s, 1e-11, rate_hz, 4, 2)
    assert info.pulse_period_s == (pytest.approx(period_s) if period_s else None)
