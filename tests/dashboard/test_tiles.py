"""The trace as it grows: extremes, selection and histogram against the bins themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.dashboard.tiles import BLOCK, MOST_CLASSES, TraceTiles, count_ranges

TILE = 256


def tile(first, counts, bin_s=0.01, end_s=None):
    counts = np.asarray(counts, np.uint32)
    return {
        "first": first,
        "bin_s": bin_s,
        "counts": np.stack([counts // 2, counts - counts // 2], axis=1),
        "end_s": (first + len(counts)) * bin_s if end_s is None else end_s,
    }


def filled(counts, ranges=()):
    tiles = TraceTiles()
    tiles.select(list(ranges))
    for first in range(0, len(counts), TILE):
        tiles.take(tile(first, counts[first : first + TILE]))
    return tiles


traces = st.lists(st.integers(0, 60), min_size=1, max_size=1500)
windows = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=2).map(
    # Ranges that do not touch, as those of levels are.
    lambda pairs: [(min(pair) + 200 * k, max(pair) + 200 * k) for k, pair in enumerate(pairs)]
)


@settings(max_examples=300)
@given(traces, windows, st.integers(1, 400), st.integers(0, 1500), st.integers(1, 1500))
def test_columns_keep_every_extreme(counts, ranges, per_column, first, length):
    counts = np.array(counts) + 200 * (np.arange(len(counts)) % 2)
    found = filled(counts, ranges).columns(first, first + length, per_column)
    on = np.zeros(len(counts), bool)
    for low, high in ranges:
        on |= (counts >= low) & (counts <= high)
    for k in range(len(found.low)):
        part = slice(found.edges[k], found.edges[k + 1])
        assert (found.low[k], found.high[k]) == (counts[part].min(), counts[part].max())
        chosen = counts[part][on[part]]
        if chosen.size:
            assert (found.on_low[k], found.on_high[k]) == (chosen.min(), chosen.max())
        else:
            assert np.isnan([found.on_low[k], found.on_high[k]]).all()
        assert found.on_share[k] == pytest.approx(on[part].mean())
    if first < len(counts):
        assert found.edges[0] <= first
        assert min(first + length, len(counts)) <= found.edges[-1] < first + length + BLOCK


@given(traces, windows, windows, st.integers(130, 400))
def test_a_later_selection_is_as_if_it_had_been_there_first(counts, before, after, per_column):
    moved = filled(counts, before)
    moved.select(after)
    there = filled(counts, after)
    for one, other in zip(
        vars(moved.columns(0, 1500, per_column)).values(),
        vars(there.columns(0, 1500, per_column)).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@given(traces, st.integers(0, 60))
def test_the_histogram_counts_every_bin_once(counts, low):
    bins, on_bins, width = filled(counts, [(low, 1000)]).histogram()
    assert width == 1
    assert bins.tolist() == [counts.count(n) for n in range(len(bins))]
    assert on_bins.sum() == sum(n >= low for n in counts)


def test_a_tile_that_comes_again_replaces_itself():
    tiles = TraceTiles()
    tiles.take(tile(0, [5] * 100))
    tiles.take(tile(0, [5] * 100 + [9] * 100))
    tiles.take(tile(TILE, [1] * 10))
    assert tiles.bins == TILE + 10
    bins, _, _ = tiles.histogram()
    assert (bins[5], bins[9], bins[1], bins.sum()) == (100, 100, 10, 210)
    assert tiles.highest == 9


def test_columns_stay_while_the_trace_grows():
    counts = np.random.default_rng(2).integers(0, 50, 4000)
    short, long = filled(counts[:3000]), filled(counts)
    for per_column in (7, 200):
        one, other = short.columns(0, 3000, per_column), long.columns(0, 4000, per_column)
        whole = len(one.low) - 1
        np.testing.assert_array_equal(one.high[:whole], other.high[:whole])
        np.testing.assert_array_equal(one.edges[:whole], other.edges[:whole])


def test_a_tile_that_is_missing_leaves_a_hole():
    tiles = TraceTiles()
    tiles.take(tile(2 * TILE, [7] * TILE))
    columns = tiles.columns(0, 3 * TILE, TILE)
    np.testing.assert_array_equal(columns.low, [np.nan, np.nan, 7])
    np.testing.assert_array_equal(columns.high, [np.nan, np.nan, 7])
    fine = tiles.columns(0, 3 * TILE, BLOCK)
    assert np.isnan(fine.low[: 2 * TILE // BLOCK]).all()
    assert tiles.histogram()[0].sum() == TILE


def test_a_last_bin_that_is_cut_short_is_left_out():
    tiles = TraceTiles()
    tiles.take(tile(0, [5, 5, 1], end_s=0.025))
    assert tiles.bins == 2
    assert tiles.columns(0, 3, 1).low.tolist() == [5, 5]


def test_bins_in_a_gap_are_neither_dark_nor_drawn():
    tiles = TraceTiles()
    tiles.select([(0, 100)])
    tiles.take(tile(0, [5, 0, 0, 7, 0]) | {"unseen": np.array([[1, 3]])})
    every, selected, _ = tiles.histogram()
    assert every.tolist() == selected.tolist() == [1, 0, 0, 0, 0, 1, 0, 1]
    np.testing.assert_array_equal(tiles.columns(0, 5, 1).low, [5, np.nan, np.nan, 7, 0])
    assert tiles.on(5).tolist() == [True, False, False, True, True]
    assert tiles.unseen(4).tolist() == [True, True, False, False]
    # Nor were there so few photons a second.
    assert tiles.rates_hz(0.05) == pytest.approx([12 / 2 / 0.03, 12 / 2 / 0.03], rel=0.2)


def test_very_bright_bins_share_classes_of_the_histogram():
    tiles = TraceTiles()
    tiles.select([(4_000_000_000, 5_000_000_000)])
    tiles.take(tile(0, [3, 5]))
    tiles.take(tile(TILE, [4_000_000_000]))
    bins, on_bins, width = tiles.histogram()
    assert len(bins) <= MOST_CLASSES
    assert bins.sum() == 3
    assert tiles.highest == pytest.approx(4e9, abs=width)
    assert on_bins.sum() <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": np.zeros(4)},
        {"counts": np.zeros((4, 1))},
        {"bin_s": 0.0},
        {"first": -1},
        {"first": 10**12},
    ],
)
def test_what_is_no_tile_is_refused(wrong):
    tiles = TraceTiles()
    with pytest.raises(ValueError, match=r"a tile has|more than"):
        tiles.take(tile(0, [1, 2]) | wrong)
    assert tiles.bins == 0


def test_levels_are_ranges_of_counts():
    # Level floor(4 sqrt(n)): 1 count has 4, 2 have 5, 3 have 6, 4 have 8, 5 have 8.
    on = np.zeros(9, bool)
    on[5:7] = True
    assert count_ranges(on) == [(2, 3)]
    on[8] = True
    (_, (low, high)) = count_ranges(on)
    assert low == 4
    assert high > 4_000_000_000
    assert count_ranges(np.zeros(3, bool)) == []
