"""The credit link: messages from one writer to its readers, none lost silently, none faster than they are read.

A reader (DEALER) says HELLO until the writer (ROUTER) answers with OPEN. From then on it says only
``NEED(epoch, next, limit)``: all before ``next`` has arrived, messages up to ``limit`` may come. It says so when it
has read, and again every REPEAT_S while nothing comes. A writer that hears the same ``next`` twice while it had sent
more sends again from there: that is all there is to a cut connection. What a reader has already it drops.

Two kinds of writer:

- `LosslessWriter`: every message in order to every named reader. What is not acknowledged by all is kept; without
  credit there is no ``room`` and the producer has to wait. A reader that was restarted asks for a number that is no
  longer kept: ``behind`` names it, and the run has to begin a new epoch.
- `LatestWriter`: the newest result of each (node, key) to whoever connects; a newer one replaces an older one that
  was not sent yet, and the replaced ones are counted.

One socket belongs to one object and one thread. What is no message of the protocol, or comes from a stranger, is
refused with an ERROR and counted; it never ends the link.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import zmq

from photonstream.stream.chunk import Result
from photonstream.stream.wire import (
    MOST_BYTES,
    PROTOCOL,
    ChunkSent,
    Close,
    Error,
    Frames,
    GapSent,
    Hello,
    Message,
    Need,
    Open,
    ResultSent,
    WireError,
    decode,
    encode,
)

REPEAT_S = 0.2
WINDOW = 8
# A message below this size is copied into the queue: cheaper than keeping track of its buffers.
COPY_BYTES = 65536


@dataclass
class _Peer:
    """What a writer knows of one reader: ``asked`` is the ``next`` it said last."""

    name: str
    asked: int = -1
    limit: int = 0
    sent: int = 0


def _configure(socket: zmq.Socket[bytes]) -> None:
    socket.linger = 0
    # Credit bounds what is under way; a second bound would drop in silence (ROUTER) or block (DEALER).
    socket.sndhwm = 0
    socket.rcvhwm = 0
    socket.maxmsgsize = MOST_BYTES


class _Writer:
    """The side that binds: knows its readers by what they say."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.socket = context.socket(zmq.ROUTER)
        _configure(self.socket)
        # A reader keeps its identity when it connects again; the new connection takes the place of the dead one.
        self.socket.router_handover = True
        self.socket.bind(endpoint)
        bound = self.socket.last_endpoint
        self.endpoint = bound.decode() if isinstance(bound, bytes) else str(bound)
        self.refused = 0
        self._opening: Open | None = None
        self._peers: dict[bytes, _Peer] = {}

    def service(self) -> None:
        """Take in whatever readers have said, and send what they may have. Never blocks."""
        while True:
            try:
                identity, *frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=True)
            except zmq.Again:
                break
            try:
                self._hear(identity, decode(frames))
            except WireError as error:
                self._refuse(identity, str(error))
        for identity, peer in self._peers.items():
            self._serve(identity, peer)

    def _hear(self, identity: bytes, message: Message) -> None:
        if isinstance(message, Hello):
            if message.protocol != PROTOCOL:
                raise WireError(f"protocol {message.protocol} is not spoken here, only {PROTOCOL}")
            self._welcome(identity, message.reader)
        elif isinstance(message, Need):
            peer = self._peers.get(identity)
            if peer is None:
                raise WireError("HELLO comes first")
            self._need(identity, peer, message)
        elif not isinstance(message, Error):
            raise WireError(f"{message.kind} is nothing that a reader says")

    def _welcome(self, identity: bytes, name: str) -> None:
        if identity not in self._peers:
            self._peers[identity] = _Peer(name)
        if self._opening is not None:
            self._send(identity, self._opening)

    def _need(self, identity: bytes, peer: _Peer, need: Need) -> None:
        if self._opening is None:
            return
        if need.epoch != self._opening.epoch:
            self._send(identity, self._opening)
            return
        if need.limit < need.next:
            raise WireError(f"NEED for up to {need.limit} from {need.next}")
        if need.next > peer.sent:
            raise WireError(f"NEED says that {need.next} messages have arrived, {peer.sent} were sent")
        if need.next == peer.asked and need.next < peer.sent:
            self._again(peer, need.next)
        peer.asked = need.next
        peer.limit = need.limit
        self._acknowledged(peer)

    def _again(self, peer: _Peer, number: int) -> None:
        raise NotImplementedError

    def _acknowledged(self, peer: _Peer) -> None:
        raise NotImplementedError

    def _serve(self, identity: bytes, peer: _Peer) -> None:
        raise NotImplementedError

    def _begin(self, opening: Open) -> None:
        """Begin an epoch: every reader is told, and has to ask anew."""
        self._opening = opening
        for identity, peer in self._peers.items():
            peer.asked, peer.limit, peer.sent = -1, 0, 0
            self._send(identity, opening)

    def _send(self, identity: bytes, message: Message) -> None:
        frames = encode(message)
        self._send_frames(identity, frames)

    def _send_frames(self, identity: bytes, frames: Frames) -> None:
        copy = sum(len(frame) for frame in frames) < COPY_BYTES
        self.socket.send_multipart([identity, *frames], zmq.NOBLOCK, copy=copy)

    def _refuse(self, identity: bytes, text: str) -> None:
        self.refused += 1
        self._send(identity, Error(text))

    def stop(self) -> None:
        """Close the socket."""
        self.socket.close()


