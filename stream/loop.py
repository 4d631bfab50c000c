"""One node at its links: takes in what comes, folds, gives on what there is credit for, publishes results.

A loop owns its sockets and never shares them; it runs in one thread, of this process or of another. Interim results
are published at most every ``results_s`` and have no part in the final ones. When its input has closed, a loop gives
its last chunks, its account and its final results, and closes its streams; then it serves its readers until it is told
to finish.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from photonstream.stream.chunk import Chunk, ChunkLaws, Result, StreamInfo
from photonstream.stream.link import Context, LatestWriter, LinkReader, LosslessWriter, Waiter
from photonstream.stream.node import Node, Opening, PhotonNode, ResultNode, Source, blame
from photonstream.stream.wire import ChunkSent, Close, Message, Open, ResultSent

# How long a loop sleeps when nothing comes: it wakes at once for a message.
IDLE_S = 0.05
END = "end of the recording"


@dataclass(frozen=True)
class Places:
    """Where the nodes of one run are: a prefix of endpoints, such as ``inproc://RUN/``."""

    prefix: str
    run: str

    def chunks(self, node: str) -> str:
        """Endpoint of the chunks of ``node``."""
        return f"{self.prefix}{node}.chunks"

    def results(self, node: str) -> str:
        """Endpoint of the results of ``node``."""
        return f"{self.prefix}{node}.results"


def open_message(places: Places, node: str, policy: str, opening: Opening) -> Open:
    """The OPEN of a stream of ``node``."""
    info = dataclasses.asdict(opening.info)
    versions = {"photonstream": version("photonstream"), "pyzmq": version("pyzmq")}
    return Open(places.run, 0, node, policy, info, dict(opening.facts), versions)


def opening_of(message: Open) -> Opening:
    """What a node is told of the stream that ``message`` opens."""
    known = {f.name for f in dataclasses.fields(StreamInfo)}
    info = StreamInfo(**{key: value for key, value in message.info.items() if key in known})
    return Opening(info, message.facts)


class _Loop:
    """What all loops do: publish results, and serve until they may finish."""

    def __init__(self, context: Context, node: Node[Any], places: Places, results_s: float) -> None:
        self._context = context
        self._node = node
        self._places = places
        self._results_s = results_s
        self._next_results = time.monotonic() + results_s
        self._waiter = Waiter()
        self._results = LatestWriter(context, places.results(node.name))
        self._waiter.watch(self._results.socket)
        self._stops: list[Callable[[], None]] = [self._results.stop]

    def run(self, finish: Callable[[], bool]) -> None:
        """Work until the node's streams are closed and ``finish`` says so; raises what goes wrong in the node."""
        try:
            while not finish():
                self._step()
        finally:
            for stop in self._stops:
                stop()

    def _step(self) -> None:
        raise NotImplementedError

    def _service(self) -> None:
        self._results.service()

    def _wait(self) -> None:
        """Until a message comes, or IDLE_S."""
        self._waiter.wait(IDLE_S)

    def _publish(self, results: Iterable[Result]) -> None:
        for result in results:
            self._results.put(result)

    def _publish_interim(self) -> None:
        now = time.monotonic()
        if now < self._next_results:
            return
        with blame(self._node.name):
            results = list(self._node.snapshot(final=False))
        self._publish(results)
        took_s = time.monotonic() - now
        self._next_results = now + took_s + max(self._results_s, 9.0 * took_s)

    def _publish_final(self) -> None:
        if not isinstance(self._node, ResultNode):
            self._publish([self._node.account()])
        with blame(self._node.name):
            results = list(self._node.snapshot(final=True))
        self._publish(results)
        self._results.put(Close(0, 0, END))


class _Writing(_Loop):
    """A loop that gives chunks on."""

    def __init__(
        self, context: Context, node: Node[Any], places: Places, results_s: float, readers: Iterable[str]
    ) -> None:
        super().__init__(context, node, places, results_s)
        self._chunks = LosslessWriter(context, places.chunks(node.name), list(readers))
        self._waiter.watch(self._chunks.socket)
        self._stops.append(self._chunks.stop)
        self._laws = ChunkLaws(node.name)
        self._waiting: deque[ChunkSent | Close] = deque()

    def _open(self, opening: Opening) -> None:
        self._chunks.open(open_message(self._places, self._node.name, "lossless", opening))
        self._results.open(open_message(self._places, self._node.name, "latest", opening))

    def _give(self, chunk: Chunk) -> None:
        self._laws.admit(chunk)
        self._node.ledger.events_out += chunk.events
        self._waiting.append(
            ChunkSent(0, 0, chunk.sequence, chunk.start, chunk.stop, chunk.events, chunk.columns)
        )

    def _service(self) -> None:
        super()._service()
        self._chunks.service()
        while self._waiting and self._chunks.room > 0:
            self._chunks.put(self._waiting.popleft())


