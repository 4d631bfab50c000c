"""A pulse generator in the place of a device: a click on one channel in equal steps of time, as T2 records."""

import time
from dataclasses import dataclass

import numpy as np

from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.nodes.formats.records import GENERIC_T2

TICK_S = 1e-9
# What its memory holds: older clicks are lost.
MEMORY_S = 1.0


@dataclass(frozen=True)
class PulserSettings:
    """``period_s`` between two clicks on input ``channel``, which counts from 0."""

    period_s: float = 1e-4
    channel: int = 0

    def __post_init__(self):
        if not 1e-7 <= self.period_s <= 1e-2:
            raise ValueError(f"period_s is 100 ns to 10 ms, not {self.period_s:g} s")
        if self.channel not in range(4):
            raise ValueError(f"channel is 0 to 3, not {self.channel}")


class Pulser(Driver[PulserSettings]):
    """Makes the records that are due whenever it is read."""

    Settings = PulserSettings
    summary = "a steady pulse on one channel"
    clock = staticmethod(time.monotonic)

    @classmethod
    def problem(cls):
        # A real driver imports its vendor's package here: `except ImportError: return "install ... from ..."`.
        return None

    def arm(self):
        self._began = self.clock()
        # Clicks and counter wraps that have been given.
        self._clicks = self._wraps = 0
        self._running = True
        return DeviceFacts(
            record_type=GENERIC_T2,
            macrotime_unit_s=TICK_S,
            dtime_resolution_s=TICK_S,
            sync_rate_hz=None,
            channels=4,
            device="steady pulser",
            serial="0001",
        )

    def read_into(self, buffer):
        now_s = self.clock() - self._began if self._running else self._ended_s
        period = round(self.settings.period_s / TICK_S)
        due = int(now_s / TICK_S) // period - self._clicks
        if due * self.settings.period_s > MEMORY_S:
            raise DeviceError(Cause.FIFO_OVERRUN, f"nobody has read the pulser for more than {MEMORY_S:g} s")
        # At worst each click has a wrap before it.
        count = min(due, len(buffer) // 2)
        ticks = (self._clicks + 1 + np.arange(count, dtype=np.int64)) * period
        wraps = ticks // GENERIC_T2.wrap_ticks
        new = np.diff(wraps, prepend=self._wraps)
        clicks = (self.settings.channel << 25) | (ticks % GENERIC_T2.wrap_ticks)
        # A wrap is a special record (bit 31) of channel 63 with the number of wraps in it.
        records = np.insert(clicks, np.flatnonzero(new), (1 << 31) | (63 << 25) | new[new > 0])
        buffer[: len(records)] = records
        self._clicks += count
        self._wraps += int(new.sum())
        return len(records)

    def status(self):
        rates = [0.0] * 4
        rates[self.settings.channel] = 1 / self.settings.period_s
        return Status(count_rates_hz=tuple(rates))

    def disarm(self):
        if self._running:
            self._running, self._ended_s = False, self.clock() - self._began
