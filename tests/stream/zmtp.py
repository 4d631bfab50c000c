"""The far end of a connection by hand, in the bytes of ZMTP 3.1 without keys: it does what no socket of ZeroMQ can."""

import socket
import struct

DEADLINE_S = 20.0
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
_MORE, _LONG, _COMMAND = 1, 2, 4


def message(*frames):
    """A message of ``frames``."""
    return b"".join(_frame(_MORE * (n < len(frames)), bytes(frame)) for n, frame in enumerate(frames, 1))


def ping():
    """What asks the other end whether it is there."""
    return _frame(_COMMAND, b"\x04PING" + bytes(2))


def _frame(flags, body):
    if len(body) > 255:
        return struct.pack(">BQ", flags | _LONG, len(body)) + body
    return struct.pack("BB", flags, len(body)) + body


def greeted(connection, kind, identity=b""):
    """``connection`` as that of a socket of ``kind``; it breaks off, without an end, when it is closed."""
    connection.settimeout(DEADLINE_S)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sendall(_GREETING)
    _take(connection, len(_GREETING))
    ready = b"\x05READY"
    for name, value in ((b"Socket-Type", kind), (b"Identity", identity)):
        ready += bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
    connection.sendall(_frame(_COMMAND, ready))
    _, size = _take(connection, 2)
    _take(connection, size)
    return connection


def connected(endpoint, identity=b"", receive_bytes=None):
    """A DEALER's connection with ``endpoint``; the system takes ``receive_bytes`` of what comes."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect((host, int(port)))
    return greeted(connection, b"DEALER", identity)


def flood(connection, data, most_bytes):
    """Send ``data`` again and again, ``most_bytes`` in all; whether all was taken before it was cut off or ignored."""
    connection.settimeout(0.5)
    sent = 0
    try:
        while sent < most_bytes:
            sent += connection.send(data[sent % len(data) :])
    except (TimeoutError, ConnectionError):
        return False
    return True


def _take(connection, count):
    taken = b""
    while len(taken) < count:
        piece = connection.recv(count - len(taken))
        assert piece, "it hung up"
        taken += piece
    return taken
