"""Brightness levels of a trace: their counts, windows on them, and how many there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.inference.levels import (
    automatic_ranges,
    first_count,
    level_of,
    valleys,
    window_ranges,
)


def counts_on(ranges, most=2000):
    """Counts that the ranges select."""
    counts = np.arange(most)
    level = level_of(counts)
    return {int(n) for n in counts if any(r.on and r.low <= level[n] < r.high for r in ranges)}


@given(st.integers(0, 10**9))
def test_a_level_begins_with_its_first_count(n):
    level = int(level_of(np.array([n]))[0])
    assert int(first_count(level)) <= n < int(first_count(level + 1))
    # floor(4 sqrt(n)) in whole numbers, without a root.
    assert level**2 <= 16 * n < (level + 1) ** 2


LEVELS = int(level_of(np.array([1999]))[0]) + 1


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [
        (1, 1.5, 1, 1),
        (0, 0.5, 0, 0),
        (5, 6, 6, 6),  # 4 and 5 share a level
        (200, 399.9999, 204, 399),
        (0, 400, 0, 399),  # 400 shares its level with higher counts
        (0, float("inf"), 0, 1999),
        (30, 30, 28, 30),  # nothing smaller than its level
    ],
)
def test_a_window_selects_what_lies_in_it(low, high, first, last):
    selected = counts_on(window_ranges(low, high, LEVELS))
    assert (min(selected), max(selected)) == (first, last)
    assert len(selected) == last - first + 1


@given(st.floats(0, 1900), st.floats(0, 300))
def test_a_window_is_narrower_by_less_than_half_a_poisson_width(low, width):
    selected = counts_on(window_ranges(low, low + width, LEVELS))
    inside = {n for n in range(2000) if low * (1 - 1e-6) <= n <= (low + width) * (1 + 1e-6)}
    if not inside:
        assert not selected
        return
    assert selected
    slack = 0.5 * np.sqrt(max(inside)) + 1
    assert min(selected) >= min(inside) - slack
    assert max(selected) <= max(inside) + slack
    # Where the window holds whole levels, nothing outside it is selected.
    if width > 2 * slack:
        assert selected <= inside
        assert min(selected) <= min(inside) + slack
        assert max(selected) >= max(inside) - slack


@pytest.mark.parametrize(("low", "high"), [(1.2, 1.8), (3000, 4000), (1e300, 1e301)])
def test_a_window_without_counts_selects_nothing(low, high):
    assert counts_on(window_ranges(low, high, LEVELS)) == set()


def ranges_of(counts):
    return automatic_ranges(np.bincount(level_of(counts)))


@pytest.mark.parametrize("rate", [0.1, 2, 30, 500, 1e5])
def test_constant_light_is_one_level_at_any_rate(rate):
    rng = np.random.default_rng(1)
    for _ in range(5):
        assert [r.on for r in ranges_of(rng.poisson(rate, 3000))] == [True]


@pytest.mark.parametrize("drift", [0.1, 0.3, 0.5])
def test_drift_is_one_level(drift):
    rng = np.random.default_rng(2)
    assert len(ranges_of(rng.poisson(np.linspace(500, 500 * (1 - drift), 3000)))) == 1


@pytest.mark.parametrize(("off", "on"), [(30, 600), (1, 12), (1e4, 1e5), (850, 1000)])
def test_two_levels_are_told_apart(off, on):
    rng = np.random.default_rng(3)
    bright = rng.random(4000) < 0.6
    counts = rng.poisson(np.where(bright, on, off))
    ranges = ranges_of(counts)
    assert [r.on for r in ranges] == [False, True]
    chosen = level_of(counts) >= ranges[1].low
    assert np.mean(chosen == bright) > 0.98


def test_bins_that_hold_both_states_are_a_bridge_and_not_selected():
    rng = np.random.default_rng(4)
    mean = np.where(rng.random(4000) < 0.5, 50.0, 900.0)
    between = rng.random(4000) < 0.1
    mean[between] = rng.uniform(50, 900, between.sum())
    ranges = ranges_of(rng.poisson(mean))
    assert ranges[-1].on
    assert 600 < first_count(ranges[-1].low) < 850


def test_a_rare_burst_is_not_the_emitter():
    rng = np.random.default_rng(5)
    counts = rng.poisson(np.where(np.arange(4000) < 20, 5000, 400))
    on = next(r for r in ranges_of(counts) if r.on)
    assert first_count(on.low) < 400 < first_count(on.high) < 5000


def test_valleys_need_a_real_fall():
    hill = np.exp(-0.5 * ((np.arange(100) - 30) / 8) ** 2)
    second = np.exp(-0.5 * ((np.arange(100) - 70) / 8) ** 2)
    (cut,) = valleys(hill + second)
    assert 45 <= cut <= 55
    assert valleys(hill) == []
    assert valleys(hill + 0.999 * np.roll(hill, 8)) == []
    assert valleys(np.zeros(10)) == []
