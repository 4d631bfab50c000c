"""A number with what is known about its error."""

from __future__ import annotations

from dataclasses import dataclass

Interval = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its standard error and its 68 and 95 % intervals, all in the same unit.

    An error that was not computed is ``None``; a side of an interval that does not close is ``None``.
    """

    value: float
    stderr: float | None = None
    ci68: Interval | None = None
    ci95: Interval | None = None

    def below(self, most: float) -> Estimate:
        """The same with its intervals cut at ``most``."""
        return Estimate(self.value, self.stderr, _cut(self.ci68, most), _cut(self.ci95, most))


def _cut(interval: Interval | None, most: float) -> Interval | None:
    if interval is None:
        return None
    low, high = interval
    return low, None if high is None else min(high, most)
