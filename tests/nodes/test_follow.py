"""A file that grows while it is followed: every piece is written by the test, between two looks, by a clock it sets."""

import hashlib
import os
import random
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes import event_log
from photonstream.nodes.follow import CALM_POLL_S, CHUNK_S, POLL_S, Follow, FollowParameters
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import HeaderCutShortError, TagFileError
from photonstream.nodes.formats.ptu_write import RECORDS_TAG, encode_header
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import COMPLETE_TAG, RecordingEvent, events_path
from photonstream.stream.chunk import Chunk, ChunkLaws
from photonstream.stream.orders import Orders

PERIOD_S = 1e-6


def header(records=0, complete=False, guid="{A}", period_s=PERIOD_S, **more):
    """A header as our recorder writes it; without ``complete`` (None) as somebody else's."""
    tags = {
        "File_GUID": guid,
        "File_CreatingTime": datetime(2026, 11, 25, 12),
        "TTResultFormat_TTTRRecType": GENERIC_T3.code,
        "TTResultFormat_BitsPerRecord": 32,
        "Measurement_Mode": 3,
        "HW_InpChannels": 2,
        "MeasDesc_Resolution": 1e-10,
        "MeasDesc_GlobalResolution": period_s,
        "TTResult_SyncRate": round(1 / period_s),
        **({} if complete is None else {COMPLETE_TAG: complete}),
        **more,
        RECORDS_TAG: records,
    }
    return encode_header(tags)[0]


HEADER_BYTES = len(header())


