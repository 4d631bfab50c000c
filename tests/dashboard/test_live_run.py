"""The whole program as a person uses it: a recording plays, a browser shows it, the window is dragged, Ctrl-C."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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
        command = [*COMMAND, "replay", str(NC_355), "--no-browser", "--out", str(out), *options]
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

    def wait_for(self, place, words):
        self.page.wait_for_function(
            "([place, words]) => document.querySelector(place)?.innerText.includes(words)", arg=[place, words]
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
    run = live("--speed", "1", "--placement", "processes")
    run.wait_for("#state", "Running")
    run.page.wait_for_function("() => document.querySelector('#beta').innerText.includes('β')")
    low = float(run.page.input_value("#low"))
    run.drag(low, 22.0)
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
