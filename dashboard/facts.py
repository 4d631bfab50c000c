"""What surrounds the numbers: states, recording, experiment, parameters, ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import PureWindowsPath
from typing import Any

from photonstream.dashboard.findings import is_dark
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row, grid_table, items, rows_table
from photonstream.dashboard.numbers import (
    HZ,
    KCPS,
    KHZ,
    MHZ,
    MS,
    NS,
    PERCENT,
    PLAIN_DIGITS,
    PS,
    SECONDS,
    Unit,
    counted,
    estimate_text,
    is_estimate,
    named_quantity,
    number,
    plain,
    quantity,
    with_unit,
)
from photonstream.dashboard.safe_rates import laser_rate_hz

# Between the facts of a line.
SEPARATOR = "  ·  "


def title(run: RunFolder) -> str:
    """The particle's name where it has one, else the name of the recording."""
    particle = run.section("experiment").get("particle")
    return str(particle) if particle else file_name(run) or "Recording"


def file_name(run: RunFolder) -> str:
    """The recording's file name; a path of either kind of system."""
    path = run.section("recording").get("path")
    return PureWindowsPath(str(path)).name if path else ""


def subtitle(run: RunFolder) -> str:
    """File, excitation, <N>, date, length: what tells this measurement from its neighbours."""
    recording = run.section("recording")
    length = f"{quantity(recording.get('duration_s'), SECONDS)}, {counted(recording.get('photons'))} photons"
    return SEPARATOR.join([*circumstances(run), length])


def circumstances(run: RunFolder) -> list[str]:
    """File, excitation, <N>, pulse rate, date, where they are known."""
    experiment, recording = run.section("experiment"), run.section("recording")
    parts = [file_name(run)] if title(run) != file_name(run) else []
    if number(experiment.get("excitation_nm")) is not None:
        parts.append(f"{plain(float(experiment['excitation_nm']))} nm")
    if number(_mean_n(experiment)) is not None:
        parts.append(f"<N> = {plain(float(_mean_n(experiment)))}")
    if number(recording.get("sync_rate_hz")) is not None:
        pulses = "sync" if laser_rate_hz(recording) is None else "laser"
        parts.append(f"{pulses} {pulse_rate(recording['sync_rate_hz'])}")
    parts += [str(recording["created"])] if recording.get("created") else []
    return parts


def pulse_rate(sync_rate_hz: object, digits: int = PLAIN_DIGITS) -> str:
    """Pulses per time, in the unit that suits them: a T2 file may call a slow trigger its sync."""
    known = number(sync_rate_hz) or 0.0
    unit = next((unit for unit in (MHZ, KHZ) if known * unit.per_si >= 1.0), HZ)
    return quantity(sync_rate_hz, unit, digits)


def _mean_n(experiment: Mapping[str, Any]) -> Any:
    mean_n = experiment.get("mean_n")
    return mean_n.get("value") if isinstance(mean_n, Mapping) else mean_n


# Shorter dwell times are told in milliseconds.
_FEW_S = 0.1
# How the methods of selection are called.
METHODS = {"window": "window of rates", "hmm": "hidden Markov"}


def states_table(run: RunFolder) -> str:
    """Rate, time share, mean delay and mean dwell time of every level or state, brightest first."""
    states = run.section("states")
    levels = states.get("levels")
    levels = [level for level in levels if isinstance(level, Mapping)] if isinstance(levels, list) else []
    if not levels:
        return "<p>no states: the recording has no bins</p>"
    levels = sorted(levels, key=lambda level: number(level.get("rate_hz")) or 0.0, reverse=True)
    rows = [
        (
            _state_name(level) + ("selected" if level.get("on") is True else "not selected"),
            with_error(level, "rate_hz", KCPS),
            quantity(level.get("time_share"), PERCENT, 3),
            with_error(level, "mean_dtime_s", NS),
            dwell_text(level),
        )
        for level in levels
    ]
    remark = (
        "Errors of rates and mean delays are those of counting alone; that of a mean dwell (time over visits) is that "
        "of exponential dwells. A time share is a count of bins."
    )
    dark = is_dark(run.summary)
    marked = [level for level in levels if level.get("remark") and not dark]
    minded = [f"State {level.get('state')}: {level['remark']}." for level in marked]
    if any("dwell_s" in level and level["dwell_s"] is None for level in levels):
        minded.append(f"No mean dwell: {_why_no_dwell(states)}.")
    head = ("level" if dark else "state", "rate", "time share", "mean delay", "mean dwell")
    return grid_table(head, rows) + items(minded) + f"<p>{remark}</p>" + rows_table(_selection_rows(run))


