"""Settings of a device, as a person gives them: KEY=VALUE, checked by the annotations of the driver's dataclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from photonstream.stream.node import ParameterError, fits, wanted


def split_device(text: str) -> tuple[str, list[tuple[str, str]]]:
    """``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE`` as the name and the pairs. Raises ParameterError."""
    name, _, rest = text.partition(":")
    pairs = []
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ParameterError(
                f"device {text!r}: {part!r} is not KEY=VALUE; a value with a comma in it is given by --set"
            )
        pairs.append((key.strip(), value.strip()))
    return name, pairs


def make_settings(cls: type[Any], given: Mapping[str, Any], device: str) -> Any:
    """The settings of ``device`` as its dataclass ``cls``. Raises ParameterError with the setting and the cause."""
    hints = get_type_hints(cls)
    names = [each.name for each in fields(cls)]
    for key, value in given.items():
        if key not in names:
            known = ", ".join(sorted(names)) or "none"
            raise ParameterError(f"device {device} has no setting {key!r} (it has: {known})")
        if not fits(value, hints[key]):
            raise ParameterError(
                f"device {device}: {key} cannot be {value!r:.80}: it is {wanted(hints[key])}"
            )
    try:
        return cls(**given)
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(f"device {device}: {error}") from error


def with_channels(
    cls: type[Any], given: Mapping[str, Any], channels: Sequence[int], device: str
) -> dict[str, Any]:
    """``given`` with the inputs that are to be recorded. Raises ParameterError where the device records all always."""
    if not any(each.name == "channels" for each in fields(cls)):
        raise ParameterError(f"device {device} always records all of its inputs")
    return {**given, "channels": tuple(channels)}


def shown_settings(cls: type[Any]) -> dict[str, Any]:
    """Every setting with its default."""
    default = cls()
    return {each.name: getattr(default, each.name) for each in fields(cls)}


def setting_text(value: Any) -> str:
    """A value of a setting as it is shown, and as it may be typed; empty for None."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, tuple | list):
        return ", ".join(map(setting_text, value)) + ("," if len(value) == 1 else "")
    return f"{value:.12g}" if isinstance(value, float) else str(value).lower()
