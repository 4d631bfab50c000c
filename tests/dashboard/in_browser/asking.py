"""What a live page shows, and a mouse on its plots."""

import pytest
from playwright.sync_api import Error as PlaywrightError

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


def words(page, place):
    return page.inner_text(place).replace("\u00a0", " ").replace("\u2009", " ").replace("\u2212", "-")


def wait_for_words(page, place, wanted):
    """Until they stand there; a page that is loading anew has no such place for a moment."""
    page.wait_for_function(
        "([place, wanted]) => document.querySelector(place)?.innerText.includes(wanted)", arg=[place, wanted]
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


def wait_until(page, ask):
    """Ask again and again, while the browser goes on."""
    for _ in range(400):
        if ask():
            return
        try:
            page.evaluate("new Promise(next => setTimeout(next, 25))")
        except PlaywrightError as error:
            # The page is loading anew.
            if "context was destroyed" not in error.message:
                raise
    pytest.fail("it did not come to pass")


def wait_for_window(page, run, low_hz, high_hz):
    """Until the run was asked for this window, to within a pixel."""
    frame = page.evaluate(FRAME, "trace")
    pixel_hz = 1e3 * (frame["end"] - frame["start"]) / frame["height"]
    wait_until(page, lambda: run.window == pytest.approx([low_hz, high_hz], abs=1.1 * pixel_hz))
