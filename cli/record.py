"""``photonstream record``: a device into a tag file, and nothing else."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from photonstream.cli.device_settings import read_setting
from photonstream.cli.progress import ProgressLine, say
from photonstream.cli.quantities import add_set_option, channels, duration, with_prefix
from photonstream.nodes.drivers import driver_class
from photonstream.nodes.drivers.base import Driver
from photonstream.nodes.drivers.settings import make_settings, split_device, with_channels
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.recorder import Recorded, Recorder, RecorderState
from photonstream.nodes.recorder_orders import may_live, stop_order, take_notes
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path
from photonstream.nodes.recording_file import refuse_existing
from photonstream.stream.node import ParameterError

FAILED = 3
# How long the end of the command waits for a terminal that takes nothing any more.
LAST_WORDS_S = 1.0
# How long another process may take to end a recording.
STOP_WITHIN_S, STOP_LOOK_S = 30.0, 0.1

_DESCRIPTION = """\
Records a device into a tag file (PTU), which every reader can open at any moment, also while it grows; photonstream
follow FILE shows it. What the records cannot say (gaps with their causes, how the device is) goes to
FILE.events.jsonl. An existing file is never overwritten. Ctrl-C ends the recording and completes the file; a terminal
that is closed does not end it.
"""

_EPILOG = """\
examples:
  photonstream record simulated --time 30s --out nc.ptu
  photonstream record simulated:preset=640nm,seed=7      settings of the device
  photonstream record simulated --set background_hz=500,300
  photonstream devices simulated                         which settings there are
  photonstream record --stop nc.ptu                      end a recording that runs elsewhere
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "record",
        help="a device into a tag file, and nothing else",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_device_options(parser, required=False)
    add_set_option(parser, "a setting of the device, such as binning=2")
    parser.add_argument(
        "--stop",
        type=Path,
        metavar="FILE.ptu",
        help="end the recording of this file, wherever it was started",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.ptu", help="the file to write (default: a new one, DATE_DEVICE.ptu)"
    )
    parser.set_defaults(run=run)


