"""What a run wants of its nodes: epoch, parameters, pace. The run says it anew whenever it changes, as a whole."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Parameters = Mapping[str, Mapping[str, Any]]
# A node that still wants another value after so many readings of the whole will never have enough.
MOST_CHOICES = 8


def same_value(one: Any, other: Any) -> bool:
    """Whether two values of a parameter are the same; on its way to another node a tuple becomes a list."""
    return bool(_listed(one) == _listed(other))


def _listed(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_listed(each) for each in value]
    return {key: _listed(each) for key, each in value.items()} if isinstance(value, Mapping) else value


@dataclass(frozen=True, slots=True)
class Pace:
    """Where in recorded time a replay is to be.

    At ``since_s`` (the machine's monotonic clock, which its processes share) the place was ``place_s`` in recorded
    time; from there it moves with ``speed`` recorded seconds a second. ``speed`` None is as fast as it goes. A paused
    replay goes on to ``place_s`` and stays. Whatever the pace, it waits at ``hold_s`` in recorded time.
    """

    speed: float | None = None
    paused: bool = False
    place_s: float = 0.0
    since_s: float = 0.0
    hold_s: float = math.inf

    def due_s(self, now_s: float) -> float:
        """The recorded time up to which records are to be given out; infinite without a speed or a hold."""
        if self.paused:
            return min(self.hold_s, self.place_s)
        if self.speed is None:
            return self.hold_s
        return min(self.hold_s, self.place_s + self.speed * (now_s - self.since_s))

    def at(self, place_s: float, now_s: float) -> Pace:
        """The same pace from another place."""
        return dataclasses.replace(self, place_s=place_s, since_s=now_s)


@dataclass(frozen=True, slots=True)
class Orders:
    """All that a run asks of its nodes at present. ``version`` rises with every change.

    ``parameters`` are those of every node by its name; ``restarts`` says which nodes had to be started again, when
    and why. ``end_at``: the stream is to end when it has given so many events, or where it is if that is
    further (None: at the recording's end). Results on the way are wanted every ``results_s``.
    """

    version: int = 0
    epoch: int = 0
    parameters: Parameters = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    end_at: int | None = None
    results_s: float = math.inf
    restarts: tuple[Mapping[str, Any], ...] = ()

    def value(self) -> dict[str, Any]:
        """As the value of a result."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return plain | {"pace": dataclasses.asdict(self.pace)}


def orders_of(value: Mapping[str, Any]) -> Orders:
    """The orders in the value of a result; raises ValueError where it holds none. What else it holds is ignored."""
    orders, pace = _fitting(Orders, value), _fitting(Pace, value["pace"])
    return Orders(**orders | {"pace": Pace(**pace), "restarts": tuple(orders["restarts"])})


def _fitting(cls: type[Orders] | type[Pace], value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``cls`` in ``value``; raises ValueError where one is missing or cannot be."""
    given = {}
    for name in (f.name for f in dataclasses.fields(cls)):
        if name not in value:
            raise ValueError(f"these are no orders: {name} is missing")
        if not _FITS[name](value[name]):
            raise ValueError(f"these are no orders: {name} cannot be {value[name]!r:.80}")
        given[name] = value[name]
    return given


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _number(value: Any) -> bool:
    """Whether it is a number, perhaps an infinite one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _finite(value: Any) -> bool:
    return _number(value) and math.isfinite(value)


def _maps(values: Iterable[Any]) -> bool:
    return all(isinstance(value, Mapping) for value in values)


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "version": _whole,
    "epoch": _whole,
    "parameters": lambda value: isinstance(value, Mapping) and _maps(value.values()),
    "pace": lambda value: isinstance(value, Mapping),
    "end_at": lambda value: value is None or _whole(value),
    "results_s": lambda value: _number(value) and value >= 0,
    "restarts": lambda value: isinstance(value, list | tuple) and _maps(value),
    "speed": lambda value: value is None or (_finite(value) and value > 0),
    "paused": lambda value: isinstance(value, bool),
    "place_s": _finite,
    "since_s": _finite,
    "hold_s": _number,
}
