"""A file that is filled out of order: zeros with records behind them, read as such, are filled later or never."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.formats.base import RESERVED_RECORDS
from photonstream.nodes.holes import Holes
from tests.nodes.growing_file import HEADER_BYTES, header
from tests.nodes.test_follow_reserved import filled_words


def with_hole(all_words, first, stop):
    holed = all_words.copy()
    holed[first:stop] = 0
    return holed


def place(record):
    return HEADER_BYTES + 4 * record


@pytest.mark.parametrize("part", [slice(1000, 2000), slice(1000, 1100), slice(1900, 2000), slice(1400, 1401)])
def test_what_was_read_as_zeros_and_filled_later_is_read_again(live, part):
    all_words = filled_words(3000)
    live.path.write_bytes(header() + with_hole(all_words, 1000, 2000).tobytes())
    live.begin()
    live.run(1.0)
    assert len(live.records) == 3000
    live.patch(all_words[part].tobytes(), place(part.start))
    assert live.run()
    assert live.source.renewed
    live.again()
    assert live.run()
    filled = with_hole(all_words, 1000, 2000)
    filled[part] = all_words[part]
    np.testing.assert_array_equal(live.records, filled)
    assert any("what was read as zeros is filled now" in note for note in live.recording()["notes"])


def test_zeros_that_nobody_fills_are_records_and_are_told(live):
    holed = with_hole(filled_words(3000), 500, 2500)
    live.path.write_bytes(header() + holed.tobytes())
    live.begin()
    assert live.run()
    assert not live.source.renewed
    np.testing.assert_array_equal(live.records, holed)
    assert any("2,000 records are nothing but zeros" in note for note in live.recording()["notes"])


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(1, 600)), max_size=6),
    st.lists(st.integers(1, 700), min_size=1, max_size=20),
    st.integers(0, 2000),
)
def test_holes_are_found_wherever_pieces_begin(gaps, pieces, where):
    present, zeros = [], []
    for filled, hole in gaps:
        present += [np.ones(filled, np.uint32), np.zeros(hole, np.uint32)]
    records = np.concatenate([*present, np.ones(1, np.uint32)])
    edges = np.flatnonzero(np.diff(np.concatenate([[1], records, [1]]) == 0))
    zeros = [(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a >= RESERVED_RECORDS]
    file = records.copy()
    holes = Holes(lambda first, count: file[first : first + count])
    for _ in range(2):
        first = 0
        while first < len(records):
            for piece in pieces:
                taken = records[first : first + piece]
                if taken.size:
                    holes.see(first, taken)
                first += len(taken)
    assert not holes.filled()
    assert not holes.filled(at_ends=True)
    at = where % len(records)
    file[at] = 7
    assert holes.filled() == any(a <= at < b for a, b in zeros)
    ends = any(a <= at < a + RESERVED_RECORDS or b - RESERVED_RECORDS <= at < b for a, b in zeros)
    assert holes.filled(at_ends=True) == ends
