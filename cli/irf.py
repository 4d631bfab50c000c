"""``photonstream irf``: what the instrument response is like, stored for later fits."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from photonstream.cli.instrument import add_options, free_place, origin, store, table, width
from photonstream.dashboard.numbers import CPS, NS, PERCENT, estimate_text, quantity
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.inference.irf import measured_irf
from photonstream.nodes.instrument_files import DEFINITIONS, irf_content, source_of_tags, source_of_text
from photonstream.nodes.irf_files import read_tags, read_text
from photonstream.nodes.tables import write_atomically
from photonstream.stream.node import ParameterError

ENDING = ".irf.json"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "irf",
        help="peak, width, tail and background of an instrument response, stored for later fits",
        description="Measures the instrument response of each detector from a recording of a scatterer or a fast dye "
        "(a tag file, or two columns of text, time in ns and counts), prints it, and stores it for "
        "`photonstream replay --irf`, with a page that shows it. See docs/instrument.md.",
    )
    parser.add_argument("file", metavar="FILE", help="a tag file, or text: time in ns, counts")
    add_options(parser, ENDING)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, store."""
    place, page = free_place(arguments, ENDING, ".html")
    content, histograms = _measured(Path(arguments.file), arguments.excitation_nm)
    store(place, content)
    # bokeh takes a while to import, and a wrong file should be refused at once
    from photonstream.dashboard.instrument import render

    write_atomically(page, render(content, histograms))
    print(_text(content))
    print(f"stored in {place}, drawn in {page}")
    return 0


def _measured(path: Path, excitation_nm: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is stored, and the raw histograms by the channel's name."""
    histograms: dict[int | None, Any]
    try:
        open_tag_file(path)
    except TagFileError as error:
        if error.offset or not path.is_file() or not path.stat().st_size:
            raise ParameterError(str(error)) from error
        counts, width_s = read_text(path)
        numbers, histograms, period_s, source = [], {None: counts}, None, source_of_text(path)
    else:
        tags = read_tags(path)
        rows = tags["rows"]
        period_s, width_s, numbers = rows["pulse_period_s"], rows["resolution_s"], rows["channels"].tolist()
        if period_s is None or not rows["counts"].any():
            raise ParameterError(f"{path}: this recording holds no delays after laser pulses, so no IRF")
        histograms = dict(zip(numbers, rows["counts"].sum(axis=0), strict=True))
        source = source_of_tags(tags["recording"], tags["settings"])
    try:
        irf = measured_irf(np.stack(list(histograms.values())), width_s, numbers)
    except ValueError as error:
        raise ParameterError(f"{path}: {error}") from error
    content = irf_content(source, irf, histograms, pulse_period_s=period_s, excitation_nm=excitation_nm)
    return content, {"all" if channel is None else str(channel): row for channel, row in histograms.items()}


def _text(content: Mapping[str, Any]) -> str:
    head = ("channel", "photons", "rate", "peak", "FWHM", "tail", "skew", "background")
    rows, notes = [], list(content["notes"])
    for name, channel in content["channels"].items():
        rate = "unknown" if channel["rate_hz"] is None else quantity(round(channel["rate_hz"]), CPS)
        if "response" not in channel:
            rows.append((name, f"{channel['photons']:,}", rate, "none", "", "", "", ""))
            continue
        rows.append(
            (
                name,
                f"{channel['photons']:,}",
                rate,
                estimate_text(channel["peak_s"], NS),
                width(channel["fwhm_s"]),
                estimate_text(channel["tail_share"], PERCENT),
                estimate_text(channel["skew"]),
                estimate_text(channel["background_rate_hz"], CPS),
            )
        )
        notes += [f"channel {name}: {note}" for note in channel["notes"]]
    lines = [origin(content), table(head, rows), f"tail: {DEFINITIONS['tail_share']}"]
    return "\n".join([*lines, f"skew: {DEFINITIONS['skew']}", *(f"note: {note}" for note in notes)])
