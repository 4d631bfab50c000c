"""The page's server under load: one tab, ten, two hundred opened and closed, a server and a browser that slept.

    python bench/tabs.py [--rates 2e4,2e7] [--seconds S] [--openings N]

At each rate a simulated device is attached without a page, and `photonstream dashboard` serves it as a process of its
own, which is what is measured: CPU in percent of a core, resident memory. What a browser does is told by the first tab:
updates a second that it has drawn, and the longest time that one frame took to the next for 99 % and at worst. A sleep
is SIGSTOP and SIGCONT; back is who has drawn a newer trace. CPU of browsers is not the server's, but they want the same
cores: see the load.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attach_rates import DEVICES
from latency import ARGUMENTS, CHROMIUM, READY, cpu_s, descendants
from playwright.sync_api import Browser, Page, sync_playwright

from photonstream.cli.soak import resident_mb

RATES: dict[str, dict[str, Any]] = {"2e4": {"efficiency": (0.042, 0.042)}, "2e7": DEVICES["2e7"]}
SLEEP_S = 20.0
# At 2e7 records/s these are 48 GB.
LONGEST_S = 600.0
# Every update that the page takes, and every frame, in ms.
COUNT = """() => {
  window.taken = []; window.frames = [];
  if (!window.counted) {
    window.counted = true;
    const take = photonstream.take;
    photonstream.take = shown => { window.taken.push(performance.now()); take(shown); };
    const frame = now => { window.frames.push(now); requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
  }
}"""
REACH = """() => {
  const x = Bokeh.documents[0].get_model_by_name("source trace").data.x;
  return x.reduce((most, each) => each >= most ? each : most, 0);
}"""


@contextmanager
def served(rate: str, folder: str) -> Iterator[tuple[str, int]]:
    """A run at this rate and its page: its URL, and the process that serves it."""
    settings = [f"--set=device.{key}={_text(value)}" for key, value in RATES[rate].items()]
    photonstream = [sys.executable, "-P", "-m", "photonstream.cli"]
    run = subprocess.Popen(
        [
            *photonstream,
            "attach",
            "simulated",
            "--headless",
            f"--time={LONGEST_S:.0f}s",
            f"--out={folder}/{rate}",
            *settings,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    address = _said(run, "to watch it: photonstream dashboard ")
    page = subprocess.Popen(
        [*photonstream, "dashboard", "--no-browser", address], stdout=subprocess.PIPE, text=True
    )
    try:
        yield _said(page, "page: "), page.pid
    finally:
        for process in (page, run):
            process.send_signal(signal.SIGINT)
        for process in (page, run):
            process.communicate(timeout=600)


def watch(page: Page, server: int, seconds: float) -> dict[str, float]:
    """What the server uses and the tab shows for so long."""
    page.evaluate(COUNT)
    before, began = cpu_s([server]), time.monotonic()
    page.wait_for_timeout(1e3 * seconds)
    used, lasted = cpu_s([server]) - before, time.monotonic() - began
    taken, frames = page.evaluate("[window.taken, window.frames]")
    gaps = np.diff(frames)
    return {
        "cpu_percent": 100 * used / lasted,
        "memory_mb": resident_mb(server),
        "updates_hz": len(taken) / lasted,
        "frame_99_ms": float(np.percentile(gaps, 99)),
        "frame_worst_ms": float(gaps.max()),
        "load": os.getloadavg()[0],
    }


def open_tab(browser: Browser, url: str) -> Page:
    """A tab in a window of its own, once it has drawn."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    page.wait_for_function(READY)
    return page


def slept(page: Page, pids: list[int]) -> float:
    """Stop these processes for a while; seconds from their waking to a newer trace in the tab."""
    reached = page.evaluate(REACH)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(SLEEP_S)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    page.wait_for_function(f"() => window.Bokeh?.documents.length && ({REACH})() > {reached + 0.9 * SLEEP_S}")
    return time.monotonic() - began


def measure(rate: str, seconds: float, openings: int, browser: Browser, folder: str) -> None:
    """All of it at one rate; prints a row each."""
    with served(rate, folder) as (url, server):
        tabs = [open_tab(browser, url)]
        _row(rate, "one tab", watch(tabs[0], server, seconds))
        tabs += [open_tab(browser, url) for _ in range(9)]
        _row(rate, "ten tabs", watch(tabs[0], server, seconds))
        for tab in tabs[1:]:
            tab.context.close()
        for count in range(1, openings + 1):
            open_tab(browser, url).context.close()
            if count % max(1, openings // 4) == 0:
                _row(rate, f"{count} tabs opened and closed", watch(tabs[0], server, 5.0))
        renderers = [pid for pid in descendants(os.getpid()) if _is_chromium(pid)]
        print(
            f"| {rate} | server slept {SLEEP_S:.0f} s: back after {slept(tabs[0], [server]):.1f} s |",
            flush=True,
        )
        print(
            f"| {rate} | browser slept {SLEEP_S:.0f} s: back after {slept(tabs[0], renderers):.1f} s |",
            flush=True,
        )
        _row(rate, "one tab, afterwards", watch(tabs[0], server, seconds))
        tabs[0].context.close()


def _is_chromium(pid: int) -> bool:
    try:
        return "chrom" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False


def _said(process: subprocess.Popen[str], start: str) -> str:
    assert process.stdout is not None
    said = iter(process.stdout.readline, "")
    return next(line for line in said if line.startswith(start)).removeprefix(start).split()[0]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _row(rate: str, what: str, found: dict[str, float]) -> None:
    print(
        f"| {rate} | {what} | {found['cpu_percent']:.1f} % | {found['memory_mb']:.0f} | {found['updates_hz']:.1f} | "
        f"{found['frame_99_ms']:.0f} / {found['frame_worst_ms']:.0f} | {found['load']:.1f} |",
        flush=True,
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", default=",".join(RATES))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--openings", type=int, default=200)
    given = parser.parse_args()
    print(
        "| records/s | tabs | server CPU | server MB | updates/s | frame to frame, ms: 99 % / worst | load |"
    )
    print("|--:|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for rate in given.rates.split(","):
            measure(rate, given.seconds, given.openings, browser, folder)
        browser.close()


if __name__ == "__main__":
    main()
