"""The files of a recording that is made: the tag file, valid at any moment, and the events beside it.

What reaches the disk when: the header before the first record; records about once a second, then the header's count of
them, so that it never claims more than is there, also after a power cut. A line of the events goes to the file at once
and to the disk with the records. Waiting for the disk happens in a thread of its own, so that the device is read on.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.disk_space import DiskSpace
from photonstream.nodes.drivers.base import DeviceFacts, Status
from photonstream.nodes.formats.base import RECORD_BYTES, count_whole_records
from photonstream.nodes.formats.ptu import PtuFormat
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.recording_events import COMPLETE_TAG, STATUS, STOP, RecordingEvent, events_path
from photonstream.stream.node import ParameterError


class RecordingFile:
    """A tag file that grows, and its events. Raises ParameterError where one of the two is there already."""

    def __init__(self, path: Path, facts: DeviceFacts, comment: str = "") -> None:
        refuse_existing(path)
        self._path = path
        try:
            self._writer = PtuWriter(
                path,
                record_type=facts.record_type,
                macrotime_unit_s=facts.macrotime_unit_s,
                dtime_resolution_s=facts.dtime_resolution_s,
                sync_rate_hz=facts.sync_rate_hz,
                sync_divider=facts.sync_divider,
                channels=facts.channels,
                comment=comment,
                settings={
                    COMPLETE_TAG: False,
                    "HW_Type": facts.device,
                    "HW_SerialNo": facts.serial,
                    **facts.settings,
                },
                exclusive=True,
            )
            # At its end, whoever else may have written there or cut it.
            self._events = io.FileIO(events_path(path), "x", opener=_appending)
            os.fsync(self._writer.fileno())
        except FileExistsError as error:
            raise ParameterError(f"{error.filename} exists, and a recording is never overwritten") from None
        _sync_folder(path.parent)
        # Lines that could not be written yet.
        self._unsaid = b""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._flush: Future[None] | None = None
        self._flushing = 0

    @property
    def guid(self) -> str:
        """Identifier of the recording, as the header has it."""
        return self._writer.guid

    @property
    def records(self) -> int:
        """Records in the file."""
        return self._writer.records

    @property
    def bytes(self) -> int:
        """Size of the tag file."""
        return self._writer.data_offset + self.records * RECORD_BYTES

    @property
    def deleted(self) -> bool:
        """Whether nobody can find it any more; one that was only moved grows on where it is."""
        return not self._path.exists() and os.fstat(self._writer.fileno()).st_nlink == 0

    def write(self, records: NDArray[np.uint32]) -> None:
        """Append records. Where OSError is raised, those that were written whole stay, and `records` counts them."""
        try:
            self._writer.write(records)
        except OSError:
            with contextlib.suppress(OSError):
                self._writer.keep_whole()
            raise

    def say(self, kind: str, text: str, *, record: int | None = None, **more: Any) -> None:
        """Append an event before ``record``, by default before the next one.

        The recording goes on where that fails; the line is then written with the next one.
        """
        place = self.records if record is None else record
        event = RecordingEvent(place, kind, text, _utc(), {key: _plain(value) for key, value in more.items()})
        # Half a character, which a driver may say, is no text.
        self._unsaid += event.to_json().encode(errors="replace") + b"\n"
        with contextlib.suppress(OSError):
            while self._unsaid:
                self._unsaid = self._unsaid[self._events.write(self._unsaid) :]

    def say_status(self, status: Status, warnings: Sequence[str], disk: DiskSpace) -> None:
        """Append how the device and the disk are."""
        sync, counts = status.sync_rate_hz, status.count_rates_hz
        parts = list(warnings)
        if sync is not None:
            parts.append(f"sync rate {sync:.0f} Hz")
        if counts is not None:
            parts.append(f"count rates {', '.join(f'{rate:.0f}' for rate in counts)} Hz")
        text = "; ".join(parts) or "the device measures"
        self.say(
            STATUS,
            text,
            sync_rate_hz=sync,
            count_rates_hz=counts,
            warnings=warnings,
            disk_free_bytes=disk.free_bytes,
            disk_left_s=disk.left_s,
        )

    @property
    def unsaid(self) -> str:
        """Events that could not be written."""
        return self._unsaid.decode()

    def settle(self, elapsed_s: float) -> None:
        """Have what was written reach the disk, and count in the header what has. Asked about once a second.

        Raises OSError where the disk has failed.
        """
        if self._flush is not None:
            if not self._flush.done():
                return
            self._flush.result()
            self._writer.update(elapsed_s, self._flushing)
        self._flushing = self.records
        self._flush = self._pool.submit(_sync, self._writer.fileno(), self._events.fileno())

    def close(self, elapsed_s: float) -> None:
        """Finish both files; the completion tag is the last that is written. Raises OSError."""
        self._pool.shutdown()
        try:
            with contextlib.suppress(OSError):
                os.fsync(self._events.fileno())
            if self._flush is not None:
                # A disk says only once that it has failed.
                self._flush.result()
            os.fsync(self._writer.fileno())
        finally:
            self._events.close()
            self._writer.close(elapsed_s, COMPLETE_TAG)


def say_that_it_died(path: Path, why: str) -> None:
    """Append the ``stop`` of a recorder that could not say it itself. Raises OSError, TagFileError."""
    file = PtuFormat().open(path)
    records = count_whole_records(path.stat().st_size, file.data_offset)
    event = RecordingEvent(records, STOP, why, _utc(), {"reason": why, "died": True})
    with events_path(path).open("a+b", buffering=0) as events:
        # It may have been killed within a line.
        size = events.seek(0, os.SEEK_END)
        events.seek(max(0, size - 1))
        whole = events.read(1) in (b"", b"\n")
        events.write((b"" if whole else b"\n") + event.to_json().encode() + b"\n")
        os.fsync(events.fileno())


def refuse_existing(path: Path) -> None:
    """Raise ParameterError where a recording, or what is beside it, is there already."""
    for place in (path, events_path(path)):
        if place.exists():
            raise ParameterError(f"{place} exists, and a recording is never overwritten")


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _plain(value: Any) -> Any:
    """What JSON can hold of what somebody's driver says of itself."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _appending(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_APPEND, 0o666)


def _sync(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """The name of a new file reaches the disk too."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
