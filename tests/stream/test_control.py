"""The command socket: every command is carried out once and answered, in whatever company and over whatever line."""

import contextlib
import random
import socket
import threading
import time
from collections import deque

import msgpack
import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.stream import control
from photonstream.stream.control import MOST_ANSWERS, MOST_CLIENTS, MOST_TEXT, CommandClient, CommandServer
from photonstream.stream.link import REPEAT_S
from photonstream.stream.wire import Answer, Command, Error, Need, WireError, decode, encode

DEADLINE_S = 20.0


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


def test_what_is_said_of_a_command_is_what_its_sender_gets():
    ends = Ends()
    ends.clients[0].send("pause", {})
    ends.clients[0].send("no", {"time_s": 2.5, "value": [1, None, "text"]})
    assert ends.clients[0].waiting == 2
    ends.rounds(3)
    assert ends.answers == [(True, "1: pause"), (False, "2: no")]
    assert ends.deeds.done == [("pause", {}), ("no", {"time_s": 2.5, "value": [1, None, "text"]})]
    assert ends.clients[0].waiting == ends.server.refused == ends.clients[0].refused == 0


def test_a_command_that_is_repeated_because_no_answer_came_is_carried_out_once():
    ends = Ends()
    ends.clients[0].send("pause", {})
    for _ in range(4):
        ends.now_s += REPEAT_S
        ends.hear()
    # It was said five times.
    assert len(ends.line.up) == 5
    ends.rounds(2)
    assert ends.deeds.names == ["pause"]
    assert ends.answers == [(True, "1: pause")]
    assert ends.server.refused == ends.clients[0].refused == 0


def test_nothing_is_repeated_before_its_time():
    ends = Ends()
    ends.clients[0].send("pause", {})
    ends.now_s += 0.9 * REPEAT_S
    ends.hear()
    assert len(ends.line.up) == 1


def test_a_copy_gets_the_answer_of_the_first_and_does_nothing():
    ends = Ends()
    for _ in range(3):
        ends.say(b"page", *command(1, "resume"))
    ends.say(b"page", *command(2, "pause"))
    ends.say(b"page", *command(1, "resume"))
    ends.serve()
    assert ends.deeds.names == ["resume", "pause"]
    first, second = Answer(1, True, "1: resume"), Answer(2, True, "2: pause")
    assert ends.told(b"page") == [first, first, first, second, first]
    assert ends.server.refused == 0


def test_a_copy_with_other_content_changes_nothing():
    ends = Ends()
    ends.say(b"page", *command(1, "pause"))
    ends.say(b"page", *command(1, "stop"))
    ends.serve()
    assert ends.deeds.names == ["pause"]


def test_the_same_number_of_somebody_else_is_another_command():
    ends = Ends()
    ends.say(b"page", *command(1, "pause"))
    ends.say(b"terminal", *command(1, "stop"))
    ends.serve()
    assert ends.deeds.names == ["pause", "stop"]
    assert ends.told(b"terminal") == [Answer(1, True, "2: stop")]


def test_commands_wait_for_each_other_so_that_the_order_is_kept_when_one_is_lost():
    ends = Ends()
    for name in ("seek", "speed", "resume"):
        ends.clients[0].send(name, {})
    ends.line.cut()
    ends.rounds(8, REPEAT_S)
    assert ends.deeds.names == ["seek", "speed", "resume"]
    assert ends.answers == [(True, "1: seek"), (True, "2: speed"), (True, "3: resume")]


def test_an_answer_that_is_lost_comes_again_and_is_the_same():
    ends = Ends()
    ends.clients[0].send("no", {})
    ends.serve()
    ends.line.cut()
    ends.rounds(3, REPEAT_S)
    assert ends.deeds.names == ["no"]
    assert ends.answers == [(False, "1: no")]


def test_an_answer_that_comes_twice_is_heard_once():
    ends = Ends()
    ends.clients[0].send("pause", {})
    ends.now_s += REPEAT_S
    ends.hear()
    ends.clients[0].send("resume", {})
    ends.rounds(4)
    assert ends.answers == [(True, "1: pause"), (True, "2: resume")]
    assert ends.clients[0].refused == 0


