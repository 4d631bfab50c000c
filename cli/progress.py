"""Progress of a run on the terminal: a bar that stays on one line, or now and then a line in a log."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from typing import TextIO

LOG_EVERY_S = 5.0
TERMINAL_EVERY_S = 0.3


class ProgressLine:
    """Shows how far something is. On a terminal one line is redrawn; elsewhere a line at most every 5 s."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._terminal = self._stream.isatty()
        self._last_log = time.monotonic()
        # When the whole began to move and how far it was: what is left is told by the speed since then.
        self._first: tuple[float, float] | None = None
        self._shown = False

    @property
    def interval_s(self) -> float:
        """How often there is something new to show: no need to compute it more often."""
        return TERMINAL_EVERY_S if self._terminal else LOG_EVERY_S

    def show(self, share: float | None, text: str) -> None:
        """Show ``share`` (0 to 1, None where the whole is not known) and what there is to say."""
        now = time.monotonic()
        left = self._left(share, now)
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            line = f"{_bar(share)}{left}{text}"
            write(f"\r\x1b[K{line[: columns - 1]}", self._stream)
            self._shown = True
        elif now - self._last_log >= LOG_EVERY_S:
            percent = "" if share is None else f"{share:4.0%}  "
            write(f"{percent}{left}{text}\n", self._stream)
            self._last_log = now

    def _left(self, share: float | None, now: float) -> str:
        """How long it will still take, where that can be told."""
        if not share:
            return ""
        if self._first is None or share < self._first[1]:
            self._first = now, share
        since_s, done = now - self._first[0], share - self._first[1]
        if since_s < 1.0 or done <= 0.0:
            return ""
        left = round(since_s * (1.0 - share) / done)
        return f"{left // 60}:{left % 60:02d} left  "

    def announce(self, text: str) -> None:
        """Say something that has to be read, on a terminal until the next progress, elsewhere on a line of its own."""
        if self._terminal:
            self.show(None, text)
        else:
            write(f"{text}\n", self._stream)

    def clear(self) -> None:
        """Take the line away, so that what follows begins on a clean one."""
        if self._shown:
            write("\r\x1b[K", self._stream)
            self._shown = False


def say(text: str, stream: TextIO) -> None:
    """A line of what is worth knowing and not a result: where nobody reads it any more, the run goes on."""
    write(f"{text}\n", stream)


def write(text: str, stream: TextIO) -> None:
    """``text`` at once, or not at all where the reader has gone."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # The end of a pipe (such as `| head`), or a terminal that was closed.
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        # What is still in its buffer goes nowhere either, also at the end of the program.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _bar(share: float | None, width: int = 20) -> str:
    if share is None:
        return ""
    done = round(min(1.0, max(0.0, share)) * width)
    return f"[{'#' * done}{'.' * (width - done)}] {share:4.0%}  "