def dwell_text(level: Mapping[str, Any]) -> str:
    """Mean dwell time of a level with its error; a single visit is cut by the ends of the recording."""
    dwell_s = number(level.get("dwell_s"))
    if dwell_s is None:
        return "–"
    told = with_error(level, "dwell_s", dwell_unit(dwell_s))
    return told if number(level.get("dwell_stderr_s")) is not None else f"at least {told}"


def dwell_unit(dwell_s: float) -> Unit:
    """The unit in which a dwell time is told."""
    return MS if dwell_s < _FEW_S else SECONDS


def _why_no_dwell(states: Mapping[str, Any]) -> str:
    times = states.get("dwell_times")
    selected = times.get("selected") if isinstance(times, Mapping) else None
    return str((selected or {}).get("reason") or "too many bins are told wrongly for the visits there are")


def with_error(level: Mapping[str, Any], key: str, unit: Unit) -> str:
    """The figure ``key`` (ending in its unit, as in ``dwell_s``) of a level with its error, where it has one."""
    name, _, ending = key.rpartition("_")
    error = level.get(f"{name}_stderr_{ending}")
    if number(error) is None:
        return quantity(level.get(key), unit, 3)
    return estimate_text({"value": level.get(key), "stderr": error}, unit)


def _state_name(level: Mapping[str, Any]) -> str:
    return f"{level['state']}: " if number(level.get("state")) else ""


def _selection_rows(run: RunFolder) -> Iterator[Row]:
    states = run.section("states")
    how = {"automatic": "chosen by rule", "given": "given by hand"}.get(str(states.get("chosen")), "unknown")
    method = str(states.get("method") or "unknown")
    yield Row("selection", f"{METHODS.get(method, method)}, {how}")
    yield Row("selected", selection_text(run))
    if not is_dark(run.summary):
        yield from _model_rows(states)
    yield Row("time in the selected state", quantity(states.get("on_time_s"), SECONDS))
    yield Row("photons of the selected state", counted(states.get("on_photons")))


def _model_rows(states: Mapping[str, Any]) -> Iterator[Row]:
    """What the model of the states expects of itself."""
    levels = states.get("levels")
    told_apart = states.get("method") == "hmm" and isinstance(levels, list) and len(levels) > 1
    if told_apart and (accuracy := number(states.get("accuracy"))) is not None:
        remark = (
            "" if states.get("resolved") is not False else "among the states found; they are not resolved"
        )
        yield Row("expected accuracy of the states", quantity(accuracy, PERCENT, 4), remark=remark)
    yield from _contamination_row(states)


def _contamination_row(states: Mapping[str, Any]) -> Iterator[Row]:
    """How much of the selected time is expected to be another state's; nothing where a window selects."""
    name, reason = "time of other states in the selected one", states.get("contamination_reason")
    if (foreign := number(states.get("contamination"))) is None:
        if states.get("method") == "hmm" and reason:
            yield Row(name, "not known", remark=str(reason))
        return
    estimate = {"value": foreign, "stderr": number(states.get("contamination_stderr"))}
    yield Row(name, estimate_text(estimate, PERCENT), remark="expected by the model of the states")


