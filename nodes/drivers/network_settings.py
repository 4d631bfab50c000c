"""Settings of the driver `network`."""

from __future__ import annotations

from dataclasses import dataclass

from photonstream.stream.keys import is_loopback

TRANSPORTS = ("tcp", "zmq")
# After the first time the recorder asks again and again.
AGAIN_S = 0.05


@dataclass(frozen=True)
class NetworkSettings:
    """Where the sender connects to: ``host``, an address of this machine, and ``port``; ``transport`` is tcp or zmq.

    ``wait_s`` is how long a sender is waited for at the beginning. With zmq, ``host`` may be one that other machines
    reach, with keys; ``keys`` is their folder (default: the usual one, where the host asks for them).
    """

    host: str = "127.0.0.1"
    port: int = 5565
    wait_s: float = 30.0
    transport: str = "tcp"
    keys: str = ""

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise ValueError(f"transport is {' or '.join(TRANSPORTS)}, not {self.transport!r:.40}")
        if self.transport == "tcp" and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} is not a loopback address, and plain tcp is not protected: from another machine "
                "take transport=zmq with keys, or a tunnel, such as that of ssh"
            )
        if self.transport == "tcp" and self.keys:
            raise ValueError("keys are for transport=zmq; plain tcp is not protected")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port is 0 to 65535, not {self.port}")
        if not 0 < self.wait_s <= 3600:
            raise ValueError(f"wait_s is up to 3600 s, not {self.wait_s:g} s")
