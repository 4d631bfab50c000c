"""How late a run in step with time was, in words: from a record found in the file to each place on its way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonstream.stream.latency import figures

MINUTE, RUN = "minute", "run"
DECODED, HISTOGRAM, RESULT, PAGE = "decoded", "histogram", "result", "page"
# Where on the line a record has arrived: in what is said of which node.
_PLACES = {
    DECODED: ("taken", "decode"),
    HISTOGRAM: ("taken", "decay"),
    RESULT: ("published", "lifetime"),
}


def delays_of(latency: Any, page: Mapping[str, Any] | None = None) -> dict[str, Mapping[str, Any]]:
    """What is known of each place, in the order of the way; ``latency`` as the status of the run has it."""
    found: dict[str, Any] = {}
    said = latency if isinstance(latency, Mapping) else {}
    for place, (kind, node) in _PLACES.items():
        of = said.get(kind)
        found[place] = of.get(node) if isinstance(of, Mapping) else None
    found[PAGE] = page
    return {
        place: value for place, value in found.items() if isinstance(value, Mapping) and figures(value, RUN)
    }


def health_phrase(delays: Mapping[str, Mapping[str, Any]], *, running: bool) -> str:
    """How late the page is, or the result where no page has told yet: of the last minute, of a run that goes on."""
    for place in (PAGE, RESULT):
        found = figures(delays.get(place), MINUTE)
        if running and found is not None:
            return f"record to {place} {_both(found)}"
    return ""


def delay_words(delays: Mapping[str, Mapping[str, Any]], of: str = RUN) -> str:
    """Every place with its median and 99 % point; empty where nothing is known."""
    words = (f"{place} {_both(found)}" for place, value in delays.items() if (found := figures(value, of)))
    joined = ", ".join(words)
    return f"record to {joined}" if joined else ""


def _both(found: Mapping[str, Any]) -> str:
    return f"{_time(found['median_s'])} (99 %: {_time(found['p99_s'])})"


def _time(seconds: float) -> str:
    """Two digits, in the unit that they suit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        value = seconds * scale
        if value >= 0.95 or unit == "ms":
            break
    rounded = float(f"{value:.2g}")
    return f"{rounded:.0f} {unit}" if rounded >= 10 else f"{rounded:.1f} {unit}"
