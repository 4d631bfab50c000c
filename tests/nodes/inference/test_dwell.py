"""Dwell times from known distributions: bias and coverage of mean and exponent, and which model is favoured."""

import numpy as np
import pytest

from photonstream.nodes.inference.dwell import EXPONENTIAL, FEWEST_DWELLS, NEITHER, POWER_LAW, fit_dwells

BIN_S = 1e-3
EDGES_S = np.unique(np.concatenate([np.arange(2, 17), np.ceil(16 * 2 ** (np.arange(120) / 4))]) - 0.5) * BIN_S
T0_S = EDGES_S[0]


def exponential(rng, n, tau_s=0.05):
    return T0_S + rng.exponential(tau_s, n)


def power_law(rng, n, alpha=1.5):
    return T0_S * (1.0 - rng.random(n)) ** (-1.0 / (alpha - 1.0))


def fit(times_s, cut_s=()):
    return fit_dwells(EDGES_S, np.histogram(times_s, EDGES_S)[0], np.array(cut_s, float))


def pulls(draw, key, truth, n, longest_s):
    """(estimate - truth)/stderr over many recordings; dwells beyond ``longest_s`` are cut there."""
    found = []
    for seed in range(400):
        times_s = draw(np.random.default_rng(seed), n)
        cut = times_s > longest_s
        estimate = fit(times_s[~cut], np.full(cut.sum(), longest_s))[key]
        found.append((estimate["value"] - truth) / estimate["stderr"])
    return np.array(found)


@pytest.mark.parametrize(
    ("draw", "key", "truth", "longest_s"),
    [
        (exponential, "tau_s", 0.05, np.inf),
        (exponential, "tau_s", 0.05, 0.04),
        (power_law, "alpha", 1.5, 1e3),
        (power_law, "alpha", 1.5, 0.1),
    ],
)
def test_no_bias_and_right_errors_also_where_dwells_are_cut(draw, key, truth, longest_s):
    pull = pulls(draw, key, truth, 150, longest_s)
    # The error grows with the estimate, so that pulls lean down a little: by half a standard deviation over sqrt(n).
    assert abs(pull.mean()) < 0.2
    assert pull.std() == pytest.approx(1.0, abs=0.12)
    assert np.mean(np.abs(pull) < 1.0) == pytest.approx(0.68, abs=0.08)
    assert np.mean(np.abs(pull) < 1.96) == pytest.approx(0.95, abs=0.04)


def test_the_right_model_is_favoured():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        assert fit(exponential(rng, 100))["favoured"] == EXPONENTIAL
        assert fit(power_law(rng, 100))["favoured"] == POWER_LAW


def test_models_that_do_as_well_are_left_undecided():
    # Within a factor of two nothing bends.
    assert fit(T0_S * (1.0 + np.random.default_rng(1).random(25)))["favoured"] == NEITHER


def test_with_few_dwells_nothing_is_said():
    found = fit(exponential(np.random.default_rng(2), FEWEST_DWELLS - 1))
    assert (found["tau_s"], found["alpha"], found["favoured"]) == (None, None, None)
    assert found["reason"] == "too few dwells: 19 complete ones, 20 are needed"
    assert (found["dwells"], found["cut"]) == (19, 0)
