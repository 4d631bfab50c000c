"""Events of a recording on the page and in the report."""

import json
from pathlib import Path

import numpy as np
import pytest
from bokeh.models import LabelSet

from photonstream.dashboard.deeds import deeds_table, notes_said
from photonstream.dashboard.folder import Curve, RunFolder
from photonstream.dashboard.live_trace import NO_TRACE
from photonstream.dashboard.panels.trace import draw_trace, trace_columns
from photonstream.dashboard.recording_events import MOST_ROWS, events_table, gap_spans, note_marks
from photonstream.dashboard.style import rate_axis
from photonstream.dashboard.views import view_trace

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


def test_notes_are_read_from_the_log_of_the_last_run_in_a_folder(tmp_path):
    def command(text, **more):
        return {
            "what": "command",
            "name": "note",
            "done": True,
            "time_s": 1.5,
            "utc": "u",
            "values": {"text": text},
        } | more

    lines = [
        command("of an earlier run"),
        {"what": "begin"},
        {"what": "note", "time_s": 0.5, "noted": "v", "text": "said before", "by": "an earlier run"},
        command(" laser realigned "),
        command("", done=False),
        command("too early", time_s=None),
        {"what": "command", "name": "set", "done": True, "values": {"name": "on"}},
    ]
    text = "\n".join([*map(json.dumps, lines), '{"what": "comm'])
    (tmp_path / "log.jsonl").write_text(text, encoding="utf-8")
    found = notes_said(tmp_path)
    assert found == [
        {"time_s": 0.5, "utc": "v", "text": "said before"},
        {"time_s": 1.5, "utc": "u", "text": "laser realigned"},
        {"time_s": None, "utc": "u", "text": "too early"},
    ]
    beside = [{"kind": "note", "time_s": 1.6, "text": "laser realigned"}]
    assert note_marks(beside, found) == [(1.6, "laser realigned"), (0.5, "said before")]
    html = deeds_table(RunFolder(tmp_path, {}, {}))
    assert "note said before" in html
    assert "said first v" in html


def test_notes_stand_on_the_drawn_trace_where_it_has_bins():
    columns = {"time_start": [0.0, 0.1], "time_stop": [0.1, 0.2], "rate": [1e3, 2e3], "on": [0.0, 1.0]}
    trace = view_trace(Curve({name: np.array(values) for name, values in columns.items()}))
    plot = draw_trace(
        trace, None, rate_axis(2.0), width=100, height=50, notes=[(0.1, "here"), (3.0, "beyond")]
    )
    [labels] = plot.select(LabelSet)
    assert list(labels.source.data["text"]) == ["here"]
    assert not draw_trace(trace, None, rate_axis(2.0), width=100, height=50).select(LabelSet)
