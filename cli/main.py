"""The command ``photonstream``: one module per subcommand, exit codes, one clear sentence per error."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version

from photonstream.cli.command import ABORTED

BAD_INPUT = 2
BROKEN_RUN = 3
COMMANDS = (
    *("replay", "follow", "ctl", "dashboard", "report", "figures", "info", "irf", "background"),
    *("attach", "record", "devices", "simulate", "validate", "soak", "faults", "node", "keys"),
)

_EPILOG = """\
examples:
  photonstream replay replay_data/nc_355nm.ptu       watch a recording play: trace, decay, beta on a page
  photonstream replay FILE --headless                the same without a page, to its end
  photonstream follow run.ptu                        the same live, while run.ptu is being written
  photonstream info recording.ptu                    what a tag file holds
  photonstream attach simulated                      a device, recorded and shown while it runs
  photonstream simulate 355nm --out nc.ptu           a nanocrystal to try things on

exit codes: 0 a result (also "no emitter", or after Ctrl-C); 2 bad usage or unreadable input;
3 a run that broke: a ledger that does not balance, a node that cannot go on, results that cannot be written;
130 a second Ctrl-C, or one before the run began
"""


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, or that of the command ``only``: every command imports what it alone needs."""
    parser = argparse.ArgumentParser(
        prog="photonstream",
        description="Single-emitter spectroscopy from time-tagged photons: intensity trace, decay of the "
        "selected state, lifetimes and carrier-multiplication efficiency with honest errors.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"photonstream {version('photonstream')}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS if only not in COMMANDS else (only,):
        import_module(f"photonstream.cli.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None, begun: Callable[[], None] = lambda: None) -> int:
    """Run one command and return its exit code; ``begun`` is called when all that it needs is imported."""
    try:
        _prepare_streams()
        return _run(argv, begun)
    except KeyboardInterrupt:
        return _fail("ended at once", ABORTED)
    except BrokenPipeError:
        # The reader of our output has gone (such as `| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _prepare_streams() -> None:
    """A missing stream (``>&-``) is no reason to fail, nor a terminal that cannot show a Greek letter."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run(argv: Sequence[str] | None, begun: Callable[[], None]) -> int:
    given = sys.argv[1:] if argv is None else argv
    arguments = build_parser(given[0] if given else None).parse_args(_negatives_joined(given))
    begun()
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", BAD_INPUT)
    except (ValueError, RuntimeError) as error:
        said = _code_of(error)
        if said is None:
            raise
        return _fail(error, said)
    return code


def _negatives_joined(given: Sequence[str]) -> list[str]:
    """``--irf -1ns`` as ``--irf=-1ns``: argparse takes a negative quantity for an option, and names no cause."""
    found: list[str] = []
    for text in given:
        if re.match(r"-\.?\d", text) and found and re.fullmatch(r"--[a-z][a-z-]*", found[-1]):
            found[-1] = f"{found[-1]}={text}"
        else:
            found.append(text)
    return found


def _code_of(error: Exception) -> int | None:
    """The exit code for an error that has one sentence to say; None for what nobody expected."""
    from photonstream.dashboard.folder import ReportError
    from photonstream.stream.chunk import ChunkLawError
    from photonstream.stream.node import InputError, NodeError, ParameterError
    from photonstream.stream.runner import NothingReadError
    from photonstream.stream.topology import TopologyError

    if isinstance(error, NothingReadError):
        return ABORTED
    if isinstance(error, InputError | ParameterError | TopologyError):
        return BAD_INPUT
    return BROKEN_RUN if isinstance(error, NodeError | ChunkLawError | ReportError) else None


def _fail(error: Exception | str, code: int) -> int:
    print(f"photonstream: {error}", file=sys.stderr)
    return code
