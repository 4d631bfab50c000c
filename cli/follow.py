"""``photonstream follow``: a recording that is still written, live to trace, decay, lifetimes and beta."""

from __future__ import annotations

import argparse

from photonstream.cli.quantities import idle_timeout
from photonstream.cli.run_options import add_run_options, run_pipeline

_DESCRIPTION = """\
Reads a tag file while another program writes it, whichever that is, and shows and measures what photonstream replay
does. Waits for the file, for its header and for records. Ends, with a full result, when the recorder says that the
file is complete, when nothing has come for --idle-timeout, or on Ctrl-C. A file that is cut or replaced by another one
is a new run of data: everything begins again with that.
"""

_EPILOG = """\
examples:
  photonstream follow D:/data/run.ptu                    a page that goes along with the measurement
  photonstream follow run.ptu --headless --out results   no page; result.json and report.html when it ends
  photonstream follow run.ptu --idle-timeout 60          the writer may be silent for a minute
  photonstream follow run.ptu --idle-timeout none        only the recorder or Ctrl-C end it
  photonstream follow run.ptu --until-sigma 0.02         stop once beta is known to 0.02
  photonstream follow run.ptu --irf 0.1ns --mean-n 0.1   every option of replay but --speed
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "follow",
        help="the same live, of a recording that is still written",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a PicoQuant .ptu, .pt2, .pt3, .ht2 or .ht3 file; it need not be there yet",
    )
    parser.add_argument(
        "--idle-timeout",
        type=idle_timeout,
        default=10.0,
        metavar="SECONDS",
        help="the recording has ended when no byte has come for so long after its first one (default 10; 0 or none: "
        "never)",
    )
    add_run_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Follow; returns the exit code."""
    arguments.watched = True
    return run_pipeline(arguments, "follow", {"idle_timeout_s": arguments.idle_timeout})
