"""``photonstream replay``: a finished recording to trace, on-state decay, lifetimes and beta."""

from __future__ import annotations

import argparse
import ast
import datetime
import itertools
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from photonstream.cli.progress import ProgressLine
from photonstream.cli.quantities import duration, irf, setting, speed, window, with_prefix
from photonstream.cli.summary import summary_table
from photonstream.dashboard.folder import read_folder
from photonstream.nodes.compiled import kernels_are_kept
from photonstream.nodes.experiment import read_experiment
from photonstream.nodes.pipeline import kinds, standard
from photonstream.nodes.tables import EXPORTS
from photonstream.stream.node import NodeError, ParameterError
from photonstream.stream.runner import InlineRunner, Outcome, Progress, Runner
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology import Topology, parameter_owners

try:
    import fcntl
except ImportError:  # not on Windows, where two runs into one folder are not kept apart
    fcntl = None  # type: ignore[assignment]

BROKEN_LEDGER = 3
PLACEMENTS: dict[str, type[Runner]] = {"inline": InlineRunner, "threads": ThreadsRunner}

_DESCRIPTION = """\
Replays a tag file through the whole pipeline: intensity trace, selection of the emitter's bright (neutral)
state, decay of those photons only, lifetimes, and the carrier-multiplication efficiency beta with its error.
Writes result.json, the curves and report.html, and prints a table.
"""

_EPILOG = """\
examples:
  photonstream replay nc.ptu
  photonstream replay nc.ptu --on 20k:80k --bin 5ms      select bins of 20 to 80 kcps yourself
  photonstream replay nc.ptu --irf 0.1ns --mean-n 0.1    known instrument response; beta corrected for <N>
  photonstream replay nc.ptu --set lifetime.s=3.5        any parameter of any node: NODE.PARAMETER=VALUE
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "replay",
        help="a recording to trace, decay of the selected state, lifetimes and beta",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a PicoQuant .ptu, .pt2, .pt3, .ht2 or .ht3 file")
    parser.add_argument(
        "--speed",
        type=speed,
        default=None,
        metavar="max|X",
        help="as fast as possible (default), or X times recorded time",
    )
    parser.add_argument(
        "--bin", type=duration, default=0.01, metavar="TIME", help="bin width of the trace (default 10ms)"
    )
    parser.add_argument(
        "--on",
        type=window,
        default="auto",
        metavar="LOW:HIGH|auto",
        help="rates of the bins whose photons enter the decay, such as 20k:80k; auto (default) finds the "
        "brightest level of the trace",
    )
    parser.add_argument(
        "--irf",
        type=irf,
        metavar="FILE|FWHM",
        help="instrument response: a recording of it (tag file or two columns, time in ns and counts), or the "
        "full width of a Gaussian such as 0.1ns; without it the width is fitted",
    )
    parser.add_argument(
        "--mean-n",
        type=float,
        metavar="N",
        help="mean number of absorbed photons per pulse; corrects beta for it",
    )
    parser.add_argument(
        "--meta", metavar="FILE.toml", help="what is known of the experiment (see docs/result.md)"
    )
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any parameter of a node, such as lifetime.s=3.5 (repeatable)",
    )
    parser.add_argument(
        "--placement",
        choices=[*PLACEMENTS],
        default="inline",
        help="run the nodes in one thread (inline, default) or each in its own (threads); the results are the same",
    )
    parser.add_argument("--headless", action="store_true", help="no page (the only way there is for now)")
    parser.add_argument(
        "--export", choices=[*EXPORTS], default="csv", help="write the curves also for Origin or Igor"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the results (default: a new one, runs/DATE_FILE)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay, print the table, write the folder. Returns the exit code."""
    line = ProgressLine()
    with Interrupts() as interrupts:
        experiment = read_experiment(arguments.meta)
        out = arguments.out or free_folder(Path(arguments.file))
        topology = build_topology(arguments, experiment, out)
        place = PLACEMENTS[arguments.placement]
        runner = place(topology, results_s=line.interval_s, on_progress=lambda p: show(line, p))
        if not kernels_are_kept():
            line.announce("warming up: compiling the kernels, once; this takes about ten seconds")
        # What is wrong with the file or a parameter is told before anything is made for it.
        runner.open()
        with claimed(out):
            interrupts.call(runner.stop)
            outcome = runner.run()
            line.clear()
            # Bokeh takes a third of a second to import: only now is it needed.
            from photonstream.dashboard.report import write_report

            print(summary_table(read_folder(out)))
            try:
                print(f"\n{write_report(out)}")
            except OSError as error:
                raise NodeError(f"the results are complete, but not report.html: {error.strerror}") from error
    return _judge(outcome)


