"""One answer over several models: from the lowest to the highest end of their 95 % intervals.

Which of the models is true no decay says, so no value in between is more likely than another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from photonstream.nodes.inference.calibration_data import Way
from photonstream.nodes.inference.estimate import Z95, Estimate, Interval


@dataclass(frozen=True, slots=True)
class Span:
    """The union of the 95 % intervals by the ``models`` named; a side that does not close is None."""

    low: float | None
    high: float | None
    models: tuple[str, ...]


def span(estimates: Mapping[str, Estimate | None]) -> Span | None:
    """Over the models that have an estimate with an error; None where none has."""
    found = {name: ends for name, each in estimates.items() if (ends := _interval(each)) is not None}
    if not found:
        return None
    lows, highs = zip(*found.values(), strict=True)
    return Span(_extreme(lows, -1.0), _extreme(highs, 1.0), tuple(found))


def spans(ways: Mapping[str, Way]) -> dict[str, Span | list[Span | None] | None]:
    """Of every figure of one way of calibrating, by its name; ``mean_n`` one a run."""
    single = {
        key: span({name: getattr(way, key) for name, way in ways.items()})
        for key in ("s", "scale", "beta", "eta")
    }
    runs = max((len(way.mean_n) for way in ways.values()), default=0)
    means = [
        span({name: way.mean_n[k] if k < len(way.mean_n) else None for name, way in ways.items()})
        for k in range(runs)
    ]
    return {**single, "mean_n": means}


def _interval(estimate: Estimate | None) -> Interval | None:
    if estimate is None:
        return None
    if estimate.ci95 is not None:
        return estimate.ci95
    if estimate.stderr is None:
        return None
    return estimate.value - Z95 * estimate.stderr, estimate.value + Z95 * estimate.stderr


def _extreme(ends: Sequence[float | None], sign: float) -> float | None:
    known = [sign * end for end in ends if end is not None]
    return sign * max(known) if len(known) == len(ends) else None
