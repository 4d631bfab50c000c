"""A run from the command line: its placement, its page, and what is printed and written when its results are final."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from photonstream.cli.folders import announce
from photonstream.cli.news import News
from photonstream.cli.progress import ProgressLine, say
from photonstream.cli.quantities import port, with_prefix
from photonstream.cli.run_record import RunRecord
from photonstream.cli.summary import summary_table
from photonstream.dashboard.delays import delay_words, delays_of
from photonstream.dashboard.folder import RunFolder, read_folder
from photonstream.nodes.results import RESULT, WRITING
from photonstream.stream.keys import Keys, keys_for
from photonstream.stream.node import ParameterError
from photonstream.stream.processes import ProcessesRunner
from photonstream.stream.runner import InlineRunner, Outcome, Progress, Runner
from photonstream.stream.supervisor import ANYWHERE, Device, PlacedRunner, Watch
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology_file import TopologyFile

# How often a run looks whether beta is known well enough.
LOOK_S = 0.1
# A replay that is to end by that waits at this recorded time for the first fit, then reads this many times as far as
# the newest fit knows of; a fit that does not come (long bins, no photons) is not waited for longer than this.
FIRST_HOLD_S, FURTHER, LONGEST_FIT_S = 2.5, 1.2, 30.0
# A ledger that does not balance, or results that could not be written.
BROKEN = 3
PAGE = "page"
_WRITTEN = (RESULT, WRITING)
# Never what lies in the folder where the command was typed.
COMMAND = (sys.executable, "-P", "-m", "photonstream.cli")


def node_command(topology: Path, name: str, keys: Keys | None = None) -> list[str]:
    """The command of the process of node ``name``, which ends with this one."""
    return [*COMMAND, "node", str(topology), name, "--lifeline", *_keys_option(keys)]


def _keys_option(keys: Keys | None) -> list[str]:
    return [] if keys is None else ["--keys", str(keys.folder)]


class Page:
    """The process that serves the page: its command, and the address that it names once it is there."""

    def __init__(self, port: int, *, browser: bool) -> None:
        self.keys: Keys | None = None
        self._port = port
        self._browser = browser
        self._file: Path | None = None
        self.url: str | None = None

    def command(self, address: str, folder: Path) -> list[str]:
        """A page that is started again takes the port that it had."""
        self._file = folder / "page.url"
        port = self.url.rstrip("/").rpartition(":")[2] if self.url is not None else str(self._port)
        options = ["--port", port, "--no-browser", "--announce", str(self._file), "--lifeline"]
        return [*COMMAND, "dashboard", address, *options, *_keys_option(self.keys)]

    def look(self) -> str | None:
        """The address of the page, once; then a browser is opened, too."""
        if self.url is not None or self._file is None or not self._file.exists():
            return None
        self.url = self._file.read_text(encoding="utf-8").strip()
        if self._browser:
            open_browser(self.url)
        return self.url


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that serves a page."""
    parser.add_argument(
        "--port",
        type=port,
        default=0,
        metavar="N",
        help="port of the page on this machine (default: a free one)",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address of the page, but open no browser"
    )


def open_browser(url: str) -> None:
    """Open ``url`` where there is a screen. It may take a while to come; nobody waits for it."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Thread(target=webbrowser.open, args=(url,), name="browser", daemon=True).start()


def check_port(number: int) -> None:
    """Raise ParameterError where nothing can listen at port ``number`` of this machine (0: any port that is free)."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
    except OSError as error:
        raise ParameterError(f"port {number} cannot serve the page: {error.strerror}") from error


