"""Single exponentials through a measured instrument response: one component, however the response was recorded."""

import math

import numpy as np
import pytest

from photonstream.nodes.inference import search
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import measured_irf

NS = 1e-9
PERIOD_S = 1 / 4.75e6
BIN_S = 80e-12
SIGMA_S = 0.1 * NS


def recording(seed, photons=50_000):
    """Counts of a single exponential in two detectors, and the delays of an instrument response."""
    rng = np.random.default_rng(seed)
    channel = rng.integers(0, 2, photons)
    response_s = 3 * NS + rng.normal(0.0, SIGMA_S, photons)
    delays_s = 3 * NS + rng.exponential(47 * NS, photons) + rng.normal(0.0, SIGMA_S, photons)
    bins = math.ceil(PERIOD_S / BIN_S)
    index = ((delays_s % PERIOD_S) / BIN_S).astype(int)
    counts = np.array([np.bincount(index[channel == c], minlength=bins) for c in (0, 1)])
    return DecayData(counts, BIN_S, PERIOD_S), response_s


@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize(("width_ps", "range_ns"), [(80, 1000), (25, 210), (4, 210), (1, 210)])
def test_one_exponential_stays_one(seed, width_ps, range_ns):
    data, response_s = recording(seed)
    histogram = np.bincount(
        (response_s / (width_ps * 1e-12)).astype(int), minlength=range_ns * 1000 // width_ps
    )
    fit = fit_decay(data, FitOptions(irf=measured_irf(histogram, width_ps * 1e-12), intervals=False))
    assert fit.model == "mono"
    assert fit.likelihood_ratio < 8.0
    assert abs(fit.tau_x_s.value - 47 * NS) < 4 * fit.tau_x_s.stderr
    # Whatever the axis of the response, t0 is where the pulse stands in the decay.
    assert all(abs(channel.t0_s.value - 3 * NS) < 0.05 * NS for channel in fit.channels)
    assert not fit.reason


@pytest.mark.parametrize("moved_s", [-3 * NS, -0.8 * NS, 1.5 * NS])
def test_a_single_fit_that_is_stuck_is_freed_by_the_double_one(moved_s):
    data, response_s = recording(9)
    options = FitOptions(
        irf=measured_irf(np.bincount((response_s / 25e-12).astype(int), minlength=8400), 25e-12)
    )
    likelihood = search.likelihood_of(data, options, [0, 1])
    best = search.joint_start(
        [search.fit_channel(search.likelihood_of(data, options, [c]), options) for c in (0, 1)]
    )
    box = search.box_of(likelihood, options, best)
    right = search.maximise(likelihood, best, box)
    stuck = right.theta.copy()
    stuck[[4, 8]] += moved_s
    wrong = search.maximise(likelihood, stuck, box, max_steps=1)
    assert wrong.half_deviance > right.half_deviance + 100.0
    double_box = search.double_box(likelihood, box, wrong.theta, 0.2355 * NS)
    single, double = search.fit_pair(likelihood, box, double_box, wrong)
    assert single.half_deviance == pytest.approx(right.half_deviance, abs=0.01)
    assert -0.01 < single.half_deviance - double.half_deviance < 4.0


def test_a_channel_without_a_response_is_left_out(truth):
    decay = truth(photons=30_000)
    rng = np.random.default_rng(7)
    data = DecayData(
        np.array([decay.draw(rng) for _ in range(3)]), decay.bin_s, decay.period_s, channels=(0, 1, 2)
    )
    rows = np.array([decay.histogram(5 * NS + decay.jitter(50_000, rng)) for _ in range(2)])
    fit = fit_decay(data, FitOptions(irf=measured_irf(rows, decay.bin_s, [2, 0])))
    assert [channel.used for channel in fit.channels] == [True, False, True]
    assert fit.reason == "channel 1 left out: the recording of the IRF has no response of it"
    assert abs(fit.beta.value - 0.257) < 3 * fit.beta.stderr
    none = fit_decay(data, FitOptions(irf=measured_irf(rows, decay.bin_s, [5, 6])))
    assert none.model == "none"
    assert none.reason.startswith("no channel can be fitted: channel 0 left out: the recording of the IRF")
    # A response recorded in one channel serves the others, and they say so.
    one = fit_decay(data, FitOptions(irf=measured_irf(rows[:1], decay.bin_s, [0])))
    assert all(channel.used for channel in one.channels)
    assert "channel 1 is fitted with the response of channel 0" in one.reason
    text = fit_decay(data, FitOptions(irf=measured_irf(rows[0], decay.bin_s)))
    assert text.reason == ""
    assert text.beta == one.beta
