"""Events of a recording on the page and in the report."""

from pathlib import Path

import pytest

from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.live_trace import NO_TRACE
from photonstream.dashboard.panels.trace import trace_columns
from photonstream.dashboard.recording_events import MOST_ROWS, events_table, gap_spans

GAP = {"record": 7, "time_s": 2.0, "kind": "gap", "cause": "FIFO overrun", "text": "<full>", "lost_s": 0.5}


def test_gaps_are_where_data_were_lost():
    events = [GAP, GAP | {"lost_s": None}, GAP | {"time_s": None}, GAP | {"kind": "note"}, "nonsense", None]
    assert gap_spans(events) == [(2.0, 2.5), (2.0, 2.0)]
    columns = trace_columns(NO_TRACE, gap_spans(events))["trace_gaps"]
    assert (columns["start"].tolist(), columns["stop"].tolist()) == ([2.0, 2.0], [2.5, 2.0])
    assert trace_columns(NO_TRACE)["trace_gaps"]["start"].size == 0


@pytest.mark.parametrize("nothing", [None, [], {}, "gap", 3])
def test_without_events_there_is_nothing(nothing):
    assert gap_spans(nothing) == []
    assert events_table(RunFolder(Path(), {"recording_events": nothing}, {})) == ""


def test_the_table_says_what_was_lost_when_and_why():
    unknown = {"kind": "gap", "text": "No idea.", "time_s": None}
    html = events_table(RunFolder(Path(), {"recording_events": [GAP, unknown]}, {}))
    assert "FIFO overrun" in html
    assert "&lt;full&gt;" in html
    assert "0.5" in html
    assert html.count("unknown") == 2
    many = events_table(RunFolder(Path(), {"recording_events": [GAP] * (MOST_ROWS + 3)}, {}))
    assert "3 more in result.json" in many
