"""``photonstream attach``: a device, recorded by a process of its own, and its file followed in this one."""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from photonstream.cli.device_settings import Device
from photonstream.cli.folders import counted_up, free_folder
from photonstream.cli.like import Earlier, read_earlier
from photonstream.cli.progress import say
from photonstream.cli.record import FAILED, add_device_options, make_driver, new_name
from photonstream.cli.run_options import add_run_options, run_pipeline
from photonstream.cli.running import COMMAND, Run, check_port
from photonstream.nodes.drivers.settings import split_device
from photonstream.nodes.formats.base import TagFileError, count_whole_records, keep_open
from photonstream.nodes.formats.ptu import PtuFormat
from photonstream.nodes.recorder_orders import stop_order
from photonstream.nodes.recording_file import say_that_it_died
from photonstream.stream.node import InputError, ParameterError
from photonstream.stream.runner import NothingReadError, Outcome, Progress
from photonstream.stream.supervisor import ANYWHERE
from photonstream.stream.topology_file import TopologyFile

PREFIX = "device."
LOOK_S = 0.02
# Options that say what stands in the nodes of a run.
_IN_NODES = ("bin", "states", "on", "irf", "fit_range", "mean_n", "calibrate", "meta", "topology", "export")

_DESCRIPTION = """\
Records a device and shows and measures what photonstream replay does while it runs. The recorder is a process of its
own that lives on if this one dies: photonstream follow FILE then takes the recording up again, and photonstream record
--stop FILE ends it. Ctrl-C ends the recording, completes its file, and writes the result. A terminal that is closed
ends this command alone.
"""

_EPILOG = """\
examples:
  photonstream attach simulated                          a page that goes along with a simulated nanocrystal
  photonstream attach simulated --time 60s --headless    a minute of it; result.json and report.html in a new folder
  photonstream attach simulated:preset=640nm --set device.background_hz=500,300 --set lifetime.s=3.5
                                                         settings of the device, and parameters of nodes
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "attach",
        help="record a device, and show and measure it while it runs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_device_options(parser)
    parser.add_argument(
        "--like",
        type=Path,
        metavar="FOLDER",
        help="with nodes, parameters and experiment as they were at the end of an earlier run, from its folder of "
        "results, and with the settings of the device where it was this one; other options go before them",
    )
    add_run_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Record and follow; returns the exit code."""
    settings = [(key.removeprefix(PREFIX), text) for key, text in arguments.set if key.startswith(PREFIX)]
    # What is wrong with them is told before anything begins.
    name = split_device(arguments.device)[0]
    like: Earlier | None = None
    if arguments.like is not None:
        # What was noted then was said of another recording.
        like = dataclasses.replace(read_earlier(arguments.like), notes=())
    device = Device(name, make_driver(arguments, settings, _settings_of(like, name)).settings)
    arguments.set = [(key, text) for key, text in arguments.set if not key.startswith(PREFIX)]
    named = arguments.out is not None
    arguments.out = _unused(arguments.out) if named else free_folder(Path(name))
    worst = 0
    while True:
        code, attached = _attach(arguments, device, like)
        # A recording that failed is no reason not to begin the next one, where somebody wants that.
        worst = max(worst, code)
        if not attached.wants_next:
            return worst
        like = _of_next_particle(read_earlier(arguments.out))
        arguments = _for_next(arguments, attached, like, named=named)
        device.arm_next()


def _unused(out: Path) -> Path:
    """``out``, or where a recording has its results there already the next one by its name, which is said."""
    unused = _first_free(out, lambda folder: (folder / "result.json").exists())
    if unused != out:
        say(f"photonstream: {out} has the results of a recording, so this one goes into {unused}", sys.stderr)
    return unused


def _first_free(out: Path, taken: Callable[[Path], bool]) -> Path:
    """``out`` or the first after it, by its name, that is not ``taken``."""
    while taken(out):
        out = out.with_name(counted_up(out.name, "_"))
    return out


def _attach(arguments: argparse.Namespace, device: Device, like: Earlier | None) -> tuple[int, Attached]:
    """One recording and its run; returns the exit code, and the run."""
    path = arguments.out.absolute() / new_name(device.name)
    arguments.file, arguments.watched = str(path), True
    made: list[Attached] = []

    def make(*given: Any) -> Attached:
        recording = Recording(path, [*device.options(), *_recorder_options(arguments)])
        made.append(Attached(recording, device, *given))
        return made[-1]

    # Only the recorder knows when there is nothing more to come: it may be silent for long.
    source = {"idle_timeout_s": None, "device": device.recorded_by()}
    code = run_pipeline(arguments, "follow", source, make, like)
    return code, made[-1]


