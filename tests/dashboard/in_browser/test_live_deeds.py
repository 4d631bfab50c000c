"""What is done at the live page, in a real browser: the run is asked for it, and says what came of it."""

import numpy as np
import pytest

from photonstream.dashboard.panels.trace import MOST_LABEL
from photonstream.nodes.inference.levels import level_of
from tests.dashboard.in_browser.asking import (
    COLUMN,
    EVIL,
    FRAME,
    at_rate,
    column,
    drag,
    wait_for_window,
    wait_for_words,
    words,
)


def test_one_page_acts_and_another_one_takes_over(visit, going_run, serve_page):
    links = []
    url, _ = serve_page(going_run.address, links=links)
    first, second, reader = visit(url).page, visit(url).page, visit(links[0]).page
    assert not first.is_visible("#take-over")
    assert reader.is_visible("#read-only")
    assert not reader.is_visible("#take-over")
    # Whatever a page that watches says, the run does not hear it.
    for page, why in ((second, "another page acts"), (reader, "this link is read-only")):
        page.evaluate("document.querySelector('#pause').click()")
        wait_for_words(page, "#notice", why)
    second.click("#take-over")
    second.click("#pause:not(.watching *)")
    assert going_run.command() == ("pause", {})
    first.wait_for_function("document.body.classList.contains('watching')")
    second.close()
    first.wait_for_function("!document.body.classList.contains('watching')")
    assert words(reader, "#beta") == words(first, "#beta") == "β = 27.0 ± 1.1 %"


