"""Who may be at the other end of a socket: keys on every tcp connection of a context that has some, none elsewhere.

Every socket is bound and connected by `link.common`, which asks here first; so nothing can be reached from another
machine without keys. On a socket with keys whoever connects has to prove a key that is admitted (ZeroMQ's CURVE and its
authentication protocol, ZAP), and has to know this machine's; all that passes is encrypted.
"""

from __future__ import annotations

import errno
import secrets
import socket as tcp_socket
import threading
import time
from enum import Enum
from weakref import WeakKeyDictionary

import zmq
from zmq.utils.monitor import parse_monitor_message

from photonstream.stream.keys import Keys, KeysError, host_of, leaves_machine

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

TRANSPORTS = ("inproc:", "ipc:", "tcp:")
# How long somebody who has connected may take to prove the key.
HANDSHAKE_S = 5.0
# So many connections in a row that do not come about, or none for so long after one, are no accident: such as that of
# a process that just dies.
MOST_FAILURES = 5
LONGEST_S = 5.0
# In which whoever listens greets, if it is of ZeroMQ.
GREETING_S = 0.5

_DOMAIN = b"photonstream"
_ADMISSION = "inproc://zeromq.zap.01"
_ZAP_VERSION = b"1.0"
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
_TRIED_AGAIN = zmq.EVENT_CONNECT_RETRIED | zmq.EVENT_CONNECT_DELAYED | zmq.EVENT_HANDSHAKE_SUCCEEDED

_keys: WeakKeyDictionary[Context, Keys] = WeakKeyDictionary()


def guard(context: Context, keys: Keys) -> None:
    """Have all tcp sockets of ``context`` that are made from now on use ``keys``."""
    _keys[context] = keys
    socket = context.socket(zmq.REP)
    socket.linger = 0
    socket.bind(_ADMISSION)
    threading.Thread(target=_admit, args=(socket, keys.admitted), name="admission", daemon=True).start()


def _admit(socket: Socket, admitted: frozenset[bytes]) -> None:
    """Answer whether a key is admitted, until the context ends. Requests and replies are those of ZAP 1.0."""
    try:
        while True:
            request = socket.recv_multipart()
            number, mechanism, credentials = request[1], request[5], request[6:]
            known = mechanism == b"CURVE" and len(credentials) == 1 and credentials[0] in admitted
            verdict = (b"200", b"OK") if known else (b"400", b"this key is not admitted")
            socket.send_multipart([_ZAP_VERSION, number, *verdict, b"", b""])
    except zmq.ZMQError:
        # The context has ended, or whoever owns it has closed its sockets.
        return
    finally:
        socket.close()


def secure(socket: Socket, endpoint: str, *, listens: bool) -> None:
    """Set the keys of a socket that is to be at ``endpoint``.

    Raises KeysError, and closes the socket, where it may not be there without keys, or there is none of that host;
    OSError for a transport that could not be protected.
    """
    if not endpoint.startswith(TRANSPORTS):
        socket.close()
        number = errno.EPROTONOSUPPORT
        raise OSError(number, zmq.strerror(number), endpoint)
    host = host_of(endpoint)
    if host is None:
        return
    try:
        _set_keys(socket, endpoint, host, listens=listens)
    except KeysError:
        socket.close()
        raise


def _set_keys(socket: Socket, endpoint: str, host: str, *, listens: bool) -> None:
    keys = _keys.get(socket.context)
    if keys is None:
        if leaves_machine(endpoint):
            raise KeysError(
                f"{endpoint} is open to other machines, which only keys allow: photonstream keys makes them, and "
                "--keys names their folder"
            )
        return
    socket.handshake_ivl = round(HANDSHAKE_S * 1000)
    socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
    if listens:
        socket.zap_domain = _DOMAIN
        # Without somebody to ask nobody is admitted.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.curve_server = True
    else:
        socket.curve_serverkey = keys.of_host(host)


def watch(socket: Socket, events: int) -> Socket:
    """A socket that tells of ``events`` of ``socket``."""
    # The usual name is that of a descriptor, which comes again.
    name = f"inproc://handshakes-{secrets.token_hex(8)}"
    socket.monitor(name, events)
    monitor: Socket = socket.context.socket(zmq.PAIR)
    # Without a bound: ZeroMQ would stop, and everybody with it, until somebody has heard of all who were not let in.
    monitor.rcvhwm = 0
    monitor.connect(name)
    return monitor


def _stop_watching(socket: Socket, monitor: Socket) -> None:
    if not socket.closed:
        socket.disable_monitor()
    monitor.close()


