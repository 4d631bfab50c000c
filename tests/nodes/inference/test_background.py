"""What follows the laser, and whether a rate was steady, against light of known kind."""

import numpy as np
import pytest

from photonstream.nodes.inference.background import pulsed_share, steadiness

BIN_S, BINS = 64e-12, 3125


def light(flat, pulsed, spread_bins, centre=400, seed=1):
    """Counts per bin: ``flat`` anywhere and ``pulsed`` photons in an exponential that begins at ``centre``."""
    rng = np.random.default_rng(seed)
    places = np.concatenate([rng.uniform(0, BINS, flat), centre + rng.exponential(spread_bins, pulsed)])
    return np.bincount((places % BINS).astype(int), minlength=BINS)


@pytest.mark.parametrize("spread", [5, 60], ids=["scatter", "fluorescence"])
def test_the_pulsed_share_and_its_error(spread):
    pulsed = np.random.default_rng(9).binomial(25_000, 0.2, 60).tolist()
    found = [pulsed_share(light(25_000 - n, n, spread, seed=k), BIN_S) for k, n in enumerate(pulsed)]
    pulls = [(f.share - 0.2) / f.stderr for f in found]
    assert abs(np.mean(pulls)) < 0.6
    assert 0.75 < np.std(pulls) < 1.25
    assert np.median([f.peak_s for f in found]) == pytest.approx(
        (400 + spread / 2) * BIN_S, abs=spread * BIN_S
    )


def test_a_residue_that_wraps_round_the_period():
    found = pulsed_share(light(20_000, 5_000, 20, centre=BINS - 10), BIN_S)
    assert found.share == pytest.approx(0.2, abs=4 * found.stderr)


def test_flat_light_has_a_limit_and_no_residue():
    found = [
        pulsed_share(light(photons, 0, 1, seed=k), BIN_S) for k in range(150) for photons in (300, 30_000)
    ]
    assert all(f.share is None and f.reason and 0 < f.upper95 < 1 for f in found)
    assert max(f.upper95 for f in found[1::2]) < 0.05


def test_no_photons_are_no_share():
    assert pulsed_share(np.zeros(BINS), BIN_S).reason == "no photons after laser pulses"


def test_a_steady_light_is_seldom_called_unsteady():
    rng = np.random.default_rng(4)
    found = [steadiness(rng.poisson(50, 60), 1.0) for _ in range(400)]
    assert np.mean([f.dispersion for f in found]) == pytest.approx(1.0, abs=0.04)
    assert np.mean([f.p < 0.05 for f in found]) == pytest.approx(0.05, abs=0.035)
    assert sum(not f.steady for f in found) <= 4


def test_a_drift_is_found():
    rate = np.linspace(30, 70, 60)
    assert steadiness(np.random.default_rng(5).poisson(rate), 1.0).steady is False


def test_few_counts_are_joined_and_too_few_are_not_judged():
    joined = steadiness(np.random.default_rng(6).poisson(0.5, 200), 1.0)
    assert joined.bin_s > 5
    assert joined.steady
    assert steadiness(np.array([100, 90, 120]), 1.0).steady is None
    assert steadiness(np.zeros(100), 1.0).steady is None
