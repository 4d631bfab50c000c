"""``photonstream soak``: a simulated device is attached for long, and memory and latency are watched."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from photonstream.cli.folders import address_of, free_folder
from photonstream.cli.processes import all_pids, parent_of, what_it_does
from photonstream.cli.quantities import duration, rate
from photonstream.cli.remote import Remote
from photonstream.cli.running import COMMAND
from photonstream.dashboard.delays import MINUTE, RESULT, delays_of
from photonstream.dashboard.latest import RUN, STATUS
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.formats.ptu import PtuFormat
from photonstream.stream.latency import figures
from photonstream.stream.node import InputError

# Records a second of the simulated nanocrystal, were every photon seen.
RATE_OF_ALL_HZ = 4.4e5
ROWS = 30
LOOK_S = 1.0
# Memory is not judged by less than this: a run takes what it needs in its first minutes.
LEAST_S = 300.0
# What grows by less in an hour, as far as its error tells, is called steady.
STEADY_MB_PER_HOUR, STEADY_MS_PER_HOUR = 20.0, 20.0
# The result of a long recording is written when it has been read again.
PATIENCE_S = 600.0
_SAID = {"record": "recorder", "dashboard": "page"}

_DESCRIPTION = """\
Attaches a simulated device for a long time, with a page, and prints the memory of every process as it goes on: the run,
the recorder, the page, and nodes where they are processes; and how long after its record a result is there, median and
99 % of the last minute. At the end each is steady or not, from its slope over the second half. For instruments that are
to run for days; Linux only. Exit code 1 where one of them grows or the run fails.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "soak",
        help="a long simulated run whose memory and latency are watched",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--time", type=duration, default=1800.0, metavar="T", help="how long (default 30min)")
    parser.add_argument("--rate", type=rate, default=1e5, metavar="RATE", help="records/s (default 100k)")
    parser.add_argument(
        "--placement",
        choices=("threads", "processes"),
        default="threads",
        help="as of attach (default threads)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (default: a new one)")
    parser.set_defaults(run=run)


@dataclass
class Series:
    """Values at times in seconds."""

    at_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, at_s: float, value: float) -> None:
        """One more look."""
        self.at_s.append(at_s)
        self.values.append(value)

    def slope(self) -> tuple[float, float] | None:
        """How much an hour over the second half and its error; None of too short a time.

        Of the means of eight stretches, because neighbouring looks are alike.
        """
        half = len(self.values) // 2
        if half < 16 or self.at_s[-1] - self.at_s[-half] < LEAST_S:
            return None
        x, y = (
            np.array([part.mean() for part in np.array_split(np.array(each[-half:]), 8)])
            for each in (self.at_s, self.values)
        )
        (slope, _), errors = np.polyfit(x / 3600.0, y, 1, cov=True)
        return float(slope), float(errors[0, 0] ** 0.5)


@dataclass
class Watched:
    """Memory of each process in MB, and the latency of the result in ms: ``median`` and ``p99`` of the last minute."""

    memory: dict[str, Series] = field(default_factory=dict)
    median: Series = field(default_factory=Series)
    p99: Series = field(default_factory=Series)

    def look(self, at_s: float, memory: Mapping[str, float], late: Mapping[str, Any] | None) -> None:
        """What is so now; ``late`` are the figures of the latency, None where there are none."""
        for name, mb in memory.items():
            self.memory.setdefault(name, Series()).add(at_s, mb)
        if late is not None:
            self.median.add(at_s, 1e3 * late["median_s"])
            self.p99.add(at_s, 1e3 * late["p99_s"])

    def row(self) -> str:
        """The newest of all, in two cells of a table."""
        memory = ", ".join(f"{name} {each.values[-1]:.0f}" for name, each in sorted(self.memory.items()))
        late = "-" if not self.median.values else f"{self.median.values[-1]:.0f} / {self.p99.values[-1]:.0f}"
        return f"{memory} | {late}"


