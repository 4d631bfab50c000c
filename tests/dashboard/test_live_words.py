"""What the live page says in words."""

import math
import re

import numpy as np
import pytest

from photonstream.dashboard.latest import Latest
from photonstream.dashboard.live_words import ledger_words, numbers_view, status_view, window_view
from photonstream.nodes.inference.levels import window_ranges
from photonstream.stream.wire import Close, Open, ResultSent

# Of the trace of the run.
BIN_S = 0.01
ADDRESS = "tcp://127.0.0.1:5"


class Run:
    """A `Latest` that was told results."""

    def __init__(self, results):
        self.latest = Latest()
        self.latest.hear(Open("r", 0, "run", "latest", {"sync_rate_hz": 4.75e6}, {}), 0.0)
        for result in results:
            self.say(*result)

    def say(self, node, key, value, final=False):
        self.latest.hear(ResultSent(0, 0, node, key, final, value), 0.0)

    def view(self, now_s=0.0):
        return status_view(self.latest, now_s, ADDRESS)


@pytest.fixture
def run(results_of_run):
    return Run(results_of_run())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Running."),
        ({"state": "paused"}, "Paused."),
        ({"state": "complete"}, "Complete: these are the final results."),
        ({"state": "starting", "waiting_for": ["decay", "states"]}, "Starting: waiting for decay, states."),
        ({"state": "starting"}, "Starting."),
        ({"state": "waiting", "says": "waiting for run.ptu"}, "Waiting for run.ptu."),
        ({"clocked": False, "says": ""}, "Live."),
        ({"clocked": False, "says": "no data for 12 s"}, "Live: no data for 12 s."),
        ({"clocked": True, "says": ""}, "Running."),
        ({"catching_up": True}, "Read again from the start: shown are the results from before, superseded."),
        ({"state": "ended"}, "The run has ended: its last results are shown."),
        (
            {"state": "ended", "followed": True},
            "The next recording is being started: shown are the results of the last one.",
        ),
    ],
)
def test_the_state_of_a_run(run, status, changes, words):
    run.say("run", "status", status(**changes))
    assert run.view()["text"]["state"] == words


@pytest.mark.parametrize(
    ("clocked", "counts", "words"),
    [
        (False, {"start": 1}, "Live."),
        (False, {"start": 1, "stop": 1}, "The recording has ended: its last results are being made."),
        # A file that is replayed has ended long ago.
        (True, {"start": 1, "stop": 1}, "Running."),
    ],
)
def test_a_recording_that_has_ended_is_not_live(run, status, clocked, counts, words):
    run.say("source", "events", {"events": [], "counts": counts})
    run.say("run", "status", status(clocked=clocked, says=""))
    assert run.view()["text"]["state"] == words


def test_the_state_of_the_link(run):
    assert status_view(Latest(), 0.0, ADDRESS)["text"]["state"] == f"No run has answered at {ADDRESS} yet."
    assert status_view(Latest(), 0.0, ADDRESS)["classes"]["deaf"]
    assert not run.view()["classes"]["deaf"]
    assert run.view(100.0)["text"]["state"].startswith("Nothing is heard")
    assert run.view(100.0)["classes"]["deaf"]
    run.latest.hear(Close(0, 0, "end"), 0.0)
    assert run.view()["text"]["state"].startswith("The run has ended")
    assert run.view()["text"]["link"] == "link ended"


def test_a_live_run_has_no_clock_to_set(run, status):
    assert not run.view()["classes"]["live"]
    run.say("run", "status", status(clocked=False))
    assert run.view()["classes"]["live"]


def test_gaps_of_the_device_stand_with_the_ledger(run):
    lines = {"node": "source", "events_in": 5, "events_out": 5, "events_lost": 0}
    run.say("source", "status", {"ledger": lines | {"gaps": {"count": 2, "lost_records": 0, "lost_s": 0.5}}})
    assert ", 2 gaps of the device" in ledger_words(run.latest)
    for lost, words in (
        ({"lost_records": 121454}, "3 gaps of the device (121 454 records lost)"),
        (
            {"lost_records": 121454, "uncounted": 1},
            "3 gaps of the device (121 454 records lost, an unknown number lost in 1 of them)",
        ),
        ({"lost_records": None, "uncounted": 3}, "3 gaps of the device (an unknown number lost)"),
    ):
        run.say("source", "status", {"ledger": lines | {"gaps": {"count": 3, **lost}}})
        assert ledger_words(run.latest).replace("\u2009", " ").endswith(f", {words}, none lost besides")
    run.say("source", "status", {"ledger": lines})
    assert "gap" not in ledger_words(run.latest)


