"""PicoQuant's MultiHarp, HydraHarp, TimeHarp 260 and PicoHarp 330, through the vendor's snAPI.

Source of the calls: PicoQuant's published snAPI package, https://github.com/PicoQuant/snAPI, class by class.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.nodes.drivers.picoquant_settings import GATE_S, PicoQuantSettings, apply_settings
from photonstream.nodes.formats import records as kinds
from photonstream.nodes.formats.records import RecordType

WHERE = "PicoQuant's snAPI (https://picoquant.github.io/snAPI/install.html)"


class PicoQuant(Driver[PicoQuantSettings]):
    """Raw records by snAPI's block-wise measurement, which runs until it is stopped.

    The device's memory that was full ends a measurement; how many records that cost nobody knows. What snAPI had to
    drop because nobody read it is known only at the end, from the number of records that it has counted.
    """

    Settings = PicoQuantSettings
    summary = "MultiHarp, HydraHarp, TimeHarp 260, PicoHarp 330 of PicoQuant, through snAPI"
    wait: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self, settings: PicoQuantSettings) -> None:
        super().__init__(settings)
        self._api: Any = None
        self._left: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._running = self._asked_end = False
        self._given = 0
        # Records known to be lost, None after a fault of which nobody knows the cost.
        self._lost_total = 0
        self._lost: int | None = 0
        self._dark = False

    @classmethod
    def problem(cls) -> str | None:
        """Whether snAPI and its library can be loaded."""
        try:
            _snapi("Main")
        except ImportError:
            return f"install {WHERE}"
        except Exception as error:
            return f"{WHERE} is installed but cannot be loaded: {error}"
        return None

    def arm(self) -> DeviceFacts:
        """Open and initialise the device, which forgets all settings, tell it these, and begin."""
        settings, constants = self.settings, _snapi("Constants")
        api = self._open(constants)
        if not api.initDevice(getattr(constants.MeasMode, settings.mode)):
            raise DeviceError(Cause.DEVICE_GONE, "the device cannot be initialised by snAPI")
        apply_settings(api, constants, settings)
        self.wait(1.5 * GATE_S)
        sync_rate_hz = float(api.getCountRates()[0])
        if settings.mode == "T3" and sync_rate_hz <= 0:
            raise DeviceError(Cause.SYNC_LOST, "there are no laser pulses at the sync input")
        # 0 ms is until it is stopped.
        if not api.raw.startBlock(0, settings.buffer_records, False):
            raise DeviceError(Cause.DRIVER_ERROR, "snAPI cannot start the measurement")
        self._left, self._given = np.empty(0, np.uint32), 0
        self._running, self._asked_end, self._dark = True, False, False
        return _facts(api.deviceConfig, settings, sync_rate_hz)

    def _open(self, constants: Any) -> Any:
        if self._api is None:
            self._api = _snapi("Main").snAPI()
            for level in constants.LogLevel:
                self._api.setLogLevel(level, False)
        self._api.closeDevice(True)
        serial = self.settings.serial
        if not (self._api.getDevice(serial) if serial else self._api.getDevice()):
            which = f"device with serial number {serial}" if serial else "PicoQuant device"
            raise DeviceError(Cause.DEVICE_GONE, f"no {which} answers, or another program has it")
        return self._api

    def read_into(self, buffer: NDArray[np.uint32]) -> int:
        """What snAPI has collected."""
        if not self._left.size and self._running:
            # In this order: what came before the end is in the block.
            finished = self._api.raw.isFinished()
            # A view of memory that the next block overwrites: that is asked for when this one has been given.
            self._left = np.asarray(self._api.raw.getBlock(), np.uint32)
            if not self._left.size and finished:
                self._ended()
            if not self._left.size and self._dark and not self._asked_end:
                self._stop_for(None)
                raise DeviceError(Cause.SYNC_LOST, "there are no laser pulses at the sync input any more")
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        self._given += len(taken)
        return len(taken)

    def _ended(self) -> None:
        """The measurement is over and all is read. Raises DeviceError where that is not as it should be."""
        self._running = False
        dropped, reason = 0, ""
        if self._api.getMeasDescription():
            description = self._api.measDescription
            dropped = max(0, int(description["NumRecs"]) - self._given)
            reason = str(description["StopReason"])
        if not self._asked_end:
            raise self._end_of_itself(reason)
        if dropped:
            self._stop_for(dropped)
            raise DeviceError(
                Cause.FIFO_OVERRUN,
                f"the memory of snAPI ({self.settings.buffer_records:,} records) was full: {dropped:,} records are "
                "missing somewhere in this recording, and its times are too early after them",
            )

    def _end_of_itself(self, reason: str) -> DeviceError:
        self._stop_for(None)
        serial = str(self._api.deviceConfig["ID"])
        if not self._api.getDeviceIDs() or serial not in self._api.deviceIDs:
            return DeviceError(Cause.DEVICE_GONE, f"the device {serial} does not answer")
        if any(word in reason.lower() for word in ("fifo", "overrun")):
            return DeviceError(Cause.FIFO_OVERRUN, "the device's memory was full")
        return DeviceError(Cause.DRIVER_ERROR, f"the device has ended the measurement: {reason or 'unknown'}")

    def _stop_for(self, lost: int | None) -> None:
        self._lost_total += lost or 0
        self._lost = None if lost is None else self._lost_total

    def status(self) -> Status:
        """Rates of the last tenth of a second."""
        rates = [float(each) for each in self._api.getCountRates()]
        self._dark = self.settings.mode == "T3" and rates[0] <= 0
        warnings = ("there are no laser pulses at the sync input",) if self._dark else ()
        return Status(rates[0], tuple(rates[1:]), warnings, self._lost)

    def disarm(self) -> None:
        """End the measurement; what snAPI still holds stays."""
        if self._running and not self._asked_end:
            self._asked_end = True
            self._api.raw.stopMeasure()

    def close(self) -> None:
        """Let go of the device."""
        if self._api is not None:
            self.disarm()
            self._api.closeDevice(True)
            self._api = None


def _snapi(module: str) -> Any:
    """A module of snAPI. It takes over the hook for errors that nobody catches, which is given back."""
    hook = sys.excepthook
    try:
        return importlib.import_module(f"snAPI.{module}")
    finally:
        sys.excepthook = hook


def _facts(config: dict[str, Any], settings: PicoQuantSettings, sync_rate_hz: float) -> DeviceFacts:
    """Times of snAPI are in ps. The records count undivided laser periods."""
    tick_s = float(config["BaseResolution"]) * 1e-12
    tags: dict[str, bool | int | float | str] = {
        "HW_BaseResolution": tick_s,
        "HWSync_Offset": int(config["SyncChannelOffset"]),
    }
    for channel in config["ChansCfg"]:
        index = int(channel["Index"])
        tags[f"HWInpChan_Offset({index})"] = int(channel["ChanOffs"])
        tags[f"HWInpChan_Enabled({index})"] = bool(channel["ChanEna"])
    t3 = settings.mode == "T3"
    return DeviceFacts(
        record_type=record_type(str(config["Model"]), settings.mode),
        macrotime_unit_s=1 / sync_rate_hz if t3 else tick_s,
        dtime_resolution_s=float(config["Resolution"]) * 1e-12 if t3 else tick_s,
        sync_rate_hz=sync_rate_hz if sync_rate_hz > 0 else None,
        channels=int(config["NumChans"]),
        device=str(config["Model"]),
        serial=str(config["ID"]),
        sync_divider=int(config["SyncDiv"]),
        settings=tags,
    )


def record_type(model: str, mode: str) -> RecordType:
    """The records of ``model``, which share one layout; the name says how they are called in a file."""
    if "HydraHarp 400" in model:
        return kinds.HYDRAHARP_V2_T3 if mode == "T3" else kinds.HYDRAHARP_V2_T2
    if "TimeHarp" in model and model.rstrip().endswith("P"):
        return kinds.TIMEHARP_260P_T3 if mode == "T3" else kinds.TIMEHARP_260P_T2
    if "TimeHarp" in model:
        return kinds.TIMEHARP_260N_T3 if mode == "T3" else kinds.TIMEHARP_260N_T2
    return kinds.GENERIC_T3 if mode == "T3" else kinds.GENERIC_T2
