"""Slices of the simulator: what they hold together, that each stands by itself, and what the simulated file holds."""

from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3, HYDRAHARP_V2_T3
from photonstream.nodes.pacing import RecordClock
from photonstream.nodes.simulate import PRESETS, simulate
from photonstream.nodes.simulate import slices as module
from photonstream.nodes.simulate.slices import Repeated, Slices

PARAMETERS = replace(PRESETS["640nm"].parameters, sync_divider=16)


def time_s(record_type, unit_s, records):
    clock = RecordClock(record_type, unit_s, max(1, records.size))
    return clock.after(clock.start, records).time_s


@pytest.mark.parametrize("record_type", [GENERIC_T3, HYDRAHARP_V2_T3, GENERIC_T2], ids=lambda kind: kind.name)
def test_each_slice_tells_its_length_by_itself(record_type):
    slices = Slices(PARAMETERS, record_type, 5e-3)
    assert slices.slice_s == pytest.approx(5e-3, rel=0.05)
    for _ in range(20):
        records = slices.next()
        assert time_s(record_type, slices.encoder.macrotime_unit_s, records) == pytest.approx(slices.slice_s)


@pytest.mark.parametrize("record_type", [GENERIC_T3, GENERIC_T2], ids=lambda kind: kind.name)
def test_together_they_hold_the_photons_of_the_simulated_file(record_type, tmp_path):
    """The same seed, before anything can differ: photons and laser pulses are the same, wraps are told more often."""
    slices = Slices(PARAMETERS, record_type, 5e-3)
    live = np.concatenate([slices.next() for _ in range(100)])
    duration_s = 100 * slices.slice_s
    simulate(replace(PARAMETERS, duration_s=2 * duration_s), tmp_path / "x.ptu", record_type=record_type)
    file = np.concatenate(list(open_tag_file(tmp_path / "x.ptu").blocks()))
    events = [records[records >> np.uint32(25) != 127] for records in (live, file)]
    assert events[0].size > 10_000
    np.testing.assert_array_equal(events[0], events[1][: events[0].size])


def test_one_channel():
    both, one = (Slices(PARAMETERS, GENERIC_T3, 5e-3, channels) for channels in (None, (1,)))
    for _ in range(5):
        all_records, records = both.next(), one.next()
        channel = all_records >> np.uint32(25)
        np.testing.assert_array_equal(records[records >> np.uint32(25) == 1], all_records[channel == 1])
        assert not (records >> np.uint32(25) == 0).any()


def test_another_nanocrystal_follows_without_a_seam(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_S", 0.03)
    slices = Slices(PARAMETERS, GENERIC_T3, 5e-3)
    records = np.concatenate([slices.next() for _ in range(40)])
    unit_s = slices.encoder.macrotime_unit_s
    assert time_s(GENERIC_T3, unit_s, records) == pytest.approx(40 * slices.slice_s)
    photons = (records < 1 << 31).sum()
    monkeypatch.undo()
    slices = Slices(PARAMETERS, GENERIC_T3, 5e-3)
    first = np.concatenate([slices.next() for _ in range(6)])
    np.testing.assert_array_equal(records[: first.size - 1], first[:-1])
    # As bright as before, roughly: 30 ms of one nanocrystal after the other.
    assert photons > 3 * (first < 1 << 31).sum()


def test_repeated_slices_are_the_first_ones_again():
    slices = Slices(PARAMETERS, GENERIC_T3, 5e-3)
    repeated = Repeated(slices, 0.02)
    rounds = [[repeated.next() for _ in range(4)] for _ in range(3)]
    fresh = Slices(PARAMETERS, GENERIC_T3, 5e-3)
    for each in zip(*rounds, strict=True):
        expected = fresh.next()
        for records in each:
            np.testing.assert_array_equal(records, expected)
