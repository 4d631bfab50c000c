"""A file whose length is reserved before it is filled from its beginning on, as those who copy do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import RESERVED_RECORDS, HeaderCutShortError
from tests.nodes.growing_file import Live, header, words

NOT_FILLED = "space that was reserved and not filled"


def filled_words(count):
    """Records none of which is zeros itself."""
    return words(count) | np.uint32(1 << 25)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 6000), max_size=20), st.booleans(), st.integers(0, 3))
def test_it_is_read_as_far_as_it_was_filled(tmp_path_factory, sizes, tagged, stray):
    live = Live(tmp_path_factory.mktemp("reserved") / "run.ptu")
    all_words = filled_words(3000)
    bare = header(3000, complete=True if tagged else None)
    data = bare + all_words.tobytes()
    live.path.write_bytes(bytes(len(data) + stray))
    source, filled = live.make(idle_timeout_s=None), 0
    for size in sizes:
        live.clock.now += 1.0
        live.patch(data[filled : filled + size], filled)
        filled = min(len(data), filled + size)
        if live.source is None and not (missing := source.awaits()):
            live.begin(source)
        elif live.source is None:
            assert missing == f"waiting for the header of {live.path}"
            assert filled < len(bare)
        if live.source is not None:
            live.run(0.2)
            # The last word may be half there.
            whole = max(0, filled - len(bare)) // 4
            assert len(live.records) in (whole, max(0, whole - 1))
    live.patch(data[filled:], filled)
    live.clock.now += 1.0
    if live.source is None:
        assert source.awaits() == ""
        live.begin(source)
    live.run(6.0)
    assert not live.source.renewed
    np.testing.assert_array_equal(live.records, all_words)


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("zeros", [1, 5, RESERVED_RECORDS - 1])
def test_a_recording_that_ends_with_a_few_zeros_is_read_to_its_end(live, tagged, zeros):
    all_words = np.concatenate([filled_words(50), np.zeros(zeros, "<u4")])
    live.path.write_bytes(header(len(all_words), complete=True if tagged else None) + all_words.tobytes())
    live.begin()
    live.run(5.0)
    assert len(live.records) == 49
    assert live.run(7.0)
    np.testing.assert_array_equal(live.records, all_words)
    assert live.recording()["notes"] == []


@pytest.mark.parametrize(
    ("filled", "read"), [(0, 0), (1, 0), (700, 699), (2743, 2742), (2744, 2743), (2745, 3000), (3000, 3000)]
)
def test_a_copy_that_broke_off_is_read_without_what_was_not_filled(live, filled, read):
    given_words = filled_words(3000)
    given_words[filled:] = 0
    live.path.write_bytes(header(3000, complete=None) + given_words.tobytes())
    live.begin()
    assert live.run()
    np.testing.assert_array_equal(live.records, given_words[:read])
    notes = live.recording()["notes"]
    file = open_tag_file(live.path)
    assert file.records == read
    assert [NOT_FILLED in note for note in (*notes, *file.notes)] == ([] if read == 3000 else [True, True])


@pytest.mark.parametrize("complete", [True, None])
def test_the_last_record_before_zeros_is_one_where_the_header_counts_it(live, complete):
    given_words = filled_words(3000)
    live.path.write_bytes(header(3000, complete=complete) + given_words.tobytes() + bytes(1600))
    live.begin()
    assert live.run()
    np.testing.assert_array_equal(live.records, given_words)
    assert open_tag_file(live.path).records == 3000


def test_so_it_is_where_all_is_read_again_by_another_header(live):
    given_words = filled_words(3000)
    live.path.write_bytes(header(complete=None) + given_words.tobytes() + bytes(1600))
    live.begin()
    live.run(1.0)
    live.patch(header(3000, complete=None, period_s=3e-6))
    assert live.run()
    assert live.source.renewed
    live.again()
    assert live.run(0.001)
    np.testing.assert_array_equal(live.records, given_words)


def test_nothing_but_zeros_is_an_error_after_the_idle_timeout(live):
    live.path.write_bytes(bytes(100_000))
    source = live.make()
    assert source.awaits() == f"waiting for the header of {live.path}"
    live.clock.now += 10.1
    with pytest.raises(
        HeaderCutShortError, match=rf"nothing but zeros.*{NOT_FILLED}; nothing has come for 10 s"
    ):
        source.awaits()


def test_a_header_that_is_half_filled_is_waited_for(live):
    whole = header()
    # Its last tag has nothing behind its name that is looked at.
    for cut in range(1, len(whole) - 48, 29):
        live.path.write_bytes(whole[:cut] + bytes(len(whole) - cut + 4000))
        assert live.make().awaits() == f"waiting for the header of {live.path}"
