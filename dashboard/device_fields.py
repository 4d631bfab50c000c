"""The settings of a device as the page shows them, and what is typed there as a setting of its next recording. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonstream.dashboard.live_panels import Update
from photonstream.nodes.drivers.settings import setting_text
from photonstream.stream.commands import DEVICE

# How the names of settings end, by their units.
UNITS = {"s": "s", "hz": "Hz", "v": "V", "mv": "mV", "w": "W", "nm": "nm", "ns": "ns", "ps": "ps", "k": "K"}
_KEY = f"{DEVICE}-"


def device_view(device: Mapping[str, Any]) -> Update:
    """The rows of a device as its run tells of it, what stands in them, and what holds now where that differs."""
    settings, armed = device["settings"], device["armed"]
    return {
        "device": {
            "name": device["name"],
            "rows": [[f"{_KEY}{name}", name, *_words(name)] for name in settings],
            "now": {
                f"{_KEY}{name}": ""
                if value == armed.get(name)
                else setting_text(armed.get(name)) or "not set"
                for name, value in settings.items()
            },
        },
        "fields": {f"{_KEY}{name}": setting_text(value) for name, value in settings.items()},
    }


def _words(name: str) -> tuple[str, str]:
    """``name`` for a person, and its unit."""
    words, _, last = name.rpartition("_")
    unit = UNITS.get(last, "") if words else ""
    return (words if unit else name).replace("_", " "), unit


def device_setting(key: str, text: str) -> dict[str, Any] | None:
    """The setting that a text in the field ``key`` stands for; None where that is no field of a device."""
    if not key.startswith(_KEY):
        return None
    return {"node": DEVICE, "name": key.removeprefix(_KEY), "value": text}
