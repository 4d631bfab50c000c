"""Devices: whatever delivers raw time-tag records. A driver is found by its name in an entry-point group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from photonstream.nodes.drivers.base import Driver
from photonstream.stream.node import ParameterError

GROUP = "photonstream.drivers"


@dataclass(frozen=True)
class Found:
    """A driver that is registered: its class, or why there is none; and why no device can be used with it."""

    name: str
    cls: type[Driver[Any]] | None
    problem: str | None


def all_drivers() -> Iterator[Found]:
    """Every registered driver, by name."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            cls = _load(entry)
        except ParameterError as error:
            yield Found(entry.name, None, str(error))
            continue
        yield Found(entry.name, cls, _problem(entry.name, cls))


def driver_class(name: str) -> type[Driver[Any]]:
    """The driver registered as ``name``. Raises ParameterError where there is none that can be used."""
    found = entry_points(group=GROUP)
    if name not in found.names:
        known = ", ".join(sorted(found.names)) or "none"
        raise ParameterError(f"there is no device {name!r} (there are: {known}; see photonstream devices)")
    cls = _load(found[name])
    problem = _problem(name, cls)
    if problem is not None:
        raise ParameterError(f"device {name}: {problem}")
    return cls


def _load(entry: EntryPoint) -> type[Driver[Any]]:
    try:
        cls = entry.load()
    except Exception as error:
        raise ParameterError(
            f"the driver {entry.name!r} ({entry.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Driver)):
        raise ParameterError(f"the driver {entry.name!r} is registered as {cls!r}, which is no driver")
    return cls


def _problem(name: str, cls: type[Driver[Any]]) -> str | None:
    try:
        return cls.problem()
    except Exception as error:
        # Somebody else's module: whatever is wrong in it.
        return f"the driver {name!r} cannot tell whether it is there: {type(error).__name__}: {error}"
