"""Memory and speed of the whole line over a long run: a short recording, read again and again without an end.

    python bench/day.py [--hours H] [--rate HZ] [--out FILE.tsv]

The photon path with its branches folds the records of a simulated nanocrystal, so often that they last for hours; no
file is as long. Each reading ends with a counter wrap, so time goes on. Everything else is as in a replay: states are
learned, which reads all of it twice and more. Prints memory (resident) and records a second at each twelfth of every
reading, and the slope of memory over the last half of the last one with its error.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.device_time import wrap_records
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.pipeline import branches, photon_path
from photonstream.nodes.sources import Replay, ReplayParameters
from photonstream.stream.runner import InlineRunner, Progress
from photonstream.stream.topology import Topology

PIECE_S = 30.0
# Records a second of the simulated nanocrystal, were every photon seen.
RATE_OF_ALL_HZ = 4.4e5
PAGE_BYTES = resource.getpagesize()


def resident_mb() -> float:
    """Memory of this process that is in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


@dataclass(frozen=True)
class RepeatParameters(ReplayParameters):
    """Those of a replay; the file is read ``times`` times."""

    times: int = 1


class Repeat(Replay):
    """A replay that begins again, a counter wrap later, when it has come to the end of its file."""

    Parameters = RepeatParameters

    def _pieces(self) -> Iterator[NDArray[np.uint32] | float]:
        assert isinstance(self.parameters, RepeatParameters)
        for _ in range(self.parameters.times):
            yield from super()._pieces()
            if self.halted:
                return
            yield wrap_records(self._file.record_type, 1)

    @property
    def _left(self) -> int:
        return 0 if self.halted else 1 << 62

    @property
    def _complete(self) -> bool:
        # The checksum of a file that is read so often means nothing.
        return False


def register(folder: Path) -> None:
    """Make `Repeat` known as kind "repeat", as an installed package would."""
    package = folder / "bench_day-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-day\nVersion: 0\n")
    (package / "entry_points.txt").write_text("[photonstream.nodes]\nrepeat = day:Repeat\n")
    sys.path.append(str(folder))


class Watch:
    """Notes memory and speed as the reading goes on."""

    def __init__(self, records: int) -> None:
        self.step = max(1, records // 12)
        self.rows: list[tuple[int, int, float, float]] = []
        self._reading, self._next, self._last = 0, 0, (0, time.monotonic())

    def __call__(self, progress: Progress) -> None:
        records = next(
            (int(r.value["records"]) for (_, key), r in progress.results.items() if key == "progress"), 0
        )
        if records < self._last[0]:
            self._reading, self._next = self._reading + 1, 0
            self._last = 0, self._last[1]
        if records < self._next:
            return
        now = time.monotonic()
        speed = (records - self._last[0]) / max(now - self._last[1], 1e-9)
        self.rows.append((self._reading, records, resident_mb(), speed))
        print(
            f"| {self._reading + 1} | {1e-6 * records:.0f} | {self.rows[-1][2]:.0f} | {1e-6 * speed:.1f} |",
            flush=True,
        )
        self._last, self._next = (records, now), records + self.step


def main() -> None:
    """Simulate, read, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--rate", type=float, default=1e5, help="records a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.ptu"
        efficiency = given.rate / RATE_OF_ALL_HZ
        command = [sys.executable, "-m", "photonstream.cli", "simulate", "355nm", "--time", f"{PIECE_S:g}s"]
        command += ["--out", str(path), "--set", f"efficiency={efficiency:g},{efficiency:g}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        once = open_tag_file(path).records
        times = round(given.hours * 3600.0 / PIECE_S)
        register(Path(folder))
        print(
            f"{times} times {once:,} records in {PIECE_S:g} s: {times * once:,} records, {given.hours:g} hours\n"
        )
        print("| reading | million records | memory, MB | million records/s |\n|--:|--:|--:|--:|")
        watch = Watch(times * once)
        parameters = {"source": {"path": str(path), "times": times}}
        source, *others = photon_path(parameters).nodes
        line = Topology((replace(source, kind="repeat"), *others, *branches(parameters)))
        outcome = InlineRunner(line, on_progress=watch).run()
        if outcome.imbalances:
            raise SystemExit(f"the ledger does not balance: {outcome.imbalances}")
    late = [(records, memory) for reading, records, memory, _ in watch.rows if reading == watch.rows[-1][0]][
        1:
    ]
    x, y = (np.array(each, float) for each in zip(*late, strict=True))
    (slope, _), errors = np.polyfit(x, y, 1, cov=True)
    hours = times * once / (given.hours * 1.0)
    print(f"\nlast half: {slope * hours:+.2f} +- {errors[0, 0] ** 0.5 * hours:.2f} MB an hour of recording")


if __name__ == "__main__":
    main()
