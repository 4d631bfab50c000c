"""States that are learned: of counts drawn from known ones, how many, how they emit, which one is neutral."""

import numpy as np
import pytest

from photonstream.nodes.inference.contamination import expected_shares
from photonstream.nodes.inference.gates import Gates
from photonstream.nodes.inference.hidden_markov import (
    FEWEST_BINS,
    MOST_STATES,
    StateModel,
    expected_accuracy,
    expected_wrong,
    label_bins,
    learn_states,
    model_of,
    same_shares,
    sample_counts,
    stationary,
)
from photonstream.nodes.inference.sample import Block

CLASSES, PERIOD_NS = 1000, 210.0
FINE_S = 0.25e-3


def drawn(path, emitters, seed=1, background=100.0, brightness=1.0):
    """A sample of fine bins: at each the emitter ``path[b]`` is (photons a second, lifetime in ns); and its decays."""
    rng = np.random.default_rng(seed)
    rates, lifetimes = np.array(emitters, float).T
    signal = rng.poisson(rates[path] * FINE_S * brightness)
    dark = rng.poisson(background * FINE_S, len(path))
    bin_of = np.repeat(np.arange(len(path)), signal)
    delay = rng.exponential(lifetimes[path][bin_of]) % PERIOD_NS
    bin_of = np.concatenate([bin_of, np.repeat(np.arange(len(path)), dark)])
    delay = np.concatenate([delay, rng.uniform(0, PERIOD_NS, dark.sum())])
    channel = rng.integers(0, 2, len(bin_of)).astype(np.uint8)
    # The cable of channel 1 is longer.
    classes = ((delay / PERIOD_NS * CLASSES).astype(int) + np.where(channel, 40, 10)) % CLASSES
    order = np.argsort(bin_of, kind="stable")
    channel, classes = channel[order], classes[order].astype(np.uint16)
    decays = np.stack([np.bincount(classes[channel == c], minlength=CLASSES) for c in (0, 1)])
    return Block(signal + dark, channel, classes), decays


def switching(bins, means_s, seed=2):
    """A path through the states in turn, each with exponential dwell times of that mean."""
    rng, path, state = np.random.default_rng(seed), [], 0
    while len(path) < bins:
        path += [state] * max(1, round(rng.exponential(means_s[state]) / FINE_S))
        state = (state + 1) % len(means_s)
    return np.array(path[:bins])


def accuracy(model, block, path):
    """Balanced accuracy of "neutral" over the bins of the model."""
    own, _, _ = label_bins(model.filter(), sample_counts(block, model.gates, model.fine), last=True)
    neutral = np.array(model.groups)[own] == 0
    truth = path[: len(neutral) * model.fine].reshape(-1, model.fine).mean(axis=1) < 0.5
    return (neutral[truth].mean() + (~neutral[~truth]).mean()) / 2


NEUTRAL = (50e3, 47.0)


@pytest.mark.parametrize(
    ("other", "least"),
    # A bin in which the emitter turns dim holds neutral photons only, however short that was: it counts as neutral.
    [((45e3, 20.0), 0.997), ((20e3, 10.0), 0.995), ((2e3, 3.0), 0.993), ((50e3, 20.0), 0.997)],
    ids=["trion", "dark trion", "dim", "no change of brightness"],
)
def test_two_states_are_found_and_told_apart(other, least):
    path = switching(60_000, (0.4, 0.1))
    block, decays = drawn(path, (NEUTRAL, other))
    model = learn_states(block, decays)
    assert set(model.groups) == {0, 1}
    assert model.resolved
    assert accuracy(model, block, path) > least
    assert model.accuracy == pytest.approx(accuracy(model, block, path), abs=0.01)
    [rate] = [model.rates[k].sum() for k in range(2) if model.groups[k] == 0]
    assert rate == pytest.approx((NEUTRAL[0] + 100.0) * FINE_S * model.fine, rel=0.02)


def test_a_dim_state_with_a_larger_late_share_is_not_the_neutral_one():
    """Hot-carrier (B-type) blinking: dim, and its photons are late ones."""
    path = switching(60_000, (0.4, 0.1))
    model = learn_states(*drawn(path, ((50e3, 40.0), (15e3, 60.0))))
    assert set(model.groups) == {0, 1}
    assert model.rates[list(model.groups).index(0)].sum() > model.rates[list(model.groups).index(1)].sum()


@pytest.mark.parametrize("seed", range(5))
def test_an_emitter_that_does_not_blink_has_one_state(seed):
    model = learn_states(*drawn(np.zeros(40_000, int), (NEUTRAL,), seed))
    assert model.groups == (0,)
    assert model.accuracy == 1.0
    assert model.resolved


