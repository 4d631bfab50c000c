"""The recorder and a device that fails: every fault is a gap of its length, or the end of the recording."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.armed_device import TRIES
from photonstream.nodes.device_time import wrap_records
from photonstream.nodes.drivers.base import Cause, DeviceError
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3, PICOHARP_T3
from photonstream.nodes.recorder import Recorder
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path, parse_event
from photonstream.nodes.recording_file import RecordingFile
from photonstream.stream.node import InputError
from tests.nodes.scripted_device import (
    UNIT_S,
    WRAP_S,
    Clock,
    Scripted,
    events_of,
    gaps_of,
    photons,
    record,
    times_s,
    wrapped,
)

pytestmark = pytest.mark.usefixtures("quick_disk")


FAULTS = st.sampled_from([DeviceError(cause, "a fault") for cause in Cause] + [OSError("USB"), KeyError("x")])
steps = st.one_of(
    st.lists(st.integers(0, 1023), min_size=1, max_size=5).map(lambda ticks: photons(*sorted(ticks))),
    st.integers(1, 3).map(wrapped),
    st.floats(0.0, 0.5),
    FAULTS,
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=15), st.integers(1, 4))
def test_any_course_of_faults_is_all_in_the_file_and_time_never_goes_back(
    tmp_path_factory, script, buffer_records
):
    folder = tmp_path_factory.mktemp("course")
    ended, file, records, events, driver = record(folder, script, buffer_records=buffer_records)
    assert file.header[COMPLETE_TAG] is True
    # Without the wraps that stand for gaps, it is what the device gave.
    gaps = gaps_of(events)
    assert len(gaps) == ended.state.gaps == sum(isinstance(step, Exception) for step in script)
    kept = np.ones(records.size, bool)
    for gap in gaps:
        own = slice(gap.record, gap.record + gap.more["inserted_records"])
        kept[own] = False
        assert (records[own] >> np.uint32(25) == 127).all()
    expected = np.concatenate([np.empty(0, np.uint32), *driver.given])
    np.testing.assert_array_equal(records[kept], expected)
    # Each gap takes the time to that of the clock, where the device's own does not run ahead of it. Here photons may be
    # earlier than their predecessor, by less than a wrap.
    whole_s = times_s(records)
    for gap in gaps:
        before_s = whole_s[gap.record - 1] if gap.record else 0.0
        after_s = whole_s[gap.record + gap.more["inserted_records"] - 1]
        assert after_s > before_s
        assert after_s - before_s == pytest.approx(max(gap.lost_s, WRAP_S / 2), abs=2 * WRAP_S)


def test_a_gap_is_told_before_the_records_that_stand_for_it(tmp_path, monkeypatch):
    """Whoever reads them while they come has to know what they are."""
    told = []
    write = RecordingFile.write

    def look_first(file, records):
        if records.size and (records >> np.uint32(25) == 127).all():
            lines = events_path(tmp_path / "run.ptu").read_text(encoding="utf-8").splitlines()
            told.append(parse_event(lines[-1]))
            assert (told[-1].record, told[-1].inserted_records) == (file.records, records.size)
        write(file, records)

    monkeypatch.setattr(RecordingFile, "write", look_first)
    record(tmp_path, [photons(1, 2), 0.1, DeviceError(Cause.FIFO_OVERRUN, "full"), photons(3)])
    assert [event.kind for event in told] == ["gap"]


@pytest.mark.parametrize("cause", list(Cause))
def test_each_kind_of_fault_is_a_gap_of_its_length(tmp_path, cause):
    clock = Clock()
    driver = Scripted([], clock)
    driver.lost = 0
    driver.script = [
        photons(4),
        wrapped(97),
        lambda: setattr(driver, "lost", 20),
        0.9 + 97 * WRAP_S,
        DeviceError(cause, "what happened"),
        photons(2),
    ]
    driver.recorder = recorder = Recorder(driver, tmp_path / "run.ptu", clock=clock, wait=clock.wait)
    ended = recorder.run()
    [gap] = gaps_of(events_of(tmp_path / "run.ptu"))
    assert (gap.record, gap.cause, gap.text) == (2, cause.value, "what happened")
    assert gap.lost_s == pytest.approx(0.9, abs=0.05)
    assert gap.lost_records == ended.state.lost_records == 20
    records = np.concatenate(list(open_tag_file(tmp_path / "run.ptu").blocks()))
    assert times_s(records)[-1] == pytest.approx(97 * WRAP_S + 0.9, abs=0.05)
    assert driver.calls == ["arm", "disarm", "arm", "disarm", "close"]


def test_what_a_later_gap_cost_is_not_known_where_the_sum_does_not_rise(tmp_path):
    def prepare(driver):
        driver.lost = 0
        driver.script.insert(1, lambda: setattr(driver, "lost", 700))

    faults = [DeviceError(Cause.FIFO_OVERRUN, "700 lost"), DeviceError(Cause.DRIVER_ERROR, "nonsense")]
    script = [photons(1), faults[0], photons(2), faults[1], photons(3)]
    ended, _, _, events, _ = record(tmp_path, script, prepare=prepare)
    assert [gap.lost_records for gap in gaps_of(events)] == [700, None]
    assert ended.state.lost_records == 700


@pytest.mark.parametrize("record_type", [GENERIC_T2, PICOHARP_T3], ids=lambda kind: kind.name)
def test_other_record_types_have_their_own_wraps(tmp_path, record_type):
    script = [2.0, DeviceError(Cause.SYNC_LOST, "no laser"), np.array([3], np.uint32)]
    _, _, records, events, _ = record(tmp_path, script, record_type=record_type)
    [gap] = gaps_of(events)
    wrap_s = record_type.wrap_ticks * UNIT_S
    assert gap.lost_s == pytest.approx(2.0, abs=0.05)
    assert times_s(records, record_type)[-1] == pytest.approx(max(2.0, wrap_s), abs=wrap_s / 2 + 0.05)


def test_a_device_that_goes_on_by_itself_is_not_armed_again(tmp_path):
    fault = DeviceError(Cause.RATE_LIMIT, "tags were missed", goes_on=True, lost_s=0.25)
    _, _, records, events, driver = record(tmp_path, [photons(1), fault, photons(2)])
    np.testing.assert_array_equal(records, photons(1, 2))
    [gap] = gaps_of(events)
    assert (gap.record, gap.cause, gap.lost_s, gap.lost_records) == (1, "rate limit", 0.25, None)
    assert driver.calls.count("arm") == 1


def test_the_wraps_of_a_gap_after_which_a_device_goes_on_stand_for_it(tmp_path):
    wraps = wrap_records(GENERIC_T3, 5)
    fault = DeviceError(Cause.FIFO_OVERRUN, "tags were missed", goes_on=True, lost_s=0.25, wraps=wraps)
    _, _, records, events, _ = record(tmp_path, [photons(1), fault, photons(2)])
    np.testing.assert_array_equal(records, np.concatenate([photons(1), wraps, photons(2)]))
    [gap] = gaps_of(events)
    assert (gap.record, gap.inserted_records) == (1, len(wraps))


def test_faults_without_end_do_not_keep_it_from_looking_after_the_file(tmp_path):
    class Flooded(Scripted):
        def read_into(self, buffer):
            raise DeviceError(Cause.FIFO_OVERRUN, "again", goes_on=True, lost_s=0.0)

    clock = Clock()
    driver = Flooded([], clock)
    asked = []
    recorder = Recorder(
        driver,
        tmp_path / "run.ptu",
        clock=clock,
        wait=clock.wait,
        asked=lambda: asked.append(clock()) or len(asked) > 3,
    )
    assert recorder.run().reason == "stopped as asked"
    assert asked == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.05)
    assert open_tag_file(tmp_path / "run.ptu").complete


def test_a_device_that_gives_without_end_is_cut_off_and_that_is_said(tmp_path):
    class Endless(Scripted):
        def read_into(self, buffer):
            self.clock.wait(0.5)
            buffer[:1] = photons(1)
            return 1

    clock = Clock()
    driver = Endless([], clock)
    recorder = Recorder(driver, tmp_path / "run.ptu", clock=clock, wait=clock.wait, limit_s=2.0)
    recorder.run()
    [gap] = gaps_of(events_of(tmp_path / "run.ptu"))
    assert gap.text == "the device still gave records 10 s after its end; no more were taken"
    assert (gap.lost_s, gap.lost_records) == (None, None)


def test_it_tries_again_until_the_device_is_back(tmp_path):
    def prepare(driver):
        driver.script.insert(
            1,
            lambda: driver.refusals.extend(
                [
                    DeviceError(Cause.DEVICE_GONE, "gone"),
                    OSError("still gone"),
                    DeviceError(Cause.SYNC_LOST, "x"),
                    OSError("not yet"),
                ]
            ),
        )

    script = [photons(1), DeviceError(Cause.DEVICE_GONE, "unplugged"), photons(2)]
    ended, _, records, events, _ = record(tmp_path, script, prepare=prepare)
    [gap] = gaps_of(events)
    assert gap.text == "unplugged"
    # It waited 0.1, 0.2, 0.4 and 0.8 s.
    assert gap.lost_s == pytest.approx(1.5, abs=0.05)
    told = next(event for event in events if event.kind == "status")
    assert told.more["warnings"] == ["unplugged; the device is being armed again"]
    assert not ended.failed
    assert [records[0], records[-1]] == [*photons(1, 2)]


def test_a_device_that_stays_away_ends_the_recording_with_all_that_was_read(tmp_path):
    def prepare(driver):
        driver.script.insert(
            1, lambda: driver.refusals.extend([DeviceError(Cause.DEVICE_GONE, "gone")] * (TRIES + 5))
        )

    script = [photons(1, 2), DeviceError(Cause.DEVICE_GONE, "unplugged"), photons(3)]
    ended, file, records, events, _ = record(tmp_path, script, prepare=prepare)
    assert ended.failed
    assert ended.reason == f"gone; {TRIES} tries to arm the device again were in vain"
    np.testing.assert_array_equal(records, photons(1, 2))
    assert file.header[COMPLETE_TAG] is True
    assert [event.kind for event in events][-2:] == ["gap", "stop"]
    assert events[-1].text == ended.reason


def test_a_device_that_measures_and_fails_at_once_again_and_again_is_given_up(tmp_path):
    faults = [DeviceError(Cause.SYNC_LOST, "no laser")] * (TRIES + 2)
    ended, _, _, events, _ = record(tmp_path, [photons(1), *faults])
    assert ended.failed
    assert len(gaps_of(events)) == TRIES + 1


def test_a_device_that_comes_back_as_another_one_ends_the_recording(tmp_path):
    def prepare(driver):
        other = dataclasses.replace(driver.facts, dtime_resolution_s=2e-10)
        driver.script.insert(1, lambda: setattr(driver, "facts", other))

    ended, _, _, _, _ = record(tmp_path, [photons(1), DeviceError(Cause.DEVICE_GONE, "x")], prepare=prepare)
    assert ended.failed
    assert ended.reason == "the device came back with a dtime_resolution_s of 2e-10 s instead of 1e-10 s"


def test_the_end_may_come_while_the_device_is_away(tmp_path):
    def prepare(driver):
        driver.script.insert(
            1, lambda: driver.refusals.extend([DeviceError(Cause.DEVICE_GONE, "gone")] * TRIES)
        )

    script = [photons(1), DeviceError(Cause.DEVICE_GONE, "unplugged")]
    ended, file, _, events, _ = record(tmp_path, script, prepare=prepare, limit_s=10.0)
    assert (ended.failed, ended.reason) == (False, "the time of 10 s is over")
    [gap] = gaps_of(events)
    assert gap.lost_s == pytest.approx(10.0, abs=0.1)
    assert file.header[COMPLETE_TAG] is True


def test_a_device_that_cannot_be_armed_leaves_no_file(tmp_path):
    def prepare(driver):
        driver.refusals.append(DeviceError(Cause.SYNC_LOST, "there is no laser"))

    with pytest.raises(InputError, match="cannot be armed: there is no laser"):
        record(tmp_path, [], prepare=prepare)
    assert list(tmp_path.iterdir()) == []


def test_a_driver_that_fails_to_arm_in_another_way_is_told_in_a_sentence(tmp_path):
    def prepare(driver):
        driver.refusals.append(PermissionError("no permission for /dev/harp"))

    words = "cannot be armed: the driver failed: PermissionError: no permission for /dev/harp"
    with pytest.raises(InputError, match=words):
        record(tmp_path, [], prepare=prepare)
    assert list(tmp_path.iterdir()) == []
