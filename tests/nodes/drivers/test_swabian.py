"""The driver of Swabian's Time Taggers against their package as it is documented; truth is made by hand."""

import sys

import numpy as np
import pytest

from photonstream.nodes.device_time import DeviceTime, only_wraps
from photonstream.nodes.drivers.base import Cause, DeviceError
from photonstream.nodes.drivers.swabian import Swabian, SwabianSettings

ERROR, OVERFLOW_BEGIN, OVERFLOW_END, MISSED = range(1, 5)
PERIOD_PS = 400_000
T3 = {"mode": "T3", "laser_channel": 7, "repetition_rate_hz": 2.5e6}


@pytest.fixture
def world(monkeypatch, time_tagger):
    return time_tagger.install(monkeypatch, time_tagger.World())


def armed(**settings):
    device = Swabian(SwabianSettings(**settings))
    device.wait = lambda seconds: None
    return device, device.arm()


def read_all(device, size=50):
    buffer, pieces = np.empty(size, np.uint32), [np.empty(0, np.uint32)]
    while count := device.read_into(buffer):
        pieces.append(buffer[:count].copy())
    return np.concatenate(pieces)


def decoded(records, time_bits):
    """(tick, input, dtime) of each photon, by the description of the format, record by record."""
    out, base = [], 0
    for word in records.tolist():
        channel, low = word >> 25 & 63, word & ((1 << time_bits) - 1)
        if word >> 31:
            assert channel == 63
            base += max(1, low) << time_bits
        else:
            out.append((base + low, channel, word >> 10 & 32767 if time_bits == 10 else 0))
    return out


