"""The credit link: messages from one writer to its readers, none lost silently, none faster than they are read.

A reader (DEALER) says HELLO until the writer (ROUTER) answers with OPEN. From then on it says only
``NEED(epoch, next, limit, mark)``: all before ``next`` has arrived, messages up to ``limit`` may come, and OPEN number
``mark`` was the last one heard. It says so when it has read, and again every REPEAT_S while nothing comes.

A connection delivers in order or is cut, so what is lost is found without guessing at times. When the writer hears the
same NEED again although it has sent more, it stops, sends OPEN with a new mark behind all that, and goes on from the
``next`` of the NEED that brings the mark back: what had not arrived before that OPEN is lost. A slow connection costs
one small message more, never a chunk twice. What a reader has already it drops. docs/wire.md has the rules in full.

Two kinds of writer:

- `LosslessWriter`: every message in order to every named reader. What is not acknowledged by all is kept; without
  credit there is no ``room`` and the producer has to wait. A reader that was restarted asks for a number that is no
  longer kept: ``behind`` names it, and the run has to begin a new epoch.
- `LatestWriter`: the newest result of each (node, key) to whoever connects; a newer one replaces an older one that
  was not sent yet, and the replaced ones are counted.

One socket belongs to one object and one thread. What is no message of the protocol, or comes from a stranger, is
refused with an ERROR and counted; it never ends the link. Arrays that were put are sent without a copy, also later and
again: nobody may change them.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import zmq

from photonstream.stream.chunk import Result
from photonstream.stream.wire import (
    MOST_BYTES,
    MOST_HEADER_BYTES,
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
# A `latest` reader that is silent for longer is forgotten; should it come back, it is sent everything again.
FORGET_S = 10.0
MOST_READERS = 64
MOST_CREDIT = 4096
# Numbers stay far below what msgpack can hold.
MOST_NUMBER = 1 << 62
MOST_NAME = 200
# So many messages are taken in one call, so that a flood cannot keep a node from its work.
MOST_AT_ONCE = 1000
# A message below this size is copied into the queue: cheaper than keeping track of its buffers.
COPY_BYTES = 65536
# A cut that neither side is told of (cable, suspended machine) is noticed after this long. It must be longer than one
# large message takes on a slow line.
HEARTBEAT_S = 2.0
DEAD_S = 20.0
# How long `stop` waits for the system to take the endpoint back.
UNBIND_S = 2.0

Context = zmq.Context[zmq.Socket[bytes]]
Clock = Callable[[], float]
_Key = tuple[str, str]


@dataclass
class _Peer:
    """What a writer knows of one reader in the present epoch.

    ``asked`` and ``limit`` are what it said last (-1: nothing yet), ``sent`` is the number that is sent next,
    ``reached`` the highest of these. ``doubt``: something may be lost, and an OPEN with ``mark`` asks.
    """

    name: str
    heard_s: float
    asked: int = -1
    limit: int = 0
    sent: int = 0
    reached: int = 0
    sent_s: float = 0.0
    mark: int = 0
    doubt: bool = False
    # Of `latest` only: what was sent and is not acknowledged, from ``asked`` on, and the keys that are to be sent;
    # None stands for CLOSE.
    outbox: deque[Frames] = field(default_factory=deque)
    due: dict[_Key | None, None] = field(default_factory=dict)


def _configure(socket: zmq.Socket[bytes], endpoint: str, most_bytes: int) -> None:
    socket.linger = 0
    # Credit bounds what is under way. ZeroMQ drops (ROUTER) beyond this bound, which credit cannot reach even though a
    # pipe learns only in halves of it what was read; it is there for strangers who send and never read.
    socket.sndhwm = 4 * MOST_CREDIT
    socket.rcvhwm = 4 * MOST_CREDIT
    socket.maxmsgsize = most_bytes
    if endpoint.startswith("tcp:"):
        socket.heartbeat_ivl = round(HEARTBEAT_S * 1000)
        socket.heartbeat_timeout = round(DEAD_S * 1000)


class _Writer:
    """The side that binds: knows its readers by what they say."""

    def __init__(self, context: Context, endpoint: str, clock: Clock) -> None:
        self.socket = context.socket(zmq.ROUTER)
        try:
            # Readers send no arrays.
            _configure(self.socket, endpoint, MOST_HEADER_BYTES)
            # A reader keeps its identity when it connects again; the new connection takes the place of the dead one.
            self.socket.router_handover = True
            self.socket.bind(endpoint)
        except zmq.ZMQError:
            self.socket.close()
            raise
        bound = self.socket.last_endpoint
        self.endpoint = bound.decode() if isinstance(bound, bytes) else str(bound)
        self.refused = 0
        self._clock = clock
        self._opening: Open | None = None
        self._peers: dict[bytes, _Peer] = {}

    def service(self) -> None:
        """Take in whatever readers have said, and send what they may have. Never blocks."""
        for _ in range(MOST_AT_ONCE):
            try:
                identity, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                self._hear(identity, decode(frames))
            except WireError as error:
                self.refused += 1
                self._send(identity, encode(Error(str(error)[:MOST_NAME])))
        self._serve_all()

    def _hear(self, identity: bytes, message: Message) -> None:
        if isinstance(message, Hello):
            if message.protocol != PROTOCOL:
                raise WireError(f"protocol {message.protocol} is not spoken here, only {PROTOCOL}")
            if len(message.reader) > MOST_NAME:
                raise WireError(f"a name of {len(message.reader)} characters is too long")
            if identity not in self._peers:
                self._admit(message.reader)
                self._peers[identity] = _Peer(message.reader, self._clock())
            self._say_open(identity, self._peers[identity])
        elif isinstance(message, Need):
            peer = self._peers.get(identity)
            if peer is None:
                raise WireError("HELLO comes first")
            peer.heard_s = self._clock()
            if self._opening is None or message.epoch != self._opening.epoch:
                self._say_open(identity, peer)
            else:
                self._need(identity, peer, message)
        elif not isinstance(message, Error):
            raise WireError(f"{message.kind} is nothing that a reader says")

    def _admit(self, name: str) -> None:
        """Raise WireError unless a reader of this name may come."""
        raise NotImplementedError

    def _need(self, identity: bytes, peer: _Peer, need: Need) -> None:
        if not need.next <= need.limit <= min(need.next + MOST_CREDIT, MOST_NUMBER):
            raise WireError(f"NEED for up to {need.limit} from {need.next}")
        # A reader that goes back has lost its place: it was restarted and kept its identity.
        if peer.asked < 0 or need.next < peer.asked:
            self._place(peer, need.next)
            peer.asked, peer.limit, peer.doubt = need.next, need.limit, False
            return
        if need.next > peer.reached:
            raise WireError(f"NEED says that {need.next} messages have arrived, {peer.reached} were sent")
        under_way = peer.sent > need.next
        repeated = need.next == peer.asked and need.limit <= peer.limit
        self._acknowledged(peer, need.next)
        peer.limit = max(peer.limit, need.limit)
        peer.sent = max(peer.sent, need.next)
        if peer.doubt and need.mark == peer.mark:
            peer.doubt = False
            peer.sent = need.next
        elif peer.doubt:
            if repeated:
                self._say_open(identity, peer)
        # A NEED that was on its way while something was sent says nothing about that.
        elif repeated and under_way and self._clock() - peer.sent_s >= REPEAT_S:
            peer.doubt = True
            peer.mark += 1
            self._say_open(identity, peer)

    def _place(self, peer: _Peer, number: int) -> None:
        """Begin to serve ``peer`` from ``number``: its first NEED of an epoch, or one that goes back."""
        raise NotImplementedError

    def _acknowledged(self, peer: _Peer, number: int) -> None:
        """``peer`` has all before ``number``: set ``asked``, and release what nobody needs any more."""
        raise NotImplementedError

    def _frames(self, peer: _Peer, number: int) -> Frames | None:
        """The message of this number for ``peer``, the same whenever it is asked for; None: not there yet."""
        raise NotImplementedError

    def _serve_all(self) -> None:
        for identity, peer in self._peers.items():
            self._serve(identity, peer)

    def _serve(self, identity: bytes, peer: _Peer) -> None:
        if peer.asked < 0 or peer.doubt:
            return
        while peer.sent < peer.limit and (frames := self._frames(peer, peer.sent)) is not None:
            self._send(identity, frames)
            peer.sent += 1
            peer.reached = max(peer.reached, peer.sent)
            peer.sent_s = self._clock()

    def _begin(self, opening: Open) -> None:
        """Begin an epoch: every reader is told, and has to ask anew."""
        if self._opening is not None and opening.epoch <= self._opening.epoch:
            raise ValueError(f"epoch {opening.epoch} cannot follow epoch {self._opening.epoch}")
        self._opening = opening
        for identity, peer in self._peers.items():
            self._peers[identity] = _Peer(peer.name, peer.heard_s)
            self._say_open(identity, self._peers[identity])

    def _epoch(self) -> int:
        if self._opening is None:
            raise ValueError("nothing can be put before an epoch is open")
        return self._opening.epoch

    def _say_open(self, identity: bytes, peer: _Peer) -> None:
        if self._opening is not None:
            self._send(identity, encode(replace(self._opening, mark=peer.mark)))

    def _send(self, identity: bytes, frames: Frames) -> None:
        # Not mandatory: ZeroMQ drops what is for a reader that is gone, and the link finds that out by itself.
        copy = sum(len(frame) for frame in frames) < COPY_BYTES
        self.socket.send_multipart([identity, *frames], zmq.NOBLOCK, copy=copy)

    def stop(self) -> None:
        """Close the socket. Afterwards the endpoint is free, and the file of an ipc endpoint is gone."""
        if self.socket.closed:
            return
        listening = not self.endpoint.startswith("inproc:")
        monitor = self.socket.get_monitor_socket(zmq.EVENT_CLOSED) if listening else None
        self.socket.unbind(self.endpoint)
        if monitor is not None:
            # The listener is closed by ZeroMQ's own thread; a new one must not come before.
            monitor.poll(round(UNBIND_S * 1000))
            self.socket.disable_monitor()
            monitor.close()
        if self.endpoint.startswith("ipc://"):
            # ZeroMQ leaves the file where the name was given.
            Path(self.endpoint.removeprefix("ipc://")).unlink(missing_ok=True)
        self.socket.close()


class LosslessWriter(_Writer):
    """Every message, in order, to each of the named readers (none: messages are dropped)."""

    def __init__(
        self, context: Context, endpoint: str, readers: Collection[str], clock: Clock = time.monotonic
    ) -> None:
        super().__init__(context, endpoint, clock)
        self.behind: set[str] = set()
        self._readers = frozenset(readers)
        self._kept: deque[Frames] = deque()
        self._first_kept = 0

    @property
    def next_number(self) -> int:
        """Number of the message that comes next."""
        return self._first_kept + len(self._kept)

    @property
    def room(self) -> int:
        """How many messages may be put now: what every reader has given credit for; 0 before `open`.

        Reaching beyond it by a few is no error: they are kept here until there is credit.
        """
        if self._opening is None or self.behind:
            return 0
        limits = {peer.name: peer.limit for peer in self._peers.values()}
        least = min((limits.get(name, 0) for name in self._readers), default=self.next_number + MOST_CREDIT)
        return max(0, least - self.next_number)

    @property
    def delivered(self) -> bool:
        """Whether every reader has acknowledged every message."""
        return not self.behind and self._acknowledged_by_all() >= self.next_number

    def open(self, opening: Open) -> None:
        """Begin an epoch; what was kept of an earlier one is of no use any more.

        Raises ValueError for an epoch that is not later than the last one.
        """
        self._begin(opening)
        self._kept.clear()
        self._first_kept = 0
        self.behind.clear()

    def put(self, message: ChunkSent | GapSent | Close) -> None:
        """Send ``message`` to every reader; its number is given here. CLOSE is the last one of its epoch.

        Raises ValueError for a message of another epoch, WireError for what cannot be sent.
        """
        if message.epoch != self._epoch():
            raise ValueError(f"{message.kind} of epoch {message.epoch} in epoch {self._epoch()}")
        self._kept.append(encode(replace(message, number=self.next_number)))
        self._serve_all()
        self._release()

    def _admit(self, name: str) -> None:
        if name not in self._readers:
            raise WireError(f"{name!r} is no reader of this stream")
        # A reader that was started again: its former self will not be heard of any more.
        self._peers = {identity: peer for identity, peer in self._peers.items() if peer.name != name}

    def _place(self, peer: _Peer, number: int) -> None:
        # A reader that had more than it was ever sent has it from a former life of this writer.
        if number < self._first_kept or number > peer.reached:
            self.behind.add(peer.name)
        peer.sent = number
        peer.reached = max(peer.reached, number)

    def _acknowledged(self, peer: _Peer, number: int) -> None:
        peer.asked = number
        self._release()

    def _acknowledged_by_all(self) -> int:
        asked = {peer.name: peer.asked for peer in self._peers.values() if peer.name not in self.behind}
        return min((asked.get(name, 0) for name in self._readers), default=self.next_number)

    def _release(self) -> None:
        for _ in range(self._acknowledged_by_all() - self._first_kept):
            self._kept.popleft()
            self._first_kept += 1

    def _frames(self, peer: _Peer, number: int) -> Frames | None:
        if peer.name in self.behind or number >= self.next_number:
            return None
        return self._kept[number - self._first_kept]


class LatestWriter(_Writer):
    """The newest result of every (node, key), to any reader."""

    def __init__(self, context: Context, endpoint: str, clock: Clock = time.monotonic) -> None:
        super().__init__(context, endpoint, clock)
        self.superseded = 0
        self._newest: dict[_Key, Result] = {}
        self._closing: Close | None = None

    @property
    def readers(self) -> int:
        """How many readers there are."""
        return len(self._peers)

    @property
    def outstanding(self) -> int:
        """How many messages the present readers have not acknowledged yet, together."""
        return sum(len(peer.due) + len(peer.outbox) for peer in self._peers.values())

    @property
    def delivered(self) -> bool:
        """Whether every present reader has acknowledged the newest of every key, and CLOSE if it was put."""
        return self.outstanding == 0

    def open(self, opening: Open) -> None:
        """Begin an epoch: results of an earlier one are not sent any more.

        Raises ValueError for an epoch that is not later than the last one.
        """
        self._begin(opening)
        self._newest.clear()
        self._closing = None

    def put(self, message: Result | Close) -> None:
        """Replace the newest result of this key; CLOSE comes after the newest of every key.

        Raises ValueError before `open` or after CLOSE, WireError for what cannot be sent.
        """
        epoch = self._epoch()
        if self._closing is not None:
            raise ValueError("nothing can be put after CLOSE")
        key: _Key | None = None
        if isinstance(message, Close):
            if message.epoch != epoch:
                raise ValueError(f"CLOSE of epoch {message.epoch} in epoch {epoch}")
            self._closing = message
        else:
            key = (message.node, message.key)
            # What cannot be sent is found here, not later in `service`.
            encode(_sent(message, epoch, 0))
            self._newest[key] = message
        for peer in self._peers.values():
            self.superseded += key in peer.due
            peer.due[key] = None
        self._serve_all()

    def service(self) -> None:
        """Take in whatever readers have said, and send what they may have. Never blocks."""
        super().service()
        now_s = self._clock()
        self._peers = {i: peer for i, peer in self._peers.items() if now_s - peer.heard_s < FORGET_S}

    def _admit(self, name: str) -> None:
        if len(self._peers) >= MOST_READERS:
            raise WireError(f"there are {MOST_READERS} readers already")

    def _place(self, peer: _Peer, number: int) -> None:
        peer.sent = peer.reached = number
        peer.outbox.clear()
        peer.due = dict.fromkeys(self._newest)
        if self._closing is not None:
            peer.due[None] = None

    def _acknowledged(self, peer: _Peer, number: int) -> None:
        for _ in range(number - peer.asked):
            peer.outbox.popleft()
        peer.asked = number

    def _frames(self, peer: _Peer, number: int) -> Frames | None:
        place = number - peer.asked
        if place == len(peer.outbox):
            if not peer.due:
                return None
            key = next(iter(peer.due))
            del peer.due[key]
            if key is not None:
                peer.outbox.append(encode(_sent(self._newest[key], self._epoch(), number)))
            elif self._closing is not None:
                peer.outbox.append(encode(replace(self._closing, number=number)))
        return peer.outbox[place]


def _sent(result: Result, epoch: int, number: int) -> ResultSent:
    return ResultSent(epoch, number, result.node, result.key, result.final, result.value)


class LinkReader:
    """The side that connects. ``window`` messages may be under way.

    ``opening`` is the present OPEN, ``refused`` counts what came and was no message for a reader, ``refusal`` is the
    text of the last ERROR or of what was refused here, until the next OPEN.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        name: str,
        window: int = WINDOW,
        clock: Clock = time.monotonic,
    ) -> None:
        if not 1 <= window <= MOST_CREDIT:
            raise ValueError(f"a window of {window} messages is not within 1 to {MOST_CREDIT}")
        self.name = name
        self.endpoint = endpoint
        self.refused = 0
        self.refusal: str | None = None
        self.opening: Open | None = None
        self._clock = clock
        self._window = window
        self._next = 0
        self._read = 0
        self._granted = 0
        self._mark = 0
        self._quiet_since_s = self._hello_s = -REPEAT_S
        self.socket = context.socket(zmq.DEALER)
        try:
            _configure(self.socket, endpoint, MOST_BYTES)
            # What a reader says is repeated: of what a dead writer did not hear, the last few words are enough.
            self.socket.sndhwm = 4
            self.socket.identity = secrets.token_hex(16).encode()
            self.socket.connect(endpoint)
        except zmq.ZMQError:
            self.socket.close()
            raise
        self._speak()

    def receive(self) -> Iterator[Message]:
        """What has arrived, in order and without repetition: OPEN, CHUNK, GAP, RESULT, CLOSE. Never blocks.

        Each message but OPEN takes one place of the window until `done` is called for it. Arrays are read-only views
        of what arrived and stay valid as long as they are held. To be called, and read to its end, at least every
        REPEAT_S: it also says again what the writer may have missed.
        """
        for _ in range(MOST_AT_ONCE):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            try:
                message = decode([frame.buffer for frame in frames])
                accepted = self._accept(message)
            except WireError as error:
                self.refused += 1
                self.refusal = str(error)[:MOST_NAME]
                continue
            if accepted:
                yield message
        if self._clock() - self._quiet_since_s >= REPEAT_S:
            self._speak()

    def _accept(self, message: Message) -> bool:
        if isinstance(message, Open):
            return self._open(message)
        if isinstance(message, Error):
            # The writer does not know us (any more): introduce ourselves again, but not in a tight circle.
            self.refusal = message.text[:MOST_NAME]
            if self._clock() - self._hello_s >= REPEAT_S:
                self._hello()
            return False
        if not isinstance(message, ChunkSent | GapSent | ResultSent | Close):
            raise WireError(f"{message.kind} is nothing that a writer says")
        if self.opening is None or message.epoch != self.opening.epoch or message.number != self._next:
            return False
        self._next += 1
        self._quiet_since_s = self._clock()
        if isinstance(message, Close) or (isinstance(message, ResultSent) and message.final):
            # Somebody waits for this one to have arrived.
            self._speak()
        return True

    def _open(self, message: Open) -> bool:
        known = self.opening
        if known is not None and message.run == known.run and message.epoch <= known.epoch:
            if message.epoch == known.epoch and message.mark != self._mark:
                self._mark = message.mark
                self._speak()
            return False
        self.opening = message
        self.refusal = None
        self._next = self._read = self._granted = 0
        self._mark = message.mark
        self._speak()
        return True

    def done(self) -> None:
        """One more message has been dealt with: its place in the window is free."""
        # Those of an epoch that has ended meanwhile do not count.
        self._read = min(self._read + 1, self._next)
        if self._read + self._window - self._granted >= max(1, self._window // 2):
            self._speak()

    def _speak(self) -> None:
        if self.opening is None:
            self._hello()
            return
        self._granted = self._read + self._window
        self._send(Need(self.opening.epoch, self._next, self._granted, self._mark))

    def _hello(self) -> None:
        self._hello_s = self._clock()
        self._send(Hello(PROTOCOL, self.name))

    def _send(self, message: Message) -> None:
        self._quiet_since_s = self._clock()
        try:
            self.socket.send_multipart(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            if self.endpoint.startswith("inproc:"):
                self._connect_again()

    def _connect_again(self) -> None:
        """ZeroMQ does not do this by itself between threads, where a writer that ended leaves no connection."""
        # A connection that is only full ends here too; one that is gone already is no error.
        with contextlib.suppress(zmq.ZMQError):
            self.socket.disconnect(self.endpoint)
        self.socket.connect(self.endpoint)

    def stop(self) -> None:
        """Close the socket."""
        self.socket.close()
