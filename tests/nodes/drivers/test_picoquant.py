"""The driver of PicoQuant's devices against snAPI as it is documented."""

import sys

import numpy as np
import pytest

from photonstream.nodes.drivers.base import Cause, DeviceError
from photonstream.nodes.drivers.picoquant import PicoQuant, record_type
from photonstream.nodes.drivers.picoquant_settings import PicoQuantSettings
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.recorder import Recorder
from photonstream.nodes.recording_events import events_path, parse_event


@pytest.fixture
def world(monkeypatch, snapi):
    return snapi.install(monkeypatch, snapi.World())


def driver(**settings):
    made = PicoQuant(PicoQuantSettings(**settings))
    made.wait = lambda seconds: None
    return made


def read_all(device, size=100):
    buffer, pieces = np.empty(size, np.uint32), [np.empty(0, np.uint32)]
    while count := device.read_into(buffer):
        pieces.append(buffer[:count].copy())
    return np.concatenate(pieces)


def test_who_has_no_snapi_is_told_from_whom(monkeypatch):
    for name in ("snAPI", "snAPI.Main"):
        monkeypatch.setitem(sys.modules, name, None)
    assert PicoQuant.problem() == (
        "install PicoQuant's snAPI (https://picoquant.github.io/snAPI/install.html)"
    )


@pytest.mark.usefixtures("world")
def test_it_can_be_used_where_snapi_is():
    hook = sys.excepthook
    assert PicoQuant.problem() is None
    assert sys.excepthook is hook


def test_the_settings_reach_the_device_in_its_units(world):
    device = driver(
        binning=4, sync_divider=2, sync_level_v=-0.2, input_level_v=-0.05, input_edge="rising",
        input_offset_s=(1e-9, -2e-9), dead_time_s=2e-9, offset_s=5e-9, marker_holdoff_s=1e-7, channels=(0, 1),
    )  # fmt: skip
    facts = device.arm()
    for call in [
        # The edge that is not given is for snAPI to choose.
        ("setSyncDiv", 2), ("setSyncEdgeTrig", -200), ("setInputEdgeTrig", -1, -50, 1),
        ("setInputChannelOffset", 0, 1000), ("setInputChannelOffset", 1, -2000),
        ("setInputChannelEnable", 1, 1), ("setInputChannelEnable", 2, 0), ("setInputDeadTime", -1, 2000),
        ("setBinning", 4), ("setOffset", 5), ("setMarkerHoldoffTime", 100), ("startBlock", 0, False),
    ]:  # fmt: skip
        assert call in world.calls
    assert facts.macrotime_unit_s == 4e-7
    assert facts.dtime_resolution_s == pytest.approx(80e-12)
    assert (facts.device, facts.serial, facts.sync_divider) == ("MultiHarp 150 4P", "1045483", 2)
    assert facts.settings["HWInpChan_Offset(1)"] == -2000
    assert facts.settings["HWInpChan_Enabled(2)"] is False


def test_a_discriminator_is_told_levels_and_zero_crossings(monkeypatch, snapi):
    world = snapi.install(monkeypatch, snapi.World("HydraHarp 400"))
    driver(sync_level_v=0.1, sync_zero_cross_v=0.01, input_level_v=0.09).arm()
    assert ("setSyncCFD", 100, 10) in world.calls
    assert ("setInputCFD", -1, 90, 0) in world.calls


def test_what_the_device_refuses_is_named(world):
    world.refuses.add("setSyncEdgeTrig")
    with pytest.raises(DeviceError, match=r"MultiHarp 150 4P refuses sync_level_v = 9"):
        driver(sync_level_v=9.0).arm()
    with pytest.raises(DeviceError, match="inputs 0 to 3, not 7"):
        driver(channels=(7,)).arm()
    with pytest.raises(DeviceError, match="has 4 inputs, and 5 are given in input_offset_s"):
        driver(input_offset_s=(0.0,) * 5).arm()


