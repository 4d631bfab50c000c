"""Measured instrument responses: cleaning, widths, refusals."""

import math

import numpy as np
import pytest
from scipy import stats

from photonstream.nodes.inference.irf import GaussianIrf, MeasuredIrf, fwhm_s, measured_irf, shares_on_period

WIDTH_S = 16e-12


def gaussian_histogram(
    counts: float, background: float, at_s: float = 5e-9, sigma_s: float = 0.1e-9
) -> np.ndarray:
    bounds_s = np.arange(801) * WIDTH_S
    return counts * np.diff(stats.norm.cdf(bounds_s, at_s, sigma_s)) + background


def test_background_is_taken_off_and_the_shape_kept():
    rng = np.random.default_rng(1)
    irf = measured_irf(rng.poisson(gaussian_histogram(1e5, 20.0)), WIDTH_S)
    wanted = gaussian_histogram(1.0, 0.0)
    assert irf.shares.shape == (1, 800)
    assert np.abs(irf.shares[0] - wanted).sum() < 0.03
    assert np.count_nonzero(irf.shares[0]) < 80


def test_a_response_across_the_end_of_the_range_stays_whole():
    histogram = np.roll(gaussian_histogram(1e6, 5.0), 800 - 312)
    shares = measured_irf(histogram, WIDTH_S).shares[0]
    assert shares[:25].sum() + shares[-25:].sum() == pytest.approx(1.0, abs=0.02)


def test_full_width_at_half_maximum_of_a_gaussian():
    shares = measured_irf(gaussian_histogram(1e7, 0.0), WIDTH_S).shares[0]
    assert fwhm_s(shares, WIDTH_S) == pytest.approx(2.3548 * 0.1e-9, rel=0.01)


def test_rows_follow_the_channels_and_the_period():
    irf = measured_irf(np.stack([gaussian_histogram(1e5, 0.0), gaussian_histogram(1e5, 0.0, 6e-9)]), WIDTH_S)
    cut = shares_on_period(irf, 2, 8e-9)
    assert cut.shape == (2, 500)
    np.testing.assert_allclose(cut.sum(axis=1), 1.0)
    assert shares_on_period(measured_irf(gaussian_histogram(1e5, 0.0), WIDTH_S), 3, 1e-6).shape == (3, 800)
    with pytest.raises(ValueError, match="the IRF has 2 channels, the decay has 3"):
        shares_on_period(irf, 3, 1e-6)
    with pytest.raises(ValueError, match="beyond the pulse period"):
        shares_on_period(irf, 2, 2e-9)


@pytest.mark.parametrize(
    ("histogram", "words"),
    [
        (np.ones(4), "at least 8 bins"),
        (np.full(100, 50.0), "does not stand out"),
        (np.array([1.0, math.nan] * 10), "finite"),
        (-np.ones(100), "not negative"),
    ],
)
def test_what_is_no_response_is_refused(histogram, words):
    with pytest.raises(ValueError, match=words):
        measured_irf(histogram, WIDTH_S)


def test_widths_that_are_none_are_refused():
    with pytest.raises(ValueError, match="not a width"):
        GaussianIrf(0.0)
    with pytest.raises(ValueError, match="not a width"):
        MeasuredIrf(np.array([[1.0]]), -1.0)
    with pytest.raises(ValueError, match="sum to one"):
        MeasuredIrf(np.array([[0.5]]), 1.0)
