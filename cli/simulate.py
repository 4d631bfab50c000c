"""``photonstream simulate``: a tag file of a nanocrystal whose truth is known."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from photonstream.cli.progress import ProgressLine
from photonstream.cli.quantities import duration, rate, setting
from photonstream.nodes.formats.records import (
    GENERIC_T2,
    GENERIC_T3,
    HYDRAHARP_V2_T2,
    HYDRAHARP_V2_T3,
)
from photonstream.nodes.simulate import (
    BLINKING,
    PRESETS,
    Dwell,
    SimulationParameters,
    Truth,
    setting_names,
    simulate,
    with_settings,
)
from photonstream.nodes.simulate.presets import BLINKING_SUMMARIES, ONE_NANOCRYSTAL
from photonstream.nodes.simulate.truth import truth_path
from photonstream.stream.node import ParameterError

_RECORD_TYPES = {
    ("multiharp", "T3"): GENERIC_T3,
    ("multiharp", "T2"): GENERIC_T2,
    ("hydraharp2", "T3"): HYDRAHARP_V2_T3,
    ("hydraharp2", "T2"): HYDRAHARP_V2_T2,
}
_DEFAULT_PRESET = "355nm"

_DESCRIPTION = """\
Simulates one nanocrystal under pulsed excitation, photon by photon, and writes what a TCSPC module would
have recorded, with the truth beside it in FILE.ptu.truth.json: every parameter, the biexciton share B, the
exact decay, photons by origin, and when the emitter was in which state. The same seed gives the same bytes.
"""

_EPILOG = f"""\
examples:
  photonstream simulate                                         355 nm, 30 s, to 355nm.ptu
  photonstream simulate 640nm --time 2min --seed 7 --out x.ptu  another one
  photonstream simulate 355nm --blinking none --set max_excitons=2
                                                                the world in which the formula of beta is exact
  photonstream simulate --set dead_time_s=25ns --set background_hz=500,300
                                                                detectors with flaws; pairs are channel 0,1
  photonstream simulate --set dwell_dim=1.5:10ms:1s --set dwell_charged=50ms
                                                                power law ALPHA:SHORTEST:LONGEST, or a mean
  photonstream simulate --mode T2 --set repetition_rate_hz=1M --set sync_divider=16
                                                                T2 with every 16th pulse as a record
  photonstream simulate 640nm-n0.5 {" ".join(f"--set {each}" for each in ONE_NANOCRYSTAL)}
                                                                the nanocrystal of 640nm at <N> = 0.5, to calibrate with
  photonstream simulate 640nm --list                            presets, ways of blinking, every setting
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "simulate",
        help="make a tag file whose truth is known",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "preset", nargs="?", default=_DEFAULT_PRESET, metavar="PRESET", help=", ".join(PRESETS)
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write (default PRESET.ptu)")
    parser.add_argument("--time", type=duration, metavar="T", help="length of the recording (default 30s)")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed, another particle (default 1)")
    parser.add_argument(
        "--mode", choices=("T3", "T2"), default="T3", help="T3: delays after pulses; T2: times"
    )
    parser.add_argument(
        "--device", choices=("multiharp", "hydraharp2"), default="multiharp", help="record type"
    )
    parser.add_argument(
        "--blinking", choices=tuple(BLINKING), default="normal", help="how it blinks (see --list)"
    )
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="change any setting of --list; may be given again",
    )
    parser.add_argument("--list", action="store_true", help="print presets and settings, and write nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate, or list what can be simulated."""
    parameters = _parameters(arguments)
    if arguments.list:
        print(_listing(arguments.preset, parameters))
        return 0
    path = arguments.out or Path(f"{arguments.preset}.ptu")
    if path.exists() and not truth_path(path).exists():
        raise ParameterError(f"{path} exists and is not a simulated file, so it is not overwritten")
    line = ProgressLine()
    try:
        truth = simulate(
            parameters,
            path,
            record_type=_RECORD_TYPES[arguments.device, arguments.mode],
            progress=lambda share: line.show(share, f"{share * parameters.duration_s:.1f} s simulated"),
        )
    except KeyboardInterrupt:
        line.clear()
        print(f"interrupted: {path} ends early and has no truth beside it", file=sys.stderr)
        return 0
    line.clear()
    print(_summary(path, truth))
    return 0


def _parameters(arguments: argparse.Namespace) -> SimulationParameters:
    if arguments.preset not in PRESETS:
        raise ParameterError(f"there is no preset {arguments.preset!r}; there are {', '.join(PRESETS)}")
    parameters = replace(PRESETS[arguments.preset].parameters, blinking=BLINKING[arguments.blinking])
    names, given = setting_names(parameters), {}
    if arguments.time is not None:
        given["duration_s"] = arguments.time
    if arguments.seed is not None:
        given["seed"] = arguments.seed
    # All at once: what can be together does not depend on the order in which it was typed.
    given |= {key: _value(key, text, names.get(key)) for key, text in arguments.settings}
    return with_settings(parameters, given)


def _value(key: str, text: str, present: Any) -> Any:
    """``text`` as what the setting is now. Raises ParameterError with the reason."""
    try:
        if isinstance(present, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                text.lower()
            ]
        if isinstance(present, int):
            return int(text)
        if isinstance(present, Dwell):
            return _dwell(text)
        if isinstance(present, tuple):
            values = tuple(_number(key, part) for part in text.split(","))
            return values * 2 if len(values) == 1 else _both(values)
        return _number(key, text)
    except (ValueError, KeyError, argparse.ArgumentTypeError) as error:
        reason = (
            error
            if isinstance(error, (argparse.ArgumentTypeError, ParameterError))
            else f"{text!r} does not fit"
        )
        raise ParameterError(f"--set {key}: {reason}") from None


def _both(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) != 2:
        raise argparse.ArgumentTypeError("one number for both channels, or two with a comma between")
    return values


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return rate(text) if key.endswith("_hz") else duration(text)


def _dwell(text: str) -> Dwell:
    parts = text.split(":")
    if len(parts) == 1:
        return Dwell(duration(text))
    if len(parts) != 3:
        raise argparse.ArgumentTypeError("a mean such as 0.2s, or ALPHA:SHORTEST:LONGEST such as 1.5:10ms:1s")
    return Dwell(alpha=float(parts[0]), shortest_s=duration(parts[1]), longest_s=duration(parts[2]))


def _listing(preset: str, parameters: SimulationParameters) -> str:
    lines = ["presets:"]
    lines += [f"  {name:<24}{each.summary}" for name, each in PRESETS.items()]
    lines += [
        "the lifetimes of each are those of its own published run; to calibrate with 640nm and 640nm-n0.5 as one",
        f"nanocrystal give the second one {' '.join(f'--set {each}' for each in ONE_NANOCRYSTAL)}",
    ]
    lines += ["blinking:"]
    lines += [f"  {name:<24}{summary}" for name, summary in BLINKING_SUMMARIES.items()]
    lines += [f"settings of {preset}, for --set (seconds, hertz and shares; pairs are channel 0,1):"]
    lines += [f"  {name:<24}{_shown(value)}" for name, value in setting_names(parameters).items()]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, Dwell):
        if value.alpha is None:
            return f"{value.mean_s:g}"
        return f"{value.alpha:g}:{value.shortest_s:g}:{value.longest_s:g}"
    if isinstance(value, tuple):
        return ",".join(f"{each:g}" for each in value)
    if value is None:
        return "as the device has it"
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _summary(path: Path, truth: Truth) -> str:
    parameters = truth.parameters
    photons = truth.photons.sum(axis=0)
    seconds = parameters.pulses * parameters.period_s
    shares = ", ".join(f"{state} {share:.1%}" for state, share in truth.time_shares().items() if share)
    return (
        f"{path}: {int(photons.sum()):,} photons in {seconds:g} s "
        f"({photons[0]:,} and {photons[1]:,} by channel), {truth.records:,} records\n"
        f"time spent: {shares}\n"
        f"truth: {truth_path(path)}"
    )
