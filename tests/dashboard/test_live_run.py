"""The whole program as a person uses it: a recording plays, a browser shows it, the window is dragged, Ctrl-C."""

import contextlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from photonstream.cli.main import main

NC_355 = Path(__file__).resolve().parents[2] / "replay_data" / "nc_355nm.ptu"
COMMAND = (sys.executable, "-P", "-m", "photonstream.cli")
PATIENCE_MS = 60_000
# Where the rates of the trace are on the screen.
FRAME = """() => {
  const plot = Bokeh.documents[0].get_model_by_name("trace"), view = Bokeh.index.find_one(plot);
  const box = view.el.getBoundingClientRect(), f = view.frame.bbox, {start, end} = plot.y_range;
  return {x: box.left + f.left + 0.5 * f.width, top: box.top + f.top, height: f.height, start, end};
}"""
SCIENCE = ("recording", "intensity", "states", "fit", "beta", "beta_reason", "eta", "antibunching", "ledger")


class Live:
    """A replay with a page; ``page`` is open in a browser."""

    page = None

    def __init__(self, out, *options):
        file = () if "--like" in options else (str(NC_355),)
        command = [*COMMAND, "replay", *file, "--no-browser", "--out", str(out), *options]
        self.out = out
        self.said = ""
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def open(self, browser):
        """Open its page."""
        lines = iter(self.process.stdout.readline, "")
        while not (line := next(lines)).startswith("page: "):
            self.said += line
        url = line.removeprefix("page: ").strip()
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.goto(url)

    def wait_for(self, place, words, timeout_ms=PATIENCE_MS):
        self.page.wait_for_function(
            "([place, words]) => document.querySelector(place)?.innerText.includes(words)",
            arg=[place, words],
            timeout=timeout_ms,
        )

    def words(self, place):
        return self.page.inner_text(place).replace("\u00a0", " ").replace("\u2009", "")

    def drag(self, low_kcps, high_kcps):
        """From one rate to another, with the mouse."""
        frame = self.page.evaluate(FRAME)

        def height(rate):
            return frame["top"] + frame["height"] * (frame["end"] - rate) / (frame["end"] - frame["start"])

        self.page.mouse.move(frame["x"], height(low_kcps))
        self.page.mouse.down()
        self.page.mouse.move(frame["x"], height(0.5 * (low_kcps + high_kcps)))
        self.page.mouse.move(frame["x"], height(high_kcps))
        self.page.mouse.up()

    def result(self):
        return json.loads((self.out / "result.json").read_text(encoding="utf-8"))

    def end(self):
        """Ctrl-C, and all that was printed but for the address of the page."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return self.said + out

    def close(self):
        if self.page is not None:
            self.page.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def live(browser, tmp_path):
    """Starts replays with a page."""
    runs = []

    def start(*options):
        runs.append(Live(tmp_path / f"out{len(runs)}", *options))
        runs[-1].open(browser)
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def estimate_on_page(words):
    value, error = (float(x) for x in re.search(r"(\S+) ± (\S+)", words).groups())
    return value, error


def test_the_numbers_on_the_page_are_those_of_the_result(live):
    run = live("--speed", "max")
    run.wait_for("#state", "Complete")
    result = run.result()
    for place, estimate, scale in (
        ("#beta", result["beta"], 100),
        ("#tau-x", result["fit"]["tau_x_s"], 1e9),
        ("#tau-xx", result["fit"]["tau_xx_s"], 1e9),
    ):
        value, error = estimate_on_page(run.words(place))
        assert value == pytest.approx(scale * estimate["value"], abs=0.06 * scale * estimate["stderr"])
        assert error == pytest.approx(scale * estimate["stderr"], rel=0.06)
    assert run.words("#photons").replace(" ", "") == str(result["fit"]["photons"])
    late = result["antibunching"]["late"]
    assert run.words("#g2-small") == late["verdict"]
    run.page.wait_for_function("document.querySelector('#beta-interval').innerText.startsWith('95 %: ')")
    assert f"{result['recording']['photons']}photons" in run.words("#ledger").replace(" ", "")
    # Nothing has changed since it was complete: it is not printed twice.
    assert run.end().count("Two components") == 1
    assert (run.out / "report.html").exists()


def test_dragging_the_window_does_what_on_does(live, tmp_path):
    """Once while the recording plays and once after its end; the last one is what is written."""
    # Slowly: it is not to be over before a busy machine has opened the page.
    run = live("--speed", "0.2", "--placement", "processes")
    run.wait_for("#state", "Running")
    run.page.wait_for_function("() => document.querySelector('#beta').innerText.includes('β')")
    # While it plays the window and the axis move when more is known: whoever misses the line takes it again.
    for _ in range(3):
        run.drag(float(run.page.input_value("#low")), 22.0)
        with contextlib.suppress(PlaywrightTimeout):
            run.wait_for("#window-note", "by hand", timeout_ms=PATIENCE_MS / 3)
            break
    run.wait_for("#window-note", "by hand")
    run.page.select_option("#speed", "max")
    run.wait_for("#state", "Complete")
    first = run.result()
    assert first["states"]["chosen"] == "given"
    # The file is there a moment before the page shows it.
    beta, error = 100 * first["beta"]["value"], 100 * first["beta"]["stderr"]
    same = "x => Math.abs(parseFloat(document.querySelector('#beta').innerText.slice(4)) - x[0]) < 0.1 * x[1]"
    run.page.wait_for_function(same, arg=[beta, error])
    shown = run.page.inner_text("#beta")
    low = float(run.page.input_value("#low"))
    assert low == pytest.approx(22.0, abs=0.5)
    run.drag(low, 24.0)
    run.page.wait_for_function("shown => document.querySelector('#beta').innerText != shown", arg=shown)
    # What is not final yet then becomes so before the end.
    run.end()
    result = run.result()
    assert result["states"]["window_hz"][0] > first["states"]["window_hz"][0]
    low_hz, high_hz = result["parameters"]["states"]["on"]
    window = f"{low_hz!r}:{'' if high_hz is None else repr(high_hz)}"
    out = tmp_path / "given"
    assert main(["replay", str(NC_355), "--headless", "--on", window, "--out", str(out)]) == 0
    given = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert {key: result[key] for key in SCIENCE} == {key: given[key] for key in SCIENCE}
    for name in ("trace.csv", "decay.csv", "flid.csv", "coincidences.csv"):
        assert (run.out / name).read_bytes() == (out / name).read_bytes()
    assert (run.out / "report.html").exists()


def settled(run):
    """The numbers that stand on the page when all that was asked for is done and final."""
    run.wait_for("#state", "Complete")
    run.page.wait_for_function("!document.body.classList.contains('catching-up')")
    return run.words("#beta")


def near(shown, wanted):
    """A figure with its error as on the page, against an estimate of result.json in the unit of the page."""
    value, error = estimate_on_page(shown)
    return (
        abs(value - wanted["value"]) <= 0.06 * wanted["stderr"] and abs(error / wanted["stderr"] - 1) < 0.06
    )


def scaled(estimate, scale):
    return {key: None if estimate[key] is None else scale * estimate[key] for key in ("value", "stderr")}


# Each setting of the page: its field, what is chosen there, and how result.json says that it is so.
SETTINGS = (
    ("intensity-bin_s", "20", lambda r: r["intensity"]["bin_s"] == pytest.approx(0.02, rel=1e-4)),
    ("states-method", "window", lambda r: r["states"]["method"] == "window"),
    ("states-method", "hmm", lambda r: r["states"]["method"] == "hmm"),
    ("lifetime-model", "mono", lambda r: r["fit"]["model"] == "mono"),
    ("lifetime-model", "auto", lambda r: r["fit"]["model"] == "bi"),
    ("lifetime-irf", "FILE", lambda r: str(r["parameters"]["lifetime"]["irf"]).endswith("irf.txt")),
    ("lifetime-irf", "0.12ns", lambda r: r["fit"]["irf_fwhm_s"]["value"] == pytest.approx(0.12e-9)),
    ("lifetime-mean_n", "0.1", lambda r: r["experiment"]["mean_n"] == 0.1 and r["eta"] is not None),
    ("lifetime-s", "3.5", lambda r: r["fit"]["s"] == 3.5),
    (
        "lifetime-fit_range_s",
        "1:150",
        lambda r: r["fit"]["fit_range_s"] == pytest.approx([1e-9, 150e-9], abs=5e-11),
    ),
)


def test_every_setting_does_what_it_says_and_the_page_has_the_numbers_of_the_result(live, tmp_path):
    irf = tmp_path / "irf.txt"
    irf.write_text(
        "\n".join(f"{0.05 * k:.2f} {round(1e5 * 0.5 ** ((k - 20) ** 2))}" for k in range(60)),
        encoding="utf-8",
    )
    run = live("--speed", "max", "--placement", "threads")
    page = run.page
    settled(run)
    page.click("#settings")
    for key, chosen, holds in SETTINGS:
        if key in ("states-method", "lifetime-model"):
            page.select_option(f"#set-{key}", chosen)
        else:
            page.fill(f"#set-{key}", str(irf) if chosen == "FILE" else chosen)
            page.press(f"#set-{key}", "Enter")
        wait_until(page, lambda holds=holds: settled(run) and holds(run.result()), f"{key} {chosen}")
        wait_until(page, lambda: agrees(run, run.result()), f"{key} {chosen} on the page")
        assert page.input_value(f"#set-{key}") == (str(irf) if chosen == "FILE" else chosen)
        assert "Not done" not in run.words("#notice")
    # What cannot be is refused with the reason, and all stays as it was.
    page.fill("#set-lifetime-fit_range_s", "1:900")
    page.press("#set-lifetime-fit_range_s", "Enter")
    run.wait_for("#notice", "does not lie within the pulse period")
    page.wait_for_function("document.querySelector('#set-lifetime-fit_range_s').value === '1:150'")
    assert run.words("#photons-label") == "photons fitted, 1.04 ns to 150 ns"
    shade = "name => (m => [m.visible, m.left, m.right])(Bokeh.documents[0].get_model_by_name(name))"
    assert page.evaluate(shade, "decay before") == [True, 0, pytest.approx(1.04, abs=0.01)]
    assert page.evaluate(shade, "residuals after")[:2] == [True, pytest.approx(150.0, abs=0.05)]
    run.end()
    assert all(
        holds(run.result()) for key, _, holds in SETTINGS if key in ("lifetime-s", "lifetime-fit_range_s")
    )


def agrees(run, result):
    """Whether the large numbers of the page are those of the result."""
    fit = result["fit"]
    shown = [
        ("#tau-x", scaled(fit["tau_x_s"], 1e9)),
        ("#tau-xx", fit["tau_xx_s"] and scaled(fit["tau_xx_s"], 1e9)),
    ]
    shown.append(("#beta", result["beta"] and scaled(result["beta"], 100)))
    photons = run.words("#photons").replace(" ", "") == str(fit["photons"])
    # What is not known, or of a model that does not fit, has no error.
    return photons and all(
        near(run.words(place), wanted) if wanted and wanted["stderr"] else " ± " not in run.words(place)
        for place, wanted in shown
    )


def wait_until(page, ask, what):
    """Ask again and again, while the browser goes on."""
    for _ in range(1200):
        if ask():
            return
        page.evaluate("new Promise(next => setTimeout(next, 50))")
    pytest.fail(f"it did not come to pass: {what}")


def test_the_old_result_stays_and_is_marked_until_the_new_one_is_there(live):
    """A change of the bin width at half the recording: nothing on the page goes empty meanwhile."""
    run = live("--speed", "1")
    page = run.page
    run.wait_for("#beta", "β =")
    # Each plot is filled by an update of its own, at first too.
    for filled in ("trace_values').data.left", "decay').data.selected"):
        page.wait_for_function(f"Bokeh.documents[0].get_model_by_name('source {filled}.length > 0")
    page.evaluate(
        """() => {
          window.seen = [];
          const look = () => {
            const pale = document.body.classList.contains("catching-up");
            const source = name => Bokeh.documents[0].get_model_by_name(`source ${name}`).data;
            window.seen.push({
              pale,
              beta: document.querySelector("#beta").innerText,
              bins: source("trace_values").left.length,
              decay: source("decay").selected.length,
              state: document.querySelector("#state").innerText,
              marked: getComputedStyle(document.querySelector(".plot")).filter === "grayscale(1)"
                && getComputedStyle(document.querySelector("#beta")).fontStyle === "italic",
              ms: document.querySelector("#trace-key").innerText,
            });
            requestAnimationFrame(look);
          };
          look();
        }"""
    )
    page.click("#settings")
    page.fill("#set-intensity-bin_s", "20")
    page.press("#set-intensity-bin_s", "Enter")
    page.wait_for_function("seen.some(each => each.pale)")
    page.wait_for_function("!seen.at(-1).pale && seen.at(-1).ms.includes('20')")
    seen = page.evaluate("seen")
    pale = [each for each in seen if each["pale"]]
    assert all(each["marked"] and "superseded" in each["state"] for each in pale), pale
    empty = [(at, each) for at, each in enumerate(seen) if not (each["bins"] and each["decay"])]
    assert not empty, (len(seen), empty)
    assert all("β" in each["beta"] for each in pale)
    # The old trace is there until the new one takes its place, all at once.
    widths = [each["ms"].partition("bins of")[2].strip() for each in seen]
    assert widths == sorted(widths, key=lambda words: words.startswith("20"))


def test_what_was_noted_of_a_run_stands_on_the_trace_when_it_is_done_again(live, tmp_path):
    earlier = tmp_path / "earlier"
    assert main(["replay", str(NC_355), "--headless", "--out", str(earlier)]) == 0
    note = {
        "what": "command",
        "name": "note",
        "values": {"text": "laser realigned"},
        "done": True,
        "time_s": 2.5,
    }
    with (earlier / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(note) + "\n")
    run = live("--like", str(earlier))
    run.wait_for("#state", "Complete")
    notes = "Bokeh.documents[0].get_model_by_name('source trace_notes').data"
    run.page.wait_for_function(f"{notes}.x.length === 1")
    assert run.page.evaluate(f"[{notes}.x[0], {notes}.text[0]]") == [2.5, "laser realigned"]
    run.end()
