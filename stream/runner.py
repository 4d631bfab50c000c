"""Runs a topology inline: one thread, every chunk handed on at once, arrays by reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from photonstream.stream.chunk import Chunk, ChunkLaws, Result
from photonstream.stream.ledger import imbalances
from photonstream.stream.node import (
    LEDGER,
    NodeError,
    Opening,
    PhotonNode,
    ResultNode,
    Source,
    blame,
)
from photonstream.stream.topology import Topology, build, photon_edges


@dataclass(frozen=True)
class Progress:
    """How far a run is: records read of how many, and the latest result of every (node, key)."""

    records: int
    total: int | None
    results: Mapping[tuple[str, str], Result]


@dataclass(frozen=True)
class Outcome:
    """A finished run: the final results, and what in the ledger does not balance."""

    results: Mapping[tuple[str, str], Result]
    imbalances: list[str]
    interrupted: bool

    @property
    def ledger(self) -> dict[str, Mapping[str, Any]]:
        """The account of every node of the photon path, in its order."""
        return {node: result.value for (node, key), result in self.results.items() if key == LEDGER}


class Runner:
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
        self._nodes = build(topology)
        self._latest: dict[tuple[str, str], Result] = {}
        self._on_progress = on_progress
        self._progress_s = progress_s
        self._results_s = results_s
        self._opening: Opening | None = None

    def stop(self) -> None:
        """End the stream soon; may be called from a signal handler or another thread."""
        self._source.halted = True

    @property
    def _source(self) -> Source[Any]:
        source = next(iter(self._nodes.values()))
        assert isinstance(source, Source)
        return source

    def open(self) -> Opening:
        """Open every node, once: what is wrong with the input or a parameter is raised before anything is made."""
        if self._opening is None:
            source = self._source
            with blame(source.name):
                openings = {source.name: source.begin()}
            for name, node in self._nodes.items():
                if node is not source:
                    with blame(name):
                        openings[name] = node.open(openings[node.inputs[0]])
            self._opening = openings[source.name]
        return self._opening

    def run(self) -> Outcome:
        """Run to the end of the source.

        Raises what the input is to blame for (InputError, and the errors of `open`) as it is, and whatever else goes
        wrong in a node as NodeError with the node's name.
        """
        raise NotImplementedError

    def _outcome(self) -> Outcome:
        given, total = self._source.progress()
        results = {key: self._latest[key] for name in self._nodes for key in self._latest if key[0] == name}
        outcome = Outcome(results, [], self._source.halted and given != total)
        outcome.imbalances.extend(imbalances(outcome.ledger, photon_edges(self._nodes)))
        return outcome


class InlineRunner(Runner):
    """Folds the whole recording through the nodes in this thread."""

    def run(self) -> Outcome:
        self.open()
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
        for node in self._nodes.values():
            if not isinstance(node, ResultNode):
                self._publish(node.account())
        self._snapshot(final=True)
        return self._outcome()

    def _pump(self, source: Source[Any]) -> None:
        """Give every chunk of the source to its readers, until it ends or is halted."""
        next_progress = 0.0
        next_results = time.monotonic() + (self._results_s or 0.0)
        chunks = iter(source.chunks())
        while True:
            with blame(source.name):
                chunk = next(chunks, None)
            if chunk is None:
                break
            source.ledger.events_in += chunk.events
            self._hand_on(source.name, chunk)
            now = time.monotonic()
            if self._results_s is not None and now >= next_results:
                self._snapshot(final=False)
                took_s = time.monotonic() - now
                next_results = now + took_s + max(self._results_s, 9.0 * took_s)
            if self._on_progress is not None and now >= next_progress:
                self._on_progress(Progress(*source.progress(), self._latest))
                next_progress = time.monotonic() + self._progress_s
            if source.halted:
                break
        if self._on_progress is not None:
            self._on_progress(Progress(*source.progress(), self._latest))

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
