"""The counts of a run and the conservation check: at each node events in = events out + ended + lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Loss:
    """Events that our chain lost: how many, where on the node's input axis, and why."""

    events: int
    place: int
    cause: str


@dataclass(frozen=True, slots=True)
class Gaps:
    """What the device lost before our chain: how often, and as far as it is known how many records and how much time.

    None where nobody knows of any gap; ``uncounted``: of how many gaps nobody knows how many records. No part of the
    balance, since nothing of it ever came in.
    """

    count: int = 0
    lost_records: int | None = None
    lost_s: float | None = None
    uncounted: int = 0


@dataclass
class NodeLedger:
    """What went into one node and what became of it.

    ``ended`` counts events whose way ends here by design (an overflow record in ``decode``, a photon in a
    histogram), by kind. ``events_in`` and ``events_out`` are counted by the runner at the edges, the rest by
    the node itself, so that the balance compares two independent accounts.
    """

    node: str
    events_in: int = 0
    events_out: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)
    gaps: Gaps = Gaps()

    def end(self, kind: str, events: int) -> None:
        """Count ``events`` whose way ends in this node."""
        if events:
            self.ended[kind] += int(events)

    def lose(self, events: int, place: int, cause: str) -> None:
        """Count ``events`` as lost, with place and cause."""
        self.losses.append(Loss(int(events), int(place), cause))

    @property
    def events_lost(self) -> int:
        return sum(loss.events for loss in self.losses)

    @property
    def held(self) -> int:
        """Events taken in that have neither left nor ended: 0 once the node has closed."""
        return self.events_in - self.events_out - sum(self.ended.values()) - self.events_lost

    def as_dict(self) -> dict[str, Any]:
        """The ledger's line as it stands in result.json."""
        gaps = {"gaps": asdict(self.gaps)} if self.gaps.count else {}
        return {
            "node": self.node,
            "events_in": self.events_in,
            "events_out": self.events_out,
            "events_lost": self.events_lost,
            "ended": dict(self.ended),
            "held": self.held,
            "losses": [{"events": x.events, "place": x.place, "cause": x.cause} for x in self.losses],
            **gaps,
        }


def imbalances(lines: Mapping[str, Mapping[str, Any]], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences for whatever does not balance after a run's end; empty when all is well.

    ``lines`` are the nodes' ledgers as dicts, by name; ``edges`` (writer, reader) pairs of the photon path: what one
    put out the other took in.
    """
    wrong = [
        f"{node}: {line['events_in']} events in, but {line['events_in'] - line['held']} accounted for"
        for node, line in lines.items()
        if line["held"]
    ]
    for writer, reader in edges:
        sent, taken = lines[writer]["events_out"], lines[reader]["events_in"]
        if sent != taken:
            wrong.append(f"{writer} -> {reader}: {sent} events sent, {taken} received")
    return wrong
