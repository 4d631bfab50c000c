"""A socket at which other programs deliver messages of plain frames, and hear a word back."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket as tcp_socket
import threading
import time
from collections import deque
from contextlib import ExitStack

import zmq

from photonstream.stream.keys import Keys
from photonstream.stream.link.common import MOST_AT_ONCE, bind, configure, new_context, take_uncopied
from photonstream.stream.link.guard import Refusals

# What waits to be taken, at most: of the sender that is heard, and of all others together. A message counts for its
# frames and for what there is to do with it.
MOST_HEARD, MOST_OTHERS = 1 << 28, 1 << 26
KEPT_BYTES = 2000
BEGINNING = 64
# So long nobody is cut off again: what comes until then may have been on its way before.
SPARED_S, MOST_SPARED = 1.0, 1000
# How soon the end is noticed, and how long somebody who speaks may come in between.
LOOK_S, PAUSE_S = 0.1, 1e-4


class Inlet:
    """A ROUTER at ``endpoint``, which has the port, for messages of up to ``most_bytes``; in a context of its own.

    A thread takes in what comes whether or not anybody takes it here, since ZeroMQ must never stop to read and so
    keeps whatever is not taken in. What would be too much is dropped and counted (``dropped``); somebody who is not
    `hear`\\ d is cut off for it. Raises OSError where nothing can listen there, KeysError where that wants keys and
    there are none.
    """

    def __init__(self, endpoint: str, keys: Keys | None, most_bytes: int) -> None:
        with ExitStack() as undo:
            self._context = new_context(keys)
            # It waits for the admission, which closes its socket by itself: nobody else may.
            undo.callback(self._context.term)
            self._socket = self._context.socket(zmq.ROUTER)
            undo.callback(self._socket.close, linger=0)
            configure(self._socket, endpoint, most_bytes)
            self._socket.router_handover = True
            # So that one can hear whether a sender is still there.
            self._socket.router_mandatory = True
            self.endpoint = bind(self._socket, endpoint)
            self._refusals = Refusals(self._socket, endpoint)
            undo.pop_all()
        self.dropped = 0
        # Of the newest message of the sender that was dropped: the beginning of the first frame, the size of the last.
        self.last_dropped: tuple[bytes, int] | None = None
        self._turned_away = 0
        # The sender that is heard, and what waits of it; what waits of all others.
        self._sender: bytes | None = None
        self._heard: deque[tuple[bytes, list[bytes]]] = deque()
        self._others: deque[tuple[bytes, list[bytes]]] = deque()
        self._heard_bytes = self._others_bytes = 0
        # Whether the sender has to become less before more of it is kept: else every other message would be missing.
        self._full = False
        self._spared: dict[tuple[bytes, int], float] = {}
        self._queues, self._speaking = threading.Lock(), threading.Lock()
        self._waiting, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, name="inlet", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Until something has come, or for ``seconds``; whether something has."""
        return self._waiting.wait(seconds)

    def take(self) -> tuple[bytes, list[bytes]] | None:
        """Who has sent what, None where nothing has come; the sender that is heard comes first. Never blocks long."""
        if not self._waiting.is_set():
            self._take_in()
        with self._queues:
            came = None
            if self._heard:
                came = self._heard.popleft()
                self._heard_bytes -= _size(came[1])
                self._full &= self._heard_bytes > MOST_HEARD // 2
            elif self._others:
                came = self._others.popleft()
                self._others_bytes -= _size(came[1])
            if not self._heard and not self._others:
                self._waiting.clear()
        return came

    def hear(self, sender: bytes | None) -> None:
        """Keep more of ``sender`` than of others, and give it first; None: there is no such sender."""
        with self._queues:
            everything = [*self._heard, *self._others]
            self._sender, self._full, self.last_dropped = sender, False, None
            self._heard = deque(each for each in everything if each[0] == sender)
            self._others = deque(each for each in everything if each[0] != sender)
            self._heard_bytes = sum(_size(frames) for _, frames in self._heard)
            self._others_bytes = sum(_size(frames) for _, frames in self._others)

    @property
    def heard(self) -> int:
        """How many messages of the sender that is heard have come by now and wait to be taken."""
        self._take_in()
        return len(self._heard)

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be taken."""
        return self._heard_bytes + self._others_bytes

    @property
    def turned_away(self) -> int:
        """How often somebody was not let in, because of keys."""
        self._turned_away += self._refusals.new()
        return self._turned_away

    def say(self, sender: bytes, words: bytes) -> bool:
        """Tell ``sender``; False where it is not connected. One that does not listen misses it. Never blocks long."""
        with self._speaking:
            try:
                self._socket.send_multipart([sender, words], zmq.NOBLOCK)
            except zmq.ZMQError as error:
                return error.errno != errno.EHOSTUNREACH
        return True

    def stop(self) -> None:
        """Close it. What was said last is on its way."""
        if not self._socket.closed:
            self._over.set()
            self._thread.join()
            self._refusals.stop()
            self._socket.close()
            self._context.term()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket.fileno(), selectors.EVENT_READ)
            while not self._over.is_set():
                # ZeroMQ says once that something has come, and not again where somebody who spoke has heard of it.
                selector.select(LOOK_S)
                while self._take_in() and not self._over.is_set():
                    time.sleep(PAUSE_S)

    def _take_in(self) -> bool:
        """Take what has come; whether there may be more."""
        with self._speaking:
            for _ in range(MOST_AT_ONCE):
                frames = take_uncopied(self._socket)
                if frames is None:
                    return False
                if not self._keep(frames):
                    self._drop(frames)
        return True

    def _keep(self, frames: list[zmq.Frame]) -> bool:
        """Put a message to those that wait; whether there is room."""
        sender, size = frames[0].bytes, _size(frames[1:])
        with self._queues:
            if sender == self._sender:
                self._full |= self._heard_bytes + size > MOST_HEARD
                if self._full:
                    return False
                self._heard.append((sender, [frame.bytes for frame in frames[1:]]))
                self._heard_bytes += size
            else:
                if self._others_bytes + size > MOST_OTHERS:
                    return False
                self._others.append((sender, [frame.bytes for frame in frames[1:]]))
                self._others_bytes += size
            self._waiting.set()
        return True

    def _drop(self, frames: list[zmq.Frame]) -> None:
        """Count a message as dropped, and end the connection by which it came, but for that of the sender."""
        self.dropped += 1
        sender, now = frames[0].bytes, time.monotonic()
        if sender == self._sender:
            self.last_dropped = bytes(frames[1].buffer[:BEGINNING]), len(frames[-1])
            return
        with contextlib.suppress(OSError, zmq.ZMQError):
            number = int(frames[-1].get(zmq.SRCFD))
            if now - self._spared.get((sender, number), -SPARED_S) >= SPARED_S:
                if len(self._spared) >= MOST_SPARED:
                    self._spared.clear()
                self._spared[sender, number] = now
                _end(number, int(self.endpoint.rpartition(":")[2]))


def _end(number: int, port: int) -> None:
    """End the connection of this file number, if it is one at ``port``; raises OSError where it is none at all.

    The number may have become that of another one there: that one connects again.
    """
    copy = os.dup(number)
    try:
        connection = tcp_socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with connection:
        if connection.getsockname()[1] == port:
            connection.shutdown(tcp_socket.SHUT_RDWR)


def _size(frames: list[bytes] | list[zmq.Frame]) -> int:
    return KEPT_BYTES + sum(len(frame) for frame in frames)
