"""A recorder with a device that follows a script, and what came of it."""

from dataclasses import dataclass

import numpy as np

from photonstream.nodes.drivers.base import DeviceFacts, Driver, Status
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.records import BY_NAME, GENERIC_T3
from photonstream.nodes.pacing import RecordClock
from photonstream.nodes.recorder import Recorder
from photonstream.nodes.recording_events import events_path, parse_event

UNIT_S = 1e-6
WRAP_S = 1024 * UNIT_S


class Clock:
    """Time that goes by only where somebody waits."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


@dataclass(frozen=True)
class ScriptedSettings:
    record_type: str = "Generic T3"


class Scripted(Driver):
    """Gives, at each reading, what the next step of its script says; at the end of the script it stops the recorder.

    A step is an array of records, an exception to raise, or a number of seconds that pass. ``refusals`` are raised by
    the next attempts to arm it; ``facts`` replace those with which it comes back.
    """

    Settings = ScriptedSettings

    def __init__(self, script, clock, record_type=GENERIC_T3):
        super().__init__(ScriptedSettings(record_type.name))
        self.script = list(script)
        self.clock = clock
        self.facts = DeviceFacts(BY_NAME[record_type.name], UNIT_S, 1e-10, 1e6, 2, "scripted", "S1")
        self.refusals = []
        self.lost = None
        self.held = np.empty(0, np.uint32)
        self.recorder = None
        self.calls = []
        self.given = []

    def arm(self):
        self.calls.append("arm")
        if self.refusals:
            raise self.refusals.pop(0)
        return self.facts

    def read_into(self, buffer):
        if not self.held.size:
            if not self.script:
                self.recorder.stop()
                return 0
            step = self.script.pop(0)
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                self.clock.wait(step)
                return 0
            if callable(step):
                step()
                return 0
            self.held = step
        count = min(len(buffer), self.held.size)
        buffer[:count] = self.held[:count]
        self.given.append(self.held[:count])
        self.held = self.held[count:]
        return count

    def status(self):
        return Status(1e6, (1.0, 2.0), (), self.lost)

    def disarm(self):
        self.calls.append("disarm")

    def close(self):
        self.calls.append("close")


def photons(*nsync, channel=1):
    """T3 records of photons, times within one wrap."""
    return np.array([channel << 25 | 5 << 10 | t for t in nsync], np.uint32)


def wrapped(count):
    """One record that tells ``count`` wraps."""
    return np.array([127 << 25 | count], np.uint32)


def record(tmp_path, script, clock=None, prepare=lambda driver: None, record_type=GENERIC_T3, **options):
    """Record the script; returns how it ended, the file, its records, its events and the driver."""
    clock = clock or Clock()
    driver = Scripted(script, clock, record_type)
    prepare(driver)
    path = tmp_path / "run.ptu"
    recorder = Recorder(driver, path, clock=clock, wait=clock.wait, **options)
    driver.recorder = recorder
    ended = recorder.run()
    file = open_tag_file(path)
    records = np.concatenate([np.empty(0, np.uint32), *file.blocks()])
    return ended, file, records, events_of(path), driver


def events_of(path):
    return [parse_event(line) for line in events_path(path).read_text(encoding="utf-8").splitlines()]


def gaps_of(events):
    return [event for event in events if event.kind == "gap"]


def times_s(records, record_type=GENERIC_T3):
    """The time after each record."""
    clock = RecordClock(record_type, UNIT_S, 1)
    mark, times = clock.start, []
    for k in range(records.size):
        mark = clock.after(mark, records[k : k + 1])
        times.append(mark.time_s)
    return times
