"""A file that grows while it is followed: every piece is written by the test, between two looks, by a clock it sets."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.device_time import wrap_records
from photonstream.nodes.follow import CALM_POLL_S, CHUNK_S, DARK_S, POLL_S
from photonstream.nodes.formats.base import HeaderCutShortError, TagFileError
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.stream.orders import Orders
from tests.nodes.growing_file import HEADER_BYTES, PERIOD_S, Live, header, words


def test_it_waits_for_the_file_its_first_byte_and_its_header(live):
    source = live.make(idle_timeout_s=None)
    assert source.awaits() == f"waiting for {live.path}"
    live.path.touch()
    live.clock.now += 1000.0
    assert source.awaits() == f"waiting for the first byte of {live.path}"
    whole = header()
    for cut in range(1, len(whole) - 1, 37):
        live.path.write_bytes(whole[:cut])
        live.clock.now += 1.0
        assert source.awaits() == f"waiting for the header of {live.path}"
    live.path.write_bytes(whole)
    assert source.awaits() == ""
    assert live.begin(source).info.macrotime_unit_s == PERIOD_S


def test_a_header_that_never_comes_is_an_error_after_the_idle_timeout(live):
    source = live.make(idle_timeout_s=10.0)
    live.clock.now += 100.0
    source.awaits()
    live.path.write_bytes(header()[:100])
    source.awaits()
    # Every byte that comes keeps it waiting.
    live.clock.now += 9.0
    live.append(header()[100:200])
    source.awaits()
    live.clock.now += 9.9
    source.awaits()
    live.clock.now += 0.2
    with pytest.raises(
        HeaderCutShortError, match=r"run\.ptu: the header is cut short.*nothing has come for 10 s"
    ):
        source.awaits()


def test_what_is_no_tag_file_is_refused_at_once(live, tmp_path):
    live.path.write_text("hello, this is a text")
    with pytest.raises(TagFileError, match="looks like text"):
        live.make().awaits()
    with pytest.raises(TagFileError, match="this is a directory"):
        live.make(path=str(tmp_path)).awaits()


def test_only_whole_records_go_out(live):
    live.path.write_bytes(header())
    live.begin()
    given = words(3)
    whole = given.tobytes()
    sent = []
    for byte in whole:
        live.append(bytes([byte]))
        live.step()
        sent.append(len(live.records))
    assert sent == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    np.testing.assert_array_equal(live.records, given)


def test_what_is_written_goes_out_at_the_next_look(live):
    live.path.write_bytes(header())
    live.begin()
    for k in range(5):
        live.append(words(10, 10 * k))
        assert live.step() == CHUNK_S
        assert len(live.records) == 10 * (k + 1)
    assert live.step() == POLL_S
    live.run(5.0)
    assert live.step() == CALM_POLL_S
    assert max(CHUNK_S, POLL_S, CALM_POLL_S) <= 0.02


def test_in_the_dark_the_time_goes_out_less_often_and_a_photon_at_once(live):
    live.path.write_bytes(header())
    live.begin()
    wrap = wrap_records(GENERIC_T3, 1)
    gaps_s, began = [], live.clock.now
    for _ in range(100):
        live.append(wrap)
        live.step()
        if len(live.chunks) > len(gaps_s):
            gaps_s.append(live.clock.now - began)
            began = live.clock.now
    assert np.diff(gaps_s[1:]) == pytest.approx(0.0)
    assert DARK_S <= gaps_s[1] <= DARK_S + CHUNK_S
    for _ in range(3):
        live.append(words(1, 1))
        assert live.step() == CHUNK_S
        assert live.records[-1] == words(1, 1)[0]
        live.append(wrap)
        live.step()
        assert live.records[-1] != wrap[0]
    # What tells the time last is not held back at the end.
    live.append(wrap)
    live.patch(header(len(live.records) + 2, complete=True))
    assert live.run()
    assert live.records[-2:].tolist() == [*wrap, *wrap]
    assert live.recording()["complete"]


def test_a_count_in_the_header_means_nothing_while_it_grows(live):
    live.path.write_bytes(header(records=7, complete=None))
    live.append(words(5))
    live.begin()
    assert not live.run(5.0)
    live.append(words(20, 5))
    assert not live.run(5.0)
    assert len(live.records) == 25
    # Nothing ends it but the silence.
    assert live.run(5.1)
    said = live.recording()
    assert (said["records_read"], said["records_in_file"], said["complete"]) == (25, 25, True)
    assert said["notes"] == ["the header declares 7 records, 25 were read"]
    assert not said["interrupted"]


def test_the_completion_tag_ends_it_once_all_is_read(live):
    live.path.write_bytes(header())
    live.begin()
    live.append(words(100))
    live.run(1.0)
    live.append(words(50, 100))
    live.patch(header(150, complete=True))
    began = live.clock.now
    assert live.run()
    assert live.clock.now - began < 1.0
    assert len(live.records) == 150
    assert live.recording()["sha256"] == hashlib.sha256(live.path.read_bytes()).hexdigest()
    assert live.recording()["notes"] == []


@pytest.mark.parametrize("idle_s", [0.5, 10.0])
def test_the_idle_timeout_counts_from_the_last_byte(live, idle_s):
    live.parameters["idle_timeout_s"] = idle_s
    live.path.write_bytes(header(complete=None))
    live.begin()
    for k in range(4):
        assert not live.run(0.9 * idle_s)
        live.append(words(10, 10 * k)[:5].tobytes()[:19])
    began = live.clock.now
    assert live.run()
    assert live.clock.now - began == pytest.approx(idle_s, abs=2 * CALM_POLL_S)


def test_without_an_idle_timeout_it_never_ends_by_itself(live):
    live.parameters["idle_timeout_s"] = None
    live.path.write_bytes(header(complete=None))
    live.begin()
    assert not live.run(100.0)
    assert live.results(final=False)["progress"]["says"] in ("no data for 99 s", "no data for 100 s")
    live.append(words(1))
    live.step()
    assert live.results(final=False)["progress"]["says"] == ""
    live.source.halted = True
    assert live.run()
    # All there was is read, but nobody knows what would have come.
    said = live.recording()
    assert (said["complete"], said["interrupted"], said["notes"]) == (True, True, [])
    assert said["sha256"] == hashlib.sha256(live.path.read_bytes()).hexdigest()


def test_ctrl_c_ends_where_it_is_and_does_not_wait_for_more(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.begin()
    live.run(1.0)
    live.append(words(60, 100))
    live.source.orders = Orders(end_at=130)
    assert live.run(0.001)
    assert len(live.records) == 130
    said = live.recording()
    assert (said["records_read"], said["records_in_file"], said["interrupted"]) == (130, 160, True)
    assert said["sha256"] is None
    # A further epoch reads as far, however the file has grown since.
    live.append(words(100, 160))
    live.again(end_at=130)
    assert live.run(0.001)
    assert len(live.records) == 130


def test_an_epoch_begins_again_at_full_speed_and_goes_on_with_the_file(live):
    live.path.write_bytes(header())
    live.append(words(5000))
    live.parameters["chunk_records"] = 700
    live.begin()
    live.run(1.0)
    live.append(words(1000, 5000))
    live.again()
    assert live.step() == CHUNK_S
    assert [len(chunk["records"]) for chunk in live.chunks] == [700] * 8 + [400]
    live.append(words(10, 6000))
    live.step()
    assert len(live.records) == 6010


def test_after_its_end_another_epoch_ends_at_the_same_place(live):
    live.path.write_bytes(header(complete=None))
    live.append(words(300))
    live.begin()
    assert live.run()
    live.append(words(300, 300))
    live.again()
    before = live.clock.now
    assert live.run()
    assert live.clock.now == before
    assert len(live.records) == 300


def test_a_copy_under_way_of_a_complete_recording_is_not_over_before_its_last_record(live):
    live.path.write_bytes(header(100, complete=True))
    live.append(words(40))
    live.begin()
    assert not live.run(5.0)
    live.append(words(60, 40))
    began = live.clock.now
    assert live.run()
    assert live.clock.now - began < 2.0
    assert live.recording()["notes"] == []


def test_a_copy_that_was_broken_off_ends_by_its_silence(live):
    live.path.write_bytes(header(100, complete=True))
    live.append(words(40))
    live.begin()
    assert not live.run(5.0)
    assert "declared" not in live.results(final=False)["progress"]
    assert live.run(6.0)
    assert live.recording()["notes"] == ["the header declares 100 records, the file holds 40"]
    assert live.results()["progress"]["declared"] == 100


GROWTHS = st.lists(
    st.tuples(st.integers(1, 4000), st.sampled_from(["look", "look", "no look", "wait", "count", "epoch"])),
    max_size=40,
)


@settings(max_examples=60)
@given(GROWTHS, st.booleans(), st.integers(0, 3), st.integers(1, 5000))
def test_however_it_grows_every_record_goes_out_once(tmp_path_factory, growth, tagged, stray, chunk_records):
    live = Live(tmp_path_factory.mktemp("growth") / "run.ptu", chunk_records=chunk_records)
    all_words = words(3000)
    bare = header(complete=False if tagged else None)
    data = bare + all_words.tobytes()
    source, written = live.make(), 0
    for size, then in growth:
        live.append(data[written : written + size])
        written = min(len(data), written + size)
        whole = max(0, written - HEADER_BYTES) // 4
        if then == "count" and written >= len(bare):
            live.patch(header(whole, complete=False if tagged else None))
        if then == "wait":
            live.clock.now += 0.2
        if then != "no look" and live.source is None and not source.awaits():
            live.begin(source)
        if then == "epoch" and live.source is not None:
            live.again()
        if then != "no look" and live.source is not None:
            live.step()
            assert len(live.records) == max(0, written - len(bare)) // 4
    live.append(data[written:] + bytes(stray))
    live.patch(header(3000, complete=True if tagged else None))
    if live.source is None:
        live.clock.now += 1.0
        assert source.awaits() == ""
        live.begin(source)
    assert live.run()
    assert not live.source.renewed
    np.testing.assert_array_equal(live.records, all_words)
    said = live.recording()
    assert said["sha256"] == hashlib.sha256(live.path.read_bytes()).hexdigest()
    assert said["notes"] == (
        [f"not read: {stray} byte{'s' * (stray > 1)} after the 3000 declared records"] if stray else []
    )
