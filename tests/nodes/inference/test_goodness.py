"""Tests of fit on histograms whose agreement or misfit is known."""

import numpy as np
import pytest
from scipy import stats

from photonstream.nodes.inference.goodness import deviance_moments, goodness, runs_z


@pytest.mark.parametrize("mean", [1e-6, 0.02, 0.7, 3.0, 25.0, 99.0, 101.0, 2000.0])
def test_deviance_moments_equal_the_poisson_sums(mean):
    n = np.arange(0, int(mean + 14 * np.sqrt(mean) + 40))
    weight = stats.poisson.pmf(n, mean)
    term = 2.0 * (mean - n + np.where(n > 0, n * np.log(np.maximum(n, 1) / mean), 0.0))
    expectation, variance = deviance_moments(np.array([mean]))
    wanted = (weight * term).sum()
    assert expectation == pytest.approx(wanted, rel=1e-4)
    assert variance == pytest.approx((weight * term**2).sum() - wanted**2, rel=2e-3)


def test_a_true_model_is_not_suspected():
    rng = np.random.default_rng(5)
    means = 40.0 * np.exp(-np.arange(2000) / 400.0)[None, :] + 0.3
    found = [goodness(rng.poisson(means).astype(np.float64), means, 0) for _ in range(200)]
    for name in ("z", "runs_z"):
        values = np.array([tests[name] for tests in found])
        assert abs(values.mean()) < 0.25
        assert 0.85 < values.std() < 1.15
    assert max(tests["local_z"] for tests in found) < 5.0
    assert np.mean([tests["reduced_chi2"] for tests in found]) == pytest.approx(1.0, abs=0.02)
    assert np.mean([tests["p"] < 0.05 for tests in found]) < 0.1


def test_a_short_misfit_shows_in_its_stretch_only():
    means = np.full((1, 4000), 1000.0)
    wrong = means.copy()
    wrong[0, 500:508] *= 1.15
    tests = goodness(np.random.default_rng(7).poisson(wrong).astype(np.float64), means, 0)
    assert tests["local_z"] > 8.0
    assert tests["local_z"] > 2.0 * tests["z"]


def test_moved_photons_are_found_and_measured():
    bins = np.arange(1000)
    means = np.full((1, 1000), 500.0)
    # Half of the bins 10 % too high, half too low: a twentieth of all photons is in the wrong half.
    wrong = means * np.where(bins // 50 % 2 == 0, 1.1, 0.9)
    counts = np.random.default_rng(6).poisson(wrong).astype(np.float64)
    tests = goodness(counts, means, 0)
    assert tests["misplaced_share"] == pytest.approx(0.05, abs=0.002)
    assert tests["z"] > 50.0
    assert tests["p"] < 1e-100
    assert tests["runs_z"] < -5.0


def test_runs_of_alternating_and_sorted_signs():
    alternating = np.arange(100) % 2 == 0
    assert runs_z([alternating]) > 9.0
    assert runs_z([np.sort(alternating)]) < -9.0
    assert runs_z([np.ones(50, dtype=bool)]) is None
