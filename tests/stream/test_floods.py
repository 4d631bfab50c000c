"""Whoever floods a socket and is killed takes nobody with it: ZeroMQ must never have stopped to read from it.

Each side is a process of its own, since what goes wrong ends one without an exception.
"""

import subprocess
import sys

import pytest

# Nobody reads for ten heartbeats, as when a device is armed or a disk is slow: time has to pass for the flood to show.
RECEIVER = """
import sys, threading
from photonstream.stream.link import common
common.HEARTBEAT_S = 0.05
from photonstream.stream.control import CommandServer
from photonstream.stream.link import new_context
from photonstream.stream.link.inlet import Inlet

which = sys.argv[1]
served = (
    Inlet("tcp://127.0.0.1:0", None, 1 << 20)
    if which == "inlet"
    else CommandServer(new_context(), "tcp://127.0.0.1:0")
)
print(served.endpoint, flush=True)
sys.stdin.readline()
threading.Event().wait(10 * common.HEARTBEAT_S)
if which == "inlet":
    while served.take() is not None:
        pass
else:
    served.service(lambda name, values, by: (True, ""))
print("lives", flush=True)
served.stop()
"""
# Until nothing is taken any more, or more than any socket with a bound of ours could hold.
FLOODER = """
import sys, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.sndhwm = 1000
socket.connect(sys.argv[1])
for _ in range(200_000):
    if not socket.poll(500, zmq.POLLOUT):
        break
    socket.send_multipart([bytes(8), bytes(100)])
print("flooded", flush=True)
sys.stdin.readline()
"""


def start(text, argument, ended):
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", text, argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ended(process)
    return process


@pytest.fixture
def ended():
    started = []
    yield started.append
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("which", ["inlet", "commands"])
def test_a_flood_whose_sender_is_killed_ends_nobody(which, ended):
    receiver = start(RECEIVER, which, ended)
    flooder = start(FLOODER, receiver.stdout.readline().strip(), ended)
    assert flooder.stdout.readline() == "flooded\n"
    flooder.kill()
    flooder.wait()
    out, err = receiver.communicate("killed\n", timeout=60)
    assert (receiver.returncode, out) == (0, "lives\n"), err
