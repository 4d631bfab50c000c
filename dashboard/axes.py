"""Ends of axes that stay where they are while the data grow, and then move in one step."""

from __future__ import annotations

import math

# Mantissas of round numbers: an axis that ends at one of them is filled to five sixths or more.
_ROUND = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8, 3.2, 3.6, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
_ROUND_LOG = (1.0, 2.0, 5.0, 10.0)


def round_above(value: float) -> float:
    """The smallest round number that is not below ``value`` (> 0)."""
    return _above(value, _ROUND)


def log_ends(low: float, high: float) -> tuple[float, float]:
    """Ends at 1, 2 or 5 times a power of ten around ``low`` to ``high`` (> 0) on a logarithmic axis."""
    top = _above(high, _ROUND_LOG)
    bottom = 1.0 / _above(1.0 / low, _ROUND_LOG)
    return (bottom, top) if bottom < top else (bottom, 10.0 * bottom)


def linear_ends(low: float, high: float) -> tuple[float, float]:
    """Ends around ``low`` to ``high`` at multiples of a round step, of which there are three to eight between them."""
    if not high > low:
        pad = abs(high) or 1.0
        low, high = low - 0.5 * pad, high + 0.5 * pad
    step = _above((high - low) / 6.0, _ROUND_LOG)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _above(value: float, mantissas: tuple[float, ...]) -> float:
    exponent = math.floor(math.log10(value))
    scale = 10.0**exponent
    # A number that is round but for its last bit stays what it is.
    return next(m * scale for m in mantissas if m * scale >= value * (1 - 1e-9))
