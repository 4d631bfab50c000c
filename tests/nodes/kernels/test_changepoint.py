"""Change points against recordings whose rate is known: false alarms, where changes are found, how sure that is."""

import numpy as np
import pytest

from photonstream.nodes.inference.changepoint import CRITICAL, tables
from photonstream.nodes.kernels.changepoint import MOST_WINDOW, confidence, find_changes, strongest


def arrivals(rng, *parts):
    """Ticks of photons with exponential waits: (photons, mean wait in ticks) for each part, the first at 0."""
    waits = [rng.exponential(wait, photons) for photons, wait in parts]
    return np.concatenate([[0.0], np.cumsum(np.concatenate(waits))]).astype(np.int64)


@pytest.mark.parametrize("alpha", sorted(CRITICAL))
@pytest.mark.parametrize("waits", [10, 100, 700, 3000])
def test_a_constant_rate_is_divided_as_often_as_alpha_says(alpha, waits):
    rng, table, trials = np.random.default_rng(waits), tables(alpha), 3000
    found = sum(
        strongest(arrivals(rng, (waits, 1e4)), 0, waits, table)[1] > table.critical[waits]
        for _ in range(trials)
    )
    # Four standard deviations of the count, and a tenth for the table's own errors.
    assert abs(found / trials - alpha) < 4 * np.sqrt(alpha / trials) + 0.1 * alpha


def test_a_long_constant_recording_has_hardly_any_change():
    times = arrivals(np.random.default_rng(4), (1_000_000, 100.0))
    assert len(find_changes(times, tables(0.05))) <= 12


@pytest.mark.parametrize(("alpha", "most_false"), [(0.05, 0.15), (0.01, 0.05)])
def test_every_change_of_a_clear_blinking_is_found_in_its_place(alpha, most_false):
    rng = np.random.default_rng(5)
    parts = [(int(n), 100.0 if k % 2 else 250.0) for k, n in enumerate(rng.integers(150, 4000, 300))]
    times = arrivals(rng, *parts)
    truth = np.cumsum([n for n, _ in parts])[:-1]
    found = find_changes(times, tables(alpha))
    assert np.all(np.diff(found) > 0)
    nearest = np.abs(found[:, None] - truth).min(axis=1)
    missed = np.abs(found[:, None] - truth).min(axis=0) > 100
    assert np.mean(missed) < 0.01
    # Each stretch is tried a few times, in windows that grow.
    assert np.mean(nearest > 100) < most_false


def test_a_change_longer_than_the_widest_window_before_it_is_found():
    times = arrivals(
        np.random.default_rng(6), (3 * MOST_WINDOW, 100.0), (5000, 140.0), (3 * MOST_WINDOW, 100.0)
    )
    found = find_changes(times, tables(0.01))
    assert len(found) == 2
    np.testing.assert_allclose(found, [3 * MOST_WINDOW, 3 * MOST_WINDOW + 5000], atol=300)


def test_regions_of_confidence_hold_the_truth_as_often_as_they_say():
    rng, table, inside, trials = np.random.default_rng(7), tables(0.05), 0, 600
    for _ in range(trials):
        times = arrivals(rng, (400, 100.0), (400, 160.0))
        ((low, high),) = confidence(times, np.array([strongest(times, 0, 800, table)[0]]), table)
        inside += low <= 400 <= high
    # The likelihood over places is flat enough to hold it somewhat more often.
    assert 0.92 < inside / trials < 0.99


@pytest.mark.parametrize("times", [[], [5], [5, 5], [5, 5, 5, 5], [0, 1]])
def test_too_few_photons_have_no_change(times):
    assert len(find_changes(np.array(times, np.uint64), tables(0.05))) == 0
