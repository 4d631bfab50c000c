"""One command, one table: this project beside other readers on the same tag file, each in a fresh process."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import environments
import measure
import table
from measure import Cost

HERE = Path(__file__).resolve().parent
OURS = {
    "decode": "photonstream: decode alone",
    "path": "photonstream: photon path",
    "pipeline": "photonstream: with fits",
    "everything": "photonstream: and coincidences",
    "threads": "the same in threads",
}
REPLAY = "photonstream replay --headless"
# The reference of all curves, and the stages whose memory is measured by length.
REFERENCE = "path"


@dataclass
class Contestant:
    """Who runs: the command for a file, and what came of it."""

    name: str
    command: list[str]
    takes_facts: bool
    reader: bool
    environment: dict[str, str] = field(default_factory=dict)
    costs: list[Cost] = field(default_factory=list)
    failure: str | None = None
    check: str = ""
    complete: bool = False
    version: str = ""


class Bench:
    """The files, the folders, and the order in which everything is measured."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._scratch = cache / "scratch"

    def tags(self, photons: int) -> Path:
        """A tag file of about ``photons`` photons; written once, by a process of its own, which may be large."""
        path = self.cache / f"tags_{photons}.ptu"
        if not path.exists():
            print(f"writing a file of {photons:,} photons", file=sys.stderr)
            self.cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            self._must(["tags.py", str(part), str(photons)])
            part.rename(path)
        return path

    def facts(self, path: Path) -> dict[str, Any]:
        """What `ours.facts` says of the file."""
        return dict(self._must(["ours.py", "facts", str(path)]).report)

    def fits(self) -> dict[str, Any]:
        """What `fits` says."""
        return dict(self._must(["fits.py"]).report)

    def _must(self, script: Sequence[str]) -> measure.Run:
        done = measure.run([sys.executable, str(HERE / script[0]), *script[1:]], self._scratch / script[0])
        if done.failure:
            raise SystemExit(f"{script[0]}: {done.failure}")
        return done

    def folder(self, contestant: Contestant) -> Path:
        """Where a contestant runs and leaves its curves."""
        return self._scratch / "".join(c if c.isalnum() else "_" for c in contestant.name)

    def once(self, contestant: Contestant, path: Path, facts: dict[str, Any], small: Path) -> Cost | None:
        """Run a contestant; a failure is remembered and keeps it out of further rounds."""
        if contestant.failure:
            return None
        tail = [str(path), json.dumps(facts), str(small)] if contestant.takes_facts else [str(path)]
        done = measure.run([*contestant.command, *tail], self.folder(contestant), contestant.environment)
        contestant.failure = done.failure
        contestant.version = done.report.get("version", contestant.version)
        return done.cost

    def contestants(self, failures: dict[str, str]) -> list[Contestant]:
        """Ours, then the readers of others."""
        ours = [
            Contestant(words, [sys.executable, str(HERE / "ours.py"), stage], takes_facts=True, reader=False)
            for stage, words in OURS.items()
        ]
        program = Path(sys.executable).with_name("photonstream")
        replay = [str(program), "replay", "--headless", "--out", "results"]
        others = []
        for name in environments.REQUIREMENTS:
            python = environments.interpreter(self.cache, name)
            command = [str(python), str(HERE / "readers.py"), name]
            home = environments.home(self.cache)
            missing = failures.get(name, "not set up: run with --set-up")
            others.append(Contestant(name, command, True, True, home, failure=None if python else missing))
        return [*ours, Contestant(REPLAY, replay, takes_facts=False, reader=False), *others]


def contest(
    bench: Bench, path: Path, runs: int, failures: dict[str, str]
) -> tuple[list[Contestant], dict[str, Any]]:
    """A warm-up in which the curves are compared, then ``runs`` rounds in turn."""
    small = bench.tags(1)
    facts = bench.facts(path)
    everyone = bench.contestants(failures)
    reference = next(c for c in everyone if c.name == OURS[REFERENCE])
    for k in range(runs + 1):
        for contestant in everyone:
            print(f"round {k} of {runs}: {contestant.name}", file=sys.stderr)
            cost = bench.once(contestant, path, facts, small)
            if k and cost is not None:
                contestant.costs.append(cost)
    if reference.failure:
        raise SystemExit(f"{reference.name}: {reference.failure}")
    for contestant in everyone:
        if not contestant.failure:
            contestant.check, contestant.complete = _check(
                bench.folder(contestant), bench.folder(reference), facts["photons"]
            )
    return everyone, facts