def _settings_of(like: Earlier | None, name: str) -> dict[str, Any]:
    """The settings with which the recording of ``like`` was armed, where that was of the device ``name``."""
    device = None if like is None else like.nodes.topology.nodes[0].parameters.get("device")
    if not isinstance(device, Mapping) or device.get("name") != name:
        return {}
    settings = device.get("settings", {}).items()
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings}


def _of_next_particle(earlier: Earlier) -> Earlier:
    """What was known and told in the end, for the particle after that one."""
    particle = earlier.experiment["particle"]
    name = None if particle is None else counted_up(particle)
    return dataclasses.replace(earlier, experiment={**earlier.experiment, "particle": name}, notes=())


def _for_next(
    arguments: argparse.Namespace, attached: Attached, like: Earlier, *, named: bool
) -> argparse.Namespace:
    """The options of the run after ``attached``: at its address, with its page, and without all that is in ``like``.

    ``named``: the folder was, and counts up too.
    """
    out = arguments.out
    if named:
        out = _first_free(out, Path.exists)
    else:
        out = free_folder(Path(like.experiment["particle"] or split_device(arguments.device)[0]))
    options = {**vars(arguments), **dict.fromkeys(_IN_NODES), "out": out, "set": [], "second_opinion": False}
    if attached.address is not None:
        # What nobody asked for may be another one: between two runs any program can take a port that was free once.
        free = arguments.or_elsewhere or arguments.address == ANYWHERE
        options |= {"address": attached.address, "or_elsewhere": free}
    if attached.page_port is not None:
        free = arguments.any_port or arguments.port == 0
        port = _still_free(attached.page_port) if free else attached.page_port
        options |= {"port": port, "any_port": free, "no_browser": True}
    return argparse.Namespace(**options)


def _still_free(port: int) -> int:
    """``port``, or 0 where another program has it now, which is said."""
    try:
        check_port(port)
    except ParameterError as error:
        say(f"photonstream: {error}; the page gets another address", sys.stderr)
        return 0
    return port


def _recorder_options(arguments: argparse.Namespace) -> list[str]:
    time_s = [] if arguments.time is None else [f"--time={arguments.time!r}"]
    return ["--quiet", f"--comment={arguments.comment}", *time_s]


