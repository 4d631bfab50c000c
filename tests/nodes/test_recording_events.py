"""Lines of the events file: what is written is read again, and what cannot be says why."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.formats.ptu_write import encode_header
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import GAP, START, RecordingEvent, events_path, parse_event
from photonstream.nodes.recording_file import say_that_it_died

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_the_events_are_beside_the_tag_file():
    assert str(events_path("a/run.1.ptu")) == "a/run.1.ptu.events.jsonl"


@given(
    st.integers(0, 2**62),
    st.text(),
    st.text(),
    st.dictionaries(st.text(max_size=8).map(lambda key: f"x{key}"), PLAIN, max_size=4),
)
def test_what_was_written_is_read_again(record, kind, text, more):
    event = RecordingEvent(record, kind, text, "2026-11-25T19:00:00Z", more)
    line = event.to_json()
    assert "\n" not in line
    assert parse_event(line) == event


def test_a_gap_says_what_is_lost_and_why():
    line = json.dumps(
        {
            "record": 17,
            "kind": "gap",
            "text": "The FIFO ran over.",
            "utc": "2026-11-25T19:00:00Z",
            "cause": "FIFO overrun",
            "lost_s": 0.25,
            "lost_records": None,
            "serial": 4711,
        }
    )
    event = parse_event(line)
    assert (event.kind, event.cause, event.lost_s, event.lost_records) == (GAP, "FIFO overrun", 0.25, None)
    assert event.value()["serial"] == 4711


@pytest.mark.parametrize("lost", ["many", -1, True, None, 1e308])
def test_a_loss_that_is_no_number_is_not_known(lost):
    event = RecordingEvent(0, GAP, "", "", {"lost_s": lost, "lost_records": lost, "cause": 3})
    assert (event.lost_s, event.lost_records, event.cause) == (None, None, None)


GOOD = {"record": 0, "kind": "note", "text": "t", "utc": "u"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ("[" * 100_000, "too deep"),
        (json.dumps(GOOD | {"record": -1}), "record is the index of a record, a whole number from 0, not -1"),
        (json.dumps(GOOD | {"record": 1.0}), "a whole number from 0, not 1.0"),
        (json.dumps(GOOD | {"record": True}), "not True"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "record"}), "it is missing"),
        (json.dumps(GOOD | {"kind": None}), "kind is a text, not None"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "utc"}), "utc is a text; it is missing"),
        (json.dumps(GOOD)[:-1] + ', "lost_s": NaN}', "NaN is no number"),
        (json.dumps(GOOD)[:-1] + ', "lost_s": 1e999}', "1e999 is too large"),
        (json.dumps(GOOD | {"record": 2**63}), "9223372036854775808 is too large"),
        (json.dumps(GOOD)[:-1] + ', "n": ' + "7" * 10_000 + "}", "is too large"),
        (json.dumps(GOOD | {"text": "\ud800"}), "half a character"),
        (json.dumps(GOOD | {"a": [[[[[[[[1]]]]]]]]}), "too deep"),
    ],
)
def test_a_broken_line_says_what_is_wrong(line, says):
    with pytest.raises(ValueError, match=says):
        parse_event(line)


@pytest.mark.parametrize("rest", ["", '{"record": 3, "kind": "sta'], ids=["whole lines", "half a line"])
def test_the_end_of_a_recorder_that_was_killed_is_a_line_of_its_own(tmp_path, rest):
    path = tmp_path / "run.ptu"
    tags = {"TTResultFormat_TTTRRecType": GENERIC_T3.code, "MeasDesc_Resolution": 1e-10}
    tags |= {"MeasDesc_GlobalResolution": 1e-6, "TTResult_NumberOfRecords": 0}
    path.write_bytes(encode_header(tags)[0] + bytes(4 * 5 + 3))
    events_path(path).write_text(RecordingEvent(0, START, "It begins.", "").to_json() + "\n" + rest)
    say_that_it_died(path, "the recorder died (code -9)")
    lines = events_path(path).read_text().splitlines()
    assert len(lines) == 2 + bool(rest)
    end = parse_event(lines[-1])
    assert (end.record, end.text, end.died) == (5, "the recorder died (code -9)", True)
    assert not parse_event(lines[0]).died
