"""What commands do to the orders of a run: pure functions of orders, command and where the run is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from photonstream.stream.orders import Orders, Pace, Parameters, same_value

LONGEST_S = 1e9
SPEEDS = (1e-3, 1e6)
# Lists and maps of a value may stand within each other so deep.
DEEPEST = 8
# Characters of all parameters together when they are written out: every message that repeats them must hold them.
MOST_CHARACTERS = 50_000


class CommandError(ValueError):
    """A command that cannot be carried out; the text is one sentence for who gave it."""


@dataclass(frozen=True)
class Scene:
    """What a command is judged by: the present orders, the time, and how far the source is (None: not known).

    ``catching_up``: the source is on its way to a place where the run has been before.
    """

    orders: Orders
    now_s: float
    reached_s: float | None
    catching_up: bool = False


@dataclass(frozen=True)
class Change:
    """What a command comes to: new pace, new parameters, whether the recording is read anew, the end.

    ``until_s``: a new epoch is shown as soon as it is there.
    """

    pace: Pace | None = None
    parameters: Parameters | None = None
    anew: bool = False
    until_s: float | None = None
    stop: bool = False


def carry_out(
    name: str, values: Mapping[str, Any], scene: Scene, live: Callable[[str], frozenset[str] | None]
) -> Change:
    """The change that a command makes; ``live`` gives the live parameters of a node, None for no such node.

    Raises CommandError.
    """
    if not _plain(values, DEEPEST):
        raise CommandError("the values of a command are numbers, texts, and short lists and maps of them")
    deeds = {
        "hello": _hello,
        "pause": _pause,
        "resume": _resume,
        "seek": _seek,
        "speed": _speed,
        "stop": _stop,
    }
    if name == "set":
        return _set(values, scene, live)
    if name not in deeds:
        raise CommandError(
            f"there is no command {name!r:.40} (there are: {', '.join(sorted([*deeds, 'set']))})"
        )
    return deeds[name](values, scene)


def _place_s(scene: Scene) -> float:
    """Where the run is: the place that is due, or where the source is if it cannot keep up."""
    due_s = scene.orders.pace.due_s(scene.now_s)
    return due_s if scene.reached_s is None or scene.catching_up else min(due_s, scene.reached_s)


def _hello(values: Mapping[str, Any], scene: Scene) -> Change:
    """A run with nothing new to say is asked whether it is there."""
    return Change()


def _pause(values: Mapping[str, Any], scene: Scene) -> Change:
    pace = scene.orders.pace
    if pace.paused:
        return Change()
    # At full speed the place is not known: place 0 is behind the source, wherever it is.
    place_s = 0.0 if pace.speed is None else pace.due_s(scene.now_s)
    return Change(dataclasses.replace(pace, paused=True, place_s=place_s, since_s=scene.now_s))


def _resume(values: Mapping[str, Any], scene: Scene) -> Change:
    pace = scene.orders.pace
    if not pace.paused:
        return Change()
    place_s = max(pace.place_s, scene.reached_s or 0.0)
    return Change(dataclasses.replace(pace, paused=False, place_s=place_s, since_s=scene.now_s))


def _speed(values: Mapping[str, Any], scene: Scene) -> Change:
    if "speed" not in values:
        raise CommandError("speed wants a speed, or none at all to go as fast as it can")
    speed = values["speed"]
    if speed is not None:
        speed = _number(speed, "a speed", *SPEEDS)
    pace = scene.orders.pace
    if pace.paused:
        return Change(dataclasses.replace(pace, speed=speed))
    place_s = _place_s(scene)
    if not math.isfinite(place_s):
        # From full speed, and the source has not yet found out where it is: it holds there until it is caught up with.
        place_s = 0.0
    return Change(dataclasses.replace(pace, speed=speed).at(place_s, scene.now_s))


def _seek(values: Mapping[str, Any], scene: Scene) -> Change:
    place_s = _number(values.get("time_s"), "a place in recorded time", 0.0, LONGEST_S)
    pace = scene.orders.pace
    if pace.speed is None and not pace.paused:
        raise CommandError("at full speed there is no place to go to: pause first, or set a speed")
    # What the source said is of a moment ago: by now it may be wherever it was to go, and after full speed anywhere.
    back = place_s < max(pace.due_s(scene.now_s), scene.reached_s or 0.0)
    back |= pace.speed is None and scene.reached_s is None
    return Change(pace.at(place_s, scene.now_s), anew=back, until_s=place_s if back else None)


def _stop(values: Mapping[str, Any], scene: Scene) -> Change:
    return Change(stop=True)


def _set(values: Mapping[str, Any], scene: Scene, live: Callable[[str], frozenset[str] | None]) -> Change:
    node, name = values.get("node"), values.get("name")
    names = live(node) if isinstance(node, str) else None
    if names is None or not isinstance(node, str) or not isinstance(name, str) or "value" not in values:
        raise CommandError("set wants the name of a node, that of a parameter, and a value")
    parameters = {k: dict(v) for k, v in scene.orders.parameters.items()}
    given = parameters.setdefault(node, {})
    if name in given and same_value(given[name], values["value"]):
        return Change()
    given[name] = values["value"]
    characters = len(repr(parameters))
    if characters > MOST_CHARACTERS:
        raise CommandError(
            f"the parameters of all nodes would have {characters} characters; a run takes {MOST_CHARACTERS}"
        )
    if name in names:
        return Change(parameters=parameters)
    return Change(_held(scene), parameters, anew=True)


def _held(scene: Scene) -> Pace | None:
    """The pace with which a paused run that has gone beyond its place is read anew, None where it may stay."""
    pace, reached_s = scene.orders.pace, scene.reached_s or 0.0
    return pace.at(reached_s, scene.now_s) if pace.paused and reached_s > pace.place_s else None


def _plain(value: Any, depth: int) -> bool:
    """Whether ``value`` is what a person may type, in lists and maps not deeper than ``depth``."""
    if value is None or isinstance(value, bool | int | float | str):
        return True
    if not isinstance(value, Mapping | list | tuple) or not depth:
        return False
    if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return all(_plain(each, depth - 1) for each in inner)


def _number(value: Any, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise CommandError(f"{what} is a number from {low:g} to {high:g}, not {value!r:.40}")
    return float(value)