def test_old_results_are_marked_only_while_they_are_old(run, status):
    run.say("run", "status", status(catching_up=True))
    assert run.view()["classes"]["catching-up"]
    # A run that has gone is not catching up any more.
    assert not run.view(100.0)["classes"]["catching-up"]


def test_place_bar_and_lag(run, status):
    run.say("run", "status", status(place_s=4.5, lag_s=1.5, speed=1.0))
    update = run.view()
    assert update["bar"] == {"read": 0.5, "place": 0.75, "end_s": 6.0}
    assert update["text"]["place"].replace("\u2009", " ") == "3.0 s of ≈ 6.0 s"
    assert update["text"]["lag"] == "1.5 s behind"
    assert update["speed"] == 1.0
    run.say("run", "status", status(place_s=3.1, lag_s=0.1, speed=1.0))
    assert run.view()["text"]["lag"] == ""


def test_the_line_of_health(run, status):
    note = {"node": "decay", "epoch": 0, "cause": "killed by signal 9"}
    run.say("run", "status", status(epoch=1, restarts=[note], refused=3))
    update = run.view()
    assert update["text"]["restarts"] == "1 restart"
    assert update["title"]["restarts"] == "decay (epoch 0): killed by signal 9"
    assert update["text"]["refused"] == "3 refused"
    assert update["text"]["epoch"] == "epoch 1"
    assert "source 25" in update["text"]["shares"]


def test_the_ledger_in_words(run):
    def words():
        return ledger_words(run.latest).replace("\u2009", " ")

    assert words() == "20 000 records, 15 150 photons, none lost"
    line = {"events_lost": 0, "ended": {}, "held": 0, "losses": []}
    source = {"node": "source", "events_in": 20000, "events_out": 20000, **line}
    decode = {"node": "decode", "events_in": 20000, "events_out": 15150, **line}
    run.say("source", "ledger", source, final=True)
    run.say("decode", "ledger", decode, final=True)
    assert words() == "20 000 records, 15 150 photons, balanced"
    run.say("decode", "ledger", {**decode, "events_in": 19000}, final=True)
    assert words().endswith("NOT balanced")
    run.say("decode", "ledger", {**decode, "events_lost": 7}, final=True)
    assert words().endswith("7 lost")
    assert ledger_words(Latest()) == "no ledger yet"


def cells(update):
    rows = re.findall(r'<th scope="row">(.*?)</th><td[^>]*>(.*?)</td>', update["html"]["numbers"])
    return {name: value.replace("\u00a0", " ").replace("\u2009", " ") for name, value in rows}


def test_numbers_have_the_same_rows_whatever_was_found(run, result):
    full = numbers_view(run.latest)
    empty = numbers_view(Latest())
    places = [[*cells(update)] for update in (full, empty)]
    assert len(places[0]) == len(places[1]) == 8
    assert cells(full)["background share"] == "1.23 ± 0.22 %"
    assert cells(empty)["background share"] == "–"
    assert empty["text"]["beta"] == "no beta"
    result["fit"]["model"], result["beta"], result["beta_upper95"] = "mono", None, 0.031
    result["beta_reason"] = "one component suffices: no beta"
    summary = {key: result[key] for key in ("fit", "beta", "beta_reason", "beta_upper95")}
    run.say("lifetime", "fit", {"summary": summary})
    mono = numbers_view(run.latest)
    assert len(cells(mono)) == 8
    assert cells(mono)["beta, upper limit (95 %)"] == "3.1 %"
    assert mono["text"]["reason"] == "one component suffices: no beta"


def test_the_line_of_health_is_loud_only_when_something_is_wrong(run, status):
    run.say("run", "status", status(lag_s=0.1))
    assert not any(run.view()["loud"].values())
    note = {"node": "decay", "epoch": 0, "cause": "killed by signal 9"}
    lines = {"node": "source", "events_in": 5, "events_out": 5, "events_lost": 0}
    run.say("source", "status", {"ledger": lines | {"gaps": {"count": 1, "lost_records": 0, "lost_s": 0.5}}})
    run.say("run", "status", status(restarts=[note], lag_s=4.0))
    assert run.view()["loud"] == {"ledger": True, "restarts": True, "link": False, "lag": True}
    assert run.view(100.0)["loud"]["link"]


