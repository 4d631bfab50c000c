"""Shares per bin against scipy's exponentially modified Gaussian summed over pulses, and numeric convolution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from photonstream.nodes.inference.decay_model import (
    bin_shares,
    erfcx,
    gaussian_cumulative,
    measured_cumulative,
)

PERIOD_S = 210.5e-9


def edges(period_s: float = PERIOD_S, bin_s: float = 80e-12) -> np.ndarray:
    return np.minimum(np.arange(math.ceil(period_s / bin_s) + 1) * bin_s, period_s)


def summed_over_pulses(edges_s, t0_s, tau_s, sigma_s, period_s):
    pulses = math.ceil(60.0 * tau_s / period_s) + 3
    total = np.zeros(edges_s.size - 1)
    for k in range(-pulses, 3):
        distribution = stats.exponnorm(tau_s / sigma_s, loc=t0_s + k * period_s, scale=sigma_s)
        total += np.diff(distribution.cdf(edges_s))
    return total


@pytest.mark.parametrize("x", [0.0, 1e-9, 0.3, 2.0, 9.0, 24.999, 25.001, 80.0, 1e4])
def test_erfcx_is_scipys(x):
    assert erfcx(x) == pytest.approx(float(special.erfcx(x)), rel=2e-12)


@pytest.mark.parametrize(
    ("t0_s", "tau_s", "sigma_s", "period_s"),
    [
        (20e-9, 46.8e-9, 0.0425e-9, PERIOD_S),
        (20e-9, 3.6e-9, 0.0425e-9, PERIOD_S),
        (0.01e-9, 46.8e-9, 0.2e-9, PERIOD_S),
        (210.49e-9, 3.6e-9, 0.2e-9, PERIOD_S),
        (105.25e-9, 300e-9, 2e-9, PERIOD_S),
        (1.5e-9, 3.5e-9, 0.15e-9, 13.17e-9),
        (5e-9, 0.05e-9, 0.3e-9, 13.17e-9),
    ],
)
def test_wrapped_gaussian_shares_equal_the_sum_over_pulses(t0_s, tau_s, sigma_s, period_s):
    edges_s = edges(period_s)
    ours = bin_shares(edges_s, period_s, t0_s, tau_s, sigma_s=sigma_s)
    np.testing.assert_allclose(ours, summed_over_pulses(edges_s, t0_s, tau_s, sigma_s, period_s), atol=3e-12)


@settings(max_examples=150)
@given(
    t0=st.floats(-2.0, 3.0),
    ln_tau=st.floats(math.log(1e-5), math.log(4.0)),
    ln_sigma=st.floats(math.log(1e-6), math.log(0.05)),
    bins=st.floats(3.0, 400.0),
)
def test_a_period_holds_every_photon_once(t0, ln_tau, ln_sigma, bins):
    edges_s = edges(PERIOD_S, PERIOD_S / bins)
    tau_s, sigma_s = PERIOD_S * math.exp(ln_tau), PERIOD_S * math.exp(ln_sigma)
    shares = bin_shares(edges_s, PERIOD_S, t0 * PERIOD_S, tau_s, sigma_s=sigma_s)
    assert np.all(np.isfinite(shares))
    # Times near the period carry its rounding, which a steep edge magnifies.
    assert shares.sum() == pytest.approx(1.0, abs=1e-10)
    assert shares.min() > -1e-10


@settings(max_examples=60)
@given(
    t0=st.floats(-2.0, 3.0),
    ln_tau=st.floats(math.log(1e-4), math.log(4.0)),
    weights=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40).filter(lambda row: sum(row) > 0.1),
)
def test_a_measured_irf_holds_every_photon_once(t0, ln_tau, weights):
    irf = np.array(weights) / sum(weights)
    shares = bin_shares(
        edges(),
        PERIOD_S,
        t0 * PERIOD_S,
        PERIOD_S * math.exp(ln_tau),
        irf=irf,
        irf_bin_s=PERIOD_S / (irf.size - 0.3),
    )
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert shares.min() > -1e-13


@pytest.mark.parametrize("t0_s", [0.0, 0.013e-9, 3.777e-9, 208.9e-9, -5e-9])
def test_a_measured_irf_equals_a_fine_numeric_convolution(t0_s):
    rng = np.random.default_rng(3)
    period_s, fine = 20e-9, 20_000
    irf_bin_s = 0.1e-9
    irf = np.zeros(200)
    irf[20:40] = rng.random(20)
    irf /= irf.sum()
    step_s = period_s / fine
    density = np.repeat(irf, fine // 200) / irf_bin_s
    grid_s = (np.arange(fine) + 0.5) * step_s
    decay = np.exp(-grid_s / 2e-9) / (2e-9 * (1.0 - math.exp(-period_s / 2e-9)))
    rolled = np.fft.irfft(np.fft.rfft(density) * np.fft.rfft(decay), fine) * step_s
    one = np.concatenate([[0.0], np.cumsum(rolled) * step_s])
    cumulative = np.concatenate([one[:-1] - 1.0, one[:-1], one + 1.0])
    # Midpoint sampling of both factors puts the product half a step late.
    at_s = (np.arange(cumulative.size) - fine + 0.5) * step_s
    edges_s = np.arange(101) * 0.2e-9
    turns = np.floor((edges_s - t0_s) / period_s)
    wanted = np.diff(turns + np.interp(edges_s - t0_s - turns * period_s, at_s, cumulative))
    shares = bin_shares(edges_s, period_s, t0_s, 2e-9, irf=irf, irf_bin_s=irf_bin_s)
    np.testing.assert_allclose(shares, wanted, atol=3e-4 * shares.max())


def test_a_finely_measured_gaussian_equals_the_gaussian():
    sigma_s, width_s = 0.1e-9, 4e-12
    bounds_s = np.arange(501) * width_s
    irf = np.diff(stats.norm.cdf(bounds_s, loc=1e-9, scale=sigma_s))
    measured = bin_shares(edges(), PERIOD_S, 19e-9, 3.6e-9, irf=irf / irf.sum(), irf_bin_s=width_s)
    # A density constant within bins is wider by a twelfth of the bin's square.
    wider_s = math.sqrt(sigma_s**2 + width_s**2 / 12.0)
    gaussian = bin_shares(edges(), PERIOD_S, 20e-9, 3.6e-9, sigma_s=wider_s)
    np.testing.assert_allclose(measured, gaussian, atol=1e-6)


@pytest.mark.parametrize("measured", [False, True])
def test_derivatives_equal_finite_differences(measured):
    edges_s = edges(13.17e-9, 0.111e-9)
    irf = np.array([0.1, 0.5, 0.25, 0.1, 0.05])

    def cumulative(t0_s, tau_s, sigma_s):
        out = np.empty((4, edges_s.size))
        if measured:
            measured_cumulative(edges_s, 13.17e-9, t0_s, irf, 0.2e-9, tau_s, *out)
        else:
            gaussian_cumulative(edges_s, 13.17e-9, t0_s, sigma_s, tau_s, *out)
        return out

    place = (2.0331e-9, 1.7e-9, 0.21e-9)
    exact = cumulative(*place)
    for row, which, sign in ((1, 0, -1.0), (2, 1, 1.0), (3, 2, 1.0)):
        if measured and which == 2:
            continue
        step = 1e-5 * place[which]
        high, low = list(place), list(place)
        high[which] += step
        low[which] -= step
        numeric = sign * (cumulative(*high)[0] - cumulative(*low)[0]) / (2.0 * step)
        np.testing.assert_allclose(exact[row], numeric, rtol=1e-5, atol=2e-6 * np.abs(numeric).max())
