"""What is said of a recording."""

import pytest

from photonstream.nodes.recording import describe_recording


@pytest.fixture
def header():
    names = (
        "path sha256 format record_type mode sync_rate_hz sync_divider dtime_resolution_s macrotime_unit_s"
    )
    names += " created comment"
    return {**dict.fromkeys(names.split()), "notes": [], "records_read": 9, "records_in_file": 9}


COUNTS = {"photons": 9, "overflows": 0, "photons_per_channel": {}, "duration_s": 1.0, "notes": []}
COUNTS |= {
    "markers": 0,
    "syncs": 0,
    "other": 0,
    "backwards": 0,
    "overflow_wraps": 0,
    "photons_without_pulse": 0,
}


def gap(**more):
    return {"kind": "gap", "record": 3, "text": "", "utc": "", "cause": "FIFO overrun", **more}


def test_gaps_are_summed_up_in_a_sentence(header):
    gaps = [gap(lost_s=0.25, lost_records=100, inserted_records=7), gap(lost_s=None, lost_records=None)]
    assert describe_recording(header, COUNTS, gaps)["notes"] == [
        "the device lost data, 2 gaps (FIFO overrun (2)); lost as far as it is known: 0.25 s and 100 records"
    ]


def test_a_loss_of_which_nobody_knows_how_much(header):
    (note,) = describe_recording(header, COUNTS, [gap(lost_s=None, lost_records=None)])["notes"]
    assert note == "the device lost data, 1 gap (FIFO overrun); how much is not known"
