"""The strip of large numbers: what one reads from two metres. Pure; every figure as result.json has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonstream.dashboard.detail import fitted_row
from photonstream.dashboard.facts import measured_s
from photonstream.dashboard.findings import DASH, Findings, is_dark
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row
from photonstream.dashboard.latest import RUN, STATUS, Latest
from photonstream.dashboard.live_panels import Update
from photonstream.dashboard.live_words import being_recorded, device_warnings, live_run, recording_ended
from photonstream.dashboard.numbers import NS, PERCENT, SECONDS, counted, number, plain, quantity
from photonstream.dashboard.safe_rates import RECENT_S, laser_rate_hz, rate_words
from photonstream.nodes.inference.decay_fit import TOO_FEW
from photonstream.nodes.recording_events import START
from photonstream.nodes.tag_source import EVENTS

_GB = 1e9
_MODELS = {"mono": "mono", "bi": "bi", "fast component or tail": "bi?"}


def strip_view(latest: Latest) -> Update:
    """Lifetimes, model, photons, what is still to measure, rates of the detectors, state of the recording."""
    run = live_run(latest)
    findings, final = Findings(run), latest.final("lifetime", "fit")
    slow, fast = findings.lifetime_rows()
    laser_hz = laser_rate_hz(run.section("recording"))
    rates, safe, too_high = rate_words(latest.tiles.rates_hz(RECENT_S), laser_hz)
    disk, short = _disk(latest)
    return {
        "text": {
            **_cell("tau-x", slow, findings.interval("tau_x_s", NS)),
            **_cell("tau-xx", fast, findings.interval("tau_xx_s", NS)),
            "model": _model(run, findings, final=final),
            "verdict": _verdict(run, findings, final=final),
            "photons-label": _fitted(run),
            "photons": _or_dash(counted(run.section("fit").get("photons"))),
            "share": _share(run),
            **_to_go(findings.precision_row()),
            "rates": rates,
            "rates-small": safe,
            "recording": _recording(latest),
            "recording-small": disk,
        },
        "loud": {"rates-small": too_high, "recording-small": short},
    }


def _cell(name: str, row: Row, interval: str) -> dict[str, str]:
    return {f"{name}-label": row.label, name: row.value, f"{name}-small": interval}


def _model(run: RunFolder, findings: Findings, *, final: bool) -> str:
    """``mono``, ``bi``, or that the data cannot say, ``final`` where no more come."""
    if not findings.fits:
        return "not one" if findings.model == "mono" else "neither"
    if is_dark(run.summary):
        return "none"
    without = "not yet" if not final else "open" if run.section("fit").get("verdict") == TOO_FEW else "none"
    return _MODELS.get(str(run.section("fit").get("verdict") or findings.model), without)


def _verdict(run: RunFolder, findings: Findings, *, final: bool) -> str:
    """The outcome in a few words."""
    if not run.section("fit"):
        return "No fit" if final else "No fit yet"
    too_few = run.section("fit").get("verdict") == TOO_FEW and not is_dark(run.summary)
    return f"{findings.verdict} yet" if too_few and not final else findings.verdict


def _fitted(run: RunFolder) -> str:
    """What the number of photons is of."""
    row = fitted_row(run.section("fit"))
    return f"{row.label}, {row.remark.removeprefix('delays ')}" if row.remark else row.label


def _share(run: RunFolder) -> str:
    """How much of the time is selected."""
    on_s = number(run.section("states").get("on_time_s"))
    all_s = measured_s(run)
    if on_s is None or not all_s:
        return ""
    return f"{quantity(min(1.0, on_s / all_s), PERCENT, 3)} of {quantity(round(all_s, 1), SECONDS)} selected"


def _to_go(row: Row) -> dict[str, str]:
    """What is missing to the wanted error: the time large where it is known, the photons below it."""
    value = row.value.removeprefix("nothing: ")
    large, small = value, row.remark
    if value.startswith("reached at "):
        large, small = "reached", value.removeprefix("reached ")
    elif ", " in value:
        small, large = value.split(", ", 1)
    label = row.label.replace("to measure for an", "to an")
    return {"to-go-label": label, "to-go": DASH if large == "unknown" else large, "to-go-small": small}


def _recording(latest: Latest) -> str:
    """Whether photons are being recorded, come from a file that others write, or from one that is finished."""
    status = latest.value(RUN, STATUS)
    if not status:
        return DASH
    if status.get("clocked") is not False:
        return "replay"
    events = latest.value("source", EVENTS).get("counts")
    counts = events if isinstance(events, Mapping) else {}
    if not counts.get(START):
        return "following"
    return "ended" if recording_ended(latest) else "recording"


def _disk(latest: Latest) -> tuple[str, bool]:
    """What the recorder said last of its disk and its device, and whether that is a warning."""
    told: Any = latest.value("source", EVENTS).get("status")
    # What was said of a recording of then is nothing about now.
    if not isinstance(told, Mapping) or not being_recorded(latest):
        return "", False
    warnings = device_warnings(latest)
    free, left_s = number(told.get("disk_free_bytes")), number(told.get("disk_left_s"))
    if warnings:
        return "; ".join(warnings), True
    if free is None:
        return "the device measures", False
    words = f"{plain(free / _GB, 3)} GB free"
    return (words if left_s is None else f"{words}, {_hours(left_s)}"), False


def _hours(time_s: float) -> str:
    if time_s >= 48 * 3600:
        return f"{plain(time_s / 86400, 2)} days"
    return f"{plain(time_s / 3600, 2)} h" if time_s >= 3600 else f"{plain(time_s / 60, 2)} min"


def _or_dash(words: str) -> str:
    return DASH if words == "unknown" else words