def selection_text(run: RunFolder) -> str:
    """What is selected: the window of rates, or which state."""
    states = run.section("states")
    if states.get("method") != "hmm":
        return window_text(run)
    levels = states.get("levels")
    levels = [level for level in levels if isinstance(level, Mapping)] if isinstance(levels, list) else []
    if len(levels) < 2:
        one = any(level.get("on") for level in levels)
        return "everything, for there is one state" if one else "nothing, for no state is known"
    if is_dark(run.summary):
        return f"one of {len(levels)} levels of light that is no emitter's"
    chosen = [str(level.get("state")) for level in levels if level.get("on") is True]
    if states.get("chosen") == "given":
        return f"state {', '.join(chosen) or '?'} of {len(levels)}"
    doubtful = sum(bool(level.get("remark")) for level in levels)
    if not doubtful:
        return f"the neutral one of {len(levels)} states"
    real = len(levels) - doubtful
    words = f"the neutral one of {real} states" if real > 1 else "the neutral state"
    return f"{words} ({doubtful} more may be no state{'s' if doubtful > 1 else ''})"


def window_text(run: RunFolder) -> str:
    """The window of rates, such as ``12.4 to 60 kcps``."""
    limits = window_kcps(run)
    if limits is None:
        return "none"
    low, high = (None if limit is None else plain(limit, 3) for limit in limits)
    if high is None:
        return "every rate" if not limits[0] else f"{with_unit(low or '0', KCPS)} and above"
    return with_unit(f"{low or 0} to {high}", KCPS)


def window_kcps(run: RunFolder, which: str = "window_hz") -> tuple[float | None, float | None] | None:
    """Limits of the window in kcps, None for an open one; None where there is no window."""
    limits = run.section("states").get(which)
    if not isinstance(limits, list) or len(limits) != 2:
        return None
    low, high = (number(limit) for limit in limits)
    return None if low is None else low / 1e3, None if high is None else high / 1e3


def recording_rows(run: RunFolder) -> Iterator[Row]:
    """The file and what was counted in it."""
    recording = run.section("recording")
    yield Row("file", str(recording.get("path") or "unknown"))
    yield Row("SHA-256", str(recording.get("sha256") or "unknown"))
    kind = [str(recording[key]) for key in ("format", "record_type", "mode") if recording.get(key)]
    yield Row("device and format", ", ".join(kind) or "unknown")
    yield Row("measured", str(recording.get("created") or "unknown"))
    duration_s, time_s = number(recording.get("duration_s")), measured_s(run)
    gaps = "" if duration_s is None or time_s is None or time_s >= duration_s else "with gaps"
    yield Row("duration", quantity(duration_s, SECONDS, 6), remark=gaps)
    if gaps:
        yield Row(
            "measured time",
            quantity(time_s, SECONDS, 6),
            remark="without the gaps: rates and shares are of it",
        )
    sync = pulse_rate(recording.get("sync_rate_hz"), 6)
    divider = number(recording.get("sync_divider"))
    yield Row("sync rate", f"{sync}, divider {counted(divider)}" if divider and divider > 1 else sync)
    yield Row("delay resolution", quantity(recording.get("dtime_resolution_s"), PS))
    tick_s = number(recording.get("macrotime_unit_s"))
    yield Row("macrotime unit", quantity(tick_s, PS if tick_s is not None and tick_s < 1e-9 else NS, 8))
    yield Row("bin of the trace", quantity(run.section("intensity").get("bin_s"), MS))
    yield Row("photons", counted(recording.get("photons")))
    channels = recording.get("photons_per_channel")
    if isinstance(channels, Mapping):
        for channel, photons in channels.items():
            yield Row(f"photons, channel {channel}", counted(photons))
    yield Row("mean rate", mean_rate(run))
    for key in ("markers", "syncs", "overflow_wraps", "other"):
        if number(recording.get(key)):
            yield Row(key.replace("_", " "), counted(recording[key]))
    if recording.get("comment"):
        yield Row("comment in the file", str(recording["comment"]))


def measured_s(run: RunFolder) -> float | None:
    """Recorded time without the gaps; an older result does not tell it apart."""
    recording = run.section("recording")
    return number(recording.get("measured_s", recording.get("duration_s")))


