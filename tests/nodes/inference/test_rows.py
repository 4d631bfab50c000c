"""Labels hold what they were made of, and a selection adds up the right ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.inference.rows import (
    HIDDEN_MARKOV,
    STATES,
    WINDOW,
    label_of,
    levels_of,
    selected,
    states_of,
)

bins = st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, STATES - 1), st.integers(0, STATES - 1)))


@given(bins)
def test_a_label_says_all_that_it_was_made_of(bins):
    level, own, others = np.array(bins, np.int64).reshape(-1, 3).T
    labels = label_of(level, own, others)
    np.testing.assert_array_equal(levels_of(labels), level)
    np.testing.assert_array_equal(states_of(labels), own)
    np.testing.assert_array_equal(states_of(labels, left_out=True), others)


def test_a_window_selects_levels_and_one_newer_than_the_selection_is_as_the_last_one_known():
    labels = label_of(np.array([0, 1, 3, 4, 900]), np.array([1, 2, 1, 2, 1]), np.array([2, 2, 1, 1, 1]))

    def chosen(*on):
        selection = {"method": WINDOW, "on_levels": np.array(on, bool), "on_states": np.ones(STATES, bool)}
        assert selected(selection, labels).tolist() == selected(selection, labels, left_out=True).tolist()
        return selected(selection, labels).tolist()

    assert chosen(0, 1, 0, 1) == [False, True, True, True, True]
    assert chosen(0, 1, 0) == [False, True, False, False, False]
    assert chosen() == [False] * 5


def test_states_are_selected_whatever_their_levels():
    labels = label_of(np.array([0, 1, 3, 900]), np.array([1, 2, 1, 0]), np.array([2, 2, 1, 1]))
    on = np.zeros(STATES, bool)
    on[1] = True
    selection = {"method": HIDDEN_MARKOV, "on_levels": np.zeros(0, bool), "on_states": on}
    assert selected(selection, labels).tolist() == [True, False, True, False]
    assert selected(selection, labels, left_out=True).tolist() == [False, False, True, True]
