"""Loops of the nodes that give chunks on: the source, and the nodes of the photon path."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from photonstream.stream.chunk import Chunk, ChunkLaws
from photonstream.stream.latency import CLOCK, Stamps, newest
from photonstream.stream.link import WINDOW, Context, LosslessWriter
from photonstream.stream.loop import CLOCK_FACT, END, IDLE_S, LAST_END, Loop, open_message, opening_of
from photonstream.stream.node import CHOICE, NodeError, Opening, Source, blame
from photonstream.stream.orders import Orders, Parameters, same_value
from photonstream.stream.places import Places
from photonstream.stream.topology import NodeSpec
from photonstream.stream.wire import ChunkSent, Close, Message, Open

# How often a source that cannot begin yet is asked whether it can.
AWAIT_S = 0.05


class _Writing(Loop):
    """A loop that gives chunks on to the named ``readers``."""

    def __init__(self, context: Context, spec: NodeSpec, places: Places, readers: Iterable[str]) -> None:
        super().__init__(context, spec, places)
        self._readers = list(readers)
        self._laws = ChunkLaws(spec.name)
        self._waiting: deque[ChunkSent | Close] = deque()
        self._told_behind: list[str] = []

    def _connect(self, stack: ExitStack) -> None:
        super()._connect(stack)
        self._chunks = LosslessWriter(self._context, self._places.chunks(self._spec.name), self._readers)
        stack.callback(self._chunks.stop)
        self._waiter.watch(self._chunks.socket, lambda: self._chunks.urgent)

    def _open(self, run: str, opening: Opening, parameters: Parameters) -> None:
        """Begin the epoch at both outputs."""
        name = self._spec.name
        self._waiting.clear()
        self._laws = ChunkLaws(name)
        self._told_behind = []
        self._hear_clock(opening.facts)
        self._chunks.open(open_message(run, self._epoch, name, "lossless", opening, parameters))
        self._results.open(open_message(run, self._epoch, name, "latest", opening, parameters))

    def _give(self, chunk: Chunk) -> None:
        assert self._node is not None
        self._laws.admit(chunk)
        self._node.ledger.events_out += chunk.events
        place = chunk.sequence, chunk.start, chunk.stop, chunk.events
        self._waiting.append(ChunkSent(self._epoch, 0, *place, chunk.columns, chunk.stamp))
        self._stamp = newest(self._stamp, chunk.stamp)
        self._note(chunk.stamp)

    def _end(self, reason: str) -> None:
        self._waiting.append(Close(self._epoch, 0, reason))
        self._conclude()

    def _service(self) -> None:
        super()._service()
        self._chunks.service()
        while self._waiting and self._chunks.room > 0:
            self._chunks.put(self._waiting.popleft())
        if self._behind() != self._told_behind:
            # The run has to know at once; after the end this takes CLOSE back, so it is said again.
            self._told_behind = self._behind()
            self._publish([self._status()])
            if self._ended:
                self._conclude()

    def _behind(self) -> list[str]:
        return sorted(self._chunks.behind)

    def _refused_here(self) -> int:
        return super()._refused_here() + self._chunks.refused


class SourceLoop(_Writing):
    """Begins the stream, anew with each epoch; what there is no credit for is not read yet."""

    _pieces: Generator[Chunk | float, None, None] | None = None
    # The source of the epoch that is to begin as soon as there is something to read, with what it is told.
    _coming: tuple[Source[Any], Parameters] | None = None
    _told_renewed = False
    _said = ""

    def _serve_run(self) -> None:
        self._epoch = -1
        # Nothing of the run before is inherited: this one may read another recording.
        self._put_away()
        self._pieces, self._node, self._coming = None, None, None

    def _obey(self, orders: Orders) -> None:
        super()._obey(orders)
        if orders.epoch > self._epoch:
            self._prepare(orders)

    def _prepare(self, orders: Orders) -> None:
        self._put_away()
        earlier = self._node
        node = self._make(orders.epoch, orders.parameters)
        assert isinstance(node, Source)
        if earlier is not None:
            with blame(self._spec.name):
                node.inherit(earlier)
        self._coming = node, orders.parameters
        self._begin()

    def _begin(self) -> None:
        """Open what is read, unless that has to be waited for."""
        assert self._coming is not None
        node, parameters = self._coming
        with blame(self._spec.name):
            if node.awaits():
                return
            opening = node.begin().with_facts(**{CLOCK_FACT: CLOCK})
        self._coming, self._told_renewed, self._said = None, False, ""
        self._open(str(self._run_id), opening, parameters)
        self._pieces = node.chunks()

    def _connect(self, stack: ExitStack) -> None:
        super()._connect(stack)
        stack.callback(self._put_away)

    def _put_away(self) -> None:
        """End the reading of the epoch before, with whatever it had open."""
        if self._pieces is not None:
            self._pieces.close()

    def _step(self) -> None:
        if self._coming is not None:
            # There is no epoch yet in which anything could be said.
            self._results.service()
            self._chunks.service()
            self._wait("idle", AWAIT_S)
            self._begin()
            return
        self._service()
        self._publish_interim()
        if self._node is None or self._ended:
            self._wait("idle")
        elif self._waiting or not self._chunks.room:
            self._wait("blocked")
        else:
            self._next_piece()

    def _next_piece(self) -> None:
        node = self._node
        assert isinstance(node, Source)
        piece = self._take_piece(node)
        # A live source looks many times a second: as long as nobody says anything, nothing else has to be done.
        while isinstance(piece, float) and not self._wait("idle", min(piece, IDLE_S)):
            if self._news or time.monotonic() >= self._next_status:
                return
            piece = self._take_piece(node)
        if isinstance(piece, Chunk):
            node.ledger.events_in += piece.events
            self._news = True
            self._give(piece)
        elif piece is None:
            self._end_or_renew(node)

    def _take_piece(self, node: Source[Any]) -> Chunk | float | None:
        assert self._pieces is not None
        with blame(self._spec.name):
            piece = None if self._reached_end(node) else next(self._pieces, None)
        # What it waits for changes without any chunks.
        self._news |= node.says != self._said
        self._said = node.says
        return piece

    def _reached_end(self, node: Source[Any]) -> bool:
        end_at = self._orders.end_at
        return end_at is not None and node.ledger.events_out >= end_at

    def _end_or_renew(self, node: Source[Any]) -> None:
        if node.renewed and not self._reached_end(node):
            self._tell_renewed(node)
            self._wait("idle")
        else:
            self._end(END if node.repeatable else LAST_END)

    def _tell_renewed(self, node: Source[Any]) -> None:
        """Say, once, that what was read is of another recording: the run begins again."""
        if self._told_renewed:
            return
        self._told_renewed = True
        value = {"value": node.choice(final=True), "events": node.ledger.events_in}
        self._publish([node.result(CHOICE, value, final=True)])


class PhotonLoop(_Writing):
    """Folds chunks; the next one is taken when all that came of the last one has been sent."""

    def __init__(self, context: Context, spec: NodeSpec, places: Places, readers: Iterable[str]) -> None:
        super().__init__(context, spec, places, readers)
        self._came: deque[Message] = deque()
        # Whether the input of this epoch has ended.
        self._read_whole = False
        self._taken = Stamps()
        # What the node learns from on the way, meanwhile, and from how many events that is.
        self._study: tuple[Future[Any], int] | None = None

    def _connect(self, stack: ExitStack) -> None:
        super()._connect(stack)
        self._aside = ThreadPoolExecutor(1, f"{self._spec.name} learns")
        stack.callback(self._aside.shutdown, cancel_futures=True)
        self._reader = self._read(stack, self._places.chunks(self._spec.inputs[0]), WINDOW)

    def _refused_here(self) -> int:
        return super()._refused_here() + self._reader.refused

    def _step(self) -> None:
        self._service()
        for message in self._reader.receive():
            if isinstance(message, Open):
                self._begin(message)
            else:
                self._came.append(message)
        self._publish_interim()
        if self._waiting:
            self._wait("blocked")
        elif not self._came:
            self._wait("idle")
        else:
            self._take(self._came.popleft())
            self._reader.done()

    def _publish_interim(self) -> None:
        node: Any = self._node
        if node is not None and node.learns is not None and not self._read_whole:
            self._learn_on_the_way(node)
        super()._publish_interim()

    def _learn_on_the_way(self, node: Any) -> None:
        """Beside the work, since photons would wait for it."""
        if self._study is not None and self._study[0].done():
            (study, events), self._study = self._study, None
            with blame(self._spec.name):
                self._tell_choice(study.result(), events, final=False)
        elif self._study is None and self._due():
            with blame(self._spec.name):
                learn = node.study()
            if learn is not None:
                self._study = self._aside.submit(learn), node.ledger.events_in

    def _choose(self) -> bool:
        """Say what the node has learned, for the run to begin again with it where that is new; True where it is not."""
        node: Any = self._node
        if node.learns is None:
            return True
        with blame(self._spec.name):
            choice = node.choice(final=True)
        self._tell_choice(choice, node.ledger.events_in, final=True)
        return same_value(choice, getattr(node.parameters, node.learns))

    def _tell_choice(self, choice: Any, events: int, *, final: bool) -> None:
        assert self._node is not None
        self._publish([self._node.result(CHOICE, {"value": choice, "events": events}, final=final)])

    def _begin(self, message: Open) -> None:
        # Whatever is left of the epoch before is of no use to anybody.
        self._came.clear()
        self._read_whole = False
        self._taken = Stamps()
        self._study = None
        node = self._make(message.epoch, message.parameters)
        with blame(self._spec.name):
            opening = node.open(opening_of(message))
        self._open(message.run, opening, message.parameters)

    def _take(self, message: Message) -> None:
        node: Any = self._node
        if isinstance(message, ChunkSent):
            place = message.sequence, message.start, message.stop, message.events
            chunk = Chunk(*place, message.columns, message.stamp)
            node.ledger.events_in += chunk.events
            with blame(self._spec.name):
                complete = list(node.fold(chunk))
            self._taken.take(chunk.stop, chunk.stamp)
            for out in complete:
                self._give_stamped(out)
            if not self._readers:
                self._stamp = self._taken.newest
                self._note(chunk.stamp)
            self._news = True
        elif isinstance(message, Close):
            with blame(self._spec.name):
                rest = list(node.close())
            for chunk in rest:
                self._give_stamped(chunk)
            self._read_whole = True
            # Where all is to be read again, nothing that was found may be taken for the end by anybody.
            if message.reason == LAST_END or self._choose():
                self._end(message.reason)
        else:
            raise NodeError(f"node {self._spec.name} cannot take a {message.kind}")

    def _give_stamped(self, chunk: Chunk) -> None:
        """Give ``chunk`` on, with the stamp of what it was made of where the node itself says none."""
        stamp = self._taken.of(chunk.stop)
        self._give(chunk if chunk.stamp is not None else dataclasses.replace(chunk, stamp=stamp))