def mean_rate(run: RunFolder) -> str:
    """Mean rate with its counting error."""
    rate_hz = number(run.section("intensity").get("mean_rate_hz"))
    time_s = measured_s(run)
    error_hz = math.sqrt(rate_hz / time_s) if rate_hz and time_s else None
    return estimate_text({"value": rate_hz, "stderr": error_hz}, KCPS, without_error="no photons")


def notes(run: RunFolder) -> list[str]:
    """Remarks about the file itself."""
    found = run.section("recording").get("notes")
    return [str(note) for note in found] if isinstance(found, list) else []


def experiment_rows(run: RunFolder) -> Iterator[Row]:
    """What is known of the experiment; fields that nobody gave are left out and named together."""
    experiment = run.section("experiment")
    for key, value in experiment.items():
        if value is None or value == "" or key == "mean_n_stderr":
            continue
        words, unit = named_quantity(key)
        if key == "mean_n":
            mean_n = (
                value if is_estimate(value) else {"value": value, "stderr": experiment.get("mean_n_stderr")}
            )
            yield Row("<N>", estimate_text(mean_n, without_error="error not given"))
        elif number(value) is not None:
            yield Row(words, quantity(value, unit))
        else:
            yield Row(words, str(value))
    unknown = [
        named_quantity(k)[0] for k, v in experiment.items() if (v is None or v == "") and k != "mean_n_stderr"
    ]
    if unknown:
        yield Row("not given", ", ".join(unknown))


def parameter_rows(run: RunFolder) -> Iterator[Row]:
    """Every parameter of the run, as NODE.PARAMETER."""
    for node, values in run.section("parameters").items():
        if isinstance(values, Mapping):
            for name, value in values.items():
                yield Row(f"{node}.{name}", _setting(value))
        else:
            yield Row(str(node), _setting(values))


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def ledger_table(run: RunFolder) -> str:
    """What went into each node and what became of it."""
    lines = run.summary.get("ledger")
    lines = [line for line in lines if isinstance(line, Mapping)] if isinstance(lines, list) else []
    rows, losses = [], []
    for line in lines:
        ended = line.get("ended")
        ends = [f"{counted(n)} {kind}" for kind, n in ended.items()] if isinstance(ended, Mapping) else []
        flow = (counted(line.get(key)) for key in ("events_in", "events_out", "events_lost"))
        rows.append((line.get("node", "unknown"), *flow, ", ".join(ends)))
        for loss in line.get("losses") or ():
            if isinstance(loss, Mapping):
                where = (
                    f"{line.get('node')}: {counted(loss.get('events'))} lost at {counted(loss.get('place'))}"
                )
                losses.append(f"{where}: {loss.get('cause')}")
    if not rows:
        return ""
    return grid_table(("node", "in", "out", "lost", "ended here"), rows) + items(losses)


def version_rows(run: RunFolder) -> Iterator[Row]:
    """What made the result, its schema, and the checksums of what went into it but for the recording's."""
    yield Row("photonstream", str(run.summary.get("photonstream") or "unknown"))
    others = {name: each for name, each in run.section("versions").items() if name != "photonstream"}
    if machine := others.pop("machine", None):
        yield Row("machine", str(machine))
    if others:
        yield Row("computed with", ", ".join(f"{name} {each}" for name, each in others.items()))
    yield Row("schema of result.json", str(run.summary.get("schema", "unknown")))
    response = run.section("fit").get("irf_sha256")
    if response:
        yield Row("SHA-256 of the instrument response", str(response))
    runs = run.section("calibration").get("runs")
    for each in runs if isinstance(runs, list) else ():
        if isinstance(each, Mapping) and each.get("sha256"):
            yield Row(f"SHA-256 of the recording of {each.get('folder')}", str(each["sha256"]))


def discarded(run: RunFolder) -> list[str]:
    """That somebody discarded the run, when and why, in a sentence; nothing where nobody did."""
    mark = run.section("discarded")
    if not mark:
        return []
    utc = str(mark.get("utc", "")).partition(".")[0].replace("T", " ")
    return [f"DISCARDED ({utc} UTC): {mark.get('why')}. All of it is kept; it is not to be counted."]
