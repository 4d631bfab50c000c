"""Whatever a stranger does to a socket, the process lives on: ZeroMQ ends it, without an exception, where it errs.

So the one with the socket is always a process of its own.
"""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from photonstream.stream.keys import make_keys
from tests.stream.zmtp import connected, flood, greeted, message, ping

BOUND = ["inlet", "commands", "lossless", "latest"]
CONNECTED = ["reader", "client"]
SOCKETS = """
import sys, zmq
from photonstream.stream.control import CommandClient, CommandServer
from photonstream.stream.link import LatestWriter, LinkReader, LosslessWriter, new_context
from photonstream.stream.link.inlet import Inlet

which, place = sys.argv[1:3]
context = new_context()
made = {
    "inlet": lambda: Inlet(place, None, 1 << 20),
    "commands": lambda: CommandServer(context, place),
    "lossless": lambda: LosslessWriter(context, place, ["decay"]),
    "latest": lambda: LatestWriter(context, place),
    "reader": lambda: LinkReader(context, place, "decay"),
    "client": lambda: CommandClient(context, place),
}[which]()


def serve():
    if which == "inlet":
        while (came := made.take()) is not None:
            made.say(came[0], b"heard")
    elif which == "commands":
        made.service(lambda name, values, by: (True, ""))
    elif which in ("reader", "client"):
        list(made.receive())
    else:
        made.service()
"""
# Nobody reads while it is flooded, as when a device is armed or a disk is slow.
FLOODED = (
    SOCKETS
    + """
print(getattr(made, "endpoint", place), flush=True)
sys.stdin.readline()
for _ in range(20):
    serve()
print("lives", flush=True)
made.stop()
"""
)
# A heartbeat, were there one, would come at once.
SERVING = (
    """
import threading, zmq
class Hasty(zmq.Socket):
    def __setattr__(self, name, value):
        super().__setattr__(name, min(value, 50) if name == "heartbeat_ivl" else value)
zmq.Context._socket_class = Hasty
"""
    + SOCKETS
    + """
print(made.endpoint, flush=True)
gone = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), gone.wait(0.5), gone.set()), daemon=True).start()
while not gone.is_set():
    serve()
    gone.wait(0.01)
print("lives", flush=True)
made.stop()
"""
)
# Some read no more, and break off at about the moment at which the writer closes.
CLOSING = """
import random, sys, threading, time
import numpy as np
from photonstream.stream.chunk import Result
from photonstream.stream.link import LatestWriter, new_context
from photonstream.stream.wire import PROTOCOL, Hello, Need, Open, encode
from tests.stream.zmtp import connected, message

pick, rows = random.Random(1), {name: np.zeros(100_000) for name in "abc"}
ask = message(*encode(Hello(PROTOCOL, "page"))) + message(*encode(Need(0, 0, 16)))
for _ in range(8):
    context = new_context()
    writer = LatestWriter(context, "tcp://127.0.0.1:0")
    writer.open(Open("run", 0, "decay", "latest", {}, {}))
    writer.put(Result("decay", "rows", rows))
    readers = [connected(writer.endpoint, b"page %d" % n, receive_bytes=4096) for n in range(32)]
    for reader in readers:
        reader.sendall(ask)
    until = time.monotonic() + 20
    while len([peer for peer in writer._peers.values() if peer.sent]) < len(readers):
        assert time.monotonic() < until
        writer.service()
        writer.socket.poll(5)

    def break_off():
        for reader in readers:
            threading.Event().wait(pick.uniform(0.0, 1e-4))
            reader.close()

    breaking = threading.Thread(target=break_off)
    breaking.start()
    writer.stop()
    breaking.join()
    context.term()
print("lives", flush=True)
"""
# A command that is half sent to somebody who takes nothing, and gives up this connection for another one.
HALF_SENT = """
import sys, zmq
from photonstream.stream.control import CommandClient
from photonstream.stream.link import new_context

class Watched(zmq.Socket):
    def connect(self, endpoint):
        # The system takes little of what is sent.
        self.sndbuf = 4096
        print("connects", flush=True)
        # On a busy machine anything may happen between two calls.
        sys.stdin.readline()
        super().connect(endpoint)

zmq.Context._socket_class = Watched
context, now_s = new_context(), 0.0
client = CommandClient(context, sys.argv[1], clock=lambda: now_s)
client.send("set", {"value": 1_000_000 * "x"})
print("sends", flush=True)
sys.stdin.readline()
now_s = 1e3
client.receive()
sys.stdin.readline()
print("lives", flush=True)
client.stop()
context.term()
"""
# As many as no monitor could hold are not let in before anybody hears of it.
TURNED_AWAY = """
import socket, sys
from pathlib import Path
from photonstream.stream.control import CommandServer
from photonstream.stream.keys import read_keys
from photonstream.stream.link import new_context
from tests.stream.zmtp import connected

context = new_context(read_keys(Path(sys.argv[1])))
server = CommandServer(context, "tcp://127.0.0.1:0")
for _ in range(3000):
    try:
        connected(server.endpoint).close()
    except (AssertionError, ConnectionError):
        pass
server.service(lambda name, values, by: (True, ""))
print(server.refused, flush=True)
server.stop()
context.term()
"""
# With keys a context has a thread of its own, which is not to be hindered.
TAKEN = """
import socket, sys, threading
from pathlib import Path
from photonstream.stream.keys import read_keys
from photonstream.stream.link.inlet import Inlet

keys, before = read_keys(Path(sys.argv[1])), threading.active_count()
with socket.create_server(("127.0.0.1", 0)) as taken:
    for _ in range(100):
        try:
            Inlet(f"tcp://127.0.0.1:{taken.getsockname()[1]}", keys, 1000)
        except OSError:
            pass
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(10)
print(threading.active_count() - before, flush=True)
"""


