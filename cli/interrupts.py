"""What Ctrl-C does to a run, and the end of its terminal."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from typing import Any

# Not on Windows.
_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)


class Interrupts:
    """Ctrl-C (or SIGTERM) while this is open: the first one ends the stream, the second one ends at once.

    The first one before there is a stream is kept for it. A terminal that is closed ends the stream too, unless the
    command was told not to mind that (nohup).
    """

    def __init__(self) -> None:
        self._asked = False
        self._stop: Callable[[], None] | None = None
        self._leave: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def call(self, stop: Callable[[], None], leave: Callable[[], None] | None = None) -> None:
        """What the first one is to do, and the end of the terminal where that is something else."""
        self._stop, self._leave = stop, leave or stop
        if self._asked:
            stop()

    def _hear(self, signum: int, frame: object) -> None:
        for number in self._before:
            # A terminal says more than once that it is closed: that is no impatience.
            signal.signal(number, signal.SIG_IGN if number == _HANGUP else signal.default_int_handler)
        if signum == _HANGUP:
            _leave_terminal()
        self._asked = True
        action = self._leave if signum == _HANGUP else self._stop
        if action is not None:
            action()

    def __enter__(self) -> Interrupts:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if _HANGUP is not None and signal.getsignal(_HANGUP) == signal.SIG_DFL:
            numbers.append(_HANGUP)
        for number in numbers:
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Nobody can be told anything at a terminal that is closed; what goes to a file or a pipe still goes there."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        if stat.S_ISCHR(os.fstat(output).st_mode):
            os.dup2(nowhere, output)
    os.close(nowhere)