class LosslessWriter(_Writer):
    """Every message, in order, to each of the named readers."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, readers: Collection[str]
    ) -> None:
        super().__init__(context, endpoint)
        self._readers = frozenset(readers)
        self._kept: deque[Frames] = deque()
        self._first_kept = 0
        self.behind: set[str] = set()

    @property
    def next_number(self) -> int:
        """Number of the message that comes next."""
        return self._first_kept + len(self._kept)

    @property
    def room(self) -> int:
        """How many messages may be put now: what every reader has given credit for."""
        limits = {peer.name: peer.limit for peer in self._peers.values()}
        if not self._readers <= limits.keys():
            return 0
        return max(0, min(limits[name] for name in self._readers) - self.next_number) if limits else 1 << 30

    @property
    def delivered(self) -> bool:
        """Whether every reader has acknowledged every message."""
        asked = {peer.name: peer.asked for peer in self._peers.values()}
        return all(asked.get(name, -1) >= self.next_number for name in self._readers)

    def open(self, opening: Open) -> None:
        """Begin an epoch; what was kept of an earlier one is of no use any more."""
        self._kept.clear()
        self._first_kept = 0
        self.behind.clear()
        self._begin(opening)

    def put(self, message: ChunkSent | GapSent | Close) -> None:
        """Send ``message`` to every reader; its number is given here. Keep to ``room``."""
        self._kept.append(encode(replace(message, number=self.next_number)))
        for identity, peer in self._peers.items():
            self._serve(identity, peer)

    def _welcome(self, identity: bytes, name: str) -> None:
        if name not in self._readers:
            raise WireError(f"{name!r} is no reader of this stream")
        for other, peer in list(self._peers.items()):
            # A reader that was started again: its former self will not be heard of any more.
            if peer.name == name and other != identity:
                del self._peers[other]
        super()._welcome(identity, name)

    def _again(self, peer: _Peer, number: int) -> None:
        peer.sent = number

    def _acknowledged(self, peer: _Peer) -> None:
        if peer.asked < self._first_kept:
            self.behind.add(peer.name)
            return
        known = {p.name: p.asked for p in self._peers.values()}
        least = min((known.get(name, 0) for name in self._readers), default=self.next_number)
        while self._first_kept < least:
            self._kept.popleft()
            self._first_kept += 1

    def _serve(self, identity: bytes, peer: _Peer) -> None:
        if peer.asked < 0 or peer.name in self.behind:
            return
        for number in range(max(peer.sent, self._first_kept), min(peer.limit, self.next_number)):
            self._send_frames(identity, self._kept[number - self._first_kept])
            peer.sent = number + 1


class LatestWriter(_Writer):
    """The newest result of every (node, key), to any reader."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        super().__init__(context, endpoint)
        self._newest: dict[tuple[str, str], tuple[int, Result]] = {}
        self._version = 0
        # Of each reader: the version of each key that it was sent, and the messages that it has not acknowledged.
        self._has: dict[bytes, dict[tuple[str, str], int]] = {}
        self._unsure: dict[bytes, deque[tuple[int, tuple[str, str]]]] = {}
        self.superseded = 0

    def open(self, opening: Open) -> None:
        """Begin an epoch: results of an earlier one are not sent any more."""
        self._newest.clear()
        self._has.clear()
        self._unsure.clear()
        self._begin(opening)

    def put(self, result: Result) -> None:
        """Replace the newest result of this key."""
        key = (result.node, result.key)
        if key in self._newest:
            before = self._newest[key][0]
            self.superseded += sum(has.get(key, -1) < before for has in self._has.values())
        self._version += 1
        self._newest[key] = (self._version, result)
        for identity, peer in self._peers.items():
            self._serve(identity, peer)

    def delivered_to(self) -> int:
        """How many readers have acknowledged the newest of every key."""
        return sum(
            peer.asked == peer.sent and self._pending(identity) is None
            for identity, peer in self._peers.items()
        )

    @property
    def readers(self) -> int:
        """How many readers there are."""
        return len(self._peers)

    def _pending(self, identity: bytes) -> tuple[str, str] | None:
        has = self._has.get(identity, {})
        return next((key for key, (version, _) in self._newest.items() if has.get(key, -1) < version), None)

    def _again(self, peer: _Peer, number: int) -> None:
        """What was not acknowledged may be lost: each of those keys is to be sent again, in its newest version."""
        identity = next(i for i, p in self._peers.items() if p is peer)
        for _, key in self._unsure.get(identity, ()):
            self._has.get(identity, {}).pop(key, None)
        self._unsure.pop(identity, None)
        peer.sent = number

    def _acknowledged(self, peer: _Peer) -> None:
        identity = next(i for i, p in self._peers.items() if p is peer)
        unsure = self._unsure.get(identity)
        while unsure and unsure[0][0] < peer.asked:
            unsure.popleft()

    def _serve(self, identity: bytes, peer: _Peer) -> None:
        if self._opening is None or peer.asked < 0:
            return
        while peer.sent < peer.limit and (key := self._pending(identity)) is not None:
            version, result = self._newest[key]
            self._send(
                identity,
                ResultSent(
                    self._opening.epoch, peer.sent, result.node, result.key, result.final, result.value
                ),
            )
            self._has.setdefault(identity, {})[key] = version
            self._unsure.setdefault(identity, deque()).append((peer.sent, key))
            peer.sent += 1


