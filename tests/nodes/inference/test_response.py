"""Figures of an instrument response against the truth that its photons were drawn from."""

import numpy as np
import pytest

from photonstream.nodes.inference.response import TAIL_FWHM, measure

BIN_S, BINS = 16e-12, 3125
PERIOD_S = BINS * BIN_S
FWHM_S = 0.35e-9
SIGMA_S = FWHM_S / 2.35482


def histogram(delays_s, flat=0, seed=5):
    """Counts per bin over one period of photons at these delays and ``flat`` photons anywhere."""
    anywhere = np.random.default_rng(seed).uniform(0, PERIOD_S, flat)
    delays_s = np.concatenate([delays_s, anywhere]) % PERIOD_S
    return np.bincount((delays_s / BIN_S).astype(int), minlength=BINS)[:BINS]


def gaussian(photons, centre_s=5e-9, seed=1):
    return np.random.default_rng(seed).normal(centre_s, SIGMA_S, photons)


@pytest.mark.parametrize("centre_s", [5e-9, 0.05e-9, PERIOD_S - 0.02e-9], ids=["middle", "start", "end"])
def test_a_gaussian_wherever_it_lies_in_the_period(centre_s):
    found = measure(histogram(gaussian(200_000, centre_s), 20_000), BIN_S)
    assert found.peak_s == pytest.approx(centre_s, abs=4 * found.peak_stderr_s)
    assert found.fwhm_s == pytest.approx(FWHM_S, rel=0.02)
    assert found.tail_share == pytest.approx(0.00135, abs=0.001)
    assert found.skew == pytest.approx(0.0, abs=0.05)
    assert found.signal == pytest.approx(200_000, abs=1500)
    assert found.background * BINS == pytest.approx(20_000, abs=5 * found.background_stderr * BINS)
    assert found.further == ()
    assert found.start == pytest.approx(-FWHM_S / 2, abs=3 * BIN_S)


def test_errors_are_the_scatter_of_repeated_measurements():
    flat = np.random.default_rng(9).poisson(2_000, 40)
    found = [
        measure(histogram(gaussian(20_000, seed=k), n, seed=100 + k), BIN_S)
        for k, n in enumerate(flat.tolist())
    ]
    for value, error in (("fwhm_s", "fwhm_stderr_s"), ("tail_share", "tail_stderr"), ("skew", "skew_stderr")):
        scatter = np.std([getattr(r, value) for r in found], ddof=1)
        claimed = np.mean([getattr(r, error) for r in found])
        # 40 repeats know their scatter to 11 %; a bootstrap of noisy counts claims a little too much.
        assert 0.7 < claimed / scatter < 1.8, value
    mean_fwhm_s = np.mean([r.fwhm_s for r in found])
    assert mean_fwhm_s == pytest.approx(FWHM_S, rel=0.02)
    pulls = [(r.background * BINS - 2_000) / (r.background_stderr * BINS) for r in found]
    assert abs(np.mean(pulls)) < 0.6
    assert 0.7 < np.std(pulls) < 1.4


def test_a_tail_is_found_with_its_share_and_makes_the_response_skew():
    rng = np.random.default_rng(3)
    delays_s = gaussian(300_000)
    tailed = rng.random(delays_s.size) < 0.2
    delays_s[tailed] += rng.exponential(0.6e-9, np.count_nonzero(tailed))
    found = measure(histogram(delays_s, 5_000), BIN_S)
    limit_s = found.peak_s + TAIL_FWHM * found.fwhm_s
    assert found.tail_share == pytest.approx(np.mean(delays_s > limit_s), abs=0.004)
    assert found.tail_share > 0.05
    truth = np.mean((delays_s - delays_s.mean()) ** 3) / np.std(delays_s) ** 3
    assert found.skew == pytest.approx(truth, rel=0.1)
    assert found.further == ()


@pytest.mark.parametrize("apart_s", [1.2e-9, 12e-9, -8e-9])
def test_two_reflections_are_named_and_are_no_background(apart_s):
    far_s = 26e-9
    delays_s = np.concatenate(
        [gaussian(100_000), gaussian(10_000, 5e-9 + apart_s, 2), gaussian(3_000, far_s, 3)]
    )
    found = measure(histogram(delays_s, 3_000), BIN_S)
    assert [p.delay_s for p in found.further] == pytest.approx([apart_s, far_s - 5e-9], abs=0.1e-9)
    assert [p.height for p in found.further] == pytest.approx([0.1, 0.03], rel=0.15)
    assert found.fwhm_s == pytest.approx(FWHM_S, rel=0.04)
    assert found.background * BINS == pytest.approx(3_000, abs=5 * found.background_stderr * BINS)


def test_a_reflection_half_a_period_away_is_one_peak():
    delays_s = np.concatenate([gaussian(100_000), gaussian(3_000, 5e-9 + PERIOD_S / 2, 3)])
    assert len(measure(histogram(delays_s, 3_000), BIN_S).further) == 1


def test_nothing_but_a_few_photons_is_no_response():
    assert measure(np.zeros(BINS), BIN_S) is None
    assert measure(np.full(BINS, 100), BIN_S) is None


def test_the_same_histogram_gives_the_same_figures():
    counts = histogram(gaussian(5_000), 500)
    assert measure(counts, BIN_S) == measure(counts.copy(), BIN_S)
