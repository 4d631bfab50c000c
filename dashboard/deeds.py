"""What was done to a run, from the log in its folder, as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import grid_table
from photonstream.dashboard.numbers import SECONDS, counted, quantity
from photonstream.stream.commands import NOTE, SET, TOGETHER

LOG = "log.jsonl"
# A line of the log with a note of the run that is done again.
NOTED = "note"
# Rows of the table, and characters of a value in it; the log has more.
MOST_ROWS, MOST_VALUE = 100, 120
# What follows sooner is part of the same move of a hand.
DRAGGED_S = 1.0


def deeds_table(run: RunFolder) -> str:
    """Every command with its time, who gave it and what became of it; nothing where there were none."""
    deeds = _settled(list(_deeds(run.path)))
    rows = [
        (
            str(deed.get("utc", "")).partition(".")[0].replace("T", " "),
            quantity(deed.get("time_s"), SECONDS, 6),
            str(deed.get("by", "")),
            _words(deed),
            _became(deed),
        )
        for deed in deeds[-MOST_ROWS:]
    ]
    more = (
        f"<p>{counted(len(deeds) - MOST_ROWS)} earlier ones in {LOG}.</p>" if len(deeds) > MOST_ROWS else ""
    )
    return grid_table(("UTC", "recorded", "by", "what", "became"), rows) + more if rows else ""


def _settled(deeds: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """``deeds`` without the places through which something was dragged: of the same setting, with less than a second
    from each to the next, the last.
    """
    return [
        deed
        for deed, after in zip_longest(deeds, deeds[1:])
        if after is None or not (_same_setting(deed, after) and _apart_s(deed, after) < DRAGGED_S)
    ]


def _same_setting(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    values = [deed.get("values") for deed in (one, other)]
    if not all(deed.get("name") == SET and deed.get("done") is True for deed in (one, other)):
        return False
    what = [
        tuple(given.get(key) for key in ("node", "name", "field"))
        for given in values
        if isinstance(given, Mapping)
    ]
    return one.get("by") == other.get("by") and len(what) == 2 and what[0] == what[1] and any(what[0])


def _apart_s(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    try:
        times = [datetime.fromisoformat(str(deed.get("utc"))) for deed in (one, other)]
        return (times[1] - times[0]).total_seconds()
    except (TypeError, ValueError):
        return math.inf


def notes_said(folder: Path) -> list[dict[str, Any]]:
    """What persons have noted of the run in ``folder``, and of those it was repeated from.

    ``time_s`` is the recorded time that the run had reached (None: not known), ``utc`` when it was said first.
    """
    found = []
    for deed in _deeds(folder):
        if deed["what"] == NOTED:
            found.append(
                {"time_s": deed.get("time_s"), "utc": deed.get("noted"), "text": str(deed.get("text"))}
            )
        elif deed.get("name") == NOTE and deed.get("done") is True:
            values = deed.get("values")
            said = str(values.get("text", "")).strip() if isinstance(values, Mapping) else ""
            found.append({"time_s": deed.get("time_s"), "utc": deed.get("utc"), "text": said})
    return found


def _deeds(folder: Path) -> Iterator[Mapping[str, Any]]:
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    found: list[Mapping[str, Any]] = []
    for line in lines:
        try:
            deed = json.loads(line)
        except ValueError:
            # Whoever wrote it was killed.
            continue
        if not isinstance(deed, dict):
            continue
        if deed.get("what") == "begin":
            # What was done to an earlier run in the same folder is no part of this one.
            found.clear()
        elif deed.get("what") in ("command", NOTED):
            found.append(deed)
    yield from found


def _words(deed: Mapping[str, Any]) -> str:
    if deed["what"] == NOTED:
        return f"note {_short(str(deed.get('text')))}"
    values = deed.get("values")
    given: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
    if deed.get("name") == "set":
        settings = given.get(TOGETHER, [given])
        return "; ".join(_setting(each) for each in settings if isinstance(each, Mapping))
    return " ".join([str(deed.get("name")), *(_short(value) for value in given.values())])


def _setting(given: Mapping[str, Any]) -> str:
    names = [str(given[key]) for key in ("node", "name", "field") if given.get(key) is not None]
    return f"{'.'.join(names)} = {_short(given.get('value'))}"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        value = {key: each for key, each in value.items() if each is not None}
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_VALUE else f"{text[: MOST_VALUE - 1]}…"


def _became(deed: Mapping[str, Any]) -> str:
    if deed["what"] == NOTED:
        return f"said first {str(deed.get('noted', '')).partition('.')[0].replace('T', ' ')}"
    answer = str(deed.get("answer", ""))
    return answer if deed.get("done") is True else f"refused: {answer}"