def test_who_has_no_package_is_told_from_whom(monkeypatch):
    for name in ("Swabian", "Swabian.TimeTagger", "TimeTagger"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "install Swabian-TimeTagger of Swabian Instruments" in Swabian.problem()


def test_settings_reach_the_device(world):
    device, facts = armed(
        trigger_level_v=0.5,
        dead_time_s=1e-8,
        input_offset_s=(1e-9, -1e-9),
        edge="falling",
        address="lab:41101",
    )
    assert Swabian.problem() is None
    for call in [
        ("create", "lab:41101"), ("setTriggerLevel", -1, 0.5), ("setDeadtime", -2, 10_000),
        ("setInputDelay", -1, 1000), ("setInputDelay", -2, -1000),
    ]:  # fmt: skip
        assert call in world.calls
    assert (facts.device, facts.serial, facts.macrotime_unit_s) == ("Time Tagger Ultra", "2138000XH5", 1e-12)
    assert device.status().count_rates_hz == (1.0, 2.0)


def test_t2_keeps_every_picosecond_through_long_silences(world):
    world.now_ps = 77
    (device, _), pieces = armed(), []
    times = [80, 1 << 25, (1 << 25) + 76, (1 << 25) + 77, 10**15, 10**15 + 1]
    for n, each in enumerate(times):
        world.photons([each], 1 + n % 2)
        if n % 3 == 2:
            pieces.append(read_all(device))
    found = decoded(np.concatenate(pieces), 25)
    assert [(tick, channel) for tick, channel, _ in found] == [(t - 77, n % 2) for n, t in enumerate(times)]


def test_t2_tells_the_time_in_the_dark(world):
    device, _ = armed()
    world.now_ps = 10**12
    records = read_all(device)
    assert sum(int(word & 0x1FFFFFF) for word in records) == 10**12 >> 25


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("pieces", [1, 7])
def test_t3_finds_pulse_and_delay_of_every_photon(world, conditional, pieces):
    rng = np.random.default_rng(3)
    pulses = np.sort(rng.choice(np.arange(10, 20_000), 300, replace=False))
    delays = rng.integers(0, PERIOD_PS - 10, 300)
    photons = pulses * PERIOD_PS + delays
    laser = np.arange(0, 20_100) * PERIOD_PS
    if conditional:
        laser = laser[np.unique(np.searchsorted(laser, photons, side="right"))]
    world.first = [(int(each), 8, 0, 0) for each in np.arange(100) * PERIOD_PS]
    device, facts = armed(**T3, conditional_filter=conditional)
    assert facts.macrotime_unit_s == pytest.approx(PERIOD_PS * 1e-12, rel=1e-12)
    assert facts.dtime_resolution_s == pytest.approx(16e-12)
    begin = world.now_ps
    tags = sorted([(int(t), 1) for t in photons] + [(int(t), 8) for t in laser])
    records = np.empty(0, np.uint32)
    for part in np.array_split(np.array(tags), pieces):
        world.tags += [(int(t) + begin, int(channel), 0, 0) for t, channel in part]
        records = np.append(records, read_all(device))
    found = np.array(decoded(records, 10))
    assert len(found) == 300
    assert set(np.unique(found[:, 0] - pulses)) <= {0, 1}
    assert np.ptp(found[:, 0] - pulses) == 0
    assert np.array_equal(found[:, 2], delays // 16)


@pytest.mark.parametrize("conditional", [True, False])
def test_photons_that_no_record_can_hold_are_counted_at_the_end(world, conditional):
    world.first = [(int(each), 8, 0, 0) for each in np.arange(100) * PERIOD_PS]
    # Bins so narrow that only the first 32.768 ns after a pulse have a number.
    device, _ = armed(**T3, conditional_filter=conditional, dtime_resolution_s=1e-12)
    begin = world.now_ps
    photons = [(PERIOD_PS + 1000, 1), (PERIOD_PS + 40_000, 1)]
    own, next_pulses = [PERIOD_PS], [2 * PERIOD_PS]
    alone = (2 * PERIOD_PS + 5, 1) if conditional else (5, 1)
    tags = sorted([*photons, alone, *((t, 8) for t in (next_pulses if conditional else own))])
    world.tags += [(t + begin, channel, 0, 0) for t, channel in tags]
    assert len(decoded(read_all(device), 10)) == 1
    device.disarm()
    with pytest.raises(
        DeviceError, match=r"1 photons had no laser pulse.*; 1 came more than 32,767 bins"
    ) as fault:
        read_all(device)
    assert (fault.value.goes_on, fault.value.lost_s) == (True, 0.0)
    assert device.status().lost_records == 2
    assert read_all(device).size == 0


def test_the_end_of_an_overflow_that_had_begun_before_is_no_gap_of_its_own(world):
    device, _ = armed()
    world.tags += [(100, 1, MISSED, 40), (200, 0, OVERFLOW_END, 0)]
    world.photons([300], 1)
    buffer = np.empty(9, np.uint32)
    with pytest.raises(DeviceError) as fault:
        device.read_into(buffer)
    assert "40 photons are missing" in str(fault.value)
    assert device.read_into(buffer) == 1
    assert device.status().lost_records == 40


def test_overflows_are_gaps_with_what_they_cost(world):
    device, _ = armed()
    world.photons([100, 200], 1)
    world.tags += [(300, 0, OVERFLOW_BEGIN, 0), (2_000_300, 1, MISSED, 40), (2_000_300, 2, MISSED, 2)]
    world.tags += [(2_000_300, 0, OVERFLOW_END, 0), (2_000_400, 2, 0, 0)]
    world.tags += [(2_000_500, 0, OVERFLOW_BEGIN, 0), (3_000_500, 1, MISSED, 5)]
    world.tags += [(3_000_500, 0, OVERFLOW_END, 0)]
    buffer = np.empty(9, np.uint32)
    assert device.read_into(buffer) == 2
    for lost_s, total in [(2e-6, 42), (1e-6, 47)]:
        with pytest.raises(DeviceError) as fault:
            device.read_into(buffer)
        assert (fault.value.cause, fault.value.goes_on) == (Cause.FIFO_OVERRUN, True)
        assert fault.value.lost_s == pytest.approx(lost_s)
        assert device.status().lost_records == total
        if total == 42:
            assert device.read_into(buffer) == 1
    world.photons([4_000_000], 1)
    assert decoded(read_all(device), 25) == [(4_000_000, 0, 0)]


@pytest.mark.parametrize("mode", ["T2", "T3"])
def test_an_overflow_that_goes_on_at_the_end_is_a_gap(world, mode):
    world.first = [(int(each), 8, 0, 0) for each in np.arange(100) * PERIOD_PS]
    device, _ = armed(**(T3 if mode == "T3" else {}))
    begin = world.now_ps
    world.tags += [(begin + 300, 0, OVERFLOW_BEGIN, 0), (begin + 400, 1, MISSED, 9000)]
    read_all(device)
    world.tags += [(begin + 500, 1, MISSED, 9000)]
    read_all(device)
    device.disarm()
    with pytest.raises(DeviceError, match="18,000 photons are missing") as fault:
        read_all(device)
    assert (fault.value.cause, fault.value.goes_on) == (Cause.FIFO_OVERRUN, True)
    assert fault.value.lost_s > 0.0
    assert device.status().lost_records == 18_000


@pytest.mark.parametrize("tag", [True, False])
def test_what_is_known_of_losses_is_told_before_a_device_is_lost(world, tag, monkeypatch):
    device, _ = armed()
    world.tags += [(100, 0, OVERFLOW_BEGIN, 0), (200, 1, MISSED, 500)]
    read_all(device)
    if tag:
        world.tags += [(300, 0, ERROR, 0)]
    else:

        def gone():
            raise RuntimeError("unplugged")

        monkeypatch.setattr(device._stream, "getData", gone)
    told = []
    for _ in range(2):
        with pytest.raises(DeviceError) as fault:
            read_all(device)
        told.append((fault.value.cause, fault.value.goes_on, device.status().lost_records))
    assert told == [(Cause.FIFO_OVERRUN, True, 500), (Cause.DEVICE_GONE, False, None)]


@pytest.mark.parametrize("mode", ["T2", "T3"])
def test_the_time_of_an_overflow_is_that_of_its_gap_and_not_given_before(world, mode):
    """A second and a half in which nobody looked, over several looks: wraps come with the fault, and none without."""
    device, facts = armed(**(T3 if mode == "T3" else {}))
    buffer, second = np.empty(99, np.uint32), 10**12
    world.photons([100, 200], 1)
    world.tags += [(second, 0, OVERFLOW_BEGIN, 0)]
    world.now_ps = second
    before = []
    while count := device.read_into(buffer):
        before.append(buffer[:count].copy())
    for now in (1.5, 2.0, 2.4):
        world.now_ps = int(now * second)
        assert device.read_into(buffer) == 0
    end = 5 * second // 2
    world.tags += [(end, 1, MISSED, 42), (end, 0, OVERFLOW_END, 0)]
    world.now_ps = end
    with pytest.raises(DeviceError) as fault:
        device.read_into(buffer)
    assert fault.value.lost_s == pytest.approx(1.5)
    assert only_wraps(fault.value.wraps, facts.record_type)
    time = DeviceTime(facts.record_type)
    for records in (*before, fault.value.wraps):
        time.read(records)
    wrap_s = facts.record_type.wrap_ticks * facts.macrotime_unit_s
    assert time.ticks * facts.macrotime_unit_s == pytest.approx(2.5, abs=1.01 * wrap_s + 1e-6)


def test_a_stream_that_nobody_read_is_a_gap_of_unknown_cost(world):
    device, _ = armed(buffer_tags=3)
    world.photons([1, 2, 3, 4], 1)
    assert device.read_into(np.empty(9, np.uint32)) == 3
    with pytest.raises(DeviceError, match="memory of 3 tags was full") as fault:
        device.read_into(np.empty(9, np.uint32))
    assert fault.value.goes_on
    assert device.status().lost_records is None


def test_no_laser_is_said_when_armed_and_later(world):
    world.first = [(5, 1, 0, 0)]
    with pytest.raises(DeviceError, match="no laser pulses on channel 7"):
        armed(**T3)
    device, _ = armed(**T3)
    world.photons([10, 20], 1)
    world.now_ps = 2 * 10**11
    with pytest.raises(DeviceError, match="no laser pulses any more") as fault:
        read_all(device)
    assert fault.value.cause is Cause.SYNC_LOST
    assert device.status().lost_records == 2


def test_a_device_that_is_gone(world):
    device, _ = armed()
    world.tags.append((5, 0, ERROR, 0))
    with pytest.raises(DeviceError, match="time base") as fault:
        read_all(device)
    assert not fault.value.goes_on
    world.there = False
    with pytest.raises(DeviceError, match="does not answer: Time Tagger disconnected") as fault:
        read_all(device)
    assert fault.value.cause is Cause.DEVICE_GONE
    with pytest.raises(DeviceError, match="cannot be used: no Time Tagger found"):
        device.arm()


def test_a_server_that_is_gone(world):
    device, _ = armed(address="lab:41101")
    world.connected = False
    with pytest.raises(DeviceError, match="no connection to lab:41101"):
        read_all(device)
