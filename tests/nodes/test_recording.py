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


COUNTS = {
    "photons": 9,
    "overflows": 0,
    "photons_per_channel": {},
    "duration_s": 1.0,
    "gap_s": 0.25,
    "notes": [],
}
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


def test_the_time_of_gaps_is_not_measured_time(header):
    found = describe_recording(header, COUNTS)
    assert (found["duration_s"], found["measured_s"]) == (1.0, 0.75)


def test_gaps_are_summed_up_in_a_sentence(header):
    gaps = [gap(lost_s=0.25, lost_records=100, inserted_records=7), gap(lost_s=None, lost_records=None)]
    assert describe_recording(header, COUNTS, gaps)["notes"] == [
        "the device lost data, 2 gaps (FIFO overrun (2)); lost as far as it is known: 0.25 s and 100 records"
    ]


def test_a_loss_of_which_nobody_knows_how_much(header):
    (note,) = describe_recording(header, COUNTS, [gap(lost_s=None, lost_records=None)])["notes"]
    assert note == "the device lost data, 1 gap (FIFO overrun); how much is not known"


def test_why_a_recording_was_cut_short_is_told(header):
    stop = {"kind": "stop", "text": "the disk is nearly full", "reason": "the disk is nearly full"}
    assert describe_recording(header, COUNTS, [stop | {"failed": False}])["notes"] == []
    for why in ({"failed": True}, {"died": True}):
        assert describe_recording(header, COUNTS, [stop | why])["notes"] == [
            "the recording was cut short: the disk is nearly full"
        ]


T3 = {"mode": "T3", "macrotime_unit_s": 2e-7, "sync_divider": 1}
T2 = {"mode": "T2", "macrotime_unit_s": 1e-12, "sync_divider": 4}


@pytest.mark.parametrize(
    ("about", "rate_hz", "syncs", "said"),
    [
        (T3, 5e6, 0, False),
        (T3, 4.75e6, 0, True),
        # 1,250,000 records in a second of every fourth pulse are 5 MHz
        (T2, 5e6, 1_250_000, False),
        (T2, 4.75e6, 1_250_000, True),
        (T2, None, 1_250_000, False),
        (T2, 4.75e6, 12, False),
    ],
)
def test_a_laser_rate_that_the_recording_contradicts(header, about, rate_hz, syncs, said):
    notes = describe_recording({**header, **about, "sync_rate_hz": rate_hz}, {**COUNTS, "syncs": syncs})[
        "notes"
    ]
    assert len(notes) == said
    assert all("come at 5 MHz" in note and "taken as 4.75 MHz" in note for note in notes)


def test_lost_laser_records_do_not_contradict_the_rate(header):
    lossy = {**header, **T2, "sync_rate_hz": 5e6}
    notes = describe_recording(lossy, {**COUNTS, "syncs": 1_000_000}, [gap(lost_s=0.2, lost_records=1)])[
        "notes"
    ]
    assert not any("laser" in note for note in notes)
