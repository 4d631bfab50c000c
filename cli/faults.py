"""``photonstream faults``: live and followed runs that are disturbed in every way, and whether anything comes of it."""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from photonstream.cli.campaign.disturb import Found, disturb, small_disk
from photonstream.cli.campaign.faults import BY_NAME, FAULTS, Fault
from photonstream.cli.progress import ProgressLine, say
from photonstream.cli.quantities import duration
from photonstream.stream.node import InputError, ParameterError

VIOLATED = 1

_DESCRIPTION = """\
Records and follows a simulated device again and again, in all placements, and disturbs each run once: processes are
killed and stopped, lines between hosts cut, messages delayed, doubled and corrupted, the disk filled, the clock set,
the device made to lose data. After each run: the recording holds what the device gave, byte for byte; the results are
those of a replay of it in one thread; the ledger balances; no process, socket or temporary file is left. Linux only.
Exit code 1 where any of that is not so; the folder of such a run is kept.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "faults",
        help="simulated runs that are disturbed in every way, and what comes of it",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="faults:\n" + "\n".join(f"  {fault.name:<15}{fault.text}" for fault in FAULTS),
    )
    parser.add_argument(
        "--time",
        type=duration,
        default=120.0,
        metavar="T",
        help="begin runs for so long (default 2min; every fault once takes some 5 minutes)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of everything that is drawn (default 1)"
    )
    parser.add_argument("--only", metavar="NAME,NAME", help="these faults alone")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where runs with something wrong are kept (default: a new folder)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Disturb, and print a table; returns the exit code."""
    if sys.platform != "linux":
        raise InputError("processes are found through /proc, which only Linux has")
    faults = _chosen(arguments.only)
    # From the root: so the command that is disturbed names its recording in its result.
    parent = (arguments.out or Path(tempfile.mkdtemp(prefix="photonstream-faults-"))).absolute()
    parent.mkdir(parents=True, exist_ok=True)
    faults = _that_can_be(faults, parent)
    found: list[Found] = []
    line = ProgressLine()
    began = time.monotonic()
    for fault, placement, seed in _draw(faults, arguments.seed):
        since_s = time.monotonic() - began
        if since_s >= arguments.time:
            break
        line.show(since_s / arguments.time, f"{fault.name}, {placement}")
        found.append(disturb([fault], placement, parent, seed))
        for sentence in found[-1].wrong:
            line.clear()
            say(f"{fault.name}, {_how(found[-1])}: {sentence}", sys.stderr)
    line.clear()
    print(table(faults, found))
    violated = [each for each in found if each.wrong]
    if violated:
        print(f"\n{len(violated)} of {len(found)} runs with something wrong are in {parent}")
    elif not any(parent.iterdir()):
        parent.rmdir()
    return VIOLATED if violated else 0


def _chosen(only: str | None) -> list[Fault]:
    if only is None:
        return list(FAULTS)
    unknown = [name for name in only.split(",") if name not in BY_NAME]
    if unknown:
        raise ParameterError(f"there is no fault {unknown[0]!r} (there are: {', '.join(BY_NAME)})")
    return [BY_NAME[name] for name in only.split(",")]


def _that_can_be(faults: list[Fault], parent: Path) -> list[Fault]:
    """Without those that need a disk of their own, where none can be made."""
    if not any(fault.disk for fault in faults):
        return faults
    try:
        with tempfile.TemporaryDirectory(dir=parent) as folder, small_disk(Path(folder)):
            return faults
    except OSError as error:
        say(
            f"no small disk can be mounted here ({error.strerror}); file-limit stands in for disk-full",
            sys.stderr,
        )
    return [fault for fault in faults if not fault.disk] or [BY_NAME["file-limit"]]


def _draw(faults: Sequence[Fault], seed: int) -> Iterator[tuple[Fault, str, int]]:
    """Every fault once in any order, in any placement; and again."""
    chance = random.Random(seed)
    for _ in itertools.count():
        for fault in chance.sample(faults, len(faults)):
            yield fault, chance.choice(fault.placements), chance.randrange(1 << 30)


def _how(found: Found) -> str:
    return f"{found.placement}, {'attach' if found.live else 'follow'}"


def table(faults: Sequence[Fault], found: Sequence[Found]) -> str:
    """A line for each fault: how often, in which runs, and whether anything was wrong."""
    lines = ["| fault | what | runs | in | recording, results, ledger, leftovers |", "|---|---|--:|---|---|"]
    for fault in faults:
        runs = [each for each in found if fault.name in each.faults]
        wrong = sum(bool(each.wrong) for each in runs)
        verdict = "not tried" if not runs else f"{wrong} WRONG" if wrong else "as they should be"
        ways = "; ".join(sorted({_how(each) for each in runs}))
        lines.append(f"| {fault.name} | {fault.text} | {len(runs)} | {ways} | {verdict} |")
    return "\n".join(lines)
