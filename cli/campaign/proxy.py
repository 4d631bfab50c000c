"""A line between two hosts that can go wrong: TCP connections passed on message by message, of ZeroMQ's protocol.

After a greeting of 64 bytes each side sends frames: a byte of flags (1: more frames of this message follow, 2: the size
has eight bytes instead of one, 4: a command of ZeroMQ itself), the size, the content (rfc.zeromq.org/spec/23).
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

GREETING_BYTES = 64
_MORE, _LONG, _COMMAND = 1, 2, 4
# How a line may be: as it should, cut, or with something done to messages.
FINE, CUT, DELAYED, DOUBLED, CORRUPTED = "fine", "cut", "delayed", "doubled", "corrupted"
# Which share of the messages is hit, which of the corrupted ones in the head of a frame, so that the stream cannot be
# read on, and which of these in the size of the frame: the other end waits for what never comes.
SHARE, SHARE_OF_HEADS, SHARE_OF_SIZES = 0.2, 0.3, 0.5
MOST_DELAY_S = 0.05
LOOK_S = 0.02

Address = tuple[str, int]
Read = Callable[[int], bytes]


class Line:
    """Listens at each of ``routes`` and passes on to the address that it leads to; ``way`` is how the line is now.

    ``done`` counts the messages that something was done to, and the connections that were cut.
    """

    def __init__(self, routes: Mapping[Address, Address], seed: int) -> None:
        self.way = FINE
        self.done: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._listeners: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        for place, target in routes.items():
            listener = socket.create_server(place)
            self._listeners.append(listener)
            self._go(self._accept, listener, target)

    def _go(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def cut(self) -> None:
        """Every connection ends, and no new one is made until the line is `FINE` again."""
        self.way = CUT
        with self._lock:
            for each in self._open:
                self.done[CUT] += 1
                _shut(each)

    def stop(self) -> None:
        """Take the line away."""
        for listener in self._listeners:
            _shut(listener)
            listener.close()
        self._over.set()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _accept(self, listener: socket.socket, target: Address) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self._go(self._join, near, target)

    def _join(self, near: socket.socket, target: Address) -> None:
        """Who connects to a line that is cut, or to somebody who is not there yet, hears nothing until that changes."""
        far: socket.socket | None = None
        while far is None and not self._over.wait(LOOK_S):
            with contextlib.suppress(OSError):
                far = None if self.way == CUT else socket.create_connection(target)
        if far is None:
            near.close()
            return
        with self._lock:
            self._open |= {near, far}
        back = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
        back.start()
        self._pass_on(near, far)
        back.join()
        near.close()
        far.close()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError, EOFError), source.makefile("rb") as stream:
            # Each side waits for the beginning of the other's greeting before it says the rest.
            for _ in range(GREETING_BYTES):
                target.sendall(_exactly(stream.read, 1))
            for message in _messages(stream.read):
                for piece in self._troubled(message):
                    target.sendall(piece)
        with self._lock:
            for each in (source, target):
                self._open.discard(each)
                _shut(each)

    def _troubled(self, message: list[tuple[bytes, bytes]]) -> list[bytes]:
        """What is sent in the place of a message of frames, each its head and its content."""
        whole = b"".join(head + content for head, content in message)
        way = self.way
        if message[0][0][0] & _COMMAND or way in (FINE, CUT):
            return [whole]
        with self._lock:
            hit = self._chance.random() < SHARE
            self.done[way] += hit
            if not hit:
                return [whole]
            if way == DOUBLED:
                return [whole, whole]
            if way == CORRUPTED:
                return [self._corrupted(message)]
            delay_s = self._chance.uniform(0.0, MOST_DELAY_S)
        time.sleep(delay_s)
        return [whole]

    def _corrupted(self, message: list[tuple[bytes, bytes]]) -> bytes:
        """One bit of it is another one."""
        pieces = [bytearray(piece) for frame in message for piece in frame]
        if self._chance.random() < SHARE_OF_HEADS:
            head = self._chance.choice(pieces[::2])
            if self._chance.random() < SHARE_OF_SIZES:
                _flip(head, self._chance.randrange(1, len(head)), self._chance.randrange(8))
            else:
                head[0] ^= self._chance.choice((_MORE, _LONG, _COMMAND))
        else:
            hit = self._chance.choice([piece for piece in pieces[1::2] if piece])
            _flip(hit, self._chance.randrange(len(hit)), self._chance.randrange(8))
        return b"".join(pieces)


def _flip(piece: bytearray, byte: int, bit: int) -> None:
    piece[byte] ^= 1 << bit


def _messages(read: Read) -> Iterator[list[tuple[bytes, bytes]]]:
    message = []
    while True:
        head = _exactly(read, 1)
        head += _exactly(read, 8 if head[0] & _LONG else 1)
        message.append((head, _exactly(read, int.from_bytes(head[1:], "big"))))
        if not head[0] & _MORE:
            yield message
            message = []


def _exactly(read: Read, size: int) -> bytes:
    content = read(size)
    if len(content) < size:
        raise EOFError
    return content


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