def test_the_window_is_that_of_the_numbers_unless_another_one_is_asked_for(run, status):
    assert window_view(run.latest, None) == {
        "window": {"band": [8.0, None], "auto": True, "idle": False},
        "text": {"window-note": "chosen by rule"},
    }
    parameters = {"states": {"on": [3000.0, 12000.0]}}
    run.say("run", "status", status(parameters=parameters))
    asked = window_view(run.latest, None)
    assert asked["window"] == {"band": [3.0, 12.0], "auto": False, "idle": False}
    assert asked["text"]["window-note"] == "waiting for its results"
    assert window_view(run.latest, (2000.0, None))["window"]["band"] == [2.0, None]
    selection = run.latest.value("states", "selection")
    run.say("states", "selection", {**selection, "window_hz": None})
    run.say("run", "status", status())
    assert window_view(run.latest, None)["window"]["band"] is None
    by_states = {"method": "hmm", "window_hz": None, "rule_window_hz": [8000.0, None]}
    run.say("states", "selection", {**selection, **by_states})
    resting = window_view(run.latest, None)
    assert resting["window"] == {"band": [8.0, None], "auto": True, "idle": True}
    assert resting["text"]["window-note"].startswith("not in use")
    assert not window_view(run.latest, (2000.0, None))["window"]["idle"]


@pytest.mark.parametrize(
    ("asked", "taken", "words"),
    [
        ([8e3, math.inf], [8e3, None], ""),
        # A tenth of a per mille is nothing that the field shows.
        ([8.0004e3, math.inf], [8e3, None], ""),
        ([12.5e3, math.inf], [12.7e3, None], "; taken: 12.7 for 12.5 kcps, the nearest edge that"),
        (
            [12.5e3, 15e3],
            [12.7e3, 15.1e3],
            "; taken: 12.7 for 12.5, 15.1 for 15 kcps, the nearest edges that",
        ),
    ],
)
def test_a_window_between_levels_says_where_its_edges_are(run, status, asked, taken, words):
    selection = run.latest.value("states", "selection")
    levels = len(selection["on_levels"])
    on = np.zeros(levels, bool)
    for part in window_ranges(asked[0] * BIN_S, asked[1] * BIN_S, levels):
        on[part.low : part.high] = part.on
    given = {"method": "window", "chosen": "given", "window_hz": taken, "on_levels": on}
    run.say("states", "selection", {**selection, **given})
    run.say("run", "status", status(parameters={"states": {"on": asked}}))
    note = window_view(run.latest, None)["text"]["window-note"].replace("\u00a0", " ")
    assert note.startswith(f"given by hand{words}")
    assert bool(words) == (note != "given by hand")


def test_a_window_that_is_not_in_use_says_what_is_selected_instead(run):
    def note(*states, **more):
        levels = [{"state": k, "on": k == 1, **state} for k, state in enumerate(states, 1)]
        run.say("states", "selection", {"method": "hmm", "levels": levels, **more})
        return window_view(run.latest, None)["text"]["window-note"]

    assert note({}, {}) == "not in use; selected: the neutral one of 2 states"
    assert note({}, {}, {"remark": "bursts"}).endswith("the neutral one of 2 states (1 more may be no state)")
    assert note({}) == "not in use; selected: everything, for there is one state"
    assert note() == "not in use; selected: nothing, for no state is known"


def test_reasons_are_sentences_one_after_the_other(run, result):
    result["fit"] |= {"model": "none", "reason": "no decay: there is no laser"}
    selection = run.latest.value("states", "selection")
    run.say(
        "states", "selection", {**selection, "method": "hmm", "resolved": False, "unresolved": "too few bins"}
    )
    run.say("lifetime", "fit", {"summary": {"fit": result["fit"], "beta": None}})
    words = numbers_view(run.latest)["text"]["reason"]
    assert words.startswith("no decay: there is no laser. States not resolved: too few bins.")


def test_the_header_has_the_mean_n_of_the_fit(run, status):
    def subtitle(mean_n):
        experiment = {"particle": "NC 7", "mean_n": 0.1}
        given = {"results": {"experiment": experiment}, "lifetime": {"mean_n": mean_n}}
        run.say("run", "status", status(parameters=given))
        return run.view()["text"]["subtitle"]

    assert "<N> = 0.2" in subtitle(0.2)
    assert "<N>" not in subtitle(None)


def test_what_is_known_before_a_run_has_answered():
    update = status_view(Latest(), 0.0, ADDRESS)
    assert update["text"]["title"] == "photonstream"
    assert ADDRESS in update["text"]["subtitle"]
    assert window_view(Latest(), None)["window"]["band"] is None
