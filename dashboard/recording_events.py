"""Events of a recording as a reader meets them: where the trace has gaps, and a table of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import grid_table
from photonstream.dashboard.numbers import SECONDS, counted, number, quantity
from photonstream.nodes.recording_events import GAP, NOTE

# Rows of the table; result.json has more.
MOST_ROWS = 100


def gap_spans(events: object) -> list[tuple[float, float]]:
    """First and last second of every gap whose place is known; both are the same where its length is not."""
    spans = []
    for event in _maps(events):
        start_s, lost_s = number(event.get("time_s")), number(event.get("lost_s")) or 0.0
        if event.get("kind") == GAP and start_s is not None:
            spans.append((start_s, start_s + max(0.0, lost_s)))
    return spans


def note_marks(events: object, said: object) -> list[tuple[float, str]]:
    """Second and text of every note whose place is known: of the recording's ``events``, and ``said`` to this run.

    One that stands beside the recording already is not repeated.
    """
    kept = [event for event in _maps(events) if event.get("kind") == NOTE]
    texts = {event.get("text") for event in kept}
    notes = [*kept, *(note for note in _maps(said) if note.get("text") not in texts)]
    places = ((number(note.get("time_s")), str(note.get("text", ""))) for note in notes)
    return [(time_s, text) for time_s, text in places if time_s is not None]


def events_table(run: RunFolder) -> str:
    """When each event was and what it was; nothing where there are none."""
    events = list(_maps(run.summary.get("recording_events")))
    rows = [
        (
            quantity(event.get("time_s"), SECONDS, 6),
            event.get("kind", "unknown"),
            event.get("cause") or "",
            _lost(event) if event.get("kind") == GAP else "",
            event.get("text", ""),
        )
        for event in events[:MOST_ROWS]
    ]
    more = (
        f"<p>{counted(len(events) - MOST_ROWS)} more in result.json.</p>" if len(events) > MOST_ROWS else ""
    )
    return grid_table(("time", "kind", "cause", "lost", "what"), rows) + more if rows else ""


def _lost(event: Mapping[str, Any]) -> str:
    lost_s, records = number(event.get("lost_s")), number(event.get("lost_records"))
    parts = [] if lost_s is None else [quantity(lost_s, SECONDS, 3)]
    parts += [] if records is None else [f"{counted(records)} records"]
    return ", ".join(parts) or "unknown"


def _maps(values: object) -> Iterable[Mapping[str, Any]]:
    return [each for each in values if isinstance(each, Mapping)] if isinstance(values, list | tuple) else []