@pytest.mark.parametrize("to", [0.95, 0.7, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_drift_and_bleaching_are_not_states(to, seed):
    brightness = np.linspace(1.0, to, 80_000)
    model = learn_states(*drawn(np.zeros(80_000, int), (NEUTRAL,), seed, brightness=brightness))
    assert set(model.groups) == {0}
    assert model.resolved


def test_an_emitter_that_fades_and_blinks_is_still_told_apart():
    path = switching(80_000, (0.4, 0.1))
    block, decays = drawn(path, (NEUTRAL, (45e3, 20.0)), brightness=np.linspace(1.0, 0.5, 80_000))
    model = learn_states(block, decays)
    assert set(model.groups) == {0, 1}
    assert accuracy(model, block, path) > 0.995


def test_states_that_are_nearly_the_same_are_not_resolved():
    path = switching(60_000, (0.4, 0.1))
    model = learn_states(*drawn(path, ((10e3, 47.0), (10e3, 40.0))))
    assert not model.resolved or set(model.groups) == {0}


def test_where_the_neutral_state_is_short_bins_are_shorter():
    block, decays = drawn(switching(60_000, (0.012, 0.012)), ((200e3, 47.0), (150e3, 15.0)))
    assert learn_states(block, decays).fine < 4


def test_without_delays_counts_alone_tell_states():
    path = switching(60_000, (0.4, 0.1))
    block, _ = drawn(path, (NEUTRAL, (10e3, 10.0)))
    model = learn_states(block, np.zeros((0, CLASSES), np.int64))
    assert model.gates is None
    assert accuracy(model, block, path) > 0.99


def test_there_is_nothing_to_learn_from_little():
    block, decays = drawn(np.zeros(4 * FEWEST_BINS - 1, int), (NEUTRAL,))
    assert learn_states(block, decays) is None
    block, decays = drawn(np.zeros(4 * FEWEST_BINS, int), (NEUTRAL,))
    assert learn_states(block, decays).groups == (0,)


def test_darkness_is_one_state():
    block, _ = drawn(np.zeros(4000, int), ((0.0, 1.0),), background=0.0)
    model = learn_states(block, np.zeros((2, CLASSES), np.int64))
    assert model.groups == (0,)


def test_states_of_equal_shares_are_one_and_those_of_others_are_not():
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    fast = np.array([0.3, 0.3, 0.3, 0.1])
    gated = np.stack([1e5 * shares, 1e4 * fast, 2e4 * shares, 3e4 * shares])
    none = np.zeros_like(gated)
    groups = same_shares(gated, none)
    assert groups[0] == groups[2] == groups[3] != groups[1]
    # With one gate there are no shares.
    assert len(set(same_shares(gated[:, :1], none[:, :1]))) == 4
    # Where background may be all of the difference, they are one.
    dim = np.stack([gated[0], 0.1 * gated[0] + 2e3])
    assert len(set(same_shares(dim, np.zeros((2, 4))))) == 2
    assert len(set(same_shares(dim, np.array([[2e3] * 4, [2e3] * 4])))) == 1


def test_equal_shares_are_taken_for_different_ones_as_rarely_as_said():
    rng, apart = np.random.default_rng(3), 0
    for _ in range(3000):
        gated = rng.poisson(np.array([[300, 500, 900, 1100], [150, 250, 450, 550]])).astype(float)
        apart += len(set(same_shares(gated, np.zeros((2, 4))))) == 2
    # Of 3 expected; 12 and more have a probability below 1e-4.
    assert apart < 12


def test_the_expected_accuracy_is_that_of_the_posteriors():
    certainty = np.array([[90.0, 10.0], [5.0, 45.0]])
    assert expected_accuracy(certainty, np.array([True, False])) == pytest.approx((90 / 95 + 45 / 55) / 2)
    assert expected_accuracy(certainty, np.array([True, True])) == 1.0


def test_the_bins_expected_wrong_are_those_on_the_other_side():
    # Three states, of which the first two are one: what is confused between these is not wrong.
    certainty = np.array([[80.0, 9.0, 1.0], [6.0, 60.0, 2.0], [0.5, 0.5, 4.0]])
    on = np.array([True, True, False])
    assert expected_wrong(certainty, on) == pytest.approx(4.0 / 163.0)
    assert expected_wrong(certainty, ~on) == pytest.approx(4.0 / 163.0)
    assert expected_wrong(np.zeros((3, 3)), on) == 0.0


@pytest.mark.parametrize(
    ("means_s", "emitters", "true"),
    [
        # So alike that bins are mistaken; and well apart, so that only the bins in which it changes are mixed.
        ((0.1, 0.05), ((12e3, 47.0), (11e3, 22.0)), 0.0085),
        ((0.1, 0.05), (NEUTRAL, (45e3, 20.0)), 0.0014),
        # A bin with a little of the bright one goes to it, and the other one's share in it with it.
        ((0.2, 0.1), ((10e3, 47.0), (500.0, 2.5)), 0.0036),
    ],
)
def test_the_expected_contamination_is_that_of_the_truth(means_s, emitters, true):
    path = switching(160_000, means_s, seed=1)
    block, decays = drawn(path, emitters)
    model = learn_states(block, decays)
    f = model.filter()
    own, _, _ = label_bins(f, sample_counts(block, model.gates, model.fine), last=True)
    group = 1 + np.array(model.groups)
    # What lies between the two, bins in which the emitter changes, may be a state of its own.
    assert {1, 2} <= set(group.tolist()) <= {1, 2, 3}
    found = group[own]
    foreign = path[: len(own) * model.fine].reshape(-1, model.fine).mean(axis=1)
    assert foreign[found == 1].mean() == pytest.approx(true, rel=0.1)
    on = np.zeros(8, bool)
    on[1] = True
    bins = np.bincount(found, minlength=8)
    visits = np.bincount(found[np.diff(found, prepend=0) != 0], minlength=8)
    shares, _ = expected_shares(model, f.certainty, bins, visits, on)
    assert np.flatnonzero(shares).tolist() == sorted(
        set(group.tolist()) - {1, *(1 + g for g in model.between)}
    )
    assert 0.85 < shares.sum() / foreign[found == 1].mean() < 1.15


def test_time_shares_are_those_after_a_long_time():
    np.testing.assert_allclose(stationary(np.array([[0.99, 0.01], [0.03, 0.97]])), [0.75, 0.25])
    np.testing.assert_allclose(stationary(np.array([[0.0, 1.0], [1.0, 0.0]])), [0.5, 0.5])


def test_a_model_travels_as_a_parameter():
    model = learn_states(*drawn(switching(8000, (0.4, 0.1)), (NEUTRAL, (20e3, 10.0))))
    again = model_of(model.as_dict())
    assert again.as_dict() == model.as_dict()
    counts = np.random.default_rng(1).poisson(10, (500, 4)).astype(np.int32)
    for one, other in zip(
        label_bins(model.filter(), counts, last=True),
        label_bins(again.filter(), counts, last=True),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rates": []},
        {"rates": [[1, 2, 3, 4]]},
        {"rates": [[1, 2, 3, 4], [1, 2, 3, 0]]},
        {"rates": "fast"},
        {"switch": [[1.0]]},
        {"switch": [[1.0, 0.0], [-1.0, 2.0]]},
        {"groups": [0, 2]},
        {"groups": [0] * (MOST_STATES + 1)},
        {"fine": 3},
        {"gates": {}},
        {"accuracy": "good"},
    ],
)
def test_a_model_that_cannot_be_is_refused(wrong):
    model = learn_states(*drawn(switching(8000, (0.4, 0.1)), (NEUTRAL, (20e3, 10.0))))
    with pytest.raises(ValueError, match="no model of states"):
        model_of({**model.as_dict(), **wrong})
    with pytest.raises(ValueError, match="no model of states"):
        model_of({})


GATES_ANY = Gates(100, {0: 0}, {0: (5, 20, 50)})
STEADY, SHORT = 0.99, 0.1


def model_with(rates, stays, **changes):
    """A model of states that each are a group of their own, by their rates and how often they stay."""
    states = len(rates)
    switch = np.full((states, states), 0.0)
    for k, stay in enumerate(stays):
        switch[k] = (1.0 - stay) / max(1, states - 1)
        switch[k, k] = stay
    of = {"gates": GATES_ANY, "fine": 4, "accuracy": 0.999, "full": False, **changes}
    return StateModel(rates=np.array(rates, float), switch=switch, groups=tuple(range(states)), **of)


def test_states_that_are_not_resolved_say_why():
    rates = [[3, 4, 8, 10], [3, 4, 2, 1]]
    assert model_with(rates, [STEADY] * 2).resolved
    unsure = model_with(rates, [STEADY] * 2, accuracy=0.94)
    assert "accuracy of 0.940" in unsure.unresolved
    full = model_with(rates, [STEADY] * 2, full=True)
    assert "4 states are the most that are tried" in full.unresolved
    assert not full.resolved
    assert "may be drift" in model_with([[9], [6]], [STEADY] * 2, gates=None).unresolved
    assert model_with([[9], [3]], [STEADY] * 2, gates=None).unresolved == ""


def test_what_is_listed_beside_the_states_is_marked():
    neutral, charged = [3, 4, 8, 10], [3, 4, 2, 1]
    brighter = [4.4, 6, 11.8, 14.6]
    found = model_with([neutral, charged, brighter], [0.999, 0.99, 0.9]).remarks()
    assert found[:2] == ["", ""]
    assert found[2].startswith("delays nearly those of state 1")
    between = model_with([neutral, charged, [3, 4, 5, 5]], [STEADY, STEADY, SHORT]).remarks()
    assert between[2].startswith("lies between others")
    rare = model_with([neutral, charged, [9, 9, 2, 0.1]], [0.9999, 0.9999, 0.6]).remarks()
    assert rare[2].startswith("less than 2 % of the time")
