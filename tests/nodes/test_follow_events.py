"""The events beside a file that is followed, its gaps, and when its records were found."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes import event_log
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import RecordingEvent, events_path
from tests.nodes.growing_file import PERIOD_S, Live, header, words


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
    assert gaps == {"count": 2, "lost_records": 7, "lost_s": 0.5, "uncounted": 1}


def test_a_note_after_the_end_of_the_recording_says_that_it_is_in_the_log_alone(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.patch(header(100, complete=True))
    live.begin()
    before = sorted(live.path.parent.iterdir())
    assert live.source.note("late", "2026-11-25T12:00:00Z", 100) == (
        "it is in the run's log, not beside the recording"
    )
    assert sorted(live.path.parent.iterdir()) == before


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
