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
    both = np.stack([gaussian_histogram(1e5, 0.0), gaussian_histogram(1e5, 0.0, 6e-9)])
    irf = measured_irf(both, WIDTH_S, [4, 2])
    cut, width_s = shares_on_period(irf, [2, 4], 8e-9)
    assert cut.shape[0] == 2
    assert cut.shape[1] <= 500
    assert width_s == WIDTH_S
    np.testing.assert_allclose(cut.sum(axis=1), 1.0)
    assert (cut @ np.arange(cut.shape[1]) * WIDTH_S).round(9).tolist() == [6e-9, 5e-9]
    with pytest.raises(ValueError, match="the IRF has channels 4, 2, not 0, 3"):
        shares_on_period(irf, [0, 2, 3], 1e-6)
    with pytest.raises(ValueError, match="beyond the pulse period"):
        shares_on_period(irf, [2], 2e-9)
    with pytest.raises(ValueError, match="cannot be channels"):
        MeasuredIrf(irf.shares, WIDTH_S, (1,))


@pytest.mark.parametrize("period_s", [12e-9, 14e-9, 16e-9, 20e-9])
def test_a_response_across_the_end_of_its_range_is_whole_in_any_period(period_s):
    """Measured at another repetition rate: the range is 16 ns, and the response stands at its end."""
    irf = measured_irf(np.roll(gaussian_histogram(1e6, 5.0), 800 - 312), WIDTH_S)
    [row], width_s = shares_on_period(irf, [0], period_s)
    assert row.sum() == pytest.approx(1.0)
    assert fwhm_s(row, width_s) == pytest.approx(2.3548 * 0.1e-9, rel=0.02)
    assert np.flatnonzero(row).max() * width_s < 1.5e-9


def test_one_row_serves_every_channel():
    text = measured_irf(gaussian_histogram(1e5, 0.0), WIDTH_S)
    recorded = measured_irf(gaussian_histogram(1e5, 0.0), WIDTH_S, [1])
    for irf in (text, recorded):
        shares, _ = shares_on_period(irf, [0, 1, 5], 1e-6)
        np.testing.assert_array_equal(shares, np.tile(shares[:1], (3, 1)))
        assert shares.sum() == pytest.approx(3.0)
    assert [irf.borrowed(0) for irf in (text, recorded)] == [False, True]
    assert not recorded.borrowed(1)


@pytest.mark.parametrize(
    ("row", "bins"), [([1000], 1.0), ([700, 300], 1.375), ([100, 500, 400], 2.0), ([450, 550], 1.889)]
)
def test_a_response_in_the_first_bins_has_its_width(row, bins):
    irf = measured_irf(np.array([*row, *[0] * (8 - len(row))], float), 1e-9)
    [shares], width_s = shares_on_period(irf, [0], 8e-9)
    assert fwhm_s(shares, width_s) == pytest.approx(bins * 1e-9, rel=1e-3)


def test_recorded_channels_without_a_response_are_left_out():
    flat, stray = np.full(800, 50.0), np.eye(1, 800, 3)[0]
    irf = measured_irf(np.stack([gaussian_histogram(1e5, 2.0), flat, stray]), WIDTH_S, [0, 1, 5])
    assert irf.numbers == (0,)
    assert irf.notes == (
        "the IRF of channel 1 does not stand out of its background",
        "channel 5 of the IRF left out: 1 photon",
    )
    assert irf.borrowed(1)
    with pytest.raises(ValueError, match=r"no instrument response: .*channel 1.*channel 5"):
        measured_irf(np.stack([flat, stray]), WIDTH_S, [1, 5])


@pytest.mark.parametrize("width_s", [25e-12, 4e-12, 1e-12])
@pytest.mark.parametrize("photons", [2_000, 50_000])
def test_the_width_does_not_depend_on_how_fine_the_bins_are(width_s, photons):
    delays_s = np.random.default_rng(3).normal(5e-9, 0.1e-9, photons)
    histogram = np.bincount((delays_s / width_s).astype(int), minlength=int(210e-9 / width_s))
    irf = measured_irf(histogram, width_s)
    shares, joined_s = shares_on_period(irf, [0], 210e-9)
    centres_s = (np.arange(shares.shape[1]) + 0.5) * joined_s
    mean_s = float((shares[0] * centres_s).sum())
    spread_s = math.sqrt(float((shares[0] * (centres_s - mean_s) ** 2).sum()))
    assert mean_s == pytest.approx(5e-9, abs=5e-12)
    # Sparse bins must not make the far ends of the response look empty.
    assert spread_s == pytest.approx(0.1e-9, rel=0.04)
    assert fwhm_s(shares[0], joined_s) == pytest.approx(2.3548 * 0.1e-9, rel=0.1)
    assert joined_s <= max(width_s, 0.2355e-9 / 20)


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