@settings(max_examples=150)
@given(data=st.data())
def test_over_any_line_every_command_is_carried_out_once_in_order_and_answered(data):
    """What is under way is delivered, lost, doubled; old frames come again; time passes."""
    ends, sent, seen = Ends(), 0, []
    steps = st.sampled_from(["send", "serve", "hear", "cut", "double", "replay", "tick"])
    for step in data.draw(st.lists(steps, max_size=40)):
        if step == "send":
            sent += 1
            ends.clients[0].send(f"{sent}", {})
        elif step == "serve":
            ends.serve()
        elif step == "hear":
            ends.hear()
        elif step == "cut":
            ends.line.cut()
        elif step == "tick":
            ends.now_s += REPEAT_S
        elif step == "double" and ends.line.up:
            ends.line.up.append(ends.line.up[-1])
        elif step == "replay" and seen:
            ends.line.arrived_up.append(data.draw(st.sampled_from(seen)))
        seen += ends.line.up
    ends.rounds(3 * sent + 3, REPEAT_S)
    names = [str(n + 1) for n in range(sent)]
    assert ends.deeds.names == names
    assert ends.answers == [(True, f"{n}: {n}") for n in names]
    assert ends.clients[0].waiting == ends.clients[0].refused == 0


def test_an_earlier_command_than_those_that_are_remembered_is_refused_and_not_carried_out():
    ends = Ends()
    for n in range(1, MOST_ANSWERS + 2):
        ends.say(b"page", *command(n))
    ends.say(b"page", *command(1))
    ends.say(b"page", *command(2))
    ends.serve()
    assert len(ends.deeds.done) == MOST_ANSWERS + 1
    refusal, answer = ends.told(b"page")[-2:]
    assert isinstance(refusal, Error)
    assert "command 1 comes after 65" in refusal.text
    assert answer == Answer(2, True, "2: pause")
    assert ends.server.refused == 1


def test_of_more_clients_than_are_remembered_the_one_that_was_silent_longest_is_forgotten():
    ends = Ends()
    for n in range(MOST_CLIENTS):
        ends.say(b"%d" % n, *command(1))
    # The first one speaks again, so the second one is the one that was silent longest.
    ends.say(b"0", *command(1))
    ends.say(b"new", *command(1))
    ends.serve()
    assert len(ends.deeds.done) == MOST_CLIENTS + 1
    ends.say(b"0", *command(1))
    ends.say(b"2", *command(1))
    ends.serve()
    assert len(ends.deeds.done) == MOST_CLIENTS + 1
    ends.say(b"1", *command(1))
    ends.serve()
    assert len(ends.deeds.done) == MOST_CLIENTS + 2


def test_an_answer_that_quotes_a_command_at_length_is_cut_short():
    ends = Ends()
    ends.say(b"page", *command(1, "\x00" * 1_000_000))
    ends.line.raise_all()
    ends.server.service(lambda name, values, by: (False, f"there is no {name!r}"))
    (answer,) = ends.told(b"page")
    assert not answer.ok
    assert len(answer.text) == MOST_TEXT


def test_a_command_that_brings_an_array_is_refused():
    ends = Ends()
    for array in (np.arange(3), np.empty(0)):
        ends.say(b"page", *(bytes(f) for f in encode(Command(1, "set", {"value": [array]}))))
    ends.serve()
    assert ends.deeds.done == []
    assert ends.server.refused == 2
    assert all("no arrays" in told.text for told in ends.told(b"page"))


def test_bytes_that_are_no_text_come_back_in_the_answer():
    ends = Ends()
    ends.clients[0].send("set", {"value": "/data/\udcff.ptu"})
    ends.rounds(2)
    assert ends.deeds.done == [("set", {"value": "/data/\udcff.ptu"})]


