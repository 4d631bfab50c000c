"""The strip of large numbers, and what late photons say of the emitters."""

import pytest

from photonstream.dashboard.latest import Latest
from photonstream.dashboard.live_pairs import pairs_view
from photonstream.dashboard.live_words import status_view
from photonstream.dashboard.safe_rates import rate_words, safe_rate_hz
from photonstream.dashboard.strip import strip_view
from photonstream.nodes.inference.pair_report import report
from photonstream.stream.wire import Open, ResultSent


@pytest.fixture
def latest(results_of_run):
    found = Latest()
    found.hear(Open("run-1", 0, "run", "latest", {"sync_rate_hz": 4.75e6}, {}), 0.0)
    for k, (node, key, value) in enumerate(results_of_run()):
        found.hear(ResultSent(0, k, node, key, False, value), 0.0)
    return found


def say(latest, node, key, value, *, final=False):
    latest.hear(ResultSent(0, 1000, node, key, final, value), 0.0)


def text(update):
    return {k: v.replace("\u00a0", " ").replace("\u2009", " ") for k, v in update["text"].items()}


def test_rates_are_those_of_the_last_second_against_the_pulses(latest):
    # The last hundred bins are bright: 75 counts in 10 ms on each detector.
    shown = strip_view(latest)
    assert text(shown)["rates"] == "7.5 · 7.5 kcps"
    # In two seconds a quarter of them is dark, with 5 counts.
    assert latest.tiles.rates_hz(2.0) == pytest.approx([(150 * 75 + 50 * 5) / 2] * 2)
    assert not shown["loud"]["rates-small"]
    assert safe_rate_hz(4.75e6) == pytest.approx(237.5e3)
    assert safe_rate_hz(None) == safe_rate_hz(80e6) == 1e6
    words, small, loud = rate_words([1e3, 3e5], 4.75e6)
    assert loud
    assert small.startswith("above")
    assert words.startswith("1.0 · 300.0")
    assert rate_words([1e3, 3e5, 2e3], 80e6)[0] == "at most 300.0\u00a0kcps"


def test_a_slow_trigger_is_no_laser_and_makes_no_rate_safe(results_of_run):
    slow = Latest()
    slow.hear(Open("run-1", 0, "run", "latest", {"sync_rate_hz": 1.0}, {}), 0.0)
    for k, (node, key, value) in enumerate(results_of_run()):
        slow.hear(ResultSent(0, k, node, key, False, value), 0.0)
    shown = strip_view(slow)
    assert (text(shown)["rates"], text(shown)["rates-small"]) == ("7.5 · 7.5 kcps", "")
    assert not shown["loud"]["rates-small"]
    assert "sync 1 Hz" in status_view(slow, 0.0, "tcp://a")["text"]["subtitle"].replace("\u00a0", " ")
    # What a detector is blind for too long at needs no laser.
    assert rate_words([1e3, 2e6], None)[1:] == ("above safe 1\u2009000\u00a0kcps", True)


def test_a_recording_says_what_its_disk_has_left(latest, status):
    assert text(strip_view(latest))["recording"] == "replay"
    say(latest, "run", "status", status(clocked=False))
    assert text(strip_view(latest))["recording"] == "following"
    told = {"warnings": [], "disk_free_bytes": 12.3e9, "disk_left_s": 7200.0}
    say(latest, "source", "events", {"counts": {"start": 1}, "status": told, "events": []})
    shown = strip_view(latest)
    assert text(shown)["recording"] == "recording"
    assert text(shown)["recording-small"] == "12.3 GB free, 2 h"
    assert not shown["loud"]["recording-small"]
    say(
        latest,
        "source",
        "events",
        {"counts": {"start": 1, "stop": 1}, "status": told | {"warnings": ["the disk has room for 60 s"]}},
    )
    shown = strip_view(latest)
    # What was said while it was recorded is not about now.
    assert text(shown)["recording"] == "ended"
    assert (text(shown)["recording-small"], shown["loud"]["recording-small"]) == ("", False)


