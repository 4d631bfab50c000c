"""The live page by the keyboard alone, and the trace close by, by keys and by the mouse."""

from itertools import pairwise

import pytest

from tests.dashboard.in_browser.asking import DRAWN, FRAME, at_rate, column, drag, wait_until

# Everything that can be used, in the order of the page; plots count, as keys zoom them.
USABLE = """() => [...document.querySelectorAll("button, input, select, [role=slider], .plot")]
  .filter(e => e.checkVisibility() && !e.disabled).map(e => e.id)"""
# What has the focus: its place on the page, where it is, and the ring around it.
FOCUSED = """() => {
  const inner = document.activeElement, plot = inner.matches(".save *") ? null : inner.closest(".plot");
  const element = plot ?? inner, box = element.getBoundingClientRect(), style = getComputedStyle(element);
  const area = element.closest(".clock, #controls, .window, .panel, .strip");
  let opacity = 1;
  for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
  return element === document.body ? null : {
    id: element.id, area: [...document.querySelectorAll("*")].indexOf(area), plot: plot !== null,
    save: inner.matches(".save *"), left: box.left, top: box.top, bottom: box.bottom, opacity,
    ring: [style.outlineStyle, parseFloat(style.outlineWidth), style.outlineColor],
  };
}"""
TIMES = "() => (({start, end}) => [start, end])(Bokeh.documents[0].get_model_by_name('axis time'))"


def walk(page):
    """Everything that Tab reaches, once round the page from its begin."""
    # Before the first one.
    page.focus(f"#{page.evaluate(USABLE)[0]}")
    page.keyboard.press("Shift+Tab")
    found = []
    for _ in range(100):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None or (found and focused["id"] == found[0]["id"]):
            return found
        found.append(focused)
    pytest.fail("Tab does not come to the end of the page")


@pytest.mark.parametrize("role", ["acting", "watching", "read-only"])
def test_tab_reaches_every_control_in_reading_order_with_a_ring(visit, going_run, serve_page, role):
    links = []
    url, _ = serve_page(going_run.address, links=links)
    pages = [visit(url).page for _ in range(2 if role == "watching" else 1)]
    page = visit(links[0]).page if role == "read-only" else pages[-1]
    page.wait_for_function(
        f"document.body.classList.contains('watching') === {str(role != 'acting').lower()}"
    )
    check_walk(page, role)
    page.click("#settings")
    check_walk(page, role)


def check_walk(page, role):
    found = walk(page)
    assert [each["id"] for each in found] == page.evaluate(USABLE)
    assert ("take-over" in [each["id"] for each in found]) == (role == "watching")
    for each in found:
        style, width, color = each["ring"]
        assert (style, color) == ("solid", "rgb(0, 114, 178)"), each
        assert width >= 2, each
        assert each["opacity"] == 1, each
    for one, after in pairwise(found):
        # From area to area as they stand in the page; within one along its rows.
        assert after["area"] >= one["area"], (one, after)
        if after["area"] == one["area"] and not (one["plot"] or after["plot"]):
            below, beside = after["top"] >= one["bottom"] - 1, after["left"] > one["left"]
            assert below or beside, (one, after)


@pytest.fixture
def long_page(visit, hand_run, serve_page, results_of_run):
    """The page of a run of 328 s in bins of 10 ms, of which the screen shows many as one."""
    hand_run.say_all(results_of_run(2 * 16384))
    url, _ = serve_page(hand_run.address)
    return visit(url, DRAWN).page


def bin_s(page):
    left = column(page, "trace_values", "left")
    return left[1] - left[0]


def focus_plot(page, name):
    page.focus("#high")
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused["plot"] and focused["id"] == f"plot-{name}":
            return
    pytest.fail(f"Tab does not reach the plot {name}")


def test_the_trace_is_zoomed_to_single_bins_and_moved_by_keys(long_page):
    page = long_page
    assert bin_s(page) > 0.2
    focus_plot(page, "trace")
    _, all_s = page.evaluate(TIMES)
    for _ in range(7):
        page.keyboard.press("+")
    start, end = page.evaluate(TIMES)
    assert end - start == pytest.approx(all_s / 128)
    assert (start + end) / 2 == pytest.approx(all_s / 2)
    # Each bin by itself, fetched from the run.
    wait_until(page, lambda: bin_s(page) == pytest.approx(0.01, rel=1e-3))
    first = column(page, "trace_values", "left")[0]
    page.keyboard.press("ArrowRight")
    assert page.evaluate(TIMES)[0] == pytest.approx(start + (end - start) / 4)
    wait_until(page, lambda: column(page, "trace_values", "left")[0] > first)
    page.keyboard.press("-")
    wider = page.evaluate(TIMES)
    assert wider[1] - wider[0] == pytest.approx(2 * (end - start))
    page.keyboard.press("Escape")
    assert page.evaluate(TIMES) == [0, all_s]
    wait_until(page, lambda: bin_s(page) > 0.2)


def test_keys_do_not_leave_the_recording(long_page):
    page = long_page
    focus_plot(page, "trace")
    whole = page.evaluate(TIMES)
    page.keyboard.press("-")
    assert page.evaluate(TIMES) == pytest.approx(whole)
    page.keyboard.press("+")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert page.evaluate(TIMES) == pytest.approx([0, whole[1] / 2])


def test_a_logarithmic_axis_is_zoomed_by_factors(long_page):
    page = long_page
    ends = TIMES.replace("axis time", "axis photons")
    low, high = page.evaluate(ends)
    focus_plot(page, "beta")
    page.keyboard.press("+")
    start, end = page.evaluate(ends)
    assert end / start == pytest.approx((high / low) ** 0.5)
    assert start * end == pytest.approx(low * high)


def test_each_level_of_detail_comes_with_the_mouse(long_page):
    page, widths = long_page, []
    frame = page.evaluate(FRAME, "trace")
    y = at_rate(page, 3)[1]
    for _ in range(3):
        widths.append(bin_s(page))
        middle = frame["left"] + frame["width"] / 2
        drag(page, (middle - 60, y), (middle, y - 20), (middle + 60, y - 20))
        wait_until(page, lambda: bin_s(page) < widths[-1] or bin_s(page) < 0.011)
    widths.append(bin_s(page))
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0.2
    assert widths[-1] == pytest.approx(0.01, rel=1e-3)
    start, end = page.evaluate(TIMES)
    assert end - start < 2
