"""A run that is to be disturbed: the simulated device, recorded and followed, in one of the placements."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from photonstream.cli.campaign.growth import Growth
from photonstream.cli.campaign.hosts import ELSEWHERE, two_hosts
from photonstream.cli.campaign.proxy import Line
from photonstream.cli.campaign.recording import read_events
from photonstream.cli.campaign.site import LOOK_S, Site
from photonstream.nodes.pipeline import kinds
from photonstream.nodes.recorder_orders import stop_order
from photonstream.nodes.recording_events import GAP

PLACEMENTS = ("inline", "threads", "processes", "tcp")
PATIENCE_S = 300.0
# What a run reads before it is disturbed, and between two disturbances.
SOME_RECORDS = 20_000
COMMAND, RECORD, PAGE = "command", "record", "dashboard"

T = TypeVar("T")


class StuckError(Exception):
    """Something did not come about, or a process ended that should not have."""


class Scene:
    """One run. ``live``: ``attach``; else a recorder, and ``follow`` beside it. ``settings`` are those of the device.

    ``disk`` is where a recording that is not live goes; ``grown``: it reaches there in random pieces.
    """

    def __init__(
        self,
        site: Site,
        placement: str,
        *,
        live: bool,
        page: bool,
        settings: Mapping[str, int | str],
        disk: Path,
        chance: random.Random,
        grown: bool = False,
    ) -> None:
        self.site = site
        self.placement = placement
        self.settings = settings
        self.chance = chance
        self.out = site.folder / "out"
        self.killed_recorder = False
        self.recorder_failed = False
        self.line: Line | None = None
        self.stack = ExitStack()
        self._live, self._page = live, page
        self._path = None if live else disk / "run.ptu"
        # What the recorder of a run that is not live writes.
        self._recorded = disk / ("recorded.ptu" if grown else "run.ptu")
        self._elsewhere: dict[str, subprocess.Popen[bytes]] = {}
        self._recorder: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it reads records with all of its nodes."""
        device = ["simulated", *(f"--set={self._device(key)}={text}" for key, text in self.settings.items())]
        if self._path is not None:
            self._recorder = self.site.start(
                RECORD, ["record", *device, "--quiet", f"--out={self._recorded}"]
            )
            if self._recorded != self._path:
                growth = Growth(self._recorded, self._path, self.chance.randrange(1 << 30))
                self.stack.callback(growth.stop)
                growth.start()
        self._nodes = self._place()
        if self._live:
            self._start_command(["attach", *device])
        else:
            self.follow()
        self.wait(self.everybody, "not all nodes have started")
        self.go_on()

    def _device(self, key: str) -> str:
        return f"device.{key}" if self._live else key

    def _place(self) -> list[str]:
        """The options that say where the nodes are."""
        if self.placement != "tcp":
            return [f"--placement={self.placement}"]
        run, self._file, self.line = two_hosts(self.site.folder, self.chance.randrange(1 << 30))
        self.stack.callback(self.line.stop)
        for name in ELSEWHERE:
            self._start_elsewhere(name)
        return [f"--topology={run}"]

    def _start_elsewhere(self, name: str) -> None:
        self._elsewhere[name] = self.site.start(f"node {name}", ["node", str(self._file), name])

    def _start_command(self, words: list[str]) -> None:
        page = ["--no-browser"] if self._page else ["--headless"]
        self.command = self.site.start(COMMAND, [*words, *self._nodes, *page, f"--out={self.out}"])

    def follow(self) -> None:
        """Follow the recording from its beginning on."""
        self._live = self._page = False
        self._start_command(["follow", str(self.path), "--idle-timeout=none"])

    # How it is

    def wait(self, condition: Callable[[], T | None], what: str) -> T:
        """Until ``condition`` holds; gives what it came to. Raises StuckError."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if found := condition():
                return found
            self._tend()
            if self.command.poll() is not None:
                raise StuckError(f"{what}, and the run has ended: {self.site.words(COMMAND)[-500:]}")
            time.sleep(LOOK_S)
        raise StuckError(f"{what}, for {PATIENCE_S:g} s")

    def _tend(self) -> None:
        """On the other host, somebody starts again what has died."""
        for name, process in self._elsewhere.items():
            if process.poll() not in (None, 0):
                self._start_elsewhere(name)

    @property
    def path(self) -> Path:
        """The tag file, once it is there."""
        if self._path is None:
            self._path = self.wait(
                lambda: next(self.out.glob("*_simulated.ptu"), None), "there is no recording"
            )
        return self._path

    def nodes(self) -> list[str]:
        """The processes of nodes that there are to be."""
        return [f"node {name}" for name in kinds()] if self.placement in ("processes", "tcp") else []

    def everybody(self) -> dict[str, int] | None:
        """Process ids by name, when every process is there."""
        wanted = {COMMAND, RECORD, *self.nodes(), *([PAGE] if self._page else [])}
        found = self.site.processes()
        return found if wanted <= found.keys() else None

    def pid(self, name: str) -> int:
        """The process of this name, when it is there."""
        return self.wait(lambda: self.site.processes().get(name), f"{name} is not there")

    def size(self) -> int:
        """Size of the tag file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def go_on(self, records: int = SOME_RECORDS) -> None:
        """Let the recording go on for so many records."""
        goal = self.size() + 4 * records
        self.wait(lambda: self.size() > goal, "the recording does not go on")

    def gaps(self) -> int:
        """Gaps in the recording so far."""
        return sum(event.kind == GAP for event in read_events(self.path))

    @property
    def address(self) -> str:
        """Where the results are published."""
        found = self.wait(
            lambda: re.search(r"(tcp://\S+)", self.site.words(COMMAND)), "the run says no address"
        )
        return found[1]

    # Its end

    def finish(self) -> list[str]:
        """End the recording, and wait for the run; what was wrong with its end."""
        wanted = 0
        if self.killed_recorder or self.recorder_failed:
            wanted = 3 if self._live else 0
        elif self._live:
            self.command.send_signal(signal.SIGINT)
        else:
            stop_order(self.path if self._recorder is None else self._recorded).touch()
        code = self._ended(self.command, COMMAND)
        wrong = [] if code == wanted else [f"the run ended with code {code}, not {wanted}"]
        for name, process in self._elsewhere.items():
            ended = self._ended(process, f"node {name}")
            wrong += [] if ended == 0 else [f"node {name} ended with code {ended}"]
        if self._recorder is not None:
            ended, wanted = self._ended(self._recorder, RECORD), 3 if self.recorder_failed else 0
            wrong += [] if ended == wanted else [f"the recorder ended with code {ended}, not {wanted}"]
        for log in sorted(self.site.folder.glob("*.err")):
            text = log.read_text(encoding="utf-8", errors="replace")
            wrong += [f"{log} holds a traceback"] if "Traceback" in text else []
        return wrong

    def _ended(self, process: subprocess.Popen[bytes], name: str) -> int:
        try:
            return process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise StuckError(f"{name} does not end") from None

    def stop(self) -> None:
        """Give back what belongs to the scene itself."""
        self.stack.close()

    def kill(self, name: str) -> int:
        """End a process that cannot hear it coming; which it was."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid
