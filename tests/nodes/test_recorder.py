"""The recorder with a device that follows a script: byte for byte what it gave, and every fault written down."""

import dataclasses
import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.armed_device import TRIES
from photonstream.nodes.disk_space import LEAST_BYTES, DiskSpace
from photonstream.nodes.drivers.base import Cause, DeviceError, DeviceFacts, Driver, Status
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import BY_NAME, GENERIC_T2, GENERIC_T3, PICOHARP_T3
from photonstream.nodes.pacing import RecordClock
from photonstream.nodes.recorder import Recorder
from photonstream.nodes.recorder_orders import Note, leave_note, take_notes
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path, parse_event
from photonstream.nodes.recording_file import RecordingFile
from photonstream.stream.node import InputError, ParameterError

UNIT_S = 1e-6
WRAP_S = 1024 * UNIT_S


@pytest.fixture(autouse=True, scope="module")
def _quick_disk():
    """Most tests need not wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


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


def test_what_it_gave_and_how_it_was(tmp_path):
    ended, file, records, events, driver = record(
        tmp_path, [photons(1, 5), 1.5, wrapped(2), photons(7)], comment="a test"
    )
    np.testing.assert_array_equal(records, [*photons(1, 5), *wrapped(2), *photons(7)])
    assert file.header[COMPLETE_TAG] is True
    assert file.header["TTResult_NumberOfRecords"] == 4
    assert file.header["HW_Type"] == "scripted"
    assert file.header["HW_SerialNo"] == "S1"
    assert file.info.comment == "a test"
    assert file.notes == ()
    assert [event.kind for event in events] == ["start", "status", "stop"]
    assert [event.record for event in events] == [0, 2, 4]
    assert events[0].more["settings"] == {"record_type": "Generic T3"}
    assert events[1].text == "sync rate 1000000 Hz; count rates 1, 2 Hz"
    assert events[2].text == ended.reason == "stopped as asked"
    assert not ended.failed
    assert ended.state.records == 4
    assert driver.calls == ["arm", "disarm", "close"]


def test_notes_that_are_left_for_it_are_among_its_events(tmp_path):
    path = tmp_path / "run.ptu"

    def leave(text, record):
        return lambda: leave_note(path, Note(text, "2026-05-04T10:00:00.000+00:00", record))

    def leave_nonsense():
        (tmp_path / "run.ptu.0-broken.note").write_text("{", encoding="utf-8")
        leave_note(tmp_path / "other.ptu", Note("of another", "", 0))

    # One is placed where the person was; one says more records than there are; one comes as the recording ends.
    script = [
        photons(1, 5, 6),
        leave_nonsense,
        leave("focus lost", 2),
        1.5,
        leave("too far", 99),
        1.5,
        photons(9),
    ]
    _, _, _, events, _ = record(tmp_path, [*script, leave("at the end", 4)], notes=lambda: take_notes(path))
    notes = [(event.text, event.record) for event in events if event.kind == "note"]
    assert notes == [("focus lost", 2), ("too far", 3), ("at the end", 4)]
    assert all(event.more["said"].startswith("2026-05-04") for event in events if event.kind == "note")
    assert events[-1].kind == "stop"
    assert sorted(place.name.partition(".ptu")[0] for place in tmp_path.glob("*.note")) == ["other", "run"]


pieces = st.lists(st.integers(0, 40), max_size=12)


@settings(max_examples=40)
@given(pieces, st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_byte_for_byte_whatever_is_read_at_once(tmp_path_factory, sizes, buffer_records, seed):
    rng = np.random.default_rng(seed)
    script = [rng.integers(0, 2**32, size, np.uint32) for size in sizes]
    folder = tmp_path_factory.mktemp("any")
    _, file, records, _, driver = record(folder, script, buffer_records=buffer_records)
    expected = np.concatenate([np.empty(0, np.uint32), *script])
    np.testing.assert_array_equal(records, expected)
    assert file.path.read_bytes()[file.data_offset :] == expected.astype("<u4").tobytes()
    assert max(map(len, driver.given), default=0) <= buffer_records


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


@pytest.mark.parametrize("name", ["run.ptu", "run.ptu.events.jsonl"])
def test_nothing_is_overwritten(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(ParameterError, match=f"{name} exists"):
        record(tmp_path, [photons(1)])
    assert (tmp_path / name).read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_driver_says_wrongly_is_a_fault_of_the_driver(tmp_path):
    class Boasting(Scripted):
        def read_into(self, buffer):
            return (
                len(buffer) + 1 if self.script and self.script.pop(0) is None else super().read_into(buffer)
            )

    clock = Clock()
    driver = Boasting([None, photons(1)], clock)
    driver.recorder = Recorder(driver, tmp_path / "run.ptu", clock=clock, wait=clock.wait, buffer_records=8)
    driver.recorder.run()
    [gap] = gaps_of(events_of(tmp_path / "run.ptu"))
    assert gap.cause == "driver error"
    assert gap.text == "the driver says that it put 9 records into room for 8"


def test_nothing_at_all_from_a_driver_is_a_fault_of_the_driver(tmp_path):
    class Mute(Scripted):
        def read_into(self, buffer):
            return None if self.script and self.script.pop(0) is None else super().read_into(buffer)

        def status(self):
            return None

    clock = Clock()
    driver = Mute([None, 1.5, photons(1)], clock)
    driver.recorder = Recorder(driver, tmp_path / "run.ptu", clock=clock, wait=clock.wait)
    driver.recorder.run()
    events = events_of(tmp_path / "run.ptu")
    [gap] = gaps_of(events)
    assert gap.text == "the driver says that it put None records into room for 1048576"
    told = [event.more["warnings"] for event in events if event.kind == "status"]
    assert "the device does not tell how it is: the driver failed: TypeError: its status is None" in told[0]


def test_half_a_character_does_not_end_a_recording(tmp_path):
    fault = DeviceError(Cause.RATE_LIMIT, "odd \ud800 text", goes_on=True)
    ended, _, records, events, _ = record(tmp_path, [photons(1), fault, photons(2)])
    assert not ended.failed
    np.testing.assert_array_equal(records, photons(1, 2))
    assert gaps_of(events)[0].text == "odd ? text"


def test_what_json_cannot_hold_does_not_end_a_recording(tmp_path):
    class Odd(Scripted):
        def status(self):
            return Status(float("nan"), (np.float32(1.5), float("inf")), ("a warning",))

    clock = Clock()
    driver = Odd([1.5, photons(1)], clock)
    driver.recorder = Recorder(driver, tmp_path / "run.ptu", clock=clock, wait=clock.wait)
    driver.recorder.run()
    status = events_of(tmp_path / "run.ptu")[1]
    assert status.more["sync_rate_hz"] is None
    assert status.more["count_rates_hz"] == [1.5, None]
    assert status.more["warnings"] == ["a warning"]


def test_a_device_that_is_silent_is_spoken_of(tmp_path):
    ended, _, _, events, _ = record(tmp_path, [photons(1), *[0.5] * 8, photons(2), *[0.5] * 2])
    said = [event.more["warnings"] for event in events if event.kind == "status"]
    assert said == [[], ["the device has given nothing for 2 s or more"], []]
    assert not ended.failed


# The disk


def test_a_disk_that_fills_ends_the_recording_before_it_is_full(tmp_path):
    sizes = iter([10**9, 10**9 - 4000, LEAST_BYTES])
    space = DiskSpace(tmp_path, lambda _: next(sizes))
    script = [photons(*range(1000)), 1.0, photons(*range(1000)), 1.0, photons(7)]
    ended, file, records, events, driver = record(tmp_path, script, disk=space)
    assert ended.failed
    assert ended.reason.endswith("run.ptu: the disk is nearly full")
    assert file.header[COMPLETE_TAG] is True
    # What the device still held has its place, too.
    np.testing.assert_array_equal(records, np.concatenate(driver.given))
    assert records.size == 2001
    assert events[-1].text == ended.reason


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_is_full_in_the_middle_of_a_record(tmp_path, monkeypatch, code):
    """15 bytes of three photons go through: what is whole stays, and how many are missing is said."""
    write_all = PtuWriter._write_all
    room = [1 << 20]

    def write_some(self, data):
        view = memoryview(data)
        whole = len(view) <= 100
        if not whole and room[0] == 0:
            write_all(self, view[:15])
            raise OSError(code, "no room")
        write_all(self, data)

    monkeypatch.setattr(PtuWriter, "_write_all", write_some)
    first = photons(*range(10))

    def fill():
        room[0] = 0

    ended, file, records, events, _ = record(tmp_path, [first, fill, photons(*range(30)), photons(1)])
    assert ended.failed
    assert "run.ptu cannot be written: no room" in ended.reason
    np.testing.assert_array_equal(records, [*first, *photons(0, 1, 2)])
    assert (file.path.stat().st_size - file.data_offset) % 4 == 0
    assert file.header[COMPLETE_TAG] is True
    [gap] = gaps_of(events)
    assert (gap.record, gap.cause, gap.lost_records, gap.lost_s) == (13, "disk full", 27, None)


@pytest.mark.parametrize("where", ["in a gap", "in what was left"])
def test_a_disk_that_is_full_at_another_place(tmp_path, monkeypatch, where):
    """Nothing more is tried to be written, and what was lost is told once."""
    write_all, full = PtuWriter._write_all, [False]

    def write_some(self, data):
        # The header is corrected in steps of 8 bytes.
        if full[0] and len(memoryview(data)) != 8:
            raise OSError(errno.ENOSPC, "no room")
        write_all(self, data)

    monkeypatch.setattr(PtuWriter, "_write_all", write_some)
    ended, file, records, events, _ = record(
        tmp_path,
        [
            photons(1, 2, 3),
            lambda: full.__setitem__(0, True),
            DeviceError(Cause.SYNC_LOST, "no laser") if where == "in a gap" else 2.0,
            photons(4, 5, 6, 7, 8),
        ],
        buffer_records=3,
        limit_s=1.0,
    )
    assert ended.failed
    assert "cannot be written: no room" in ended.reason
    np.testing.assert_array_equal(records, photons(1, 2, 3))
    assert file.header[COMPLETE_TAG] is True
    [gap] = gaps_of(events)
    assert gap.cause == ("sync lost" if where == "in a gap" else "disk full")


def test_a_disk_that_fails_to_keep_what_was_written_ends_the_recording(tmp_path, monkeypatch):
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        # The header, its folder; then the first look.
        if len(calls) == 3:
            raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr("os.fsync", fsync)
    ended, _, records, _, _ = record(tmp_path, [photons(1), *[0.6] * 200])
    assert ended.failed
    assert "the disk is broken" in ended.reason
    np.testing.assert_array_equal(records, photons(1))


def test_events_for_which_there_is_no_room_come_later_or_are_told_at_the_end(tmp_path, monkeypatch):
    from photonstream.nodes.recording_file import RecordingFile

    class Full:
        def __init__(self, file):
            self.file, self.full = file, True

        def write(self, data):
            if self.full:
                raise OSError(errno.ENOSPC, "no room")
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

    driver = Scripted([], Clock())
    file = RecordingFile(tmp_path / "run.ptu", driver.facts)
    file._events = Full(file._events)
    file.say("note", "first")
    assert json.loads(file.unsaid)["text"] == "first"
    file._events.full = False
    file.say("note", "second")
    assert file.unsaid == ""
    file.close(1.0)
    assert [event.text for event in events_of(tmp_path / "run.ptu")] == ["first", "second"]


# What is on the disk at any moment


def test_the_count_never_claims_more_than_has_reached_the_disk(tmp_path, monkeypatch):
    """Whenever something is flushed or counted, the file is a valid one, with at least as many records as it says."""
    seen, flushed = [], [0]
    path = tmp_path / "run.ptu"

    def fsync(descriptor):
        if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
            file = open_tag_file(path)
            present = (path.stat().st_size - file.data_offset) // 4
            assert file.declared_records <= flushed[0]
            flushed[0] = present
            seen.append((file.declared_records, present, file.header[COMPLETE_TAG]))

    class AtOnce(ThreadPoolExecutor):
        def submit(self, *call):
            future = super().submit(*call)
            wait([future])
            return future

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr("photonstream.nodes.recording_file.ThreadPoolExecutor", AtOnce)
    script = [step for k in range(30) for step in (photons(*range(k + 1)), 0.4)]
    record(tmp_path, script)
    declared = [each for each, _, _ in seen]
    assert declared == sorted(declared)
    assert len(set(declared)) > 5
    assert declared[-1] == seen[-1][1] == 465
    assert [complete for *_, complete in seen[:-1]] == [False] * (len(seen) - 1)
    assert seen[-1][2] is True
