"""What a program that sends records says of them first: one JSON object. docs/attach.md has its keys."""

from __future__ import annotations

import json
import math
from typing import Any

from photonstream.nodes.drivers.base import DeviceFacts
from photonstream.nodes.formats.records import BY_NAME

LONGEST_HEADER = 1 << 16
# More inputs no record can name.
MOST_CHANNELS = 64


def read_header(line: bytes) -> tuple[DeviceFacts, int | None]:
    """The header as facts, and how many records the sender has lost so far. Raises ValueError."""
    said = json.loads(line)
    if not isinstance(said, dict):
        raise ValueError("it is no JSON object")
    name = said.get("record_type")
    if not isinstance(name, str) or name not in BY_NAME:
        raise ValueError(f"record_type is one of {', '.join(BY_NAME)}, not {name!r:.40}")
    lost = said.get("lost_records")
    if lost is not None and (type(lost) is not int or lost < 0):
        raise ValueError(f"lost_records is a count, not {lost!r:.40}")
    channels = said.get("channels", 2)
    if type(channels) is not int or not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"channels is a number from 1 to {MOST_CHANNELS}, not {channels!r:.40}")
    kind = BY_NAME[name]
    unit_s = _number(said, "macrotime_unit_s")
    facts = DeviceFacts(
        record_type=kind,
        macrotime_unit_s=unit_s,
        dtime_resolution_s=_number(said, "dtime_resolution_s") if kind.mode == "T3" else unit_s,
        sync_rate_hz=None if said.get("sync_rate_hz") is None else _number(said, "sync_rate_hz"),
        channels=channels,
        device=_text(said.get("device", "network")),
        serial=_text(said.get("serial", "")),
    )
    return facts, lost


def _text(value: Any) -> str:
    """Some words of somebody else, without what is half a character or would end a text in a header."""
    return str(value)[:80].encode(errors="replace").decode().replace("\0", " ")


def _number(said: dict[str, Any], name: str) -> float:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{name} is a number above 0, not {value!r:.40}")
    return float(value)