def build_topology(arguments: argparse.Namespace, experiment: dict[str, Any], out: Path) -> Topology:
    """The nodes of a replay with their parameters; raises ParameterError for a bad ``--set``.

    ``experiment`` is given the <N> that is used.
    """
    if arguments.mean_n is not None:
        experiment |= {"mean_n": arguments.mean_n, "mean_n_stderr": None, "mean_n_source": "command line"}
    given: dict[str, dict[str, Any]] = {
        "source": {"path": str(arguments.file), "speed": arguments.speed},
        "decode": {},
        "intensity": {"bin_s": arguments.bin},
        "states": {"on": arguments.on},
        "decay": {},
        "lifetime": {
            "irf": arguments.irf,
            "mean_n": experiment["mean_n"],
            "mean_n_stderr": experiment["mean_n_stderr"],
        },
        "results": {"export": arguments.export, "experiment": experiment, "out": str(out)},
    }
    owners = parameter_owners(kinds())
    for key, text in arguments.set:
        node, name = _owner(key, owners)
        given.setdefault(node, {})[name] = _literal(text)
    for name in ("mean_n", "mean_n_stderr"):
        experiment[name] = given["lifetime"][name]
    given["results"]["settings"] = {
        node: {k: _plain(v) for k, v in values.items()} for node, values in given.items() if node != "results"
    }
    return standard(given)


def _owner(key: str, owners: Mapping[str, list[str]]) -> tuple[str, str]:
    """Node and parameter that ``key`` (NODE.PARAMETER, or a PARAMETER that only one node has) names."""
    node, dot, name = key.rpartition(".")
    if dot:
        if node not in owners.get(name, ()):
            known = sorted(f"{n}.{p}" for p, nodes in owners.items() for n in nodes)
            raise ParameterError(f"--set {key}: there is no such parameter (there are: {', '.join(known)})")
        return node, name
    found = owners.get(name, [])
    if len(found) != 1:
        known = sorted(f"{n}.{p}" for p, nodes in owners.items() for n in nodes)
        raise ParameterError(f"--set {key}: name it as one of {', '.join(known)}")
    return found[0], name


def _literal(text: str) -> Any:
    """A number, true, false or none where the text is one; else the text."""
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it: an open end of a window is null."""
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def free_folder(file: Path) -> Path:
    """A folder under ``runs`` that is not there yet, named by the time and the recording."""
    stem = re.sub(r"[^\w.-]+", "_", file.stem) or "recording"
    base = f"{datetime.datetime.now().astimezone():%Y-%m-%d_%H%M%S}_{stem}"
    names = (base if k == 1 else f"{base}_{k}" for k in itertools.count(1))
    return next(folder for name in names if not (folder := Path("runs") / name).exists())


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make ``folder`` where it is missing and keep other runs out of it; raises ParameterError where one is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / ".run"
    with place.open("w", encoding="utf-8") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ParameterError(f"{folder}: another run is writing its results there") from None
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def show(line: ProgressLine, progress: Progress) -> None:
    """Draw the progress line: share, photons, rate and beta so far."""
    share = progress.records / progress.total if progress.total else None
    counts = progress.results.get(("decode", "counts"))
    fit = progress.results.get(("lifetime", "fit"))
    parts = []
    if counts is not None:
        photons, duration_s = counts.value["photons"], counts.value["duration_s"]
        parts.append(f"{photons:,} photons")
        if duration_s > 0:
            parts.append(with_prefix(photons / duration_s, "cps"))
    if fit is not None:
        parts.append(fit.value["headline"])
    line.show(share, "  ".join(parts))


class Interrupts:
    """Ctrl-C (or SIGTERM) while this is open: the first one ends the stream, the second one ends at once.

    The first one before there is a stream is kept for it.
    """

    def __init__(self) -> None:
        self._asked = False
        self._stop: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def call(self, stop: Callable[[], None]) -> None:
        """What the first one is to do."""
        self._stop = stop
        if self._asked:
            stop()

    def _hear(self, signum: int, frame: object) -> None:
        for number in self._before:
            signal.signal(number, signal.default_int_handler)
        self._asked = True
        if self._stop is not None:
            self._stop()

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _judge(outcome: Outcome) -> int:
    for sentence in outcome.imbalances:
        print(f"photonstream: the ledger does not balance: {sentence}", file=sys.stderr)
    return BROKEN_LEDGER if outcome.imbalances else 0