def test_dragging_the_window_asks_for_the_rates_under_the_mouse(visit, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    page, other = visit(url).page, visit(url).page
    page.wait_for_function("document.querySelector('#low').value === '8'")
    drag(page, at_rate(page, 8), at_rate(page, 6), at_rate(page, 4))
    wait_for_window(page, going_run, 4000, float("inf"))
    # Both pages show it, and that a person gave it.
    for each in (page, other):
        each.wait_for_function("document.querySelector('#low').value.startsWith('4')")
        wait_for_words(each, "#window-note", "given by hand")


def test_the_upper_edge_and_the_whole_band_can_be_dragged(page, going_run):
    top = page.evaluate(FRAME, "trace")
    ceiling = (top["left"] + 0.5 * top["width"], top["top"] + 2)
    drag(page, ceiling, at_rate(page, 14), at_rate(page, 12))
    wait_for_window(page, going_run, 8000, 12000)
    page.wait_for_function("document.querySelector('#high').value !== ''")
    # On the histogram, in the middle of the band.
    drag(page, at_rate(page, 10, "histogram"), at_rate(page, 7, "histogram"), at_rate(page, 6, "histogram"))
    wait_for_window(page, going_run, 4000, 8000)


def test_a_drag_along_the_time_zooms_and_a_double_click_shows_all_wherever_the_window_is(page, going_run):
    ends = "() => ['start', 'end'].map(k => Bokeh.documents[0].get_model_by_name('axis time')[k]).join()"
    rates = "() => ['start', 'end'].map(k => Bokeh.documents[0].get_model_by_name('axis rates')[k]).join()"
    page.fill("#high", "12")
    page.press("#high", "Enter")
    wait_for_window(page, going_run, 8000, 12000)
    whole, kcps = page.evaluate(ends), page.evaluate(rates)
    # In the middle of the window, and on its lower limit.
    for rate in (10, 8):
        x, y = at_rate(page, rate)
        drag(page, (x, y), (x + 30, y + 2), (x + 60, y + 2))
        page.wait_for_function(f"({ends})() !== '{whole}'")
        page.mouse.dblclick(x, y)
        page.wait_for_function(f"({ends})() === '{whole}'")
        assert page.evaluate(rates) == kcps
    assert [page.input_value(field) for field in ("#low", "#high")] == ["8", "12"]
    # The window is where it was, and no zoom was taken for a change of its rates.
    drag(page, at_rate(page, 10), at_rate(page, 9), at_rate(page, 7))
    wait_for_window(page, going_run, 5000, 9000)


def test_a_press_that_ends_outside_moves_no_window(page, going_run):
    frame = page.evaluate(FRAME, "trace")
    x, y = at_rate(page, 8)
    page.mouse.move(x, y)
    page.mouse.down()
    # So fast that nothing is heard of it on the way.
    page.mouse.move(x, frame["top"] - 200)
    page.mouse.up()
    for kcps in (8, 6, 4):
        page.mouse.move(*at_rate(page, kcps))
    page.fill("#low", "7")
    page.press("#low", "Enter")
    # The first that the run hears of its window.
    assert going_run.command() == ("set", {"node": "states", "name": "on", "value": [7000.0, float("inf")]})


def test_the_window_can_be_typed_and_given_back_to_the_rule(page, going_run):
    page.fill("#low", "5")
    page.press("#low", "Enter")
    assert going_run.command() == ("set", {"node": "states", "name": "on", "value": [5000.0, float("inf")]})
    wait_for_words(page, "#window-note", "given by hand")
    page.fill("#high", "4")
    page.press("#high", "Enter")
    wait_for_words(page, "#notice", "A window rises")
    assert page.input_value("#high") == ""
    page.click("#auto")
    assert going_run.command() == ("set", {"node": "states", "name": "on", "value": "auto"})
    wait_for_words(page, "#window-note", "chosen by rule")


def test_a_typed_window_says_that_the_nearest_edge_of_a_level_was_taken(page, going_run, results_of_run):
    page.fill("#low", "12.5")
    page.press("#low", "Enter")
    assert going_run.command()[1]["value"] == [12500.0, float("inf")]
    wait_for_words(page, "#window-note", "given by hand")
    selection = next(value for node, key, value in results_of_run() if (node, key) == ("states", "selection"))
    # What a run makes of it: the level from 12.1 kcps on has counts below the window, too.
    on = np.arange(len(selection["on_levels"])) >= level_of(np.array(127))
    given = {"chosen": "given", "window_hz": [12700.0, None], "on_levels": on}
    going_run.put("states", "selection", {**selection, **given})
    wait_for_words(page, "#window-note", "taken: 12.7 for 12.5")
    assert page.input_value("#low") == "12.7"
    assert page.evaluate("(e => e.scrollHeight <= e.clientHeight)(document.querySelector('#window-note'))")


def test_buttons_and_bar_say_what_they_do(page, going_run):
    page.click("#pause")
    assert going_run.command() == ("pause", {})
    going_run.status(state="paused", place_s=3.0, speed=1.0)
    wait_for_words(page, "#pause", "resume")
    assert words(page, "#state") == "Paused."
    page.click("#pause")
    assert going_run.command() == ("resume", {})
    page.select_option("#speed", "10")
    assert going_run.command() == ("speed", {"speed": 10.0})
    page.select_option("#speed", "max")
    assert going_run.command() == ("speed", {"speed": None})
    bar = page.locator("#bar").bounding_box()
    place = (bar["x"] + 0.25 * bar["width"], bar["y"] + 0.5 * bar["height"])
    page.mouse.move(*place)
    assert words(page, "#goto") == "go to 1.5 s"
    page.mouse.click(*place)
    name, values = going_run.command()
    assert name == "seek"
    assert values["time_s"] == pytest.approx(1.5, abs=0.02)


def test_settings_are_set_from_the_page(page, going_run, status):
    assert not page.is_visible("#controls")
    page.click("#settings")
    assert page.input_value("#set-lifetime-s") == "4"
    assert page.input_value("#set-intensity-bin_s") == "10"
    # As the strip and the command line have it.
    assert page.input_value("#set-lifetime-target_sigma") == "0.02"
    assert page.input_value("#set-lifetime-mean_n") == ""
    page.select_option("#set-states-method", "window")
    assert going_run.command() == ("set", {"node": "states", "name": "method", "value": "window"})
    for field, typed, node, name, value in (
        ("intensity-bin_s", "5", "intensity", "bin_s", 0.005),
        ("lifetime-target_sigma", "0,005", "lifetime", "target_sigma", 0.005),
        ("lifetime-irf", "0.1ns+10%@0.3ns", "lifetime", "irf", "0.1ns+10%@0.3ns"),
    ):
        page.fill(f"#set-{field}", typed)
        page.press(f"#set-{field}", "Enter")
        assert going_run.command() == ("set", {"node": node, "name": name, "value": pytest.approx(value)})
    page.fill("#set-lifetime-s", "four")
    page.press("#set-lifetime-s", "Enter")
    wait_for_words(page, "#notice", "is a number")
    # What holds comes back into the field.
    page.wait_for_function("document.querySelector('#set-lifetime-s').value === '4'")
    going_run.status(parameters=status()["parameters"] | {"lifetime": {"s": 3.5}})
    page.wait_for_function("document.querySelector('#set-lifetime-s').value === '3.5'")
    # A run is not stopped by one press.
    page.click("#stop")
    assert words(page, "#stop").startswith("press again")
    page.click("#stop")
    assert going_run.command() == ("stop", {})
    page.click("#settings")
    assert not page.is_visible("#controls")


def test_notes_discard_and_next_are_given_from_the_page(page, going_run, status):
    page.click("#settings")
    page.fill("#note", "laser realigned")
    page.press("#note", "Enter")
    assert going_run.command() == ("note", {"text": "laser realigned"})
    assert page.input_value("#note") == ""
    assert not page.is_visible("#keep")
    page.fill("#why", "drifted away")
    page.click("#discard")
    assert going_run.command() == ("discard", {"why": "drifted away"})
    mark = {"utc": "2026-05-04T12:00:00", "why": "drifted away"}
    told = status()["parameters"]
    going_run.status(parameters=told | {"results": {"discarded": mark}})
    wait_for_words(page, "#problems", "DISCARDED (2026-05-04 12:00:00 UTC): drifted away")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('#beta')).textDecorationLine === 'line-through'"
    )
    page.click("#keep")
    assert going_run.command() == ("keep", {})
    going_run.status(parameters=told)
    page.wait_for_function("document.querySelector('#keep').hidden")
    assert words(page, "#problems") == ""
    # Where no device is recorded there is no next particle; else it wants a second press.
    assert page.is_disabled("#next")
    assert words(page, "#next") == "next particle (attach only)"
    going_run.status(has_next=True)
    page.click("#next:enabled")
    assert words(page, "#next").startswith("press again")
    page.click("#next")
    assert going_run.command() == ("next", {})
    assert words(page, "#next") == "next particle"


