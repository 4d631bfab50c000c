"""Tabs of the live page in a real browser: saved plots, tabs that hang or are closed, and pages of others."""

import gc
import http.client
import json
import re
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from photonstream.dashboard.app import Tab
from photonstream.dashboard.exports import TABLES
from photonstream.dashboard.folder import read_curve
from photonstream.dashboard.saved_figures import SIZE
from tests.dashboard.in_browser.asking import FRAME, column, wait_for_words, wait_until


def open_tabs():
    """The tabs that are alive in this process."""
    gc.collect()
    return [thing for thing in gc.get_objects() if isinstance(thing, Tab)]


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
    table = read_curve_text(saved(page, "beta", "csv"))
    assert table["photons"].tolist() == column(page, "beta", "photons")
    assert table["beta"][-1] == pytest.approx(27.0)
    assert table["beta_high95"][-1] > table["beta_high"][-1] > 27.0


# The words at the axes of each plot.
DELAY, RATE, PHOTONS = "Delay after the pulse (ns)", "Intensity (kcps)", "Selected photons"
AXES = {
    "trace": ("Time (s)", RATE),
    "histogram": ("Bins", RATE),
    "flid": ("Mean delay (ns)", RATE),
    "decay": (DELAY, "Counts per 420 ps"),
    "residuals": (DELAY, "Residual (σ)"),
    "beta": (PHOTONS, "β (%)"),
    "tau_x_s": (PHOTONS, "τₓ (ns)"),
    "tau_xx_s": (PHOTONS, "τₓₓ (ns)"),
    "pairs": ("Delay (ns)", "Pairs per 17.6 ns"),
    "dwell": ("Dwell time (s)", "Density (1/s)"),
}
# What a reader sees of a drawing: texts that have a size and are filled, with their places.
TEXTS = """svg => {
  const place = document.createElement("div");
  place.innerHTML = svg;
  document.body.append(place);
  const found = [...place.querySelectorAll("text:not([fill=none])")];
  const texts = found.filter(each => parseFloat(getComputedStyle(each).fontSize) > 0).map(each => {
    const {x, y, width, height} = each.getBoundingClientRect();
    return {words: each.textContent, x: x + width / 2, y: y + height / 2};
  });
  place.remove();
  return texts;
}"""
NUMBER = re.compile(r"\N{MINUS SIGN}?[\d.]+k?")


def test_every_saved_plot_has_both_axes_with_their_numbers(page):
    page.wait_for_function("Bokeh.documents[0].is_idle")
    for plot, axes in AXES.items():
        frame = page.evaluate(FRAME, plot)
        texts = page.evaluate(TEXTS, saved(page, plot, "svg").decode())
        for words, along, across in zip(axes, "xy", "yx", strict=True):
            [label] = [each for each in texts if each["words"] == words]
            # The numbers stand in a row beside their words.
            near = [t for t in texts if NUMBER.fullmatch(t["words"]) and abs(t[across] - label[across]) < 60]
            assert len({round(t[along]) for t in near}) >= 2, (plot, words)
        # The page is as it was.
        assert page.evaluate(FRAME, plot) == frame, plot
        assert page.locator(".desk").count() == 0, plot


def test_a_saved_picture_has_twice_the_pixels_and_is_on_white(page):
    with Image.open(BytesIO(saved(page, "decay", "png"))) as picture:
        assert picture.size == (2 * SIZE[0], 2 * SIZE[1])
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10


def test_a_saved_trace_has_the_key_of_its_states(page):
    texts = page.evaluate(TEXTS, saved(page, "trace", "svg").decode())
    assert {"selected", "other bins"} <= {each["words"] for each in texts}


def test_the_table_of_a_decay_names_the_channels_as_the_legend_does(page, going_run, results_of_run):
    value = dict(next(v for n, k, v in results_of_run() if (n, k) == ("lifetime", "decay")))
    names = saved(page, "decay", "csv").decode().partition("\n")[0].split(",")
    assert names[-2:] == ["counts_channel_0", "counts_channel_1"]
    # The first of three has photons, and is not fitted.
    three = {key: np.concatenate([value[key][:1], value[key]]) for key in ("selected", "all")} | {
        "channels": np.arange(3),
        "model": {k: np.concatenate([0 * part[:1], part]) for k, part in value["model"].items()},
    }
    going_run.put("lifetime", "decay", value | three)
    label = "() => Bokeh.documents[0].get_model_by_name('legend detector_1').label.value"
    page.wait_for_function(f"({label})() === 'channel 1'")
    table = saved(page, "decay", "csv").decode()
    assert table.partition("\n")[0].split(",")[-2:] == ["counts_channel_1", "counts_channel_2"]
    # Nothing has no place on a logarithmic axis.
    counts = np.nan_to_num(read_curve_text(table.encode())["counts_channel_2"])
    np.testing.assert_array_equal(counts, value["selected"][1])
    # Where there is one detector its counts are those of the sum.
    going_run.put("lifetime", "decay", value | {"all": value["all"] * [[1], [0]], "model": None})
    page.wait_for_function("() => !Bokeh.documents[0].get_model_by_name('legend detector_1').visible")
    assert "channel" not in saved(page, "decay", "csv").decode()


def read_curve_text(content):
    with NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(content)
        return read_curve(Path(file.name))


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