@pytest.fixture
def start():
    """Starts Python with a text and arguments."""
    started = []

    def run(text, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", text, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def lives(process, said="lives"):
    out, err = process.communicate("\n", timeout=60)
    assert (process.returncode, out) == (0, f"{said}\n"), err


@pytest.mark.parametrize("which", BOUND)
def test_a_flood_at_whose_end_its_sender_is_gone_ends_nobody(which, start):
    receiver = start(FLOODED, which, "tcp://127.0.0.1:0")
    stranger = connected(receiver.stdout.readline().strip())
    flood(stranger, 100 * (message(bytes(8), bytes(40)) + ping()), 4_000_000)
    stranger.close()
    lives(receiver)


@pytest.mark.parametrize("which", CONNECTED)
def test_a_flood_of_whom_one_has_connected_to_ends_nobody(which, start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiver = start(FLOODED, which, f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert receiver.stdout.readline()
        stranger = greeted(server.accept()[0], b"ROUTER")
    flood(stranger, 100 * (message(bytes(8), bytes(40)) + ping()), 4_000_000)
    stranger.close()
    lives(receiver)


@pytest.mark.parametrize("which", BOUND)
def test_a_connection_that_speaks_on_when_another_has_its_place_ends_nobody(which, start):
    """As happens when a cut connection is made anew and what was under way on the old one comes late."""
    server = start(SERVING, which, "tcp://127.0.0.1:0")
    endpoint = server.stdout.readline().strip()
    both = []
    for _ in range(2):
        both.append(connected(endpoint, b"same"))
        both[-1].sendall(message(b"what"))
        assert both[-1].recv(1)
    first, second = both
    first.sendall(message(b"late"))
    first.close()
    lives(server)
    second.close()


def test_readers_that_break_off_while_their_writer_closes_do_not_end_it(start):
    lives(start(CLOSING))


def test_a_command_that_is_half_sent_when_it_connects_again_does_not_end_who_says_it(start):
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        client = start(HALF_SENT, f"tcp://127.0.0.1:{server.getsockname()[1]}")

        def hear(words):
            assert client.stdout.readline() == f"{words}\n", client.communicate()[1]

        def go_on():
            client.stdin.write("\n")
            client.stdin.flush()

        hear("connects")
        go_on()
        other_end = greeted(server.accept()[0], b"ROUTER")
        hear("sends")
        # Some of it is on its way.
        assert other_end.recv(1000)
        go_on()
        hear("connects")
        other_end.close()
        go_on()
        lives(client)


def test_any_number_that_is_not_let_in_hinders_nobody(start, tmp_path):
    make_keys(tmp_path / "keys", "127.0.0.1")
    lives(start(TURNED_AWAY, str(tmp_path / "keys")), "3000")


def test_a_place_that_is_taken_leaves_nothing_behind(start, tmp_path):
    make_keys(tmp_path / "keys", "127.0.0.1")
    lives(start(TAKEN, str(tmp_path / "keys")), "0")