def test_notes_stand_on_the_trace_where_they_were_made(page, going_run):
    event = {"kind": "note", "time_s": 1.5, "text": "realigned", "record": 7}
    going_run.put("source", "events", {"events": [event], "counts": {}})
    said = [
        {"time_s": 1.6, "text": "realigned"},
        {"time_s": 2.0, "text": EVIL},
        {"time_s": None, "text": "?"},
    ]
    going_run.status(notes=said)
    page.wait_for_function(f"({COLUMN})(['trace_notes', 'x']).join() === '1.5,2'")
    assert column(page, "trace_notes", "text") == ["realigned", EVIL]
    assert page.evaluate("window.hacked") is None


def test_a_long_note_is_short_on_the_trace_and_told_to_whoever_points_at_it(page, going_run):
    long = " ".join([EVIL, *["laser"] * 150])
    going_run.status(notes=[{"time_s": 1.6, "text": long}, {"time_s": 2.0, "text": "realigned"}])
    page.wait_for_function(f"({COLUMN})(['trace_notes', 'x']).join() === '1.6,2'")
    labels = column(page, "trace_notes", "label")
    assert labels[1] == "realigned"
    assert len(labels[0]) == MOST_LABEL
    assert labels[0] == f"{long[: MOST_LABEL - 1]}…"
    frame = page.evaluate(FRAME, "trace")
    start, end = page.evaluate(
        "['start', 'end'].map(k => Bokeh.documents[0].get_model_by_name('axis time')[k])"
    )
    x = frame["left"] + (1.6 - start) / (end - start) * frame["width"]
    page.mouse.move(x + 3, frame["top"] + 0.4 * frame["height"])
    page.get_by_text(long).first.wait_for(state="visible")
    assert page.evaluate("window.hacked") is None


