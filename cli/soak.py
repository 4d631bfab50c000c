"""``photonstream soak``: a simulated device is attached for long, and the memory of every process is watched."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from photonstream.cli.folders import free_folder
from photonstream.cli.processes import all_pids, parent_of, what_it_does
from photonstream.cli.quantities import duration, rate
from photonstream.cli.running import COMMAND
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.formats.ptu import PtuFormat
from photonstream.stream.node import InputError

# Records a second of the simulated nanocrystal, were every photon seen.
RATE_OF_ALL_HZ = 4.4e5
ROWS = 30
LOOK_S = 1.0
# Memory is not judged by less than this: a run takes what it needs in its first minutes.
LEAST_S = 300.0
# Memory that grows by less in an hour, as far as its error tells, is called steady.
STEADY_MB_PER_HOUR = 20.0
# The result of a long recording is written when it has been read again.
PATIENCE_S = 600.0
_SAID = {"record": "recorder", "dashboard": "page"}

_DESCRIPTION = """\
Attaches a simulated device for a long time, with a page, and prints the memory of every process as it goes on: the run,
the recorder, the page, and nodes where they are processes. At the end the memory of each is steady or not, from its
slope over the second half. For instruments that are to run for days; Linux only. Exit code 1 where memory grows or the
run fails.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "soak",
        help="a long simulated run whose memory is watched",
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
class Memory:
    """What one process took, in MB, at times in seconds."""

    at_s: list[float] = field(default_factory=list)
    mb: list[float] = field(default_factory=list)

    def slope(self) -> tuple[float, float] | None:
        """MB an hour over the second half and its error; None of too short a time.

        Of the means of eight stretches, because neighbouring looks are alike.
        """
        half = len(self.mb) // 2
        if half < 16 or self.at_s[-1] - self.at_s[-half] < LEAST_S:
            return None
        x, y = (
            np.array([part.mean() for part in np.array_split(np.array(each[-half:]), 8)])
            for each in (self.at_s, self.mb)
        )
        (slope, _), errors = np.polyfit(x / 3600.0, y, 1, cov=True)
        return float(slope), float(errors[0, 0] ** 0.5)


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


def _watch(attached: subprocess.Popen[bytes], folder: Path, limit_s: float) -> dict[str, Memory]:
    """Look every second, print now and then, until the time is over, or the run ends.

    The time counts from the first record on, or from when there should have been one.
    """
    found: dict[str, Memory] = {}
    patient_until = time.monotonic() + PATIENCE_S
    while attached.poll() is None and not _records(folder) and time.monotonic() < patient_until:
        time.sleep(min(LOOK_S, limit_s / 64.0))
    began = time.monotonic()
    shown_s = 0.0
    print("| time, s | million records | memory of each process, MB |\n|--:|--:|---|")
    while (now_s := time.monotonic() - began) < limit_s and attached.poll() is None:
        for name, mb in memory_mb(attached.pid).items():
            each = found.setdefault(name, Memory())
            each.at_s.append(now_s)
            each.mb.append(mb)
        if now_s >= shown_s:
            shown_s = now_s + limit_s / ROWS
            there = ", ".join(f"{name} {each.mb[-1]:.0f}" for name, each in sorted(found.items()))
            print(f"| {now_s:.0f} | {1e-6 * _records(folder):.1f} | {there} |", flush=True)
        time.sleep(min(LOOK_S, limit_s / 64.0))
    return found


def _judge(found: Mapping[str, Memory]) -> bool:
    """Print what became of the memory of each process; whether any grows."""
    grows = False
    for name, memory in sorted(found.items()):
        slope = memory.slope()
        if slope is None:
            print(f"{name}: too short to tell whether its memory is steady")
            continue
        value, error = slope
        growing = value - 2.0 * error > STEADY_MB_PER_HOUR
        grows |= growing
        verdict = "GROWS" if growing else f"at most {value + 2.0 * error:.0f}: no growth is seen"
        if value + 2.0 * error <= STEADY_MB_PER_HOUR:
            verdict = "steady"
        print(f"{name}: {value:+.1f} ± {error:.1f} MB an hour, {verdict}")
    return grows


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
