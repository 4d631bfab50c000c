"""Dead time, one photon per sync and afterpulses of the simulated detectors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ptufile
import pytest
from numpy.typing import NDArray
from scipy import stats

from photonstream.nodes.formats.records import GENERIC_T2, HYDRAHARP_V2_T3
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.simulate import Detector, SimulationParameters, Truth, simulate, with_settings
from photonstream.nodes.simulate.detection import PENDING_MOST, detect, new_carry
from photonstream.nodes.simulate.emission import PHASE_BITS, TAG_BITS
from photonstream.stream.node import ParameterError

DARK = SimulationParameters(
    1e6,
    0.0,
    0.0,
    Cascade(47e-9, 3.6e-9),
    blinking=None,
    detector=Detector(background_hz=(5e5, 0.0)),
    duration_s=1.0,
    sync_divider=0,
)


def times_s(path: Path, **detector: Any) -> tuple[Truth, NDArray[np.float64]]:
    """Times of the photons of channel 0, by an independent reader."""
    parameters = replace(DARK, detector=replace(DARK.detector, **detector))
    truth = simulate(parameters, path, record_type=GENERIC_T2)
    with ptufile.PtuFile(path) as file:
        records = file.decode_records()
    return truth, records["time"][records["channel"] >= 0] * 5e-12


def test_dead_time_excludes_pairs_and_thins_the_rate(tmp_path: Path) -> None:
    truth, times = times_s(tmp_path / "x.ptu", dead_time_s=1e-6)
    gaps = np.diff(times)
    assert gaps.min() >= 1e-6 - 6e-12
    # Non-paralysable: rate / (1 + rate * dead time), here two thirds.
    assert times.size == pytest.approx(5e5 / 1.5, rel=0.01)
    assert stats.kstest(gaps[:5000] - 1e-6, "expon", (0, 2e-6)).pvalue > 1e-3
    assert truth.lost["dead_time"] + times.size == pytest.approx(5e5, rel=0.01)


def test_channels_are_blind_on_their_own() -> None:
    candidates = np.array(
        [1000 << TAG_BITS, (1001 << TAG_BITS) | 1, 1002 << TAG_BITS, 1100 << TAG_BITS], np.int64
    )
    out, carry = np.empty(10, np.int64), new_carry()
    rng, pending = np.random.default_rng(1), np.empty(PENDING_MOST, np.int64)
    count, used, done = detect(rng, candidates, 2000, 100, False, 0.0, 0.0, carry, pending, out)
    assert (count, used, done) == (3, 4, True)
    assert out[:3].tolist() == candidates[[0, 1, 3]].tolist()


def test_one_photon_per_sync_keeps_the_first_of_each_channel() -> None:
    pulse = 1 << PHASE_BITS
    places = [(pulse + 5, 0), (pulse + 6, 1), (pulse + 7, 0), (2 * pulse + 1, 0)]
    candidates = np.array([(time << TAG_BITS) | channel for time, channel in places], np.int64)
    out, carry = np.empty(10, np.int64), new_carry()
    rng, pending = np.random.default_rng(1), np.empty(PENDING_MOST, np.int64)
    count, _, _ = detect(rng, candidates, 3 * pulse, 0, True, 0.0, 0.0, carry, pending, out)
    assert out[:count].tolist() == candidates[[0, 1, 3]].tolist()


def test_one_photon_per_sync_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.ptu"
    parameters = replace(DARK, detector=Detector(background_hz=(1e6, 1e6), one_photon_per_sync=True))
    simulate(parameters, path, record_type=HYDRAHARP_V2_T3)
    with ptufile.PtuFile(path) as file:
        records = file.decode_records()
    for channel in (0, 1):
        syncs = records["time"][records["channel"] == channel]
        assert np.all(np.diff(syncs.astype(np.int64)) > 0)
        assert syncs.size == pytest.approx(1e6 * (1 - np.exp(-1)), rel=0.005)


def test_afterpulses_have_their_rate_and_delay(tmp_path: Path) -> None:
    truth, times = times_s(
        tmp_path / "x.ptu",
        background_hz=(1e5, 0.0),
        dead_time_s=50e-9,
        afterpulse_probability=0.1,
        afterpulse_s=40e-9,
    )
    # A tenth of all detections, afterpulses among them, fires again.
    assert truth.photons[4].sum() == pytest.approx(0.1 * times.size, rel=0.05)
    gaps = np.diff(times)
    assert gaps.min() >= 50e-9 - 6e-12
    for delay_s in (40e-9, 400e-9):
        by_chance = 0.9 * 1e5 * delay_s
        expected = 0.1 * (1 - np.exp(-delay_s / 40e-9)) + by_chance
        assert np.mean(gaps - 50e-9 < delay_s) == pytest.approx(expected, rel=0.05)


def test_afterpulses_of_a_full_memory_are_not_lost_silently() -> None:
    candidates = np.arange(100, dtype=np.int64) << TAG_BITS
    rng, pending = np.random.default_rng(1), np.empty(8, np.int64)
    with pytest.raises(OverflowError):
        detect(rng, candidates, 100, 0, False, 1.0, 1e6, new_carry(), pending, np.empty(200, np.int64))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dead_time_s", -1e-9),
        ("efficiency", (0.5, 1.5)),
        ("afterpulse_probability", 0.9),
        ("background_hz", (-1.0, 0.0)),
        ("beam_splitter", float("nan")),
        ("duration_s", 0.0),
        ("mean_n", -0.1),
        ("drift", 9.0),
        ("tau_xx_s", 40e-9),
        ("no_such_thing", 1),
    ],
)
def test_impossible_settings_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ParameterError):
        with_settings(DARK, {name: value})


def test_bins_that_cannot_hold_a_period_are_refused(tmp_path: Path) -> None:
    parameters = with_settings(DARK, {"resolution_s": 5e-12})
    with pytest.raises(ParameterError, match="resolution_s"):
        simulate(parameters, tmp_path / "x.ptu")
    assert not (tmp_path / "x.ptu").exists()
