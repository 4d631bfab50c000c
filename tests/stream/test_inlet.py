"""Where other programs deliver: what nobody takes is bounded, and strangers do not keep the sender out."""

import threading

import pytest
import zmq

from photonstream.stream.link import inlet as inlet_module
from photonstream.stream.link.inlet import KEPT_BYTES, Inlet
from tests.stream.sockets import wait
from tests.stream.zmtp import connected, flood, message

ROOM = 100_000


@pytest.fixture
def inlet():
    before = threading.active_count()
    made = Inlet("tcp://127.0.0.1:0", None, 1 << 20)
    yield made
    made.stop()
    assert threading.active_count() == before


@pytest.fixture
def sender(inlet):
    """A socket called "sender", which is connected and was heard of."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.routing_id, socket.linger = b"sender", 0
    socket.connect(inlet.endpoint)
    socket.send(b"here")
    assert inlet.wait(20)
    assert inlet.take() == (b"sender", [b"here"])
    yield socket
    socket.close()
    context.term()


def taken(inlet):
    return list(iter(inlet.take, None))


def test_a_flood_that_nobody_takes_is_bounded_and_cut_off(inlet, sender, monkeypatch):
    monkeypatch.setattr(inlet_module, "MOST_OTHERS", ROOM)
    stranger = connected(inlet.endpoint)
    # Far more than the system keeps for a connection: it ends or is not read any more.
    assert not flood(stranger, message(bytes(8), bytes(200)) * 1000, 400_000_000)
    wait(lambda: inlet.dropped)
    assert ROOM - 2 * KEPT_BYTES < inlet.waiting_bytes <= ROOM
    stranger.close()


def test_strangers_whose_room_is_full_do_not_keep_the_sender_out(inlet, sender, monkeypatch):
    monkeypatch.setattr(inlet_module, "MOST_OTHERS", ROOM)
    inlet.hear(b"sender")
    stranger = connected(inlet.endpoint)
    stranger.sendall(100 * message(bytes(8), bytes(10)))
    wait(lambda: inlet.dropped)
    for number in range(100):
        sender.send(b"%d" % number)
    wait(lambda: inlet.waiting_bytes > ROOM + 99 * KEPT_BYTES)
    assert [frames for _, frames in taken(inlet)][:100] == [[b"%d" % n] for n in range(100)]
    assert inlet.waiting_bytes == 0
    assert inlet.say(b"sender", b"still there")
    stranger.close()


def test_a_sender_that_nobody_takes_keeps_its_connection_and_loses_in_one_piece(inlet, sender, monkeypatch):
    monkeypatch.setattr(inlet_module, "MOST_HEARD", ROOM)
    inlet.hear(b"sender")
    room = ROOM // (KEPT_BYTES + 4)
    for number in range(2 * room):
        sender.send(number.to_bytes(4, "little"))
    wait(lambda: inlet.dropped == room)
    # As long as more than half of it waits nothing more is kept.
    first = [inlet.take()[1][0] for _ in range(room // 4)]
    sender.send(b"more")
    wait(lambda: inlet.dropped == room + 1)
    rest = taken(inlet)
    sender.send(b"last")
    wait(lambda: inlet.waiting_bytes)
    kept = [int.from_bytes(each, "little") for each in (*first, *(frames[0] for _, frames in rest))]
    assert kept == list(range(room))
    assert inlet.take() == (b"sender", [b"last"])
    assert inlet.say(b"sender", b"still there")


def test_who_is_heard_next_has_what_it_said_before(inlet, sender):
    sender.send(b"header")
    sender.send(b"records")
    wait(lambda: inlet.waiting_bytes == 2 * KEPT_BYTES + len(b"headerrecords"))
    inlet.hear(b"sender")
    inlet.hear(None)
    assert [frames for _, frames in taken(inlet)] == [[b"header"], [b"records"]]
