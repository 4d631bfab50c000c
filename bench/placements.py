"""The whole line of nodes in one thread, in threads and in processes, side by side: photons per second.

    python bench/placements.py [--photons N] [--rounds N] [--pulses N] [--cache DIR] [--json FILE]

Each round runs the three in turn on the same file, without a page and without results on the way. What a run takes
before its first record (processes to start, sockets) and after its last is taken off by a second run on a short file.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tags import write_tags

from photonstream.cli.running import node_command
from photonstream.nodes.pipeline import standard
from photonstream.stream.processes import ProcessesRunner
from photonstream.stream.runner import InlineRunner, Runner
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology import Topology
from photonstream.stream.topology_file import TopologyFile

SHORT = 500_000
PLACEMENTS: dict[str, Callable[[Topology], Runner]] = {
    "inline": InlineRunner,
    "threads": ThreadsRunner,
    "processes": lambda topology: ProcessesRunner(TopologyFile(topology), command=node_command),
}


def cost(place: str, path: Path, pulses: int) -> tuple[float, float, int]:
    """Wall and CPU seconds of one run, with its children's, and its photons."""
    parameters = {"source": {"path": str(path)}, "antibunching": {"pulses": pulses}}
    wall_s, cpu_s = time.perf_counter(), used_s()
    outcome = PLACEMENTS[place](standard(parameters)).run()
    if outcome.imbalances:
        raise SystemExit(f"the ledger does not balance: {outcome.imbalances}")
    photons = outcome.results["decode", "counts"].value["photons"]
    return time.perf_counter() - wall_s, used_s() - cpu_s, photons


def used_s() -> float:
    """CPU seconds of this process and of those that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photons", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pulses", type=int, default=0, help="pairs up to so many pulses apart (0: none)")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "photonstream_bench_files"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.cache.mkdir(exist_ok=True)
    files = {photons: given.cache / f"tags_{photons}.ptu" for photons in (SHORT, given.photons)}
    for photons, path in files.items():
        if not path.exists():
            write_tags(path, photons)
    for place in PLACEMENTS:
        cost(place, files[SHORT], given.pulses)
    rounds: dict[str, list[tuple[float, float]]] = {place: [] for place in PLACEMENTS}
    for k in range(given.rounds):
        for place in PLACEMENTS:
            short, long = (cost(place, files[n], given.pulses) for n in (SHORT, given.photons))
            photons = long[2] - short[2]
            rounds[place].append((photons / (long[0] - short[0]), photons / (long[1] - short[1])))
            print(f"round {k + 1}: {place} {1e-6 * rounds[place][-1][0]:.0f} M/s", file=sys.stderr)
    print("| placement | M photons/s wall | range | M photons/s CPU | beside inline |")
    print("|---|--:|--:|--:|--:|")
    for place, rates in rounds.items():
        wall, cpu = ([1e-6 * rate[k] for rate in rates] for k in (0, 1))
        ratio = median(a[0] / b[0] for a, b in zip(rates, rounds["inline"], strict=True))
        spread = f"{min(wall):.0f} to {max(wall):.0f}"
        print(f"| {place} | {median(wall):.0f} | {spread} | {median(cpu):.0f} | {ratio:.2f} |")
    if given.json is not None:
        given.json.write_text(json.dumps(rounds), encoding="utf-8")


if __name__ == "__main__":
    main()
