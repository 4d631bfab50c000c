"""How late a result and the page are, and what a run and its page cost while they play at recorded speed.

    python bench/latency.py [--seconds S] [--rates HZ ...] [--cache DIR] [--json FILE]

For each rate the real command replays a file at --speed 1 with a page open in headless Chromium. A photon recorded at t
is due when the run's clock shows t. It is late by the time until the first result at the run's public address holds it,
and until the trace on the page, as the browser draws it, reaches it. The run tells its clock in its status; the
quickest of these messages sets it, and whoever reads runs on the same machine's clocks. Sampled every millisecond of
recorded time after the first three seconds. CPU is that of the whole of each process over that time, from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright
from tags import write_tags
from watch import Watch

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
ARGUMENTS = ("--no-sandbox", "--disable-gpu")
WARM_S = 3.0
TICKS = os.sysconf("SC_CLK_TCK")
# Every animation frame: when it was, and how far the trace on the page reaches.
SAMPLE = """() => {
  window.seen = [];
  const source = Bokeh.documents[0].get_model_by_name("source trace");
  const look = () => {
    const x = source.data.x;
    let last = x.length - 1;
    while (last >= 0 && !(x[last] >= 0)) last -= 1;
    if (last >= 0) window.seen.push([performance.timeOrigin + performance.now(), x[last]]);
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
READY = "() => Bokeh?.documents[0]?.get_model_by_name('source trace')?.data?.x?.length > 0"


class Watcher(Watch):
    """Reads the run's address: when each kind of result reached which recorded time, and the run's clock."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.arrivals: dict[str, list[tuple[float, float]]] = {"counts": [], "trace": [], "fit": []}
        self.origin_s = np.inf
        self.complete = threading.Event()
        self._rows: dict[str, Any] = {}

    def note(self, now: float, what: tuple[str, str], value: Any) -> None:
        if what == ("decode", "counts"):
            self.arrivals["counts"].append((now, value["duration_s"]))
        elif what == ("intensity", "trace"):
            self.arrivals["trace"].append((now, value["end_s"]))
        elif what == ("states", "selection"):
            self._rows["bins"] = value["bins"]
        elif what == ("lifetime", "decay"):
            self.arrivals["fit"].append((now, float(value["all"].sum())))
        elif what == ("run", "status"):
            if value["state"] == "running" and value["place_s"]:
                self.origin_s = min(self.origin_s, now - value["place_s"])
            if value["state"] == "complete":
                self.complete.set()


def late_ms(arrivals: list[tuple[float, float]], until_s: float) -> list[float]:
    """Median, 90th and 99th percentile in ms; ``arrivals``: seconds of the run's clock, recorded time reached."""
    table = np.array(arrivals)
    reached = np.maximum.accumulate(table[:, 1])
    photons = np.arange(WARM_S, until_s, 1e-3)
    first = np.searchsorted(reached, photons)
    first = first[first < len(reached)]
    late = table[first, 0] - photons[: len(first)]
    return [float(x) for x in 1e3 * np.percentile(late, [50, 90, 99])]


def cpu_s(pids: list[int]) -> float:
    """CPU seconds that these processes have used."""
    used = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used += int(fields[11]) + int(fields[12])
    return used / TICKS


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def measure(path: Path, seconds: float, browser: Any) -> dict[str, Any]:
    """One replay with a page: lateness in ms, and CPU in percent of a core."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-P", "-m", "photonstream.cli", "replay", str(path), "--speed", "1"]
        run = subprocess.Popen(
            [*command, "--no-browser", "--address", address, "--out", out],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        watcher = Watcher(address)
        watcher.start()
        said = iter(run.stdout.readline, "")
        url = next(line for line in said if line.startswith("page: ")).removeprefix("page: ").strip()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.wait_for_function(READY)
        page.evaluate(SAMPLE)
        served = descendants(run.pid)
        shown = [pid for pid in descendants(os.getpid()) if pid not in (run.pid, *served)]
        groups = {"command": [run.pid], "page server": served, "browser": shown}
        before, began = {name: cpu_s(pids) for name, pids in groups.items()}, time.monotonic()
        page.wait_for_timeout(1e3 * max(1.0, seconds - 2.0 - (began - watcher.origin_s)))
        lasted_s = time.monotonic() - began
        share = {name: 100 * (cpu_s(pids) - before[name]) / lasted_s for name, pids in groups.items()}
        seen = page.evaluate("window.seen")
        wall_to_clock = time.time() - time.monotonic() + watcher.origin_s
        watcher.complete.wait(60)
        page.wait_for_timeout(1500)
        began, before = time.monotonic(), {name: cpu_s(pids) for name, pids in groups.items()}
        page.wait_for_timeout(5000)
        lasted_s = time.monotonic() - began
        idle = {name: 100 * (cpu_s(pids) - before[name]) / lasted_s for name, pids in groups.items()}
        page.close()
        run.terminate()
        run.communicate(timeout=60)
        watcher.end.set()
        watcher.join()
    clock = {
        name: [(when - watcher.origin_s, reached) for when, reached in found]
        for name, found in watcher.arrivals.items()
    }
    # How many photons there were by a recorded time turns the fit's photons into the time it has seen.
    total = clock["fit"][-1][1]
    clock["fit"] = [(when, photons / total * clock["counts"][-1][1]) for when, photons in clock["fit"]]
    clock["page"] = [(when_ms / 1e3 - wall_to_clock, reached) for when_ms, reached in seen]
    until_s = seconds - 3.0
    late = {name: late_ms(found, until_s) for name, found in clock.items()}
    return {"late_ms": late, "cpu_percent": share, "idle_percent": idle}


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e4, 1e5, 1e6])
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "photonstream_bench_files"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.cache.mkdir(exist_ok=True)
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for rate_hz in given.rates:
            path = given.cache / f"tags_{rate_hz:.0f}_hz_{given.seconds:.0f}_s.ptu"
            if not path.exists():
                write_tags(path, round(rate_hz * given.seconds), mean_hz=rate_hz)
            found[f"{rate_hz:g}"] = measure(path, given.seconds, browser)
        browser.close()
    print("| photons/s | counts | trace | fit | page | command CPU | page server CPU | browser CPU |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for rate, one in found.items():
        late = (
            " / ".join(f"{x:.0f}" for x in one["late_ms"][name])
            for name in ("counts", "trace", "fit", "page")
        )
        cpu = (f"{x:.1f} % ({one['idle_percent'][name]:.1f} %)" for name, x in one["cpu_percent"].items())
        print(f"| {rate} | {' | '.join(late)} | {' | '.join(cpu)} |")
    if given.json is not None:
        given.json.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
