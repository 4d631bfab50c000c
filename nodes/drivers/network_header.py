"""What a program that sends records says of them first: one JSON object. docs/attach.md has its keys."""

from __future__ import annotations

import json
import sys
from typing import Any

from photonstream.nodes.drivers.base import DeviceFacts
from photonstream.nodes.formats.base import LONGEST_UNIT_S, SHORTEST_UNIT_S
from photonstream.nodes.formats.records import BY_NAME

LONGEST_HEADER = 1 << 16
# More inputs no record can name.
MOST_CHANNELS = 64
# More records than this cannot have been lost: such a number is nonsense.
MOST_LOST = 1 << 48
# No laser is slower or faster.
SLOWEST_HZ, FASTEST_HZ = 1e-3, 1e12
# A whole number may have more digits than any float.
MOST = sys.float_info.max


def read_header(line: bytes) -> tuple[DeviceFacts, int | None]:
    """The header as facts, and how many records the sender has lost so far. Raises ValueError."""
    said = json.loads(line)
    if not isinstance(said, dict):
        raise ValueError("it is no JSON object")
    name = said.get("record_type")
    if not isinstance(name, str) or name not in BY_NAME:
        raise ValueError(f"record_type is one of {', '.join(BY_NAME)}, not {name!r:.40}")
    lost = said.get("lost_records")
    if lost is not None and (type(lost) is not int or not 0 <= lost <= MOST_LOST):
        raise ValueError(f"lost_records is a count, not {lost!r:.40}")
    channels = said.get("channels", 2)
    if type(channels) is not int or not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"channels is a number from 1 to {MOST_CHANNELS}, not {channels!r:.40}")
    kind = BY_NAME[name]
    unit_s = _unit(said, "macrotime_unit_s")
    rate_hz = None
    if said.get("sync_rate_hz") is not None:
        rate_hz = _between(said, "sync_rate_hz", SLOWEST_HZ, FASTEST_HZ, "Hz")
    facts = DeviceFacts(
        record_type=kind,
        macrotime_unit_s=unit_s,
        dtime_resolution_s=_unit(said, "dtime_resolution_s") if kind.mode == "T3" else unit_s,
        sync_rate_hz=rate_hz,
        channels=channels,
        device=_text(said.get("device", "network")),
        serial=_text(said.get("serial", "")),
    )
    return facts, lost


def _text(value: Any) -> str:
    """Some words of somebody else, without what is half a character or would end a text in a header."""
    return str(value)[:80].encode(errors="replace").decode().replace("\0", " ")


def _unit(said: dict[str, Any], name: str) -> float:
    return _between(said, name, SHORTEST_UNIT_S, LONGEST_UNIT_S, "s")


def _between(said: dict[str, Any], name: str, low: float, high: float, unit: str) -> float:
    value = _number(said, name)
    if not low <= value <= high:
        raise ValueError(f"{name} lies from {low:g} to {high:g} {unit}, not at {value:g}")
    return value


def _number(said: dict[str, Any], name: str) -> float:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST:
        raise ValueError(f"{name} is a number above 0, not {value!r:.40}")
    return float(value)
