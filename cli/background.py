"""``photonstream background``: how much light there is without an emitter, and whether it follows the laser."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonstream.cli.instrument import add_options, free_place, origin, store, table
from photonstream.dashboard.numbers import CPS, PERCENT, estimate_text
from photonstream.nodes.instrument_files import background_content, source_of_tags
from photonstream.nodes.irf_files import read_tags
from photonstream.stream.node import ParameterError

ENDING = ".background.json"
_BIN_S = 1.0
# An upper limit of so much of all photons says nothing.
_NO_LIMIT = 0.995


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "background",
        help="count rate without an emitter: flat, following the laser, steady or not",
        description="Measures a recording without an emitter, dark or with the laser on: count rate of each detector, "
        "the share that follows the laser and where its peak is, and whether the rate was steady. Prints it and "
        "stores it. See docs/instrument.md.",
    )
    parser.add_argument("file", metavar="FILE", help="a tag file")
    add_options(parser, ENDING)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, store."""
    (place,) = free_place(arguments, ENDING)
    tags = read_tags(Path(arguments.file), _BIN_S)
    if not tags["recording"]["photons"] or not tags["recording"]["duration_s"]:
        raise ParameterError(f"{arguments.file}: this recording holds no photons, so no background")
    source = source_of_tags(tags["recording"], tags["settings"])
    content = background_content(source, tags["rows"], tags["trace"], arguments.excitation_nm)
    store(place, content)
    print(_text(content))
    print(f"stored in {place}")
    return 0


def _text(content: Mapping[str, Any]) -> str:
    head = ("channel", "photons", "rate", "flat", "follows the laser", "its peak", "steady")
    rows, notes = [], []
    for name, channel in content["channels"].items():
        peak_s, upper = channel["pulsed_peak_s"], channel["pulsed_upper95"]
        limit = "unknown" if upper is None or upper >= _NO_LIMIT else f"below {100.0 * upper:.2g} % (95 %)"
        rows.append(
            (
                name,
                f"{channel['photons']:,}",
                estimate_text(channel["rate_hz"], CPS),
                estimate_text(channel["flat_share"], PERCENT),
                limit if channel["pulsed_share"] is None else estimate_text(channel["pulsed_share"], PERCENT),
                "none" if peak_s is None else f"{1e9 * peak_s:.4g} ns",
                _steady(channel["steadiness"]),
            )
        )
        notes += [f"note: channel {name}: {channel['pulsed_reason']}"] if channel["pulsed_reason"] else []
    return "\n".join([origin(content), table(head, rows), *notes])


def _steady(found: Mapping[str, Any]) -> str:
    if found["steady"] is None:
        return f"unknown: {found['reason']}"
    word = "yes" if found["steady"] else "no"
    return f"{word} (dispersion {found['dispersion']:.3g}, p {found['p']:.2g}, {found['bins']} x {found['bin_s']:g} s)"