class Run:
    """One run into the folder ``out``; ``arguments`` are those of ``replay`` or ``follow``.

    ``arguments.watched``: it takes so long that somebody may want to look at it; ``arguments.notes``: what was noted of
    the run that is done again.
    """

    def __init__(
        self, file: TopologyFile, out: Path, line: ProgressLine, arguments: argparse.Namespace
    ) -> None:
        self._out = out
        self._line = line
        self._written: Outcome | None = None
        # The writing of what was found first.
        self._writing: Future[None] | None = None
        # Why what is written could not be; empty where it could.
        self._unwritten = ""
        self._stopped = False
        self._page: Page | None = None
        self._news = News()
        self._said = ""
        self._until_sigma: float | None = arguments.until_sigma
        self._watched: bool = arguments.watched
        self._notes: Sequence[Mapping[str, Any]] = arguments.notes
        self.record = RunRecord(out, file, sys.argv[1:], self._notes)
        self._hold_s, self._held_since_s = FIRST_HOLD_S, math.inf
        placement = arguments.placement or file.placement or "threads"
        # Whether nodes by hand can be with this placement is for the file to say.
        file = dataclasses.replace(file, placement=placement)
        if placement == "inline" and self._until_sigma is not None:
            raise ParameterError(
                "one thread looks at the end only: for --until-sigma take --placement threads"
            )
        if not arguments.headless:
            if placement == "inline":
                raise ParameterError(
                    "one thread cannot serve a page too: add --headless, or take --placement threads"
                )
            check_port(arguments.port)
            self._page = Page(arguments.port, browser=not arguments.no_browser)
        elif placement == "inline" and (arguments.keys is not None or arguments.address != ANYWHERE):
            raise ParameterError(
                "one thread has no address at which it could be watched: without --address and --keys, or take "
                "--placement threads"
            )
        self.runner = self._runner(placement, file, arguments)

    def _runner(self, placement: str, file: TopologyFile, arguments: argparse.Namespace) -> Runner:
        often_s = self._line.interval_s if self._until_sigma is None else LOOK_S
        common: dict[str, Any] = {"results_s": often_s, "on_progress": self._show}
        if placement == "inline":
            return InlineRunner(file.topology, **common)
        page = self._page
        between = file.endpoints() if placement == "processes" else []
        keys = keys_for(arguments.keys, [arguments.address, *between])
        if page is not None:
            page.keys = keys
        if self._until_sigma is not None:
            common["hold_s"] = self._hold_s
        watch = Watch(
            address=arguments.address,
            or_elsewhere=arguments.or_elsewhere,
            attendants={} if page is None else {PAGE: page.command},
            on_address=self._tell_address,
            on_note=self._note,
            on_deed=self.record.deed,
            on_parameters=self.record.keep,
            on_stop=self.stop_on_command,
            on_next=self.next,
            followed=self.followed,
            device=self.device,
            notes=[{"time_s": note["time_s"], "text": note["text"]} for note in self._notes],
        )
        common |= {"stay": page is not None, "on_complete": self._complete, "watch": watch, "keys": keys}
        if placement == "threads":
            return ThreadsRunner(file.topology, **common)

        def command(topology: Path, name: str) -> list[str]:
            return node_command(topology, name, keys)

        return ProcessesRunner(file, command=command, **common)

    def stop(self) -> None:
        """End with what was read so far. For a signal handler: it takes no lock, as printing would."""
        self._stopped = True
        self.runner.stop()
        if self._written is None:
            with suppress(OSError):
                os.write(2, b"\nending with what was read so far; Ctrl-C again ends at once\n")

    def stop_on_command(self) -> str:
        """Somebody at a page or another terminal wants the end; what there is to say of it."""
        self.stop()
        return ""

    def followed(self) -> bool:
        """Whether another run follows at the same address."""
        return False

    next: Callable[[], tuple[bool, str]] | None = None
    stays_until = "the page stays until Ctrl-C"
    # What the run has recorded for it.
    device: Device | None = None

    @property
    def address(self) -> str | None:
        """Where the run publishes, None where it does not."""
        return self.runner.address if isinstance(self.runner, PlacedRunner) else None

    @property
    def page_port(self) -> int | None:
        """The port of the page, None where there is none."""
        url = None if self._page is None else self._page.url
        return None if url is None else int(url.rstrip("/").rpartition(":")[2])

    def leave(self) -> None:
        """The terminal is gone. For a signal handler, too."""
        self.stop()

    def run(self) -> int:
        """Run to the end, write and print what was found; returns the exit code."""
        outcome = self.runner.run()
        if self._writing is not None:
            self._writing.result()
        self._keep_of_one_thread()
        self._line.clear()
        if self._written is not outcome:
            self._write(outcome)
        for sentence in outcome.imbalances:
            say(f"photonstream: the ledger does not balance: {sentence}", sys.stderr)
        return BROKEN if outcome.imbalances or self._unwritten else 0

    def _keep_of_one_thread(self) -> None:
        """A run in one thread tells of no parameters: nobody can change any."""
        if isinstance(self.runner, InlineRunner) and not self.record.begun:
            self.record.keep()

    def _complete(self, outcome: Outcome) -> None:
        """With a page, what is found first is written at once; what comes of moving the window, at the end.

        A report takes seconds to draw, in which the pages go on being answered.
        """
        if self._page is not None and self._written is None:
            self._line.clear()
            self._written = outcome
            writer = ThreadPoolExecutor(1, "report")
            self._writing = writer.submit(self._write_first, outcome)
            writer.shutdown(wait=False)

    def _write_first(self, outcome: Outcome) -> None:
        try:
            self._write(outcome)
        except Exception as error:
            # The page stays, whatever cannot be drawn: the person hears of it now.
            self._unwritten = f"the report could not be written: {type(error).__name__}: {error}"
            say(f"photonstream: {self._unwritten}", sys.stderr)
        if self._stays and not self._stopped:
            say(self.stays_until, sys.stdout)

    @property
    def _stays(self) -> bool:
        """Whether the page is still there when all has been read."""
        return True

    def _write(self, outcome: Outcome) -> None:
        self._written = outcome
        found = {result.key: result.value for result in outcome.results.values() if result.key in _WRITTEN}
        self._unwritten = str(found.get(WRITING, {}).get("failed", ""))
        if self._unwritten:
            say(summary_table(RunFolder(self._out, found[RESULT], {})), sys.stdout)
            say(f"photonstream: {self._unwritten}", sys.stderr)
            return
        if not (self._out / "result.json").exists():
            say(f"no node of this run writes a result into {self._out}", sys.stdout)
            return
        # Bokeh takes a third of a second to import: only now is it needed.
        from photonstream.dashboard.report import write_report

        # Whoever does not read this any more has the report all the same.
        say(summary_table(read_folder(self._out)), sys.stdout)
        if words := delay_words(delays_of(outcome.latency)):
            say(f"\nlatency, median: {words}", sys.stdout)
        try:
            report = write_report(self._out)
        except OSError as error:
            self._unwritten = (
                f"the results are complete, but report.html could not be written: {error.strerror}; "
                f"photonstream report {self._out} writes it"
            )
            say(f"photonstream: {self._unwritten}", sys.stderr)
            return
        say(f"\n{report}", sys.stdout)

    def _look_for_enough(self, progress: Progress) -> None:
        """End the reading once beta is known as well as was asked for; until then let it go on with the fits."""
        if self._until_sigma is None or ("decode", "counts") not in progress.results:
            return
        fit = progress.results.get(("lifetime", "fit"))
        if fit is not None and fit.value["summary"]["precision"]["met_photons"] is not None:
            self.runner.enough()
            return
        now_s, further_s = time.monotonic(), 0.0
        if fit is not None:
            further_s = FURTHER * fit.value["recorded_s"]
        self._held_since_s = min(self._held_since_s, now_s)
        if now_s > self._held_since_s + LONGEST_FIT_S:
            further_s = FURTHER * self._hold_s
        if further_s > self._hold_s and self.runner.hold(further_s):
            self._hold_s, self._held_since_s = further_s, now_s

    def _tell_address(self, address: str) -> None:
        with suppress(OSError):
            announce(self._out, address)
        if self._page is None and self._watched:
            self._note(f"to watch it: photonstream dashboard {address}")

    def _note(self, text: str) -> None:
        self._line.clear()
        say(text, sys.stderr)

    def _show(self, progress: Progress) -> None:
        """Draw the progress line: share, photons, rate and beta so far."""
        url = self._page.look() if self._page is not None else None
        if url is not None:
            self._line.clear()
            say(f"page: {url}", sys.stdout)
        if self._written is not None:
            return
        self._keep_of_one_thread()
        for note in self._news.of(progress):
            self._note(note)
        self._look_for_enough(progress)
        counts = progress.results.get(("decode", "counts"))
        fit = progress.results.get(("lifetime", "fit"))
        if counts is None and progress.says != self._said:
            self._said = progress.says
            self._line.announce(progress.says)
        parts = []
        if counts is not None:
            photons, measured_s = counts.value["photons"], counts.value["duration_s"] - counts.value["gap_s"]
            parts.append(f"{photons:,} photons")
            if measured_s > 0:
                parts.append(with_prefix(photons / measured_s, "cps"))
        if fit is not None:
            parts.append(fit.value["headline"])
        if progress.says:
            parts.append(progress.says)
        self._line.show(progress.share, "  ".join(parts))
