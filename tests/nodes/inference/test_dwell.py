"""Dwell times from known distributions: bias and coverage of mean and exponent, and which model is favoured."""

import numpy as np
import pytest

from photonstream.nodes.inference.dwell import (
    EXPONENTIAL,
    FEWEST_DWELLS,
    NEITHER,
    POWER_LAW,
    correct_means,
    fit_dwells,
    without_missed,
)

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


def seen(rng, means_s, dead_s, visits):
    """Dwells as they are seen where visits of less than ``dead_s`` go unnoticed: those beside them are joined."""
    times_s = rng.exponential(np.tile(means_s, visits))
    kinds = np.tile([0, 1], visits)[times_s > dead_s]
    begins = np.append(0.0, np.cumsum(times_s))[:-1][times_s > dead_s]
    first = np.flatnonzero(np.diff(kinds, prepend=-1))
    lasts_s = np.diff(begins[first])
    return [lasts_s[kinds[first[:-1]] == kind] for kind in (0, 1)]


@pytest.mark.parametrize("means_s", [(0.004, 0.002), (0.05, 0.002), (0.004, 0.003)])
def test_missed_visits_are_restored(means_s):
    pulls = []
    for seed in range(40):
        dwells_s = seen(np.random.default_rng(seed), means_s, BIN_S, 1500)
        fits = [fit(each) for each in dwells_s]
        for own, truth_s in enumerate(means_s):
            found = correct_means(fits[own], fits[1 - own], BIN_S)["corrected_s"]
            pulls.append(
                ((found["value"] - truth_s) / found["stderr"], fits[own]["tau_s"]["value"] / truth_s)
            )
    pull, ratio = np.array(pulls).reshape(40, 2, 2).transpose(2, 1, 0)
    # As they are seen at least one of the means is too long by a fifth or more.
    assert ratio.mean(axis=1).max() > 1.2
    assert np.all(np.abs(pull.mean(axis=1)) < 0.6)
    assert np.all(np.abs(pull.std(axis=1) - 1.0) < 0.3)


def test_where_hardly_a_visit_is_long_enough_nothing_is_restored():
    assert without_missed(0.05, 0.02, 0.0) == pytest.approx((0.05, 0.02))
    assert without_missed(0.0011, 0.0011, BIN_S) is None
    few, many = fit([0.01] * 5), fit(exponential(np.random.default_rng(3), 200))
    found = correct_means(many, few, BIN_S)
    assert found["corrected_s"] is None
    assert "times between: too few dwells" in found["corrected_reason"]
    law = fit(power_law(np.random.default_rng(3), 200))
    assert "power law" in correct_means(many, law, BIN_S)["corrected_reason"]
