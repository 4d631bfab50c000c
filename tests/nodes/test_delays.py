"""Delays after the pulse: by hand, and wherever the pulse stands in the period."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.delays import (
    Pulse,
    after_pulse,
    cut_before_pulse,
    mean_delay,
    pulses_of,
    with_delays,
)
from photonstream.nodes.inference.rows import label_of
from photonstream.nodes.kernels.decode import NO_DTIME
from photonstream.nodes.kernels.mean_delays import CUTS, map_delays
from photonstream.nodes.pipeline import standard
from photonstream.nodes.simulate import Detector, simulate
from photonstream.nodes.simulate.presets import BLINKING, PRESETS
from photonstream.stream.runner import InlineRunner

NS = 1e-9
ROWS = {
    "labels": np.array([int(label_of(9, 1, 1)), int(label_of(9, 2, 2)), int(label_of(12, 1, 2))]),
    # Of state 1, over two channels: 2 photons in bin 0 and 2 in bin 4.
    "counts": np.array(
        [[[1, 0, 0, 0, 1], [0, 0, 0, 0, 1]], [[0, 1, 0, 0, 0], [0] * 5], [[1, 0, 0, 0, 0], [0] * 5]]
    ),
    "channels": np.array([0, 3]),
    "resolution_s": NS,
    "pulse_period_s": 5 * NS,
}


def test_the_error_is_the_spread_over_the_root_of_the_photons():
    levels = [{"state": 1, "on": True}, {"state": 2, "on": False}]
    one, other = with_delays(ROWS, {"method": "hmm", "levels": levels}, {})
    # After the sync. Two bins off the mean each: variance 16/3 of four photons.
    assert one["mean_dtime_s"] == pytest.approx(2 * NS)
    assert one["mean_dtime_stderr_s"] == pytest.approx((16 / 3 / 4) ** 0.5 * NS)
    # A single photon has no spread.
    assert other == {
        "state": 2,
        "on": False,
        "mean_dtime_s": pytest.approx(1 * NS),
        "mean_dtime_stderr_s": None,
    }


def test_every_level_of_a_window_has_its_own_photons():
    levels = [{"between": (0, 5)}, {"between": (5, 10)}, {"between": (10, None)}]
    below, inside, above = with_delays(ROWS, {"method": "window", "levels": levels}, {})
    assert (below["mean_dtime_s"], below["mean_dtime_stderr_s"]) == (None, None)
    # Bins 0, 1, 4 and 4.
    assert inside["mean_dtime_s"] == pytest.approx(2.25 * NS)
    assert inside["mean_dtime_stderr_s"] == pytest.approx((np.var([0, 1, 4, 4], ddof=1) / 4) ** 0.5 * NS)
    assert (above["mean_dtime_s"], above["mean_dtime_stderr_s"]) == (pytest.approx(0.0), None)


def test_delays_are_those_after_the_pulse_of_their_channel():
    """Pulses at 3 and at 4.5 ns of 5: what stands at 0 ns came 2.5 ns after the first."""
    decay = ROWS["counts"][0]
    mean_s, _ = mean_delay(decay, [0, 3], NS, 5 * NS, {0: Pulse(3 * NS), 3: Pulse(4.5 * NS)})
    assert mean_s == pytest.approx((2.5 + 1.5 + 0.0) / 3 * NS)
    # A channel without a pulse says nothing.
    mean_s, stderr_s = mean_delay(decay, [0, 3], NS, 5 * NS, {3: Pulse(4.5 * NS)})
    assert (mean_s, stderr_s) == (pytest.approx(0.0, abs=1e-15), None)


@pytest.mark.parametrize("fwhm_ns", [0.1, 0.35, 1.0])
@pytest.mark.parametrize(
    ("period_ns", "resolution_ns", "t0_ns", "tau_ns"),
    [
        (210.5, 0.08, 3.0, 2.5),
        (210.5, 0.08, 3.0, 46.8),
        (210.5, 0.08, 210.4, 46.8),
        (210.5, 0.016, 0.1, 10.0),
        (25.0, 0.016, 3.0, 5.0),
    ],
)
def test_a_mean_delay_is_right_whatever_the_response(period_ns, resolution_ns, t0_ns, tau_ns, fwhm_ns):
    """A folded exponential behind a Gaussian, whose early photons come before the pulse stands there."""
    rng = np.random.default_rng(5)
    photons = 400_000
    delay_ns = t0_ns + rng.exponential(tau_ns, photons) + rng.normal(0.0, fwhm_ns / 2.3548, photons)
    places = (delay_ns % period_ns / resolution_ns).astype(np.int64)
    decay = np.bincount(places, minlength=int(period_ns / resolution_ns) + 1)[None]
    pulses = {0: Pulse(t0_ns * NS, fwhm_ns * NS)}
    mean_s, stderr_s = mean_delay(decay, [0], resolution_ns * NS, period_ns * NS, pulses)
    true_ns = tau_ns - period_ns / np.expm1(period_ns / tau_ns)
    assert stderr_s < 1.15 * np.hypot(tau_ns, fwhm_ns) / photons**0.5 * NS
    assert abs(mean_s / NS - true_ns) < 3.5 * stderr_s / NS


def test_the_pulses_are_those_of_the_fit():
    channels = {
        "0": {"t0_s": {"value": 3e-9}, "irf_fwhm_s": {"value": 4e-10}},
        "2": {"t0_s": None, "irf_fwhm_s": None},
        "5": {"t0_s": {"value": 4e-9}, "irf_fwhm_s": None},
    }
    assert pulses_of({"channels": channels}) == {0: Pulse(3e-9, 4e-10), 5: Pulse(4e-9)}
    assert pulses_of({}) == {}


@pytest.mark.parametrize(
    ("photons", "cut"),
    [
        ([9, 5, 3, 1], 0),
        ([1, 9, 5, 3], 1),
        ([5, 3, 1, 9], 3),
        # The pulse stands late in its part: most of that is the tail of the one before.
        ([5, 3, 2, 2], 0),
        # A gate that is closed before the pulse.
        ([0, 9, 4, 0], 1),
        ([0, 0, 0, 0], 0),
    ],
)
def test_the_period_is_cut_behind_its_darkest_part_before_the_pulse(photons, cut):
    assert cut_before_pulse(np.array(photons)) == cut


def test_edges_are_counted_from_the_middle_of_the_pulses():
    edges_s = np.array([140.0, 240.0, 340.0]) * NS
    assert after_pulse(edges_s, {}) is edges_s
    assert after_pulse(edges_s, {0: Pulse(150 * NS)}) == pytest.approx(np.array([-10.0, 90.0, 190.0]) * NS)
    # One stands just before the end of the period, the other just behind its beginning.
    found = after_pulse(np.array([180.0, 280.0, 380.0]) * NS, {0: Pulse(199 * NS), 1: Pulse(3 * NS)})
    assert found == pytest.approx(np.array([-21.0, 79.0, 179.0]) * NS)


PERIOD = 3289.47


@given(
    st.lists(st.lists(st.integers(0, int(PERIOD)), max_size=5), max_size=8),
    st.integers(0, CUTS - 1),
)
def test_bins_lie_by_the_mean_delay_after_each_cut(bins, cut):
    dtime = np.array([d for each in bins for d in [*each, NO_DTIME]], np.uint32)
    offsets = np.cumsum([0, *(len(each) + 1 for each in bins)])
    cells, photons = np.zeros((CUTS, len(bins) + 1, 64), np.int64), np.zeros(CUTS, np.int64)
    map_delays(offsets, np.arange(len(bins)), dtime, np.uint32(NO_DTIME), PERIOD, cells, photons)
    assert photons.sum() == sum(map(len, bins))
    at = cut * PERIOD / CUTS
    for level, each in enumerate(bins):
        assert cells[cut, level].sum() == bool(each)
        if each:
            mean = np.mean([d - at if int(d * CUTS / PERIOD) >= cut else d - at + PERIOD for d in each])
            (column,) = np.flatnonzero(cells[cut, level])
            assert column <= mean / PERIOD * 64 + 1e-6
            assert mean / PERIOD * 64 <= column + 1 + 1e-6


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The same flickering nanocrystal with its pulse early, in the middle and late in the period: results and map."""
    found = {}
    preset = PRESETS["355nm"].parameters
    for t0_s in (3 * NS, 150 * NS, 209 * NS):
        path = tmp_path_factory.mktemp("place") / "x.ptu"
        detector = Detector(efficiency=(0.08, 0.08), background_hz=(100.0, 100.0), t0_s=(t0_s, t0_s))
        blinking = BLINKING["flicker"]
        simulate(replace(preset, duration_s=6.0, blinking=blinking, detector=detector), path)
        outcome = InlineRunner(standard({"source": {"path": str(path)}})).run()
        latest = {key: result.value for key, result in outcome.results.items()}
        found[t0_s] = latest["results", "result"], latest["states", "flid"]
    return found


def test_delays_of_states_do_not_depend_on_where_the_pulse_stands(places):
    means = [
        [(level["mean_dtime_s"], level["mean_dtime_stderr_s"]) for level in result["states"]["levels"]]
        for result, _ in places.values()
    ]
    (neutral, trion), *others = means
    assert neutral[0] > 40 * NS > 25 * NS > trion[0] > 15 * NS
    for other in others:
        for (here, _), (there, error) in zip((neutral, trion), other, strict=True):
            assert there == pytest.approx(here, abs=max(0.15 * NS, 3 * error))


def test_the_map_does_not_depend_on_where_the_pulse_stands(places):
    """Mean delay over the bins of all levels, from the edges of the map as counted from the pulse."""
    means = []
    for result, flid in places.values():
        edges_s = after_pulse(flid["dtime_edges_s"], pulses_of(result["fit"]))
        counts = flid["counts"].sum(axis=0)
        assert -20 * NS < edges_s[0] <= 0.5 * NS
        means.append(float(counts @ (edges_s[:-1] + edges_s[1:])) / 2.0 / counts.sum())
    assert means[0] == pytest.approx(means[1], abs=1.0 * NS)
    assert means[0] == pytest.approx(means[2], abs=1.0 * NS)
