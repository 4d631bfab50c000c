"""What Ctrl-C does to a run."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


class Interrupts:
    """Ctrl-C (or SIGTERM) while this is open: the first one ends the stream, the second one ends at once.

    The first one before there is a stream is kept for it.
    """

    def __init__(self) -> None:
        self._asked = False
        self._stop: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def call(self, stop: Callable[[], None]) -> None:
        """What the first one is to do."""
        self._stop = stop
        if self._asked:
            stop()

    def _hear(self, signum: int, frame: object) -> None:
        for number in self._before:
            signal.signal(number, signal.default_int_handler)
        self._asked = True
        if self._stop is not None:
            self._stop()

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