class Refusals:
    """Counts who was not let in at ``socket``, which listens at ``endpoint``: keys missing, wrong or not admitted.

    Each try counts. Where keys are asked for, so does who hangs up within it: either end may be the first to find that
    they do not fit. Without keys that is nobody who was refused, but a reader that is made anew, one that dies, a look
    at who listens. Nothing is counted where there is no handshake, as between processes of one machine.
    """

    def __init__(self, socket: Socket, endpoint: str) -> None:
        self._socket = socket
        events = _FAILED if socket.context in _keys else _FAILED & ~zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        self._monitor = None if host_of(endpoint) is None else watch(socket, events)

    def new(self) -> int:
        """How many have come since it was asked last. Never blocks."""
        count = 0
        while self._monitor is not None and int(self._monitor.get(zmq.EVENTS)) & zmq.POLLIN:
            self._monitor.recv_multipart()
            count += 1
        return count

    def stop(self) -> None:
        """Watch no longer; to be called before the socket is closed."""
        if self._monitor is not None:
            _stop_watching(self._socket, self._monitor)
            self._monitor = None


class Listener(Enum):
    """What is found at an endpoint by whoever connects and says nothing; ZeroMQ greets first."""

    SPEAKS = "greets, or keeps the connection"
    HANGS_UP = "ends it without a word, as a tunnel whose other end has nobody, or cannot be reached"
    RESETS = "breaks it off: a tunnel, or a run that dies just now"
    GONE = "is not there"


def _who_listens(endpoint: str) -> Listener:
    """Connects to a tcp ``endpoint``, and waits for a greeting."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    try:
        connection = tcp_socket.create_connection((host.strip("[]"), int(port)), GREETING_S)
    except ConnectionRefusedError:
        return Listener.GONE
    except (OSError, ValueError):
        return Listener.HANGS_UP
    with connection:
        try:
            return Listener.SPEAKS if connection.recv(1) else Listener.HANGS_UP
        except TimeoutError:
            return Listener.SPEAKS
        except OSError:
            return Listener.RESETS


class Handshakes:
    """Watches the connections of ``socket``: whether they come about (keys may be wrong or missing), and their ends.

    ``lost``: the connection has ended and ZeroMQ makes no new one, as where what came could not be read any more.
    """

    def __init__(self, socket: Socket, endpoint: str) -> None:
        self._endpoint = endpoint
        self._keys = _keys.get(socket.context)
        self._socket = socket
        self._monitor = watch(socket, _FAILED | _TRIED_AGAIN | zmq.EVENT_DISCONNECTED)
        self._in_a_row = 0
        self._failing_since = 0.0
        # What ZeroMQ was told clearly: it does not try again by itself then.
        self.given_up = False
        self.lost = False
        self._not_admitted = False
        # What was found to listen there since the first failure in a row, when somebody looked.
        self._found: set[Listener] = set()

    def look(self) -> None:
        """Take in what has happened. Never blocks."""
        while int(self._monitor.get(zmq.EVENTS)) & zmq.POLLIN:
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            self.lost = event == zmq.EVENT_DISCONNECTED or (self.lost and not event & _TRIED_AGAIN)
            if not event & (_FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED):
                continue
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._in_a_row, self.given_up, self._not_admitted = 0, False, False
                self._found.clear()
                continue
            self._failing_since = self._failing_since if self._in_a_row else time.monotonic()
            self._in_a_row += 1
            self._not_admitted = event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
            self.given_up |= event != zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL

    @property
    def refusal(self) -> str | None:
        """Why there is no connection, in a sentence; None while there may be one."""
        keys = self._keys
        if self._not_admitted and keys is not None:
            return (
                f"{self._endpoint} does not admit the key of this machine: take {keys.name}.public of {keys.folder} "
                "there (photonstream keys --admit), and start anew what listens there"
            )
        if not self._hopeless():
            return None
        if keys is None:
            return (
                f"{self._endpoint} takes no connection without keys (--keys names their folder), or is no address of "
                "photonstream"
            )
        return (
            f"no connection with {self._endpoint} by the keys of {keys.folder}: what listens there has another key "
            "than this folder holds of that host, or uses none"
        )

    def _hopeless(self) -> bool:
        """Whether keys are at fault; whoever hangs up before a word is waited for.

        Looked at once, while whoever refused us is still there: a run may end by that, and then nobody is.
        """
        if self.given_up or not self._in_a_row:
            return self.given_up
        too_long = time.monotonic() - self._failing_since >= LONGEST_S
        enough = self._in_a_row >= MOST_FAILURES or too_long
        if not self._found or (enough and Listener.SPEAKS not in self._found):
            found = _who_listens(self._endpoint)
            self._found.add(found)
            # Whoever refused us and is gone has not hung up before.
            gone = found is Listener.GONE and Listener.HANGS_UP not in self._found
        else:
            gone = False
        if not enough:
            return False
        if Listener.SPEAKS in self._found or gone:
            return True
        self._in_a_row, self._failing_since = 1, time.monotonic()
        return False

    def stop(self) -> None:
        """Watch no longer; to be called before the socket is closed."""
        _stop_watching(self._socket, self._monitor)