def run(arguments: argparse.Namespace) -> int:
    """Attach, watch, judge; returns the exit code."""
    if sys.platform != "linux":
        raise InputError("memory is read from /proc, which only Linux has")
    folder = arguments.out or free_folder(Path("soak"))
    share = min(1.0, arguments.rate / RATE_OF_ALL_HZ)
    command = [
        *COMMAND,
        "attach",
        "simulated",
        f"--set=device.efficiency={share:g},{share:g}",
        "--no-browser",
    ]
    command += ["--port=0", f"--placement={arguments.placement}", f"--out={folder}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, start_new_session=True) as attached:
        try:
            found = _watch(attached, folder, arguments.time)
        finally:
            attached.send_signal(signal.SIGINT)
        try:
            code = attached.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            attached.kill()
            print(f"\nrun: {folder}, killed: it had not ended {PATIENCE_S:g} s after it was asked to")
            code = 1
        else:
            print(f"\nrun: {folder}, exit code {code}")
    return 1 if _judge(found) or code else 0


def _watch(attached: subprocess.Popen[bytes], folder: Path, limit_s: float) -> Watched:
    """Look every second, print now and then, until the time is over, or the run ends.

    The time counts from the first record on, or from when there should have been one.
    """
    found = Watched()
    patient_until = time.monotonic() + PATIENCE_S
    while attached.poll() is None and not _records(folder) and time.monotonic() < patient_until:
        time.sleep(min(LOOK_S, limit_s / 64.0))
    began = time.monotonic()
    shown_s = 0.0
    print("| time, s | million records | memory of each process, MB | record to result, ms: median / 99 % |")
    print("|--:|--:|---|--:|")
    address = address_of(folder)
    with nullcontext() if address is None else Remote(address) as remote:
        while (now_s := time.monotonic() - began) < limit_s and attached.poll() is None:
            found.look(now_s, memory_mb(attached.pid), None if remote is None else _late(remote))
            if now_s >= shown_s:
                shown_s = now_s + limit_s / ROWS
                print(f"| {now_s:.0f} | {1e-6 * _records(folder):.1f} | {found.row()} |", flush=True)
            until = time.monotonic() + min(LOOK_S, limit_s / 64.0)
            while time.monotonic() < until:
                if remote is None:
                    time.sleep(max(0.0, until - time.monotonic()))
                else:
                    remote.hear()
    return found


def _late(remote: Remote) -> Mapping[str, Any] | None:
    """How late results were in the last minute, as far as the run has said."""
    delays = delays_of(remote.hear().value(RUN, STATUS).get("latency"))
    return figures(delays.get(RESULT), MINUTE)


def _judge(found: Watched) -> bool:
    """Print what became of the memory of each process and of the latency; whether any grows."""
    grows = [
        _grows(name, "its memory", each, "MB", STEADY_MB_PER_HOUR)
        for name, each in sorted(found.memory.items())
    ]
    for name, late in (("median", found.median), ("99 %", found.p99)):
        if late.values:
            grows.append(_grows(f"record to result, {name}", "it", late, "ms", STEADY_MS_PER_HOUR))
    return any(grows)


def _grows(name: str, what: str, series: Series, unit: str, steady: float) -> bool:
    """Print how ``what`` of ``name`` went on; whether it grows by more than ``steady`` units an hour."""
    slope = series.slope()
    if slope is None:
        print(f"{name}: too short to tell whether {what} is steady")
        return False
    value, error = slope
    growing = value - 2.0 * error > steady
    verdict = "GROWS" if growing else f"at most {value + 2.0 * error:.0f}: no growth is seen"
    if value + 2.0 * error <= steady:
        verdict = "steady"
    print(f"{name}: {value:+.1f} ± {error:.1f} {unit} an hour, {verdict}")
    return growing


def memory_mb(parent: int) -> dict[str, float]:
    """Resident memory of the process ``parent``, "run", and of its children by what they do."""
    found = {"run": resident_mb(parent)}
    for pid in all_pids():
        if parent_of(pid) == parent and (what := what_it_does(pid)) is not None:
            found[_SAID.get(what, what)] = resident_mb(pid)
    return {name: mb for name, mb in found.items() if mb > 0.0}


def resident_mb(pid: int) -> float:
    """Memory of a process that is in use now; 0 of one that has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _records(folder: Path) -> int:
    """How many records the recording has by now."""
    file = next(iter(folder.glob("*.ptu")), None)
    try:
        return 0 if file is None else PtuFormat().open(file).records
    except TagFileError:
        # Its header is just being written.
        return 0
