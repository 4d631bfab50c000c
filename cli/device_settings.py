"""The settings of a device: as a person types them, as its recorder is told them, and those of its next recording."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, get_type_hints

from photonstream.cli.parameters import literal
from photonstream.cli.quantities import reader_of
from photonstream.nodes.drivers.settings import make_settings, setting_text
from photonstream.stream.commands import DEVICE, MOST_TEXT, TOGETHER
from photonstream.stream.node import ParameterError, fits
from photonstream.stream.topology_file import INTEGERS


def read_setting(cls: type[Any], key: str, text: str, word: str = "--set") -> Any:
    """``text`` as setting ``key`` of ``cls``: a number, several, true, false, none or a text; a time or a rate may have
    its unit. ``word``: how it was asked for. What cannot be is for `make_settings` to refuse, but for units. Raises
    ParameterError.
    """
    hint = get_type_hints(cls).get(key, Any)
    value = literal(text)
    if not fits(value, hint):
        if fits(text, hint):
            # Such as a serial number.
            return text
        if not text.strip():
            return None
    parse = reader_of(key)
    if not isinstance(value, str) or parse is None:
        return value
    try:
        values = tuple(parse(part) for part in text.rstrip(" ,").split(","))
    except argparse.ArgumentTypeError as error:
        raise ParameterError(f"{word} {key}: {error}") from None
    return values if "," in text else values[0]


def write_setting(value: Any) -> str:
    """The text that `read_setting` reads as ``value``."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(write_setting, value)) + ("," if len(value) == 1 else "")
    return value if isinstance(value, str) else repr(value)


class Device:
    """A device ``name`` with the settings that its recording was ``armed`` with, and those of the next one."""

    def __init__(self, name: str, settings: Any) -> None:
        self.name = name
        self.armed = self.following = settings
        # Whether there is a recording whose result is not written yet.
        self.recording = True

    def arm_next(self) -> None:
        """The next recording begins."""
        self.armed, self.recording = self.following, True

    def options(self) -> list[str]:
        """The words of ``photonstream record`` for the settings that are not the driver's own."""
        default = type(self.armed)()
        return [
            self.name,
            *(
                f"--set={key}={write_setting(value)}"
                for key, value in _values(self.armed).items()
                if value != getattr(default, key)
            ),
        ]

    def recorded_by(self) -> dict[str, Any]:
        """What is kept of it with a recording."""
        return {"name": self.name, "settings": _said(_values(self.armed))}

    def value(self) -> dict[str, Any]:
        """What a run says of it: ``settings`` are those of the next recording."""
        return {
            "name": self.name,
            "settings": _said(_values(self.following)),
            "armed": _said(_values(self.armed)),
            "recording": self.recording,
        }

    def change(self, values: Mapping[str, Any]) -> tuple[bool, str]:
        """Carry out the command ``set`` with these ``values``: whether that was done, and what there is to say."""
        wanted = values.get(TOGETHER, [values])
        try:
            given = dict(self._setting(each) for each in wanted)
            settings = make_settings(type(self.following), _values(self.following) | given, self.name)
        except ParameterError as error:
            return False, str(error)
        except Exception as error:
            # Whatever a driver has not foreseen.
            return False, f"device {self.name}: {type(error).__name__}: {error}"
        self.following = settings
        told = ", ".join(f"{key} = {setting_text(value) or 'none'}" for key, value in given.items())
        now = "; this one goes on as it is" if self.recording else ""
        return True, f"the next recording is armed with {told}{now}"

    def _setting(self, each: Any) -> tuple[str, Any]:
        setting = each if isinstance(each, Mapping) else {}
        key, value = setting.get("name"), setting.get("value")
        if setting.get("node") != DEVICE:
            raise ParameterError("settings of the device are set by themselves, without parameters of nodes")
        if not isinstance(key, str) or "value" not in setting:
            raise ParameterError("a setting of the device has a name and a value")
        if len(repr(value)) > MOST_TEXT:
            raise ParameterError(f"{key:.80} has more than {MOST_TEXT} characters")
        if isinstance(value, str):
            return key, read_setting(type(self.following), key, value, f"device {self.name}:")
        return key, tuple(value) if isinstance(value, list) else value


def _values(settings: Any) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in dataclasses.fields(settings)}


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """As a message and a file of parameters can hold it."""
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    number = (isinstance(value, float) and math.isfinite(value)) or (
        isinstance(value, int) and value in INTEGERS
    )
    return value if value is None or number or isinstance(value, str) else str(value)
