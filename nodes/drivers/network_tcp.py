"""Records over a plain TCP connection on this machine: a header line in JSON, then records until it is closed."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import time

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.nodes.drivers.network_header import LONGEST_HEADER, read_header
from photonstream.nodes.drivers.network_settings import AGAIN_S, NetworkSettings

# A program that has connected says what it sends within so long; so many are heard at the same time.
HEADER_S, MOST_CALLERS = 5.0, 16
# So many may wait to be heard, as far as the system keeps them.
MOST_WAITING = 128
# There is no descriptor or no memory for one more connection at the moment.
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Characters of what is said against somebody.
MOST_SAID = 200
# `select` ends at descriptor 1024; of the others, this one needs no descriptor itself, and there may be none left.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class OverTcp(Driver[NetworkSettings]):
    """Listens for one sender: a header line in JSON, then raw little-endian records until it closes."""

    Settings = NetworkSettings

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__(settings)
        self._listener: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._rest = b""
        self._stopped = False
        # Bytes that are still taken once it is stopped.
        self._room = 0
        self._lost: int | None = None
        # Who has connected and not said a whole header yet: what it has said, and until when it may.
        self._callers: dict[socket.socket, tuple[bytes, float]] = {}
        self._refused, self._last_refusal = 0, ""
        # Whether a sender has ever been heard.
        self._known = False

    @property
    def port(self) -> int:
        """Where it listens, once it was armed; 0 before."""
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    def arm(self) -> DeviceFacts:
        """Wait for a sender and its header; whoever says something else, or hangs up, is refused and counted."""
        self._hang_up()
        self.listen()
        facts, lost = self._await_sender(AGAIN_S if self._known else self.settings.wait_s)
        self._stopped, self._known = False, True
        self._lost = lost if lost is None else max(lost, self._lost or 0)
        return facts

    def _await_sender(self, wait_s: float) -> tuple[DeviceFacts, int | None]:
        until = time.monotonic() + wait_s
        # Whether the time is over and all who had connected until then were let in.
        all_in = False
        while True:
            now = time.monotonic()
            for caller, (_, latest) in list(self._callers.items()):
                if now >= latest:
                    self._refuse(caller, f"it said no header within {HEADER_S:g} s")
            for caller in self._speaking(now, None if all_in else until):
                if (found := self._hear(caller)) is not None:
                    return found
            if not all_in and (found := self._let_in()) is not None:
                return found
            # A caller that came in time may say its header, but for who waits to record on.
            if all_in and (self._known or not self._callers):
                refused = f"; {self._refusals()}" if self._refused else ""
                place = f"{self.settings.host}:{self.port}"
                raise DeviceError(
                    Cause.DEVICE_GONE, f"no program has connected to {place} to send records{refused}"
                )
            all_in = now >= until

    def _speaking(self, now: float, until: float | None) -> list[socket.socket]:
        """Callers that have something to say; waits for that, or for one to connect ``until`` then."""
        assert self._listener is not None
        moments = [latest for _, latest in self._callers.values()]
        if until is not None:
            moments.append(until)
        wait_s = 0.0 if until is None and self._known else max(0.0, min(moments, default=now) - now)
        with _Selector() as selector:
            for each in [*([] if until is None else [self._listener]), *self._callers]:
                selector.register(each, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select(wait_s)}
        return [caller for caller in self._callers if caller in ready]

    def _let_in(self) -> tuple[DeviceFacts, int | None] | None:
        """Let in all who have connected; where there are too many, the one that has been silent longest goes."""
        assert self._listener is not None
        for _ in range(MOST_WAITING):
            if len(self._callers) >= MOST_CALLERS and (found := self._make_room()) is not None:
                return found
            try:
                caller, _ = self._listener.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in NO_ROOM:
                    # Who has hung up by now was nobody.
                    continue
                if not self._callers:
                    time.sleep(AGAIN_S)
                    return None
                if (found := self._make_room()) is not None:
                    return found
                continue
            caller.setblocking(False)
            self._callers[caller] = b"", time.monotonic() + HEADER_S
        return None

    def _make_room(self) -> tuple[DeviceFacts, int | None] | None:
        """Refuse a caller, unless it has just said its header."""
        silent = (caller for caller, (said, _) in self._callers.items() if not said)
        oldest = next(silent, next(iter(self._callers)))
        found = self._hear(oldest)
        if found is None and oldest in self._callers:
            self._refuse(oldest, "it said no header, and others came")
        return found

    def _hear(self, caller: socket.socket) -> tuple[DeviceFacts, int | None] | None:
        """Take what ``caller`` says; once that is a header it is the sender."""
        before, latest = self._callers[caller]
        try:
            piece = caller.recv(4096)
        except BlockingIOError:
            return None
        except OSError as error:
            self._refuse(caller, f"it broke off: {error.strerror}")
            return None
        line, end, rest = (before + piece).partition(b"\n")
        if not end:
            self._callers[caller] = line, latest
            if not piece or len(line) > LONGEST_HEADER:
                self._refuse(caller, "what it says is no header: it has no end of line")
            return None
        try:
            found = read_header(line)
        except (ValueError, RecursionError) as error:
            self._refuse(caller, f"what it says is no header: {error}")
            return None
        del self._callers[caller]
        self._sender, self._rest = caller, rest
        for other in list(self._callers):
            self._refuse(other, "another program was heard first")
        return found

    def _refuse(self, caller: socket.socket, why: str) -> None:
        del self._callers[caller]
        with contextlib.suppress(OSError):
            caller.close()
        self._refused, self._last_refusal = self._refused + 1, why[:MOST_SAID]

    def _refusals(self) -> str:
        count = "1 connection was" if self._refused == 1 else f"{self._refused} connections were"
        return f"{count} none of a sender; the last one: {self._last_refusal}"

    def listen(self) -> None:
        """Open the port, so that a sender can connect. Raises DeviceError where it is taken."""
        if self._listener is not None:
            return
        family = socket.AF_INET6 if ":" in self.settings.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.settings.host, self.settings.port))
            listener.listen(MOST_WAITING)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            place = f"{self.settings.host}:{self.settings.port}"
            raise DeviceError(Cause.DRIVER_ERROR, f"cannot listen at {place}: {error.strerror}") from error
        self._listener = listener

    def read_into(self, buffer: NDArray[np.uint32]) -> int:
        """What has arrived, in whole records."""
        if self._sender is None:
            return 0
        view = memoryview(buffer.data).cast("B")
        held, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(held)] = held
        filled, over = len(held), False
        while filled < len(view) and not over:
            most = len(view) - filled if not self._stopped else min(self._room, len(view) - filled)
            try:
                count = self._sender.recv_into(view[filled:], most) if most else 0
            except BlockingIOError:
                break
            except OSError:
                count = 0
            filled, over = filled + count, count == 0
            self._room -= count if self._stopped else 0
        whole = filled // 4
        self._rest = bytes(view[whole * 4 : filled]) + self._rest
        if over and not whole:
            self._over()
        return whole

    def _over(self) -> None:
        """The sender has closed; half a record is nothing. Raises DeviceError where it was not asked to end."""
        self._hang_up()
        if not self._stopped:
            raise DeviceError(
                Cause.DEVICE_GONE, "the program that sends the records has closed the connection"
            )

    def status(self) -> Status:
        """The sender says when it connects what it has lost before."""
        return Status(lost_records=self._lost, warnings=(self._refusals(),) if self._refused else ())

    def disarm(self) -> None:
        """What has arrived can be read, and no more; the sender is told by the end of the connection."""
        if self._stopped or self._sender is None:
            return
        self._stopped = True
        # As much as may have arrived: a sender that goes on would never be done.
        self._room = self._sender.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def _hang_up(self) -> None:
        if self._sender is not None:
            with contextlib.suppress(OSError):
                self._sender.close()
        self._sender, self._rest = None, b""

    def close(self) -> None:
        """Close the connection and the port."""
        self._hang_up()
        for caller in self._callers:
            caller.close()
        self._callers.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
