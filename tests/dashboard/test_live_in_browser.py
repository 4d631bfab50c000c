"""The live page in a real browser, against a run that says what the test wants."""

import gc
import http.client
import json
import re
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from photonstream.dashboard.app import Tab
from photonstream.dashboard.exports import TABLES
from photonstream.dashboard.folder import read_curve

EVIL = "</script><img src=x onerror='window.hacked = 1'><b>"
# Where the rates are: frame of a plot in pixels, and the ends of the axis in kcps.
FRAME = """name => {
  const plot = Bokeh.documents[0].get_model_by_name(name), view = Bokeh.index.find_one(plot);
  const box = view.el.getBoundingClientRect(), f = view.frame.bbox, {start, end} = plot.y_range;
  return {left: box.left + f.left, top: box.top + f.top, width: f.width, height: f.height, start, end};
}"""
COLUMN = (
    "([source, column]) => Array.from(Bokeh.documents[0].get_model_by_name(`source ${source}`).data[column])"
)
DRAWN = "() => window.Bokeh?.documents[0]?.get_model_by_name('source trace')?.data?.x?.length > 0"


@pytest.fixture
def visit(browser):
    """Opens a page; gives it with its complaints and whatever it asked for."""
    contexts = []

    def open_page(url, ready=DRAWN):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        contexts.append(context)
        page = context.new_page()
        complaints, requests = [], []
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
        page.goto(url)
        page.wait_for_function(ready)
        return SimpleNamespace(page=page, complaints=complaints, requests=requests)

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit, going_run, serve_page):
    """The page of the run that goes on."""
    url, _ = serve_page(going_run.address)
    return visit(url).page


def words(page, place):
    return page.inner_text(place).replace("\u00a0", " ").replace("\u2009", " ").replace("\u2212", "-")


def wait_for_words(page, place, wanted):
    page.wait_for_function(
        "([place, wanted]) => document.querySelector(place).innerText.includes(wanted)", arg=[place, wanted]
    )


def column(page, source, name):
    return page.evaluate(COLUMN, [source, name])


def at_rate(page, kcps, plot="trace"):
    """The point in the middle of a plot at this rate."""
    frame = page.evaluate(FRAME, plot)
    share = (frame["end"] - kcps) / (frame["end"] - frame["start"])
    return frame["left"] + 0.5 * frame["width"], frame["top"] + share * frame["height"]


def drag(page, start, *stops):
    page.mouse.move(*start)
    page.mouse.down()
    for stop in stops:
        page.mouse.move(*stop)
    page.mouse.up()


def open_tabs():
    """The tabs that are alive in this process."""
    gc.collect()
    return [thing for thing in gc.get_objects() if isinstance(thing, Tab)]


def wait_until(page, ask):
    """Ask again and again, while the browser goes on."""
    for _ in range(400):
        if ask():
            return
        page.evaluate("new Promise(next => setTimeout(next, 25))")
    pytest.fail("it did not come to pass")