class LinkReader:
    """The side that connects. ``window`` messages may be under way."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        name: str,
        window: int = WINDOW,
    ) -> None:
        self.socket = context.socket(zmq.DEALER)
        _configure(self.socket)
        self.socket.identity = f"{name}-{secrets.token_hex(8)}".encode()
        self.socket.connect(endpoint)
        self.name = name
        self.refused = 0
        self.opening: Open | None = None
        self._window = window
        self._next = 0
        self._read = 0
        self._granted = 0
        self._said = -REPEAT_S
        self._speak()

    def receive(self) -> Iterator[Message]:
        """What has arrived, in order and without repetition: OPEN, CHUNK, GAP, RESULT, CLOSE. Never blocks.

        Each message but OPEN takes one place of the window until `done` is called for it.
        """
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            try:
                message = decode([frame.buffer for frame in frames])
            except WireError:
                self.refused += 1
                continue
            if self._accept(message):
                yield message
        if time.monotonic() - self._said >= REPEAT_S:
            self._speak()

    def _accept(self, message: Message) -> bool:
        if isinstance(message, Open):
            if self.opening is not None and message.epoch <= self.opening.epoch:
                return False
            self.opening = message
            self._next = self._read = self._granted = 0
            self._speak()
            return True
        if isinstance(message, Error):
            # The writer does not know us (any more): introduce ourselves again.
            self._hello()
            return False
        if not isinstance(message, ChunkSent | GapSent | ResultSent | Close):
            self.refused += 1
            return False
        if self.opening is None or message.epoch != self.opening.epoch or message.number != self._next:
            return False
        self._next += 1
        return True

    def done(self) -> None:
        """One more message has been dealt with: its place in the window is free."""
        self._read += 1
        if self._read + self._window - self._granted >= max(1, self._window // 2):
            self._speak()

    def _speak(self) -> None:
        self._said = time.monotonic()
        if self.opening is None:
            self._hello()
            return
        self._granted = self._read + self._window
        self._send(Need(self.opening.epoch, self._next, self._granted))

    def _hello(self) -> None:
        self._send(Hello(PROTOCOL, self.name))

    def _send(self, message: Message) -> None:
        self.socket.send_multipart(encode(message), zmq.NOBLOCK)

    def stop(self) -> None:
        """Close the socket."""
        self.socket.close()
