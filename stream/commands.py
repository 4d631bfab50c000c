"""What commands do to the orders of a run: pure functions of orders, command and where the run is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from photonstream.stream.orders import Orders, Pace, Parameters, same_value

# Commands that are more than a change of orders.
HELLO, NOTE, STOP, NEXT, SET = "hello", "note", "stop", "next", "set"
# In whose name the settings of a device are set.
DEVICE = "device"
LONGEST_S = 1e9
SPEEDS = (1e-3, 1e6)
# Settings that are all made, or none.
TOGETHER = "together"
# Lists and maps of a value may stand within each other so deep.
DEEPEST = 8
# Characters of what a person says in a note, or of why a run is discarded.
MOST_TEXT = 1000
# The parameter of a node that says whether what it writes is discarded.
DISCARDED = "discarded"
# Characters of all parameters together when they are written out: every message that repeats them must hold them.
MOST_CHARACTERS = 50_000

# The live parameters of a node by its name, None for no such node.
Live = Callable[[str], frozenset[str] | None]


class CommandError(ValueError):
    """A command that cannot be carried out; the text is one sentence for who gave it."""


@dataclass(frozen=True)
class Scene:
    """What a command is judged by: the present orders, the time, and how far the source is (None: not known).

    ``catching_up``: the source is on its way to a place where the run has been before; ``later`` is the pace that was
    ordered to begin there. ``utc`` is the time of day.
    """

    orders: Orders
    now_s: float
    reached_s: float | None
    catching_up: bool = False
    utc: str = ""
    later: Pace | None = None


@dataclass(frozen=True)
class Change:
    """What a command comes to: new pace, new parameters, whether the recording is read anew, the end.

    ``until_s``: a new epoch is shown as soon as it is there. ``note`` is what a person has to say. ``later``: the pace
    begins when the source is again where the run has been before.
    """

    pace: Pace | None = None
    later: bool = False
    parameters: Parameters | None = None
    anew: bool = False
    until_s: float | None = None
    stop: bool = False
    note: str | None = None


def carry_out(name: str, values: Mapping[str, Any], scene: Scene, live: Live) -> Change:
    """The change that a command makes; ``live`` gives the live parameters of a node, None for no such node.

    Raises CommandError.
    """
    if not _plain(values, DEEPEST):
        raise CommandError("the values of a command are numbers, texts, and short lists and maps of them")
    deeds = {
        HELLO: _hello,
        "pause": _pause,
        "resume": _resume,
        "seek": _seek,
        "speed": _speed,
        STOP: _stop,
        NOTE: _note,
        NEXT: _next,
    }
    of_nodes = {SET: _set, "discard": _discard, "keep": _keep}
    if name in of_nodes:
        return of_nodes[name](values, scene, live)
    if name not in deeds:
        raise CommandError(
            f"there is no command {name!r:.40} (there are: {', '.join(sorted([*deeds, *of_nodes]))})"
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
    # On the way back at full speed nobody knows the time of the place where the run has been.
    later = speed is not None and scene.catching_up and not math.isfinite(place_s)
    if not math.isfinite(place_s):
        # From full speed, and the source has not yet found out where it is: it holds there until it is caught up with.
        place_s = 0.0
    return Change(dataclasses.replace(pace, speed=speed).at(place_s, scene.now_s), later)


def _seek(values: Mapping[str, Any], scene: Scene) -> Change:
    place_s = _number(values.get("time_s"), "a place in recorded time", 0.0, LONGEST_S)
    pace = scene.orders.pace
    if scene.later is not None:
        # How far the run has been nobody knows: what was found since then is not shown, however near the place is.
        return Change(scene.later.at(place_s, scene.now_s), anew=True, until_s=place_s)
    if pace.speed is None and not pace.paused:
        raise CommandError("at full speed there is no place to go to: pause first, or set a speed")
    # What the source said is of a moment ago: by now it may be wherever it was to go, and after full speed anywhere.
    back = place_s < max(pace.due_s(scene.now_s), scene.reached_s or 0.0)
    back |= pace.speed is None and scene.reached_s is None
    return Change(pace.at(place_s, scene.now_s), anew=back, until_s=place_s if back else None)


def _stop(values: Mapping[str, Any], scene: Scene) -> Change:
    return Change(stop=True)


def _note(values: Mapping[str, Any], scene: Scene) -> Change:
    return Change(note=_text(values.get("text"), "a note"))


def _next(values: Mapping[str, Any], scene: Scene) -> Change:
    raise CommandError("there is a next particle only where a device is recorded (photonstream attach)")


def _discard(values: Mapping[str, Any], scene: Scene, live: Live) -> Change:
    """Mark what is written as discarded: it is all written and kept, and says so."""
    why = _text(values.get("why"), "the reason why a run is discarded")
    return _mark({"utc": scene.utc, "why": why}, scene, live)


def _keep(values: Mapping[str, Any], scene: Scene, live: Live) -> Change:
    return _mark(None, scene, live)


def _mark(value: Mapping[str, Any] | None, scene: Scene, live: Live) -> Change:
    writers = [node for node in scene.orders.parameters if DISCARDED in (live(node) or ())]
    if not writers:
        raise CommandError("no node of this run writes a result that could be discarded")
    parameters = {node: dict(given) for node, given in scene.orders.parameters.items()}
    for node in writers:
        parameters[node][DISCARDED] = value
    return Change(parameters=_bounded(parameters))


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise CommandError(f"{what} is a text of one character or more")
    if len(value) > MOST_TEXT:
        raise CommandError(f"{what} has {len(value)} characters; a run takes {MOST_TEXT}")
    return value.strip()


def _set(values: Mapping[str, Any], scene: Scene, live: Live) -> Change:
    """One setting, or all of several that belong together."""
    settings = values.get(TOGETHER, [values])
    if not isinstance(settings, list | tuple) or not settings:
        raise CommandError(f"{TOGETHER} is a list of settings")
    parameters = {k: dict(v) for k, v in scene.orders.parameters.items()}
    made = [_set_one(each, parameters, live) for each in settings]
    if all(is_live is None for is_live in made):
        return Change()
    _bounded(parameters)
    if False not in made:
        return Change(parameters=parameters)
    return Change(_held(scene), parameters=parameters, anew=True)


def _set_one(setting: Any, parameters: dict[str, dict[str, Any]], live: Live) -> bool | None:
    """Write one setting into ``parameters``: whether it is live, or None where it is so already."""
    given = setting if isinstance(setting, Mapping) else {}
    node, name, field = given.get("node"), given.get("name"), given.get("field")
    names = live(node) if isinstance(node, str) else None
    if names is None or not isinstance(node, str) or not isinstance(name, str) or "value" not in given:
        raise CommandError("set wants the name of a node, that of a parameter, and a value")
    owner, key = parameters.setdefault(node, {}), name
    if field is not None:
        # Whoever names a field leaves the others as they are, which somebody else may be changing.
        whole = owner.get(name) or {}
        if not isinstance(field, str) or not isinstance(whole, Mapping):
            raise CommandError(f"{node}.{name} has no fields that could be named")
        owner[name] = whole = dict(whole)
        owner, key = whole, field
    if key in owner and same_value(owner[key], given["value"]):
        return None
    owner[key] = given["value"]
    return name in names


def _bounded(parameters: Parameters) -> Parameters:
    characters = len(repr(parameters))
    if characters > MOST_CHARACTERS:
        raise CommandError(
            f"the parameters of all nodes would have {characters} characters; a run takes {MOST_CHARACTERS}"
        )
    return parameters


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
