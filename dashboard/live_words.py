"""What the live page says in words and numbers: the header, the numbers, the line of health. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from photonstream.dashboard import facts
from photonstream.dashboard.delays import delay_words, delays_of, health_phrase
from photonstream.dashboard.facts import measured_s
from photonstream.dashboard.findings import DASH, Findings
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row, items, rows_table
from photonstream.dashboard.latest import RUN, STATUS, Latest, Window
from photonstream.dashboard.live_panels import Update
from photonstream.dashboard.numbers import (
    KCPS,
    PERCENT,
    counted,
    estimate_text,
    fixed,
    number,
    plain,
    sentences,
    with_unit,
)
from photonstream.nodes.experiment import as_fitted
from photonstream.nodes.pipeline import PHOTON_PATH
from photonstream.nodes.recording import cut_short
from photonstream.nodes.recording_events import STOP
from photonstream.nodes.tag_source import EVENTS
from photonstream.stream.ledger import imbalances
from photonstream.stream.node import LEDGER

# States in which the shares of the nodes' time are of now.
AT_WORK = ("running", "paused")
# As wide as a digit.
FIGURE_SPACE = "\u2007"
# Digits of a rate in the fields of the window.
SHOWN_DIGITS = 3
# A run that is so far behind the place where it is to be says so.
WORTH_SAYING_S = 0.5


def live_run(latest: Latest) -> RunFolder:
    """What is known so far, in the form of the result of a finished run."""
    opening, recording = latest.opening, dict(latest.value("source", "recording"))
    counts, selection = latest.value("decode", "counts"), latest.value("states", "selection")
    parameters = latest.value(RUN, STATUS).get("parameters") or (opening.parameters if opening else {})
    info = opening.info if opening is not None else {}
    for key in ("created", "comment", "sync_rate_hz"):
        recording.setdefault(key, info.get(key))
    recording.setdefault("path", _section(parameters, "source").get("path"))
    recording |= {key: counts.get(key) for key in ("photons", "duration_s")}
    if counts:
        recording["measured_s"] = counts["duration_s"] - counts.get("gap_s", 0.0)
    summary = {
        "parameters": parameters,
        "experiment": experiment_of(latest),
        "discarded": _section(parameters, "results").get("discarded"),
        "recording": recording,
        "states": selection,
        **_section(latest.value("lifetime", "fit"), "summary"),
    }
    return RunFolder(Path(), summary, {})


def experiment_of(latest: Latest) -> dict[str, Any]:
    """What is known of the experiment, with <N> as the fit was told it."""
    parameters = latest.value(RUN, STATUS).get("parameters") or {}
    known = _section(_section(parameters, "results"), "experiment")
    return as_fitted(known, _section(parameters, "lifetime"))


def _section(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = of.get(name)
    return value if isinstance(value, Mapping) else {}


def numbers_view(latest: Latest) -> Update:
    """Beta and its companions, with errors or the reason why there are none."""
    run = live_run(latest)
    findings = Findings(run)
    if not run.section("fit"):
        first, reason = Row(findings.beta_label, "none"), ""
    else:
        first = findings.beta_row()
        reason = sentences(dict.fromkeys(filter(None, [first.remark, *findings.warnings()])))
    table = rows_table([*findings.same_rows(), *_light_rows(run)], intervals="95 % interval")
    return {
        "text": {
            "beta": "no beta" if first.value == "none" else f"β = {first.value}",
            "beta-label": first.label,
            "beta-interval": findings.interval("beta", PERCENT),
            "reason": reason,
        },
        "html": {"numbers": table},
        "title": {"reason": reason},
    }


def _light_rows(run: RunFolder) -> list[Row]:
    """How bright it is, and how long it is in the selected state."""
    states, recording = run.section("states"), run.section("recording")
    on_s, photons = number(states.get("on_time_s")), number(states.get("on_photons"))
    all_s, everything = measured_s(run), number(recording.get("photons"))
    return [
        Row("rate in the selected state", _rate(photons, on_s)),
        Row("rate of the whole recording", _rate(everything, all_s)),
    ]


def _rate(photons: float | None, time_s: float | None) -> str:
    """Mean rate with its counting error."""
    if not photons or not time_s:
        return DASH
    return estimate_text({"value": photons / time_s, "stderr": photons**0.5 / time_s}, KCPS)


def window_view(latest: Latest, wish: Window | None) -> Update:
    """The on window: the one that is asked for as long as the numbers are of another one, then the one they are of.

    ``wish`` is what a page asked for and the run has not confirmed yet. Rates in kcps; None is an open end, and no
    band at all where nothing is selected. While states are selected, the window of the rule is there, idle, for whoever
    wants one instead.
    """
    asked, run = latest.asked_window if wish is None else wish, live_run(latest)
    waiting = asked is not None and bool(latest.value("states", "selection")) and not latest.answers(asked)
    idle = run.section("states").get("method") == "hmm"
    if waiting and asked is not None and not isinstance(asked, str):
        limits: tuple[float | None, float | None] | None = (asked[0] / 1e3, asked[1] and asked[1] / 1e3)
    else:
        limits = facts.window_kcps(run, "rule_window_hz" if idle else "window_hz")
    band = None if limits is None else [limits[0] or 0.0, limits[1]]
    mode = "chosen by rule" if asked == "auto" else f"given by hand{_moved(asked, limits)}"
    if idle:
        mode = f"not in use; selected: {facts.selection_text(run)}"
    words = "waiting for its results" if waiting else mode if asked is not None else ""
    shown = {"band": band, "auto": asked == "auto", "idle": idle and not waiting}
    return {"window": shown, "text": {"window-note": words}}


def _moved(asked: Window | None, limits: tuple[float | None, float | None] | None) -> str:
    """Which limits in kcps were taken for those that were ``asked`` for, where these lie within a level of counts."""
    if asked is None or isinstance(asked, str) or limits is None:
        return ""
    pairs = [(taken, given / 1e3) for taken, given in zip(limits, asked, strict=True) if taken and given]
    words = [(plain(taken, SHOWN_DIGITS), plain(given, SHOWN_DIGITS)) for taken, given in pairs]
    moved = [f"{taken} for {given}" for taken, given in words if taken != given]
    if not moved:
        return ""
    which = "nearest edge" if len(moved) == 1 else "nearest edges"
    return f"; taken: {with_unit(', '.join(moved), KCPS)}, the {which} that the levels of counts have"


def status_view(latest: Latest, now_s: float, address: str, page: Mapping[str, Any] | None = None) -> Update:
    """Header, progress and the line of health: how the run is, and whether one can hear it."""
    status, run, link = latest.value(RUN, STATUS), live_run(latest), latest.link(now_s)
    state = str(status.get("state") or "starting")
    live = link == "connected" and bool(status) and state != "ended"
    catching_up = live and status.get("catching_up") is True
    known = latest.opening is not None and bool(latest.opening.info)
    unclocked = status.get("clocked") is False
    title = facts.title(run) if known else "photonstream"
    delays = delays_of(status.get("latency"), page)
    return {
        "text": {
            "title": title,
            "subtitle": facts.SEPARATOR.join(facts.circumstances(run)) if known else f"attached to {address}",
            "state": _state_words(latest, status, link, address),
            "place": _place_words(latest),
            "lag": _lag_words(status) if live else "",
            "pause": "resume" if state == "paused" else "pause",
            **_health(latest, status, link),
            "latency": health_phrase(delays, running=state in AT_WORK),
        },
        "html": {
            "problems": items([*facts.discarded(run), *_strings(status.get("problems")), *_of_device(latest)])
        },
        "title": {"title": title, "restarts": _restarts(status), "latency": delay_words(delays)},
        "classes": {
            "catching-up": catching_up,
            "deaf": not live,
            "over": link == "ended" or state == "ended",
            "followed": status.get("followed") is True,
            "paused": state == "paused",
            "discarded": bool(facts.discarded(run)),
            "live": unclocked,
        },
        "loud": _alarms(latest, status, link),
        "bar": _bar(latest, status),
        "speed": number(status.get("speed")),
    }


def _alarms(latest: Latest, status: Mapping[str, Any], link: str) -> dict[str, bool]:
    """Which parts of the line of health say that something is wrong."""
    lines = latest.ledger
    gaps = number(_section(lines.get(PHOTON_PATH[0], {}), "gaps").get("count"))
    lost = any(int(line.get("events_lost", 0)) for line in lines.values())
    lag_s = number(status.get("lag_s"))
    return {
        "ledger": bool(gaps) or lost or latest.declared is not None or "NOT" in ledger_words(latest),
        "restarts": bool(status.get("restarts")),
        "link": link == "silent",
        "lag": link == "connected" and lag_s is not None and lag_s > WORTH_SAYING_S,
    }


def _state_words(latest: Latest, status: Mapping[str, Any], link: str, address: str) -> str:
    state = str(status.get("state") or "starting")
    if link == "waiting":
        return f"No run has answered at {address} yet."
    if link == "silent":
        return "Nothing is heard from the run any more: its last results are shown."
    if link == "ended" or state == "ended":
        if status.get("followed") is True:
            return "The next recording is being started: shown are the results of the last one."
        return "The run has ended: its last results are shown."
    if status.get("catching_up") is True:
        return "Read again from the start: shown are the results from before, superseded."
    if state == "starting":
        waiting = _strings(status.get("waiting_for"))
        return f"Starting: waiting for {', '.join(waiting)}." if waiting else "Starting."
    says = str(status.get("says") or "")
    if state == "waiting":
        return f"{says[:1].upper()}{says[1:]}." if says else "Waiting."
    if state == "running" and recording_ended(latest):
        then = ", then the next one begins" if status.get("followed") is True else ""
        return f"The recording has ended: its last results are being made{then}."
    if state == "running" and status.get("clocked") is False:
        return f"Live: {says}." if says else "Live."
    words = {"running": "Running.", "paused": "Paused.", "complete": "Complete: these are the final results."}
    return words.get(state, state)


def being_recorded(latest: Latest) -> bool:
    """Whether a recorder is at work on what is followed, as far as anybody has said."""
    return latest.value(RUN, STATUS).get("clocked") is False and not recording_ended(latest)


def device_warnings(latest: Latest) -> list[str]:
    """What the recorder said last of device and disk that somebody should see to."""
    told = latest.value("source", EVENTS).get("status")
    return _strings(told.get("warnings")) if isinstance(told, Mapping) and being_recorded(latest) else []


def _of_device(latest: Latest) -> list[str]:
    events = latest.value("source", EVENTS).get("events")
    ends = cut_short(event for event in events or () if isinstance(event, Mapping))
    return [*device_warnings(latest), *(f"The recording was cut short: {why}." for why in ends)]


def recording_ended(latest: Latest) -> bool:
    """Whether its recorder has said that a recording which is followed has ended."""
    followed = latest.value(RUN, STATUS).get("clocked") is False
    return followed and bool(_section(latest.value("source", EVENTS), "counts").get(STOP))


def _place_words(latest: Latest) -> str:
    reached_s, end = latest.reached_s, latest.end_s
    if reached_s is None:
        return ""
    if end is None:
        return f"{fixed(reached_s, 1)} s"
    return f"{fixed(reached_s, 1)} s of {'' if end[1] else '≈ '}{fixed(end[0], 1)} s"


def _lag_words(status: Mapping[str, Any]) -> str:
    lag_s = number(status.get("lag_s"))
    return f"{fixed(lag_s, 1)} s behind" if lag_s is not None and lag_s > WORTH_SAYING_S else ""


def _bar(latest: Latest, status: Mapping[str, Any]) -> dict[str, float | None]:
    """Shares of the bar: what was read, and the place where the run is to be; ``end_s`` is its whole length."""
    end, reached_s, place_s = latest.end_s, latest.reached_s, number(status.get("place_s"))
    end_s = None if end is None else end[0]
    read = min(1.0, reached_s / end_s) if end_s and reached_s is not None else latest.read_share
    place = None if place_s is None or not end_s else min(1.0, place_s / end_s)
    return {"read": read or 0.0, "place": place, "end_s": end_s}


def _health(latest: Latest, status: Mapping[str, Any], link: str) -> dict[str, str]:
    restarts = status.get("restarts")
    count = len(restarts) if isinstance(restarts, list) else 0
    refused = int(number(status.get("refused")) or 0) + latest.refused
    epoch = number(status.get("epoch"))
    words = {"waiting": "no run yet", "silent": "lost", "ended": "ended", "connected": "connected"}
    return {
        "ledger": ledger_words(latest),
        "restarts": "no restart" if not count else "1 restart" if count == 1 else f"{count} restarts",
        "refused": "nothing refused" if not refused else f"{counted(refused)} refused",
        "shares": _shares(latest, _section(status, "parameters")) if status.get("state") in AT_WORK else "",
        "epoch": "" if epoch is None else f"epoch {counted(epoch)}",
        "link": f"link {words[link]}",
    }


def ledger_words(latest: Latest) -> str:
    """What went in, what came of it, and whether nothing is missing."""
    lines = latest.ledger
    if not lines:
        return "no ledger yet"
    source, decode = (lines.get(name, {}) for name in PHOTON_PATH[:2])
    flow = f"{counted(source.get('events_out'))} records"
    if latest.declared is not None:
        flow += f" of the {counted(latest.declared)} in its header: THE FILE IS CUT"
    flow += f", {counted(decode.get('events_out'))} photons"
    lost = sum(int(line.get("events_lost", 0)) for line in lines.values())
    gaps = _section(source, "gaps")
    if gaps.get("count"):
        flow += f", {_gap_words(gaps)}"
    if lost:
        return f"{flow}, {counted(lost)} lost"
    if any(latest.known(node, LEDGER) is None for node in PHOTON_PATH if node in lines):
        return f"{flow}, none lost" + (" besides" if gaps.get("count") else "")
    edges = [pair for pair in pairwise(PHOTON_PATH) if {*pair} <= set(lines)]
    return f"{flow}, {'NOT balanced' if imbalances(lines, edges) else 'balanced'}"


def _gap_words(gaps: Mapping[str, Any]) -> str:
    """How often the device lost data, how much of it as far as anybody knows, and how often nobody does."""
    count, uncounted = int(gaps["count"]), int(gaps.get("uncounted") or 0)
    records = number(gaps.get("lost_records"))
    known = [] if records is None else [f"{counted(records)} records lost"]
    if uncounted:
        known.append("an unknown number lost" + (f" in {counted(uncounted)} of them" if known else ""))
    where = f"{counted(count)} gap{'s' if count > 1 else ''} of the device"
    return f"{where} ({', '.join(known)})" if known else where


def _shares(latest: Latest, nodes: Iterable[str]) -> str:
    """How busy each of the ``nodes`` is."""
    statuses, found = latest.named(STATUS), []
    for node in nodes:
        busy = number(_section(statuses.get(node, {}), "shares").get("busy"))
        if busy is not None:
            # As wide as a number of two digits, whatever it is.
            found.append(f"{node} {f'{100 * busy:.0f}'.rjust(2, FIGURE_SPACE)}")
    return f"busy (%): {'  '.join(found)}" if found else ""


def _restarts(status: Mapping[str, Any]) -> str:
    given = status.get("restarts")
    notes = [note for note in given if isinstance(note, Mapping)] if isinstance(given, list) else []
    return "; ".join(f"{n.get('node')} (epoch {n.get('epoch')}): {n.get('cause')}" for n in notes)


def _strings(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []
