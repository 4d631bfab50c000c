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
