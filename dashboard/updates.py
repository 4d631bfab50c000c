"""What the tabs are sent: every section of the page is computed once for all of them, and packed once.

An update travels as bytes: for each section its length, the length of its JSON (both uint32, little-endian), the JSON,
the arrays. In the JSON ``{"array": [offset, length, type]}`` stands for an array of the bytes that follow it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from photonstream.dashboard.controls import controls_view
from photonstream.dashboard.latest import RUN, STATUS, TILE, TRACE, Latest, Window
from photonstream.dashboard.live_dwell import dwell_view
from photonstream.dashboard.live_pairs import pairs_view
from photonstream.dashboard.live_panels import (
    Update,
    decay_view,
    flid_view,
    histogram_view,
    history_view,
)
from photonstream.dashboard.live_trace import Part, notes_view, trace_view
from photonstream.dashboard.live_words import numbers_view, status_view, window_view
from photonstream.dashboard.strip import strip_view
from photonstream.stream.latency import Latency

_SOURCE, _EVENTS = ("source", "progress"), ("source", "events")
_TRACE, _BINS = ("intensity", TILE), ("intensity", TRACE)
_SELECTION = ("states", "selection")
_FIT = ("lifetime", "fit")


@dataclass(frozen=True)
class Section:
    """A part of the page: how it is made, of which results, and how often at most, to within half a beat."""

    make: Callable[[Latest], Update]
    of: tuple[tuple[str, str], ...]
    every_s: float
    # The element that tells a failure.
    place: str


# The page is made anew at a beat, at most ten times a second on average: when a newer trace arrives, be it a little
# early. That comes about twenty times a second; where none comes, the beat waits for it no longer than this.
BEAT_S = 0.1
EARLY_S = 0.02
# What a browser has not drawn for so long stood on a page that was hidden.
HIDDEN_S = 10.0
PATIENCE_S = 0.1

# Trace and decay are what a person watches; the others may lag, since the cost for the browser is in each change.
SECTIONS: Mapping[str, Section] = {
    "trace": Section(trace_view, (_TRACE, _BINS, _SOURCE, _EVENTS), 0.1, "say-trace"),
    "notes": Section(notes_view, (_EVENTS, (RUN, STATUS)), 0.2, "say-trace"),
    "histogram": Section(histogram_view, (_TRACE, _BINS), 0.2, "say-histogram"),
    "flid": Section(flid_view, (("states", "flid"), _BINS, _FIT), 0.5, "say-flid"),
    "decay": Section(decay_view, (("lifetime", "decay"), _FIT), 0.2, "say-decay"),
    "history": Section(history_view, (("lifetime", "history"), _FIT), 0.2, "say-tau_x_s"),
    "numbers": Section(
        numbers_view,
        (_FIT, _SELECTION, ("decode", "counts"), (RUN, STATUS)),
        0.2,
        "reason",
    ),
    "strip": Section(
        strip_view,
        (_FIT, _SELECTION, ("decode", "counts"), _EVENTS, (RUN, STATUS)),
        0.2,
        "verdict",
    ),
    "controls": Section(controls_view, ((RUN, STATUS),), 0.2, "notice"),
    "pairs": Section(pairs_view, (("antibunching", "pairs"), _SELECTION, _FIT), 1.0, "say-pairs"),
    "dwell": Section(dwell_view, (("states", "dwell"), _SELECTION), 1.0, "say-dwell"),
}


# What a browser that is slow takes in turns, beside the trace and what a person acts by.
TURNS: tuple[tuple[str, ...], ...] = (
    ("decay",),
    ("history",),
    ("numbers", "strip"),
    ("histogram",),
    ("flid",),
    ("pairs",),
    ("dwell",),
)


@dataclass
class _Made:
    """A section as it was last made; ``version`` rises when its bytes differ."""

    of: Hashable = None
    at_s: float = float("-inf")
    version: int = 0
    packed: bytes = b""


class Updates:
    """The sections of the page, as the tabs want them."""

    def __init__(self, latest: Latest, address: str) -> None:
        self.latest = latest
        # The window that a page asked for and the run has not confirmed.
        self.wish: Window | None = None
        self._address = address
        # Of what the sections show.
        self.epoch: Hashable = None
        self._made = {name: _Made() for name in (*SECTIONS, "window", "status")}
        self._due_s = float("-inf")
        # How late a trace is when a browser says that it has drawn it, and the stamp of the trace as it was made.
        self.latency = Latency()
        self._stamp: int | None = None
        # The bins of the trace when it was last looked at.
        self._bins = 0

    def refresh(self, now_s: float) -> None:
        """Make anew what has changed, each section no more often than it is wanted."""
        self._make("window", "window-note", lambda: window_view(self.latest, self.wish))
        if not self._beats(now_s):
            return
        opening = self.latest.opening
        epoch = None if opening is None else (opening.run, opening.epoch)
        # Results of two epochs do not stand beside each other.
        anew, self.epoch = epoch != self.epoch, epoch
        for name, section in SECTIONS.items():
            of = self.latest.revisions(*section.of)
            made = self._made[name]
            late = anew or now_s - made.at_s > section.every_s - 0.5 * BEAT_S
            if not made.version or (of != made.of and late):
                made.of, made.at_s = of, now_s
                if name == "trace":
                    self._stamp = self.latest.stamp
                self._make(name, section.place, partial(section.make, self.latest))
        latency = self.latency.value(round(now_s * 1e9))
        self._make("status", "state", lambda: status_view(self.latest, now_s, self._address, latency))

    def _beats(self, now_s: float) -> bool:
        bins = self.latest.tiles.bins
        arrived, self._bins = bins != self._bins, bins
        if now_s < self._due_s + (-EARLY_S if arrived else PATIENCE_S):
            return False
        # A beat that was late does not delay the next one, unless it was very late.
        self._due_s = max(self._due_s, now_s - 0.5 * BEAT_S) + BEAT_S
        return True

    def _make(self, name: str, place: str, make: Callable[[], Update]) -> None:
        made = self._made[name]
        packed = attempt(make, place)
        if packed != made.packed:
            made.packed, made.version = packed, made.version + 1

    @property
    def stamp(self) -> int | None:
        """Of the newest photon in the trace that tabs are sent."""
        return self._stamp

    def drawn(self, stamp: int | None, now: int) -> None:
        """A browser says that it has drawn the trace with this stamp."""
        # The browser draws nothing of a page that nobody sees, and tells so much later.
        if stamp is not None and now - stamp < HIDDEN_S * 1e9:
            self.latency.note(stamp, now)

    @property
    def at_rest(self) -> bool:
        """Whether the run stands: paused, or at its end."""
        return self.latest.value(RUN, STATUS).get("state") not in (None, "running")

    def known(self, seen: Mapping[str, int]) -> bool:
        """Whether a tab that has ``seen`` these versions of the sections has the newest of each."""
        return not any(self.newer(seen, name) for name in self._made)

    def newer(self, seen: Mapping[str, int], name: str) -> bool:
        """Whether there is a newer section of this ``name`` than a tab has ``seen``."""
        return seen.get(name) != self._made[name].version

    def news(self, seen: dict[str, int], part_s: Part, later: Collection[str] = ()) -> list[bytes]:
        """The sections that are newer than what a tab has ``seen``, which is brought up to date, but for those that it
        is sent ``later``.

        ``part_s``: what the tab shows of the trace.
        """
        found = []
        for name, made in self._made.items():
            if name not in later and self.newer(seen, name):
                seen[name] = made.version
                zoomed = name == "trace" and part_s is not None
                found.append(
                    attempt(lambda: trace_view(self.latest, part_s), "say-trace") if zoomed else made.packed
                )
        return found


def attempt(make: Callable[[], Update], place: str) -> bytes:
    """The packed update, or one that says on the page what went wrong: no result may end the server."""
    try:
        return pack(make())
    except Exception as error:
        return pack({"text": {place: f"This cannot be shown: {type(error).__name__}: {error}"}})


def pack(update: Mapping[str, Any]) -> bytes:
    """One section as bytes. Numbers that are not finite stand in arrays only."""
    arrays: list[bytes] = []
    references: dict[int, dict[str, list[Any]]] = {}
    offset = 0

    def refer(value: Any) -> Any:
        nonlocal offset
        if isinstance(value, np.ndarray):
            # One that stands in several places travels once. All are alive meanwhile, so none has another's identity.
            if id(value) not in references:
                short = value.dtype == np.float32
                plain = np.ascontiguousarray(
                    value, "<f4" if short else "<f8" if value.dtype.kind == "f" else "<i4"
                )
                arrays.append(plain.tobytes())
                references[id(value)] = {"array": [offset, plain.size, plain.dtype.str[1:]]}
                offset += plain.nbytes
            return references[id(value)]
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"{type(value).__name__} is not for a page")

    header = json.dumps(update, default=refer, allow_nan=False).encode()
    body = b"".join(arrays)
    return struct.pack("<II", len(header) + len(body), len(header)) + header + body
