"""Mixtures fitted to a histogram that is seen through a table of probabilities."""

import numpy as np
import pytest
from scipy.stats import poisson

from photonstream.nodes.kernels.mixture import climb

RATES = np.linspace(1.0, 120.0, 256)
COUNTS = np.arange(200)
SEEN = poisson.pmf(COUNTS, RATES[:, None])


def start(components):
    mean = np.linspace(RATES[0], RATES[-1], components + 2)[1:-1]
    return np.full(components, 1.0 / components), mean, np.full(components, 20.0)


def drawn(seed, *parts):
    """Histogram of counts; each part is a number of bins, and mean and width of their rates."""
    rng = np.random.default_rng(seed)
    rates = np.concatenate([rng.normal(mean, width, bins) for bins, mean, width in parts])
    return np.bincount(rng.poisson(rates), minlength=len(COUNTS)).astype(float)


def test_two_levels_are_found_where_they_are():
    observed = drawn(1, (3000, 30.0, 2.0), (7000, 80.0, 4.0))
    weight, mean, width = start(2)
    climb(RATES, SEEN, observed, weight, mean, width, 1000, 1e-6)
    assert weight.sum() == pytest.approx(1.0)
    # Five standard errors: of a share, of a mean of Poisson counts, and some for the widths beside them.
    assert weight[1] == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / 10_000))
    assert mean[0] == pytest.approx(30.0, abs=5 * np.sqrt((30.0 + 4.0) / 3000))
    assert mean[1] == pytest.approx(80.0, abs=5 * np.sqrt((80.0 + 16.0) / 7000))
    assert width == pytest.approx([2.0, 4.0], abs=1.0)


def test_no_step_goes_down_and_steps_may_come_one_by_one():
    observed = drawn(2, (500, 20.0, 1.0), (500, 60.0, 15.0), (50, 110.0, 1.0))
    by_one = start(3)
    values = [climb(RATES, SEEN, observed, *by_one, 1, 0.0) for _ in range(40)]
    assert np.all(np.diff(values) > -1e-9)
    at_once = start(3)
    assert climb(RATES, SEEN, observed, *at_once, 40, 0.0) == values[-1]
    for one, other in zip(by_one, at_once, strict=True):
        assert np.array_equal(one, other)


def test_counts_that_do_not_occur_have_no_say():
    observed = drawn(3, (400, 40.0, 3.0))
    some = observed > 0
    whole, part = start(2), start(2)
    value = climb(RATES, SEEN, observed, *whole, 50, 1e-3)
    assert climb(RATES, SEEN[:, some], observed[some], *part, 50, 1e-3) == pytest.approx(value, rel=1e-12)
    for one, other in zip(whole, part, strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def test_what_no_component_can_have_made_ends_nothing():
    weight, mean, width = np.ones(1), np.array([10.0]), np.array([1.0])
    seen = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    value = climb(np.array([9.0, 10.0, 11.0]), seen, np.array([5.0, 1.0]), weight, mean, width, 10, 1e-3)
    assert np.isfinite(value)
    assert np.isfinite([weight, mean, width]).all()
