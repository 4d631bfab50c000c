"""Where one disturbed run takes place: its folder, all of its processes, and what must not be left of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from photonstream.cli.campaign.clock import clock_environment
from photonstream.cli.processes import all_pids, what_it_does
from photonstream.cli.running import COMMAND

# Every process of a run has this in its environment, with a value that no other run has.
MARK = "PHOTONSTREAM_CAMPAIGN"
# How long what is to go away by itself may take.
GONE_WITHIN_S = 30.0
LOOK_S = 0.02


class Site:
    """A folder of its own for everything that a run writes, also its temporary files, under ``parent``.

    With ``clock`` the wall clock of its processes can be set (`set_clock`).
    """

    def __init__(self, parent: Path, *, clock: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        # The names of sockets are short.
        self.temporary = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
        self._mark = secrets.token_hex(8)
        self._environment = os.environ | {MARK: self._mark, "TMPDIR": str(self.temporary)}
        if clock:
            self._environment |= clock_environment(self.folder)
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def start(self, name: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start ``photonstream WORDS``, called ``name`` from now on; what it says goes to files of that name."""
        streams = [self.log(name, kind).open("ab") for kind in ("out", "err")]
        self._logs += streams
        process = subprocess.Popen(
            [*COMMAND, *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=streams[0],
            stderr=streams[1],
            start_new_session=True,
        )
        self._started[name] = process
        return process

    def log(self, name: str, kind: str) -> Path:
        """What process ``name`` has said: ``out`` or ``err``."""
        return self.folder / f"{name.replace(' ', '_')}.{kind}"

    def words(self, name: str) -> str:
        """What process ``name`` has said to standard error."""
        place = self.log(name, "err")
        return place.read_text(encoding="utf-8", errors="replace") if place.exists() else ""

    def processes(self) -> dict[str, int]:
        """Process ids by name: ``node NAME``, ``dashboard``, ``record``, or as it was started."""
        ours = {process.pid: name for name, process in self._started.items()}
        found = {}
        for pid in self._living():
            name = ours.get(pid) or what_it_does(pid)
            if name is not None:
                found[name] = pid
        return found

    def _living(self) -> list[int]:
        mark = f"{MARK}={self._mark}".encode()
        found = []
        for pid in all_pids():
            # A process that has ended and was not asked for yet has no environment.
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found.append(pid)
        return found

    def left(self) -> list[str]:
        """What is still there although all is over, in sentences."""
        until = time.monotonic() + GONE_WITHIN_S
        while time.monotonic() < until and (self._living() or any(self.temporary.iterdir())):
            for process in self._started.values():
                process.poll()
            time.sleep(LOOK_S)
        found = [f"process {name} ({pid}) is still there" for name, pid in self.processes().items()]
        return found + [f"{path} is still there" for path in sorted(self.temporary.iterdir())]

    def end(self) -> None:
        """End every process that is left."""
        for pid in self._living():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started.values():
            process.wait()
        for log in self._logs:
            log.close()
        shutil.rmtree(self.temporary, ignore_errors=True)
