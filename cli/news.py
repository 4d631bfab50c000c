"""What happens to a recording while it is read, said once on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photonstream.nodes.recording_events import GAP, NOTE, STOP
from photonstream.nodes.tag_source import EVENTS
from photonstream.stream.runner import Progress

# Kinds of events that are said; of how the device is only what the recorder warns of.
_SAID = frozenset({GAP, NOTE, STOP})


class News:
    """Remembers what was said."""

    def __init__(self) -> None:
        self._said: set[Any] = set()
        self._warnings: set[str] = set()

    def of(self, progress: Progress) -> Iterator[str]:
        """The sentences that are new."""
        for note in progress.notes:
            if self._new(note):
                yield note
        for (_, key), result in progress.results.items():
            if key == EVENTS:
                yield from self._warned(result.value.get("status"))
                for event in result.value["events"]:
                    known = event["kind"] != GAP or event["time_s"] is not None
                    if event["kind"] in _SAID and known and self._new((event["record"], event["text"])):
                        yield event_sentence(event)

    def _warned(self, status: Any) -> Iterator[str]:
        """What the recorder warns of now and did not before; what was over and comes back is said again."""
        if status is None:
            return
        warnings = [str(each) for each in status.get("warnings") or ()]
        yield from (f"warning: {each}" for each in warnings if each not in self._warnings)
        self._warnings = set(warnings)

    def _new(self, what: Any) -> bool:
        new = what not in self._said
        self._said.add(what)
        return new


def event_sentence(event: Mapping[str, Any]) -> str:
    """One event in a line: what, when, and why."""
    time_s, cause = event.get("time_s"), event.get("cause")
    when = f" at {time_s:.3f} s" if time_s is not None else ""
    why = f" ({cause})" if isinstance(cause, str) and cause else ""
    return f"{event['kind']}{when}{why}: {event['text']}"
