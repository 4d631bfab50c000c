"""``photonstream ctl``: what a person wants of a run that is at work, from another terminal."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from photonstream.cli.folders import address_of, live_runs
from photonstream.cli.keys import add_keys_option
from photonstream.cli.parameters import literal, owner, value_of
from photonstream.cli.quantities import (
    address,
    duration,
    fit_range,
    irf,
    mean_n,
    setting,
    speed,
    states_method,
    window,
)
from photonstream.cli.remote import Remote
from photonstream.cli.status_table import status_table
from photonstream.nodes.experiment import FIELDS, experiment_settings
from photonstream.stream.commands import TOGETHER
from photonstream.stream.keys import keys_for
from photonstream.stream.node import ParameterError

# A command of the wire: its name and its values.
Wish = tuple[str, dict[str, Any]]
Parameters = Mapping[str, Mapping[str, Any]]

_DESCRIPTION = """\
Tells a run that is at work what to do, and prints what it says; everything that is done stands in the run's log. RUN is
its address or the folder of its results; where one run alone is at work under runs/, it may be left out.
"""

_EPILOG = """\
commands:
  status                   how it is: progress, parameters, ledger, result so far
  pause, resume            of a replay
  seek 12.5s               go to a place in recorded time
  speed 2|max              of a replay
  stop                     end it with what was read so far
  bin 5ms                  bin width; everything is read again
  states hmm|window        how states are found; everything is read again
  on 20k:80k|auto          rates of the bins that are selected
  irf FILE|0.1ns|tail      instrument response
  fit-range 2ns:150ns|all  delays that are fitted
  mean-n 0.10±0.02         photons absorbed per pulse
  meta sample="NC 12" power_w=2e-9
                           what is known of the experiment (docs/schema.md)
  set lifetime.s=3.5       any parameter of a node, as --set of replay takes it
  set device.binning=2     of attach: a setting of the device, with which the next recording is armed
  note "laser realigned"   into the run's log, and beside a recording that is being made
  next                     of attach: end the recording and begin the one of the next particle
  discard "drifted away"   mark the run as discarded; nothing is deleted
  keep                     take that back

examples:
  photonstream ctl status
  photonstream ctl runs/2026-05-04_120000_nc on 20k:80k
  photonstream ctl tcp://127.0.0.1:41234 note "laser blocked"

