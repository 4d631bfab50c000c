"""The recorder: driver -> tag file, and nothing else.

It reads the device, appends what it gave, and writes down what the records cannot say. Nothing that reads the file can
slow it down: it neither waits for anybody nor talks to anybody.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from photonstream.nodes.armed_device import ArmedDevice, Mended
from photonstream.nodes.disk_space import DiskSpace
from photonstream.nodes.drivers.base import Cause, DeviceError, Driver, Status
from photonstream.nodes.recorder_orders import Note
from photonstream.nodes.recording_events import GAP, NOTE, START, STOP
from photonstream.nodes.recording_file import RecordingFile, refuse_existing

# What is read from a device at once, at most: 4 MiB.
BUFFER_RECORDS = 1 << 20
# How long the device is left alone when it had little to give.
IDLE_S = 5e-3
LOOK_EVERY_S = 1.0
STATUS_EVERY_S = 10.0
# A device tells the time also in the dark.
SILENT_S = 2.0
# What a device still holds when it is disarmed is read for so long at most.
DRAIN_S = 10.0
DISK_FULL = "disk full"


@dataclass(frozen=True)
class RecorderState:
    """How a recording is, for whoever wants to show it. ``records_hz`` is of the last second."""

    records: int = 0
    bytes: int = 0
    elapsed_s: float = 0.0
    records_hz: float = 0.0
    gaps: int = 0
    lost_s: float = 0.0
    lost_records: int = 0
    warnings: tuple[str, ...] = ()
    status: Status = field(default_factory=Status)


@dataclass(frozen=True)
class Recorded:
    """How a recording ended: ``reason`` in a sentence; ``failed`` where nobody asked for it and no time was over.

    ``unsaid`` are lines of the event file for which the disk had no room.
    """

    state: RecorderState
    reason: str
    failed: bool
    unsaid: str


class Recorder:
    """Records ``driver`` into a new file at ``path``, for ``limit_s`` or until `stop`.

    ``asked`` is asked once a second whether to stop, and ``notes`` what somebody wants to have written down. ``clock``
    and ``wait`` are the machine's, or those of a test. ``buffer_records`` is what is read at once.
    """

    def __init__(
        self,
        driver: Driver[Any],
        path: Path,
        *,
        limit_s: float | None = None,
        comment: str = "",
        asked: Callable[[], bool] = lambda: False,
        notes: Callable[[], Iterable[Note]] = tuple,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        buffer_records: int = BUFFER_RECORDS,
        disk: DiskSpace | None = None,
    ) -> None:
        self.state = RecorderState()
        self._driver = driver
        self._path = path
        self._limit_s = limit_s
        self._comment = comment
        self._asked = asked
        self._notes = notes
        self._clock = clock
        self._wait = wait
        self._buffer = np.empty(buffer_records, np.uint32)
        self._disk = disk or DiskSpace(path.absolute().parent)
        # A plain flag, because a signal handler sets it.
        self._stopped = False
        # As long as the device is being armed for the first time: there is no recording yet.
        self.arming = True
        self._end: tuple[str, bool] | None = None
        self._gaps, self._lost_s, self._lost_records = 0, 0.0, 0
        self._warnings: tuple[str, ...] = ()
        # What is wrong while the device is being armed again.
        self._trouble: str | None = None
        # Whether the device has failed and does not measure, or the disk has.
        self._out = False

    def stop(self) -> None:
        """End the recording soon, with everything that the device still holds. For signal handlers too."""
        self._stopped = True

    def run(self) -> Recorded:
        """Record to the end.

        Raises InputError where the device cannot be armed at all, ParameterError where the file is there already.
        """
        refuse_existing(self._path)
        try:
            self._device = ArmedDevice(self._driver, self._clock)
            self.arming = False
            self._began = self._device.armed_at
            self._file = RecordingFile(self._path, self._device.facts, self._comment)
            try:
                self._start()
                while self._end is None:
                    self._step()
                self._drain()
            finally:
                reason, failed = self._finish()
        finally:
            # What somebody else's driver does at its end changes nothing in what has been recorded.
            with contextlib.suppress(Exception):
                self._driver.close()
        return Recorded(self.state, reason, failed, self._file.unsaid)

    def _start(self) -> None:
        facts = self._device.facts
        self._looked = self._gave = self._began
        self._told = self._began - STATUS_EVERY_S + LOOK_EVERY_S
        self._looked_records = 0
        self._file.say(
            START,
            f"the recording of {facts.device} begins",
            guid=self._file.guid,
            device=facts.device,
            serial=facts.serial,
            settings=asdict(self._driver.settings),
            versions={"photonstream": version("photonstream")},
            host=platform.node(),
            pid=os.getpid(),
        )
        self._look(self._began)

    def _step(self) -> None:
        """Read once, and look after the file where that is due."""
        if self._stopped:
            self._end = "stopped as asked", False
            return
        if self._over():
            self._end = f"the time of {self._limit_s:g} s is over", False
            return
        try:
            count = self._device.read_into(self._buffer)
        except DeviceError as fault:
            self._mend(fault)
            count = 0
        self._keep(count)
        self._look_if_due()
        if count < len(self._buffer) // 2:
            self._wait(IDLE_S)

    def _over(self) -> bool:
        return self._limit_s is not None and self._clock() - self._began >= self._limit_s

    def _keep(self, count: int) -> None:
        if not count:
            return
        before = self._file.records
        try:
            self._file.write(self._buffer[:count])
        except OSError as error:
            self._disk_failed(error, count - (self._file.records - before))
        self._device.passed(self._buffer[: self._file.records - before])
        self._gave = self._clock()

    def _mend(self, fault: DeviceError) -> None:
        """Go on after a fault, and write down what is missing."""
        record = self._file.records
        self._trouble = f"{fault.text}; the device is being armed again"
        mended = self._device.mend(fault, self._pause)
        self._trouble = None
        # First the event: whoever reads the records while they come knows then what they are.
        self._note(fault, mended, record, len(mended.wraps))
        try:
            self._file.write(mended.wraps)
        except OSError as error:
            self._disk_failed(error, 0)
        self._out = self._out or not mended.armed
        if mended.cause is not None:
            self._end = mended.cause, True

    def _pause(self, wait_s: float) -> bool:
        """Wait, and look after the file meanwhile; False where the recording is to end."""
        until = self._clock() + wait_s
        while not self._stopped and not self._over() and self._end is None:
            left_s = until - self._clock()
            if left_s <= 0:
                return True
            self._look_if_due()
            self._wait(min(0.05, left_s))
        return False

    def _note(self, fault: DeviceError, mended: Mended, record: int, inserted: int = 0) -> None:
        self._gap(fault.cause.value, fault.text, record, mended.lost_s, mended.lost_records, inserted)

    def _gap(
        self, cause: str, text: str, record: int, lost_s: float | None, lost: int | None, inserted: int = 0
    ) -> None:
        """A gap before ``record``; so many records from there on are the recorder's own."""
        self._gaps += 1
        self._lost_s += lost_s or 0.0
        self._lost_records += lost or 0
        more = {"lost_s": lost_s, "lost_records": lost, "inserted_records": inserted}
        self._file.say(GAP, text, record=record, cause=cause, **more)

    def _disk_failed(self, error: OSError, lost: int) -> None:
        text = f"{self._path} cannot be written: {error.strerror or error}"
        if lost:
            self._gap(DISK_FULL, text, self._file.records, None, lost)
        self._end, self._out = (text, True), True

    def _look_if_due(self) -> None:
        now = self._clock()
        if now - self._looked >= LOOK_EVERY_S:
            self._look(now)

    def _look(self, now: float) -> None:
        """Once a second: disk, count in the header, status."""
        self._stopped = self._stopped or self._asked()
        self._write_notes()
        self._disk.look(now, self._file.bytes)
        if self._disk.full:
            self._end = f"{self._path}: the disk is nearly full", True
        if self._file.deleted:
            self._end = f"{self._path} was deleted, and what was recorded with it", True
        try:
            self._file.settle(now - self._began)
        except OSError as error:
            self._disk_failed(error, 0)
        status = self._device.status()
        trouble = self._trouble
        if trouble is None and now - self._gave >= SILENT_S:
            trouble = f"the device has given nothing for {SILENT_S:g} s or more"
        warnings = (*status.warnings, *filter(None, (self._disk.warning, trouble)))
        if warnings != self._warnings or now - self._told >= STATUS_EVERY_S:
            self._file.say_status(status, warnings, self._disk)
            self._told = now
        self._warnings = warnings
        self._show(now, status)

    def _write_notes(self) -> None:
        for note in self._notes():
            record = min(max(0, note.record), self._file.records)
            self._file.say(NOTE, note.text, record=record, said=note.utc)

    def _show(self, now: float, status: Status) -> None:
        records, since_s = self._file.records, now - self._looked
        self.state = RecorderState(
            records=records,
            bytes=self._file.bytes,
            elapsed_s=now - self._began,
            records_hz=(records - self._looked_records) / since_s if since_s > 0 else 0.0,
            gaps=self._gaps,
            lost_s=self._lost_s,
            lost_records=self._lost_records,
            warnings=self._warnings,
            status=status,
        )
        self._looked, self._looked_records = now, records

    def _drain(self) -> None:
        """What the device still holds belongs to the recording."""
        if self._out:
            return
        until = self._clock() + DRAIN_S
        try:
            self._device.disarm()
            while not self._out and self._clock() < until:
                count = self._device.read_into(self._buffer)
                if not count:
                    return
                self._keep(count)
            if not self._out:
                text = f"the device still gave records {DRAIN_S:g} s after its end; no more were taken"
                self._gap(Cause.DRIVER_ERROR.value, text, self._file.records, None, None)
        except DeviceError as fault:
            self._note(fault, self._device.give_up(fault), self._file.records)

    def _finish(self) -> tuple[str, bool]:
        now = self._clock()
        reason, failed = self._end or ("the program was broken off", True)
        self._show(now, Status())
        self._write_notes()
        self._file.say(STOP, reason, reason=reason, failed=failed)
        try:
            self._file.close(now - self._began)
        except OSError as error:
            reason, failed = f"{self._path} cannot be finished: {error.strerror or error}", True
        return reason, failed
