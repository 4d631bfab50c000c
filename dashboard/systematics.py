"""What moves beta beside its statistical error, one row a cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row
from photonstream.dashboard.numbers import MINUS, PERCENT, PLUS_MINUS, number, quantity

_NOTHING = "no number"
WORDS = (
    "Signed: what the cause is expected to have added to beta; with ±: how far it may have moved it either way. "
    "Points of per cent, not part of the errors above unless it is said so."
)


def systematic_rows(run: RunFolder) -> Iterator[Row]:
    """Each cause with the part of beta (or eta) that it may be behind, and how that was found."""
    parts = run.summary.get("systematics")
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, Mapping):
            continue
        yield Row(
            f"{part.get('quantity')}: {part.get('source')}", _size(part), remark=str(part.get("how") or "")
        )


def _size(part: Mapping[str, object]) -> str:
    shift, sigma = number(part.get("shift")), number(part.get("sigma"))
    if shift is not None:
        sign = MINUS if shift < 0.0 else "+"
        return f"{sign}{quantity(abs(shift), PERCENT, 2)}" if shift else quantity(0.0, PERCENT)
    return _NOTHING if sigma is None else f"{PLUS_MINUS} {quantity(sigma, PERCENT, 2)}"