@pytest.mark.parametrize("side", ["sync", "input"])
def test_what_nobody_would_be_told_of_is_refused(monkeypatch, snapi, world, side):
    for name, value in ((f"{side}_edge", "rising"), (f"{side}_zero_cross_v", 0.01)):
        with pytest.raises(ValueError, match=f"{name} goes with {side}_level_v, which is not given"):
            driver(**{name: value})
    with pytest.raises(DeviceError, match=f"an edge trigger, which takes no {side}_zero_cross_v"):
        driver(**{f"{side}_level_v": 0.1, f"{side}_zero_cross_v": 0.01}).arm()
    snapi.install(monkeypatch, snapi.World("HydraHarp 400"))
    with pytest.raises(DeviceError, match=f"a discriminator, which takes no {side}_edge"):
        driver(**{f"{side}_level_v": 0.1, f"{side}_edge": "rising"}).arm()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("MultiHarp 160", "Generic T3"),
        ("PicoHarp 330", "Generic T3"),
        ("HydraHarp 500", "Generic T3"),
        ("HydraHarp 400", "HydraHarp v2 T3"),
        ("TimeHarp 260 N", "TimeHarp 260 N T3"),
        ("TimeHarp 260 P", "TimeHarp 260 P T3"),
    ],
)
def test_the_records_are_called_after_the_device(model, name):
    assert record_type(model, "T3").name == name
    assert record_type(model, "T2").name == name[:-1] + "2"


@pytest.mark.parametrize("size", [7, 1000])
def test_every_record_once_though_blocks_share_their_memory(world, size):
    device = driver()
    device.arm()
    world.give(range(100))
    first = read_all(device, size)
    world.give(range(100, 150))
    assert np.array_equal(np.append(first, read_all(device, size)), np.arange(150))
    world.give([150])
    device.disarm()
    assert read_all(device, size).tolist() == [150]


def test_without_laser_pulses_it_is_not_armed_in_t3(world):
    world.sync_rate = 0
    with pytest.raises(DeviceError, match="no laser pulses") as fault:
        driver().arm()
    assert fault.value.cause is Cause.SYNC_LOST
    assert driver(mode="T2").arm().sync_rate_hz is None


def test_laser_pulses_that_stop_are_a_fault(world):
    device = driver()
    device.arm()
    world.sync_rate = 0
    world.give([5])
    assert device.status().warnings == ("there are no laser pulses at the sync input",)
    assert device.read_into(np.empty(9, np.uint32)) == 1
    with pytest.raises(DeviceError, match="any more") as fault:
        read_all(device)
    assert fault.value.cause is Cause.SYNC_LOST


@pytest.mark.parametrize(
    ("reason", "there", "cause"),
    [
        ("FifoOverrun", True, Cause.FIFO_OVERRUN),
        ("Error", False, Cause.DEVICE_GONE),
        ("Timeout", True, Cause.DRIVER_ERROR),
    ],
)
def test_a_measurement_that_ends_of_itself_is_a_fault(world, reason, there, cause):
    device = driver()
    device.arm()
    world.give([1, 2])
    world.end(reason)
    world.there = there
    assert device.read_into(np.empty(9, np.uint32)) == 2
    with pytest.raises(DeviceError) as fault:
        device.read_into(np.empty(9, np.uint32))
    assert fault.value.cause is cause
    # What its own memory had no room for nobody has counted.
    assert device.status().lost_records is None


def test_what_snapi_dropped_is_counted_to_the_record(world):
    device = driver()
    device.arm()
    world.give(range(70))
    world.drop_all()
    world.give([1, 2, 3])
    device.disarm()
    buffer = np.empty(9, np.uint32)
    assert device.read_into(buffer) == 3
    with pytest.raises(DeviceError, match="70 records are missing") as fault:
        device.read_into(buffer)
    assert fault.value.cause is Cause.FIFO_OVERRUN
    assert device.status().lost_records == 70


def test_an_overrun_is_a_gap_of_the_recording(world, tmp_path):
    device, now, plan = driver(), [0.0], {0.1: "give", 0.3: "overrun", 0.6: "give"}

    def wait(seconds):
        now[0] += seconds
        for at in [at for at in plan if at <= now[0]]:
            if plan.pop(at) == "give":
                world.give([7, 8])
            else:
                world.end("FifoOverrun")

    path = tmp_path / "run.ptu"
    recorded = Recorder(device, path, limit_s=1.0, clock=lambda: now[0], wait=wait).run()
    assert (recorded.failed, recorded.state.gaps) == (False, 1)
    [gap] = [
        each for each in map(parse_event, events_path(path).read_text().splitlines()) if each.kind == "gap"
    ]
    assert gap.record == 2
    records = np.concatenate(list(open_tag_file(path).blocks()))
    assert records[records < 1 << 31].tolist() == [7, 8, 7, 8]
