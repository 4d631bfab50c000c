"""``photonstream replay``: a finished recording to trace, on-state decay, lifetimes and beta."""

from __future__ import annotations

import argparse
import math

from photonstream.cli.quantities import speed
from photonstream.cli.run_options import add_run_options, run_pipeline

_DESCRIPTION = """\
Replays a tag file through the whole pipeline: intensity trace, selection of the emitter's bright (neutral)
state, decay of those photons only, lifetimes, and the carrier-multiplication efficiency beta with its error.
Shows it on a page while it plays, which stays until Ctrl-C. Writes result.json, the curves and report.html, and
prints a table.
"""

_EPILOG = """\
examples:
  photonstream replay nc.ptu --speed 1                   watch it as it happened
  photonstream replay nc.ptu --headless                  no page; to its end
  photonstream replay nc.ptu --on 20k:80k --bin 5ms      select bins of 20 to 80 kcps yourself
  photonstream replay nc.ptu --irf 0.1ns --mean-n 0.1    known instrument response; beta corrected for <N>
  photonstream replay nc.ptu --calibrate runs/640        s and <N> from runs of the same nanocrystal at 640 nm
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
        metavar="max|X",
        help="as fast as possible (default), or X times recorded time",
    )
    add_run_options(
        parser,
        until_sigma="; the replay waits for the fits, and reads a fifth more between two",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay; returns the exit code."""
    arguments.watched = arguments.speed is not None
    given = (
        {} if arguments.speed is None else {"speed": None if arguments.speed == math.inf else arguments.speed}
    )
    return run_pipeline(arguments, "replay", given)
