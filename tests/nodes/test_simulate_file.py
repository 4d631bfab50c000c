"""Simulated files: the same every time, readable by others, with the truth beside them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ptufile
import pytest
import tttrlib

from photonstream.nodes.formats.records import (
    GENERIC_T2,
    GENERIC_T3,
    HYDRAHARP_V1_T3,
    HYDRAHARP_V2_T2,
    HYDRAHARP_V2_T3,
    PICOHARP_T3,
    RecordType,
)
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.simulate import PRESETS, Blinking, Detector, Dwell, SimulationParameters, simulate
from photonstream.stream.node import ParameterError

FLAWED = Detector(
    efficiency=(0.5, 0.4),
    t0_s=(-1e-9, 2e-9),
    background_hz=(5e3, 2e3),
    dead_time_s=30e-9,
    afterpulse_probability=0.05,
    tail_share=0.1,
)
BUSY = replace(
    PRESETS["355nm"].parameters,
    blinking=Blinking(Dwell(0.01), Dwell(0.005), Dwell(alpha=1.5, shortest_s=1e-3, longest_s=0.1)),
    detector=FLAWED,
    emitters=2,
    drift=-0.2,
    duration_s=0.5,
)
DARK = replace(BUSY, mean_n=0.0, detector=Detector(background_hz=(0.0, 0.0)), duration_s=2.0)


def records_of(path: Path) -> Any:
    with ptufile.PtuFile(path) as file:
        records = file.decode_records()
    return records[records["channel"] >= 0]


@pytest.mark.parametrize("kind", [GENERIC_T3, GENERIC_T2])
def test_the_same_bytes_whatever_the_slices(tmp_path: Path, kind: RecordType) -> None:
    parameters = replace(BUSY, sync_divider=64)
    truths = [
        simulate(parameters, tmp_path / f"{i}.ptu", record_type=kind, slice_s=slice_s)
        for i, slice_s in enumerate((0.25, 0.25, 0.0003, 60.0))
    ]
    contents = [(tmp_path / f"{i}.ptu").read_bytes() for i in range(4)]
    assert contents[1:] == contents[:1] * 3
    texts = [(tmp_path / f"{i}.ptu.truth.json").read_bytes() for i in range(4)]
    assert texts[1:] == texts[:1] * 3
    assert truths[0].lost["dead_time"] > 0
    assert truths[0].photons[4].sum() > 0


def test_another_seed_is_another_recording(tmp_path: Path) -> None:
    simulate(BUSY, tmp_path / "a.ptu")
    simulate(replace(BUSY, seed=2), tmp_path / "b.ptu")
    first, second = records_of(tmp_path / "a.ptu"), records_of(tmp_path / "b.ptu")
    assert not np.array_equal(first["time"][:100], second["time"][:100])


@pytest.mark.parametrize("kind", [GENERIC_T3, HYDRAHARP_V2_T3])
def test_t3_header_and_totals(tmp_path: Path, kind: RecordType) -> None:
    path = tmp_path / "x.ptu"
    truth = simulate(BUSY, path, record_type=kind)
    with ptufile.PtuFile(path) as file:
        assert file.tags["TTResult_NumberOfRecords"] == truth.records
        assert file.tags["TTResult_SyncRate"] == 4750000
        assert file.global_resolution == pytest.approx(1 / 4.75e6, rel=1e-12)
        assert file.tags["MeasDesc_Resolution"] == (80e-12 if kind is GENERIC_T3 else 64e-12)
        assert file.tags["TTResult_StopAfter"] == 500
    records = records_of(path)
    assert np.bincount(records["channel"]).tolist() == truth.photons.sum(axis=0).tolist()
    assert np.all(np.diff(records["time"].astype(np.int64)) >= 0)
    assert records["time"].max() < BUSY.pulses
    assert records["dtime"].max() <= int(1 / 4.75e6 / file.tags["MeasDesc_Resolution"])


def test_photons_of_one_sync_are_in_order_of_arrival(tmp_path: Path) -> None:
    simulate(BUSY, tmp_path / "x.ptu")
    records = records_of(tmp_path / "x.ptu")
    place = records["time"].astype(np.int64) * 40000 + records["dtime"]
    assert np.all(np.diff(place) >= 0)
    assert np.any(np.diff(records["time"].astype(np.int64)) == 0)


def test_tttrlib_and_ptufile_agree(tmp_path: Path) -> None:
    path = tmp_path / "x.ptu"
    truth = simulate(BUSY, path, record_type=HYDRAHARP_V2_T3)
    other = tttrlib.TTTR(str(path), "PTU")
    records = records_of(path)
    assert len(other.macro_times) == truth.photons.sum() == records.size
    assert np.array_equal(other.macro_times, records["time"])
    assert np.array_equal(other.micro_times, records["dtime"])
    assert np.array_equal(other.routing_channels, records["channel"])


@pytest.mark.parametrize("kind", [GENERIC_T2, HYDRAHARP_V2_T2])
def test_t2_is_the_same_recording_as_t3(tmp_path: Path, kind: RecordType) -> None:
    parameters = replace(BUSY, repetition_rate_hz=4e6, sync_divider=16, duration_s=0.2)
    simulate(parameters, tmp_path / "t3.ptu")
    simulate(parameters, tmp_path / "t2.ptu", record_type=kind)
    t3 = records_of(tmp_path / "t3.ptu")
    tick_s, bin_ticks = (5e-12, 16) if kind is GENERIC_T2 else (1e-12, 80)
    with ptufile.PtuFile(tmp_path / "t2.ptu") as file:
        assert file.global_resolution == tick_s
        assert file.tags["HWSync_Divider"] == 16
        words = file.read_records()
    # Unfolded by hand: special bit, 6 bits of channel, 25 bits of time.
    special, channel, time = words >> 31 == 1, (words >> 25) & 63, (words & 33554431).astype(np.int64)
    time += np.cumsum(np.where(special & (channel == 63), time, 0)) * 33554432
    syncs = time[special & (channel == 0)]
    assert syncs.tolist() == [round(k * 4e-6 / tick_s) for k in range(int(0.2 / 4e-6))]
    photons = time[~special]
    assert np.array_equal(channel[~special], t3["channel"])
    period_ticks = round(250e-9 / tick_s)
    assert np.array_equal(photons // period_ticks, t3["time"])
    assert np.array_equal(photons % period_ticks // bin_ticks, t3["dtime"])


def test_t2_without_sync_records(tmp_path: Path) -> None:
    truth = simulate(replace(BUSY, sync_divider=0), tmp_path / "x.ptu", record_type=GENERIC_T2)
    with ptufile.PtuFile(tmp_path / "x.ptu") as file:
        words = file.read_records()
    wraps = np.sum((words >> 25) == 127)
    assert words.size == truth.records == truth.photons.sum() + wraps


@pytest.mark.parametrize(("kind", "unit_s"), [(GENERIC_T3, 1024 / 4.75e6), (GENERIC_T2, 33554432 * 5e-12)])
def test_a_dark_run_keeps_its_duration(tmp_path: Path, kind: RecordType, unit_s: float) -> None:
    truth = simulate(replace(DARK, sync_divider=0), tmp_path / "x.ptu", record_type=kind)
    assert truth.photons.sum() == 0
    assert truth.as_dict()["biexciton_share"] is None
    with ptufile.PtuFile(tmp_path / "x.ptu") as file:
        words = file.read_records()
    assert np.all(words >> 25 == 127)
    assert np.sum(words & 33554431) * unit_s == pytest.approx(2.0, abs=unit_s)


def test_truth_file(tmp_path: Path) -> None:
    truth = simulate(BUSY, tmp_path / "x.ptu")
    content = json.loads((tmp_path / "x.ptu.truth.json").read_text())
    assert content["parameters"]["emitter"]["tau_x_s"] == 46.8e-9
    assert content["parameters"]["seed"] == 1
    assert content["biexciton_share"] == pytest.approx(0.2935, abs=1e-4)
    assert content["photons"] == sum(content["photons_per_channel"].values())
    assert sum(content["time_shares"].values()) == pytest.approx(1)
    assert content["neutral_decay"]["rates_hz"][:2] == pytest.approx([1 / 46.8e-9, 1 / 3.6e-9])
    assert len(content["states"]) == 2
    assert content["states"][0]["start_s"] == pytest.approx(truth.switches[0][0] / 4.75e6)
    assert content["states"][0]["state"][:2] == ["neutral", content["states"][0]["state"][1]]


def test_many_switches_go_to_a_file_of_their_own(tmp_path: Path) -> None:
    fast = Blinking(Dwell(1e-4), Dwell(1e-4), Dwell(1e-4))
    truth = simulate(replace(BUSY, blinking=fast), tmp_path / "x.ptu")
    content = json.loads((tmp_path / "x.ptu.truth.json").read_text())
    assert content["states"] == "x.ptu.states.npz"
    with np.load(tmp_path / "x.ptu.states.npz") as states:
        assert np.array_equal(states["state_1"], truth.switches[1][1])
    simulate(replace(BUSY, blinking=None), tmp_path / "x.ptu")
    assert not (tmp_path / "x.ptu.states.npz").exists()


def test_an_unfinished_file_has_no_truth_and_is_readable(tmp_path: Path) -> None:
    simulate(BUSY, tmp_path / "x.ptu")

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(BUSY, tmp_path / "x.ptu", progress=stop, slice_s=0.05)
    assert not (tmp_path / "x.ptu.truth.json").exists()
    assert 0.2 < records_of(tmp_path / "x.ptu")["time"].max() / 4.75e6 <= 0.31


def test_progress_rises_to_one(tmp_path: Path) -> None:
    seen: list[float] = []
    simulate(replace(DARK, duration_s=1.0), tmp_path / "x.ptu", progress=seen.append)
    assert seen == pytest.approx([0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("kind", [PICOHARP_T3, HYDRAHARP_V1_T3])
def test_devices_that_are_not_simulated(tmp_path: Path, kind: RecordType) -> None:
    with pytest.raises(ParameterError, match="cannot be simulated"):
        simulate(BUSY, tmp_path / "x.ptu", record_type=kind)


def test_brightness_of_the_presets_is_that_of_a_real_particle(tmp_path: Path) -> None:
    for name, preset in PRESETS.items():
        parameters: SimulationParameters = replace(preset.parameters, blinking=None, duration_s=0.2)
        assert isinstance(parameters.emitter, Cascade)
        truth = simulate(parameters, tmp_path / f"{name}.ptu")
        kcps = truth.photons.sum() / 0.2 / 1000
        assert 50 < kcps < (400 if parameters.mean_n > 0.1 else 100)
