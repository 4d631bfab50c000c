"""``photonstream keys``: makes this machine's keys, admits those of others, and lists them."""

from __future__ import annotations

import argparse
from pathlib import Path

from photonstream.stream.keys import PUBLIC, admit, make_keys, read_keys, usual_folder

_DESCRIPTION = """\
Keys let a run and its nodes or pages be on several machines: without them nothing listens where another machine could
reach it. Each machine makes a pair of its own, named as the others address it; the private part never leaves it, the
public part (NAME.public) is copied to the machines that are to admit it. Without an option: lists what is there.
"""

_EPILOG = """\
examples:
  photonstream keys --make 192.168.0.7               this machine's pair
  photonstream keys --admit 192.168.0.8.public       that machine may connect, and is known when it answers
  photonstream keys --admit key.public --as laptop   the same under another name
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "keys",
        help="keys for runs across machines",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--make", metavar="NAME", help="make this machine's pair; NAME is its address in the network"
    )
    what.add_argument("--admit", type=Path, metavar="FILE", help="take in the public key of another machine")
    parser.add_argument(
        "--as", dest="name", metavar="NAME", help="with --admit: the address of that machine, or its name"
    )
    add_keys_option(parser)
    parser.set_defaults(run=run)


def add_keys_option(parser: argparse.ArgumentParser) -> None:
    """``--keys DIR`` of every command that may speak to other machines."""
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="folder of the keys for other machines (default: ~/.config/photonstream/keys, where an address is not of "
        "this machine)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make, admit or list."""
    folder: Path = arguments.keys or usual_folder()
    if arguments.make is not None:
        keys = make_keys(folder, arguments.make)
        print(f"made; for other machines: {keys.folder / (keys.name + PUBLIC)}")
        return 0
    if arguments.admit is not None:
        print(f"admitted: {admit(folder, arguments.admit, arguments.name)}")
        return 0
    keys = read_keys(folder)
    print(f"keys in {keys.folder}")
    for name, public in keys.known.items():
        print(f"  {name:<24}{public.decode()}{'  this machine' if name == keys.name else ''}")
    return 0
