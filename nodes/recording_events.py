"""What a tag file cannot say of its recording: a file of events beside it, one JSON object a line.

A recorder appends a line whenever something happens: it starts, the device loses data (`GAP`), it tells how the device
is, somebody makes a note, it stops; where it was killed, whoever had started it says so.
Every line says by the index of a record where in the recording it stands; it may
be written later than the records that follow it, but for a gap that has records of its own (``inserted_records``).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Tag of a PTU header (bool): false while our recorder writes, true once nothing more will come.
COMPLETE_TAG = "PhotonStream_Complete"
# Appended to the whole name of the tag file.
EVENTS_ENDING = ".events.jsonl"
# Kinds that are known here; others are kept as they are.
START, GAP, STATUS, NOTE, STOP = "start", "gap", "status", "note", "stop"

# Whole numbers of a line are such as every reader can hold; lists and objects stand within each other so deep.
MOST = 1 << 63
# A gap of more seconds (30 years) is none.
MOST_LOST_S = 1e9
DEEPEST = 8

_OWN = frozenset({"record", "kind", "text", "utc"})


def events_path(path: str | os.PathLike[str]) -> Path:
    """Where the events of the tag file ``path`` are."""
    place = Path(path)
    return place.with_name(place.name + EVENTS_ENDING)


@dataclass(frozen=True)
class RecordingEvent:
    """One event: what happened before record number ``record`` (from 0), in one sentence for a person.

    ``utc`` is an ISO 8601 time. ``more`` holds every further key: of a gap ``cause``, ``lost_s`` (time lost in
    seconds, None where nobody knows) and ``lost_records`` (how many records, None likewise).
    """

    record: int
    kind: str
    text: str
    utc: str
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cause(self) -> str | None:
        """Why data were lost, in a few words."""
        cause = self.more.get("cause")
        return cause if isinstance(cause, str) else None

    @property
    def lost_s(self) -> float | None:
        """Estimated time lost, where it is known."""
        lost_s = self.more.get("lost_s")
        known = isinstance(lost_s, int | float) and not isinstance(lost_s, bool)
        return float(lost_s) if known and lost_s is not None and 0 <= lost_s <= MOST_LOST_S else None

    @property
    def lost_records(self) -> int | None:
        """How many records are known to be lost, where that is known."""
        lost = self.more.get("lost_records")
        return lost if type(lost) is int and lost >= 0 else None

    @property
    def inserted_records(self) -> int:
        """How many records, from ``record`` on, the recorder wrote to let time go on through a gap."""
        inserted = self.more.get("inserted_records")
        return inserted if self.kind == GAP and type(inserted) is int and inserted > 0 else 0

    @property
    def died(self) -> bool:
        """Whether this is the end of a recorder that did not complete its file."""
        return self.kind == STOP and self.more.get("died") is True

    def value(self) -> dict[str, Any]:
        """As a plain object, keys in the order of the file."""
        own = {"record": self.record, "kind": self.kind, "text": self.text, "utc": self.utc}
        return own | {key: value for key, value in self.more.items() if key not in _OWN}

    def to_json(self) -> str:
        """The line of the file, without its end; raises ValueError for what JSON cannot hold."""
        return json.dumps(self.value(), allow_nan=False, ensure_ascii=False)


def parse_event(line: str) -> RecordingEvent:
    """The event of one whole line; raises ValueError with what is wrong with it."""
    try:
        given = json.loads(line, parse_constant=_no_number, parse_int=_whole, parse_float=_finite)
        _check_depth(given, DEEPEST)
    except json.JSONDecodeError as error:
        raise ValueError(f"this is no JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if not isinstance(given, dict):
        raise ValueError("this is no JSON object")
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character") from None
    record = given.get("record")
    if type(record) is not int or record < 0:
        raise ValueError("record is the index of a record, a whole number from 0" + _instead(given, "record"))
    for key in ("kind", "text", "utc"):
        if not isinstance(given.get(key), str):
            raise ValueError(f"{key} is a text" + _instead(given, key))
    more = {key: value for key, value in given.items() if key not in _OWN}
    return RecordingEvent(record, given["kind"], given["text"], given["utc"], more)


def _instead(given: Mapping[str, Any], key: str) -> str:
    return f", not {given[key]!r:.40}" if key in given else "; it is missing"


_TOO_DEEP = "lists and objects stand too deep within each other"


def _check_depth(value: Any, depth: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not depth:
        raise ValueError(_TOO_DEEP)
    for each in value.values() if isinstance(value, dict) else value:
        _check_depth(each, depth - 1)


def _whole(text: str) -> int:
    # A text of thousands of digits is not even turned into a number.
    if len(text) > len(str(MOST)) + 1 or abs(int(text)) >= MOST:
        raise ValueError(f"{text:.40} is too large a number")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.40} is too large a number")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
