"""Runs a topology inline: one thread, every chunk handed on at once, arrays by reference."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from photonstream.stream.chunk import Chunk, ChunkLaws, Result
from photonstream.stream.ledger import imbalances
from photonstream.stream.node import (
    LEDGER,
    PROGRESS,
    Node,
    NodeError,
    Opening,
    PhotonNode,
    ResultNode,
    Source,
    blame,
)
from photonstream.stream.orders import MOST_CHOICES, Orders, Pace, same_value
from photonstream.stream.topology import Topology, build, photon_edges

# How often a source that cannot begin yet is asked whether it can.
AWAIT_S = 0.05


class NothingReadError(RuntimeError):
    """A run was ended before there was anything to read; its text says what it waited for."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: the latest result of every (node, key)."""

    results: Mapping[tuple[str, str], Result]

    @property
    def _said(self) -> Mapping[str, Any]:
        return next((r.value for (_, key), r in self.results.items() if key == PROGRESS), {})

    @property
    def says(self) -> str:
        """What the source waits for, in a few words; empty where that is not worth a word."""
        return str(self._said.get("says", ""))

    @property
    def notes(self) -> list[str]:
        """What the source has to say of the file, in sentences."""
        return [str(note) for note in self._said.get("notes", ())]

    @property
    def records(self) -> int:
        """How many records have been read."""
        return int(self._said.get("records", 0))

    @property
    def share(self) -> float | None:
        """The part of the recording that has been read, None where its length is not known."""
        total = self._said.get("total")
        return self.records / total if total else None


@dataclass(frozen=True)
class Outcome:
    """A finished run: the final results, and what in the ledger does not balance."""

    results: Mapping[tuple[str, str], Result]
    imbalances: list[str]
    interrupted: bool
    # How late things were in a run in step with time, as the run's status says it (`Hub.latencies`).
    latency: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ledger(self) -> dict[str, Mapping[str, Any]]:
        """The account of every node of the photon path, in its order."""
        return {node: result.value for (node, key), result in self.results.items() if key == LEDGER}


