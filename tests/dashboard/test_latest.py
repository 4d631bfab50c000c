"""What a page knows: newest of each key, epochs that replace one another, and how it stands with the link."""

import math

import numpy as np
import pytest

from photonstream.dashboard.latest import SILENT_S, Latest, as_window
from photonstream.stream.wire import Close, Open, ResultSent


def opening(epoch=0, run="r"):
    return Open(run, epoch, "run", "latest", {}, {})


class Told:
    """A `Latest` with a short way to tell it results."""

    def __init__(self):
        self.latest = Latest()

    def open(self, epoch=0, run="r", now_s=0.0):
        self.latest.hear(opening(epoch, run), now_s)

    def say(self, node, key, value, *, final=False, now_s=0.0):
        self.latest.hear(ResultSent(0, 0, node, key, final, value), now_s)


@pytest.fixture
def told():
    return Told()


def test_a_newer_result_replaces_an_older_one_of_its_key(told):
    told.open()
    told.say("states", "selection", {"bins": 1})
    before = told.latest.revisions(("states", "selection"))
    told.say("states", "flid", {"bins": 9})
    assert told.latest.revisions(("states", "selection")) == before
    told.say("states", "selection", {"bins": 2})
    assert told.latest.revisions(("states", "selection")) != before
    assert told.latest.value("states", "selection") == {"bins": 2}
    assert told.latest.value("nobody", "nothing") == {}


def test_a_new_epoch_replaces_all_at_once_when_the_run_says_how_it_is(told):
    told.open(0)
    told.say("lifetime", "fit", {"n": 1})
    told.say("run", "status", {"epoch": 0})
    told.say("lifetime", "decay", {"n": 1})
    told.open(1)
    assert told.latest.value("lifetime", "fit") == {"n": 1}
    told.say("lifetime", "fit", {"n": 2})
    assert told.latest.value("lifetime", "fit") == {"n": 1}
    told.say("run", "status", {"epoch": 1})
    assert told.latest.value("lifetime", "fit") == {"n": 2}
    assert told.latest.value("lifetime", "decay") == {}
    assert told.latest.opening.epoch == 1


def test_the_first_epoch_is_shown_as_it_comes(told):
    told.open()
    told.say("lifetime", "fit", {"n": 1})
    assert told.latest.value("lifetime", "fit") == {"n": 1}


def test_a_result_before_any_opening_is_nobodys(told):
    told.say("lifetime", "fit", {"n": 1})
    assert told.latest.value("lifetime", "fit") == {}


def test_how_it_stands_with_the_run(told):
    latest = told.latest
    assert latest.link(0.0) == "waiting"
    told.open(now_s=10.0)
    assert latest.link(10.0 + 0.9 * SILENT_S) == "connected"
    assert latest.link(10.0 + 1.1 * SILENT_S) == "silent"
    latest.alive(20.0)
    assert latest.link(20.0) == "connected"
    latest.hear(Close(0, 5, "end"), 21.0)
    assert latest.link(21.0) == "ended"
    assert latest.link(1e6) == "ended"
    told.say("run", "status", {}, now_s=30.0)
    assert latest.link(30.0) == "connected"


def test_when_the_recording_ends(told):
    latest = told.latest
    told.open()
    assert latest.end_s is None
    told.say("source", "progress", {"records": 100, "total": 400, "time_s": 3.0})
    assert latest.read_share == 0.25
    assert latest.end_s == (12.0, False)
    told.say("source", "progress", {"records": 400, "total": 400, "time_s": 11.0})
    told.say("decode", "counts", {"duration_s": 11.0}, final=True)
    assert latest.end_s == (11.0, True)
    # It is known from then on, also while the recording is read again; not for another run.
    told.open(1)
    told.say("source", "progress", {"records": 4, "total": 400, "time_s": 1.0})
    told.say("run", "status", {})
    assert latest.end_s == (11.0, True)
    told.open(0, run="another")
    told.say("run", "status", {})
    assert latest.end_s is None


def test_the_time_that_is_decoded_serves_where_the_source_knows_none(told):
    told.open()
    told.say("source", "progress", {"records": 200, "total": 400, "time_s": None})
    told.say("decode", "counts", {"duration_s": 5.0})
    assert told.latest.reached_s == 5.0
    told.say("source", "progress", {"records": 0, "total": None, "time_s": None})
    assert told.latest.read_share is None


def test_a_tile_that_is_none_is_counted_and_changes_nothing(told):
    told.open()
    for value in ({}, {"first": 0, "bin_s": 0.01, "counts": "x", "end_s": 1}, {"first": [], "bin_s": 1}):
        told.say("intensity", "trace/0", value)
    told.say("states", "selection", {"on_levels": "x"})
    assert told.latest.tiles.bins == 0
    assert told.latest.refused == 4


def test_a_selection_marks_the_bins(told):
    told.open()
    counts = np.array([[1], [100], [100]], np.uint32)
    told.say("intensity", "trace/0", {"first": 0, "bin_s": 0.01, "counts": counts, "end_s": 0.03})
    on = np.zeros(41, bool)
    on[30:] = True
    before = told.latest.revisions(("intensity", "trace/"))
    told.say("states", "selection", {"on_levels": on})
    assert told.latest.revisions(("intensity", "trace/")) != before
    assert told.latest.tiles.columns(0, 3, 1).on_share.tolist() == [0, 1, 1]


def test_whether_the_selection_is_the_one_that_was_asked_for(told):
    latest = told.latest
    told.open()
    counts = np.array([[1], [100]], np.uint32)
    told.say("intensity", "trace/0", {"first": 0, "bin_s": 0.01, "counts": counts, "end_s": 0.02})
    on = np.zeros(41, bool)
    # 50 counts and more: levels from floor(4 sqrt(50)) = 28 whose counts all lie above.
    on[29:] = True
    told.say("states", "selection", {"on_levels": on, "chosen": "given"})
    assert latest.answers((5000.0, None))
    assert not latest.answers((3000.0, None))
    assert not latest.answers((5000.0, 8000.0))
    assert not latest.answers("auto")
    told.say("states", "selection", {"on_levels": on, "chosen": "automatic"})
    assert latest.answers("auto")
    assert not latest.answers((5000.0, None))


def test_windows_as_they_come():
    assert as_window("auto") == "auto"
    assert as_window([1, math.inf]) == (1.0, None)
    assert as_window((1, 2)) == (1.0, 2.0)
    assert as_window([math.nan, 2]) is None
    assert as_window("all") is None
    assert as_window(None) is None


def test_the_ledger_is_the_final_one_where_there_is_one(told):
    told.open()
    told.say("decode", "status", {"ledger": {"events_in": 1}})
    told.say("states", "status", {"ledger": {"events_in": 5}})
    told.say("decode", "ledger", {"events_in": 2})
    assert told.latest.ledger == {"decode": {"events_in": 2}, "states": {"events_in": 5}}
