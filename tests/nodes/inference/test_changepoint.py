"""Levels between change points: how many there are, and which are the neutral state."""

import numpy as np

from photonstream.nodes.inference.changepoint import Stretches, divide, levels_of, neutral_levels


def stretches(rng, rates, parts=120):
    """Stretches of 0.05 to 1 s (ticks of 1 us) that go at random to another of ``rates`` (Hz), and their true level."""
    level = np.cumsum(rng.integers(1, max(2, len(rates)), parts)) % len(rates)
    ticks = rng.integers(50_000, 1_000_000, parts)
    photons = rng.poisson(np.array(rates)[level] * ticks * 1e-6)
    first = np.concatenate([[0], np.cumsum(photons)])
    return Stretches(first, photons, ticks, np.zeros(parts - 1, np.int64)), level


def test_as_many_levels_as_there_are():
    for rates in ([40e3], [5e3, 40e3], [5e3, 30e3, 40e3], [1e3, 10e3, 20e3, 40e3]):
        for seed in range(5):
            given, truth = stretches(np.random.default_rng(seed), rates)
            found = levels_of(given)
            assert found.max() + 1 == len(rates)
            np.testing.assert_array_equal(found, truth)


def test_a_constant_recording_is_one_stretch_of_one_level():
    times = np.cumsum(np.random.default_rng(1).exponential(100, 50_000)).astype(np.int64)
    found = divide(times, int(times[-1]) + 1, 0.01)
    assert len(found.photons) == 1
    assert (found.photons[0], found.ticks[0]) == (50_000, times[-1] + 1)
    assert levels_of(found).tolist() == [0]


def decay(rng, photons, tau_ns, background=0):
    """Counts (1 channel, 200 classes of 1 ns) of an exponential from 10 ns on, wrapped, with a constant."""
    delay = (10 + rng.exponential(tau_ns, photons)).astype(int) % 200
    return (np.bincount(delay, minlength=200) + rng.poisson(background / 200, 200))[None]


def test_neutral_is_the_highest_late_rate_not_the_brightest():
    rng = np.random.default_rng(2)
    # Charged and brighter, neutral, dark.
    decays = np.stack([decay(rng, 60_000, 6), decay(rng, 50_000, 47), decay(rng, 100, 47, 1000)])
    ticks = np.array([1000, 1000, 1000])
    assert neutral_levels(decays, ticks).tolist() == [False, True, False]


def test_levels_of_the_same_delays_are_one_state():
    rng = np.random.default_rng(3)
    decays = np.stack([decay(rng, 30_000, 47), decay(rng, 40_000, 47), decay(rng, 20_000, 8)])
    assert neutral_levels(decays, np.array([1000, 1000, 500])).tolist() == [True, True, False]


def test_without_delays_the_brightest_is_neutral():
    decays = np.array([10, 500, 100]).reshape(3, 1, 1)
    # The last two are as bright; the second lasts too short to be a state.
    assert neutral_levels(decays, np.array([1000, 10, 1000])).tolist() == [False, False, True]
