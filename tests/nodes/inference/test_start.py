"""Where a fit starts: edges and lifetimes read off clean and noisy histograms."""

import numpy as np
import pytest

from photonstream.nodes.inference.start import guess, rising_edge


@pytest.mark.parametrize("at", [0, 1, 57, 250, 499])
@pytest.mark.parametrize("lifetime_bins", [3.0, 30.0, 110.0])
def test_the_edge_is_found_anywhere_on_the_circle(at, lifetime_bins):
    decay = np.exp(-np.arange(500) / lifetime_bins)
    row = np.roll(np.random.default_rng(at).poisson(2e4 * decay / decay.sum() + 1.0), at).astype(float)
    found, width = rising_edge(row)
    assert min((found - at) % 500, (at - found) % 500) <= 2 * width


def test_a_guess_is_near_the_truth():
    decay = np.exp(-np.arange(1000) / 100.0) / 100.0
    row = np.roll(np.random.default_rng(1).poisson(50_000 * decay + 5.0), 120).astype(float)
    found = guess(row, 0.1e-9)
    assert found.t0_s == pytest.approx(12e-9, abs=0.3e-9)
    assert found.tau_s == pytest.approx(10e-9, rel=0.3)
    assert found.background == pytest.approx(5_000, rel=0.3)
    assert found.photons + found.background == pytest.approx(row.sum())


def test_an_almost_empty_histogram_has_a_guess():
    for row in (np.zeros(100), np.eye(1, 100, 40)[0], np.ones(1)):
        found = guess(row, 1e-9)
        assert np.isfinite([found.t0_s, found.edge_s, found.tau_s, found.photons, found.background]).all()
