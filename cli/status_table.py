"""How a run is that is at work, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photonstream.cli.quantities import with_prefix
from photonstream.dashboard.latest import RUN, STATUS, Latest
from photonstream.nodes.drivers.settings import setting_text
from photonstream.nodes.results import LEARNED
from photonstream.stream.commands import DEVICE

_WIDTH = 24


def status_table(latest: Latest, address: str) -> str:
    """Progress, what is measured so far, what differs from the beginning, parameters, and the ledger."""
    return "\n".join([*_progress(latest, address), "", *_parameters(latest), "", *_ledger(latest)])


def _line(label: str, value: object) -> str:
    return f"{label:<{_WIDTH}} {value}"


def _progress(latest: Latest, address: str) -> Iterator[str]:
    status = latest.value(RUN, STATUS)
    yield _line("run", f"{address}, {status.get('state')}, epoch {status.get('epoch')}")
    if status.get("catching_up"):
        yield _line("", "catching up: what is shown is of the epoch before (superseded)")
    if says := status.get("says"):
        yield _line("", says)
    if (path := status.get("parameters", {}).get("source", {}).get("path")) is not None:
        yield _line("recording", path)
    share, reached_s = latest.read_share, latest.reached_s
    if reached_s is not None:
        part = "" if share is None else f", {100 * share:.3g} % of the recording"
        yield _line("recorded time", f"{reached_s:.4g} s{part}")
    if status.get("clocked"):
        speed = status.get("speed")
        yield _line("speed", "as fast as it goes" if speed is None else f"{speed:g}")
    counts = latest.value("decode", "counts")
    if counts:
        measured_s = counts["duration_s"] - counts.get("gap_s", 0.0)
        rate_hz = counts["photons"] / measured_s if measured_s > 0 else 0.0
        yield _line("photons", f"{counts['photons']:,}, {with_prefix(rate_hz, 'cps')}")
    if headline := latest.value("lifetime", "fit").get("headline"):
        yield _line("result so far", headline)
    for node, given in status.get("parameters", {}).items():
        if isinstance(mark := given.get("discarded"), Mapping):
            yield _line("DISCARDED", f"{mark.get('why')} ({mark.get('utc')}; {node})")
    for each in status.get("restarts", ()):
        yield _line("restarted", f"{each['node']}, epoch {each['epoch']}: {each['cause']}")
    for problem in status.get("problems", ()):
        yield _line("note", problem)


def _parameters(latest: Latest) -> Iterator[str]:
    for node, given in latest.value(RUN, STATUS).get("parameters", {}).items():
        for name, value in given.items():
            # What was learned is for machines; the device has lines of its own.
            if value is not None and (node, name) != LEARNED and name != DEVICE:
                yield _line(f"{node}.{name}", _short(value))
    device = latest.value(RUN, STATUS).get("device") or {"settings": {}}
    for name, value in device["settings"].items():
        armed = device["armed"].get(name)
        if value is not None or armed is not None:
            now = setting_text(armed) or "none"
            later = "" if value == armed else f" from the next recording on (now {now})"
            yield _line(f"{DEVICE}.{name}", (setting_text(value) or "none") + later)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        known = {key: each for key, each in value.items() if each is not None}
        value = {
            key: _short(each) if isinstance(each, Mapping | list) else each for key, each in known.items()
        }
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _ledger(latest: Latest) -> Iterator[str]:
    lines = latest.ledger
    if lines:
        yield f"{'ledger':<{_WIDTH}} {'in':>14} {'out':>14} {'ended':>14} {'lost':>8}"
    # In the order of the data's way, as the parameters stand.
    way = list(latest.value(RUN, STATUS).get("parameters", {}))
    for node, line in sorted(
        lines.items(), key=lambda item: way.index(item[0]) if item[0] in way else len(way)
    ):
        ended = sum(line.get("ended", {}).values())
        numbers = [line.get("events_in", 0), line.get("events_out", 0), ended]
        text = " ".join(f"{number:>14,}" for number in numbers)
        yield f"{node:<{_WIDTH}} {text} {line.get('events_lost', 0):>8,}"
