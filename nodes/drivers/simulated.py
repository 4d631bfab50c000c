"""A device that is not there: the simulator in real time, with a memory that overruns and faults where asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.nodes.drivers.simulated_faults import PlannedFault, parse_faults
from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3
from photonstream.nodes.simulate.parameters import SimulationParameters, with_settings
from photonstream.nodes.simulate.presets import BLINKING, PRESETS
from photonstream.nodes.simulate.slices import Repeated, Slices

SLICE_S = 5e-3
MODES = {"T3": GENERIC_T3, "T2": GENERIC_T2}
# Settings that are not those of the simulation itself.
_OWN = frozenset({"preset", "blinking", "mode", "channels", "repeat_s", "fifo_records", "faults"})


@dataclass(frozen=True)
class SimulatedSettings:
    """``preset`` and ``blinking`` as `photonstream simulate --list` names them; ``mode`` T3 or T2.

    ``fifo_records`` is the device's memory. ``repeat_s`` simulates so many seconds beforehand and repeats them, for
    rates beyond some 1e7 records/s. ``faults`` is a plan such as ``overrun@2s sync@3s:0.5s stall@5s:1s gone@8s:2s
    rate@9s:1s``. What is None is as the preset has it; ``sync_divider`` is for T2.
    """

    preset: str = "355nm"
    blinking: str = "normal"
    mode: str = "T3"
    channels: tuple[int, ...] | None = None
    seed: int = 1
    mean_n: float | None = None
    cm_efficiency: float | None = None
    repetition_rate_hz: float | None = None
    efficiency: tuple[float, float] | None = None
    background_hz: tuple[float, float] | None = None
    dead_time_s: float | None = None
    sync_divider: int = 16
    repeat_s: float | None = None
    fifo_records: int = 1 << 22
    faults: str = ""

    def __post_init__(self) -> None:
        for name, known in (("preset", PRESETS), ("blinking", BLINKING), ("mode", MODES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r:.40}")
        if self.channels is not None and not {0, 1} >= set(self.channels) != set():
            raise ValueError(f"channels are 0, 1 or both, not {self.channels}")
        if self.repeat_s is not None and not SLICE_S <= self.repeat_s <= 60:
            raise ValueError(f"repeat_s is {SLICE_S:g} to 60 s, not {self.repeat_s:g} s")
        if self.fifo_records < 1:
            raise ValueError(f"fifo_records is at least 1, not {self.fifo_records}")
        parse_faults(self.faults)
        self.simulation()

    def simulation(self) -> SimulationParameters:
        """The parameters of the simulator. Raises ParameterError."""
        parameters = replace(PRESETS[self.preset].parameters, blinking=BLINKING[self.blinking])
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _OWN}
        return with_settings(parameters, {name: value for name, value in given.items() if value is not None})


class Simulated(Driver[SimulatedSettings]):
    """What detectors would give at this moment of the clock, in slices of some 5 ms; it counts exactly what it loses.

    The nanocrystal lives on while nobody measures. After a fault everything that would have been recorded until the
    device measures again is lost, and so is what does not fit into its memory.
    """

    Settings = SimulatedSettings
    summary = "a simulated nanocrystal in real time, for trying things out without hardware"
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, settings: SimulatedSettings) -> None:
        super().__init__(settings)
        self._record_type = MODES[settings.mode]
        self._slices = Slices(settings.simulation(), self._record_type, SLICE_S, settings.channels)
        self._world: Slices | Repeated = self._slices
        self._began: float | None = None
        self._planned = deque(fault for fault in parse_faults(settings.faults) if fault.kind != "stall")
        self._stalls = tuple(fault for fault in parse_faults(settings.faults) if fault.kind == "stall")
        # Slices that have passed; the first slice that is measured, None while none is.
        self._passed = 0
        self._from: int | None = None
        self._fifo: deque[NDArray[np.uint32]] = deque()
        self._held = 0
        # Everything that was not measured since the first fault but would have been.
        self._lost = 0
        self._fault: DeviceError | None = None
        self._out: PlannedFault | None = None
        self._limit: PlannedFault | None = None
        self._latest = np.empty(0, np.uint32)

    def arm(self) -> DeviceFacts:
        """Measure from the next slice on."""
        now_s = self._begin() if self._began is None else self._pass_time()
        while self._planned and self._planned[0].at_s <= now_s:
            self._happen(self._planned.popleft())
        if self._out is not None and self._out.holds(now_s):
            raise _fault_of(self._out)
        # What is left of the present slice is lost, too.
        self._from = int(np.ceil(now_s / self._slices.slice_s))
        while self._passed < self._from:
            self._pass_slice()
        self._out = self._fault = None
        self._drop()
        encoder, simulation = self._slices.encoder, self._slices.parameters
        return DeviceFacts(
            record_type=self._record_type,
            macrotime_unit_s=encoder.macrotime_unit_s,
            dtime_resolution_s=encoder.dtime_resolution_s,
            sync_rate_hz=simulation.repetition_rate_hz,
            sync_divider=encoder.sync_divider,
            channels=2,
            device=f"simulated {self.settings.preset}",
            serial=str(self.settings.seed),
            settings={"HW_BaseResolution": encoder.tick_s},
        )

    def _begin(self) -> float:
        """The clock starts, at 0, when everything is there, with the kernels compiled."""
        if self.settings.repeat_s is not None:
            self._world = Repeated(self._slices, self.settings.repeat_s)
        else:
            Slices(self._slices.parameters, self._record_type, SLICE_S).next()
        self._began = self.clock()
        return 0.0

    def read_into(self, buffer: NDArray[np.uint32]) -> int:
        """What the memory holds, up to the size of ``buffer``."""
        now_s = self._pass_time()
        if any(stall.holds(now_s) for stall in self._stalls):
            return 0
        written = 0
        while self._fifo and written < len(buffer):
            piece = self._fifo.popleft()
            taken = piece[: len(buffer) - written]
            buffer[written : written + len(taken)] = taken
            written += len(taken)
            if len(taken) < len(piece):
                self._fifo.appendleft(piece[len(taken) :])
        self._held -= written
        if not written and self._fault is not None:
            raise self._fault
        return written

    def status(self) -> Status:
        """Rates of the last slice."""
        now_s = self._pass_time() if self._began is not None else 0.0
        words = self._latest
        photons = words[words < 1 << 31] >> np.uint32(25)
        rates = np.bincount(photons, minlength=2)[:2] / self._slices.slice_s
        limited = self._limit is not None and self._limit.holds(now_s)
        dark = self._out is not None and self._out.kind == "sync" and self._out.holds(now_s)
        return Status(
            sync_rate_hz=0.0 if dark else self._slices.parameters.repetition_rate_hz,
            count_rates_hz=tuple(rates.tolist()),
            warnings=("the count rate is above the limit of the device",) if limited else (),
            lost_records=self._lost,
        )

    def disarm(self) -> None:
        """Measure no more; what the memory holds stays."""
        if self._began is not None:
            self._pass_time()
        self._from = None

    def _pass_time(self) -> float:
        """Let everything happen that has happened by now; returns the seconds since the beginning."""
        if self._began is None:
            raise RuntimeError("it has not been armed")
        now_s = self.clock() - self._began
        due = int(now_s / self._slices.slice_s)
        while self._passed < due:
            self._pass_slice()
        return now_s

    def _pass_slice(self) -> None:
        self._passed += 1
        self._latest = self._world.next()
        while self._planned and self._planned[0].at_s < self._passed * self._slices.slice_s:
            self._happen(self._planned.popleft())
        if self._fault is not None:
            self._lost += self._latest.size
        elif self._from is not None and self._passed > self._from:
            self._take(self._latest)

    def _take(self, records: NDArray[np.uint32]) -> None:
        room = self.settings.fifo_records - self._held
        self._fifo.append(records[:room])
        self._held += min(room, records.size)
        if records.size > room:
            self._lost += records.size - room
            self._fault = DeviceError(
                Cause.FIFO_OVERRUN, f"the device's memory of {self.settings.fifo_records:,} records was full"
            )

    def _happen(self, planned: PlannedFault) -> None:
        if planned.kind == "rate":
            self._limit = planned
            return
        if planned.kind == "gone":
            self._lost += self._held
            self._drop()
        if planned.kind != "overrun":
            self._out = planned
        self._fault = self._fault or _fault_of(planned)

    def _drop(self) -> None:
        self._fifo.clear()
        self._held = 0


def _fault_of(planned: PlannedFault) -> DeviceError:
    if planned.kind == "overrun":
        return DeviceError(Cause.FIFO_OVERRUN, "the device's memory was full (simulated)")
    if planned.kind == "sync":
        return DeviceError(Cause.SYNC_LOST, "there are no laser pulses at the sync input (simulated)")
    return DeviceError(Cause.DEVICE_GONE, "the device does not answer (simulated)")
