"""What a page knows of a run: the newest result of every key, the trace, and how it stands with the link."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from photonstream.dashboard.tiles import TraceTiles, count_ranges
from photonstream.nodes.inference.levels import window_ranges
from photonstream.nodes.inference.rows import HIDDEN_MARKOV
from photonstream.stream.latency import CLOCK, newest
from photonstream.stream.node import LEDGER, PROGRESS
from photonstream.stream.wire import Close, Message, Open, ResultSent

# A run that says nothing and answers nothing for so long cannot be heard.
SILENT_S = 3.0
RUN, STATUS, TRACE, TILE, STATE_TILE, FINE_TILE = "run", "status", "trace", "trace/", "states/", "fine/"

Link = Literal["waiting", "connected", "silent", "ended"]
# The on window as it is asked for: rates in Hz, None for an open end; or "auto".
Window = tuple[float, float | None] | str


@dataclass(frozen=True)
class Known:
    """A result: its value, whether it is the last of its epoch, and a number that rises with each newer one."""

    value: Mapping[str, Any]
    final: bool
    revision: int


@dataclass
class _Shown:
    """Everything of one public epoch."""

    opening: Open
    results: dict[tuple[str, str], Known] = field(default_factory=dict)
    tiles: TraceTiles = field(default_factory=TraceTiles)
    tiles_revision: int = 0
    # Of the newest photon in the trace (`Result.stamp`).
    stamp: int | None = None


class Latest:
    """The newest results of a run, from the messages of its link.

    A new opening replaces all that was known, at the moment when the run first says how it is in the new epoch: that
    comes after its results, so a page never goes empty between the two. ``refused`` counts results that were none.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._revision = 0
        self._shown: _Shown | None = None
        self._coming: _Shown | None = None
        self._heard_s: float | None = None
        self._closed = False
        # When the recording ends, once it was read to its end; by run.
        self._end_s: float | None = None

    def hear(self, message: Message, now_s: float) -> None:
        """Take a message of the link; ``now_s`` is a steady clock."""
        self._heard_s = now_s
        if isinstance(message, Open):
            self._closed = False
            self._coming = _Shown(message)
            if self._shown is None or self._shown.opening.run != message.run:
                self._end_s = None
            if self._shown is None or not self._shown.results:
                self._show()
        elif isinstance(message, ResultSent):
            self._closed = False
            self._take(message)
        elif isinstance(message, Close):
            self._show()
            self._closed = True

    def alive(self, now_s: float) -> None:
        """The run has answered, by whatever way."""
        self._heard_s = now_s

    @property
    def heard_s(self) -> float | None:
        """When the run was heard last."""
        return self._heard_s

    def _show(self) -> None:
        if self._coming is not None:
            self._shown, self._coming = self._coming, None
            self._revision += 1

    def _take(self, message: ResultSent) -> None:
        into = self._coming or self._shown
        if into is None:
            return
        self._revision += 1
        kind = message.key[: message.key.find("/") + 1]
        tiles = into.tiles
        takers = {TILE: tiles.take, STATE_TILE: tiles.take_states, FINE_TILE: tiles.fine.take}
        if kind in takers:
            of_trace = kind == TILE
            try:
                takers[kind](message.value)
            except (KeyError, TypeError, ValueError, OverflowError):
                self.refused += 1
                return
            into.tiles_revision = self._revision
            if of_trace:
                into.stamp = newest(into.stamp, message.stamp)
            return
        into.results[message.node, message.key] = Known(message.value, message.final, self._revision)
        if message.key == "selection":
            self._select(into, message.value)
        if (message.node, message.key) == (RUN, STATUS):
            self._show()
        self._note_end()

    def _select(self, into: _Shown, selection: Mapping[str, Any]) -> None:
        try:
            if selection.get("method") == HIDDEN_MARKOV:
                into.tiles.select_states(selection["on_states"])
            else:
                into.tiles.select(count_ranges(selection["on_levels"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            self.refused += 1
            return
        into.tiles_revision = self._revision

    def _note_end(self) -> None:
        share, reached_s = self.read_share, self.reached_s
        decoded = self.known("decode", "counts")
        if share == 1.0 and reached_s is not None and decoded is not None and decoded.final:
            self._end_s = reached_s

    # What is known

    @property
    def opening(self) -> Open | None:
        """What the run said of itself when it began, None before it did."""
        return self._shown.opening if self._shown is not None else None

    @property
    def tiles(self) -> TraceTiles:
        """The trace."""
        return self._shown.tiles if self._shown is not None else TraceTiles()

    def known(self, node: str, key: str) -> Known | None:
        """The newest result of this key."""
        return None if self._shown is None else self._shown.results.get((node, key))

    def final(self, node: str, key: str) -> bool:
        """Whether the newest result of this key is the last of its epoch: nothing is to come any more."""
        found = self.known(node, key)
        return found is not None and found.final

    def value(self, node: str, key: str) -> Mapping[str, Any]:
        """The value of the newest result of this key; empty where there is none."""
        found = self.known(node, key)
        return {} if found is None else found.value

    def named(self, key: str) -> dict[str, Mapping[str, Any]]:
        """The newest values of this key by node, in the order in which the nodes first gave one."""
        results = {} if self._shown is None else self._shown.results
        return {node: known.value for (node, of), known in results.items() if of == key}

    def revisions(self, *keys: tuple[str, str]) -> Hashable:
        """Something that differs from what it was when any of these results, or the epoch, is another one.

        ("intensity", "trace/") stands for all tiles and the selection of bins.
        """
        if self._shown is None:
            return None
        found = []
        for node, key in keys:
            if key == TILE:
                found.append(self._shown.tiles_revision)
            else:
                known = self._shown.results.get((node, key))
                found.append(-1 if known is None else known.revision)
        opening = self._shown.opening
        return (opening.run, opening.epoch, *found)

    @property
    def revision(self) -> int:
        """Rises with whatever changes."""
        return self._revision

    def link(self, now_s: float) -> Link:
        """How it stands with the run: never heard, heard of late, silent for too long, or at its end."""
        if self._heard_s is None:
            return "waiting"
        if self._closed:
            return "ended"
        return "connected" if now_s - self._heard_s < SILENT_S else "silent"

    @property
    def stamp(self) -> int | None:
        """The stamp of the newest photon in the trace; None without one, or where it is of another machine's clock."""
        latency = self.value(RUN, STATUS).get("latency")
        same = isinstance(latency, Mapping) and latency.get("clock") == CLOCK
        return self._shown.stamp if same and self._shown is not None else None

    @property
    def bin_s(self) -> float:
        """Width of the trace's bins, 0 where there are none yet."""
        return self.tiles.bin_s

    @property
    def reached_s(self) -> float | None:
        """Recorded time that the source has reached; as far as it is decoded where the source does not know it."""
        of_source = _finite(next(iter(self.named(PROGRESS).values()), {}).get("time_s"))
        return (
            of_source if of_source is not None else _finite(self.value("decode", "counts").get("duration_s"))
        )

    @property
    def declared(self) -> int | None:
        """How many records the file's header declares, where the file holds fewer; else None."""
        declared = _finite(next(iter(self.named(PROGRESS).values()), {}).get("declared"))
        return None if declared is None else int(declared)

    @property
    def read_share(self) -> float | None:
        """Share of the records that were read, None where their number is not known."""
        progress = next(iter(self.named(PROGRESS).values()), {})
        records, total = _finite(progress.get("records")), _finite(progress.get("total"))
        return None if records is None or not total else min(1.0, records / total)

    @property
    def end_s(self) -> tuple[float, bool] | None:
        """When the recording ends, and whether that is exact: it is once it was read to its end.

        Before, from the records that are left, as if they came at the same rate.
        """
        if self._end_s is not None:
            return self._end_s, True
        share, reached_s = self.read_share, self.reached_s
        return (reached_s / share, False) if share and reached_s else None

    @property
    def asked_window(self) -> Window | None:
        """The on window that the run was last told, None where it does not say."""
        parameters = self.value(RUN, STATUS).get("parameters")
        states = parameters.get("states") if isinstance(parameters, Mapping) else None
        if not isinstance(states, Mapping):
            return None
        return as_window(states.get("on", "auto"))

    def answers(self, window: Window) -> bool:
        """Whether the present selection is the one that ``window`` makes."""
        selection, bin_s = self.value("states", "selection"), self.bin_s
        by_hand = selection.get("method") != HIDDEN_MARKOV and selection.get("chosen") == "given"
        if isinstance(window, str):
            return not by_hand
        on = selection.get("on_levels")
        if on is None or not bin_s or not by_hand:
            return False
        low, high = window
        ranges = window_ranges(low * bin_s, (math.inf if high is None else high) * bin_s, len(on))
        wanted = [level for r in ranges if r.on for level in range(r.low, r.high)]
        return wanted == [k for k, each in enumerate(on) if each]

    @property
    def ledger(self) -> dict[str, Mapping[str, Any]]:
        """The account of every node: the final one, or as it said last."""
        lines = {
            n: s["ledger"] for n, s in self.named(STATUS).items() if isinstance(s.get("ledger"), Mapping)
        }
        return lines | self.named(LEDGER)


def as_window(value: Any) -> Window | None:
    """A window from what came as one: "auto", or two rates in Hz, the upper one perhaps infinite."""
    if value == "auto":
        return "auto"
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = _finite(value[0]), _finite(value[1])
    return None if low is None else (low, high)


def _finite(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None
