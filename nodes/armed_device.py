"""A driver as the recorder sees it: whatever it does, it is armed, or a fault, and after one it is armed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.device_time import DeviceTime, wrap_records
from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.stream.node import InputError

# Tries to arm a device again that gives no record in between, before each but the first a wait: 0.1 s, then each time
# twice as long up to 1 s, so for about two minutes.
TRIES = 120
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 1.0


@dataclass(frozen=True)
class Mended:
    """What a fault has cost: seconds (estimated) and records (None where nobody knows).

    ``wraps`` are counter wraps up to the end of the gap, where a device that was armed again counts from 0. Where it is
    not ``armed`` again nothing more comes; ``cause`` says why, or is None where somebody wants the end.
    """

    lost_s: float | None
    lost_records: int | None
    wraps: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    armed: bool = True
    cause: str | None = None


class ArmedDevice:
    """``driver``, armed; ``facts`` are those of the first time. Raises InputError where it cannot be armed at all."""

    def __init__(self, driver: Driver[Any], clock: Callable[[], float]) -> None:
        self._driver = driver
        self._clock = clock
        self._tries = 0
        self._counted_lost = 0
        try:
            self.facts = driver.arm()
        except Exception as error:
            raise InputError(f"the device cannot be armed: {_fault(error).text}") from error
        self._begin()

    def _begin(self) -> None:
        self.armed_at = self._clock()
        self._time = DeviceTime(self.facts.record_type)

    def read_into(self, buffer: NDArray[np.uint32]) -> int:
        """As of the driver. Raises DeviceError and nothing else."""
        try:
            count = self._driver.read_into(buffer)
        except Exception as error:
            raise _fault(error) from error
        if not isinstance(count, int | np.integer) or not 0 <= count <= len(buffer):
            raise DeviceError(
                Cause.DRIVER_ERROR,
                f"the driver says that it put {count!r:.40} records into room for {len(buffer)}",
            )
        return int(count)

    def passed(self, records: NDArray[np.uint32]) -> None:
        """These records have been written."""
        self._time.read(records)
        self._tries = 0

    def status(self) -> Status:
        """As of the driver; a device that cannot tell says so in a warning."""
        try:
            status = self._driver.status()
            if not isinstance(status, Status):
                raise TypeError(f"its status is {status!r:.40}")
            return status
        except Exception as error:
            return Status(warnings=(f"the device does not tell how it is: {_fault(error).text}",))

    def disarm(self) -> None:
        """As of the driver. Raises DeviceError and nothing else."""
        try:
            self._driver.disarm()
        except Exception as error:
            raise _fault(error) from error

    def mend(self, fault: DeviceError, pause: Callable[[float], bool]) -> Mended:
        """Go on after ``fault``. ``pause`` waits so many seconds and says whether the recording is to go on."""
        if fault.goes_on:
            self._time.read(fault.wraps)
            return Mended(fault.lost_s, self._newly_lost(), fault.wraps)
        armed, cause = self._arm_again(fault, pause)
        if not armed:
            return self.give_up(fault, cause)
        lost_s = self._lost_s(fault)
        wrap = self.facts.record_type.wrap_ticks
        # The new counter begins at a wrap, so at least one is needed for the time not to go back.
        goal = round((self._time.ticks + lost_s / self.facts.macrotime_unit_s) / wrap)
        wraps = max(1, goal - self._time.ticks // wrap)
        self._begin()
        return Mended(lost_s, self._newly_lost(), wrap_records(self.facts.record_type, wraps))

    def give_up(self, fault: DeviceError, cause: str | None = None) -> Mended:
        """What a fault has cost by now, after which the device is not armed again."""
        return Mended(self._lost_s(fault), self._newly_lost(), armed=False, cause=cause)

    def _lost_s(self, fault: DeviceError) -> float:
        """As the device says, else what its time lags behind the clock that started with it."""
        if fault.lost_s is not None:
            return fault.lost_s
        reached_s = self._time.ticks * self.facts.macrotime_unit_s
        return max(0.0, self._clock() - self.armed_at - reached_s)

    def _arm_again(self, fault: DeviceError, pause: Callable[[float], bool]) -> tuple[bool, str | None]:
        while self._tries < TRIES:
            if self._tries and not pause(min(FIRST_WAIT_S * 2.0 ** min(self._tries - 1, 10), LONGEST_WAIT_S)):
                return False, None
            self._tries += 1
            try:
                self._driver.disarm()
                facts = self._driver.arm()
            except Exception as error:
                fault = _fault(error)
                continue
            unlike = _unlike(self.facts, facts)
            return not unlike, unlike and f"the device came back with {unlike}"
        return False, f"{fault.text}; {TRIES} tries to arm the device again were in vain"

    def _newly_lost(self) -> int | None:
        """Records known to be lost that have not been told of yet; None where nobody knows of any.

        A fault means that something is: a sum that has not risen does not know of this one.
        """
        lost = self.status().lost_records
        if lost is None:
            return None
        newly, self._counted_lost = max(0, lost - self._counted_lost), max(lost, self._counted_lost)
        return newly or None


def _fault(error: Exception) -> DeviceError:
    if isinstance(error, DeviceError):
        return error
    return DeviceError(Cause.DRIVER_ERROR, f"the driver failed: {type(error).__name__}: {error}")


def _unlike(first: DeviceFacts, again: DeviceFacts) -> str | None:
    """What makes one file of both impossible; the sync period is measured anew each time and may differ a little."""
    if again.record_type != first.record_type:
        return f"records of type {again.record_type.name} instead of {first.record_type.name}"
    for name in ("macrotime_unit_s", "dtime_resolution_s"):
        before, after = getattr(first, name), getattr(again, name)
        if abs(after - before) > 1e-3 * before:
            return f"a {name} of {after:g} s instead of {before:g} s"
    return None
