"""What a decimated curve must keep: every extreme, every bin once, every count."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from photonstream.dashboard.decimate import column_starts, extremes, rebin, skyline

VALUES = arrays.arrays(
    np.float64, st.integers(0, 200), elements=st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))
)


@given(st.integers(0, 5000), st.integers(1, 400))
def test_every_bin_is_in_exactly_one_run(bins, columns):
    starts = column_starts(bins, columns)
    sizes = np.diff(np.append(starts, bins))
    assert len(starts) == min(bins, columns)
    assert sizes.sum() == bins
    if bins:
        assert starts[0] == 0
        assert sizes.min() >= 1
        assert sizes.max() - sizes.min() <= 1


@given(VALUES, st.integers(1, 50))
def test_extremes_enclose_their_run_and_are_of_it(values, columns):
    starts = column_starts(len(values), columns)
    low, high = extremes(values, starts)
    assert len(low) == len(high) == len(starts)
    for k, run in enumerate(np.split(values, starts[1:])):
        known = run[~np.isnan(run)]
        if known.size:
            assert low[k] in known
            assert high[k] in known
            assert (low[k] <= known).all()
            assert (high[k] >= known).all()
        elif len(starts):
            assert np.isnan(low[k])
            assert np.isnan(high[k])


def test_a_single_spike_in_a_day_of_bins_survives():
    values = np.full(8_640_000, 5.0)
    values[7_123_456] = 900.0
    values[1_234_567] = -3.0
    low, high = extremes(values, column_starts(len(values), 1200))
    assert (high == 900.0).sum() == 1
    assert (low == -3.0).sum() == 1


def test_skyline_is_the_step_curve_where_nothing_was_joined():
    x, y = skyline(np.array([0.0, 1.0, 3.0]), np.array([4.0, 7.0]), np.array([4.0, 7.0]))
    assert x.tolist() == [0, 1, 1, 1, 1, 3, 3, 3]
    assert y.tolist() == [4, 4, 4, 4, 7, 7, 7, 7]


def test_skyline_reaches_both_ends_of_a_joined_run():
    x, y = skyline(np.array([0.0, 2.0]), np.array([1.0]), np.array([9.0]))
    assert x.tolist() == [0, 1, 1, 2]
    assert y.tolist() == [1, 1, 9, 9]


def test_rebin_by_hand():
    assert rebin(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 2).tolist() == [3, 7, 5]
    assert rebin(np.empty(0), 3).tolist() == []


@given(arrays.arrays(np.int64, st.integers(0, 300), elements=st.integers(0, 10**6)), st.integers(1, 40))
def test_rebin_keeps_every_count(counts, factor):
    joined = rebin(counts.astype(float), factor)
    assert joined.sum() == counts.sum()
    assert len(joined) == -(-len(counts) // factor)
