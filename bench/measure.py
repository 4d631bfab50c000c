"""Runs one contestant as a fresh process and says what it cost.

Only the standard library, and little of it: on Linux a child begins with the peak memory of the process that
started it, so the one that measures has to stay small.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

TIMEOUT_S = 900.0
REPORT = "report.json"


@dataclass(frozen=True)
class Cost:
    """What one run took: the whole process, and the work alone (None where the contestant cannot tell).

    ``others_cores``: how many cores all other processes kept busy meanwhile, None where that is not known.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    work_wall_s: float | None
    work_cpu_s: float | None
    others_cores: float | None


@dataclass(frozen=True)
class Run:
    """A finished run: its cost and what it reported; or why there is none."""

    cost: Cost | None
    report: Mapping[str, Any]
    failure: str | None = None


def run(command: Sequence[str], scratch: Path, environment: Mapping[str, str] | None = None) -> Run:
    """Run ``command`` in ``scratch``, where it may leave a report.json, and wait for it.

    CPU time is user and system time of the process and of those it waited for; memory is the largest resident
    set of one of them.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    report = scratch / REPORT
    report.unlink(missing_ok=True)
    with (scratch / "output.txt").open("wb") as output:
        busy_s, began_s = _busy_s(), time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        alarm = threading.Timer(TIMEOUT_S, child.kill)
        alarm.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall_s, busy_s = time.perf_counter() - began_s, _busy_s() - busy_s
        alarm.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        return Run(None, {}, _why(child.returncode, scratch / "output.txt"))
    said: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(
        Cost(
            wall_s=wall_s,
            cpu_s=cpu_s,
            peak_bytes=usage.ru_maxrss * 1024,
            work_wall_s=said.get("work_wall_s"),
            work_cpu_s=said.get("work_cpu_s"),
            others_cores=max(0.0, busy_s - cpu_s) / wall_s if busy_s else None,
        ),
        said,
    )


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure by itself."""

    def of(name: str) -> Any:
        values = [getattr(cost, name) for cost in costs]
        return None if None in values else median(values)

    return Cost(**{name: of(name) for name in Cost.__dataclass_fields__})


def _busy_s() -> float:
    """CPU time that all processes of the machine have used since it started; 0 where the system does not say."""
    try:
        with Path("/proc/stat").open() as stat:
            ticks = [int(field) for field in stat.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, _steal = ticks
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _why(code: int, output: Path) -> str:
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1].strip()[:150] if lines else "no message"
    return f"exit code {code}: {last}" if code > 0 else f"ended by signal {-code}: {last}"