class Recording:
    """The process that records into ``path``. It shares no terminal, no pipe and no session with this one."""

    def __init__(self, path: Path, options: Sequence[str]) -> None:
        self.path = path
        self._command = [*COMMAND, "record", *options, f"--out={path}"]
        self._words = path.with_name(f"{path.name}.recorder.log")
        self._process: subprocess.Popen[bytes] | None = None
        # A recorder that is about to end minds no order any more, and a second one would kill it.
        self._asked = False
        # What it says, and its file with the place of the first record: open, as their folder may be moved.
        self._said: BinaryIO | None = None
        self._file: tuple[io.FileIO, int] | None = None

    def start(self) -> None:
        """Start it."""
        self._said = self._words.open("x+b", buffering=0)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended."""
        return None if self._process is None else self._process.poll()

    @property
    def failed(self) -> bool:
        """Whether it has ended otherwise than it should: to be killed when its file is complete is no matter.

        It may be ending by itself when it is told to.
        """
        code = self.code or 0
        return code > 0 or (code < 0 and not self.complete)

    def stop(self) -> None:
        """Ask it to end, where that is not what it is doing already. For a signal handler too."""
        if self._process is None or self._asked or self.complete:
            return
        self._asked = True
        with suppress(OSError):
            if sys.platform == "win32":
                stop_order(self.path).touch()
            else:
                self._process.send_signal(signal.SIGTERM)

    @property
    def complete(self) -> bool:
        """Whether its file says that nothing more comes: the last that a recorder does."""
        try:
            return PtuFormat().open(self.path).complete is True
        except (OSError, TagFileError):
            return False

    def wait(self) -> None:
        """Until it has ended."""
        if self._process is not None:
            self._process.wait()

    def tell_end(self) -> bool:
        """Once it has ended: say in the events where it died; whether whoever follows knows of the end now."""
        try:
            if not self.complete:
                say_that_it_died(self.path, f"the recorder died (code {self.code})")
        except (OSError, TagFileError):
            return False
        return True

    @property
    def records(self) -> int | None:
        """Whole records in its file, wherever that is by now; None where its header was never seen."""
        if self._file is None:
            try:
                self._file = keep_open(self.path), PtuFormat().open(self.path).data_offset
            except TagFileError:
                return None
        held, data_offset = self._file
        return count_whole_records(os.fstat(held.fileno()).st_size, data_offset)

    def last_words(self) -> str:
        """What it said at its end. That is kept only beside a recording, and where there is anything."""
        text = ""
        if self._said is not None:
            self._said.seek(0)
            text = self._said.read().decode(errors="replace")
            self._said.close()
            self._said = None
        if not text.strip() or not self.path.exists():
            self._words.unlink(missing_ok=True)
        return text.strip().rpartition("\n")[2].removeprefix("photonstream: ")


class Attached(Run):
    """A run that follows a recording which it has started itself."""

    stays_until = (
        "the page stays until Ctrl-C; next particle, there or by photonstream ctl next, begins another one"
    )

    def __init__(self, recording: Recording, device: Device, file: TopologyFile, *given: Any) -> None:
        self.device = self._device = device
        super().__init__(file, *given)
        self._elsewhere = bool(file.by_hand or file.hosts)
        self._recording = recording
        # Whether the next particle is to be recorded when this run has ended.
        self.wants_next = False
        self._asked = self._left = False
        # Whether the end of the recorder stands where the follower reads it; None while it has not ended.
        self._told: bool | None = None
        # Its file was gone before anything of it was seen.
        self._vanished = False

    def stop(self) -> None:
        """End the recording; the run ends with it. Once the recording is over, end the run."""
        # Whoever ends it while the next particle was asked for wants no next one any more.
        self.wants_next = False
        if self._asked or not self._recording.alive:
            super().stop()
        else:
            # While the device is armed there is no recording yet.
            begun = self._recording.path.exists()
            self._recording.stop()
            if begun:
                with suppress(OSError):
                    os.write(2, b"\nending the recording; Ctrl-C again ends at once\n")
        self._asked = True

    def stop_on_command(self) -> str:
        """End the recording; with a page what was found stays there, and the next one can be begun."""
        if self._page is None or self._written is not None:
            return super().stop_on_command()
        self._recording.stop()
        return "the recording ends; the page stays until next particle begins another one, or until Ctrl-C"

    def next(self) -> tuple[bool, str]:
        """End the recording, where it has not ended, and this run with it, and go on with the next particle."""
        if self._asked:
            return False, "the recording is being ended already"
        if self._elsewhere:
            return False, "some of its nodes are by hand or on other machines: so is the next run"
        self.stop()
        self.wants_next = True
        ends = "" if self._written is not None else "the recording ends; "
        return True, f"{ends}the next particle follows at the same address"

    def followed(self) -> bool:
        """Whether the next particle follows."""
        return self.wants_next

    def leave(self) -> None:
        """The recording needs no terminal and goes on."""
        self._left = True
        super().stop()

    def run(self) -> int:
        """Start the recorder, follow its file to the end, and write and print what was found."""
        if self._asked:
            raise KeyboardInterrupt
        self._recording.start()
        self._line.announce(f"arming {self._recording.path.name}")
        while not self._recording.path.exists():
            if not self._recording.alive:
                words = self._recording.last_words()
                if self._asked:
                    raise KeyboardInterrupt
                raise InputError(words or f"the recorder ended with code {self._recording.code}")
            time.sleep(LOOK_S)
        self._note(f"recording to {self._recording.path}")
        try:
            code = super().run()
        except NothingReadError as error:
            self._say_that_it_goes_on()
            if self._vanished:
                cause = "it was deleted or moved before anything of it was read"
                raise InputError(f"{self._recording.path}: {cause}") from error
            raise
        except Exception:
            self._say_that_it_goes_on()
            raise
        ended = self._end()
        return code or ended

    def _end(self) -> int:
        if self._left:
            self._say_that_it_goes_on()
            return 0
        self._recording.stop()
        self._recording.wait()
        words = self._recording.last_words()
        if self._recording.failed:
            code = self._recording.code
            whole = (
                f"the recorder ended with code {code}; its file is complete, and the events beside it say why"
            )
            say(
                words or (whole if self._recording.complete else f"the recorder died (code {code})"),
                sys.stderr,
            )
        return FAILED if self._recording.failed else 0

    def _say_that_it_goes_on(self) -> None:
        if self._recording.alive:
            path = self._recording.path
            say(
                f"the recording goes on: photonstream follow {path}; to end it: photonstream record --stop {path}",
                sys.stderr,
            )

    def _show(self, progress: Progress) -> None:
        super()._show(progress)
        there = self._recording.records
        if self._written is not None or self._recording.code is None:
            return
        if self._told is None:
            self._told = self._recording.tell_end()
        if self._told and self._recording.path.exists():
            return
        # Nobody can say its end, or nobody can find it: it is where there is nothing left.
        if there is None:
            self._vanished = True
            self.runner.stop()
        elif progress.records >= there:
            self.runner.enough()

    @property
    def _stays(self) -> bool:
        return not (self._asked or self._left)

    def _complete(self, outcome: Outcome) -> None:
        super()._complete(outcome)
        self._device.recording = False
        if not self._stays:
            self.runner.stop()
        elif self._recording.alive:
            # The run has found out enough.
            self._recording.stop()