exit codes: 0 done; 2 refused, with the reason, or no such run
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "ctl",
        help="tell a run that is at work what to do",
        usage="photonstream ctl [-h] [--keys DIR] [RUN] COMMAND [VALUE ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="+", metavar="[RUN] COMMAND [VALUE ...]", help=argparse.SUPPRESS)
    add_keys_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Give the command and print the answer; returns the exit code."""
    place, name, values = _parts(arguments.words)
    wish_of = _wish_of(name, values)
    where = _address(place)
    with Remote(where, keys_for(arguments.keys, [where])) as remote:
        if wish_of is None:
            print(status_table(remote.latest(), where))
            return 0
        done, text = remote.ask(*wish_of(remote.parameters()))
        if not done:
            raise ParameterError(f"the run refuses: {text}")
        print(_sentence(name, text))
    return 0


def _parts(words: Sequence[str]) -> tuple[str | None, str, list[str]]:
    """Where the run is, as far as it was said, the command, and its values."""
    known = {"status", *COMMANDS}
    if words[0] in known:
        return None, words[0], list(words[1:])
    if len(words) < 2 or words[1] not in known:
        wrong = words[1] if len(words) > 1 else words[0]
        raise ParameterError(f"there is no command {wrong!r:.60} (there are: {', '.join(sorted(known))})")
    return words[0], words[1], list(words[2:])


def _address(place: str | None) -> str:
    """The address of the run at ``place``. Raises ParameterError where there is none, or more than one."""
    if place is not None and Path(place).is_dir():
        found = address_of(Path(place))
        if found is None:
            raise ParameterError(f"{place}: no run is at work there")
        return found
    if place is not None:
        try:
            return address(place)
        except argparse.ArgumentTypeError as error:
            raise ParameterError(f"{error}; nor is there such a folder") from None
    runs = live_runs()
    if len(runs) != 1:
        which = f": name one of {', '.join(map(str, runs))}" if runs else "; name its address or its folder"
        raise ParameterError(f"{len(runs) or 'no'} runs are at work under runs/{which}")
    return next(iter(runs.values()))


def _sentence(name: str, text: str) -> str:
    return f"{name}: done" + (f"; {text}" if text else "")


# What each command makes of its values, given the parameters of the run.


def _wish_of(name: str, values: list[str]) -> Callable[[Parameters], Wish] | None:
    """None for the question how the run is, which wishes nothing."""
    if name == "status":
        _count(name, values, 0)
        return None
    try:
        return COMMANDS[name](name, values)
    except argparse.ArgumentTypeError as error:
        raise ParameterError(f"{name}: {error}") from None


Maker = Callable[[str, list[str]], Callable[[Parameters], Wish]]


def _count(name: str, values: list[str], wanted: int) -> None:
    if len(values) != wanted:
        words = {0: "no value", 1: "one value"}[wanted]
        raise ParameterError(f"{name} takes {words}, not {len(values)}")


def _plain(name: str, values: list[str]) -> Callable[[Parameters], Wish]:
    _count(name, values, 0)
    return lambda parameters: (name, {})


def _one(key: str, parse: Callable[[str], Any]) -> Maker:
    """A command of the wire with one value."""

    def make(name: str, values: list[str]) -> Callable[[Parameters], Wish]:
        _count(name, values, 1)
        value = parse(values[0])
        return lambda parameters: (name, {key: value})

    return make


def _parameter(node: str, parameter: str, parse: Callable[[str], Any]) -> Maker:
    """A shortcut that sets one parameter."""

    def make(name: str, values: list[str]) -> Callable[[Parameters], Wish]:
        _count(name, values, 1)
        value = parse(values[0])
        return lambda parameters: _together([_setting(node, parameter, value)])

    return make


def _setting(node: str, name: str, value: Any) -> dict[str, Any]:
    return {"node": node, "name": name, "value": value}


def _together(settings: list[dict[str, Any]]) -> Wish:
    """All of them or none; several that are made one by one would leave half of what is wanted where one is refused."""
    return "set", settings[0] if len(settings) == 1 else {TOGETHER: settings}


def _settings(name: str, values: list[str]) -> Callable[[Parameters], Wish]:
    pairs = [setting(text) for text in values]
    if not pairs:
        raise ParameterError("set wants NODE.PARAMETER=VALUE")

    def wish(parameters: Parameters) -> Wish:
        owners: dict[str, list[str]] = {}
        for node, given in parameters.items():
            for parameter in given:
                owners.setdefault(parameter, []).append(node)
        return _together([_setting(*owner(key, owners, "set"), value_of(key, text)) for key, text in pairs])

    return wish


def _meta(name: str, values: list[str]) -> Callable[[Parameters], Wish]:
    pairs = [setting(text) for text in values]
    if not pairs or not {key for key, _ in pairs} <= set(FIELDS):
        raise ParameterError(f"meta wants FIELD=VALUE (fields: {', '.join(FIELDS)})")

    return lambda parameters: _together(experiment_settings({key: literal(text) for key, text in pairs}))


def _place(text: str) -> float:
    return 0.0 if text in ("0", "0s") else duration(text)


def _speed(text: str) -> float | None:
    return None if text == "max" else speed(text)


def _irf(text: str) -> float | str | None:
    """A file is named as it is found from anywhere: the run may be at work in another folder."""
    if text == "none":
        return None
    given = irf(text)
    return str(Path(given).absolute()) if isinstance(given, str) and Path(given).exists() else given


def _fit_range(text: str) -> tuple[float, float] | None:
    return None if text == "all" else fit_range(text)


def _mean_n(name: str, values: list[str]) -> Callable[[Parameters], Wish]:
    _count(name, values, 1)
    value, error = (None, None) if values[0] == "none" else mean_n(values[0])
    settings = experiment_settings({"mean_n": value, "mean_n_stderr": error})

    def wish(parameters: Parameters) -> Wish:
        # A run of other nodes may have none that keeps the experiment.
        there = [each for each in settings if each["node"] in parameters]
        return _together(there or settings)

    return wish


COMMANDS: dict[str, Maker] = {
    "pause": _plain,
    "resume": _plain,
    "stop": _plain,
    "keep": _plain,
    "next": _plain,
    "seek": _one("time_s", _place),
    "speed": _one("speed", _speed),
    "note": _one("text", str),
    "discard": _one("why", str),
    "set": _settings,
    "meta": _meta,
    "bin": _parameter("intensity", "bin_s", duration),
    "states": _parameter("states", "method", states_method),
    "on": _parameter("states", "on", window),
    "irf": _parameter("lifetime", "irf", _irf),
    "fit-range": _parameter("lifetime", "fit_range_s", _fit_range),
    "mean-n": _mean_n,
}
