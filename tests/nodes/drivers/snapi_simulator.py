"""snAPI as PicoQuant documents it, with a device that gives what the test says: same calls, same answers, no library.

`install` puts the modules ``snAPI.Main`` and ``snAPI.Constants`` where an import finds them.
"""

import sys
from enum import Enum
from types import ModuleType, SimpleNamespace

import numpy as np


class MeasMode(Enum):
    Histogram = 0
    T2 = 2
    T3 = 3


class TrigMode(Enum):
    Edge = 0
    CFD = 1


class LogLevel(Enum):
    Api = 0
    Config = 1
    Device = 2
    DataFile = 3
    Manipulators = 4


class World:
    """The device: what it gives, how it fares, and all that it was told."""

    def __init__(self, model="MultiHarp 150 4P", serial="1045483"):
        self.model, self.serial, self.there = model, serial, True
        self.sync_rate, self.rates = 2_500_000, [1000, 2000, 0, 0]
        self.refuses, self.calls = set(), []
        # What is in the memory of snAPI; records that it has counted, also those that it has dropped.
        self.block, self.counted = np.empty(0, np.uint32), 0
        self.measuring, self.reason = False, ""

    def give(self, records):
        self.block = np.append(self.block, np.asarray(records, np.uint32))
        self.counted += len(records)

    def drop_all(self):
        """The buffer overruns and is cleared, which only the log tells."""
        self.block = self.block[:0]

    def end(self, reason):
        self.measuring, self.reason = False, reason


class Device:
    def __init__(self, parent):
        self.parent = parent

    def __getattr__(self, name):
        if not name.startswith("set"):
            raise AttributeError(name)

        def tell(*arguments):
            world, config = self.parent.world, self.parent.deviceConfig
            world.calls.append((name, *arguments))
            if name in world.refuses:
                return False
            if name == "setBinning":
                config["Resolution"] = config["BaseResolution"] * 2 ** arguments[0]
            if name == "setSyncDiv":
                config["SyncDiv"] = arguments[0]
            if name == "setInputChannelOffset":
                config["ChansCfg"][arguments[0]]["ChanOffs"] = arguments[1]
            if name == "setInputChannelEnable":
                config["ChansCfg"][arguments[0]]["ChanEna"] = arguments[1]
            return True

        return tell


class Raw:
    def __init__(self, parent):
        self.parent = parent
        self.memory = np.empty(1 << 16, np.uint32)

    def startBlock(self, acqTime=1000, size=134217728, savePTU=False):  # noqa: N802
        world = self.parent.world
        world.calls.append(("startBlock", acqTime, savePTU))
        world.block, world.counted, world.measuring, world.reason = world.block[:0], 0, True, ""
        return True

    def getBlock(self):  # noqa: N802
        # A view of the one block of memory, as there.
        block, self.parent.world.block = self.parent.world.block, np.empty(0, np.uint32)
        self.memory[: len(block)] = block
        return self.memory[: len(block)]

    def isFinished(self):  # noqa: N802
        return not self.parent.world.measuring

    def stopMeasure(self):  # noqa: N802
        self.parent.world.end("Manual")


class SnAPI:
    world = None

    def __init__(self, systemIni=None):
        self.device, self.raw = Device(self), Raw(self)
        self.deviceIDs, self.deviceConfig, self.measDescription = [], (), ()

    def setLogLevel(self, level, on):  # noqa: N802
        return True

    def closeDevice(self, allDevices=True):  # noqa: N802
        self.deviceConfig = ()

    def getDeviceIDs(self):  # noqa: N802
        self.deviceIDs = [self.world.serial, ""] if self.world.there else ["", ""]
        return True

    def getDevice(self, *which):  # noqa: N802
        if not self.world.there or which not in ((), (self.world.serial,)):
            return False
        self.deviceConfig = {"ID": self.world.serial, "Model": self.world.model}
        return True

    def initDevice(self, measMode=MeasMode.T2):  # noqa: N802
        channels = [{"Index": each, "ChanOffs": 0, "ChanEna": 1} for each in range(4)]
        self.deviceConfig |= {
            "BaseResolution": 5.0,
            "Resolution": 5.0,
            "NumChans": 4,
            "SyncDiv": 1,
            "SyncChannelOffset": 0,
            "ChansCfg": channels,
            "MeasMode": measMode.value,
        }
        return True

    def getCountRates(self):  # noqa: N802
        return np.array([self.world.sync_rate, *self.world.rates])

    def getMeasDescription(self):  # noqa: N802
        self.measDescription = {"StopReason": self.world.reason, "NumRecs": self.world.counted}
        return True


def install(monkeypatch, world):
    main, constants = ModuleType("snAPI.Main"), ModuleType("snAPI.Constants")
    main.snAPI = type("snAPI", (SnAPI,), {"world": world})
    vars(constants).update(MeasMode=MeasMode, TrigMode=TrigMode, LogLevel=LogLevel)
    package = SimpleNamespace(Main=main, Constants=constants, __path__=[])
    for name, module in (("snAPI", package), ("snAPI.Main", main), ("snAPI.Constants", constants)):
        monkeypatch.setitem(sys.modules, name, module)
    return world
