"""The driver by itself, and recorded: clicks that are known, in any pieces, and a fault."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from steady_pulser import Pulser, PulserSettings

from photonstream.nodes.drivers.base import Cause, DeviceError
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.records import GENERIC_T2
from photonstream.nodes.pacing import RecordClock
from photonstream.nodes.recorder import Recorder


class Clock:
    """Time that goes by only where somebody waits."""

    now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


def pulser(**settings):
    driver = Pulser(PulserSettings(**settings))
    driver.clock = Clock()
    driver.arm()
    return driver


def read_all(driver, size):
    buffer, pieces = np.empty(size, np.uint32), []
    while count := driver.read_into(buffer):
        pieces.append(buffer[:count].copy())
    return np.concatenate([np.empty(0, np.uint32), *pieces])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(2, 500)), max_size=10), st.sampled_from([1e-3, 9e-5])
)
def test_every_click_once_whenever_it_is_read(readings, period_s):
    driver, pieces = pulser(period_s=period_s, channel=2), []
    for wait_s, size in readings:
        driver.clock.wait(wait_s)
        pieces.append(read_all(driver, size))
    records = np.concatenate([np.empty(0, np.uint32), *pieces])
    clicks = records[records >> np.uint32(25) == 2]
    assert abs(len(clicks) - driver.clock.now / period_s) <= 1
    # The decoder finds the last click where it is due.
    clock = RecordClock(GENERIC_T2, 1e-9, max(1, len(records)))
    time_s = clock.after(clock.start, records).time_s
    assert time_s == pytest.approx(len(clicks) * period_s)


def test_who_does_not_read_it_loses_clicks():
    driver = pulser()
    driver.clock.wait(1.5)
    with pytest.raises(DeviceError, match="nobody has read the pulser") as fault:
        driver.read_into(np.empty(100, np.uint32))
    assert fault.value.cause is Cause.FIFO_OVERRUN


def test_what_is_due_can_be_read_after_the_end():
    driver = pulser(period_s=1e-3)
    driver.clock.wait(0.1005)
    driver.disarm()
    driver.clock.wait(5)
    assert len(read_all(driver, 64)) == 100 + 2


def test_it_is_recorded(tmp_path):
    driver = pulser(period_s=1e-3)
    recorder = Recorder(
        driver, tmp_path / "run.ptu", limit_s=0.9995, clock=driver.clock, wait=driver.clock.wait
    )
    assert not recorder.run().failed
    file = open_tag_file(tmp_path / "run.ptu")
    records = np.concatenate(list(file.blocks()))
    assert (records < 1 << 25).sum() in (999, 1000, 1001, 1002, 1003, 1004)
    assert file.header["HW_Type"] == "steady pulser"
