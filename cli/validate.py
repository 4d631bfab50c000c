"""``photonstream validate``: how true the numbers are, on simulated nanocrystals through the real pipeline."""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from photonstream.cli.command import ABORTED
from photonstream.cli.preparation import prepare
from photonstream.cli.progress import ProgressLine, say
from photonstream.cli.quantities import duration, rate
from photonstream.nodes.simulate.presets import BLINKING, BLINKING_SUMMARIES
from photonstream.nodes.tables import write_atomically
from photonstream.nodes.validate.cells import Cell, grid, seeds
from photonstream.nodes.validate.summary import Figure, Summary, summarise
from photonstream.nodes.validate.trial import Trial, run_trial
from photonstream.stream.node import ParameterError

_DESCRIPTION = """\
Simulates nanocrystals whose beta is known, measures each with the same pipeline as a real one, and says how true the
numbers are: bias and coverage of beta, its variance over the Cramer-Rao bound, how well states are told apart, and how
often two components are claimed where there is one. Every figure comes with its Monte-Carlo error.
"""
_EPILOG = """\
examples:
  photonstream validate                                       8 cells of 20 nanocrystals, a few minutes
  photonstream validate --beta 0.257 --photons 1e5 --count 200
  photonstream validate --blinking none,flicker,fast --photons 5e5 --beta 0,0.257
  photonstream validate --blinking none,flicker --photons 5e5 --drift=-0.3,0.1    the brightness drifts

blinking: """ + "\n          ".join(f"{name}: {BLINKING_SUMMARIES[name]}" for name in BLINKING)

N = TypeVar("N")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "validate",
        help="how true the numbers are: simulated nanocrystals through the real pipeline",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lists: list[tuple[str, Callable[[str], object], str, str, str]] = [
        ("beta", float, "0,0.257", "share of excited pulses with a biexciton", "BETA,..."),
        ("photons", float, "1e4,1e5", "photons of the neutral state", "N,..."),
        ("blinking", str, "none,flicker", "ways of blinking (below)", "NAME,..."),
        ("irf", duration, "0.1ns", "full width of the instrument response", "TIME,..."),
        ("background", float, "0.01", "background over the rate of the neutral state", "SHARE,..."),
        ("rate", rate, "30k", "photons per second of the neutral state", "RATE,..."),
        ("drift", float, "0", "change of the brightness until the end, -.3 for 30 %% less", "SHARE,..."),
    ]
    for name, kind, default, words, metavar in lists:
        parser.add_argument(
            f"--{name}",
            type=_listed(kind),
            default=_listed(kind)(default),
            metavar=metavar,
            help=f"{words} (default {default})",
        )
    parser.add_argument(
        "--count", type=int, default=20, metavar="N", help="nanocrystals of each cell (default 20)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of the first nanocrystal (default 1)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one a core)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for validation.json and validation.html (default: none)",
    )
    parser.set_defaults(run=run)


def _listed(kind: Callable[[str], N]) -> Callable[[str], list[N]]:
    """Values with commas between."""

    def values(text: str) -> list[N]:
        return [kind(each.strip()) for each in text.split(",")]

    values.__name__ = f"list of {getattr(kind, '__name__', 'value')}"
    return values


def run(arguments: argparse.Namespace) -> int:
    """Validate, print the table, write the folder. Who ends it has what was done so far."""
    if arguments.count < 1 or arguments.jobs < 1:
        raise ParameterError("--count and --jobs are at least 1")
    cells = grid(
        arguments.beta,
        arguments.photons,
        arguments.blinking,
        arguments.irf,
        arguments.background,
        arguments.rate,
        arguments.drift,
    )
    line = ProgressLine()
    prepare(line)
    width = max(_NARROWEST, *(len(_name(cell)) for cell in cells))
    print("\n".join(f"{first:<{width}} {rest}" for first, rest in _HEAD))
    found = []
    tasks = [(cell, seed) for cell in cells for seed in seeds(arguments.count, arguments.seed)]
    done: dict[Cell, list[tuple[int, Trial]]] = {cell: [] for cell in cells}

    def tell(cell: Cell) -> None:
        # By seed, so that the figures do not depend on which one was ready first.
        summary = summarise(cell, [each for _, each in sorted(done[cell], key=lambda pair: pair[0])])
        found.append(summary)
        line.clear()
        print(_row(summary, width), flush=True)

    ended = ""
    try:
        for k, (cell, seed, trial) in enumerate(_measured(tasks, arguments.jobs)):
            done[cell].append((seed, trial))
            if len(done[cell]) == arguments.count:
                tell(cell)
            line.show((k + 1) / len(tasks), f"nanocrystal {k + 1} of {len(tasks)}")
    except KeyboardInterrupt:
        count = sum(map(len, done.values()))
        ended = f"ended after {count} of {len(tasks)} nanocrystals"
        if not count:
            raise
        told = {summary.cell for summary in found}
        for cell in cells:
            if done[cell] and cell not in told:
                tell(cell)
    line.clear()
    print(_LEGEND)
    if arguments.out is not None:
        _write(arguments.out, sorted(found, key=lambda summary: cells.index(summary.cell)), ended)
        print(f"\n{arguments.out / 'validation.html'}")
    if ended:
        say(f"photonstream: {ended}", sys.stderr)
        return ABORTED
    return 0


