"""``photonstream replay``: a finished recording to trace, on-state decay, lifetimes and beta."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import Any

from photonstream.cli.like import read_earlier
from photonstream.cli.quantities import speed
from photonstream.cli.run_options import add_run_options, run_pipeline
from photonstream.stream.node import ParameterError

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
  photonstream replay --like runs/nc                     the same once more, as an earlier run was told in the end
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
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="a PicoQuant .ptu, .pt2, .pt3, .ht2 or .ht3 file"
    )
    parser.add_argument(
        "--like",
        type=Path,
        metavar="FOLDER",
        help="the recording of an earlier run, or FILE, with all parameters as they were at the end of that run, from "
        "its folder of results; other options go before them",
    )
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
    given: dict[str, Any] = (
        {} if arguments.speed is None else {"speed": None if arguments.speed == math.inf else arguments.speed}
    )
    if arguments.like is None:
        if arguments.file is None:
            raise ParameterError("name the FILE to replay, or --like FOLDER of an earlier run")
        return run_pipeline(arguments, "replay", given)
    earlier = read_earlier(arguments.like)
    if arguments.file is None:
        arguments.file = str(earlier.check())
        given |= {"records": earlier.records}
    else:
        # What was noted then was said of another recording, which that device has made.
        given |= {"device": None}
        earlier = dataclasses.replace(earlier, notes=())
    return run_pipeline(arguments, "replay", given, like=earlier)
