"""Numbers as a paper prints them: rounded by their uncertainty, with a unit, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from photonstream.nodes.inference.estimate import Z95

MINUS, THIN, PLUS_MINUS, NBSP = "\u2212", "\u2009", "\u00b1", "\u00a0"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SPACES = dict.fromkeys(map(ord, NBSP + THIN), " ")
NO_ERROR = "no error computed"
NO_LIMIT = "the data set no limit"
# Significant digits of an uncertainty, and of a value that has none.
ERROR_DIGITS, PLAIN_DIGITS = 2, 4
# An interval whose one side is so many times the other is not told by one number.
LOPSIDED = 1.5


@dataclass(frozen=True)
class Unit:
    """A unit for the page: its name, and how many of it make one SI unit (or one, for a share)."""

    name: str
    per_si: float


NS, PS, SECONDS, PERCENT, ONE = (
    Unit("ns", 1e9),
    Unit("ps", 1e12),
    Unit("s", 1.0),
    Unit("%", 100.0),
    Unit("", 1.0),
)
HZ, KHZ, MHZ = Unit("Hz", 1.0), Unit("kHz", 1e-3), Unit("MHz", 1e-6)
NM, NW = Unit("nm", 1.0), Unit("nW", 1e9)
CPS, KCPS, MS = Unit("cps", 1.0), Unit("kcps", 1e-3), Unit("ms", 1e3)


def number(value: object) -> float | None:
    """``value`` as a float where it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def is_estimate(value: object) -> bool:
    """Whether ``value`` has the form of a number with its error (``value``, ``stderr``, ``ci68``, ``ci95``)."""
    return isinstance(value, Mapping) and "value" in value


def decimals_of(error: float, digits: int = ERROR_DIGITS) -> int:
    """Decimals at which ``error`` (> 0) has ``digits`` significant digits; negative for large ones."""
    # Through text, because rounding 0.0996 to two digits gives 0.10, a decimal less.
    exponent = int(f"{error:.{digits - 1}e}".partition("e")[2])
    return digits - 1 - exponent


def fixed(value: float, decimals: int) -> str:
    """``value`` with ``decimals`` decimals (rounded to tens, hundreds, ... where negative)."""
    rounded = round(value, decimals)
    text = f"{rounded:,.{max(0, decimals)}f}".replace(",", THIN)
    if text.startswith("-"):
        text = text[1:] if float(rounded) == 0 else MINUS + text[1:]
    return text


def plain(value: float, digits: int = PLAIN_DIGITS) -> str:
    """``value`` to at most ``digits`` significant digits, zeros at the end left out; whole numbers in full."""
    if value == 0:
        return "0"
    if value == int(value) and abs(value) < 1e15:
        return fixed(value, 0)
    if not 1e-4 <= abs(value) < 1e7:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{mantissa.replace('-', MINUS)}{NBSP}×{NBSP}10{str(int(exponent)).translate(_RAISED)}"
    text = fixed(value, max(0, decimals_of(abs(value), digits)))
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_unit(text: str, unit: Unit) -> str:
    """The text and the unit, kept together by a space that does not break."""
    return f"{text}{NBSP}{unit.name}" if unit.name else text


def plain_spaces(text: str) -> str:
    """``text`` for a terminal, which may show the spaces of a page as anything."""
    return text.translate(_SPACES)


def estimate_text(estimate: object, unit: Unit = ONE, *, without_error: str = NO_ERROR) -> str:
    """A number with its error, such as ``46.80 ± 0.21 ns``, or ``2.85 +0.13/−0.07 ns`` with a lopsided 68 % interval.

    Without a standard error half the 68 % interval serves; without either its ``reason``, or else ``without_error``,
    says why there is none. ``unknown`` where there is no number.
    """
    if not isinstance(estimate, Mapping):
        estimate = {"value": estimate}
    value, error = number(estimate.get("value")), number(estimate.get("stderr"))
    if value is None:
        return "unknown"
    low, high = _ends(estimate.get("ci68"))
    if low is not None and high is not None:
        down, up = value - low, high - value
        if 0 < LOPSIDED * min(down, up) < max(down, up):
            return _lopsided(value, up, down, unit)
        error = (high - low) / 2 if error is None else error
    if error is None or error <= 0:
        why = estimate.get("reason") or without_error
        return f"{with_unit(plain(value * unit.per_si), unit)} ({why})"
    decimals = decimals_of(error * unit.per_si)
    numbers = (fixed(x * unit.per_si, decimals) for x in (value, error))
    pair = f"{NBSP}{PLUS_MINUS}{NBSP}".join(numbers)
    return with_unit(pair, unit)


