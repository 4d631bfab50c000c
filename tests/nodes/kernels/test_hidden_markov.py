"""The hidden Markov kernels against a sum over every path that the states can take."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.kernels.hidden_markov import (
    UNSEEN,
    UPDATE_BINS,
    count_delays,
    count_gates,
    follow,
    learn,
    left_out,
    new_filter,
)

RATES = np.array([[1.0, 3.0], [2.5, 0.5], [0.2, 0.2]])
SWITCH = np.array([[0.8, 0.15, 0.05], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]])
FIRST = np.array([0.5, 0.3, 0.2])
# So heavy that what is learned in flow changes nothing.
FIXED = 1e15


def paths(counts, states, without=None):
    """Every path of states with its probability together with ``counts``, but for those of bin ``without``."""
    found = []
    for path in itertools.product(range(states), repeat=len(counts)):
        log = math.log(FIRST[path[0]] / FIRST[:states].sum())
        for t, k in enumerate(path):
            if t:
                log += math.log(SWITCH[path[t - 1], k] / SWITCH[path[t - 1], :states].sum())
            if t != without:
                log += float(counts[t] @ np.log(RATES[k]) - RATES[k].sum())
        found.append((path, math.exp(log)))
    return found


def posterior(counts, states, bin_, without=None):
    found = np.zeros(states)
    for path, probability in paths(counts, states, without):
        found[path[bin_]] += probability
    return found / found.sum()


def model(states):
    switch = SWITCH[:states, :states] / SWITCH[:states, :states].sum(axis=1, keepdims=True)
    return RATES[:states].copy(), switch, FIRST[:states] / FIRST[:states].sum()


def drawn(seed, bins, states=2):
    rng = np.random.default_rng(seed)
    _, switch, first = model(states)
    path = [rng.choice(states, p=first)]
    while len(path) < bins:
        path.append(rng.choice(states, p=switch[path[-1]]))
    return rng.poisson(RATES[path]).astype(np.int32)


def run(counts, states, lag, weight=FIXED, forget=math.inf, pieces=None, lasting=0.0):
    f = new_filter(*model(states), lag, weight, lasting, forget)
    found = [], [], []
    edges = [0, *sorted(pieces or []), len(counts)]
    for number, (a, b) in enumerate(itertools.pairwise(edges)):
        own, others = np.empty((2, b - a + lag), np.int64)
        predicted = np.empty(b - a)
        n = follow(counts[a:b], f, number == len(edges) - 2, own, others, predicted)
        for to, values in zip(found, (own[:n], others[:n], predicted), strict=True):
            to.extend(values.tolist())
    return (*found, f)


@pytest.mark.parametrize(("states", "bins"), [(1, 4), (2, 8), (3, 6)])
@pytest.mark.parametrize("lag", [1, 2, 9])
def test_labels_are_the_most_probable_states_given_all_bins_up_to_the_lag(states, bins, lag):
    for seed in range(6):
        counts = drawn(seed, bins, states)
        own, others, predicted, f = run(counts, states, lag)
        for t in range(bins):
            known = counts[: t + lag + 1]
            assert own[t] == np.argmax(posterior(known, states, t))
            assert others[t] == np.argmax(posterior(known, states, t, without=t))
        likelihood = sum(probability for _, probability in paths(counts, states))
        assert sum(predicted) == pytest.approx(math.log(likelihood))
        assert f.clock.tolist() == [bins, bins]
        assert f.certainty.sum() == pytest.approx(bins)


@pytest.mark.parametrize(("states", "bins"), [(2, 8), (3, 6)])
def test_the_posterior_without_a_bin_knows_nothing_of_its_counts(states, bins):
    counts = drawn(1, bins, states)
    found = left_out(counts, *model(states))
    for t in range(bins):
        np.testing.assert_allclose(found[t], posterior(counts, states, t, without=t), rtol=1e-9)


def test_learning_raises_the_likelihood_at_every_step_and_says_what_it_was():
    counts = drawn(2, 8)
    rates, switch, first = model(2)
    likelihood = sum(probability for _, probability in paths(counts, 2))
    assert learn(counts, rates, switch, first, 1, 0.0) == pytest.approx(math.log(likelihood))
    values = [learn(counts, rates, switch, first, 1, 0.0) for _ in range(20)]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(values))
    assert values[-1] > values[0]
    np.testing.assert_allclose(switch.sum(axis=1), 1.0)


def test_learning_finds_the_model_that_the_counts_were_drawn_from():
    counts = drawn(3, 60_000)
    rates, switch, first = (
        np.array([[1.5, 2.0], [2.0, 1.0]]),
        np.array([[0.9, 0.1], [0.1, 0.9]]),
        np.ones(2) / 2,
    )
    learn(counts, rates, switch, first, 500, 1e-4)
    np.testing.assert_allclose(rates, RATES[:2], rtol=0.03)
    np.testing.assert_allclose(switch, model(2)[1], atol=0.02)


@settings(max_examples=60)
@given(st.integers(0, 1000), st.lists(st.integers(0, 400), max_size=5), st.integers(1, 12))
def test_any_split_of_the_bins_gives_the_same(seed, pieces, lag):
    counts = drawn(seed, 400)
    whole = run(counts, 2, lag, weight=50.0, forget=100.0, lasting=5.0)
    parts = run(counts, 2, lag, weight=50.0, forget=100.0, lasting=5.0, pieces=pieces)
    assert whole[:3] == parts[:3]
    for one, other in zip(whole[3], parts[3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_filter_follows_an_emitter_that_fades():
    """Rates fall to half over the recording: the last bins are labelled as well as the first."""
    rng = np.random.default_rng(5)
    bins = 40 * UPDATE_BINS * 10
    bright, dark = np.array([20.0, 60.0]), np.array([30.0, 6.0])
    path = np.arange(bins) // 200 % 2
    counts = rng.poisson(np.where(path[:, None] == 0, bright, dark) * np.linspace(1, 0.5, bins)[:, None])
    f = new_filter(
        np.array([bright, dark]),
        np.array([[0.99, 0.01], [0.01, 0.99]]),
        np.ones(2) / 2,
        10,
        500.0,
        25.0,
        2000.0,
    )
    own, others = np.empty((2, bins + 10), np.int64)
    n = follow(counts.astype(np.int32), f, True, own, others, np.empty(bins))
    assert n == bins
    assert np.mean(own[: bins // 10] == path[: bins // 10]) > 0.99
    assert np.mean(own[bins - bins // 10 : bins] == path[-bins // 10 :]) > 0.99
    np.testing.assert_allclose(f.rates, np.array([bright, dark]) / 2, rtol=0.12)


@pytest.mark.parametrize(("counts_a_bin", "stays"), [(30.0, (50, 25)), (8.0, (50, 25)), (5.0, (200, 100))])
def test_switches_are_learned_as_they_are_and_the_accuracy_as_it_is(counts_a_bin, stays):
    """Where states overlap, a filter that trusts itself too much sees fewer switches and claims too much."""
    rng = np.random.default_rng(8)
    rates = np.array([[0.12, 0.18, 0.32, 0.38], [0.3, 0.33, 0.27, 0.1]]) * [
        [counts_a_bin],
        [0.85 * counts_a_bin],
    ]
    leave = 1.0 / np.array(stays)
    path, state = [], 0
    while len(path) < 200_000:
        path += [state] * rng.geometric(leave[state])
        state = 1 - state
    path = np.array(path)
    counts = rng.poisson(rates[path]).astype(np.int32)
    switch = np.array([[1 - leave[0], leave[0]], [leave[1], 1 - leave[1]]])
    f = new_filter(rates, switch, np.array(stays) / sum(stays), 10, 2000.0, 100.0, 10_000.0)
    own, others = np.empty((2, len(path) + 10), np.int64)
    follow(counts, f, True, own, others, np.empty(len(path)))
    own = own[: len(path)]
    np.testing.assert_allclose([f.switch[0, 1], f.switch[1, 0]], leave, rtol=0.25)
    true = np.mean([np.mean(own[path == k] == k) for k in (0, 1)])
    claimed = np.mean([f.certainty[k, k] / f.certainty[:, k].sum() for k in (0, 1)])
    assert claimed == pytest.approx(true, abs=0.005)


@pytest.mark.parametrize("stays_in", [0, 2])
def test_a_state_that_stays_away_for_long_is_still_known(stays_in):
    rng = np.random.default_rng(9)
    rates = np.array([[4.0, 5.0, 10.0, 11.0], [5.0, 5.0, 3.0, 1.0], [0.5, 0.4, 0.3, 0.2]])
    switch = np.full((3, 3), 0.005) + 0.985 * np.eye(3)
    blinks = np.repeat(rng.integers(0, 3, 300), 100)
    path = np.concatenate([blinks, np.full(300_000, stays_in), blinks])
    counts = rng.poisson(rates[path]).astype(np.int32)
    f = new_filter(rates, switch, np.ones(3) / 3, 10, 2000.0, 100.0, 10_000.0)
    own, others = np.empty((2, len(path) + 10), np.int64)
    follow(counts, f, True, own, others, np.empty(len(path)))
    late = slice(len(path) - len(blinks), len(path))
    assert np.mean(own[late] == path[late]) > 0.99


def test_bins_in_which_nobody_looked_say_and_teach_nothing():
    counts = drawn(3, 3000)
    unseen = slice(1000, 1400)
    counts[unseen] = UNSEEN
    # Learning at once and forgetting soon: whatever they taught would be seen.
    own, _, predicted, f = run(counts, 2, 5, weight=20.0, forget=500.0)
    assert np.all(np.abs(predicted[unseen]) < 1e-12)
    assert f.certainty.sum() == pytest.approx(2600.0)
    _, _, _, before = run(counts[:1000], 2, 5, weight=20.0, forget=500.0)
    _, _, _, after = run(counts[:1400], 2, 5, weight=20.0, forget=500.0)
    for name in ("occupancy", "gated", "jumps"):
        # But for the bins of the lag, which what follows them tells apart.
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=0.05)
    # Far from what is known a state is as probable as it is on the whole.
    assert len(set(own[1100:1300])) == 1


photons = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 70)), max_size=60).map(
    sorted
)


@given(photons, st.integers(0, 3))
def test_photons_are_counted_by_gate_and_delay(photons, shift):
    where, channel, dtime = np.array(photons, np.int64).reshape(-1, 3).T
    offsets = np.searchsorted(where, np.arange(5)).astype(np.int64)
    channel, dtime = channel.astype(np.uint8), dtime.astype(np.uint16)
    limit, gate_of = 60, np.random.default_rng(7).integers(0, 4, (4, 64)).astype(np.uint8)
    counts, expected = np.zeros((4, 3), np.int32), np.zeros((4, 3), int)
    decays, delays = np.zeros((4, 64), np.int64), np.zeros((4, 64), int)
    for b, c, d in zip(where.tolist(), channel.tolist(), dtime.tolist(), strict=True):
        if d < limit:
            delays[c, d >> shift] += 1
            if gate_of[c, d >> shift] < 3:
                expected[b, gate_of[c, d >> shift]] += 1
    count_gates(offsets, channel, dtime, np.uint32(shift), np.uint32(limit), gate_of, counts)
    count_delays(channel, dtime, np.uint32(shift), np.uint32(limit), decays)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(decays, delays)
