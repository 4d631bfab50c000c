"""The side of a link that binds: what it knows of its readers, and its two policies."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import zmq

from photonstream.stream.chunk import Result
from photonstream.stream.link.common import (
    FORGET_S,
    MOST_AT_ONCE,
    MOST_CREDIT,
    MOST_NAME,
    MOST_NUMBER,
    MOST_READERS,
    NOW,
    REPEAT_S,
    UNBIND_S,
    Clock,
    Context,
    bind,
    configure,
    take,
    unlink,
)
from photonstream.stream.link.guard import Refusals, watch
from photonstream.stream.link.passing import hand_over, passes
from photonstream.stream.wire import (
    COPY_BYTES,
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
    Numbered,
    Open,
    ResultSent,
    WireError,
    chunk_as_received,
    decode,
    encode,
    result_as_received,
    sealed,
)

_Key = tuple[str, str]
# What is sent: frames, or, between threads, the message itself.
_Parcel = Frames | Message


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
    outbox: deque[_Parcel] = field(default_factory=deque)
    due: dict[_Key | None, None] = field(default_factory=dict)


class _Writer(ABC):
    """The side that binds: knows its readers by what they say."""

    def __init__(self, context: Context, endpoint: str, clock: Clock) -> None:
        self._context = context
        self.socket = context.socket(zmq.ROUTER)
        # Readers send no arrays.
        configure(self.socket, endpoint, MOST_HEADER_BYTES)
        # A reader keeps its identity when it connects again; the new connection takes the place of the dead one.
        self.socket.router_handover = True
        self.endpoint = bind(self.socket, endpoint)
        self._refusals = Refusals(self.socket, endpoint)
        self.refused = 0
        self._passes = passes(self.endpoint)
        self._clock = clock
        self._opening: Open | None = None
        self._peers: dict[bytes, _Peer] = {}

    def service(self) -> None:
        """Take in whatever readers have said, and send what they may have. Never blocks."""
        for _ in range(MOST_AT_ONCE):
            came = take(self.socket)
            if came is None:
                break
            identity, *frames = came
            try:
                self._hear(identity, decode(frames))
            except WireError as error:
                self.refused += 1
                self._send(identity, encode(Error(str(error)[:MOST_NAME])))
        self.refused += self._refusals.new()
        self._serve_all()

    @property
    def urgent(self) -> bool:
        """Whether what readers say now decides about what is sent; what else they say can wait a little."""
        return any(peer.asked < 0 or peer.doubt for peer in self._peers.values())

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

    @abstractmethod
    def _admit(self, name: str) -> None:
        """Raise WireError unless a reader of this name may come."""

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

    @abstractmethod
    def _place(self, peer: _Peer, number: int) -> None:
        """Begin to serve ``peer`` from ``number``: its first NEED of an epoch, or one that goes back."""

    @abstractmethod
    def _acknowledged(self, peer: _Peer, number: int) -> None:
        """``peer`` has all before ``number``: set ``asked``, and release what nobody needs any more."""

    @abstractmethod
    def _parcel(self, peer: _Peer, number: int) -> _Parcel | None:
        """The message of this number for ``peer``, the same whenever it is asked for; None: not there yet."""

    def _serve_all(self) -> None:
        for identity, peer in self._peers.items():
            self._serve(identity, peer)

    def _serve(self, identity: bytes, peer: _Peer) -> None:
        if peer.asked < 0 or peer.doubt:
            return
        while peer.sent < peer.limit and (parcel := self._parcel(peer, peer.sent)) is not None:
            self._send(identity, parcel)
            peer.sent += 1
            peer.reached = max(peer.reached, peer.sent)
            peer.sent_s = self._clock()

    def _begin(self, opening: Open) -> None:
        """Begin an epoch: every reader is told, and has to ask anew."""
        known = self._opening
        if known is not None and opening.run == known.run and opening.epoch <= known.epoch:
            raise ValueError(f"epoch {opening.epoch} cannot follow epoch {known.epoch}")
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

    def _send(self, identity: bytes, parcel: _Parcel) -> None:
        # Not mandatory: ZeroMQ drops what is for a reader that is gone, and the link finds that out by itself.
        if isinstance(parcel, Message):
            self.socket.send_multipart([identity, hand_over(self._context, parcel)], NOW)
            return
        frames = parcel if self._passes else sealed(parcel)
        copy = sum(len(frame) for frame in frames) < COPY_BYTES
        self.socket.send_multipart([identity, *frames], NOW, copy=copy)

    def stop(self) -> None:
        """Close the socket. Afterwards the endpoint is free, and the file of an ipc endpoint is gone."""
        if self.socket.closed:
            return
        self._refusals.stop()
        listening = not self.endpoint.startswith("inproc:")
        monitor = watch(self.socket, zmq.EVENT_CLOSED | zmq.EVENT_CLOSE_FAILED) if listening else None
        if monitor is None:
            self.socket.unbind(self.endpoint)
        # Others are not unbound before: that would drop what is half sent at once (`LINGER_S`).
        self.socket.close()
        if monitor is not None:
            # The listener is closed by ZeroMQ's own thread; a new one must not come before.
            monitor.poll(round(UNBIND_S * 1000))
            monitor.close()
        unlink(self.endpoint, own=True)


class LosslessWriter(_Writer):
    """Every message, in order, to each of the named readers (none: messages are dropped)."""

    def __init__(
        self, context: Context, endpoint: str, readers: Collection[str], clock: Clock = time.monotonic
    ) -> None:
        super().__init__(context, endpoint, clock)
        self.behind: set[str] = set()
        self._readers = frozenset(readers)
        self._kept: deque[_Parcel] = deque()
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
        numbered = replace(message, number=self.next_number)
        if not self._passes:
            self._kept.append(encode(numbered))
        else:
            shared = chunk_as_received(numbered) if isinstance(numbered, ChunkSent) else numbered
            self._kept.append(shared)
        self._serve_all()
        self._release()

    @property
    def urgent(self) -> bool:
        return not self.room or super().urgent

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

    def _parcel(self, peer: _Peer, number: int) -> _Parcel | None:
        if peer.name in self.behind or number >= self.next_number:
            return None
        return self._kept[number - self._first_kept]


class LatestWriter(_Writer):
    """The newest result of every (node, key), to any reader."""

    def __init__(self, context: Context, endpoint: str, clock: Clock = time.monotonic) -> None:
        super().__init__(context, endpoint, clock)
        self.superseded = 0
        self._newest: dict[_Key, Numbered | ResultSent] = {}
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

        A result after CLOSE takes the CLOSE back: it has to be put again. Raises ValueError before `open`, WireError
        for what cannot be sent.
        """
        epoch = self._epoch()
        key: _Key | None = None
        if isinstance(message, Close):
            if message.epoch != epoch:
                raise ValueError(f"CLOSE of epoch {message.epoch} in epoch {epoch}")
            self._closing = message
        else:
            key = (message.node, message.key)
            # What cannot be sent is found here, not later in `service`.
            sent = _sent(message, epoch, 0)
            newest = result_as_received(sent) if self._passes else Numbered(sent)
            self._newest.pop(key, None)
            self._newest[key] = newest
            if self._closing is not None:
                self._closing = None
                for peer in self._peers.values():
                    peer.due.pop(None, None)
        for peer in self._peers.values():
            self.superseded += key in peer.due
            # What was put last comes last.
            peer.due.pop(key, None)
            peer.due[key] = None
        self._serve_all()

    def service(self) -> None:
        """Take in whatever readers have said, and send what they may have. Never blocks."""
        super().service()
        now_s = self._clock()
        self._peers = {i: peer for i, peer in self._peers.items() if now_s - peer.heard_s < FORGET_S}

    @property
    def urgent(self) -> bool:
        return not self._peers or any(peer.due for peer in self._peers.values()) or super().urgent

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

    def _parcel(self, peer: _Peer, number: int) -> _Parcel | None:
        place = number - peer.asked
        if place == len(peer.outbox):
            if not peer.due:
                return None
            key = next(iter(peer.due))
            del peer.due[key]
            if key is not None:
                newest = self._newest[key]
                if isinstance(newest, Numbered):
                    peer.outbox.append(newest.frames(number))
                else:
                    peer.outbox.append(replace(newest, number=number))
            elif self._closing is not None:
                close = replace(self._closing, number=number)
                peer.outbox.append(close if self._passes else encode(close))
        return peer.outbox[place]


def _sent(result: Result, epoch: int, number: int) -> ResultSent:
    return ResultSent(epoch, number, result.node, result.key, result.final, result.value, result.stamp)
