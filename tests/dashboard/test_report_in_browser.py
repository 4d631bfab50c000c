"""The page in a real browser: opens without a network, draws, shows the numbers, runs nothing it was not given."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pypdfium2
import pytest

from photonstream.dashboard.report import write_report

EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
# Every drawing of the page with the colours in it, from Bokeh's shadow trees too.
DRAWINGS = """() => {
  const found = [];
  const brush = document.createElement("canvas").getContext("2d");
  const hex = color => { brush.fillStyle = color; return brush.fillStyle; };
  const walk = node => {
    for (const child of node.children) {
      if (child.tagName === "svg" && child.querySelector("path, rect")) {
        const parts = [...child.querySelectorAll("*")];
        const paints = parts.flatMap(e => [e.getAttribute("fill"), e.getAttribute("stroke")]);
        found.push({width: child.getBoundingClientRect().width, shapes: child.querySelectorAll("path, rect").length,
                    paints: [...new Set(paints.filter(p => p && p !== "none").map(hex))]});
      }
      walk(child);
      if (child.shadowRoot) walk(child.shadowRoot);
    }
  };
  walk(document.querySelector("main"));
  return found;
}"""


@pytest.fixture
def visit(browser):
    """Opens a file without a network; gives the page, its complaints and whatever it asked for."""
    contexts = []

    def open_page(path):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
        contexts.append(context)
        page = context.new_page()
        complaints, requests = [], []
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.resolve().as_uri())
        page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
        return SimpleNamespace(page=page, complaints=complaints, requests=requests)

    yield open_page
    for context in contexts:
        context.close()


def cells(page):
    """Text of every table row: name -> the other cells."""
    rows = page.locator("main table tr").all_inner_texts()
    split = [re.split(r"\t+", row.replace("\u00a0", " ").replace("\u2212", "-")) for row in rows]
    return {row[0].split("\n")[0].strip(): row[1:] for row in split if len(row) > 1}


def pair(text):
    """Value and error of ``46.80 ± 0.21 ns``."""
    left, right = re.fullmatch(r"(\S+) ± (\S+) .*", text.strip()).groups()
    return float(left), float(right)


def test_it_opens_offline_and_draws_every_panel(visit, write_run, result):
    path = write_report(write_run(result))
    visited = visit(path)
    assert visited.complaints == []
    assert visited.requests == [path.resolve().as_uri()]
    plots = [d for d in visited.page.evaluate(DRAWINGS) if d["width"] > 100 and d["shapes"] > 5]
    assert len(plots) == 5
    trace, histogram, flid, decay, residuals = ({*plot["paints"]} for plot in plots)
    selected, rest, ink, green, vermillion = "#0072b2", "#9a9a9a", "#1a1a1a", "#009e73", "#d55e00"
    assert {selected, rest} <= trace
    assert {selected, rest} <= histogram
    assert len(flid) >= 4
    assert {selected, ink, green, vermillion} <= decay
    assert selected in residuals
    # Nothing sticks out of the window sideways.
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_the_numbers_are_those_of_the_result(visit, write_run, result):
    page = visit(write_report(write_run(result))).page
    rows = cells(page)
    fit = result["fit"]
    expected = {
        "exciton lifetime τₓ": (fit["tau_x_s"], 1e9),
        "biexciton lifetime τₓₓ": (fit["tau_xx_s"], 1e9),
        "biexciton, photon share": (fit["photon_share_xx"], 100),
        "biexciton, amplitude share Aₓₓ/(Aₓ + Aₓₓ)": (fit["amplitude_xx"], 100),
        "background share of the photons": (fit["background_share"], 100),
        "CM efficiency per absorbed photon, <N>-corrected": (result["eta"], 100),
    }
    for name, (estimate, scale) in expected.items():
        value, error = pair(rows[name][0])
        assert value == pytest.approx(estimate["value"] * scale, abs=0.06 * estimate["stderr"] * scale)
        assert error == pytest.approx(estimate["stderr"] * scale, rel=0.06)
        low, high = (float(end) for end in rows[name][1].split(" to "))
        assert low == pytest.approx(estimate["ci95"][0] * scale, abs=0.06 * estimate["stderr"] * scale)
        assert high == pytest.approx(estimate["ci95"][1] * scale, abs=0.06 * estimate["stderr"] * scale)
    headline = page.locator(".headline").inner_text().replace("\u00a0", " ")
    assert headline.startswith("β = 27.0 ± 1.1 %")
    assert "beta (apparent, s = 4, <N> not corrected)" in headline


def test_pointing_at_the_trace_tells_its_values(visit, write_run, result):
    page = visit(write_report(write_run(result))).page
    box = page.locator(".panel").first.bounding_box()
    # A third of the way: 100 bins of 10 ms, where the trace has 150 counts a bin.
    page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.5 * box["height"])
    page.get_by_text("15.00 to 15.00 kcps").first.wait_for(state="visible")
    page.get_by_text("100 % of the bins").first.wait_for(state="visible")


def test_what_somebody_typed_is_only_text(visit, write_run, result):
    result["recording"]["comment"] = result["experiment"]["particle"] = EVIL
    result["fit"] = {"model": "none", "reason": EVIL}
    result["beta"] = None
    decay = "time_start,time_stop,counts,counts_all_states\nns,ns,counts,counts\n0,1,5,6\n1,2,3,4\n"
    visited = visit(write_report(write_run(result, decay=decay)))
    assert visited.complaints == []
    assert visited.page.evaluate("window.hacked") is None
    assert visited.page.locator("h1").inner_text() == EVIL
    assert visited.page.locator("main img").count() == 0


def test_the_names_in_a_table_are_not_broken_within_a_word(visit, write_run, result):
    side = {
        "dwells": 1234,
        "cut": 2,
        "tau_s": {"value": 0.0512, "stderr": 0.0083},
        "corrected_s": {"value": 0.0491, "stderr": 0.0078},
        "alpha": {"value": 1.331, "stderr": 0.052},
        "difference": 23.9,
        "favoured": "power law with a cut-off",
        "cut_off": {
            "alpha": {"value": 1.331, "stderr": 0.052},
            "tau_s": {"value": 0.5, "stderr": 0.1},
            "lead": 8.9,
        },
    }
    result["states"]["dwell_times"] = {"bin_s": 0.01, "selected": side, "other": side}
    folder = write_run(result)
    note = {"what": "command", "name": "note", "values": {"text": 1000 * "x"}, "by": "ctl", "done": True}
    (folder / "log.jsonl").write_text(json.dumps(note), encoding="utf-8")
    page = visit(write_report(folder)).page
    names = page.locator("section:has(h2:text-is('Dwell times')) tbody td:first-child")
    assert names.all_inner_texts() == ["selected", "not selected"]
    heights = names.evaluate_all(
        "all => all.map(cell => { const r = document.createRange();"
        " r.selectNodeContents(cell); return r.getClientRects().length; })"
    )
    assert heights[0] == 1
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_an_empty_run_draws_without_complaint(visit, write_run):
    visited = visit(write_report(write_run({}, leave_out=("trace", "decay", "flid"))))
    assert visited.complaints == []
    assert "no beta" in visited.page.locator(".headline").inner_text()


def printed(visit, path, **media):
    """The pages that a printer gets, as text and as pictures."""
    page = visit(path).page
    page.emulate_media(**media)
    document = pypdfium2.PdfDocument(page.pdf(prefer_css_page_size=True, print_background=True))
    pages = [document[k] for k in range(len(document))]
    assert all(page.get_size() == pytest.approx((595, 842), abs=1) for page in pages)
    texts = [page.get_textpage().get_text_range().replace("\r\n", "\n") for page in pages]
    return texts, [page.render(scale=1.0).to_numpy() for page in pages]


def test_it_prints_on_two_sheets_with_the_figure_whole_on_the_first(visit, write_run, result):
    path = write_report(write_run(result))
    texts, pictures = printed(visit, path)
    assert 1 <= len(texts) <= 2
    for words in (
        "Intensity (kcps)",
        "Time (s)",
        "Mean delay (ns)",
        "Residual (σ)",
        "Delay after the pulse (ns)",
    ):
        letters, found = "".join(words.split()), "".join(texts[0].split())
        # Bokeh strokes and fills each letter, and the reader of the PDF may find both.
        assert letters in found or "".join(2 * letter for letter in letters) in found, words
    assert "β = 27.0 ± 1.1 %" in texts[0].replace("\u00a0", " ")
    whole = "\n".join(texts)
    for words in ("Versions and checksums", "lifetime.s", "Ledger of events"):
        assert words in whole, words
    assert "drag to zoom" not in whole
    for picture in pictures:
        # Nothing reaches into the margins of 11 mm, so nothing is cut at them.
        margin = np.ones(picture.shape[:2], bool)
        margin[29:-29, 29:-29] = False
        assert (picture[margin] == 255).all()


def test_a_dark_screen_prints_on_white_paper_like_a_bright_one(visit, write_run, result):
    path = write_report(write_run(result))
    _, bright = printed(visit, path, color_scheme="light")
    _, dark = printed(visit, path, color_scheme="dark")
    assert all((a == b).all() for a, b in zip(bright, dark, strict=True))
