"""The recorder with a device that follows a script: byte for byte what it gave, and every fault written down."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.drivers.base import Cause, DeviceError, Status
from photonstream.nodes.recorder import Recorder
from photonstream.nodes.recorder_orders import Note, leave_note, take_notes
from photonstream.nodes.recording_events import COMPLETE_TAG
from photonstream.stream.node import ParameterError
from tests.nodes.scripted_device import Clock, Scripted, events_of, gaps_of, photons, record, wrapped

pytestmark = pytest.mark.usefixtures("quick_disk")


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
