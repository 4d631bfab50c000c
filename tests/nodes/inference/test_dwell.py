"""Dwell times from known distributions: bias and coverage of mean and exponent, and which model is favoured."""

import numpy as np
import pytest

from photonstream.nodes.inference.dwell import (
    CUT_OFF,
    EXPONENTIAL,
    FEWEST_DWELLS,
    NEITHER,
    NONE,
    POWER_LAW,
    correct_means,
    expected_dwells,
    fit_dwells,
    without_missed,
)
from photonstream.nodes.inference.dwell_cut_off import fit_cut_off, with_intervals

BIN_S = 1e-3
EDGES_S = np.unique(np.concatenate([np.arange(2, 17), np.ceil(16 * 2 ** (np.arange(120) / 4))]) - 0.5) * BIN_S
T0_S = EDGES_S[0]


def exponential(rng, n, tau_s=0.05):
    return T0_S + rng.exponential(tau_s, n)


def power_law(rng, n, alpha=1.5):
    return T0_S * (1.0 - rng.random(n)) ** (-1.0 / (alpha - 1.0))


def cut_off(rng, n, alpha=1.5, tau_s=0.3):
    """A power law of which a dwell of t is kept with exp(-t/tau)."""
    found = np.empty(0)
    while len(found) < n:
        times_s = power_law(rng, 4 * n, alpha)
        found = np.append(found, times_s[rng.random(4 * n) < np.exp(-(times_s - T0_S) / tau_s)])
    return found[:n]


def fit(times_s, cut_s=(), **how):
    return fit_dwells(EDGES_S, np.histogram(times_s, EDGES_S)[0], np.array(cut_s, float), **how)


def pulls(draw, key, truth, n, longest_s):
    """(estimate - truth)/stderr over many recordings; dwells beyond ``longest_s`` are cut there."""
    found = []
    for seed in range(400):
        times_s = draw(np.random.default_rng(seed), n)
        cut = times_s > longest_s
        # What takes long is not looked at here.
        estimate = fit(times_s[~cut], np.full(cut.sum(), longest_s), quick=True)[key]
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
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert fit(exponential(rng, 100))["favoured"] == EXPONENTIAL
        assert fit(power_law(rng, 100))["favoured"] == POWER_LAW
        assert fit(cut_off(rng, 400))["favoured"] == CUT_OFF


@pytest.mark.parametrize("longest_s", [np.inf, 0.1])
def test_a_power_law_with_a_cut_off_has_no_bias_and_right_errors(longest_s):
    pulls = []
    for seed in range(150):
        times_s = cut_off(np.random.default_rng(seed), 400)
        cut = times_s > longest_s
        counts = np.histogram(times_s[~cut], EDGES_S)[0]
        found, _ = fit_cut_off(EDGES_S, counts, np.full(cut.sum(), longest_s), 0.05, 1.5)
        alpha, tau = found["alpha"], found["tau_s"]
        if tau["stderr"] is not None:
            of_log = np.log(tau["value"] / 0.3) / (tau["stderr"] / tau["value"])
            pulls.append(((alpha["value"] - 1.5) / alpha["stderr"], of_log))
    assert len(pulls) > (147 if longest_s == np.inf else 100)
    pull = np.array(pulls)
    # The likelihood of tau is lopsided where the long dwells that tell it are cut.
    assert np.abs(pull.mean(axis=0)).max() < (0.3 if longest_s == np.inf else 0.5)
    assert pull.std(axis=0) == pytest.approx(1.0, abs=0.2)


