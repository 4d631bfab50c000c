"""What both ends of a link share: bounds, socket options, and waiting for several sockets."""

from __future__ import annotations

import errno
import math
import socket as unix_socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from photonstream.stream.keys import Keys
from photonstream.stream.link.guard import Context as Context
from photonstream.stream.link.guard import Socket, guard, secure

REPEAT_S = 0.2
LONGEST_REPEAT_S = 1.0
# How many messages may be under way: few of the photons, which are large; more of the results, which are many.
WINDOW = 4
RESULTS_WINDOW = 16
# A `latest` reader that is silent for longer is forgotten; should it come back, it is sent everything again.
FORGET_S = 10.0
MOST_READERS = 64
MOST_CREDIT = 4096
# What comes in to be refused, in terms of what is taken, and in bytes.
OVERSIZE, MOST_OVERSIZE = 8, 1 << 24
# Numbers stay far below what msgpack can hold.
MOST_NUMBER = 1 << 62
MOST_NAME = 200
# So many messages are taken in one call, so that a flood cannot keep a node from its work.
MOST_AT_ONCE = 1000
# A cut that neither side is told of (cable, suspended machine) is noticed after this long: the system asks the other
# end so often while there is nothing to say. ZeroMQ's own heartbeats are not used: where it has stopped to read from a
# connection, as from one whose place another has taken, they end the whole process when that one breaks off.
ASK_S = 5
DEAD_S = 20
# Whoever binds gives what is half sent so long to be sent when it closes: were it dropped, a reader that dies at that
# moment would end the whole process.
LINGER_S = 0.5
# A connection on which nothing is heard though an answer is due is made anew after the first of these, then after twice
# as long each time: a large message on a slow line has to come through some time.
SILENT_S, MOST_SILENT_S = 4.0, 64.0
# How long `stop` waits for the system to take the endpoint back.
UNBIND_S = 2.0
_IPC = "ipc://"
_LOOK_AGAIN_S = 0.01
# As plain numbers: flags of an enumeration cost more than the calls they are for.
_EVENTS, _IN = int(zmq.EVENTS), int(zmq.POLLIN)
NOW = int(zmq.NOBLOCK)

Clock = Callable[[], float]


def new_context(keys: Keys | None = None) -> Context:
    """The one context of a process (or of a run of threads); ``keys`` are for all of its tcp sockets."""
    context: Context = zmq.Context()
    if keys is not None:
        guard(context, keys)
    return context


class Waiter:
    """Waits for the first of several sockets to have something."""

    def __init__(self) -> None:
        self._always = zmq.Poller()
        # All sockets, for while somebody waits for what comes at one of those that are not always urgent.
        self._all = zmq.Poller()
        self._urgent: list[Callable[[], bool]] = []
        # Sockets that had something, None where each of them is to be looked at.
        self._ready: set[Socket] | None = None
        self._look_at_all_s = 0.0

    def watch(self, socket: Socket, urgent: Callable[[], bool] | None = None) -> None:
        """Wake up for ``socket`` too; where ``urgent`` is given, only while that is so."""
        self._all.register(socket, zmq.POLLIN)
        if urgent is None:
            self._always.register(socket, zmq.POLLIN)
        else:
            self._urgent.append(urgent)

    def wait(self, seconds: float) -> bool:
        """Until something has come, or for ``seconds``; whether something has."""
        poller = self._all if any(urgent() for urgent in self._urgent) else self._always
        came = poller.poll(math.ceil(seconds * 1000))
        self._ready = {socket for socket, _ in came}
        now_s = time.monotonic()
        if not came or now_s >= self._look_at_all_s:
            self._ready = None
            self._look_at_all_s = now_s + REPEAT_S / 2
        return bool(came)

    def came(self, socket: Socket) -> bool:
        """Whether it is worth a look at ``socket`` since the last `wait`: something came there.

        Or it is time for a look at each of them, since a reader also has to say now and then what it needs.
        """
        return self._ready is None or socket in self._ready


