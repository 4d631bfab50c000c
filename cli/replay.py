"""``photonstream replay``: a finished recording to trace, on-state decay, lifetimes and beta."""

from __future__ import annotations

import argparse
import ast
import datetime
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonstream.cli.progress import ProgressLine
from photonstream.cli.quantities import duration, setting, speed, window, with_prefix
from photonstream.cli.summary import summary_table
from photonstream.dashboard.folder import read_folder
from photonstream.nodes.experiment import read_experiment
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.pipeline import kinds, standard
from photonstream.nodes.tables import EXPORTS
from photonstream.stream.node import ParameterError
from photonstream.stream.runner import InlineRunner, Outcome, Progress
from photonstream.stream.topology import NodeSpec, Topology, build, parameter_owners

BROKEN_LEDGER = 3

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
        help="a recording to trace, on-state decay, lifetimes and beta",
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
    # What is wrong with the file or a parameter is told before anything is made for it.
    open_tag_file(Path(arguments.file))
    experiment = read_experiment(arguments.meta)
    if arguments.mean_n is not None:
        experiment |= {"mean_n": arguments.mean_n, "mean_n_source": "command line"}
    topology = build_topology(arguments, experiment)
    build(topology)
    out = make_folder(arguments.out, Path(arguments.file))
    line = ProgressLine()
    line.show(None, "warming up (kernels are compiled once and kept)")
    runner = InlineRunner(
        with_folder(topology, out), results_s=line.interval_s, on_progress=lambda p: show(line, p)
    )
    outcome = run_interruptibly(runner)
    line.clear()
    # Bokeh takes a third of a second to import: only now is it needed.
    from photonstream.dashboard.report import write_report

    print(summary_table(read_folder(out)))
    print(f"\n{write_report(out)}")
    return _judge(outcome)


def build_topology(arguments: argparse.Namespace, experiment: Mapping[str, Any]) -> Topology:
    """The nodes of a replay with their parameters; raises ParameterError for a bad ``--set``."""
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
        "results": {"export": arguments.export, "experiment": dict(experiment)},
    }
    owners = parameter_owners(kinds())
    for key, text in arguments.set:
        node, name = _owner(key, owners)
        given[node][name] = _literal(text)
    given["results"]["settings"] = {
        node: {k: _plain(v) for k, v in values.items()} for node, values in given.items() if node != "results"
    }
    return standard(given)


def with_folder(topology: Topology, out: Path) -> Topology:
    """The same nodes, writing their results to ``out``."""
    specs = (
        NodeSpec(s.name, s.kind, s.inputs, {**s.parameters, "out": str(out)}) if s.name == "results" else s
        for s in topology.nodes
    )
    return Topology(tuple(specs))


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
    except (ValueError, SyntaxError):
        return text


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it: an open end of a window is null."""
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def make_folder(wished: Path | None, file: Path) -> Path:
    """The folder for the results: the wished one, made where it is missing, or a new one under ``runs``."""
    if wished is not None:
        wished.mkdir(parents=True, exist_ok=True)
        return wished
    stem = re.sub(r"[^\w.-]+", "_", file.stem) or "recording"
    base = f"{datetime.datetime.now().astimezone():%Y-%m-%d_%H%M%S}_{stem}"
    for attempt in range(1, 1000):
        folder = Path("runs") / (base if attempt == 1 else f"{base}_{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise ParameterError(f"runs/{base}: cannot find a free name for the results")


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


def run_interruptibly(runner: InlineRunner) -> Outcome:
    """Run; the first Ctrl-C (or SIGTERM) ends the stream and finishes the results, the second one ends at once."""

    def stop(signum: int, frame: object) -> None:
        runner.stop()
        for number in handlers:
            signal.signal(number, signal.default_int_handler)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, stop)
    try:
        return runner.run()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _judge(outcome: Outcome) -> int:
    for sentence in outcome.imbalances:
        print(f"photonstream: the ledger does not balance: {sentence}", file=sys.stderr)
    return BROKEN_LEDGER if outcome.imbalances else 0
