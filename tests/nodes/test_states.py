"""The selection of bins while a run goes on: a window by hand and back, at any time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.states import States, StatesParameters
from photonstream.stream.chunk import Chunk, StreamInfo
from photonstream.stream.node import Opening

TICKS, BIN_S = 10, 0.5
INFO = StreamInfo("test", "none", "T3", BIN_S / TICKS, 1e-10, 1e6, 1, 1)
WINDOW = (100.0, 300.0)


def node(on="auto"):
    states = States("states", StatesParameters("window", on))
    states.open(Opening(INFO, {"bin_ticks": TICKS, "bin_s": BIN_S, "pulse_period_s": 1e-6}))
    return states


def chunk(first, counts, cut=0, blind=()):
    """Bins from number ``first`` on with so many photons each, the last one shorter by ``cut`` ticks; the numbers of
    those that are ``blind``."""
    counts = np.array(counts, np.uint32)
    columns = {"counts": counts[:, None], "timed": counts, "offsets": np.cumsum([0, *counts], dtype=np.int64)}
    columns["dtime"] = np.full(counts.sum(), 100, np.uint32)
    columns["blind"] = np.isin(np.arange(first, first + len(counts)), blind)
    columns["macrotime"] = np.repeat(
        np.arange(first, first + len(counts), dtype=np.uint64) * np.uint64(TICKS), counts
    )
    stop = (first + len(counts)) * TICKS - cut
    return Chunk(0, first * TICKS, stop, int(counts.sum()), columns)


def look(states, *, final=False):
    return {result.key: result.value for result in states.snapshot(final=final)}


def same(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            same(value, other[key])
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other[key])
        else:
            assert value == other[key]


def test_only_what_is_selected_is_live():
    assert States.live == {"on", "state"}


def test_a_window_by_hand_holds_at_once_and_auto_comes_back_as_it_was():
    # 8 bins of 4 s: the choice is made at 2 s (4 bins) and 4 s, of a dark and a bright level.
    states = node()
    states.fold(chunk(0, [10, 400, 12, 390, 9, 410, 11, 405]))
    automatic = look(states)
    assert [level["on"] for level in automatic["selection"]["levels"]] == [False, True]
    assert automatic["selection"]["on_photons"] == 400 + 390 + 410 + 405
    states.change(StatesParameters("window", (15.0, 40.0)))
    by_hand = look(states)
    assert by_hand["selection"]["chosen"] == "given"
    assert by_hand["selection"]["on_photons"] == 10 + 12 + 9 + 11
    same({"flid": by_hand["flid"]}, {"flid": automatic["flid"]})
    states.change(StatesParameters("window", "auto"))
    same(look(states), automatic)


def test_a_choice_that_falls_due_under_a_window_by_hand_is_made_when_auto_comes_back():
    bright = [400, 10] * 4
    states, always = node(), node()
    for one in (states, always):
        one.fold(chunk(0, bright))
        look(one)
    states.change(StatesParameters("window", WINDOW))
    for k in (1, 2, 3):
        for one in (states, always):
            one.fold(chunk(8 * k, [10, 12, 9, 11, 10, 10, 1600, 1590]))
            look(one)
    states.change(StatesParameters("window", "auto"))
    now = look(states)
    same(now, look(always))
    assert now["selection"]["on_photons"] == 3 * (1600 + 1590)


@pytest.mark.parametrize("on", ["auto", (500.0, 1000.0)])
def test_the_end_can_be_stated_again_after_a_change(on):
    counts = [10, 400, 12, 390, 9, 410, 11, 405, 8, 3]
    states, fresh = node(), node(on)
    for one in (states, fresh):
        one.fold(chunk(0, counts, cut=7))
        one.close()
    first = look(states, final=True)
    same(look(states, final=True), first)
    states.change(StatesParameters("window", WINDOW))
    assert look(states, final=True)["selection"]["on_photons"] == 0
    states.change(StatesParameters("window", on))
    same(look(states, final=True), look(fresh, final=True))


windows = st.one_of(
    st.just("auto"),
    st.tuples(st.integers(0, 2000), st.integers(1, 2000)).map(lambda w: (float(w[0]), float(w[0] + w[1]))),
)
pieces = st.lists(
    st.tuples(st.lists(st.integers(0, 900), min_size=1, max_size=9), st.booleans(), st.none() | windows),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40)
@given(pieces=pieces, last=windows, cut=st.integers(0, TICKS - 1))
def test_what_a_window_was_in_between_leaves_no_trace(pieces, last, cut):
    """The selection is that of a run which had the last window from the start, on the way and at the end."""
    moved, fresh = node(), node(last)
    first = 0
    for k, (counts, seen, window) in enumerate(pieces):
        if window is not None:
            moved.change(StatesParameters("window", window))
        piece = chunk(first, counts, cut if k == len(pieces) - 1 else 0)
        first += len(counts)
        moved.fold(piece)
        fresh.fold(piece)
        if seen:
            look(moved)
    moved.change(StatesParameters("window", last))
    same(look(moved), look(fresh))
    same(look(moved, final=True), look(fresh, final=True))


def test_bins_in_a_gap_are_of_no_level():
    counts = [50] * 30 + [0] * 40 + [50] * 30
    with_gap, without = node((1000.0, 1e6)), node((1000.0, 1e6))
    with_gap.fold(chunk(0, counts, blind=range(30, 70)))
    without.fold(chunk(0, [n for n in counts if n]))
    one, other = (look(states, final=True)["selection"] for states in (with_gap, without))
    assert one["recorded_s"] == pytest.approx(60 * BIN_S)
    assert one["levels"] == other["levels"]