def test_warnings_of_a_recording_and_its_early_end_are_told_in_full(latest, status):
    said = {"start": 1}, {"warnings": ["the disk has room for 60 s"], "disk_free_bytes": 1e9}
    say(latest, "run", "status", status(clocked=False))
    say(latest, "source", "events", {"counts": said[0], "status": said[1], "events": []})
    shown = strip_view(latest)
    assert (text(shown)["recording-small"], shown["loud"]["recording-small"]) == (
        said[1]["warnings"][0],
        True,
    )
    assert "the disk has room for 60 s" in status_view(latest, 0.0, "tcp://a")["html"]["problems"]
    stop = {"kind": "stop", "text": "the disk is nearly full"}
    for ended in ({}, {"failed": True}):
        events = {"counts": {"start": 1, "stop": 1}, "status": said[1], "events": [stop | ended]}
        say(latest, "source", "events", events)
        problems = status_view(latest, 0.0, "tcp://a")["html"]["problems"]
        assert "60 s" not in problems
        assert ("The recording was cut short: the disk is nearly full." in problems) == bool(ended)


@pytest.mark.parametrize(
    ("verdict", "model", "word"),
    [
        ("bi", "bi", "bi"),
        ("mono", "mono", "mono"),
        ("not enough photons yet", "none", "not yet"),
        ("does not fit", "none", "neither"),
    ],
)
def test_the_model_is_said_in_a_word(latest, result, verdict, model, word):
    fit = {**result["fit"], "verdict": verdict, "model": model}
    say(latest, "lifetime", "fit", {"summary": {"fit": fit, "beta": None}})
    assert text(strip_view(latest))["model"] == word
    assert text(strip_view(Latest()))["model"] == "not yet"


@pytest.mark.parametrize(
    ("fit", "going_on", "at_the_end"),
    [
        (
            {"verdict": "not enough photons yet", "model": "mono"},
            ("not yet", "Not enough photons yet"),
            ("open", "Not enough photons"),
        ),
        (
            {"verdict": "none", "model": "none", "reason": "no decay"},
            ("not yet", "No lifetime fitted"),
            ("none", "No lifetime fitted"),
        ),
        (
            {"verdict": "none", "model": "none", "reason": "no emitter: dark"},
            ("none", "No emitter"),
            ("none", "No emitter"),
        ),
    ],
)
def test_at_the_end_of_a_run_nothing_is_to_come_yet(latest, fit, going_on, at_the_end):
    for final, wanted in ((False, going_on), (True, at_the_end)):
        say(latest, "lifetime", "fit", {"summary": {"fit": fit, "beta": None}}, final=final)
        shown = text(strip_view(latest))
        assert (shown["model"], shown["verdict"]) == wanted


def test_what_is_missing_to_the_wanted_error(latest, result):
    precision = {"target_sigma": 0.01, "photons_more": 12_345.0, "time_more_s": 31.0}
    say(latest, "lifetime", "fit", {"summary": {**result, "precision": precision}})
    shown = text(strip_view(latest))
    assert (shown["to-go"], shown["to-go-small"]) == ("31 s", "12 000 photons")
    assert shown["to-go-label"] == "to an error of β of 0.01"
    say(latest, "lifetime", "fit", {"summary": {**result, "precision": precision | {"photons_more": 0.0}}})
    assert text(strip_view(latest))["to-go"] == "reached"
    say(latest, "lifetime", "fit", {"summary": {**result, "precision": precision | {"met_photons": 2e4}}})
    shown = text(strip_view(latest))
    assert (shown["to-go"], shown["to-go-small"]) == ("reached", "at 20 000 photons")


def test_late_pairs_tell_the_emitters_as_the_result_does(latest):
    shown = pairs_view(latest)
    pairs, selection = latest.value("antibunching", "pairs"), latest.value("states", "selection")
    fit = latest.value("lifetime", "fit")["summary"]["fit"]
    late = report(pairs, selection, fit, {}, {})["late"]
    value = float(text(shown)["g2"].replace("\u2212", "-").split()[0])
    assert value == pytest.approx(late["g2_0_corrected"]["value"], abs=1e-3)
    assert text(shown)["g2-small"] == late["verdict"] == "consistent with one emitter"
    assert text(shown)["g2-label"].startswith("late g⁽²⁾(0) corr. 95 %: ")
    low, high = shown["ranges"]["between"]
    assert (low, high) == pytest.approx((-2100, 2100), rel=0.01)


def test_without_pairs_the_reason_stands_there(latest):
    assert pairs_view(Latest())["say"]["pairs"] == "No pairs yet."
    say(latest, "antibunching", "pairs", {"by": None, "reason": "photons on one detector only"})
    shown = pairs_view(latest)
    assert shown["say"]["pairs"] == "No pairs: photons on one detector only."
    assert (text(shown)["g2"], text(shown)["g2-small"]) == ("–", "photons on one detector only")
