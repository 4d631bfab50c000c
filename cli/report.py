"""``photonstream report``: the report of a finished run, made anew from its folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from photonstream.dashboard.folder import ReportError
from photonstream.stream.node import InputError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "report",
        help="write the report of a finished run anew",
        description="Writes report.html into the folder of a finished run, from result.json and the curves in it: "
        "after an update of photonstream, or where the page was lost. Nothing else in the folder is changed, and "
        "the recording is not read.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder of a finished run")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page and print its path; raises InputError where the folder gives none or takes none."""
    # Bokeh takes a third of a second to import, and the help does not need it.
    from photonstream.dashboard.report import write_report

    try:
        page = write_report(arguments.folder)
    except ReportError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        where = error.filename or arguments.folder
        raise InputError(f"{where}: the report cannot be written: {error.strerror}") from error
    print(page)
    return 0