def _lopsided(value: float, up: float, down: float, unit: Unit) -> str:
    decimals = decimals_of(min(up, down) * unit.per_si)
    middle, plus, minus = (fixed(x * unit.per_si, decimals) for x in (value, up, down))
    return with_unit(f"{middle}{NBSP}+{plus}/{MINUS}{minus}", unit)


def interval_text(estimate: object, key: str = "ci95", unit: Unit = ONE) -> str:
    """An interval of an estimate, such as ``46.39 to 47.21``; an end that does not close is said so."""
    if not isinstance(estimate, Mapping):
        return ""
    ends = _ends(estimate.get(key))
    if ends == (None, None):
        return NO_LIMIT
    value = number(estimate.get("value"))
    arms = () if value is None else (abs(end - value) for end in ends if end is not None)
    # An error that is far larger than the interval is that of a fit whose curvature says nothing.
    scale = min((size for size in (number(estimate.get("stderr")), *arms) if size), default=None)
    if scale is None:
        # Limits alone: as if the width were the error, or a tenth of the one limit that there is.
        known = [end for end in ends if end is not None]
        scale = abs(known[-1] - known[0]) if len(known) == 2 else 0.1 * abs(known[0])
    decimals = decimals_of(scale * unit.per_si) if scale else 0
    low, high = (None if end is None else fixed(end * unit.per_si, decimals) for end in ends)
    if low is None:
        return f"below {high}"
    return f"above {low}" if high is None else f"{low} to {high}"


def interval_95(estimate: object, unit: Unit = ONE, *, share: bool = False) -> str:
    """The 95 % interval with its words, such as ``95 %: 46.39 to 47.21``; empty where there is nothing to make it of.

    While a run goes on only the standard error may be known: then ``95 % about``, as if errors were normal, but of a
    ``share`` between 0 and 1.
    """
    if not is_estimate(estimate):
        return ""
    assert isinstance(estimate, Mapping)
    if _ends(estimate.get("ci95")) != (None, None):
        return f"95 %: {interval_text(estimate, 'ci95', unit)}"
    value, error = number(estimate.get("value")), number(estimate.get("stderr"))
    if value is None or not error:
        return ""
    reach = Z95 * error
    ends = [value - reach, value + reach]
    if share:
        ends = [min(1.0, max(0.0, end)) for end in ends]
    return f"95 % about {interval_text({**estimate, 'ci95': ends}, 'ci95', unit)}"


def _ends(interval: object) -> tuple[float | None, float | None]:
    if isinstance(interval, Sequence) and not isinstance(interval, str) and len(interval) == 2:
        return number(interval[0]), number(interval[1])
    return None, None


def sentences(parts: Iterable[str]) -> str:
    """``parts`` one after the other, each with its full stop but the last."""
    *before, last = [*parts] or [""]
    return " ".join([*(part if part.endswith((".", "!", "?")) else f"{part}." for part in before), last])


def counted(value: object) -> str:
    """An exact whole number, such as a count of photons."""
    known = number(value)
    return "unknown" if known is None else fixed(known, 0)


def quantity(value: object, unit: Unit, digits: int = PLAIN_DIGITS) -> str:
    """A setting or an exact figure with its unit; ``unknown`` where there is none."""
    known = number(value)
    return "unknown" if known is None else with_unit(plain(known * unit.per_si, digits), unit)


# Endings of names that carry a unit, with the unit to show.
ENDINGS: Mapping[str, Unit] = {
    "_hz": Unit("Hz", 1.0),
    "_s": SECONDS,
    "_nm": Unit("nm", 1.0),
    "_um": Unit("µm", 1.0),
    "_w": Unit("nW", 1e9),
    "_ev": Unit("eV", 1.0),
    "_share": PERCENT,
}


def named_quantity(name: str) -> tuple[str, Unit]:
    """The words and the unit of a name such as ``irf_fwhm_s``."""
    for ending, unit in ENDINGS.items():
        if name.endswith(ending):
            stem = name if ending == "_share" else name.removesuffix(ending)
            return stem.replace("_", " "), unit
    return name.replace("_", " "), ONE
