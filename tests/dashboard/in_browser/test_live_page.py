"""The live page in a real browser, against a run that says what the test wants."""

import re
from urllib.parse import urlsplit

import pytest

from tests.dashboard.in_browser.asking import DRAWN, EVIL, FRAME, at_rate, column, wait_for_words, words


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
    # A hand that thinks before it moves: the button rests for longer than Bokeh takes for a press.
    page.mouse.move(frame["left"] + 100, y)
    page.mouse.down()
    page.wait_for_timeout(400)
    page.mouse.move(frame["left"] + 105, y - 30)
    page.mouse.move(frame["left"] + 110, y - 30)
    page.mouse.up()
    page.wait_for_function(
        "() => { const x = Bokeh.documents[0].get_model_by_name('source trace_values').data.left;"
        " return x[1] - x[0] < 0.02; }"
    )
    shown = page.evaluate(
        "[0, 1].map(k => Bokeh.documents[0].get_model_by_name('axis time')[['start', 'end'][k]])"
    )
    assert 0 < shown[0] < shown[1] < 100
    # Only the time was zoomed: the rates show what comes in.
    for node, key, value in results_of_run(2 * 16384 + 500):
        brighter = {"counts": 3 * value["counts"]} if key.startswith("trace/") else {}
        hand_run.put(node, key, {**value, **brighter})
    page.wait_for_function("Bokeh.documents[0].get_model_by_name('axis rates').end > 45")
    page.mouse.dblclick(frame["left"] + 100, y)
    page.wait_for_function(
        "() => { const x = Bokeh.documents[0].get_model_by_name('source trace_values').data.left;"
        " return x[1] - x[0] > 0.2 && Bokeh.documents[0].get_model_by_name('axis time').start === 0; }"
    )


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
