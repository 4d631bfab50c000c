"""What every measured process does: prepare, work on the clock, report. For `ours` and `readers`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Counts of the trace and of the decay (all channels); None from a stage that makes none.
Curves = tuple[NDArray[Any], NDArray[Any]] | None
Work = Callable[[Path], Curves]
# Imports and returns the work; is given the facts of the file.
Prepare = Callable[[Mapping[str, Any]], Work]


def main(contestants: Mapping[str, tuple[str, Prepare]], *, compiling: frozenset[str] = frozenset()) -> None:
    """``SCRIPT NAME FILE FACTS SMALL``: do NAME's work on FILE and leave report.json, trace.bin, decay.bin.

    ``contestants``: distribution and preparation by name. Those in ``compiling`` have a just-in-time compiler,
    which gets to run (or to load what it has cached) on the file SMALL before the clock starts.
    """
    name, path, facts, small = sys.argv[1:]
    distribution, prepare = contestants[name]
    work = prepare(json.loads(facts))
    if name in compiling:
        work(Path(small))
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    curves = work(Path(path))
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    for title, counts in zip(("trace", "decay"), curves or (), strict=False):
        np.asarray(counts).astype("<i8").tofile(f"{title}.bin")
    report = {
        "work_wall_s": wall_s,
        "work_cpu_s": cpu_s,
        "version": f"{distribution} {version(distribution)}",
        "curves": curves is not None,
    }
    Path("report.json").write_text(json.dumps(report))
