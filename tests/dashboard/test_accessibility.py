"""Every page by a standard checker of accessibility (axe-core), in both themes, and by the keyboard alone."""

import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from photonstream.dashboard.report import write_report

IDLE = "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
DRAWN = "() => window.Bokeh?.documents[0]?.get_model_by_name('source trace')?.data?.x?.length > 0"
# What WCAG 2.2 asks at its levels A and AA, and what axe counts as good practice.
ASKED = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture
def open_page(browser):
    """Opens a page at an address, once it is drawn; our own policy would keep the checker's script out."""
    contexts = []

    def begin(url, ready):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
        contexts.append(context)
        page = context.new_page()
        page.goto(url)
        page.wait_for_function(ready)
        return page

    yield begin
    for context in contexts:
        context.close()


def violations(page):
    """What the checker objects to: rule, place, and what is asked there."""
    found = Axe().run(page, options=ASKED).response["violations"]
    return [
        f"{each['id']}: {place['html'][:200]}: {place['failureSummary']}"
        for each in found
        for place in each["nodes"]
    ]


def check(page):
    found = violations(page)
    assert not found, "\n".join(found)


def test_the_report(open_page, write_run, result):
    page = open_page(write_report(write_run(result)).as_uri(), IDLE)
    check(page)


@pytest.mark.parametrize("acts", [True, False], ids=["acting", "watching"])
def test_the_live_page(open_page, going_run, serve_page, acts):
    links = []
    url, _ = serve_page(going_run.address, links=links)
    page = open_page(url if acts else links[0], DRAWN)
    if not acts:
        page.wait_for_selector("body.watching")
    check(page)
    page.click("#settings")
    check(page)
    page.click("#night")
    check(page)
    page.click("#night")
    for state in STATES[1:]:
        show(page, going_run, **state)
        check(page)


def test_the_settings_of_a_device(open_page, going_run, serve_page):
    page = open_page(serve_page(going_run.address)[0], DRAWN)
    armed = {"mode": "T3", "dead_time_s": None}
    settings = armed | {"dead_time_s": 2.5e-8}
    device = {"name": "harp", "settings": settings, "armed": armed, "recording": True}
    going_run.status(has_next=True, device=device)
    page.click("#settings")
    page.click("#device summary")
    page.wait_for_selector("#set-device-dead_time_s")
    check(page)


# How a run can be: at work, read again while what it found before is shown, over.
STATES = ({"catching_up": False}, {"catching_up": True}, {"state": "ended"})


def show(page, run, *, catching_up=False, state="running"):
    """Let the run be so, and wait until the page shows it."""
    run.status(catching_up=catching_up, state=state)
    page.wait_for_function(
        "([superseded, over]) => document.body.classList.contains('catching-up') === superseded"
        " && document.body.classList.contains('deaf') === over",
        arg=[catching_up, state == "ended"],
    )


# Colours of texts, as they are where they are see-through, with those of what is behind them; what cannot be used
# may be pale.
PAIRS = """() => {
  const solid = color => !/rgba\\(.*, 0\\)|transparent/.test(color), found = new Set();
  for (const element of document.querySelectorAll("main *:not(:disabled, option, script, svg *)")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || getComputedStyle(element).pointerEvents === "none") continue;
    let behind = element, opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    if (opacity === 0) continue;
    while (behind && !solid(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    const paper = getComputedStyle(behind).backgroundColor, ink = getComputedStyle(element).color;
    const parts = color => color.match(/\\d+/g).slice(0, 3).map(Number);
    const seen = parts(ink).map((part, k) => opacity * part + (1 - opacity) * parts(paper)[k]);
    found.add(JSON.stringify([`rgb(${seen.map(Math.round)})`, paper]));
  }
  return [...found].map(JSON.parse);
}"""
# hue-rotate(180deg) of the Filter Effects specification: luminance stays, hues turn.
LUMA = np.array([0.213, 0.715, 0.072])
TURNED = 2 * np.outer(np.ones(3), LUMA) - np.eye(3)


def rgb(color):
    return np.array([int(part) for part in re.findall(r"\d+", color)[:3]]) / 255


def by_day(color):
    return color


def at_night(color):
    """What ``invert(0.9) hue-rotate(180deg)`` makes of it."""
    return np.clip(TURNED @ (0.9 * (1 - color) + 0.1 * color), 0, 1)


