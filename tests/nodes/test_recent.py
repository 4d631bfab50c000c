"""The present rate: by hand, after a change of the rate, and whatever the split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.inference.rows import HIDDEN_MARKOV, WINDOW, label_of
from photonstream.nodes.recent import LATELY, LEAST_S, MOST_STRETCHES, Recent

BIN_S = 0.01
BY_STATE = {"method": HIDDEN_MARKOV, "on_states": np.arange(8) == 1}
BY_LEVEL = {"method": WINDOW, "on_levels": np.array([False, True, True])}


def take(recent, levels, states, photons):
    """Bins of one piece each."""
    label = label_of(np.asarray(levels), np.asarray(states), np.zeros(len(levels), np.int64))
    recent.add(label, np.asarray(photons), np.arange(len(levels)), len(levels))


@pytest.mark.parametrize(("selection", "expected"), [(BY_STATE, 11), (BY_LEVEL, 110)])
def test_of_a_short_recording_all_that_is_selected_counts(selection, expected):
    recent = Recent(BIN_S)
    take(recent, [0, 1, 2], [1, 2, 2], [1, 10, 100])
    take(recent, [0], [1], [10])
    assert recent.describe(selection) == {"recent_s": pytest.approx(0.04), "recent_photons": expected}


def test_an_empty_recording_has_no_rate():
    assert Recent(BIN_S).describe(BY_STATE) == {"recent_s": 0.0, "recent_photons": 0}


@pytest.mark.parametrize("length_s", [12.0, 60.0, 1000.0])
def test_it_forgets_how_bright_the_emitter_was(length_s):
    """Ten times as many photons in the first two thirds."""
    recent, bins = Recent(BIN_S), round(length_s / BIN_S)
    photons = np.where(np.arange(bins) < 2 * bins // 3, 100, 10)
    take(recent, np.ones(bins, int), np.ones(bins, int), photons)
    found = recent.describe(BY_STATE)
    wanted_s = max(LEAST_S, LATELY * length_s)
    assert wanted_s <= found["recent_s"] <= wanted_s + 2.0 * length_s / MOST_STRETCHES
    assert found["recent_photons"] == photons[-round(found["recent_s"] / BIN_S) :].sum()
    if length_s >= 60.0:
        assert found["recent_photons"] / found["recent_s"] == pytest.approx(10 / BIN_S)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 5)), max_size=400), st.data())
def test_any_split_of_the_bins_gives_the_same(bins, data):
    whole, parts = Recent(0.2), Recent(0.2)
    columns = np.array(bins, np.int64).reshape(-1, 3).T
    take(whole, *columns)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(bins)), max_size=8)))
    for begin, end in zip([0, *cuts], [*cuts, len(bins)], strict=True):
        take(parts, *columns[:, begin:end])
    for selection in (BY_STATE, BY_LEVEL):
        assert parts.describe(selection) == whole.describe(selection)
