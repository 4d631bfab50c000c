"""Records over a plain TCP connection on this machine: a header line in JSON, then records until it is closed."""

from __future__ import annotations

import contextlib
import socket

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.nodes.drivers.network_header import LONGEST_HEADER, read_header
from photonstream.nodes.drivers.network_settings import AGAIN_S, NetworkSettings

# A program that has connected says what it sends within so long.
HEADER_S = 5.0


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

    @property
    def port(self) -> int:
        """Where it listens, once it was armed; 0 before."""
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    def arm(self) -> DeviceFacts:
        """Wait for a sender and its header; one that sends something else is refused."""
        self._hang_up()
        first = self._listener is None
        self.listen()
        assert self._listener is not None
        self._listener.settimeout(self.settings.wait_s if first else AGAIN_S)
        try:
            self._sender, _ = self._listener.accept()
        except TimeoutError:
            place = f"{self.settings.host}:{self.port}"
            raise DeviceError(
                Cause.DEVICE_GONE, f"no program has connected to {place} to send records"
            ) from None
        self._stopped = False
        try:
            facts, lost = read_header(self._header())
        except (ValueError, OSError) as error:
            self._hang_up()
            raise DeviceError(Cause.DRIVER_ERROR, f"what the sender says is no header: {error}") from error
        self._lost = lost if lost is None else max(lost, self._lost or 0)
        self._sender.setblocking(False)
        return facts

    def listen(self) -> None:
        """Open the port, so that a sender can connect. Raises DeviceError where it is taken."""
        if self._listener is not None:
            return
        family = socket.AF_INET6 if ":" in self.settings.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.settings.host, self.settings.port))
            listener.listen(1)
        except OSError as error:
            listener.close()
            place = f"{self.settings.host}:{self.settings.port}"
            raise DeviceError(Cause.DRIVER_ERROR, f"cannot listen at {place}: {error.strerror}") from error
        self._listener = listener

    def _header(self) -> bytes:
        assert self._sender is not None
        self._sender.settimeout(HEADER_S)
        said = b""
        while b"\n" not in said:
            piece = self._sender.recv(4096)
            if not piece or len(said) > LONGEST_HEADER:
                raise ValueError("it has no end of line")
            said += piece
        line, self._rest = said.split(b"\n", 1)
        return line

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
        return Status(lost_records=self._lost)

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
        if self._listener is not None:
            self._listener.close()
            self._listener = None
