"""Both ends of the command socket, joined by a line made by hand: the test says what arrives and what is lost."""

from collections import deque

import zmq

from photonstream.stream.control import CommandClient, CommandServer
from photonstream.stream.wire import Command, decode, encode


class Line:
    """A context whose one ROUTER and DEALERs are joined by queues; the test says what arrives and what is lost."""

    def __init__(self):
        self.up: deque[list[bytes]] = deque()
        self.down: dict[bytes, deque[list[bytes]]] = {}
        self.arrived_up: deque[list[bytes]] = deque()
        self.arrived_down: dict[bytes, deque[list[bytes]]] = {}

    def socket(self, kind):
        return LineEnd(self, kind)

    def raise_all(self):
        self.arrived_up.extend(self.up)
        self.up.clear()

    def lower_all(self):
        for identity, queue in self.down.items():
            self.arrived_down.setdefault(identity, deque()).extend(queue)
            queue.clear()

    def cut(self):
        """What is under way is lost."""
        self.up.clear()
        for queue in self.down.values():
            queue.clear()


class LineEnd:
    last_endpoint = b"ipc:line"
    closed = False
    # One that has no keys.
    context = None

    def __init__(self, line, kind):
        self.line, self.kind = line, kind

    def bind(self, endpoint):
        pass

    connect = bind

    @property
    def arrived(self):
        router = self.kind == zmq.ROUTER
        return self.line.arrived_up if router else self.line.arrived_down.get(self.identity)

    def get(self, option):
        assert option == zmq.EVENTS
        return zmq.POLLIN if self.arrived else 0

    def recv_multipart(self, flags):
        if not self.arrived:
            raise zmq.Again
        return self.arrived.popleft()

    def send_multipart(self, frames, flags):
        frames = [bytes(frame) for frame in frames]
        if self.kind == zmq.DEALER:
            self.line.up.append([self.identity, *frames])
        else:
            self.line.down.setdefault(frames[0], deque()).append(frames[1:])


class Deeds:
    """A handler that remembers what it was asked; what it says can be told from what it says of any other command."""

    def __init__(self):
        self.done: list[tuple[str, dict]] = []

    def __call__(self, name, values, by):
        self.done.append((name, dict(values)))
        return name != "no", f"{len(self.done)}: {name}"

    @property
    def names(self):
        return [name for name, _ in self.done]


class Ends:
    """A run's side, a page's side and a clock."""

    def __init__(self):
        self.now_s = 50.0
        self.line = Line()
        self.deeds = Deeds()
        self.server = CommandServer(self.line, "ipc:line")
        self.clients = [self.client()]
        self.answers: list[tuple[bool, str]] = []

    def client(self):
        return CommandClient(self.line, "ipc:line", clock=lambda: self.now_s)

    def serve(self):
        self.line.raise_all()
        self.server.service(self.deeds)

    def hear(self):
        self.line.lower_all()
        self.answers += self.clients[0].receive()

    def round(self, pass_s=0.0):
        self.serve()
        self.hear()
        self.now_s += pass_s

    def rounds(self, count, pass_s=0.0):
        for _ in range(count):
            self.round(pass_s)

    def say(self, identity, *frames):
        self.line.arrived_up.append([identity, *frames])

    def told(self, identity):
        return [decode(frames) for frames in self.line.down.get(identity, ())]


def command(number, name="pause", values=None):
    return [bytes(frame) for frame in encode(Command(number, name, values or {}))]