def words(count, first=0):
    """Photons at one sync pulse after the other, with a wrap of the counter before every 1024th."""
    places = np.arange(first, first + count, dtype=np.uint32)
    return np.where(places % 1025 == 0, np.uint32(0xFE000001), (places % 64) << 10 | places % 1024).astype(
        "<u4"
    )


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Live:
    """A file at ``path`` and a source that follows it, in steps that the test takes."""

    def __init__(self, path, **parameters):
        self.path, self.clock = path, Clock()
        self.parameters = {"path": str(path), "idle_timeout_s": 10.0, **parameters}
        self.source = None
        self.chunks = []
        self._pieces = None

    def append(self, data):
        with self.path.open("ab") as file:
            file.write(data if isinstance(data, bytes) else data.tobytes())

    def patch(self, data, at=0):
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def make(self, **more):
        source = Follow("source", FollowParameters(**self.parameters | more))
        source.clock = self.clock
        return source

    def begin(self, source=None):
        self.source = self.make() if source is None else source
        opening = self.source.begin()
        self._laws, self.chunks = ChunkLaws("source"), []
        self._pieces = self.source.chunks()
        return opening

    def step(self):
        """Take what goes out, until the source waits or has ended: for how long it waits, None at the end."""
        for piece in self._pieces:
            if not isinstance(piece, Chunk):
                self.clock.now += piece
                return piece
            self._laws.admit(piece)
            self.chunks.append(piece)
        return None

    def run(self, seconds=1e9):
        """Until it ends, or for so long; whether it has ended."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            if self.step() is None:
                return True
        return False

    def again(self, **orders):
        """The next epoch, as a run begins it."""
        earlier, of = self.source, {"run": self.source.choice(final=True)}
        source = self.make(**of)
        source.inherit(earlier)
        source.orders = Orders(**orders)
        self.begin(source)

    @property
    def records(self):
        return np.concatenate([np.empty(0, np.uint32), *(chunk["records"] for chunk in self.chunks)])

    def results(self, *, final=True):
        if final:
            self.source.account()
        return {result.key: result.value for result in self.source.snapshot(final=final)}

    def recording(self):
        return self.results()["recording"]


@pytest.fixture
def live(tmp_path):
    return Live(tmp_path / "run.ptu")


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


def test_a_file_that_became_shorter_is_another_run_of_data(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.begin()
    live.run(1.0)
    os.truncate(live.path, HEADER_BYTES + 4 * 99)
    assert live.run(0.1)
    assert live.source.renewed
    assert live.source.choice(final=True) == 2
    live.again()
    live.run(1.0)
    np.testing.assert_array_equal(live.records, words(99))
    assert not live.source.renewed
    note = "the file became shorter: it holds 99 records, 100 were read: what follows is another run of data"
    assert any(note in each for each in live.results(final=False)["progress"]["notes"])


@pytest.mark.parametrize(
    "how", ["replaced", "cut to nothing", "deleted and written anew", "overwritten in place"]
)
def test_another_recording_is_read_from_its_start(live, how):
    live.path.write_bytes(header(guid="{A}"))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    new = header(guid="{B}", period_s=2 * PERIOD_S)
    if how == "replaced":
        other = live.path.with_suffix(".new")
        other.write_bytes(new[:100])
        other.replace(live.path)
    elif how == "cut to nothing":
        os.truncate(live.path, 0)
    elif how == "deleted and written anew":
        # What is held keeps its number on the disk, so the new one has another.
        live.path.unlink()
        live.run(1.0)
        live.path.write_bytes(new[:100])
    else:
        live.patch(new)
    if how != "overwritten in place":
        assert not live.run(3.0)
        assert "waiting for the" in live.results(final=False)["progress"]["says"]
        # Not a word of the new one was taken for one of the old.
        np.testing.assert_array_equal(live.records, words(100))
        live.path.write_bytes(new) if how == "cut to nothing" else live.append(new[100:])
        live.append(words(30, 500))
    assert live.run(1.0)
    live.again()
    assert live.source.begin().info.macrotime_unit_s == 2 * PERIOD_S
    live.run(1.0)
    expected = words(100) if how == "overwritten in place" else words(30, 500)
    np.testing.assert_array_equal(live.records, expected)


@pytest.mark.parametrize("count", [100, 160], ids=["as long as it was", "longer"])
def test_a_file_that_is_cut_and_refilled_between_two_looks_is_another_run_of_data(live, count):
    """With the same header, or one that names nothing: only the records tell."""
    live.path.write_bytes(header(guid=None))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    before = live.path.stat()
    live.path.write_bytes(header(guid=None) + words(count, 500).tobytes())
    # However coarse the times of the disk are.
    os.utime(live.path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert live.run(1.0)
    # Not a word of the new one was taken for one of the old.
    np.testing.assert_array_equal(live.records, words(100))
    assert live.source.renewed
    live.again()
    live.run(1.0)
    np.testing.assert_array_equal(live.records, words(count, 500))
    notes = live.results(final=False)["progress"]["notes"]
    assert any("the last of the 100 records that were read are others" in note for note in notes)


def test_a_file_whose_length_is_reserved_before_it_is_filled_is_read_again(live):
    live.path.write_bytes(header(complete=None) + bytes(4 * 1000))
    live.begin()
    live.run(1.0)
    live.patch(words(1000).tobytes(), HEADER_BYTES - 48)
    assert live.run(1.0)
    live.again()
    live.run(1.0)
    np.testing.assert_array_equal(live.records, words(1000))


def test_a_file_that_is_cut_and_not_written_again_ends_with_what_was_read(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.begin()
    live.run(1.0)
    os.truncate(live.path, 0)
    assert live.run(10.1)
    assert not live.source.renewed
    said = live.recording()
    assert (said["records_read"], said["complete"], said["sha256"]) == (100, False, None)
    assert any("nothing came after that" in note for note in said["notes"])
    # Whatever is there now is not what was read.
    assert not live.source.repeatable
    live.append(words(4000))
    with pytest.raises(TagFileError, match="the 100 records that were read are not there any more"):
        live.again()


def test_a_file_that_is_replaced_by_something_else_ends_with_what_was_read(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.begin()
    live.run(1.0)
    other = live.path.with_suffix(".txt")
    other.write_text("nothing that could be a recording")
    other.replace(live.path)
    assert live.run(1.0)
    assert any("no recording: not a tag file" in note for note in live.recording()["notes"])
    # The old one is still held, and can be read again.
    live.again()
    assert live.run(1.0)
    np.testing.assert_array_equal(live.records, words(100))


def test_a_deleted_file_is_read_on_and_ends_by_silence(live):
    live.path.write_bytes(header(complete=None))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    with live.path.open("ab") as writer:
        live.path.unlink()
        writer.write(words(20, 100).tobytes())
    live.run(5.0)
    assert "not there any more; no data for" in live.results(final=False)["progress"]["says"]
    assert live.run(10.0)
    np.testing.assert_array_equal(live.records, words(120))
    said = live.recording()
    assert said["complete"]
    assert any("was deleted or moved after 120 records" in note for note in said["notes"])


def test_a_header_that_changes_its_physics_at_the_end_is_read_again(live):
    live.path.write_bytes(header(complete=None))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    live.patch(header(100, complete=None, period_s=3e-6))
    assert live.run()
    assert live.source.renewed
    live.again()
    assert live.run(0.001)
    assert not live.source.renewed
    assert len(live.records) == 100
    assert live.recording()["macrotime_unit_s"] == 3e-6
    assert any("macrotime unit 1e-06 s to 3e-06 s" in note for note in live.recording()["notes"])


def test_a_header_that_changes_anything_else_at_the_end_is_taken_as_it_is(live):
    live.path.write_bytes(header(complete=None, File_Comment="abcdefg"))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    live.patch(header(100, complete=None, File_Comment="gfedcba"))
    assert live.run()
    assert not live.source.renewed
    assert live.recording()["comment"] == "gfedcba"
    assert live.recording()["notes"] == []


def write_event(live, record, kind="gap", **more):
    event = RecordingEvent(record, kind, f"{kind} before {record}", "2026-11-25T12:00:00Z", more)
    with events_path(live.path).open("a", encoding="utf-8") as file:
        file.write(event.to_json() + "\n")


def test_events_are_told_with_their_times_also_when_they_come_late(live):
    live.path.write_bytes(header())
    live.append(words(2050))
    live.begin()
    live.run(1.0)
    # Said once that there are none, and then when there is something new.
    assert live.results(final=False)["events"]["events"] == []
    assert "events" not in live.results(final=False)
    # Records 0 and 1025 are wraps: the last record before the first event stands at 1024 + 1023 pulses.
    write_event(live, 1025, cause="FIFO overrun", lost_s=0.5, lost_records=7)
    write_event(live, 2050, "note")
    write_event(live, 3000, "stop")
    live.run(1.0)
    told = live.results(final=False)["events"]
    assert [(e["record"], e["kind"]) for e in told["events"]] == [(1025, "gap"), (2050, "note")]
    assert [e["time_s"] for e in told["events"]] == [
        pytest.approx((1024 + 1024 - 1) * PERIOD_S, abs=PERIOD_S),
        pytest.approx((2048 + 1024 - 1) * PERIOD_S, abs=PERIOD_S),
    ]
    assert told["events"][0]["cause"] == "FIFO overrun"
    live.append(words(950, 2050))
    live.patch(header(3000, complete=True))
    write_event(live, 5, "gap", cause="late", lost_s=None, lost_records=None)
    assert live.run()
    told = live.results()["events"]["events"]
    assert [(e["record"], e["kind"]) for e in told] == [
        (5, "gap"),
        (1025, "gap"),
        (2050, "note"),
        (3000, "stop"),
    ]
    assert told[0]["time_s"] == pytest.approx(1024 * PERIOD_S + 4 * PERIOD_S, abs=PERIOD_S)
    gaps = live.source.ledger.as_dict()["gaps"]
    assert gaps == {"count": 2, "lost_records": 7, "lost_s": 0.5}


def test_a_complete_file_waits_a_moment_for_the_recorders_last_word(live):
    live.path.write_bytes(header())
    write_event(live, 0, "start")
    live.begin()
    live.append(words(10))
    live.patch(header(10, complete=True))
    assert not live.run(0.9)
    write_event(live, 10, "stop")
    assert live.run(0.6)
    assert [e["kind"] for e in live.results()["events"]["events"]] == ["start", "stop"]


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
    assert live.run(11.0)
    assert live.recording()["notes"] == ["the header declares 100 records, the file holds 40"]


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


def test_times_of_events_do_not_depend_on_when_they_come(live, monkeypatch):
    monkeypatch.setattr(event_log, "STEP_RECORDS", 10)
    monkeypatch.setattr(event_log, "MARK_RECORDS", 40)
    rng = random.Random(5)
    live.path.write_bytes(header())
    live.begin()
    later = [rng.randrange(2, 1000) for _ in range(60)]
    for k in range(20):
        live.append(words(50, 50 * k))
        for record in later[3 * k : 3 * k + 3]:
            write_event(live, record, "note")
        live.run(0.6)
    live.patch(header(1000, complete=True))
    write_event(live, 1000, "stop")
    assert live.run()
    told = live.results()["events"]["events"]
    assert [event["record"] for event in told] == [*sorted(later), 1000]
    for event in told:
        # Record 0 is a wrap of the counter, and record k a photon at its tick k.
        assert event["time_s"] == pytest.approx((1024 + event["record"] - 1) * PERIOD_S, rel=1e-12)


def test_of_what_tells_how_the_device_is_only_the_newest_is_kept(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.begin()
    for k in range(5):
        write_event(live, 10 * k, "status", rate_hz=k)
    live.run(1.0)
    told = live.results(final=False)["events"]
    assert told["events"] == []
    assert told["counts"] == {"status": 5}
    assert (told["status"]["record"], told["status"]["rate_hz"]) == (40, 4)


def test_broken_lines_of_events_are_skipped_and_named(live):
    live.path.write_bytes(header())
    live.append(words(10))
    place = events_path(live.path)
    place.write_bytes(b"\xff\xfe\n\nnonsense\n" + b'{"a": "' + b"x" * 20_000 + b'"}\n{"record": 1')
    live.begin()
    live.run(1.0)
    notes = [note for note in live.recording()["notes"] if "line" in note]
    assert [note.split(": skipped")[0] for note in notes] == [f"{place}, line {n}" for n in (1, 3, 4)]
    # The rest of a line that was only half there.
    with place.open("ab") as file:
        file.write(b', "kind": "note", "text": "", "utc": ""}\n')
    assert [event["record"] for event in live.results()["events"]["events"]] == [1]


def test_events_that_begin_anew_replace_the_old_ones(live):
    live.path.write_bytes(header())
    live.append(words(10))
    live.begin()
    write_event(live, 3, "note")
    live.run(1.0)
    events_path(live.path).unlink()
    live.run(1.0)
    assert [event["record"] for event in live.results()["events"]["events"]] == [3]


def test_a_replay_of_what_a_dead_recorder_left_reads_all_of_it(live):
    live.path.write_bytes(header(60))
    live.append(words(100))
    file = open_tag_file(live.path)
    assert (file.records, file.declared_records, file.complete) == (100, 60, False)
    assert file.notes == (
        "its recorder has not completed it: the header declares 60 records, the file holds 100",
    )
    live.patch(header(60, complete=True))
    assert open_tag_file(live.path).records == 60
    assert open_tag_file(live.path).complete is True
    live.path.write_bytes(header(60, complete=None) + words(100).tobytes())
    assert open_tag_file(live.path).records == 60
    assert open_tag_file(live.path).complete is None


def test_a_chunk_says_when_its_newest_record_was_found(live):
    live.append(header())
    live.append(words(100))
    live.parameters["chunk_records"] = 40
    live.begin()
    live.step()
    # What was there before is not in step with time.
    assert [chunk.stamp for chunk in live.chunks] == [None] * 3
    live.clock.now = 1000.5
    live.append(words(50, 100))
    live.step()
    # Two pieces of what one look found; another look finds nothing new.
    assert [(chunk.stop, chunk.stamp) for chunk in live.chunks[3:]] == [
        (140, 1000_500_000_000),
        (150, 1000_500_000_000),
    ]
    live.clock.now = 1003.25
    live.append(words(10, 150))
    live.step()
    assert live.chunks[-1].stamp == 1003_250_000_000


def test_what_is_read_again_has_no_stamp_until_it_is_as_far_as_before(live):
    live.append(header())
    live.begin()
    live.append(words(60))
    live.step()
    assert live.chunks[-1].stamp is not None
    live.again()
    live.step()
    assert [chunk.stamp for chunk in live.chunks] == [None]
    live.append(words(10, 60))
    live.clock.now = 1007.0
    live.step()
    assert [chunk.stamp for chunk in live.chunks] == [None, 1007 * 10**9]


def test_records_that_stand_for_a_gap_are_known_as_they_come(live):
    live.path.write_bytes(header())
    live.append(words(10))
    live.begin()
    live.run(0.1)
    # Long before events are looked for again.
    for record, inserted in ((10, 3), (12, 4), (30, 2)):
        write_event(live, record, inserted_records=inserted)
    live.append(words(30, 10))
    live.run(0.1)
    blind = [(chunk.start + chunk["blind"]).tolist() for chunk in live.chunks]
    assert [gap for each in blind for gap in each] == [[10, 16], [30, 32]]


@given(
    gaps=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8),
    start=st.integers(0, 70),
    count=st.integers(0, 70),
)
def test_every_record_of_a_gap_is_blind_and_no_other(tmp_path_factory, gaps, start, count):
    live = Live(tmp_path_factory.mktemp("gaps") / "run.ptu")
    for record, inserted in gaps:
        write_event(live, record, inserted_records=inserted)
    log = event_log.EventLog(live.path, GENERIC_T3, PERIOD_S, lambda first, count: np.empty(0, np.uint32))
    log.look()
    found = log.blind(start, start + count)
    members = [n for begin, end in found.tolist() for n in range(begin, end)]
    truth = {n for record, inserted in gaps for n in range(record, record + inserted)}
    assert members == [n for n in range(start, start + count) if n in truth]
