"""A reader at the public address of a run, in a thread of its own."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from photonstream.stream.link import LinkReader, Waiter, new_context
from photonstream.stream.wire import Open, ResultSent


class Watch(threading.Thread, ABC):
    """Notes every result that is published at ``address``, until ``end`` is set."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.end = threading.Event()

    def run(self) -> None:
        context = new_context()
        reader, waiter = LinkReader(context, self.address, "bench"), Waiter()
        waiter.watch(reader.socket)
        while not self.end.is_set():
            waiter.wait(0.2)
            for message in reader.receive():
                if isinstance(message, Open):
                    continue
                if isinstance(message, ResultSent):
                    self.note(time.monotonic(), (message.node, message.key), message.value)
                reader.done()
        reader.stop()
        context.term()

    @abstractmethod
    def note(self, now: float, what: tuple[str, str], value: Any) -> None:
        """The value of a result, ``what`` its node and key."""