def contrast(a, b):
    """Contrast ratio of two colours (WCAG 2.2)."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (a, b)]
    dark, bright = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ c) for c in linear)
    return (bright + 0.05) / (dark + 0.05)


def test_every_word_is_easy_to_read(open_page, going_run, serve_page):
    """The checker does not see what a filter makes of colours, so this is computed."""
    url, _ = serve_page(going_run.address)
    page = open_page(url, DRAWN)
    page.click("#settings")
    for state in STATES:
        show(page, going_run, **state)
        for filtered, seen in (("none", by_day), ("invert(0.9) hue-rotate(180deg)", at_night)):
            assert page.evaluate("getComputedStyle(document.querySelector('main')).filter") == filtered
            pairs = page.evaluate(PAIRS)
            assert len(pairs) >= 3
            for ink, paper in pairs:
                assert contrast(seen(rgb(ink)), seen(rgb(paper))) >= 4.5, (state, filtered, ink, paper)
            page.click("#night")


# The palest colour of the map, and that of the words in the key of a decay whose line is hidden, with the veil on them.
PALEST = """() => {
  const named = name => Bokeh.documents[0].get_model_by_name(name), colors = named("flid colours").palette;
  const key = named("decay").center.find(each => each.type === "Legend");
  return [colors[0], key.label_text_color, key.inactive_fill_color, key.inactive_fill_alpha];
}"""


def test_what_is_pale_in_the_plots_can_be_seen(open_page, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    page = open_page(url, DRAWN)
    map_color, words, veil, alpha = page.evaluate(PALEST)
    assert veil == "white"
    # A picture's parts ask for 3 on either page; on white the dark end of the map needs the room.
    for seen, least in ((by_day, 2.4), (at_night, 3.0)):
        white = seen(np.ones(3))
        assert contrast(seen(hexadecimal(map_color)), white) >= least
        assert contrast(seen((1 - alpha) * hexadecimal(words) + alpha), white) >= 4.5


def hexadecimal(color):
    return np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255


def test_what_is_superseded_is_marked_by_more_than_colour(open_page, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    page = open_page(url, DRAWN)
    look = """() => {
      const style = (place, pseudo) => getComputedStyle(document.querySelector(place), pseudo);
      return [style("#beta").fontStyle, style("#numbers td").fontStyle, style(".plot").filter,
              style("#beta-label", "::after").content,
              ...[".strip", ".plots"].map(place => style(place, "::before").backgroundImage.includes("repeating"))];
    }"""
    assert page.evaluate(look) == ["normal", "normal", "none", "none", False, False]
    show(page, going_run, catching_up=True)
    assert page.evaluate(look) == ["italic", "italic", "grayscale(1)", '" · superseded"', True, True]
    assert "superseded" in page.inner_text("#state")


def test_settings_open_and_close_by_the_keyboard(open_page, going_run, serve_page):
    url, _ = serve_page(going_run.address)
    page = open_page(url, DRAWN)
    page.focus("#settings")
    page.keyboard.press("Enter")
    assert page.is_visible("#controls")
    assert page.get_attribute("#settings", "aria-expanded") == "true"
    page.focus("#set-lifetime-s")
    page.wait_for_function("document.activeElement.dataset.shown === '4'")
    page.keyboard.type("99")
    page.keyboard.press("Escape")
    # What was typed is taken back first; the settings are still there.
    assert page.input_value("#set-lifetime-s") == "4"
    assert page.is_visible("#controls")
    page.keyboard.press("Escape")
    assert not page.is_visible("#controls")
    assert page.evaluate("document.activeElement.id") == "settings"
    assert page.get_attribute("#settings", "aria-expanded") == "false"


def test_the_place_in_the_recording_is_moved_by_keys(open_page, going_run, serve_page, status):
    going_run.put("run", "status", status(place_s=3.0))
    url, _ = serve_page(going_run.address)
    page = open_page(url, DRAWN)
    page.wait_for_function("Number(document.querySelector('#bar').getAttribute('aria-valuenow')) > 0")
    now = int(page.get_attribute("#bar", "aria-valuenow"))
    page.focus("#bar")
    page.keyboard.press("ArrowLeft")
    name, values = going_run.command()
    assert name == "seek"
    page.keyboard.press("End")
    _, end = going_run.command()
    assert values["time_s"] == pytest.approx((now - 1) / 100 * end["time_s"])
