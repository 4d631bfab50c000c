"""What a run knows of its nodes: the newest results of all of them, and what of these is shown.

The hub reads the results of every node and publishes them again at one address. While a new epoch has not come as far
as the one before had, the results of that one stay there; then those of the new epoch take their place, all at once.
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from photonstream.stream.chunk import Result
from photonstream.stream.latency import CLOCK, Latency, figures, stamp_now
from photonstream.stream.link import RESULTS_WINDOW, Context, LatestWriter, LinkReader, Waiter
from photonstream.stream.loop import CLOCK_FACT, STATUS, opening_of
from photonstream.stream.node import CHOICE, LEDGER, PROGRESS, Opening
from photonstream.stream.places import Places
from photonstream.stream.wire import Close, Message, Open, ResultSent, WireError

# Who reads the results of every node on behalf of the run.
HUB = "run"
# Somebody who goes back to a place sees it when the new epoch is so close to it.
SHORT_S = 0.2
# So long nodes are waited for that are behind the source of a new epoch.
LATE_S = 2.0
_NOT_PROPER = frozenset({STATUS, PROGRESS, LEDGER})

Key = tuple[str, str]


@dataclass
class _Known:
    """One node: its stream of results in the present epoch."""

    reader: LinkReader
    epoch: int = -1
    final_version: int | None = None
    status: Mapping[str, Any] = field(default_factory=dict)
    choice: Result | None = None


class Hub:
    """Newest results by (node, key): ``fresh`` of the present epoch, ``shown`` what is published.

    ``inner`` are the (node, key) that are for other nodes only and not published.
    """

    def __init__(
        self,
        context: Context,
        places: Places,
        nodes: Collection[str],
        public: LatestWriter,
        inner: Collection[Key],
    ) -> None:
        self.fresh: dict[Key, Result] = {}
        self.shown: Mapping[Key, Result] = self.fresh
        self.epoch = 0
        self._until_s: float | None = None
        # Since when the source of a new epoch is as far as what is shown, and who has spoken since all have that.
        self._as_far_s: float | None = None
        self._spoken: set[str] | None = None
        self._refused = 0
        self._same_clock = False
        # How late the results of each node are when they are published here.
        self._latency: defaultdict[str, Latency] = defaultdict(Latency)
        # The first node in the line.
        self._source = next(iter(nodes), None)
        self._public = public
        self._inner = frozenset(inner)
        self._opening: Open | None = None
        self._stack = ExitStack()
        self._known: dict[str, _Known] = {}
        for name in nodes:
            reader = LinkReader(context, places.results(name), HUB, RESULTS_WINDOW)
            self._stack.callback(reader.stop)
            self._known[name] = _Known(reader)

    def watch(self, waiter: Waiter) -> None:
        """Let ``waiter`` wake up for every node."""
        for known in self._known.values():
            waiter.watch(known.reader.socket)

    @property
    def opening(self) -> Opening:
        """What the source has said of the recording when the newest epoch began of which it is known."""
        assert self._opening is not None
        return opening_of(self._opening)

    @property
    def catching_up(self) -> bool:
        """Whether what is shown is of an earlier epoch."""
        return self.shown is not self.fresh

    @property
    def missing(self) -> list[str]:
        """Nodes that have not begun the present epoch."""
        return [name for name, known in self._known.items() if known.epoch != self.epoch]

    @property
    def events(self) -> int:
        """How far the run has come: what the source has given, in this epoch or in the one that it has to reach."""
        fresh, shown = (int(progress(results).get("records", 0)) for results in (self.fresh, self.shown))
        return fresh if self._until_s is not None else max(fresh, shown)

    @property
    def all_given(self) -> bool:
        """Whether the source has given all that there is."""
        said = progress(self.fresh)
        return "total" in said and said.get("records") == said["total"]

    def final_under(self, version: int) -> bool:
        """Whether every node has given its final results of this epoch under the orders of ``version``."""
        return all(k.epoch == self.epoch and k.final_version == version for k in self._known.values())

    def statuses(self) -> dict[str, Mapping[str, Any]]:
        """How each node was when it last said so in this epoch."""
        return {name: known.status for name, known in self._known.items()}

    def latencies(self) -> dict[str, Any]:
        """How late each node is with what it takes, as it said last, and how late its results are published."""
        now = stamp_now()
        taken = {
            name: value for name, s in self.statuses().items() if figures(value := s.get("latency"), "run")
        }
        published = {name: latency.value(now) for name, latency in self._latency.items()}
        return {
            "clock": CLOCK if self._same_clock else None,
            "taken": taken,
            "published": {name: value for name, value in published.items() if figures(value, "run")},
        }

    def choices(self) -> dict[str, Result]:
        """What nodes have learned in this epoch, by node."""
        return {name: k.choice for name, k in self._known.items() if k.choice is not None}

    @property
    def refused(self) -> int:
        """Messages that were refused at the sockets of the hub itself, and results that nobody can be sent."""
        at_sockets = self._public.refused + sum(known.reader.refused for known in self._known.values())
        return self._refused + at_sockets

    def begin(self, epoch: int, until_s: float | None) -> None:
        """A new epoch: its results are kept back until it is as far as what is shown.

        Or as far as ``until_s`` of recorded time, where somebody wants to go back to that.
        """
        self.epoch = epoch
        # Whoever wanted to go back still does when the way there has to begin again.
        if until_s is not None or not self.catching_up:
            self._until_s = until_s
        self._as_far_s = self._spoken = None
        # An epoch that is replaced while it catches up was never shown.
        self.shown = dict(self.shown)
        self.fresh = {}
        for known in self._known.values():
            known.final_version, known.status, known.choice = None, {}, None

    def service(self, waiter: Waiter) -> None:
        """Take in what the nodes have published, as ``waiter`` has noticed, and publish it. Never blocks."""
        for name, known in self._known.items():
            if waiter.came(known.reader.socket):
                for message in known.reader.receive():
                    self._hear(name, known, message)
        if self.catching_up and self._has_caught_up():
            self._show()
        self._public.service()

    def _hear(self, name: str, known: _Known, message: Message) -> None:
        if isinstance(message, Open):
            self._hear_open(name, known, message)
            return
        if known.epoch == self.epoch:
            if isinstance(message, ResultSent):
                self._take(known, Result(name, message.key, message.value, message.final, message.stamp))
            elif isinstance(message, Close):
                known.final_version = message.version
        known.reader.done()

    def _hear_open(self, name: str, known: _Known, message: Open) -> None:
        assert self._opening is not None
        # A node that was started by hand may still serve the run before this one.
        known.epoch = message.epoch if message.run == self._opening.run else -1
        known.final_version, known.status, known.choice = None, {}, None
        if known.epoch == self.epoch and name == self._source:
            self._same_clock = message.facts.get(CLOCK_FACT) == CLOCK
            facts = {**self._opening.facts, **message.facts}
            self._opening = dataclasses.replace(
                self._opening, info=message.info, facts=facts, parameters=message.parameters
            )

    def _take(self, known: _Known, result: Result) -> None:
        if result.key == CHOICE:
            known.choice = result
            return
        if result.key == STATUS:
            known.status = result.value
        else:
            known.final_version = None
        self.fresh[result.node, result.key] = result
        if self._spoken is not None and result.key not in _NOT_PROPER:
            self._spoken.add(result.node)
        if not self.catching_up:
            self._put(result)

    def _put(self, result: Result) -> None:
        if (result.node, result.key) in self._inner:
            return
        try:
            self._public.put(result)
            if self._same_clock:
                self._latency[result.node].note(result.stamp, stamp_now())
        except WireError:
            # Somebody else's node has said what this program would not say.
            self._refused += 1

    def _has_caught_up(self) -> bool:
        """Whether the new epoch's source has passed the place of what is shown, and every node says something of it.

        The source runs ahead: an early result of the others would look like one of too few photons. So they have to
        say something after all have taken in what they had; for `LATE_S`, since another parameter may let less pass. An
        epoch that has come to its end has caught up whatever it is compared with, and so has any where there is
        nothing yet to compare it with.
        """
        if not _speaking(self.shown):
            return True
        if self.missing:
            return False
        if all(known.final_version is not None for known in self._known.values()):
            return True
        time_s = progress(self.fresh).get("time_s") or 0.0
        if self._until_s is not None and time_s >= self._until_s - SHORT_S:
            return True
        if progress(self.fresh).get("records", 0) < progress(self.shown).get("records", 0):
            return False
        now = time.monotonic()
        self._as_far_s = now if self._as_far_s is None else self._as_far_s
        if self._spoken is None and _taken_in(self.fresh, self.shown):
            self._spoken = set()
        if not _speaking(self.fresh) >= _speaking(self.shown):
            return False
        if now >= self._as_far_s + LATE_S:
            return True
        # Who does not say how it is, as a node of somebody else, is not waited for.
        telling = {node for node, key in self.shown if key == STATUS}
        return self._spoken is not None and self._spoken >= _speaking(self.shown) & telling

    def _show(self) -> None:
        assert self._opening is not None
        self.shown = self.fresh
        self.open(self._opening)
        for result in self.fresh.values():
            # It has waited for the others of its epoch.
            self._put(dataclasses.replace(result, stamp=None))

    def open(self, opening: Open) -> None:
        """Begin, or begin anew, what is published: readers forget all they had. ``opening.epoch`` is set here."""
        self._opening = dataclasses.replace(opening, epoch=self.epoch)
        self._public.open(self._opening)

    def close(self, reason: str, version: int) -> None:
        """Say that nothing more is published; what is shown may be of an earlier epoch."""
        assert self._opening is not None
        self._public.put(Close(self._opening.epoch, 0, reason, version))

    def stop(self) -> None:
        """Close the readers."""
        self._stack.close()


def progress(results: Mapping[Key, Result]) -> Mapping[str, Any]:
    """What the source last said of how far it is; empty before it did."""
    return next((result.value for (_, key), result in results.items() if key == PROGRESS), {})


def _speaking(results: Mapping[Key, Result]) -> set[str]:
    """Nodes that have given a result proper."""
    return {node for node, key in results if key not in _NOT_PROPER}


def _taken_in(fresh: Mapping[Key, Result], shown: Mapping[Key, Result]) -> bool:
    """Whether every node has taken in as many events as it had when it told its ``shown`` status."""
    return all(
        _events_in(fresh.get(place)) >= _events_in(result)
        for place, result in shown.items()
        if place[1] == STATUS
    )


def _events_in(status: Result | None) -> int:
    ledger = {} if status is None else status.value.get("ledger", {})
    return int(ledger.get("events_in", 0))
