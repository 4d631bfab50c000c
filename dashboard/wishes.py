"""What a person at a page wants, as a command to the run. Whatever comes from a browser is checked here first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from photonstream.dashboard.controls import settings_of
from photonstream.dashboard.latest import Window
from photonstream.stream.commands import TOGETHER

Command = tuple[str, dict[str, Any]]
# Commands of one text, and its name in them.
_TEXTS: Mapping[object, str] = {"note": "text", "discard": "why"}


class WishError(ValueError):
    """Something that no button of the page says; the text is for the person."""


def command_of(name: object, values: object) -> tuple[Command, Window | None]:
    """The command, and the window that it asks for where it asks for one.

    Windows come in kcps, with None for an open end; the run takes them in Hz. Raises WishError.
    """
    given: Mapping[Any, Any] = values if isinstance(values, Mapping) else {}
    if name in ("pause", "resume", "stop", "keep", "next"):
        return (str(name), {}), None
    if name in _TEXTS:
        return (str(name), {_TEXTS[name]: _text(given.get(_TEXTS[name]))}), None
    if name == "seek":
        return ("seek", {"time_s": _number(given.get("time_s"))}), None
    if name == "speed":
        speed = given.get("speed")
        return ("speed", {"speed": None if speed is None else _number(speed)}), None
    if name == "window":
        window = _window(given.get("kcps"))
        value = (
            window if isinstance(window, str) else [window[0], math.inf if window[1] is None else window[1]]
        )
        return ("set", {"node": "states", "name": "on", "value": value}), window
    if name == "set":
        try:
            settings = settings_of(given.get("field"), given.get("text"))
        except ValueError as error:
            raise WishError(str(error)) from error
        return ("set", settings[0] if len(settings) == 1 else {TOGETHER: settings}), None
    raise WishError(f"this page knows no command {name!r:.40}")


def _window(kcps: object) -> Window:
    if kcps == "auto":
        return "auto"
    if not isinstance(kcps, list | tuple) or len(kcps) != 2:
        raise WishError("a window is two rates")
    low, high = 1e3 * _number(kcps[0]), None if kcps[1] is None else 1e3 * _number(kcps[1])
    if low < 0 or (high is not None and high <= low):
        raise WishError("a window rises from 0 kcps or more")
    return low, high


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise WishError("it wants a few words")
    return value.strip()


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WishError(f"{value!r:.40} is no number")
    return float(value)