@pytest.mark.parametrize("values", [{"x": object()}, {"x": np.arange(3)}, {"x": np.empty(0)}, {1: 2}])
def test_a_command_that_cannot_be_sent_is_said_to_who_gives_it_and_leaves_no_trace(values):
    ends = Ends()
    with pytest.raises(WireError):
        ends.clients[0].send("set", values)
    assert ends.clients[0].waiting == 0
    ends.clients[0].send("pause", {})
    ends.rounds(2)
    assert ends.answers == [(True, "1: pause")]


GOLDEN = [
    command(3, "set", {"node": "states", "name": "on", "value": [1.5, 20.0]}),
    command(1, "seek", {"time_s": 12}),
    [bytes(frame) for frame in encode(Answer(1, True, "done"))],
    [bytes(frame) for frame in encode(Answer(2, False, "no"))],
    [bytes(frame) for frame in encode(Error("not understood"))],
    [bytes(frame) for frame in encode(Need(0, 17, 33))],
]
mutations = st.sampled_from(["flip", "cut", "insert", "double", "none"])


@st.composite
def hostile(draw):
    """Noise, or a message with bytes changed, cut, put in, or frames doubled."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.lists(st.binary(max_size=40), max_size=3))
    frames = [bytearray(frame) for frame in draw(st.sampled_from(GOLDEN))]
    for mutation in draw(st.lists(mutations, max_size=4)):
        frame = draw(st.sampled_from(frames))
        if mutation == "flip" and frame:
            frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
        elif mutation == "cut" and frame:
            del frame[draw(st.integers(0, len(frame) - 1)) :]
        elif mutation == "insert":
            at = draw(st.integers(0, len(frame)))
            frame[at:at] = draw(st.binary(max_size=8))
        elif mutation == "double":
            frames.append(bytearray(frame))
    return [bytes(frame) for frame in frames]


def is_a(kind, frames):
    try:
        return isinstance(decode(frames), kind) and len(frames) == 1
    except WireError:
        return False


@settings(max_examples=150)
@given(st.lists(hostile(), max_size=12))
def test_whatever_comes_to_the_run_is_carried_out_or_refused_and_counted(messages):
    ends = Ends()
    ends.clients[0].send("pause", {})
    for n, frames in enumerate(messages):
        ends.say(b"stranger %d" % n, *frames)
    ends.serve()
    good = sum(is_a(Command, frames) for frames in messages)
    assert len(ends.deeds.done) == good + 1
    assert ends.server.refused == len(messages) - good
    for n, frames in enumerate(messages):
        (told,) = ends.told(b"stranger %d" % n)
        assert isinstance(told, Answer if is_a(Command, frames) else Error)
    ends.hear()
    assert len(ends.answers) == 1


@settings(max_examples=150)
@given(st.lists(hostile(), max_size=12))
def test_whatever_comes_to_the_page_is_an_answer_or_is_refused_and_counted(messages):
    ends = Ends()
    ends.clients[0].send("pause", {})
    ends.clients[0].send("resume", {})
    identity = ends.clients[0].socket.identity
    first = 1
    refused, heard = 0, []
    for frames in messages:
        message = decode(frames) if is_a((Answer, Error), frames) else None
        if isinstance(message, Answer) and message.number == first <= 2:
            heard.append((message.ok, message.text))
            first += 1
        elif message is None or (isinstance(message, Answer) and message.number >= min(first, 3)):
            refused += 1
        ends.line.down.setdefault(identity, deque()).append(list(frames))
    ends.hear()
    assert ends.answers == heard
    assert ends.clients[0].refused == refused
    assert ends.clients[0].waiting == 3 - first


def test_an_answer_to_a_command_that_has_not_been_given_is_refused():
    ends = Ends()
    ends.clients[0].send("pause", {})
    identity = ends.clients[0].socket.identity
    for number in (0, 2, 7):
        ends.line.down.setdefault(identity, deque()).append(encode(Answer(number, True, "trust me")))
    ends.hear()
    # Number 0 could be an old one.
    assert (ends.answers, ends.clients[0].refused, ends.clients[0].waiting) == ([], 2, 1)


def test_who_is_refused_can_read_why():
    ends = Ends()
    ends.line.down[ends.clients[0].socket.identity] = deque([encode(Error("not so"))])
    ends.hear()
    assert ends.clients[0].refusal == "not so"
    assert ends.answers == []


# Over real sockets


@pytest.fixture
def context():
    """A context that ends at once when the test has stopped its sockets: nothing may be left behind."""
    context = zmq.Context()
    yield context
    ending = threading.Thread(target=context.term, daemon=True)
    ending.start()
    ending.join(5.0)
    assert not ending.is_alive(), "a socket was left open"


@pytest.fixture(params=["ipc", "tcp"])
def endpoint(request, tmp_path):
    return {"ipc": f"ipc://{tmp_path}/run", "tcp": "tcp://127.0.0.1:*"}[request.param]


def wait(event, *steps, sockets):
    """Do ``steps`` again and again until ``event()``; between them wait for ``sockets``."""
    poller = zmq.Poller()
    for each in sockets:
        poller.register(each, zmq.POLLIN)
    end = time.monotonic() + DEADLINE_S
    while not event():
        assert time.monotonic() < end, "it did not happen in time"
        for step in steps:
            step()
        poller.poll(20)


class Page:
    def __init__(self, context, endpoint):
        self.client = CommandClient(context, endpoint)
        self.answers = []

    def hear(self):
        self.answers += self.client.receive()


def test_commands_of_several_pages_over_sockets(context, endpoint):
    server, deeds = CommandServer(context, endpoint), Deeds()
    pages = [Page(context, server.endpoint) for _ in range(5)]
    for n in range(20):
        for k, page in enumerate(pages):
            page.client.send(f"{k}.{n}", {})
    wait(
        lambda: all(len(page.answers) == 20 for page in pages),
        lambda: server.service(deeds),
        *(page.hear for page in pages),
        sockets=[server.socket, *(page.client.socket for page in pages)],
    )
    assert len(deeds.done) == 100
    for k, page in enumerate(pages):
        mine = [f"{k}.{n}" for n in range(20)]
        assert [name for name in deeds.names if name.startswith(f"{k}.")] == mine
        assert [text.partition(": ")[2] for _, text in page.answers] == mine
        page.client.stop()
    server.stop()


def test_a_page_may_be_there_before_the_run_and_outlive_it(context, endpoint, monkeypatch):
    monkeypatch.setattr(control, "REPEAT_S", 0.0)
    place = endpoint
    if endpoint.startswith("tcp"):
        with socket.create_server(("127.0.0.1", 0)) as free:
            place = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    page, deeds = Page(context, place), []
    page.client.send("first", {})
    for _ in range(50):
        page.hear()
    for n, name in enumerate(["first", "second", "third"]):
        if n:
            page.client.send(name, {})
        page.hear()
        server = again(context, place)
        deeds.append(Deeds())
        wait(
            lambda n=n: len(page.answers) == n + 1,
            lambda s=server: s.service(deeds[-1]),
            page.hear,
            sockets=[server.socket, page.client.socket],
        )
        server.stop()
    assert [each.names for each in deeds] == [["first"], ["second"], ["third"]]
    assert page.client.refused == 0
    page.client.stop()


def again(context, place):
    """A server at a place where one may just be going: ZeroMQ closes the listener in its own thread."""
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            return CommandServer(context, place)
        except OSError:
            assert time.monotonic() < end


def test_of_all_repetitions_while_nobody_is_there_only_a_few_are_kept(context, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "REPEAT_S", 0.0)
    page = Page(context, f"ipc://{tmp_path}/run")
    page.client.send("pause", {})
    for _ in range(500):
        page.hear()
    server, heard = CommandServer(context, f"ipc://{tmp_path}/run"), 0
    assert server.socket.poll(DEADLINE_S * 1000)
    while server.socket.poll(100):
        server.socket.recv_multipart()
        heard += 1
    assert 1 <= heard <= 20
    page.client.stop()
    server.stop()


def test_the_file_of_an_ipc_endpoint_goes_and_stop_may_be_repeated(context, tmp_path):
    server = CommandServer(context, f"ipc://{tmp_path}/run")
    assert (tmp_path / "run").exists()
    server.stop()
    server.stop()
    assert not (tmp_path / "run").exists()


def test_an_endpoint_that_cannot_be_had_leaves_no_socket(context):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            CommandServer(context, f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(OSError, match="nonsense"):
            CommandClient(context, "nonsense://x")


class Cutter:
    """A tcp connection that is cut after so many bytes from the run, or from the page; it has threads of its own."""

    def __init__(self, endpoint, limits):
        self._target = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._limits = list(limits)
        self.connections = 0
        self._open = []
        self._threads = []
        self._start(self._accept)

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                self.connections += 1
                up, down = self._limits.pop(0) if self._limits else (1 << 40, 1 << 40)
                self._start(self._pass, near, far, up)
                self._start(self._pass, far, near, down)

    def _pass(self, source, target, limit):
        with contextlib.suppress(OSError):
            while limit > 0 and (data := source.recv(4096)):
                target.sendall(data[:limit])
                limit -= len(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self._server.shutdown(socket.SHUT_RDWR)
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        for each in (self._server, *self._open):
            each.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_line_that_is_cut_again_and_again_doubles_and_loses_no_command(context, seed, monkeypatch):
    monkeypatch.setattr(control, "REPEAT_S", 0.02)
    pick = random.Random(seed)
    far = 1 << 40
    # In the middle of a command, or between a command and its answer.
    limits = [
        pick.choice([(pick.randrange(200, 700), far), (far, pick.randrange(200, 700))]) for _ in range(6)
    ]
    server, deeds = CommandServer(context, "tcp://127.0.0.1:*"), Deeds()
    cutter = Cutter(server.endpoint, limits)
    page = Page(context, cutter.endpoint)
    for n in range(60):
        page.client.send(f"{n}", {})
    wait(
        lambda: len(page.answers) == 60,
        lambda: server.service(deeds),
        page.hear,
        sockets=[server.socket, page.client.socket],
    )
    assert cutter.connections >= 4
    assert deeds.names == [f"{n}" for n in range(60)]
    assert page.answers == [(True, f"{n + 1}: {n}") for n in range(60)]
    page.client.stop()
    server.stop()
    cutter.stop()


def test_hostile_company_at_the_socket_hinders_nobody(context):
    server, deeds = CommandServer(context, "tcp://127.0.0.1:*"), Deeds()
    page = Page(context, server.endpoint)
    stranger = context.socket(zmq.DEALER)
    stranger.linger = 0
    stranger.connect(server.endpoint)
    other = msgpack.packb({"v": 2, "kind": "COMMAND", "number": 1, "name": "stop", "values": {}})
    refused = [[b""], [b"noise", b"noise"], [b"x"] * 400, [other], encode(Need(0, 1, 2)), [b"\x93" * 5000]]
    refused.append([b"x" * (2 << 20)])
    for frames in refused:
        stranger.send_multipart(frames)
    # Beyond all measure: this ends the connection by which it comes, and nothing else.
    rude = context.socket(zmq.DEALER)
    rude.linger = 0
    rude.connect(server.endpoint)
    rude.send(b"x" * (9 << 20))
    raw = socket.create_connection(("127.0.0.1", int(server.endpoint.rpartition(":")[2])))
    raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
    page.client.send("pause", {})
    wait(
        lambda: page.answers and server.refused == len(refused),
        lambda: server.service(deeds),
        page.hear,
        sockets=[server.socket, page.client.socket],
    )
    assert deeds.names == ["pause"]
    told = []
    wait(
        lambda: len(told) == len(refused),
        lambda: told.extend([decode(stranger.recv_multipart())] if stranger.poll(0) else []),
        sockets=[stranger],
    )
    assert all(isinstance(each, Error) for each in told)
    raw.close()
    rude.close()
    stranger.close()
    page.client.stop()
    server.stop()
