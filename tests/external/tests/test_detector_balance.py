"""The node by itself: photons whose counts are known, and any split of any photons."""

from itertools import pairwise

import numpy as np
import pytest
from detector_balance import Balance, BalanceParameters
from hypothesis import given
from hypothesis import strategies as st

from photonstream.stream.chunk import Chunk, StreamInfo
from photonstream.stream.node import Opening

END = 3500
INFO = StreamInfo(
    format="made",
    record_type="made",
    mode="T3",
    macrotime_unit_s=1e-3,
    dtime_resolution_s=1e-9,
    sync_rate_hz=1e3,
    sync_divider=1,
    channels=4,
)


def run(macrotime, channel, cuts=(), looked_at=(), **parameters):
    """The node after photons up to END, given in pieces that stop at ``cuts``; looked at before some of them."""
    node = Balance("balance", BalanceParameters(**parameters))
    node.open(Opening(INFO))
    for k, (start, stop) in enumerate(pairwise([0, *sorted(cuts), END])):
        if k in looked_at:
            list(node.snapshot(final=False))
        first, last = (int(i) for i in np.searchsorted(macrotime, np.array([start, stop], np.uint64)))
        columns = {"macrotime": macrotime[first:last], "channel": channel[first:last]}
        list(node.fold(Chunk(k, start, stop, last - first, columns)))
    list(node.close())
    return node


def final(node):
    return {result.key: result.value for result in node.snapshot(final=True)}


def photons(*pairs):
    return np.array([t for t, _ in pairs], np.uint64), np.array([c for _, c in pairs], np.uint8)


def test_known_photons_are_counted_where_they_are():
    node = run(*photons((0, 0), (999, 0), (999, 1), (1000, 2), (2400, 1)), least_photons=2)
    windows = final(node)["windows"]
    assert windows["window_s"] == pytest.approx(1.0)
    assert windows["complete"] == 3
    assert windows["counts"].tolist() == [[2, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(windows["shares"][0], [2 / 3, 1 / 3, 0])
    assert np.isnan(windows["shares"][1:]).all()


recordings = st.lists(st.tuples(st.integers(0, END - 1), st.integers(0, 3)), max_size=40).map(sorted)


@given(recordings, st.lists(st.integers(0, END), max_size=10), st.sets(st.integers(0, 10)))
def test_any_split_gives_the_same_result(pairs, cuts, looked_at):
    whole = run(*photons(*pairs))
    pieces = run(*photons(*pairs), cuts=cuts, looked_at=looked_at)
    assert pieces.ledger.ended == whole.ledger.ended
    assert sum(whole.ledger.ended.values()) == len(pairs)
    expected, found = final(whole), final(pieces)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].keys() == value.keys()
        for name in value:
            np.testing.assert_array_equal(found[key][name], value[name], strict=True)


@given(recordings, st.integers(0, 50))
def test_a_live_parameter_changed_late_is_as_good_as_one_given_at_once(pairs, least):
    late = run(*photons(*pairs))
    late.change(BalanceParameters(least_photons=least))
    at_once = run(*photons(*pairs), least_photons=least)
    np.testing.assert_array_equal(final(late)["windows"]["shares"], final(at_once)["windows"]["shares"])


def test_a_result_stays_as_it_was_given():
    node = run(*photons((5, 0), (7, 1)), cuts=[10])
    before = final(node)["windows"]["counts"]
    node.fold(Chunk(2, END, END + 1, 1, dict(zip(("macrotime", "channel"), photons((END, 0)), strict=True))))
    assert before.sum() == 2
    assert final(node)["windows"]["counts"].sum() == 3