def test_the_experiment_is_described_from_the_page(page, going_run, status):
    experiment = {"sample": "CdSe 7", "power_w": 2e-9}
    going_run.status(parameters=status()["parameters"] | {"results": {"experiment": experiment}})
    page.click("#settings")
    page.wait_for_function("document.querySelector('#set-results-power_w').value === '2'")
    page.fill("#set-results-particle", "NC 12")
    page.press("#set-results-particle", "Enter")
    # No other field is named: the next one may be typed before the run has answered.
    assert going_run.command() == (
        "set",
        {"node": "results", "name": "experiment", "field": "particle", "value": "NC 12"},
    )


def test_settings_of_the_device_are_shown_and_set_for_its_next_recording(page, going_run):
    page.click("#settings")
    assert not page.is_visible("#device")
    armed = {"mode": "T3", "dead_time_s": None, "background_hz": [500.0, 300.0]}
    device = {"name": "harp", "settings": armed, "armed": armed, "recording": True}
    going_run.status(has_next=True, device=device)
    page.click("#device summary")
    assert words(page, "#device summary") == "device: harp"
    wait_for_words(page, "#device", "from the next recording on")
    labels = page.locator("#device label")
    assert [" ".join(label.split()) for label in labels.all_inner_texts()] == [
        "mode",
        "dead time s",
        "background Hz",
    ]
    assert page.input_value("#set-device-background_hz") == "500, 300"
    page.fill("#set-device-dead_time_s", "25ns")
    page.press("#set-device-dead_time_s", "Enter")
    assert going_run.command() == ("set", {"node": "device", "name": "dead_time_s", "value": "25ns"})
    page.focus("#set-device-mode")
    going_run.status(has_next=True, device=device | {"settings": armed | {"dead_time_s": 2.5e-8}})
    wait_for_words(page, "#device", "dead time (now: not set)")
    assert page.input_value("#set-device-dead_time_s") == "2.5e-08"
    # Its row was not made anew under whoever is in it.
    assert page.evaluate("document.activeElement.id") == "set-device-mode"
    going_run.refusal = "device harp: mode is T2 or T3, not 'T4'"
    page.fill("#set-device-mode", "T4")
    page.press("#set-device-mode", "Enter")
    wait_for_words(page, "#notice", "The run refuses: device harp: mode is T2 or T3, not 'T4'")
    page.wait_for_function("document.querySelector('#set-device-mode').value === 'T3'")


def test_after_the_end_of_a_recording_the_next_one_is_started_from_the_page(page, going_run):
    page.click("#settings")
    device = {"name": "harp", "settings": {}, "armed": {}, "recording": False}
    going_run.status(state="complete", has_next=True, device=device)
    wait_for_words(page, "#next", "start next particle")
    assert words(page, "#stop") == "end the program"
    page.click("#next")
    assert words(page, "#next") == "press again: a recording begins"
    page.click("#next")
    assert going_run.command() == ("next", {})


def test_what_the_run_refuses_is_told(page, going_run):
    going_run.refusal = "there is no place to go to"
    page.click("#pause")
    wait_for_words(page, "#notice", "The run refuses: there is no place to go to")
    # A window that was refused goes back to where it was.
    going_run.refusal = "not now"
    drag(page, at_rate(page, 8), at_rate(page, 5))
    wait_for_words(page, "#notice", "not now")
    page.wait_for_function("document.querySelector('#low').value === '8'")
