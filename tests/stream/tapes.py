"""A short line of nodes that play a tape and add it up, and somebody who watches its run and gives commands."""

import threading
import time
from dataclasses import dataclass

import numpy as np

from photonstream.stream.chunk import Chunk, StreamInfo
from photonstream.stream.control import CommandClient
from photonstream.stream.link import LinkReader, new_context
from photonstream.stream.node import Opening, ParameterError, PhotonNode, ResultNode, Source
from photonstream.stream.orders import Pace
from photonstream.stream.topology import NodeSpec, Topology
from photonstream.stream.wire import Close, Open, ResultSent


@dataclass(frozen=True)
class Tape:
    """Ten events a recorded second, one second a chunk; ``speed`` as in a replay."""

    seconds: int = 20
    speed: float | None = None


class Player(Source[Tape]):
    Parameters = Tape

    def first_pace(self):
        return Pace(self.parameters.speed)

    def begin(self):
        return Opening(StreamInfo("made", "here", "T3", 1.0, 1.0, 1.0, 1, 1))

    given = 0

    def chunks(self):
        while self.given < self.parameters.seconds:
            if self.orders.pace.due_s(time.monotonic()) <= self.given:
                yield 0.01
                continue
            start = 10 * self.given
            self.given += 1
            times = np.arange(start, start + 10, dtype=np.uint64)
            yield Chunk(self.given - 1, start, start + 10, 10, {"macrotime": times})

    def snapshot(self, *, final):
        records, total = 10 * self.given, 10 * self.parameters.seconds
        value = {"records": records, "total": total, "time_s": float(self.given)}
        yield self.result("progress", value, final=final)


@dataclass(frozen=True)
class Takes(Tape):
    take: int = 1


class Live(Player):
    """A player without a clock, which waits for its tape; the first take is broken off for another one."""

    Parameters = Takes
    learns = "take"
    clocked = False
    there = threading.Event()

    def awaits(self):
        return "" if self.there.is_set() else "waiting for the tape"

    def choice(self, *, final):
        return 2 if self.given == 7 else self.parameters.take

    def chunks(self):
        for piece in super().chunks():
            yield piece
            if self.parameters.take == 1 and self.given == 7:
                return


@dataclass(frozen=True)
class Cut:
    below: int = 10**9
    scale: int = 1
    tape: str = "A"

    def __post_init__(self):
        if self.scale == 0:
            raise ValueError("a scale of 0")


class Adder(PhotonNode[Cut]):
    """Sums its events, times ``scale``; shows the sum of those below ``below``, which may change any time."""

    Parameters = Cut
    live = frozenset({"below"})
    fixed = frozenset({"tape"})
    inner = frozenset({"secret"})

    def open(self, opening):
        if self.parameters.scale < 0:
            raise ParameterError("a scale below 0 does not go with this tape")
        if self.parameters.below < 0:
            raise ParameterError("nothing on this tape is below 0")
        self.seen = []
        return opening

    def fold(self, chunk):
        self.seen += (chunk["macrotime"] * self.parameters.scale).tolist()
        self.ledger.end("added", chunk.events)
        return ()

    def snapshot(self, *, final):
        yield self.result("sum", {"sum": sum(x for x in self.seen if x < self.parameters.below)}, final=final)
        yield self.result("secret", {"n": len(self.seen)}, final=final)


@dataclass(frozen=True)
class Learned(Cut):
    best: int = 0


class Scholar(Adder):
    """Learns 1 if events go on while it learns, else 2; 1 is what the whole recording asks for."""

    Parameters = Learned
    learns = "best"
    further = threading.Event()
    studied_at: int | None = None

    def fold(self, chunk):
        if self.studied_at is not None:
            self.further.set()
        return super().fold(chunk)

    def choice(self, *, final):
        return 1

    def study(self):
        if self.studied_at is not None or self.parameters.best:
            return None
        self.studied_at = len(self.seen)
        return lambda: 1 if self.further.wait(5.0) else 2


@dataclass(frozen=True)
class Times:
    by: int = 2


class Doubler(ResultNode[Times]):
    Parameters = Times
    live = frozenset({"by"})
    last = 0

    def take(self, result):
        if result.key == "sum":
            self.last = result.value["sum"]

    def snapshot(self, *, final):
        yield self.result("double", {"double": self.last * self.parameters.by}, final=final)


KINDS = {c.__name__.lower(): c for c in (Player, Live, Adder, Scholar, Doubler)}


def line(**parameters):
    names, before, specs = ("player", "adder", "doubler"), (), []
    for name in names:
        specs.append(NodeSpec(name, name, before, parameters.get(name, {})))
        before = (name,)
    return Topology(tuple(specs))


class Visitor:
    """Somebody who watches a run and gives it commands: the newest of every key, and how often it began anew."""

    def __init__(self, runner):
        self.context = new_context()
        self.runner = runner
        self.newest = {}
        self.opens = 0
        self.closed = False
        self.answers = []
        self.client = None

    def connect(self, address):
        self.reader = LinkReader(self.context, address, "visitor")

    def look(self):
        for message in self.reader.receive():
            if isinstance(message, Open):
                self.opens += 1
                self.newest.clear()
                if self.client is None:
                    self.client = CommandClient(self.context, message.facts["control"])
                continue
            if isinstance(message, ResultSent):
                self.newest[message.node, message.key] = message.value
            self.closed |= isinstance(message, Close)
            self.reader.done()
        if self.client is not None:
            self.answers += self.client.receive()

    @property
    def status(self):
        return self.newest.get(("run", "status"), {})

    def get(self, node, key):
        return self.newest.get((node, key), {}).get(key)

    def leave(self):
        self.reader.stop()
        if self.client is not None:
            self.client.stop()
        self.context.term()


def say(command, /, **values):
    return lambda visitor: visitor.client.send(command, values)


def nothing(visitor):
    pass


def complete(visitor):
    return visitor.status.get("state") == "complete"


def state(name):
    return lambda visitor: visitor.status.get("state") == name


def total(seconds, scale=1, below=10**9):
    return sum(x * scale for x in range(10 * seconds) if x * scale < below)
