"""Swabian Instruments' Time Taggers, or one behind its network server, through the vendor's package.

Source of the calls: the documentation of the package Swabian-TimeTagger 2.22.
"""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.nodes.drivers.tag_records import (
    MOST_DTIME,
    LaserClock,
    RecordWriter,
    generic,
    measured_period_ps,
)

# Types of tags, as the vendor numbers them.
TAG, ERROR, OVERFLOW_BEGIN, OVERFLOW_END, MISSED = range(5)
CALIBRATE_S = 0.2
# Photons without a laser pulse for so long: there is no laser.
NO_LASER_PS = 10**11


@dataclass(frozen=True)
class SwabianSettings:
    """``channels`` and ``laser_channel`` count from 0: 0 is input 1 of the device. ``address`` is a server's HOST:PORT.

    T3 needs ``laser_channel`` and ``repetition_rate_hz`` (to 1e-4; it is measured). With ``conditional_filter`` the
    device gives only the laser pulse after each photon. ``dtime_resolution_s`` None is the finest that holds a period.
    """

    serial: str = ""
    address: str = ""
    mode: str = "T2"
    channels: tuple[int, ...] = (0, 1)
    edge: str = "rising"
    trigger_level_v: float | None = None
    input_offset_s: tuple[float, ...] | None = None
    dead_time_s: float | None = None
    laser_channel: int | None = None
    laser_level_v: float | None = None
    repetition_rate_hz: float | None = None
    conditional_filter: bool = True
    dtime_resolution_s: float | None = None
    buffer_tags: int = 1 << 22

    def __post_init__(self) -> None:
        if self.mode not in ("T2", "T3"):
            raise ValueError(f"mode is T2 or T3, not {self.mode!r:.40}")
        if self.edge not in ("rising", "falling"):
            raise ValueError(f"edge is rising or falling, not {self.edge!r:.40}")
        if not self.channels or not {*range(63)} >= set(self.channels):
            raise ValueError(f"channels are 0 to 62, not {self.channels}")
        if self.mode == "T3" and (self.laser_channel is None or not self.repetition_rate_hz):
            raise ValueError("mode T3 needs laser_channel and repetition_rate_hz")
        if self.repetition_rate_hz is not None and not 1e3 <= self.repetition_rate_hz <= 1e9:
            raise ValueError(f"repetition_rate_hz is 1 kHz to 1 GHz, not {self.repetition_rate_hz:g} Hz")
        if self.laser_channel in self.channels:
            raise ValueError(f"laser_channel {self.laser_channel} cannot be one of channels")