def test_it_opens_without_complaint_and_asks_nobody_else(visit, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    assert url.startswith("http://127.0.0.1:")
    visited = visit(url)
    visited.page.wait_for_function("Bokeh.documents[0].is_idle")
    assert visited.complaints == []
    host = urlsplit(url).netloc
    asked = {urlsplit(each).netloc for each in visited.requests if not each.startswith("data:")}
    assert asked == {host}
    # Nothing sticks out of the window.
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert visited.page.evaluate("document.documentElement.scrollHeight") <= 800


def test_numbers_and_panels_show_what_was_published(page, result, results_of_run):
    check_numbers(page, result)
    check_panels(page, results_of_run)


def check_numbers(page, result):
    assert words(page, "#beta") == "β = 27.0 ± 1.1 %"
    assert words(page, "#beta-label") == "beta (apparent, s = 4, <N> not corrected)"
    assert words(page, "#verdict") == "Two components"
    rows = [re.split(r"\t+", row) for row in words(page, "#numbers table").split("\n")]
    found = {row[0]: row[1:] for row in rows}
    fit = result["fit"]
    assert words(page, "#tau-x-label") == "exciton lifetime τₓ"
    assert words(page, "#tau-x") == "46.80 ± 0.21 ns"
    assert words(page, "#tau-x-small") == "95 %: 46.38 to 47.22"
    assert words(page, "#tau-xx") == "3.61 ± 0.12 ns"
    assert words(page, "#model") == "bi"
    assert words(page, "#photons") == "30 000"
    assert words(page, "#share") == "66.7 % of 3 s selected"
    assert words(page, "#g2-small") == "consistent with one emitter"
    assert words(page, "#rates") == "7.5 · 7.5 kcps"
    assert words(page, "#rates-small") == "safe below 238 kcps"
    for name, estimate, scale in (
        ("biexciton: share of the amplitude", fit["amplitude_xx"], 100),
        ("CM efficiency per absorbed photon, <N>-corrected", result["eta"], 100),
    ):
        value, error = (float(x) for x in re.match(r"(\S+) ± (\S+)", found[name][0]).groups())
        assert value == pytest.approx(estimate["value"] * scale, abs=0.06 * estimate["stderr"] * scale)
        assert error == pytest.approx(estimate["stderr"] * scale, rel=0.06)
    # 200 of 300 bins of 10 ms are bright, with 150 counts each.
    assert found["rate in the selected state"][0].startswith("15.000 ±")
    assert words(page, "#title") == "nc.ptu"
    assert words(page, "#place") == "3.0 s of ≈ 6.0 s"
    assert words(page, "#ledger") == "20 000 records, 15 150 photons, none lost"


def check_panels(page, results_of_run):
    trace = column(page, "trace_values", "high"), column(page, "trace_values", "selected")
    assert set(trace[0]) == {1.0, 15.0}
    assert [bool(share) for share in trace[1]] == [rate == 15.0 for rate in trace[0]]
    assert sum(column(page, "histogram", "bins")) == 300
    assert sum(column(page, "histogram", "selected")) == 200
    assert sum(column(page, "flid", "bins")) == 300
    decay = next(value for node, key, value in results_of_run() if (node, key) == ("lifetime", "decay"))
    shown = [n for n in column(page, "decay", "selected") if n is not None and n == n]
    assert sum(shown) == decay["selected"].sum()
    assert column(page, "beta", "value")[-1] == pytest.approx(27.0)
    for band in ("beta_band", "beta_band95"):
        assert len(column(page, band, "xs")[0]) == 2 * (40 - 5)
    # The bound of the last fit: 6 % at a thousand photons falls with their root.
    bound = column(page, "beta_bound", "high")
    assert bound[0] / column(page, "beta_bound", "low")[0] > 1
    assert bound[-1] == pytest.approx(27.0 + 6.0 * (1000 / 30000) ** 0.5)
    pairs = next(value for node, _, value in results_of_run() if node == "antibunching")
    assert (
        sum(column(page, "pairs", "pairs")) == sum(column(page, "pairs", "selected")) == pairs["delays"].sum()
    )
    assert words(page, "#say-dwell") == ""
    assert len(column(page, "dwell_selected", "density")) == 1


def test_the_last_seconds_follow_the_run(page, going_run, results_of_run):
    page.select_option("#span", "2")
    ends = "() => ['start', 'end'].map(k => Bokeh.documents[0].get_model_by_name('axis time')[k]).join()"
    page.wait_for_function(f"({ends})() === '1,3'")
    assert column(page, "trace_values", "left")[0] == pytest.approx(1.0)
    for node, key, value in results_of_run(400):
        going_run.put(node, key, value)
    page.wait_for_function(f"({ends})() === '2,4'")
    page.select_option("#span", "")
    page.wait_for_function(f"({ends})().startsWith('0,')")


def test_a_late_tab_shows_the_whole_run(visit, hand_run, serve_page, results_of_run):
    url, _ = serve_page(hand_run.address)
    first = visit(url, "document.querySelector('#say-trace').textContent !== ''")
    assert "No bin" in words(first.page, "#say-trace")
    # Two full tiles and a piece of a third, of which the first tab sees each come.
    for result in results_of_run(2 * 16384 + 500):
        hand_run.put(*result)
    late = visit(url)
    for page in (late.page, first.page):
        page.wait_for_function(
            "Bokeh.documents[0].get_model_by_name('source trace_values').data.right?.at(-1) > 332"
        )
        assert column(page, "trace_values", "right")[-1] == pytest.approx((2 * 16384 + 500) * 0.01)
        assert column(page, "trace_values", "left")[0] == 0
        assert sum(column(page, "histogram", "bins")) == 2 * 16384 + 500
        assert words(page, "#say-trace") == ""


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
    ceiling = (top["left"] + 50, top["top"] + 2)
    drag(page, ceiling, at_rate(page, 14), at_rate(page, 12))
    wait_for_window(page, going_run, 8000, 12000)
    page.wait_for_function("document.querySelector('#high').value !== ''")
    # On the histogram, in the middle of the band.
    drag(page, at_rate(page, 10, "histogram"), at_rate(page, 7, "histogram"), at_rate(page, 6, "histogram"))
    wait_for_window(page, going_run, 4000, 8000)


def wait_for_window(page, run, low_hz, high_hz):
    """Until the run was asked for this window, to within a pixel."""
    frame = page.evaluate(FRAME, "trace")
    pixel_hz = 1e3 * (frame["end"] - frame["start"]) / frame["height"]
    wait_until(page, lambda: run.window == pytest.approx([low_hz, high_hz], abs=1.1 * pixel_hz))


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
    assert page.input_value("#set-lifetime-mean_n") == ""
    page.select_option("#set-states-method", "window")
    assert going_run.command() == ("set", {"node": "states", "name": "method", "value": "window"})
    for field, typed, node, name, value in (
        ("intensity-bin_s", "5", "intensity", "bin_s", 0.005),
        ("lifetime-target_sigma", "0,5", "lifetime", "target_sigma", 0.005),
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


def test_the_experiment_is_described_from_the_page(page, going_run, status):
    experiment = {"sample": "CdSe 7", "power_w": 2e-9}
    going_run.status(parameters=status()["parameters"] | {"results": {"experiment": experiment}})
    page.click("#settings")
    page.wait_for_function("document.querySelector('#set-results-power_w').value === '2'")
    page.fill("#set-results-particle", "NC 12")
    page.press("#set-results-particle", "Enter")
    name, values = going_run.command()
    assert (name, values["node"], values["name"]) == ("set", "results", "experiment")
    assert {key: value for key, value in values["value"].items() if value is not None} == {
        **experiment,
        "particle": "NC 12",
    }


def saved(page, plot, kind):
    """What a click on the button saves."""
    page.hover(f"#plot-{plot}")
    with page.expect_download() as found:
        page.click(f"#save-{plot}-{kind}")
    assert found.value.suggested_filename == f"nc.ptu_{plot}.{kind}"
    return Path(found.value.path()).read_bytes()


def test_every_plot_is_saved_as_picture_and_table(page):
    for plot in TABLES:
        names, units, *rows = saved(page, plot, "csv").decode().splitlines()
        assert len(names.split(",")) == len(units.split(",")) > 1
        assert rows
        assert all(row.count(",") == names.count(",") for row in rows)
    assert saved(page, "decay", "png")[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"<svg" in saved(page, "pairs", "svg")[:400]
    table = read_curve_text(saved(page, "beta", "csv"))
    assert table["photons"].tolist() == column(page, "beta", "photons")
    assert table["beta"][-1] == pytest.approx(27.0)
    assert table["beta_high95"][-1] > table["beta_high"][-1] > 27.0


def read_curve_text(content):
    with NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(content)
        return read_curve(Path(file.name))


def test_what_the_run_refuses_is_told(page, going_run):
    going_run.refusal = "there is no place to go to"
    page.click("#pause")
    wait_for_words(page, "#notice", "The run refuses: there is no place to go to")
    # A window that was refused goes back to where it was.
    going_run.refusal = "not now"
    drag(page, at_rate(page, 8), at_rate(page, 5))
    wait_for_words(page, "#notice", "not now")
    page.wait_for_function("document.querySelector('#low').value === '8'")


def test_a_zoomed_trace_is_drawn_anew_and_a_double_click_shows_all(
    visit, hand_run, serve_page, results_of_run
):
    hand_run.say_all(results_of_run(2 * 16384))
    url, _ = serve_page(hand_run.address)
    page = visit(url).page
    coarse = column(page, "trace_values", "left")
    assert coarse[1] - coarse[0] > 0.2
    frame = page.evaluate(FRAME, "trace")
    y = at_rate(page, 3)[1]
    drag(page, (frame["left"] + 100, y), (frame["left"] + 105, y - 30), (frame["left"] + 110, y - 30))
    page.wait_for_function(
        "() => { const x = Bokeh.documents[0].get_model_by_name('source trace_values').data.left;"
        " return x[1] - x[0] < 0.02; }"
    )
    shown = page.evaluate(
        "[0, 1].map(k => Bokeh.documents[0].get_model_by_name('axis time')[['start', 'end'][k]])"
    )
    assert 0 < shown[0] < shown[1] < 100
    page.mouse.dblclick(frame["left"] + 100, y)
    page.wait_for_function(
        "() => { const x = Bokeh.documents[0].get_model_by_name('source trace_values').data.left;"
        " return x[1] - x[0] > 0.2 && Bokeh.documents[0].get_model_by_name('axis time').start === 0; }"
    )


def test_a_tab_that_hangs_is_sent_nothing_more_and_holds_up_nobody(visit, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    before = set(map(id, open_tabs()))
    stuck = visit(url).page
    (tab,) = (t for t in open_tabs() if id(t) not in before)
    well = visit(url).page
    session = stuck.context.new_cdp_session(stuck)
    session.send("Debugger.enable")
    session.send("Debugger.pause")
    sent = tab.sent
    for k in range(1, 6):
        going_run.status(lag_s=10.0 * k)
        wait_for_words(well, "#lag", f"{10 * k}.0 s behind")
    assert tab.sent <= sent + 1
    assert not tab.ready
    session.send("Debugger.resume")
    session.send("Debugger.disable")
    wait_for_words(stuck, "#lag", "50.0 s behind")
    assert tab.sent <= sent + 3


def test_a_closed_tab_is_forgotten(visit, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    before = len(open_tabs())
    pages = [visit(url).page for _ in range(3)]
    assert len(open_tabs()) == before + 3
    for page in pages[:2]:
        page.close()
    wait_until(pages[2], lambda: len(open_tabs()) == before + 1)
    going_run.status(lag_s=7.0)
    wait_for_words(pages[2], "#lag", "7.0 s behind")


def test_text_from_outside_is_only_text(visit, hand_run, serve_page, results_of_run):
    for node, key, value in results_of_run():
        if key == "fit":
            value["summary"]["fit"] = {"model": "none", "reason": EVIL}
            value["summary"]["beta"] = None
        if (node, key) == ("run", "status"):
            value = {**value, "problems": [EVIL], "waiting_for": [EVIL], "state": "starting"}
            value["restarts"] = [{"node": EVIL, "epoch": 0, "cause": EVIL}]
            value["parameters"] = {"source": {"path": EVIL.replace("/", "")}}
        hand_run.put(node, key, value)
    url, _ = serve_page(hand_run.address)
    visited = visit(url)
    assert EVIL in words(visited.page, "#reason")
    assert EVIL in words(visited.page, "#problems")
    assert words(visited.page, "#title") == EVIL.replace("/", "")
    assert visited.page.evaluate("window.hacked") is None
    assert visited.page.locator("main img").count() == 0
    assert visited.complaints == []


def test_results_from_before_are_marked(page, going_run):
    assert page.locator("body.catching-up").count() == 0
    going_run.status(epoch=1, catching_up=True)
    page.wait_for_function("document.body.classList.contains('catching-up')")
    assert "shown are the results from before" in words(page, "#state")
    going_run.open(1)
    going_run.status(epoch=1, catching_up=False)
    page.wait_for_function("!document.body.classList.contains('catching-up')")


def test_the_end_of_a_run_is_said_and_its_results_stay(page, going_run):
    going_run.close()
    wait_for_words(page, "#state", "The run has ended")
    assert words(page, "#link") == "link ended"
    assert words(page, "#beta") == "β = 27.0 ± 1.1 %"
    assert len(column(page, "trace", "x")) > 0


def test_a_run_that_falls_silent_is_said_to_be_lost(page, going_run):
    assert words(page, "#link") == "link connected"
    going_run.stop()
    wait_for_words(page, "#state", "Nothing is heard from the run")
    assert words(page, "#link") == "link lost"
    assert words(page, "#beta") == "β = 27.0 ± 1.1 %"


def test_a_page_comes_back_with_its_server(visit, going_run, serve_page):
    url, stop = serve_page(going_run.address)
    page = visit(url).page
    page.evaluate("window.before = true")
    stop()
    page.wait_for_function("document.body.classList.contains('cut')")
    serve_page(going_run.address, int(urlsplit(url).port))
    page.wait_for_function("window.before === undefined")
    page.wait_for_function(DRAWN)
    assert words(page, "#beta") == "β = 27.0 ± 1.1 %"


def test_a_result_that_cannot_be_shown_leaves_the_rest_alone(page, going_run):
    going_run.put("lifetime", "decay", {"selected": "nonsense"})
    page.wait_for_function("document.querySelector('#say-decay').textContent.includes('cannot be shown')")
    going_run.status(lag_s=3.0)
    wait_for_words(page, "#lag", "3.0 s behind")


def test_pages_of_others_may_not_talk_to_it(going_run, serve_page):
    url, _ = serve_page(going_run.address)
    host = urlsplit(url)
    connection = http.client.HTTPConnection(host.hostname, host.port)
    connection.request("GET", "/")
    page = connection.getresponse().read().decode()
    token = json.loads(re.search(r'\[\{"token":("[^"]+")', page).group(1))
    answers = {}
    for origin in (f"http://{host.netloc}", "http://elsewhere.example"):
        ws = http.client.HTTPConnection(host.hostname, host.port)
        ws.request(
            "GET",
            "/ws",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Protocol": f"bokeh, {token}",
                "Origin": origin,
            },
        )
        answers[origin] = ws.getresponse().status
        ws.close()
    connection.close()
    assert list(answers.values()) == [101, 403]
