"""Numbers with units as people type them: 10ms, 0.1ns, 30s, 20k:80k."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from photonstream.nodes.inference.rows import method_of
from photonstream.stream.commands import SPEEDS

LAST_PORT = 65535
_SECONDS = {
    "": 1.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
    "ps": 1e-12,
    "min": 60.0,
    "h": 3600.0,
}
_RATES = {"": 1.0, "hz": 1.0, "cps": 1.0, "/s": 1.0, "k": 1e3, "khz": 1e3, "kcps": 1e3, "m": 1e6, "mhz": 1e6}
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s]*)\s*")


def _parse(text: str, units: dict[str, float], what: str, example: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2].lower() not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} (for example {example})")
    value = float(match[1]) * units[match[2].lower()]
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not finite")
    return value


def duration(text: str) -> float:
    """A time in seconds from text such as 10ms; a bare number is seconds."""
    value = _parse(text, _SECONDS, "a time", "10ms")
    if value <= 0:
        raise argparse.ArgumentTypeError(f"a time must be positive, not {text!r}")
    return value


def idle_timeout(text: str) -> float | None:
    """How long a recording may be silent in seconds, None for ever: 0 or "none"."""
    if text == "none" or _parse(text, _SECONDS, "a time", "10s, or none") == 0:
        return None
    return duration(text)


def rate(text: str) -> float:
    """A rate in Hz from text such as 20k or 5MHz; a bare number is counts per second."""
    return _parse(text, _RATES, "a rate", "20k")


def reader_of(name: str) -> Callable[[str], float] | None:
    """Reads what has this ``name``, by the unit at its end: a time or a rate, else None."""
    return next((read for end, read in (("_s", duration), ("_hz", rate)) if name.endswith(end)), None)


def standard_error(text: str) -> float:
    """A standard error of beta: between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no standard error of beta (for example 0.02)")
    return value


def states_method(text: str) -> str:
    """A method of finding states."""
    try:
        return method_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def mean_n(text: str) -> tuple[float, float | None]:
    """Photons absorbed per pulse and their standard error, from 0.1, 0.10±0.02 or 0.10+-0.02; None where not given."""
    value, sign, error = text.replace("+-", "±").partition("±")
    try:
        return float(value), float(error) if sign else None
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no <N> (for example 0.1, or 0.10±0.02)") from None


def window(text: str) -> str | tuple[float, float]:
    """The on window: "auto", or LOW:HIGH in counts per second, either of which may be left out."""
    if text == "auto":
        return "auto"
    low, colon, high = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not a window of rates (for example 20k:80k, or auto)")
    limits = (rate(low) if low.strip() else 0.0, rate(high) if high.strip() else math.inf)
    if not 0 <= limits[0] < limits[1]:
        raise argparse.ArgumentTypeError(f"the window {text!r} must rise from 0 or more")
    return limits


def fit_range(text: str) -> tuple[float, float]:
    """Delays in seconds from text such as 2ns:150ns, either of which may be left out."""
    low, colon, high = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of delays (for example 2ns:150ns)")
    limits = (_delay(low) if low.strip() else 0.0, _delay(high) if high.strip() else math.inf)
    if not 0 <= limits[0] < limits[1]:
        raise argparse.ArgumentTypeError(f"the range of delays {text!r} must rise from 0 or more")
    return limits


def _delay(text: str) -> float:
    value = _parse(text, _SECONDS, "a delay", "2ns")
    if value and not _NUMBER.fullmatch(text)[2]:  # type: ignore[index]
        raise argparse.ArgumentTypeError(f"{text!r} is a delay without a unit (for example 2ns)")
    return value


def irf(text: str) -> float | str:
    """A full width in seconds from text such as 0.1ns, else text for `irf_files.load_irf`: with a tail, or a file."""
    match = _NUMBER.fullmatch(text)
    if match is not None and not match[2] and not Path(text).exists():
        raise argparse.ArgumentTypeError(
            f"{text!r} is a width without a unit (for example 0.1ns), and no file"
        )
    if match is None or not match[2] or match[2].lower() not in _SECONDS:
        return text
    if float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"a width must be positive, not {text!r}")
    return duration(text)


def speed(text: str) -> float:
    """How fast to replay: "max" (infinite), or recorded seconds per second."""
    if text == "max":
        return math.inf
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    low, high = SPEEDS
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a speed (max, or a factor such as 1 or 10, from {low:g} to {high:,.0f})"
        )
    return value


def port(text: str) -> int:
    """A port of this machine, 0 for any that is free."""
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to {LAST_PORT})")
    return int(text)


def address(text: str) -> str:
    """Where a run publishes: a place that ZeroMQ understands. Keys are for other machines than this one."""
    known = re.fullmatch(r"tcp://(?!0\.0\.0\.0:)[A-Za-z0-9][A-Za-z0-9.-]*:(\d{1,5})|ipc://.+", text)
    if known is None or int(known[1] or 0) > LAST_PORT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address (such as tcp://127.0.0.1:41234, or with keys one that other machines reach, "
            "tcp://192.168.0.7:5700)"
        )
    return text


def channels(text: str) -> tuple[int, ...]:
    """Detector inputs such as 0,1, each once."""
    if not re.fullmatch(r"\d{1,3}(,\d{1,3})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} are no channels (for example 0,1; they count from 0)")
    return tuple(sorted({int(each) for each in text.split(",")}))


def setting(text: str) -> tuple[str, str]:
    """KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key.strip(), value.strip()


def add_set_option(parser: argparse.ArgumentParser, what: str) -> None:
    """``--set KEY=VALUE``, as often as wanted; ``what`` it sets."""
    parser.add_argument(
        "--set", type=setting, action="append", default=[], metavar="KEY=VALUE", help=f"{what} (repeatable)"
    )


def with_prefix(value: float, unit: str, digits: int = 3) -> str:
    """``value`` with an SI prefix, such as 3.60 ns."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    prefixes = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
    # Rounded first: 999.7 to three digits is 1000, and so 1 k.
    rounded = float(f"{value:.{digits}g}")
    power = min(9, max(-12, 3 * math.floor(math.log10(abs(rounded)) / 3)))
    return f"{value / 10.0**power:.{digits}g} {prefixes[power]}{unit}"