class SourceLoop(_Writing):
    """Begins the stream; what there is no credit for is not read yet."""

    def __init__(
        self,
        context: Context,
        node: Source[Any],
        places: Places,
        results_s: float,
        readers: Iterable[str],
        opening: Opening,
    ) -> None:
        super().__init__(context, node, places, results_s, readers)
        self._open(opening)
        self._source = node
        self._pieces = iter(node.chunks())
        self._ended = False

    def _step(self) -> None:
        self._service()
        if self._ended or self._waiting or not self._chunks.room:
            self._wait()
            return
        with blame(self._node.name):
            chunk = None if self._source.halted else next(self._pieces, None)
        if chunk is None:
            self._ended = True
            self._waiting.append(Close(0, 0, END))
            self._publish_final()
            return
        self._node.ledger.events_in += chunk.events
        self._give(chunk)


class PhotonLoop(_Writing):
    """Folds chunks; the next one is taken when all that came of the last one has been sent."""

    def __init__(
        self,
        context: Context,
        node: PhotonNode[Any],
        places: Places,
        results_s: float,
        readers: Iterable[str],
    ) -> None:
        super().__init__(context, node, places, results_s, readers)
        self._photons = node
        self._reader = LinkReader(context, places.chunks(node.inputs[0]), node.name)
        self._waiter.watch(self._reader.socket)
        self._stops.append(self._reader.stop)
        self._came: deque[Message] = deque()

    def _step(self) -> None:
        self._service()
        self._came.extend(self._reader.receive())
        if self._waiting or not self._came:
            self._wait()
            return
        message = self._came.popleft()
        if isinstance(message, Open):
            with blame(self._node.name):
                opening = self._node.open(opening_of(message))
            self._open(opening)
            return
        if isinstance(message, ChunkSent):
            self._fold(message)
            self._publish_interim()
        elif isinstance(message, Close):
            with blame(self._node.name):
                rest = list(self._photons.close())
            for chunk in rest:
                self._give(chunk)
            self._waiting.append(Close(0, 0, message.reason))
            self._publish_final()
        self._reader.done()

    def _fold(self, message: ChunkSent) -> None:
        chunk = Chunk(message.sequence, message.start, message.stop, message.events, message.columns)
        self._node.ledger.events_in += chunk.events
        with blame(self._node.name):
            complete = list(self._photons.fold(chunk))
        for out in complete:
            self._give(out)


class ResultLoop(_Loop):
    """Takes the latest results of its inputs; when all of them have closed, its own are final."""

    def __init__(self, context: Context, node: ResultNode[Any], places: Places, results_s: float) -> None:
        super().__init__(context, node, places, results_s)
        self._taker = node
        self._readers = {name: LinkReader(context, places.results(name), node.name) for name in node.inputs}
        for reader in self._readers.values():
            self._waiter.watch(reader.socket)
            self._stops.append(reader.stop)
        self._closed: set[str] = set()
        self._opened = self._ended = False

    def _step(self) -> None:
        if self._opened:
            self._service()
        news = 0
        for name, reader in self._readers.items():
            # Nothing is taken before the node is open, which the first of its inputs makes it.
            if self._opened or name == self._node.inputs[0]:
                for message in reader.receive():
                    news += 1
                    self._take(name, reader, message)
        if self._opened and not self._ended and len(self._closed) == len(self._readers):
            self._ended = True
            self._publish_final()
        elif not news:
            self._wait()
        elif self._opened and not self._ended:
            self._publish_interim()

    def _take(self, name: str, reader: LinkReader, message: Message) -> None:
        if isinstance(message, Open):
            if name == self._node.inputs[0]:
                with blame(self._node.name):
                    opening = self._node.open(opening_of(message))
                self._results.open(open_message(self._places, self._node.name, "latest", opening))
                self._opened = True
            return
        if isinstance(message, ResultSent):
            with blame(self._node.name):
                self._taker.take(Result(message.node, message.key, message.value, message.final))
        elif isinstance(message, Close):
            self._closed.add(name)
        reader.done()


def make_loop(
    context: Context,
    node: Node[Any],
    places: Places,
    results_s: float,
    readers: Iterable[str],
    opening: Opening,
) -> SourceLoop | PhotonLoop | ResultLoop:
    """The loop for ``node``; ``opening`` is what the source has said when it began."""
    if isinstance(node, Source):
        return SourceLoop(context, node, places, results_s, readers, opening)
    if isinstance(node, PhotonNode):
        return PhotonLoop(context, node, places, results_s, readers)
    assert isinstance(node, ResultNode)
    return ResultLoop(context, node, places, results_s)
