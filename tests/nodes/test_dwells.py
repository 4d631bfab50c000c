"""Dwell times in flow: what is a dwell, what is cut, and that pieces do not matter."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.dwells import (
    Dwells,
    dwell_summary,
    dwell_table,
    dwells_of_bins,
    why_unbelieved,
    without_models,
)


def states(*runs):
    """States of bins: (state, bins) for each run."""
    return np.concatenate([np.full(bins, state, np.int64) for state, bins in runs])


def counted(side):
    """Lower edges in bins of the classes with dwells in them, and how many."""
    return {
        round(e / 1e-3 + 0.5): c for e, c in zip(side["edges_s"], side["counts"].tolist(), strict=False) if c
    }


def test_complete_dwells_by_their_length_and_the_ends_apart():
    dwells = Dwells()
    dwells.add(states((1, 50), (2, 3), (3, 4), (1, 5), (2, 1), (1, 5), (2, 7), (1, 9), (2, 40)))
    found = dwells.describe([1], 1e-3)
    assert counted(found["selected"]) == {5: 2, 9: 1}
    # States 2 and 3 in a row are one time without 1; the one of a single bin is below the resolution.
    assert counted(found["other"]) == {7: 2}
    assert found["other"]["shorter"] == 1
    assert found["selected"]["fit"]["cut"] == found["other"]["fit"]["cut"] == 1
    third = dwells.describe([3], 1e-3)
    assert counted(third["selected"]) == {4: 1}
    # Before and after its only visit nothing is complete.
    assert (counted(third["other"]), third["other"]["fit"]["cut"]) == ({}, 2)


def test_a_state_that_never_ends_is_cut_at_both_ends():
    found = Dwells()
    found.add(states((1, 500)))
    times = found.describe([1], 1e-3)
    assert times["selected"]["fit"]["cut"] == 1
    assert times["other"]["fit"]["cut"] == times["other"]["fit"]["dwells"] == 0
    assert len(dwell_table(times)["dwell"][0].values) == 0


def test_no_dwell_times_of_nothing():
    dwells = Dwells()
    assert dwells.describe([1], 1e-3) is None
    dwells.add(states((2, 5)))
    assert dwells.describe([1], 1e-3) is None
    assert dwells.describe([], 1e-3) is None
    assert dwell_summary(None) is None
    assert dwell_table(None) == {}


@given(st.lists(st.integers(1, 3), min_size=1, max_size=60), st.sets(st.integers(1, 59)))
def test_any_split_gives_the_same(sequence, cuts):
    whole, pieces = Dwells(), Dwells()
    given_states = np.array(sequence, np.int64)
    whole.add(given_states)
    edges = [0, *sorted(c for c in cuts if c < len(sequence)), len(sequence)]
    for a, b in itertools.pairwise(edges):
        pieces.add(given_states[a:b])
    for state in (1, 2, 3):
        a, b = whole.describe([state], 1e-3), pieces.describe([state], 1e-3)
        assert (a is None) == (b is None) == (state not in sequence)
        if a is not None:
            assert dwell_summary(a) == dwell_summary(b)
            for side in ("selected", "other"):
                np.testing.assert_array_equal(a[side]["counts"], b[side]["counts"])


def test_a_table_of_both_sides_with_what_the_models_expect():
    rng = np.random.default_rng(1)
    on = states(*((k % 2, int(n)) for k, n in enumerate(2 + rng.geometric(0.05, 400))))
    times = dwells_of_bins(on == 1, np.zeros(len(on), bool), 0.01)
    columns = {c.name: c.values for c in dwell_table(times)["dwell"]}
    for side, name in ((1, "selected"), (0, "other")):
        inside = columns["selected"] == side
        assert columns["dwells"][inside].sum() == times[name]["fit"]["dwells"]
        assert times[name]["fit"]["favoured"] == "exponential"
        # Nearly all of the distribution lies in the classes that have dwells.
        total = columns["exponential"][inside].sum()
        assert total == np.clip(total, 0.9 * times[name]["fit"]["dwells"], times[name]["fit"]["dwells"])


def test_a_gap_cuts_what_it_interrupts():
    dwells = Dwells()
    bins = states((2, 10), (1, 5), (2, 20), (2, 7), (2, 30), (1, 6), (2, 8), (1, 4))
    blind = np.zeros(len(bins), bool)
    blind[35:42] = True
    dwells.add(bins, blind)
    found = dwells.describe([1], 1e-3)
    assert counted(found["selected"]) == {5: 1, 6: 1}
    # Of the times without it only the one between two visits is complete: 10, 20 and 30 bins are cut.
    assert counted(found["other"]) == {8: 1}
    assert (found["selected"]["fit"]["cut"], found["other"]["fit"]["cut"]) == (1, 3)
    third = dwells.describe([3], 1e-3)
    assert third is None


@given(cuts=st.lists(st.integers(0, 60), max_size=6))
def test_gaps_in_pieces_are_the_same(cuts):
    bins = states((1, 12), (2, 9), (1, 20), (3, 19))
    blind = np.zeros(60, bool)
    blind[8:15] = blind[30:31] = blind[55:60] = True
    whole, parts = Dwells(), Dwells()
    whole.add(bins, blind)
    for a, b in itertools.pairwise([0, *sorted(cuts), 60]):
        parts.add(bins[a:b], blind[a:b])
    for state in (1, 2, 3):
        assert repr(whole.describe([state], 1e-3)) == repr(parts.describe([state], 1e-3))


def test_dwells_that_mistakes_have_made_have_no_models():
    rng = np.random.default_rng(1)
    on = states(*((k % 2, int(n)) for k, n in enumerate(2 + rng.geometric(0.05, 400))))
    times = dwells_of_bins(on == 1, np.zeros(len(on), bool), 0.001)
    assert why_unbelieved(399.0, 200, 150.0, 0.001) == ""
    # Short visits are missed sooner: no more than 3 % of the time may be told wrongly.
    assert why_unbelieved(149.0, 200, 25.0, 0.001) == ""
    assert "some 200 bins" in why_unbelieved(152.0, 200, 25.0, 0.001)
    reason = why_unbelieved(411.0, 200, 150.0, 0.001)
    assert "some 400 bins of 1 ms" in reason
    assert "200 visits" in reason
    summary = dwell_summary(without_models(times, reason))
    for name in ("selected", "other"):
        side = summary[name]
        assert {side[key] for key in ("tau_s", "alpha", "difference", "favoured", "corrected_s")} == {None}
        assert side["reason"] == side["corrected_reason"] == reason
        assert side["dwells"] == dwell_summary(times)[name]["dwells"]
    columns = {c.name: c.values for c in dwell_table(without_models(times, reason))["dwell"]}
    assert np.isnan(columns["exponential"]).all()