def _check(folder: Path, reference: Path, photons: int) -> tuple[str, bool]:
    """What a contestant's work amounts to, from what it left behind, and whether it counts."""
    if (folder / "trace.bin").exists():
        return table.check(folder, reference, photons)
    result = folder / "results" / "result.json"
    if result.exists():
        found = json.loads(result.read_text())["recording"]["photons"]
        return "all photons" if found == photons else f"misses {photons - found} photons", found == photons
    return "", True


def memory(bench: Bench, lengths: Sequence[int]) -> dict[str, list[tuple[int, Cost]]]:
    """Our whole pipeline and the whole command on files of several lengths."""
    small = bench.tags(1)
    watched = [c for c in bench.contestants({}) if c.name in (OURS["pipeline"], REPLAY)]
    peaks: dict[str, list[tuple[int, Cost]]] = {c.name: [] for c in watched}
    for photons in lengths:
        path = bench.tags(photons)
        facts = bench.facts(path)
        for contestant in watched:
            print(f"memory at {photons:,} photons: {contestant.name}", file=sys.stderr)
            cost = bench.once(contestant, path, facts, small)
            if cost is None:
                raise SystemExit(f"{contestant.name}: {contestant.failure}")
            peaks[contestant.name].append((facts["photons"], cost))
    return peaks


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--photons", type=int, default=50_000_000, help="length of the file (default 50 million)"
    )
    parser.add_argument("--runs", type=int, default=3, help="rounds after the warm-up; figures are medians")
    parser.add_argument("--file", type=Path, help="a T3 tag file of your own instead")
    parser.add_argument("--set-up", action="store_true", help="first install the other readers from PyPI")
    parser.add_argument(
        "--memory",
        type=int,
        nargs="*",
        default=[5_000_000, 50_000_000, 150_000_000],
        help="lengths at which our memory is measured (none: skip)",
    )
    parser.add_argument("--no-fits", action="store_true", help="skip the timing of single fits")
    parser.add_argument("--json", type=Path, help="write every figure there too")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "photonstream-bench",
        help="folder of the files and environments (2.5 GB; default: in the temporary folder)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    arguments = parse(argv)
    bench = Bench(arguments.cache.resolve())
    failures = environments.set_up(bench.cache) if arguments.set_up else {}
    path = arguments.file.resolve() if arguments.file else bench.tags(arguments.photons)
    everyone, facts = contest(bench, path, arguments.runs, failures)
    rows = [
        table.Row(
            c.name,
            measure.middle(c.costs) if c.costs else None,
            c.failure or c.check,
            c.complete,
            c.reader,
            c.version,
        )
        for c in everyone
    ]
    costs = [cost for c in everyone for cost in c.costs]
    others = sorted(c.others_cores for c in costs if c.others_cores is not None)
    said = {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "photons": facts["photons"],
        "records": facts["records"],
        "record_type": facts["record_type"],
        "runs": arguments.runs,
        "cores_busy_with_other_things": {"median": round(median(others), 2), "most": round(others[-1], 2)}
        if others
        else None,
        "versions": ", ".join(sorted({row.version for row in rows if row.version})),
    }
    print("\n".join(f"{key}: {value}" for key, value in said.items()))
    print("\n" + table.main_table(rows, facts["photons"]))
    peaks = memory(bench, arguments.memory) if arguments.memory else {}
    if peaks:
        print("\n" + table.memory_table(peaks))
    fits = {} if arguments.no_fits else bench.fits()
    if fits:
        print("\n" + "\n".join(f"fit {key}: {value}" for key, value in fits.items()))
    if arguments.json:
        figures = {
            **said,
            "contest": [
                {
                    "name": row.name,
                    "reader": row.reader,
                    "check": row.check,
                    "median": row.cost and asdict(row.cost),
                    "runs": [asdict(cost) for cost in c.costs],
                }
                for row, c in zip(rows, everyone, strict=True)
            ],
            "memory": {name: [(n, asdict(c)) for n, c in costs] for name, costs in peaks.items()},
            "fits": fits,
        }
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
