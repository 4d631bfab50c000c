"""A line that goes wrong between both ends of a link: what arrives is what was sent, once and in order."""

import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from photonstream.cli.campaign import proxy
from photonstream.cli.campaign.proxy import CORRUPTED, CUT, DELAYED, DOUBLED, FINE, Line
from photonstream.stream.control import CommandClient, CommandServer
from photonstream.stream.link import LinkReader, LosslessWriter, Waiter, new_context
from photonstream.stream.link.common import DEAD_S
from photonstream.stream.wire import ChunkSent, Close, Open

CHUNKS = 30
PATIENCE_S = 120


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def ends():
    """A writer, a line, and a reader that reaches the one through the other."""
    before = threading.active_count()
    context = new_context()
    writer = LosslessWriter(context, "tcp://127.0.0.1:*", ["reader"])
    place = ("127.0.0.2", free_port())
    line = Line({place: ("127.0.0.1", int(writer.endpoint.rpartition(":")[2]))}, 1)
    reader = LinkReader(context, f"tcp://{place[0]}:{place[1]}", "reader")
    yield writer, line, reader
    for each in (reader, writer, line):
        each.stop()
    context.term()
    assert threading.active_count() == before


def chunk(n):
    times = np.arange(1000 * n, 1000 * n + 1000, dtype=np.uint64)
    return ChunkSent(0, n, n, 1000 * n, 1000 * n + 1000, 1000, {"macrotime": times})


def carry(writer, line, reader, at):
    """All chunks from one end to the other; ``at`` is told before each that arrives. Gives what arrived."""
    # As long as that of a run: a size of eight bytes.
    writer.open(Open("run", 0, "writer", "lossless", {}, {"of": 300 * "x"}))
    waiter = Waiter()
    waiter.watch(writer.socket)
    waiter.watch(reader.socket)
    sent, arrived, until = 0, [], time.monotonic() + PATIENCE_S
    while not arrived or not isinstance(arrived[-1], Close):
        writer.service()
        while sent <= CHUNKS and writer.room:
            writer.put(chunk(sent) if sent < CHUNKS else Close(0, sent, "end"))
            sent += 1
        for message in reader.receive():
            at(len(arrived))
            if not isinstance(message, Open):
                arrived.append(message)
                reader.done()
        waiter.wait(0.01)
        assert time.monotonic() < until, "it does not arrive"
    return arrived[:-1]


def is_right(arrived):
    assert [message.number for message in arrived] == list(range(CHUNKS))
    for n, message in enumerate(arrived):
        assert replace(message, columns={}) == replace(chunk(n), columns={})
        assert np.array_equal(message.columns["macrotime"], chunk(n).columns["macrotime"])


@pytest.mark.parametrize("way", [FINE, DELAYED, DOUBLED, CORRUPTED])
def test_whatever_becomes_of_messages(ends, way):
    writer, line, reader = ends
    line.way = way
    is_right(carry(writer, line, reader, lambda n: None))
    assert (line.done[way] > 2) == (way != FINE)
    assert (reader.refused + writer.refused > 1) == (way == CORRUPTED)


def test_a_line_that_is_cut_and_restored(ends):
    writer, line, reader = ends

    def cut(arrived):
        if arrived in (0, 10, 20, 21):
            line.cut()
            line.way = FINE

    is_right(carry(writer, line, reader, cut))
    assert line.done[CUT] >= 2


def test_a_stream_that_cannot_be_read_on_is_begun_anew(ends, monkeypatch):
    """ZeroMQ itself makes no new connection then."""
    writer, line, reader = ends

    def senseless(message):
        whole = b"".join(head + content for head, content in message)
        if len(whole) < 1000:
            # From the reader.
            return whole
        line.way = FINE
        return b"\xff" * 9

    monkeypatch.setattr(proxy, "SHARE", 1.0)
    monkeypatch.setattr(line, "_corrupted", senseless)

    def corrupt(arrived):
        if arrived in (10, 20):
            line.way = CORRUPTED

    is_right(carry(writer, line, reader, corrupt))
    assert line.way == FINE
    assert line.done[CORRUPTED] >= 2