def _measured(tasks: Iterable[tuple[Cell, int]], jobs: int) -> Iterator[tuple[Cell, int, Trial]]:
    """Each task with its trial, as they are ready; never many more under way than ``jobs``."""
    left = iter(tasks)
    context = multiprocessing.get_context("spawn")
    with _ending(), ProcessPoolExecutor(jobs, mp_context=context, initializer=watch_parent) as pool:
        under_way: dict[Future[Trial], tuple[Cell, int]] = {}
        try:
            while True:
                while len(under_way) < 2 * jobs:
                    task = next(left, None)
                    if task is None:
                        break
                    under_way[pool.submit(measure, *task)] = task
                if not under_way:
                    return
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    yield *under_way.pop(future), future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _ending() -> Iterator[None]:
    """Whoever ends this command in the usual way ends its processes with it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def watch_parent() -> None:
    """End this process when the command that started it has gone, in whatever way."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def measure(cell: Cell, seed: int) -> Trial:
    """One nanocrystal, in a folder of its own that is gone afterwards."""
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="photonstream-") as folder:
        return run_trial(cell.parameters(seed), Path(folder))
    raise ParameterError("ended")


def _write(folder: Path, summaries: list[Summary], ended: str) -> None:
    from photonstream.dashboard.validation import render

    folder.mkdir(parents=True, exist_ok=True)
    content = {"schema": 1, "ended": ended, "cells": [summary.as_dict() for summary in summaries]}
    write_atomically(folder / "validation.json", [json.dumps(content, indent=1, allow_nan=False), "\n"])
    write_atomically(folder / "validation.html", [render(summaries, ended)])


_NARROWEST = 40
_HEAD = (
    ("cell", "NCs     sigma   bias        68 %     95 %     variance   bi       accuracy   shift"),
    ("", "        (CRB)   (sigma)     cover    cover    /CRB       share    (1 ms)     (sigma)"),
)
_LEGEND = """
bias, coverage, variance: beta of two components, whatever the data say (where beta is above 5 sigma);
bi: share called bi-exponential by the pipeline; shift: of beta by the selection, root mean square. (n): Monte-Carlo
error of the last digits."""


def _name(c: Cell) -> str:
    return (
        f"b {c.beta:g} {c.photons:g} {c.blinking} {c.rate_hz / 1e3:g}k "
        f"irf {c.irf_fwhm_s * 1e9:g} bg {c.background:g}" + (f" drift {c.drift:g}" if c.drift else "")
    )


def _row(s: Summary, width: int) -> str:
    sigma = "-" if math.isnan(s.sigma) else f"{s.sigma:.4f}"
    return (
        f"{_name(s.cell):<{width}} {_count(s):<7} {sigma:<7}{shown(s.bias, 2):<12}{shown(s.coverage68, 2):<9}"
        f"{shown(s.coverage95, 2):<9}{shown(s.variance, 2):<11}{shown(s.bi, 2):<9}"
        f"{shown(s.accuracy, 4):<11}{shown(s.shift, 2)}"
    )


def _count(s: Summary) -> str:
    """How many nanocrystals, and of how many of them the figures of two components are, where of fewer."""
    return str(s.count) if s.two == s.count or math.isnan(s.sigma) else f"{s.two}/{s.count}"


def shown(figure: Figure, digits: int) -> str:
    """A figure with its Monte-Carlo error in units of its last digit."""
    value, error = figure
    if math.isnan(value):
        return "-"
    tail = "" if math.isnan(error) else f"({round(error * 10**digits)})"
    return f"{value:.{digits}f}{tail}"