class Silence:
    """How long nothing has been heard of the other end, and whether the connection is to be made anew for it.

    A size that was corrupted on the line ends nothing: what comes after it is waited for as part of a message, or,
    where the same is said again and again, read from a wrong place each time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ends()

    def ends(self) -> None:
        """Something was heard, or none was due before now."""
        self._since_s = self._again_s = self._clock()
        self._patience_s = SILENT_S

    @property
    def lasts_s(self) -> float:
        """For how long nothing has been heard."""
        return self._clock() - self._since_s

    @property
    def too_long(self) -> bool:
        """Whether the connection is to be made anew; says so once, and then after twice the time."""
        if self._clock() - self._again_s < self._patience_s:
            return False
        self._again_s, self._patience_s = self._clock(), min(2 * self._patience_s, MOST_SILENT_S)
        return True


def has_come(socket: Socket) -> bool:
    """Whether there is something to receive: far cheaper to ask than to try in vain."""
    return bool(int(socket.get(_EVENTS)) & _IN)


def take(socket: Socket) -> list[bytes] | None:
    """A message that has come, None where there is none. Never blocks."""
    try:
        return socket.recv_multipart(NOW) if has_come(socket) else None
    except zmq.Again:
        return None


def take_uncopied(socket: Socket) -> list[zmq.Frame] | None:
    """As `take`, with the buffers in which it arrived."""
    try:
        return socket.recv_multipart(NOW, copy=False) if has_come(socket) else None
    except zmq.Again:
        return None


def configure(socket: Socket, endpoint: str, most_bytes: int) -> None:
    """Set the options of a new socket for messages of up to ``most_bytes``.

    One that is somewhat larger still comes in, so that it can be refused and counted; the frame of a much larger one
    ends its connection.
    """
    socket.linger = 0
    # Credit bounds what is under way. ZeroMQ drops (ROUTER) beyond this bound, which credit cannot reach even though a
    # pipe learns only in halves of it what was read; it is there for strangers who send and never read.
    socket.sndhwm = 4 * MOST_CREDIT
    # Without a bound: a ping of somebody from whom ZeroMQ has stopped to read, and who is gone, ends the whole process.
    socket.rcvhwm = 0
    socket.maxmsgsize = max(most_bytes, min(OVERSIZE * most_bytes, MOST_OVERSIZE))
    if endpoint.startswith("tcp:"):
        socket.tcp_keepalive = 1
        socket.tcp_keepalive_idle = socket.tcp_keepalive_intvl = ASK_S
        socket.tcp_keepalive_cnt = DEAD_S // ASK_S - 1
        socket.tcp_maxrt = 1000 * DEAD_S


def bind(socket: Socket, endpoint: str) -> str:
    """Bind ``socket``; returns where, with the port that was free if port 0 was asked for.

    Raises OSError with the endpoint, and closes the socket, where that cannot be; KeysError where keys are missing.
    """
    secure(socket, endpoint, listens=True)
    socket.linger = round(LINGER_S * 1000)
    with _said_plainly(socket, endpoint):
        # The file of a unix socket is taken over by whoever comes last: only a dead one's may be.
        if _somebody_listens(endpoint):
            raise zmq.ZMQError(errno.EADDRINUSE)
        socket.bind(endpoint)
    bound = socket.last_endpoint
    return bound.decode() if isinstance(bound, bytes) else str(bound)


def connect(socket: Socket, endpoint: str) -> None:
    """Connect ``socket``. Raises OSError with the endpoint, and closes the socket, for what is no endpoint.

    Raises KeysError where keys are missing.
    """
    secure(socket, endpoint, listens=False)
    with _said_plainly(socket, endpoint):
        socket.connect(endpoint)


def unlink(endpoint: str, *, own: bool = False, patience_s: float = 0.0) -> None:
    """Take away the file of an ipc endpoint, which ZeroMQ leaves; not where somebody listens who is not our ``own``.

    ``patience_s``: how long somebody who listens may take to end, as one who is just dying.
    """
    if not endpoint.startswith(_IPC):
        return
    end_s = time.monotonic() + patience_s
    while not own and (taken := _somebody_listens(endpoint)) and time.monotonic() < end_s:
        time.sleep(_LOOK_AGAIN_S)
    if own or not taken:
        Path(endpoint.removeprefix(_IPC)).unlink(missing_ok=True)


def _somebody_listens(endpoint: str) -> bool:
    """Whether the file of an ipc endpoint leads to a socket that is open; False for any other endpoint."""
    if not endpoint.startswith(_IPC) or sys.platform == "win32":
        return False
    with unix_socket.socket(unix_socket.AF_UNIX) as probe:
        probe.setblocking(False)
        # EAGAIN: so many are there that one more has to wait.
        return probe.connect_ex(endpoint.removeprefix(_IPC)) in (0, errno.EAGAIN)


@contextmanager
def _said_plainly(socket: Socket, endpoint: str) -> Iterator[None]:
    try:
        yield
    except zmq.ZMQError as error:
        socket.close()
        number = error.errno or 0
        raise OSError(number, zmq.strerror(number), endpoint) from error