def add_device_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The options of every command that records a device."""
    parser.add_argument(
        "device",
        nargs=None if required else "?",
        metavar="DEVICE",
        help="one of photonstream devices, perhaps with DEVICE:KEY=VALUE,KEY=VALUE",
    )
    parser.add_argument(
        "--channels",
        type=channels,
        metavar="N,N",
        help="inputs to record, from 0 (default: all that there are)",
    )
    parser.add_argument(
        "--time", type=duration, metavar="T", help="how long to record (default: until Ctrl-C)"
    )
    parser.add_argument("--comment", default="", metavar="TEXT", help="stands in the header of the file")


def make_driver(
    arguments: argparse.Namespace, more: Sequence[tuple[str, str]], like: Mapping[str, Any] | None = None
) -> Driver[Any]:
    """The driver with its settings, ``more`` of them as pairs, and else those of ``like``.

    Raises ParameterError for what there is not.
    """
    name, pairs = split_device(arguments.device)
    cls = driver_class(name)
    given = dict(like or {})
    given |= {key: read_setting(cls.Settings, key, text) for key, text in (*pairs, *more)}
    if arguments.channels is not None:
        given = with_channels(cls.Settings, given, arguments.channels, name)
    return cls(make_settings(cls.Settings, given, name))


def new_name(device: str) -> str:
    """Name of a new recording of ``device``, by the time."""
    return f"{datetime.now().astimezone():%Y-%m-%d_%H%M%S}_{split_device(device)[0]}.ptu"


def run(arguments: argparse.Namespace) -> int:
    """Record until the end; returns the exit code."""
    if arguments.stop is not None:
        return _stop_other(arguments.stop)
    if arguments.device is None:
        raise ParameterError("name the DEVICE to record (photonstream devices lists them)")
    driver = make_driver(arguments, arguments.set)
    path = arguments.out or Path(new_name(arguments.device))
    if not path.absolute().parent.is_dir():
        raise ParameterError(f"{path}: there is no folder {path.parent}")
    # The order to stop beside a file that is there is somebody else's.
    refuse_existing(path)
    order = stop_order(path)
    order.unlink(missing_ok=True)
    recorder = Recorder(
        driver,
        path,
        limit_s=arguments.time,
        comment=arguments.comment,
        asked=order.exists,
        notes=lambda: take_notes(path),
    )
    shown = nullcontext() if arguments.quiet else _shown(recorder, arguments.time)
    try:
        with _signals(recorder):
            with shown:
                recorded = recorder.run()
            _last_words(path, recorded)
    finally:
        order.unlink(missing_ok=True)
    return FAILED if recorded.failed else 0


def _stop_other(path: Path) -> int:
    """Ask the recorder of ``path``, another process, to end, and wait until it has."""
    if open_tag_file(path).header.get(COMPLETE_TAG) is not False:
        raise ParameterError(f"{path}: no recording of photonstream that still goes on")
    if not may_live(path):
        raise ParameterError(f"{path}: its recorder has died; what it has written can be read as it is")
    order = stop_order(path)
    order.touch()
    for _ in range(round(STOP_WITHIN_S / STOP_LOOK_S)):
        time.sleep(STOP_LOOK_S)
        file = open_tag_file(path)
        if file.header.get(COMPLETE_TAG) is True:
            print(f"{path}: the recording has ended with {file.records:,} records")
            return 0
    order.unlink(missing_ok=True)
    raise ParameterError(f"{path}: no recorder has heard in {STOP_WITHIN_S:g} s; it has probably died")


@contextmanager
def _signals(recorder: Recorder) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the recording, however often they come; the end of the terminal does not.

    Before there is a recording they end the program, because a driver may wait for long until its device is there.
    """

    def stop(signum: int, frame: object) -> None:
        recorder.stop()
        if recorder.arming:
            raise KeyboardInterrupt

    handlers: dict[int, Any] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if sys.platform != "win32":
        handlers[signal.SIGHUP] = signal.SIG_IGN
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(recorder: Recorder, limit_s: float | None) -> Iterator[None]:
    """Show how the recording is, from a thread of its own: a terminal that takes nothing must not hold it up."""
    over = threading.Event()
    line = ProgressLine()

    def show() -> None:
        warnings: tuple[str, ...] = ()
        while not over.wait(line.interval_s):
            state = recorder.state
            for warning in state.warnings:
                if warning not in warnings:
                    line.clear()
                    say(f"warning: {warning}", sys.stderr)
            warnings = state.warnings
            line.show(min(1.0, state.elapsed_s / limit_s) if limit_s else None, _text(state))
        line.clear()

    thread = threading.Thread(target=_until_nobody_listens, args=(show,), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LAST_WORDS_S)


def _until_nobody_listens(show: Any) -> None:
    try:
        show()
    except OSError:
        # The terminal is gone; the recording is not.
        return


def _gaps_words(gaps: int) -> str:
    """How many gaps, in words."""
    return "1 gap" if gaps == 1 else f"{gaps:,} gaps"


def _text(state: RecorderState) -> str:
    parts = [
        f"{state.elapsed_s:.0f} s",
        f"{state.records:,} records",
        with_prefix(state.records_hz, "/s"),
        with_prefix(float(state.bytes), "B"),
        _gaps_words(state.gaps),
    ]
    if state.status.count_rates_hz is not None:
        parts.insert(3, " + ".join(with_prefix(each, "cps") for each in state.status.count_rates_hz))
    return "  ".join(parts)


def _last_words(path: Path, recorded: Recorded) -> None:
    state = recorded.state
    gaps = f"{_gaps_words(state.gaps)} (events in {events_path(path).name})" if state.gaps else "no gaps"
    text = f"{path}: {state.records:,} records in {state.elapsed_s:.1f} s, {gaps}; {recorded.reason}"
    stream = sys.stderr if recorded.failed else sys.stdout
    if recorded.unsaid:
        text += f"\nthe disk had no room for these events:\n{recorded.unsaid}"
    thread = threading.Thread(target=_until_nobody_listens, args=(lambda: say(text, stream),), daemon=True)
    thread.start()
    thread.join(LAST_WORDS_S)
