"""The package of Swabian Instruments as it is documented, with tags that the test says; no library, no device."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np

TAG, ERROR, OVERFLOW_BEGIN, OVERFLOW_END, MISSED = range(5)


class World:
    """``tags`` are rows of (ps, channel, type, missed events) that no stream has given yet."""

    def __init__(self):
        self.tags, self.now_ps, self.calls = [], 0, []
        self.there = self.connected = True
        # What is given to the first stream of a T3 run, which measures the period.
        self.first = []

    def photons(self, times, channel):
        self.tags += [(int(each), channel, TAG, 0) for each in times]


class Tagger:
    def __init__(self, world):
        self.world = world

    def __getattr__(self, name):
        if not name.startswith(("set", "clear")):
            raise AttributeError(name)
        return lambda *arguments: self.world.calls.append((name, *arguments))

    def sync(self, timeout=-1):
        return True

    def isConnected(self):  # noqa: N802
        return self.world.connected

    def getModel(self):  # noqa: N802
        return "Time Tagger Ultra"

    def getSerial(self):  # noqa: N802
        return "2138000XH5"


class Stream:
    def __init__(self, world, tagger, n_max_events, channels):
        self.world, self.most, self.channels = world, n_max_events, channels
        self.start = world.now_ps
        self.stopped = False

    def stop(self):
        self.stopped = True

    def getData(self):  # noqa: N802
        world = self.world
        if not world.there:
            raise RuntimeError("Time Tagger disconnected")
        given = world.first or world.tags
        rows = [row for row in sorted(given, key=lambda row: row[0]) if row[1] in self.channels or row[2]]
        given.clear()
        table = np.array(rows[: self.most], np.int64).reshape(-1, 4)
        if table.size:
            world.now_ps = max(world.now_ps, int(table[-1, 0]))
        return SimpleNamespace(
            getTimestamps=lambda: table[:, 0],
            getChannels=lambda: table[:, 1].astype(np.int32),
            getEventTypes=lambda: table[:, 2].astype(np.uint8),
            getMissedEvents=lambda: table[:, 3].astype(np.uint16),
            tStart=self.start,
            tGetData=world.now_ps,
            size=len(table),
        )


def install(monkeypatch, world):
    module = ModuleType("Swabian.TimeTagger")

    def create(*where):
        world.calls.append(("create", *where))
        if not world.there:
            raise RuntimeError("no Time Tagger found")
        return Tagger(world)

    module.createTimeTagger = module.createTimeTaggerNetwork = create
    module.freeTimeTagger = lambda tagger: None
    module.TimeTagStream = lambda *arguments: Stream(world, *arguments)
    module.Countrate = lambda tagger, channels: SimpleNamespace(
        getData=lambda: np.arange(1.0, 1 + len(channels))
    )
    package = ModuleType("Swabian")
    package.TimeTagger, package.__path__ = module, []
    monkeypatch.setitem(sys.modules, "Swabian", package)
    monkeypatch.setitem(sys.modules, "Swabian.TimeTagger", module)
    return world
