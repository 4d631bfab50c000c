"""The simulated device by a clock of the test: what it records, what it loses, and faults where they are asked for."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.drivers.base import DeviceError
from photonstream.nodes.drivers.simulated import SLICE_S, Simulated, SimulatedSettings
from photonstream.nodes.drivers.simulated_faults import parse_faults
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3
from photonstream.nodes.pacing import RecordClock
from photonstream.nodes.recorder import Recorder
from photonstream.nodes.recording_events import events_path, parse_event
from photonstream.nodes.simulate.slices import Slices

BUFFER = np.empty(1 << 20, np.uint32)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


def device(clock, **given):
    driver = Simulated(SimulatedSettings(**given))
    driver.clock = clock
    return driver


def world(count, record_type=GENERIC_T3, **given):
    """The records of so many slices, as the simulator makes them."""
    slices = Slices(SimulatedSettings(**given).simulation(), record_type, SLICE_S)
    return [slices.next() for _ in range(count)], slices.slice_s


def recorded(tmp_path, clock, driver, limit_s):
    path = tmp_path / "run.ptu"
    ended = Recorder(driver, path, limit_s=limit_s, clock=clock, wait=clock.wait).run()
    file = open_tag_file(path)
    events = [parse_event(line) for line in events_path(path).read_text(encoding="utf-8").splitlines()]
    return ended, file, np.concatenate(list(file.blocks())), [e for e in events if e.kind == "gap"]


@pytest.mark.parametrize(
    ("rate", "given"),
    [
        (1e4, {"mean_n": 0.0, "background_hz": (5e3, 5e3)}),
        (1e6, {"background_hz": (470e3, 470e3)}),
        (2e7, {"mean_n": 0.0, "background_hz": (1e7, 1e7), "repeat_s": 0.1}),
        (3.4e5, {"mode": "T2"}),
    ],
)
def test_recorded_at_its_pace_byte_for_byte(tmp_path, rate, given):
    clock = Clock()
    ended, file, records, gaps = recorded(tmp_path, clock, device(clock, **given), limit_s=0.5)
    record_type = GENERIC_T2 if given.get("mode") == "T2" else GENERIC_T3
    slices, slice_s = world(105, record_type, **given)
    if "repeat_s" in given:
        slices = slices[: round(0.1 / slice_s)] * 6
    expected = np.concatenate(slices[: int((clock.now - 100.0) / slice_s)])
    assert file.path.read_bytes()[file.data_offset :] == expected.astype("<u4").tobytes()
    events = (records >> np.uint32(25) != 127).sum()
    assert events / ended.state.elapsed_s == pytest.approx(rate, rel=0.1)
    assert gaps == []


def test_nothing_comes_before_its_time():
    clock = Clock()
    driver = device(clock)
    driver.arm()
    assert driver.read_into(BUFFER) == 0
    clock.now += 0.9 * SLICE_S
    assert driver.read_into(BUFFER) == 0
    clock.now += 10 * SLICE_S
    count = driver.read_into(BUFFER)
    slices, _ = world(10)
    np.testing.assert_array_equal(BUFFER[:count], np.concatenate(slices))


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0.0, 0.2), st.integers(1, 3000)), min_size=5, max_size=20),
    st.integers(1, 4000),
)
def test_what_it_gives_and_what_it_loses_is_all_that_there_was(readings, fifo_records):
    """Read at any times, in any sizes: what does not fit into the memory is lost and counted."""
    clock = Clock()
    driver = device(clock, fifo_records=fifo_records, background_hz=(2e4, 2e4))
    driver.arm()
    given_records, overruns = 0, 0
    for wait_s, size in readings:
        clock.now += wait_s
        try:
            given_records += driver.read_into(BUFFER[:size])
        except DeviceError:
            overruns += 1
            driver.disarm()
            clock.now += wait_s
            driver.arm()
    driver.disarm()
    try:
        while count := driver.read_into(BUFFER[:size]):
            given_records += count
    except DeviceError:
        overruns += 1
    slices, _ = world(driver._passed, background_hz=(2e4, 2e4))
    lost = driver.status().lost_records
    assert given_records + lost == sum(map(len, slices))
    assert (lost > 0) <= (overruns > 0)


def test_at_overload_the_gaps_say_exactly_what_is_missing(tmp_path):
    """A recorder that comes too seldom: what is recorded and what the gaps count is what there was, in its order."""
    clock = Clock()
    driver = device(clock, fifo_records=20_000, mean_n=0.0, background_hz=(5e4, 5e4))
    path = tmp_path / "run.ptu"
    slow = Recorder(
        driver, path, limit_s=3.0, clock=clock, wait=lambda s: clock.wait(0.3), buffer_records=50_000
    )
    ended = slow.run()
    file = open_tag_file(path)
    records = np.concatenate(list(file.blocks()))
    lines = events_path(path).read_text(encoding="utf-8").splitlines()
    gaps = [event for event in map(parse_event, lines) if event.kind == "gap"]
    assert len(gaps) >= 4
    assert ended.state.lost_records == sum(gap.lost_records for gap in gaps)
    slices, slice_s = world(driver._passed, mean_n=0.0, background_hz=(5e4, 5e4))
    there = np.concatenate(slices)
    at, pieces = 0, np.split(records, [gap.record for gap in gaps])
    for k, piece in enumerate(pieces):
        # The wraps that stand for the gap are the recorder's own.
        own = piece[gaps[k - 1].more["inserted_records"] :] if k else piece
        np.testing.assert_array_equal(own, there[at : at + own.size])
        at += own.size + (gaps[k].lost_records if k < len(gaps) else 0)
    assert at == there.size
    clock_s = RecordClock(file.record_type, file.info.macrotime_unit_s, records.size)
    reached_s = clock_s.after(clock_s.start, records).time_s
    # Each time it is armed, it begins with the next slice; after the last gap it is not armed again.
    assert gaps[-1].more["inserted_records"] == 0
    assert reached_s + gaps[-1].lost_s == pytest.approx(
        driver._passed * slice_s, abs=(len(gaps) + 1) * slice_s
    )


@pytest.mark.parametrize(
    ("faults", "cause", "lost_s"),
    [
        ("overrun@1s", "FIFO overrun", 0.0),
        ("sync@1s:0.5s", "sync lost", 0.7),
        ("gone@1s:0.25", "device gone", 0.3),
    ],
)
def test_each_fault_is_a_gap_with_its_cause_and_its_records(tmp_path, faults, cause, lost_s):
    clock = Clock()
    driver = device(clock, faults=faults)
    ended, file, records, [gap] = recorded(tmp_path, clock, driver, limit_s=3.0)
    assert not ended.failed
    assert gap.cause == cause
    assert gap.lost_s == pytest.approx(lost_s, abs=0.03)
    slices, _ = world(driver._passed)
    there = np.concatenate(slices)
    before, after = np.split(records, [gap.record])
    np.testing.assert_array_equal(before, there[: before.size])
    wraps, after = np.split(after, [gap.more["inserted_records"]])
    np.testing.assert_array_equal(after, there[before.size + gap.lost_records :])
    assert (wraps >> np.uint32(25) == 127).all()
    clock_s = RecordClock(file.record_type, file.info.macrotime_unit_s, records.size)
    assert clock_s.after(clock_s.start, records).time_s == pytest.approx(3.0, abs=0.03)


def test_a_device_that_stays_away_is_a_recording_that_failed(tmp_path):
    clock = Clock()
    driver = device(clock, faults="gone@0.5s", mean_n=0.0)
    ended, _, records, gaps = recorded(tmp_path, clock, driver, limit_s=1000.0)
    assert ended.failed
    assert "the device does not answer (simulated)" in ended.reason
    assert 60 < ended.state.elapsed_s < 200
    assert [gap.cause for gap in gaps] == ["device gone"]
    assert records.size > 300


def test_a_stall_loses_nothing(tmp_path):
    clock = Clock()
    driver = device(clock, faults="stall@0.5s:1s")
    _, _, records, gaps = recorded(tmp_path, clock, driver, limit_s=2.0)
    assert gaps == []
    np.testing.assert_array_equal(records, np.concatenate(world(driver._passed)[0]))


def test_a_stall_that_is_too_long_for_the_memory_is_an_overrun(tmp_path):
    clock = Clock()
    driver = device(clock, faults="stall@0.5s:1s", fifo_records=10_000)
    _, _, _, [gap] = recorded(tmp_path, clock, driver, limit_s=2.0)
    assert gap.cause == "FIFO overrun"
    assert gap.lost_records > 10_000


def test_a_count_rate_above_the_limit_is_a_warning():
    clock = Clock()
    driver = device(clock, faults="rate@0.1s:0.1s")
    driver.arm()
    said = []
    for _ in range(5):
        said.append(driver.status().warnings)
        clock.now += 0.06
    assert [bool(each) for each in said] == [False, False, True, True, False]


def test_status_tells_rates_and_a_dark_sync_input():
    clock = Clock()
    driver = device(clock, mean_n=0.0, background_hz=(2e5, 6e5), faults="sync@1s:1s")
    driver.arm()
    clock.now += 0.5
    status = driver.status()
    assert status.sync_rate_hz == 4.75e6
    assert status.count_rates_hz == pytest.approx((2e5, 6e5), rel=0.15)
    clock.now += 1.0
    assert driver.status().sync_rate_hz == 0.0


def test_only_the_channels_that_were_asked_for():
    clock = Clock()
    driver = device(clock, channels=(1,))
    driver.arm()
    clock.now += 0.1
    count = driver.read_into(BUFFER)
    channels = BUFFER[:count] >> np.uint32(25)
    assert set(channels.tolist()) == {1, 127}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preset": "x"}, "preset is one of 355nm"),
        ({"mode": "T4"}, "mode is one of T3, T2"),
        ({"channels": (2,)}, "channels are 0, 1 or both"),
        ({"channels": ()}, "channels are 0, 1 or both"),
        ({"repeat_s": 1000.0}, "repeat_s is"),
        ({"fifo_records": 0}, "at least 1"),
        ({"faults": "flood@2s"}, "'flood@2s' is no fault"),
        ({"faults": "gone"}, "'gone' is no fault"),
        ({"mean_n": -1.0}, "mean_n must lie between"),
    ],
)
def test_settings_that_cannot_be_are_told(given, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        SimulatedSettings(**given)


def test_faults_as_they_are_written():
    faults = parse_faults("gone@8 overrun@2s,sync@3.5s:0.5s+stall@1e1:2")
    assert [(each.kind, each.at_s, each.until_s) for each in faults] == [
        ("overrun", 2.0, float("inf")),
        ("sync", 3.5, 4.0),
        ("gone", 8.0, float("inf")),
        ("stall", 10.0, 12.0),
    ]
    assert parse_faults("") == ()