class Swabian(Driver[SwabianSettings]):
    """Time tags as T2 records with a tick of 1 ps, or as T3 records by the laser's own tags."""

    Settings = SwabianSettings
    summary = "Time Tagger 20, Ultra, X of Swabian Instruments, also over its network server"
    wait: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self, settings: SwabianSettings) -> None:
        super().__init__(settings)
        self._tagger: Any = None
        self._stream: Any = None
        self._due: deque[NDArray[np.uint32] | tuple[DeviceError, int | None]] = deque()
        self._lost_total = 0
        self._lost: int | None = 0
        self._sign = 1 if settings.edge == "rising" else -1

    @classmethod
    def problem(cls) -> str | None:
        """Whether the vendor's package can be loaded."""
        try:
            _time_tagger()
        except ImportError as error:
            return (
                f"install Swabian-TimeTagger of Swabian Instruments (pip install Swabian-TimeTagger): {error}"
            )
        return None

    def arm(self) -> DeviceFacts:
        """Connect, tell the settings, measure the laser's period, and begin."""
        self.close()
        package, settings = _time_tagger(), self.settings
        try:
            if settings.address:
                self._tagger = package.createTimeTaggerNetwork(settings.address)
            else:
                self._tagger = package.createTimeTagger(settings.serial)
            self._apply()
            numbers = [self._number(each) for each in settings.channels]
            self._rates = package.Countrate(self._tagger, [*numbers, *self._laser()])
            self._tagger.sync()
            clock = self._calibrated(package, numbers) if settings.mode == "T3" else None
            self._stream = package.TimeTagStream(
                self._tagger, settings.buffer_tags, [*numbers, *self._laser()]
            )
        except RuntimeError as error:
            raise DeviceError(Cause.DEVICE_GONE, f"the Time Tagger cannot be used: {error}") from error
        self._begin(clock)
        return self._facts()

    def _apply(self) -> None:
        tagger, settings = self._tagger, self.settings
        for index, channel in enumerate(settings.channels):
            number = self._number(channel)
            if settings.trigger_level_v is not None:
                tagger.setTriggerLevel(number, settings.trigger_level_v)
            if settings.input_offset_s is not None and index < len(settings.input_offset_s):
                tagger.setInputDelay(number, round(settings.input_offset_s[index] * 1e12))
            if settings.dead_time_s is not None:
                tagger.setDeadtime(number, round(settings.dead_time_s * 1e12))
        for number in self._laser():
            if settings.laser_level_v is not None:
                tagger.setTriggerLevel(number, settings.laser_level_v)
            if settings.conditional_filter:
                tagger.setConditionalFilter([self._number(each) for each in settings.channels], [number])
            else:
                tagger.clearConditionalFilter()

    def _number(self, channel: int) -> int:
        return self._sign * (channel + 1)

    def _laser(self) -> list[int]:
        laser = self.settings.laser_channel
        return [] if self.settings.mode == "T2" or laser is None else [self._number(laser)]

    def _calibrated(self, package: Any, numbers: list[int]) -> LaserClock:
        stream = package.TimeTagStream(self._tagger, self.settings.buffer_tags, [*numbers, *self._laser()])
        self.wait(CALIBRATE_S)
        data = stream.getData()
        stream.stop()
        channels = np.asarray(data.getChannels())
        pulses = np.asarray(data.getTimestamps(), np.int64)[channels == self._laser()[0]]
        if not pulses.size and (channels.size or not self.settings.conditional_filter):
            raise DeviceError(
                Cause.SYNC_LOST, f"there are no laser pulses on channel {self.settings.laser_channel}"
            )
        nominal_ps = 1e12 / (self.settings.repetition_rate_hz or 1.0)
        return LaserClock(measured_period_ps(pulses, nominal_ps), self.settings.conditional_filter)

    def _begin(self, clock: LaserClock | None) -> None:
        self._clock = clock
        self._writer = RecordWriter(generic(self.settings.mode))
        self._due.clear()
        self._overflow_ps: int | None = None
        self._missed = self._beyond = 0
        self._ended = False
        longest_ps = 0.0 if clock is None else clock.period_ps
        self._bin_ps = float(2 ** max(0, int(np.ceil(np.log2(max(longest_ps, 1.0) / MOST_DTIME)))))
        if self.settings.dtime_resolution_s is not None:
            self._bin_ps = self.settings.dtime_resolution_s * 1e12

    def _facts(self) -> DeviceFacts:
        clock = self._clock
        return DeviceFacts(
            record_type=generic(self.settings.mode),
            macrotime_unit_s=1e-12 if clock is None else clock.period_ps * 1e-12,
            dtime_resolution_s=1e-12 if clock is None else self._bin_ps * 1e-12,
            sync_rate_hz=self.settings.repetition_rate_hz if clock is None else 1e12 / clock.period_ps,
            channels=max(self.settings.channels) + 1,
            device=str(self._tagger.getModel()),
            serial=str(self._tagger.getSerial()),
            settings={"HW_BaseResolution": 1e-12},
        )

    def read_into(self, buffer: NDArray[np.uint32]) -> int:
        """What has come; a fault stands between what came before and after it."""
        if not self._due and self._stream is not None:
            self._fetch()
        if not self._due:
            return 0
        first = self._due.popleft()
        if isinstance(first, tuple):
            fault, lost = first
            self._lost_total += lost or 0
            # Nobody knows the cost of this one.
            self._lost = None if lost is None else self._lost_total
            raise fault
        taken = first[: len(buffer)]
        buffer[: len(taken)] = taken
        if len(taken) < len(first):
            self._due.appendleft(first[len(taken) :])
        return len(taken)

    def _fetch(self) -> None:
        try:
            data = self._stream.getData()
            connected = not self.settings.address or self._tagger.isConnected()
        except RuntimeError as error:
            self._gone(f"the Time Tagger does not answer: {error}", self._overflow_ps)
            return
        times = np.asarray(data.getTimestamps(), np.int64) - int(data.tStart)
        channels, types = np.asarray(data.getChannels()), np.asarray(data.getEventTypes())
        missed = np.asarray(data.getMissedEvents())
        begin = 0
        for at in np.flatnonzero(types != TAG).tolist():
            self._photons(times[begin:at], channels[begin:at])
            self._special(int(types[at]), int(times[at]), int(channels[at]), int(missed[at]))
            begin = at + 1
        self._photons(times[begin:], channels[begin:])
        now_ps = int(data.tGetData) - int(data.tStart)
        if int(data.size) >= self.settings.buffer_tags:
            lost_s = max(0.0, (now_ps - int(times[-1])) * 1e-12)
            text = f"the memory of {self.settings.buffer_tags:,} tags was full"
            self._due.append((self._overrun(text, lost_s, now_ps), None))
        if not connected:
            self._gone(f"no connection to {self.settings.address}", now_ps)
        self._pass(now_ps)
        if self._ended and not self._due:
            self._tell_left_out(now_ps)

    def _gone(self, text: str, end_ps: int | None) -> None:
        """The device is lost, and armed anew: what is known of losses so far is told before."""
        self._tell_left_out(end_ps)
        self._due.append((DeviceError(Cause.DEVICE_GONE, text), None))

    def _tell_left_out(self, end_ps: int | None) -> None:
        """At the end: an overflow that goes on, and photons that no T3 record could hold or without a laser pulse."""
        if self._overflow_ps is not None and end_ps is not None:
            self._overflowed(max(0.0, (end_ps - self._overflow_ps) * 1e-12), end_ps)
        if self._clock is None:
            return
        alone = self._clock.drop_waiting() + self._clock.early
        if not alone + self._beyond:
            return
        text = (
            f"{alone:,} photons had no laser pulse, at the very beginning or end; {self._beyond:,} came more than "
            f"{MOST_DTIME:,} bins after theirs"
        )
        fault = DeviceError(Cause.SYNC_LOST, text, goes_on=True, lost_s=0.0)
        self._due.append((fault, alone + self._beyond))
        self._clock.early = self._beyond = 0

    def _photons(self, times: NDArray[np.int64], channels: NDArray[np.int64]) -> None:
        inputs = np.abs(channels).astype(np.int64) - 1
        if self._clock is None:
            self._give(self._writer.records(times, inputs))
            return
        inputs[channels == self._laser()[0]] = -1
        pulses, after_ps, inputs = self._clock.read(times, inputs)
        dtimes = (after_ps / self._bin_ps).astype(np.int64)
        fits = dtimes <= MOST_DTIME
        self._beyond += int(np.count_nonzero(~fits))
        self._give(self._writer.records(pulses[fits], inputs[fits], dtimes[fits]))

    def _give(self, records: NDArray[np.uint32]) -> None:
        if records.size:
            self._due.append(records)

    def _special(self, kind: int, time_ps: int, channel: int, missed: int) -> None:
        """A tag that is no photon: an overflow and what it cost, or an error."""
        if kind == OVERFLOW_BEGIN:
            self._overflow_ps = time_ps
            # Their laser pulse may be among what is missing.
            self._missed += self._clock.drop_waiting() if self._clock is not None else 0
        elif kind == MISSED:
            self._missed += missed if channel not in self._laser() else 0
            if self._overflow_ps is None:
                self._overflowed(0.0, time_ps)
        elif kind == OVERFLOW_END:
            # One that had begun before the measurement: what it cost was told with each tag of it.
            if self._overflow_ps is not None:
                self._overflowed((time_ps - self._overflow_ps) * 1e-12, time_ps)
        else:
            self._gone("the Time Tagger has lost its time base", time_ps)

    def _overflowed(self, lost_s: float, end_ps: int) -> None:
        text = f"the Time Tagger's memory was full: {self._missed:,} photons are missing"
        self._due.append((self._overrun(text, lost_s, end_ps), self._missed))
        self._overflow_ps, self._missed = None, 0

    def _overrun(self, text: str, lost_s: float, end_ps: int) -> DeviceError:
        """A gap up to ``end_ps``, with the wraps that stand for it."""
        tick = end_ps if self._clock is None else self._clock.pulse_at(end_ps)
        wraps = self._writer.advance(tick) if lost_s else None
        return DeviceError(Cause.FIFO_OVERRUN, text, goes_on=True, lost_s=lost_s, wraps=wraps)

    def _pass(self, now_ps: int) -> None:
        """The time goes on in the dark; photons without a laser are a fault."""
        if self._overflow_ps is not None:
            # Nobody looks: what time that takes is told at its end.
            return
        if self._clock is None:
            self._give(self._writer.advance(now_ps))
        elif not self._clock.waiting:
            self._give(self._writer.advance(self._clock.pulse_at(now_ps)))
        elif self._clock.silent_ps(now_ps) > NO_LASER_PS:
            fault = DeviceError(Cause.SYNC_LOST, "photons come, but no laser pulses any more")
            self._due.append((fault, self._clock.drop_waiting()))

    def status(self) -> Status:
        """Mean rates since the device was armed."""
        rates = np.zeros(max(self.settings.channels) + 1)
        rates[list(self.settings.channels)] = self._rates.getData()[: len(self.settings.channels)]
        sync_hz = None if self._clock is None else 1e12 / self._clock.period_ps
        return Status(sync_hz, tuple(rates.tolist()), (), self._lost)

    def disarm(self) -> None:
        """End the measurement; what has come can be read."""
        if self._stream is not None and not self._ended:
            self._ended = True
            self._stream.stop()

    def close(self) -> None:
        """Let go of the device."""
        if self._tagger is not None:
            _time_tagger().freeTimeTagger(self._tagger)
        self._tagger = self._stream = None


def _time_tagger() -> Any:
    """The vendor's package: from its own installer it is called TimeTagger."""
    try:
        return importlib.import_module("Swabian.TimeTagger")
    except ImportError:
        return importlib.import_module("TimeTagger")
