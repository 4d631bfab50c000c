"""``photonstream dashboard``: the page of a run that goes on elsewhere, on this machine or another."""

from __future__ import annotations

import argparse
from pathlib import Path

from photonstream.cli.interrupts import Interrupts
from photonstream.cli.keys import add_keys_option
from photonstream.cli.quantities import address
from photonstream.cli.running import add_page_options, open_browser
from photonstream.stream.children import hold_lifeline
from photonstream.stream.keys import keys_for


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "dashboard",
        help="the page of a run elsewhere",
        description="Serves the page of a run that was started with --headless or in another terminal, until Ctrl-C. "
        "The run prints its ADDRESS; it takes no notice of how many pages there are, or how slow they are.",
    )
    parser.add_argument("address", type=address, metavar="ADDRESS", help="such as tcp://127.0.0.1:41234")
    add_page_options(parser)
    parser.add_argument(
        "--listen",
        default=None,
        metavar="HOST",
        help="address of this machine at which the page is served to others, who need the link that is printed, with "
        "its token; without TLS it can be read on the way (default: this machine only)",
    )
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="a further name by which browsers know the page, such as that of a proxy (repeatable)",
    )
    add_keys_option(parser)
    # For the run itself: the page says its address in a file, and ends with whoever started it.
    parser.add_argument("--announce", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    if arguments.lifeline:
        hold_lifeline(arguments.announce.parent)
    # Bokeh takes a third of a second to import.
    from photonstream.dashboard.server import HOST, Links, serve

    keys = keys_for(arguments.keys, [arguments.address])
    stopped = []
    with Interrupts() as interrupts:
        interrupts.call(lambda: stopped.append(True))

        def ready(links: Links) -> None:
            url = links[0][0]
            if arguments.announce is not None:
                said = arguments.announce.with_suffix(".new")
                said.write_text(url, encoding="utf-8")
                said.replace(arguments.announce)
                return
            for acting, read_only in links:
                print(f"page: {acting}\nread-only: {read_only}", flush=True)
            if not arguments.no_browser:
                open_browser(url)

        host = arguments.listen or HOST
        serve(arguments.address, arguments.port, ready, lambda: bool(stopped), keys, host, arguments.origin)
    return 0
