"""A number with what is known about its error."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

Interval = tuple[float | None, float | None]
# Why an estimate has no error: its parameter stands at the end of what the model allows, or its variance says nothing.
AT_END = "at the end of its range"
UNDETERMINED = "not determined by the data"
GIVEN = "given"
# Standard errors to either end of a 95 % interval of a normal distribution.
Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its standard error and its 68 and 95 % intervals, all in the same unit.

    An error that was not computed is ``None``, and ``reason`` says why; a side of an interval that does not close is
    ``None``. Where there are limits but no value is determined that is NaN.
    """

    value: float
    stderr: float | None = None
    ci68: Interval | None = None
    ci95: Interval | None = None
    reason: str = ""

    def below(self, most: float) -> Estimate:
        """The same with its intervals cut at ``most``."""
        return replace(self, ci68=_cut(self.ci68, most), ci95=_cut(self.ci95, most))

    def carried(self, value: float, slope: float, extra: float) -> Estimate:
        """The estimate of ``value``, a function of this one with that positive ``slope``.

        A further standard deviation ``extra`` of it is added in quadrature.
        """
        return replace(
            self,
            value=value,
            stderr=None if self.stderr is None else math.hypot(slope * self.stderr, extra),
            ci68=_carried(self.ci68, self.value, value, slope, extra),
            ci95=_carried(self.ci95, self.value, value, slope, Z95 * extra),
        )

    def times(self, factor: float) -> Estimate:
        """The same in another unit, by a positive ``factor`` without an error."""
        stderr = None if self.stderr is None else factor * self.stderr
        ci68, ci95 = _times(self.ci68, factor), _times(self.ci95, factor)
        return replace(self, value=factor * self.value, stderr=stderr, ci68=ci68, ci95=ci95)


def _carried(
    interval: Interval | None, old: float, new: float, slope: float, extra: float
) -> Interval | None:
    if interval is None:
        return None
    low, high = (None if end is None else math.hypot(slope * (end - old), extra) for end in interval)
    return None if low is None else new - low, None if high is None else new + high


def from_variance(value: float, variance: float, most: float = math.inf) -> Estimate:
    """``value`` with the root of its ``variance``, or the reason why it has no error.

    One larger than ``most``, such as a share's above 1, is none: the curvature says nothing of the figure then.
    """
    if not variance > 0.0:
        return Estimate(value, reason=AT_END)
    error = math.sqrt(variance)
    return Estimate(value, error) if error <= most else Estimate(value, reason=UNDETERMINED)


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

    ``value`` alone is null where only limits are known. One without a standard error has the ``reason`` too.
    """
    if estimate is None or (not math.isfinite(estimate.value) and estimate.ci95 is None):
        return None
    ci68, ci95 = (
        None if interval is None else [plain_number(bound) for bound in interval]
        for interval in (estimate.ci68, estimate.ci95)
    )
    plain = {
        "value": plain_number(estimate.value),
        "stderr": plain_number(estimate.stderr),
        "ci68": ci68,
        "ci95": ci95,
    }
    return (
        plain if plain["stderr"] is not None or not estimate.reason else plain | {"reason": estimate.reason}
    )