def test_intervals_of_the_law_that_ends_hold_the_truth_also_of_few_visits():
    """t^-1.8 to 0.5 s: 150 visits tell little of the end, and its error is lopsided."""
    inside = {"ci68": [], "ci95": []}
    for seed in range(40):
        times_s = cut_off(np.random.default_rng(1000 + seed), 150, alpha=1.8, tau_s=0.5)
        counts = np.histogram(times_s, EDGES_S)[0]
        law, _ = fit_cut_off(EDGES_S, counts, np.empty(0), 0.1, 1.8)
        found = with_intervals(law, EDGES_S, counts, np.empty(0))
        for key, held in inside.items():
            for name, true in (("alpha", 1.8), ("tau_s", 0.5)):
                low, high = found[name][key]
                held.append((low is None or low <= true) and (high is None or true <= high))
        open_ended = found["tau_s"]["ci68"][1] is None
        assert ("above" in found["tau_s"].get("reason", "")) == open_ended
        assert (found["tau_s"]["stderr"] is None) == open_ended
    # Of 80 that belong together in pairs: three standard deviations of 40.
    assert 0.46 < np.mean(inside["ci68"]) < 0.9
    assert np.mean(inside["ci95"]) > 0.84


def test_a_law_that_begins_above_the_shortest_dwell_is_found_from_there_on():
    """t^-1.5 from 20 ms to 10 s, as the simulator blinks, and a tenth as many wrong visits of a millisecond."""
    ends = np.array([0.02, 10.0]) ** -0.5
    told = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        true = (ends[0] - (ends[0] - ends[1]) * rng.random(300)) ** -2.0
        found = fit(np.append(true, T0_S + rng.exponential(0.001, 30)))
        assert found["shortest_s"] == pytest.approx(0.0195, rel=0.3)
        assert (found["dwells"], found["cut"]) == (330, 0)
        assert found["beyond"] == pytest.approx(300, abs=60)
        assert found["apart"] <= 1.25
        assert found["cut_off"]["alpha"]["value"] == pytest.approx(1.5, abs=0.3)
        assert found["alpha"]["value"] == pytest.approx(1.55, abs=0.15)
        told.append(found["favoured"])
    assert set(told) <= {CUT_OFF, POWER_LAW}


def test_on_the_way_the_two_plain_laws_are_those_of_all_dwells():
    times_s = exponential(np.random.default_rng(6), 300)
    quick, whole = fit(times_s, quick=True), fit(times_s)
    assert quick["cut_off"] is None
    assert {key: quick[key] for key in ("tau_s", "alpha", "favoured", "shortest_s")} == {
        key: whole[key] for key in ("tau_s", "alpha", "favoured", "shortest_s")
    }


def test_dwells_that_no_model_describes_are_told_so():
    rng = np.random.default_rng(1)
    found = fit(np.concatenate([rng.normal(0.05, 0.004, 300), rng.normal(1.0, 0.05, 300)]))
    assert found["favoured"] == NONE
    assert found["apart"] > 1.25
    assert fit(exponential(rng, 2000))["shortest_s"] == T0_S


def test_a_power_law_that_ends_sharply_is_none_without_an_end():
    """As the simulator draws them: t^-1.5 up to 1 s."""
    ends = np.array([T0_S, 1.0]) ** -0.5
    for seed in range(20):
        times_s = (ends[0] - (ends[0] - ends[1]) * np.random.default_rng(seed).random(400)) ** -2.0
        found = fit(times_s)
        assert found["favoured"] == CUT_OFF
        assert found["shortest_s"] == T0_S
        assert found["cut_off"]["alpha"]["value"] == pytest.approx(1.5, abs=0.25)


def test_expected_dwells_are_those_that_were_drawn():
    times_s = cut_off(np.random.default_rng(7), 20_000)
    counts = np.histogram(times_s, EDGES_S)[0]
    shown = int(np.flatnonzero(counts)[-1]) + 1
    found = fit(times_s)
    expected = expected_dwells(EDGES_S[: shown + 1], counts[:shown], found)[2]
    chi2 = ((counts[:shown] - expected) ** 2 / np.maximum(expected, 1.0)).sum()
    assert chi2 < shown + 5.0 * np.sqrt(2.0 * shown)
    assert expected.sum() == pytest.approx(20_000, rel=1e-3)
    assert np.isnan(
        expected_dwells(EDGES_S, counts, fit(exponential(np.random.default_rng(7), 200)))[2]
    ).all()


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