class Runner(ABC):
    """What every placement of the nodes has in common: they are built, opened, stopped, and accounted for.

    ``on_progress`` is called at most every ``progress_s`` of wall time; interim results are asked for every
    ``results_s`` (None: never), less often where they would cost more than a tenth of the time. Neither has any
    part in the final results. After ``stop`` the stream ends soon, and what was read so far is finished as usual.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        progress_s: float = 0.1,
        results_s: float | None = None,
    ) -> None:
        self._topology = topology
        self._nodes = build(topology)
        self._on_progress = on_progress
        self._progress_s = progress_s
        self._results_s = results_s
        self._opening: Opening | None = None

    @abstractmethod
    def stop(self) -> None:
        """End the stream soon; may be called from a signal handler or another thread."""

    @abstractmethod
    def enough(self) -> None:
        """Read no further; what was read so far is finished as usual. A run that is to stay after its end does."""

    def hold(self, place_s: float) -> bool:
        """Let a replay go on to ``place_s`` in recorded time and wait there; whether it will."""
        return False

    @property
    def _source(self) -> Source[Any]:
        return source_of(self._nodes)

    @property
    def _parameters(self) -> dict[str, dict[str, Any]]:
        """Those of every node, with the defaults of what was not given."""
        return {name: dataclasses.asdict(node.parameters) for name, node in self._nodes.items()}

    def open(self) -> Opening:
        """Open every node, once: what is wrong with the input or a parameter is raised before anything is made."""
        if self._opening is None:
            self._opening = open_all(self._nodes)
        return self._opening

    def check(self) -> None:
        """Raise what is wrong with the input or a parameter, as far as there is any input yet."""
        with blame(self._source.name):
            waits = self._source.awaits()
        if not waits:
            self.open()

    def _await_source(self, asked: Callable[[], bool], wait: Callable[[float], None]) -> None:
        """Until the source can begin; ``wait`` some seconds between two questions. Raises NothingReadError where
        somebody has ``asked`` for the end before.
        """
        source, next_progress = self._source, 0.0
        while True:
            with blame(source.name):
                source.says = source.awaits()
            if not source.says:
                return
            if asked():
                raise NothingReadError(f"ended while {source.says}: there is no result")
            if self._on_progress is not None and time.monotonic() >= next_progress:
                said = {"records": 0, "total": None, "time_s": None, "says": source.says}
                self._on_progress(
                    Progress({(source.name, PROGRESS): source.result(PROGRESS, said, final=False)})
                )
                next_progress = time.monotonic() + self._progress_s
            wait(AWAIT_S)

    @abstractmethod
    def run(self) -> Outcome:
        """Run to the end of the source.

        Raises what the input is to blame for (InputError, and the errors of `open`) as it is, and whatever else goes
        wrong in a node as NodeError with the node's name; NothingReadError where it was ended before it began.
        """

    def _judge(self, results: Mapping[tuple[str, str], Result], *, halted: bool) -> Outcome:
        """The outcome of final ``results``, in the order of the nodes."""
        ordered = {key: results[key] for name in self._nodes for key in results if key[0] == name}
        outcome = Outcome(ordered, [], halted and Progress(ordered).share != 1.0)
        outcome.imbalances.extend(imbalances(outcome.ledger, photon_edges(self._nodes)))
        return outcome


def never_settled(name: str) -> NodeError:
    """A node learns something else each time it reads the same recording."""
    return NodeError(
        f"node {name} cannot go on: it has read the whole recording {MOST_CHOICES} times and learned something else "
        "each time"
    )


def source_of(nodes: Mapping[str, Node[Any]]) -> Source[Any]:
    """The first of ``nodes``, which is their source."""
    source = next(iter(nodes.values()))
    assert isinstance(source, Source)
    return source


def open_all(nodes: Mapping[str, Node[Any]], opening: Opening | None = None) -> Opening:
    """Open every node, each with what its first input says; returns what the source says.

    With ``opening``, what the source has said before, it is not asked again.
    """
    source = source_of(nodes)
    with blame(source.name):
        openings = {source.name: source.begin() if opening is None else opening}
    for name, node in nodes.items():
        if node is not source:
            with blame(name):
                openings[name] = node.open(openings[node.inputs[0]])
    return openings[source.name]


class InlineRunner(Runner):
    """Folds the whole recording through the nodes in this thread."""

    _halted = False
    # Whether what was read is being read again.
    _again = False

    def stop(self) -> None:
        self.enough()

    def enough(self) -> None:
        self._halted = True
        if not self._again:
            self._source.halted = True

    def run(self) -> Outcome:
        self._await_source(lambda: self._halted, time.sleep)
        self.open()
        pace = self._source.first_pace().at(0.0, time.monotonic())
        self._read(pace)
        while self._source.renewed:
            source = self._source
            assert source.learns is not None
            self._begin_again({source.name: {source.learns: source.choice(final=True)}})
            self._source.halted = self._halted
            self._read(pace)
        self._again = True
        read = self._source.ledger.events_out
        for _ in range(MOST_CHOICES):
            learned = self._learned() if self._source.repeatable else {}
            if not learned:
                break
            # What was read is read again, all of it, with what was learned of it.
            self._begin_again(learned)
            self._read(Pace(), read)
        else:
            raise never_settled(next(iter(learned)))
        for node in self._nodes.values():
            if not isinstance(node, ResultNode):
                self._publish(node.account())
        self._snapshot(final=True)
        final = {key: result for key, result in self._latest.items() if result.final}
        return self._judge(final, halted=self._halted)

    def _learned(self) -> dict[str, Any]:
        """The parameters that nodes want to be others for what was read, by node."""
        found = {}
        for name, node in self._nodes.items():
            if isinstance(node, PhotonNode) and node.learns is not None:
                with blame(name):
                    choice = node.choice(final=True)
                if not same_value(choice, getattr(node.parameters, node.learns)):
                    found[name] = {node.learns: choice}
        return found

    def _begin_again(self, learned: Mapping[str, Mapping[str, Any]]) -> None:
        parameters = {name: {**given, **learned.get(name, {})} for name, given in self._parameters.items()}
        specs = (dataclasses.replace(spec, parameters=parameters[spec.name]) for spec in self._topology.nodes)
        earlier = self._nodes
        self._nodes = build(Topology(tuple(specs)))
        source = self._source
        source.inherit(earlier[source.name])
        open_all(self._nodes)
        for name, node in self._nodes.items():
            if isinstance(node, ResultNode):
                node.inherit(earlier[name])

    def _read(self, pace: Pace, end_at: int | None = None) -> None:
        """Fold the recording through the nodes, up to ``end_at`` of what the source gives."""
        orders = Orders(parameters=self._parameters, pace=pace, end_at=end_at)
        for node in self._nodes.values():
            node.orders = orders
        self._latest: dict[tuple[str, str], Result] = {}
        self._laws = {name: ChunkLaws(name) for name in self._nodes}
        self._readers = {
            name: [other for other, node in self._nodes.items() if name in node.inputs]
            for name in self._nodes
        }
        self._pump(self._source)
        for name, node in self._nodes.items():
            if isinstance(node, PhotonNode):
                with blame(name):
                    rest = list(node.close())
                for chunk in rest:
                    self._hand_on(name, chunk)

    def _pump(self, source: Source[Any]) -> None:
        """Give every chunk of the source to its readers, until it ends or is halted."""
        with closing(source.chunks()) as pieces:
            self._pump_pieces(source, pieces)
        self._show_progress(source)

    def _pump_pieces(self, source: Source[Any], pieces: Iterator[Chunk | float]) -> None:
        next_progress = 0.0
        next_results = time.monotonic() + (self._results_s or 0.0)
        while True:
            with blame(source.name):
                piece = next(pieces, None)
            if piece is None:
                break
            if isinstance(piece, Chunk):
                source.ledger.events_in += piece.events
                self._hand_on(source.name, piece)
            else:
                time.sleep(piece)
            now = time.monotonic()
            if self._results_s is not None and now >= next_results:
                self._snapshot(final=False)
                took_s = time.monotonic() - now
                next_results = now + took_s + max(self._results_s, 9.0 * took_s)
            if self._on_progress is not None and now >= next_progress:
                self._show_progress(source)
                next_progress = time.monotonic() + self._progress_s
            end_at = source.orders.end_at
            if source.halted or (end_at is not None and source.ledger.events_out >= end_at):
                break

    def _show_progress(self, source: Source[Any]) -> None:
        if self._on_progress is not None:
            self._latest |= {(r.node, r.key): r for r in source.snapshot(final=False)}
            self._on_progress(Progress(self._latest))

    def _hand_on(self, writer: str, chunk: Chunk) -> None:
        self._laws[writer].admit(chunk)
        self._nodes[writer].ledger.events_out += chunk.events
        for name in self._photon_readers(writer):
            node = self._nodes[name]
            assert isinstance(node, PhotonNode)
            node.ledger.events_in += chunk.events
            with blame(name):
                complete = list(node.fold(chunk))
            for out in complete:
                self._hand_on(name, out)

    def _photon_readers(self, writer: str) -> list[str]:
        return [name for name in self._readers[writer] if isinstance(self._nodes[name], PhotonNode)]

    def _snapshot(self, *, final: bool) -> None:
        """Ask every node, in order, for its results, and give them to the nodes that read them."""
        for name, node in self._nodes.items():
            with blame(name):
                results = list(node.snapshot(final=final))
            for result in results:
                if result.node != name:
                    raise NodeError(f"node {name} gave a result in the name of {result.node}")
                self._publish(result)

    def _publish(self, result: Result) -> None:
        self._latest[result.node, result.key] = result
        for name in self._readers[result.node]:
            node = self._nodes[name]
            if isinstance(node, ResultNode):
                with blame(name):
                    node.take(result)
