"""Records that another program sends, over plain TCP or ZeroMQ. docs/attach.md has the protocol of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.drivers.base import DeviceFacts, Driver, Status
from photonstream.nodes.drivers.network_settings import NetworkSettings
from photonstream.nodes.drivers.network_tcp import OverTcp
from photonstream.nodes.drivers.network_zmq import OverZmq


class Network(Driver[NetworkSettings]):
    """Listens for one sender, in the way that the settings name."""

    Settings = NetworkSettings
    summary = "records that another program sends over TCP or ZeroMQ"

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__(settings)
        self._way: OverTcp | OverZmq = OverZmq(settings) if settings.transport == "zmq" else OverTcp(settings)

    @property
    def port(self) -> int:
        """Where it listens, once it was armed; 0 before."""
        return self._way.port

    def listen(self) -> None:
        """Open the port, so that a sender can connect. Raises DeviceError where that cannot be."""
        self._way.listen()

    def arm(self) -> DeviceFacts:
        """Wait for a sender and its header; one that sends something else is refused."""
        return self._way.arm()

    def read_into(self, buffer: NDArray[np.uint32]) -> int:
        """What has arrived, in whole records."""
        return self._way.read_into(buffer)

    def status(self) -> Status:
        """What is known to be lost."""
        return self._way.status()

    def disarm(self) -> None:
        """What has arrived can be read, and no more."""
        self._way.disarm()

    def close(self) -> None:
        """Close the connection and the port."""
        self._way.close()
