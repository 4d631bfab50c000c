"""Processes that belong to this one: none outlives it, and none is needed to end it.

A child's standard input is its lifeline: nobody else holds the other end, so it closes when this process ends, in
whatever way, and the child then ends itself (`hold_lifeline`). Children and their sockets share a private folder; the
last one to leave takes it away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PREFIX = "photonstream-"
# So long a child may take to end when it is told to.
GRACE_S = 2.0
_LOCK = "lock"
MOST_WORDS = 2000
# The path of a unix socket has at most 107 bytes; so many are left for the folder that the private one is made in.
MOST_PARENT_BYTES = 50


@dataclass(frozen=True)
class Death:
    """How a child ended: its exit code (negative: the signal) and the last line that it wrote to standard error."""

    name: str
    code: int
    last_words: str

    @property
    def cause(self) -> str:
        """In a few words."""
        if self.code < 0:
            return f"ended by signal {-self.code}"
        return f"ended with code {self.code}" + (f": {self.last_words}" if self.last_words else "")


class Children:
    """Starts processes by name, tells which have ended, and ends them."""

    def __init__(self) -> None:
        parent = _parent()
        _sweep(parent)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        # It gets its name when it is locked, so that nobody takes the folder for one that was left behind.
        unlocked = self.folder / f"{_LOCK}.new"
        self._lock = unlocked.open("w")
        if sys.platform != "win32":
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        unlocked.rename(self.folder / _LOCK)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start ``command``, in a session of its own: a Ctrl-C at the terminal is for this process alone."""
        with (self.folder / f"{name}.err").open("wb") as err:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=err,
                start_new_session=True,
            )

    @property
    def names(self) -> list[str]:
        """Those that were started and have not been told of as dead."""
        return list(self._processes)

    def dead(self) -> list[Death]:
        """Those that have ended since this was last called."""
        deaths = []
        for name, process in list(self._processes.items()):
            code = process.poll()
            if code is not None:
                del self._processes[name]
                _let_go(process)
                deaths.append(Death(name, code, self._last_words(name)))
        return deaths

    def _last_words(self, name: str) -> str:
        try:
            with (self.folder / f"{name}.err").open("rb") as err:
                err.seek(max(0, err.seek(0, os.SEEK_END) - MOST_WORDS))
                text = err.read(MOST_WORDS).decode(errors="replace")
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if line.strip()]
        # Whoever repeats them says itself who speaks.
        return lines[-1].strip().removeprefix("photonstream: ") if lines else ""

    def stop(self) -> None:
        """End all of them, those who do not end by themselves after GRACE_S, and take the folder away."""
        processes = list(self._processes.values())
        for process in processes:
            _let_go(process)
        until = time.monotonic() + GRACE_S
        try:
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
        finally:
            # Also when somebody does not want to wait.
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()
            self._processes.clear()
            shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.close()


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Cut the lifeline."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _parent() -> Path:
    """Where the private folder is made: where temporary files go, or in /tmp if sockets could have no names there."""
    usual, short = Path(tempfile.gettempdir()), Path("/tmp")
    too_long = len(os.fsencode(usual)) > MOST_PARENT_BYTES
    return short if too_long and os.access(short, os.W_OK) else usual


def _sweep(parent: Path) -> None:
    """Take away folders whose run ended without anybody left to do so: their lock is free.

    On Windows they stay, for nothing there tells whether somebody still lives in them.
    """
    if sys.platform == "win32":
        return
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            # Somebody else's, or a run that lives.
            continue


def hold_lifeline(folder: Path, leave: Callable[[], None] = lambda: None) -> None:
    """In a child: end at once, and take ``folder`` away, when the process that started this one has ended.

    ``leave`` is called before.
    """

    def hold() -> None:
        # Nothing is ever written to it: reading returns when the other end is closed.
        with contextlib.suppress(OSError):
            while os.read(sys.stdin.fileno(), 1024):
                pass
        try:
            leave()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)

    threading.Thread(target=hold, name="lifeline", daemon=True).start()
