"""``photonstream figures``: the figures of a finished run for a paper."""

from __future__ import annotations

import argparse
from pathlib import Path

from photonstream.dashboard.folder import ReportError, read_folder
from photonstream.stream.node import InputError

FIGURES = "figures"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "figures",
        help="figures of a finished run for a paper, as PDF and PNG",
        description="Draws trace with histogram, lifetime-intensity map, decay with fit and residuals, and pairs of "
        "photons, from the curves in the folder of a finished run, 85 mm wide as one column of a journal: PDF with "
        "vectors and type, PNG of 300 dpi. Needs matplotlib: pip install 'photonstream[paper]'.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder of a finished run")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help=f"where the figures go (default: {FIGURES} in FOLDER)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the figures and print their paths; raises InputError where the folder or this machine gives none."""
    try:
        from photonstream.dashboard.paper import write_figures
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise InputError(
            "figures for a paper are drawn with matplotlib, which is not installed: "
            "pip install 'photonstream[paper]'; report.html has the same plots without it"
        ) from error
    place = arguments.out or arguments.folder / FIGURES
    try:
        written = write_figures(read_folder(arguments.folder), place)
    except ReportError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{error.filename or place}: figures cannot be written: {error.strerror}") from error
    if not written:
        print("no figures: the run has neither bins, delays nor pairs")
    for file in written:
        print(file)
    return 0
