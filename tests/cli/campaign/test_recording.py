"""Whether a recording holds what the device gave: files made by hand of what it gives, whole and not."""

import numpy as np
import pytest

from photonstream.cli.campaign.recording import not_whole, read_records
from photonstream.nodes.drivers.base import DeviceFacts
from photonstream.nodes.drivers.simulated import SLICE_S, SimulatedSettings
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import GAP, STOP
from photonstream.nodes.recording_file import RecordingFile
from photonstream.nodes.simulate.slices import Slices

SETTINGS = {"seed": 5}
# Two wraps of the counter, as one record: channel 63, special, and their number.
WRAPS = np.array([(1 << 31) | (63 << 25) | 2], np.uint32)


@pytest.fixture
def slices():
    made = Slices(SimulatedSettings(seed=5).simulation(), GENERIC_T3, SLICE_S)
    return [made.next() for _ in range(6)]


@pytest.fixture
def record(tmp_path):
    """Writes a recording of ``pieces``; a pair is a gap with so many lost records and what was put there."""

    def write(*pieces, stop=True, name="run.ptu"):
        facts = DeviceFacts(GENERIC_T3, 1 / 4.75e6, 8e-11, 4.75e6, 1, 2, "simulated", "5", {})
        file = RecordingFile(tmp_path / name, facts)
        for piece in pieces:
            if isinstance(piece, tuple):
                lost, inserted = piece
                file.say(
                    GAP, "it overran", cause="FIFO overrun", lost_records=lost, inserted_records=len(inserted)
                )
                piece = inserted
            file.write(piece)
        if stop:
            file.say(STOP, "the end")
        file.close(1.0)
        return tmp_path / name

    return write


def wrong(path, *, killed=False):
    return not_whole(path, SETTINGS, killed=killed)


def test_what_the_device_gave_with_and_without_gaps_is_whole(slices, record):
    a, b, c, d, *_ = slices
    assert wrong(record(a, b, c, name="a.ptu")) == []
    assert wrong(record(a, (len(b), WRAPS), c, d, name="b.ptu")) == []
    assert wrong(record(a[:-7], (7 + len(b), WRAPS), c, (len(d), WRAPS), name="c.ptu")) == []
    assert wrong(record(a, b[:11], (3, WRAPS[:0]), name="d.ptu")) == []


def test_one_record_more_less_or_other_is_found_and_named(slices, record):
    a, b, c, *_ = slices
    changed = b.copy()
    changed[4] ^= 1
    [sentence] = wrong(record(a, changed, name="a.ptu"))
    assert sentence == f"1 records are not what the device gave, the first of them number {len(a) + 4}"
    for number, pieces in enumerate([(a, b[1:]), (a, a[-1:], b), (a, (len(b) - 1, WRAPS), c), (b, c)]):
        assert "not what the device gave" in wrong(record(*pieces, name=f"{number}.ptu"))[0]


def test_a_gap_holds_counter_wraps_and_says_what_it_cost(slices, record):
    a, b, c, *_ = slices
    assert "more than counter wraps" in wrong(record(a, (len(b), c[:3]), c, name="a.ptu"))[0]
    assert "nobody knows" in wrong(record(a, (None, WRAPS), c, name="b.ptu"))[0]


def test_only_a_killed_recorder_may_leave_no_end(slices, record):
    path = record(*slices[:2], stop=False)
    assert "does not end with a stop" in wrong(path)[0]
    assert wrong(path, killed=True) == []


def test_half_a_record_is_none(slices, record):
    path = record(*slices[:2])
    with path.open("ab") as file:
        file.write(b"\1\2\3")
    assert read_records(path).tolist() == np.concatenate(slices[:2]).tolist()
