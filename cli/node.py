"""``photonstream node``: one node of a run, by hand or as a process of the run itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from photonstream.cli.keys import add_keys_option
from photonstream.stream.children import hold_lifeline
from photonstream.stream.keys import keys_for
from photonstream.stream.link import new_context
from photonstream.stream.link.common import unlink
from photonstream.stream.places import Places
from photonstream.stream.topology_file import read_topology
from photonstream.stream.worker import work

# In which a run that was killed is no longer at its socket.
_DYING_S = 2.0

_DESCRIPTION = """\
Runs one node of a topology file that says where the nodes listen. It waits for its run (photonstream replay FILE
--topology TOPOLOGY), works for it, and ends with it. A node that the run is not to start itself has by_hand = true in
the file.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "node",
        help="one node of a run, started by hand",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("topology", type=Path, metavar="TOPOLOGY", help="the topology file of the run")
    parser.add_argument("name", metavar="NAME", help="the node's name in it")
    add_keys_option(parser)
    # For the run itself: the node ends with whoever started it, and takes the folder of the file away.
    parser.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Work until the run is over."""
    file = read_topology(arguments.topology)
    places = file.places("")
    if arguments.lifeline:
        hold_lifeline(arguments.topology.parent, lambda: _leave(places, arguments.name))
    context = new_context(keys_for(arguments.keys, file.endpoints()))
    try:
        work(context, file.topology, arguments.name, places)
    finally:
        context.term()
    return 0


def _leave(places: Places, name: str) -> None:
    """Take away what would be left in a folder of somebody else: the run itself is gone without having done so."""
    unlink(places.chunks(name), own=True)
    unlink(places.results(name), own=True)
    # The system closes what was the run's one by one: the word of its end may come before its socket is closed.
    unlink(places.orders(), patience_s=_DYING_S)
