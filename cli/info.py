"""``photonstream info``: what a tag file says of itself, and what is really in it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from photonstream.cli.progress import ProgressLine
from photonstream.cli.quantities import with_prefix
from photonstream.nodes.pipeline import photon_path
from photonstream.nodes.recording import describe_recording
from photonstream.stream.runner import InlineRunner, Progress


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "info",
        help="what a tag file holds",
        description="Reads a tag file's header and counts every record: photons per channel (channels count "
        "from 0 on every device), overflows, markers, syncs, duration. Where header and records disagree, it says so.",
    )
    parser.add_argument("file", metavar="FILE", help="a PicoQuant .ptu, .pt2, .pt3, .ht2 or .ht3 file")
    parser.add_argument("--json", action="store_true", help="print JSON, with every setting of the header")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what the file holds."""
    topology = photon_path({"source": {"path": arguments.file}}, last="decode")
    line = ProgressLine()

    def show(progress: Progress) -> None:
        line.show(progress.share, f"{progress.records:,} records")

    outcome = InlineRunner(topology, on_progress=show).run()
    line.clear()
    recording = describe_recording(
        outcome.results["source", "recording"].value, outcome.results["decode", "counts"].value
    )
    if arguments.json:
        settings = outcome.results["source", "recording"].value["settings"]
        print(json.dumps({**recording, "settings": settings}, indent=2, allow_nan=False))
    else:
        print(_text(recording))
    return 0


def _text(recording: dict[str, Any]) -> str:
    """The same for people: one line a fact, with units."""
    rate = recording["sync_rate_hz"]
    duration_s, measured_s = recording["duration_s"], recording["measured_s"]
    lines = [
        ("file", recording["path"]),
        ("format", f"{recording['format']}, {recording['record_type']} ({recording['mode']} mode)"),
        ("recorded", recording["created"]),
        ("comment", recording["comment"]),
        ("sync rate", with_prefix(rate, "Hz", 7) if rate else "unknown"),
        ("macrotime unit", with_prefix(recording["macrotime_unit_s"], "s", 7)),
        ("dtime resolution", with_prefix(recording["dtime_resolution_s"], "s", 6)),
        ("duration", f"{duration_s:.4f} s"),
        ("records", f"{recording['records']:,}"),
        ("photons", f"{recording['photons']:,}" + _mean_rate(recording["photons"], measured_s)),
        *(
            (f"  channel {channel}", f"{photons:,}" + _mean_rate(photons, measured_s))
            for channel, photons in recording["photons_per_channel"].items()
        ),
        ("overflows", f"{recording['overflows']:,} records, {recording['overflow_wraps']:,} wraps"),
        ("markers", f"{recording['markers']:,}"),
        ("syncs", f"{recording['syncs']:,}"),
        ("other records", f"{recording['other']:,}"),
        ("sha256", recording["sha256"]),
    ]
    text = [f"{name:<18}{_printable(value)}" for name, value in lines if value is not None and value != ""]
    return "\n".join([*text, *(f"note: {_printable(note)}" for note in recording["notes"])])


def _printable(value: object) -> str:
    """A file's own texts may hold anything; what would move the cursor or forge a line is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def _mean_rate(photons: int, measured_s: float) -> str:
    return f"  ({with_prefix(photons / measured_s, 'Hz')})" if measured_s > 0 else ""
