"""Waiting for several sockets, some of which are urgent only at times."""

import pytest
import zmq

from photonstream.stream.link import Waiter, new_context
from photonstream.stream.link.common import REPEAT_S


@pytest.fixture
def pairs():
    context = new_context()
    ends = [(context.socket(zmq.PAIR), context.socket(zmq.PAIR)) for _ in range(2)]
    for n, (here, there) in enumerate(ends):
        here.bind(f"inproc://pair-{n}")
        there.connect(f"inproc://pair-{n}")
    yield ends
    context.destroy(linger=0)


def test_what_is_not_urgent_wakes_nobody(pairs):
    (plain, to_plain), (late, to_late) = pairs
    urgent = False
    waiter = Waiter()
    waiter.watch(plain)
    waiter.watch(late, lambda: urgent)
    to_late.send(b"credit")
    assert not waiter.wait(0.01)
    urgent = True
    assert waiter.wait(1.0)
    urgent = False
    to_plain.send(b"chunk")
    assert waiter.wait(1.0)


def test_it_tells_where_something_came_and_now_and_then_everywhere(pairs, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("photonstream.stream.link.common.time.monotonic", lambda: clock[0])
    (one, to_one), (other, _) = pairs
    waiter = Waiter()
    for socket in (one, other):
        waiter.watch(socket)
    assert waiter.came(one)
    assert waiter.came(other)
    to_one.send(b"chunk")
    told = []
    for later_s in (0.0, 0.01, REPEAT_S, 0.01):
        clock[0] += later_s
        waiter.wait(1.0)
        told.append((waiter.came(one), waiter.came(other)))
    assert told == [(True, True), (True, False), (True, True), (True, False)]
    one.recv()
    waiter.wait(0.0)
    assert waiter.came(other)
