"""What moves beta and the lifetimes beside their statistical errors, one row a cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row
from photonstream.dashboard.numbers import MINUS, NS, PERCENT, PLUS_MINUS, number, quantity

_NOTHING = "no number"
WORDS = (
    "Signed: what the cause is expected to have added; with ±: how far it may have moved it either way. "
    "Beta and eta in points of per cent; not part of the errors above unless it is said so."
)


def systematic_rows(run: RunFolder) -> Iterator[Row]:
    """Each cause with the part of beta (or eta, or tau_xx) that it may be behind, and how that was found."""
    parts = run.summary.get("systematics")
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, Mapping):
            continue
        name = str(part.get("quantity")).removesuffix("_s")
        yield Row(f"{name}: {part.get('source')}", _size(part), remark=str(part.get("how") or ""))


def _size(part: Mapping[str, object]) -> str:
    unit = NS if str(part.get("quantity")).endswith("_s") else PERCENT
    shift, sigma = number(part.get("shift")), number(part.get("sigma"))
    words = []
    if shift is not None:
        sign = MINUS if shift < 0.0 else "+"
        words.append(f"{sign}{quantity(abs(shift), unit, 2)}" if shift else quantity(0.0, unit))
    if sigma is not None:
        words.append(f"{PLUS_MINUS} {quantity(sigma, unit, 2)}")
    return " ".join(words) or _NOTHING
