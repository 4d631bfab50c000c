"""``photonstream devices``: which devices can be recorded here, and why another one cannot."""

from __future__ import annotations

import argparse

from photonstream.nodes.drivers import Found, all_drivers
from photonstream.nodes.drivers.settings import shown_settings
from photonstream.stream.node import ParameterError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "devices",
        help="which devices can be recorded here",
        description="Lists the devices that photonstream record and photonstream attach know, and why one cannot be "
        "used. Other packages add theirs (docs/drivers.md).",
    )
    parser.add_argument("device", nargs="?", metavar="DEVICE", help="show the settings of this one")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or the settings of one."""
    found = list(all_drivers())
    if arguments.device is None:
        for each in found:
            print("\n".join(_lines(each)))
        return 0
    for each in found:
        if each.name == arguments.device:
            print("\n".join([*_lines(each), *_settings(each)]))
            return 0
    known = ", ".join(each.name for each in found) or "none"
    raise ParameterError(f"there is no device {arguments.device!r} (there are: {known})")


def _lines(found: Found) -> list[str]:
    summary = found.cls.summary if found.cls is not None else ""
    lines = [
        f"{found.name:<16}{'ready' if found.problem is None else 'cannot be used':<16}{summary}".rstrip()
    ]
    return lines if found.problem is None else [*lines, f"{'':<16}{found.problem}"]


def _settings(found: Found) -> list[str]:
    if found.cls is None:
        return []
    lines = [f"  {key:<24}{value}" for key, value in shown_settings(found.cls.Settings).items()]
    document = (found.cls.Settings.__doc__ or "").strip()
    return ["", "settings and their defaults:", *lines, "", document]
