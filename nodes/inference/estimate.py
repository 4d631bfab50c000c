"""A number with what is known about its error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Interval = tuple[float | None, float | None]
# Standard errors to either end of a 95 % interval of a normal distribution.
Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its standard error and its 68 and 95 % intervals, all in the same unit.

    An error that was not computed is ``None``; a side of an interval that does not close is ``None``. Where there are
    limits but no value is determined that is NaN.
    """

    value: float
    stderr: float | None = None
    ci68: Interval | None = None
    ci95: Interval | None = None

    def below(self, most: float) -> Estimate:
        """The same with its intervals cut at ``most``."""
        return Estimate(self.value, self.stderr, _cut(self.ci68, most), _cut(self.ci95, most))

    def times(self, factor: float) -> Estimate:
        """The same in another unit, by a positive ``factor`` without an error."""
        stderr = None if self.stderr is None else factor * self.stderr
        return Estimate(factor * self.value, stderr, _times(self.ci68, factor), _times(self.ci95, factor))


def _cut(interval: Interval | None, most: float) -> Interval | None:
    if interval is None:
        return None
    low, high = interval
    return low, None if high is None else min(high, most)


def _times(interval: Interval | None, factor: float) -> Interval | None:
    if interval is None:
        return None
    low, high = interval
    return None if low is None else factor * low, None if high is None else factor * high


def plain_number(value: float | None) -> float | None:
    """A number as result.json can hold it: what was not computed, or is not finite, is null."""
    return None if value is None or not math.isfinite(value) else float(value)


def plain_value(estimate: Estimate | None) -> dict[str, Any] | None:
    """An estimate as result.json writes it, {"value", "stderr", "ci68", "ci95"}; null where there is none.

    ``value`` alone is null where only limits are known.
    """
    if estimate is None or (not math.isfinite(estimate.value) and estimate.ci95 is None):
        return None
    ci68, ci95 = (
        None if interval is None else [plain_number(bound) for bound in interval]
        for interval in (estimate.ci68, estimate.ci95)
    )
    return {
        "value": plain_number(estimate.value),
        "stderr": plain_number(estimate.stderr),
        "ci68": ci68,
        "ci95": ci95,
    }
