"""The recorder and a disk that fills or fails."""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest

from photonstream.nodes.disk_space import LEAST_BYTES, DiskSpace
from photonstream.nodes.drivers.base import Cause, DeviceError
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path, parse_event
from photonstream.nodes.recording_file import RecordingFile
from tests.nodes.scripted_device import Clock, Scripted, events_of, gaps_of, photons, record

pytestmark = pytest.mark.usefixtures("quick_disk")


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


def test_events_come_after_whatever_somebody_else_has_written_there_or_cut(tmp_path):
    driver = Scripted([], Clock())
    file = RecordingFile(tmp_path / "run.ptu", driver.facts)
    beside = events_path(tmp_path / "run.ptu")
    file.say("note", "first")
    with beside.open("ab") as other:
        other.write(b"a line of somebody else\n")
    file.say("note", "second")
    lines = beside.read_text(encoding="utf-8").splitlines()
    assert [parse_event(line).text for line in (lines[0], lines[2])] == ["first", "second"]
    assert lines[1] == "a line of somebody else"
    beside.write_bytes(b"")
    file.say("note", "third")
    file.close(0.0)
    [line] = beside.read_text(encoding="utf-8").splitlines()
    assert parse_event(line).text == "third"


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
