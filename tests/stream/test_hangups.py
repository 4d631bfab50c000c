"""Readers that hang up while a writer closes take nobody with them: what is half sent to them must not be dropped.

The writer is a process of its own, since what goes wrong ends one without an exception.
"""

import subprocess
import sys

# Readers take one message of four: each connection is in the middle of another.
WRITER = """
import subprocess, sys, zmq
from photonstream.stream.link import LosslessWriter, new_context

READERS, ROUNDS = 30, 8
context = new_context()
frame = bytes(2 << 20)
for _ in range(ROUNDS):
    writer = LosslessWriter(context, "tcp://127.0.0.1:0", ["decay"])
    readers = subprocess.Popen(
        [sys.executable, "-P", "-c", sys.argv[1], writer.endpoint, str(READERS)],
        stdout=subprocess.PIPE, text=True
    )
    identities = [writer.socket.recv_multipart()[0] for _ in range(READERS)]
    for identity in 4 * identities:
        writer.socket.send_multipart([identity, b"begin", frame, frame, b"end"], zmq.NOBLOCK, copy=False)
    assert readers.stdout.readline() == "hanging up\\n"
    writer.stop()
    readers.communicate()
context.term()
print("lives", flush=True)
"""
READERS = """
import sys, zmq
context = zmq.Context()
sockets = []
for _ in range(int(sys.argv[2])):
    socket = context.socket(zmq.DEALER)
    socket.linger, socket.rcvhwm, socket.rcvbuf = 0, 1, 4096
    socket.connect(sys.argv[1])
    socket.send(b"here")
    sockets.append(socket)
for socket in sockets:
    socket.poll()
print("hanging up", flush=True)
context.destroy(linger=0)
"""


def test_readers_that_hang_up_while_a_writer_closes_end_nobody():
    done = subprocess.run(
        [sys.executable, "-P", "-c", WRITER, READERS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "lives\n", done.stderr
