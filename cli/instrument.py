"""What ``irf`` and ``background`` have in common: where they store, never over another file, and how numbers look."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from photonstream.cli.quantities import with_prefix
from photonstream.dashboard.numbers import NS, PS, estimate_text, number, plain_spaces
from photonstream.nodes.tables import write_atomically
from photonstream.stream.node import ParameterError


def add_options(parser: argparse.ArgumentParser, ending: str) -> None:
    """Options of both commands; results go to ``<stem><ending>`` in the current folder."""
    parser.add_argument(
        "--excitation-nm",
        type=_wavelength,
        metavar="NM",
        help="wavelength of the laser, stored with the result",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help=f"where to store it (default: <stem of FILE>{ending} here)",
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")


def _wavelength(text: str) -> float:
    try:
        value = float(text.removesuffix("nm"))
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a wavelength in nm (for example 355)")
    return value


def free_place(arguments: argparse.Namespace, ending: str, *others: str) -> list[Path]:
    """The file to store into, and beside it those of the other suffixes. Raises ParameterError where one is there."""
    out: Path = arguments.out or Path(Path(arguments.file).stem + ending)
    if out.suffix in others:
        raise ParameterError(
            f"{out}: a name ending in .json is wanted, because {out.suffix} is written beside it"
        )
    places = [out, *(out.with_suffix(suffix) for suffix in others)]
    for place in places:
        if place.exists() and Path(arguments.file).exists() and place.samefile(arguments.file):
            raise ParameterError(f"{place}: this is the recording itself; name another file with --out")
        if place.exists() and not arguments.force:
            raise ParameterError(
                f"{place}: is there already; --force writes over it, --out names another file"
            )
        if not place.parent.is_dir():
            raise ParameterError(f"{place}: there is no folder {place.parent}")
    return places


def store(place: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON."""
    write_atomically(place, json.dumps(content, indent=1, allow_nan=False) + "\n")


def width(estimate: Mapping[str, Any] | None) -> str:
    """A duration with its standard error, in ps where it is less than a nanosecond."""
    value_s = None if estimate is None else number(estimate["value"])
    return estimate_text(estimate, PS if value_s is not None and abs(value_s) < 1e-9 else NS)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in (head, *rows)]
    return plain_spaces("\n".join(line.rstrip() for line in lines))


def origin(content: Mapping[str, Any]) -> str:
    """One line on the recording."""
    source = content["source"]
    parts = [
        source["path"],
        source["device"],
        f"recorded {source['created']} ({source['created_from']})",
        None if content["excitation_nm"] is None else f"{content['excitation_nm']:g} nm",
        None if not source["sync_rate_hz"] else with_prefix(source["sync_rate_hz"], "Hz", 5),
        None if not source["duration_s"] else f"{source['duration_s']:.4g} s",
    ]
    line = ", ".join(part for part in parts if part)
    # A header's own text may hold anything; what would move the cursor is escaped.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
