"""Both ends of the credit link over a network made by hand: it delays and cuts on demand.

The network keeps what ZeroMQ promises (whole messages, in order within a connection; a cut loses what is under way)
and nothing else; no clock runs but the one that the test moves. Real sockets: sockets.py.
"""

from collections import deque

import numpy as np
import zmq

from photonstream.stream.link import LatestWriter, LinkReader, LosslessWriter
from photonstream.stream.wire import ChunkSent, Close, Error, GapSent, Open, ResultSent, decode, encode


class Wire:
    """Both directions of one connection: what was sent and has not arrived, what has arrived and was not read."""

    def __init__(self):
        self.under_way = {"up": deque(), "down": deque()}
        self.arrived = {"up": deque(), "down": deque()}


class Network:
    """A context whose one ROUTER and any number of DEALERs are joined by wires that the test moves."""

    def __init__(self):
        self.wires: dict[bytes, Wire] = {}
        self.sent: list[tuple[bytes, object]] = []

    def socket(self, kind):
        return FakeRouter(self) if kind == zmq.ROUTER else FakeDealer(self)

    def move(self, identity, way, count=None):
        """Let ``count`` messages arrive (all: None)."""
        wire = self.wires[identity]
        for _ in range(len(wire.under_way[way]) if count is None else count):
            if wire.under_way[way]:
                wire.arrived[way].append(wire.under_way[way].popleft())

    def cut(self, identity):
        """The connection breaks and is made again: what was under way is lost."""
        for queue in self.wires[identity].under_way.values():
            queue.clear()

    def data(self, identity=None):
        """Numbers of the data messages that the writer has sent (to one reader)."""
        return [
            m.number
            for to, m in self.sent
            if isinstance(m, ChunkSent | GapSent | ResultSent | Close) and identity in (None, to)
        ]


class FakeSocket:
    last_endpoint = b"ipc:fake"
    closed = False
    # One that has no keys.
    context = None

    def __init__(self, network):
        self.network = network

    def bind(self, endpoint):
        pass

    def close(self):
        self.closed = True


class FakeFrame:
    def __init__(self, data):
        self.buffer = memoryview(data)


class FakeRouter(FakeSocket):
    def get(self, option):
        assert option == zmq.EVENTS
        return zmq.POLLIN if any(wire.arrived["up"] for wire in self.network.wires.values()) else 0

    def recv_multipart(self, flags):
        for identity, wire in self.network.wires.items():
            if wire.arrived["up"]:
                return [identity, *wire.arrived["up"].popleft()]
        raise zmq.Again

    def send_multipart(self, frames, flags, copy):
        identity, *frames = frames
        frames = [bytes(frame) for frame in frames]
        self.network.sent.append((identity, decode(frames)))
        if identity in self.network.wires:
            self.network.wires[identity].under_way["down"].append(frames)


class FakeDealer(FakeSocket):
    def connect(self, endpoint):
        self.network.wires[self.identity] = Wire()

    def close(self):
        self.closed = True
        # What it said may still arrive; nothing reaches it any more.
        self.network.wires[self.identity].arrived["down"].clear()

    def get(self, option):
        assert option == zmq.EVENTS
        return zmq.POLLIN if self.network.wires[self.identity].arrived["down"] else 0

    def recv_multipart(self, flags, copy):
        arrived = self.network.wires[self.identity].arrived["down"]
        if not arrived:
            raise zmq.Again
        return [FakeFrame(frame) for frame in arrived.popleft()]

    def send_multipart(self, frames, flags):
        self.network.wires[self.identity].under_way["up"].append([bytes(frame) for frame in frames])


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def opening(epoch=0, run="run"):
    return Open(run, epoch, "decode", "lossless", {}, {})


def chunk(n, epoch=0):
    """The nth message: its place in the producer's own order is in ``sequence``."""
    return ChunkSent(epoch, 0, n, n, n + 1, 1, {"macrotime": np.array([n], np.uint64)})


class Ends:
    """A writer, its readers, the network between them and the clock of all."""

    def __init__(self, *readers, window=4, latest=False):
        self.network = Network()
        self.clock = Clock()
        self.writer = (
            LatestWriter(self.network, "ipc:fake", clock=self.clock)
            if latest
            else LosslessWriter(self.network, "ipc:fake", readers, clock=self.clock)
        )
        self.readers = {}
        self.got = {}
        for name in readers:
            self.start(name, window)

    def start(self, name, window=4):
        self.readers[name] = LinkReader(self.network, "ipc:fake", name, window, clock=self.clock)
        self.got[name] = []
        return self.readers[name]

    def identity(self, name):
        return self.readers[name].socket.identity

    def read(self, name, done=True):
        """Take what has arrived; data messages are kept in ``got``."""
        for message in self.readers[name].receive():
            if not isinstance(message, Open):
                self.got[name].append(message)
                if done:
                    self.readers[name].done()

    def round(self, *names, pass_s=0.0, done=True):
        """Everything under way arrives, once around."""
        for identity in self.network.wires:
            self.network.move(identity, "up")
        self.writer.service()
        for identity in self.network.wires:
            self.network.move(identity, "down")
        for name in names or self.readers:
            self.read(name, done)
        self.clock.now_s += pass_s

    def rounds(self, count, *names, **how):
        for _ in range(count):
            self.round(*names, **how)

    def say(self, name, message):
        """Something that the reader's own code would not say."""
        self.network.wires[self.identity(name)].under_way["up"].append([bytes(f) for f in encode(message)])

    def sequences(self, name):
        return [message.sequence for message in self.got[name]]


def opened(*readers, window=4):
    ends = Ends(*readers, window=window)
    ends.writer.open(opening())
    ends.rounds(3)
    return ends


def answers(ends, kind=Error):
    return [message for _, message in ends.network.sent if isinstance(message, kind)]
