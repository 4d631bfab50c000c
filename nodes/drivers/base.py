"""What a device is to the recorder: arm, read into a buffer, status, disarm. docs/drivers.md says it at length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import RecordType

S = TypeVar("S")


class Cause(Enum):
    """Why records are missing, as the event file says it."""

    FIFO_OVERRUN = "FIFO overrun"
    SYNC_LOST = "sync lost"
    RATE_LIMIT = "rate limit"
    DEVICE_GONE = "device gone"
    DRIVER_ERROR = "driver error"


class DeviceError(RuntimeError):
    """Records are lost from here on: everything read before was complete.

    ``text`` is one sentence for a person. A device that ``goes_on`` by itself, in the same time, is read on; any other
    one is armed again. ``lost_s`` is the time that is lost where the device knows it; the recorder estimates it for one
    that is armed again. ``wraps`` are the counter wraps up to the end of a gap after which the device goes on: the
    recorder writes them, the driver does not give them, and so everybody knows that nobody looked meanwhile.
    """

    def __init__(
        self,
        cause: Cause,
        text: str,
        *,
        goes_on: bool = False,
        lost_s: float | None = None,
        wraps: NDArray[np.uint32] | None = None,
    ) -> None:
        super().__init__(text)
        self.cause = cause
        self.text = text
        self.goes_on = goes_on
        self.lost_s = lost_s
        self.wraps = np.empty(0, np.uint32) if wraps is None else wraps


@dataclass(frozen=True)
class DeviceFacts:
    """What stands in the header of a recording: known once the device is armed.

    ``record_type`` is a type of `formats.records`, whose raw 32-bit words `Driver.read_into` gives.
    ``macrotime_unit_s`` is the sync period (T3) or the tick (T2), ``dtime_resolution_s`` the width of a TCSPC bin (T3)
    or the tick (T2). ``sync_rate_hz`` is the laser's, None where it is not known. ``settings`` are further tags of the
    header by name, such as ``HWInpChan_Offset(0)``.
    """

    record_type: RecordType
    macrotime_unit_s: float
    dtime_resolution_s: float
    sync_rate_hz: float | None
    channels: int
    device: str
    serial: str = ""
    sync_divider: int = 1
    settings: Mapping[str, bool | int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """How a device is at the moment; None is what it cannot tell.

    ``count_rates_hz`` is by channel, from 0. ``warnings`` are sentences. ``lost_records`` counts all records that are
    known to be lost since the device was armed for the first time; it never falls. Where it has not risen after a fault
    nobody knows what that one has cost.
    """

    sync_rate_hz: float | None = None
    count_rates_hz: tuple[float, ...] | None = None
    warnings: tuple[str, ...] = ()
    lost_records: int | None = None


class Driver(ABC, Generic[S]):
    """Base of all drivers, which name themselves in the entry-point group ``photonstream.drivers``.

    ``Settings`` is a frozen dataclass whose annotations are checked. All calls come from one thread: ``arm``, then
    ``read_into`` and ``status`` in any order, ``disarm``, ``read_into`` until it gives 0, and perhaps ``arm`` again;
    ``close`` at the end, whatever happened before. An error of any other kind counts as a `DeviceError`.
    """

    Settings: ClassVar[type]
    # What device this is, in a few words.
    summary: ClassVar[str] = ""

    @classmethod
    def problem(cls) -> str | None:
        """Why no such device can be used here, in one sentence; None where one can. Imports what may be missing."""
        return None

    def __init__(self, settings: S) -> None:
        """Keep the settings; the device is touched only by `arm`."""
        self.settings = settings

    @abstractmethod
    def arm(self) -> DeviceFacts:
        """Begin to measure, with empty memory and the time at 0. Raises DeviceError where it cannot be done now."""

    @abstractmethod
    def read_into(self, buffer: NDArray[np.uint32]) -> int:
        """Put the next records at the front of ``buffer`` and return how many, at once; 0 where there are none yet.

        Raises DeviceError when all records before the fault have been given.
        """

    @abstractmethod
    def status(self) -> Status:
        """How the device is. Asked about once a second."""

    @abstractmethod
    def disarm(self) -> None:
        """End the measurement; what the device still holds can be read. Nothing happens where it is not armed."""

    def close(self) -> None:
        """Let go of the device."""