@pytest.mark.parametrize("after", [-1, 10], ids=["the first word", "a chunk"])
def test_a_size_that_is_wrong_is_noticed_long_before_the_line_counts_as_dead(ends, monkeypatch, after):
    """What comes after it is taken for a part of a message that never ends."""
    writer, line, reader = ends

    def longer(message):
        heads = [bytearray(head) for head, _ in message]
        # That of a chunk, and of OPEN, has eight bytes: 16 MB more. From the reader there are none.
        for head in heads:
            if head[0] & 2 and line.way != FINE:
                head[5] ^= 1
                line.way = FINE
        return b"".join(bytes(head) + content for head, (_, content) in zip(heads, message, strict=True))

    monkeypatch.setattr(proxy, "SHARE", 1.0)
    monkeypatch.setattr(line, "_corrupted", longer)

    def corrupt(arrived):
        if arrived == after:
            line.way = CORRUPTED

    corrupt(-1)
    began = time.monotonic()
    is_right(carry(writer, line, reader, corrupt))
    assert line.way == FINE
    assert line.done[CORRUPTED] >= 1
    assert time.monotonic() - began < 0.7 * DEAD_S


class FirstConnection:
    """Corrupts all that comes from one side, which says ``words``, over its first connection, but not beyond reading.

    As where a size was wrong and what is repeated is read from the same wrong place each time.
    """

    def __init__(self, *words):
        self.words, self.thread = words, None

    def __call__(self, message):
        whole = bytearray(b"".join(head + content for head, content in message))
        if any(word in whole for word in self.words):
            self.thread = self.thread or threading.current_thread()
            whole[-1] ^= threading.current_thread() is self.thread
        return bytes(whole)


@pytest.mark.parametrize("words", [(b"HELLO", b"NEED"), (b"OPEN", b"ERROR")], ids=["reader", "writer"])
def test_who_is_refused_whatever_he_says_connects_again(ends, monkeypatch, words):
    writer, line, reader = ends
    monkeypatch.setattr(proxy, "SHARE", 1.0)
    monkeypatch.setattr(line, "_corrupted", FirstConnection(*words))
    line.way = CORRUPTED
    began = time.monotonic()
    is_right(carry(writer, line, reader, lambda n: None))
    assert reader.refused + writer.refused > 2
    assert time.monotonic() - began < 0.7 * DEAD_S


@pytest.mark.parametrize("broken", ["answer", "command", "every command"])
def test_commands_come_through_a_line_that_breaks_their_stream(monkeypatch, broken):
    context = new_context()
    server = CommandServer(context, "tcp://127.0.0.1:*")
    place = ("127.0.0.2", free_port())
    line = Line({place: ("127.0.0.1", int(server.endpoint.rpartition(":")[2]))}, 1)
    client = CommandClient(context, f"tcp://{place[0]}:{place[1]}")

    def senseless(message):
        whole = b"".join(head + content for head, content in message)
        if (b"ANSWER" in whole) != (broken == "answer"):
            return whole
        line.way = FINE
        return b"\xff" * 9

    monkeypatch.setattr(proxy, "SHARE", 1.0)
    every = broken == "every command"
    monkeypatch.setattr(line, "_corrupted", FirstConnection(b"COMMAND") if every else senseless)
    done, waiter = [], Waiter()
    waiter.watch(server.socket)
    waiter.watch(client.socket)
    try:
        for number in range(3):
            line.way = CORRUPTED if number == 1 else FINE
            client.send("set", {"number": number})
            answers, until = [], time.monotonic() + PATIENCE_S
            while not answers:
                server.service(lambda name, values, by: (done.append(values["number"]) is None, ""))
                answers = client.receive()
                waiter.wait(0.01)
                assert time.monotonic() < until, "there is no answer"
            assert every or line.way == FINE
        assert done == [0, 1, 2]
    finally:
        client.stop()
        server.stop()
        line.stop()
        context.term()
