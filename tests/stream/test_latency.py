"""Stamps and what is measured by them, at moments that the test sets."""

import numpy as np
import pytest

from photonstream.stream.latency import FIRST_S, Latency, Stamps, newest
from photonstream.stream.wire import ChunkSent, ResultSent, WireError, decode, encode

SECOND = 10**9
MS = 10**6


def noted(late_ms, start=0, step=SECOND):
    """A latency that has noted these, one every ``step`` ns."""
    latency = Latency()
    for k, late in enumerate(late_ms):
        now = start + k * step
        latency.note(now - round(late * MS), now)
    return latency


def test_nothing_noted_is_nothing_known():
    latency = Latency()
    latency.note(None, 5 * SECOND)
    assert latency.value(6 * SECOND) == {"minute": None, "run": None}


def test_median_and_99_percent_point_are_right_to_3_percent():
    late_ms = np.random.default_rng(1).lognormal(3.0, 0.3, 5000)
    run = noted(late_ms, 10 * SECOND).value(5010 * SECOND)["run"]
    assert run["count"] == 5000
    # Half a bin of 1/40 decade, and a little more since the points lie between two of the values.
    assert run["median_s"] == pytest.approx(1e-3 * np.median(late_ms), rel=0.032)
    assert run["p99_s"] == pytest.approx(1e-3 * np.quantile(late_ms, 0.99), rel=0.045)


def test_the_last_minute_forgets_and_the_run_does_not():
    latency = noted([1.0] * 100)
    now = 200 * SECOND
    latency.note(now - 50 * MS, now)
    value = latency.value(now)
    assert (value["minute"]["count"], value["run"]["count"]) == (1, 101)
    assert value["minute"]["median_s"] == pytest.approx(0.05, rel=0.03)
    assert value["run"]["median_s"] == pytest.approx(1e-3, rel=0.03)
    assert latency.value(now + 61 * SECOND)["minute"] is None


def test_the_same_photons_again_are_no_news():
    latency = Latency()
    latency.note(5 * SECOND, 5 * SECOND + MS)
    latency.note(5 * SECOND, 90 * SECOND)
    latency.note(4 * SECOND, 91 * SECOND)
    assert latency.value(91 * SECOND)["run"]["count"] == 1


@pytest.mark.parametrize(("late_s", "shown_s"), [(-1.0, FIRST_S), (0.0, FIRST_S), (1e6, 1e3)])
def test_what_lies_beyond_the_ends_is_at_the_ends(late_s, shown_s):
    latency = Latency()
    latency.note(0, round(late_s * SECOND))
    assert latency.value(0)["run"]["median_s"] == pytest.approx(shown_s, rel=0.03)


def test_what_a_fold_gives_has_the_stamp_of_the_chunk_that_reaches_its_end():
    stamps = Stamps()
    for stop, stamp in ((8, 100), (16, 200), (24, 300)):
        stamps.take(stop, stamp)
    assert [stamps.of(stop) for stop in (5, 8, 10, 16, 20)] == [100, 100, 200, 200, 300]
    assert stamps.newest == 300
    stamps.take(32, None)
    assert stamps.of(30) is None
    assert stamps.newest == newest(None, 300, 200) == 300
    # What comes at the very end may reach beyond all that was taken.
    assert Stamps().of(7) is None
    assert stamps.of(99) is None


@pytest.mark.parametrize("stamp", [None, 0, 2**62])
def test_a_stamp_travels_beside_what_carries_it(stamp):
    for message in (
        ChunkSent(0, 1, 2, 3, 4, 5, {}, stamp),
        ResultSent(0, 1, "node", "key", False, {}, stamp),
    ):
        frames = encode(message)
        assert decode(frames) == message
        assert (b"stamp" in frames[0]) == (stamp is not None)


@pytest.mark.parametrize("stamp", [-1, True, 1.5, "now"])
def test_a_stamp_that_is_none_is_refused(stamp):
    with pytest.raises(WireError, match="stamp"):
        decode(encode(ResultSent(0, 1, "node", "key", False, {}, stamp)))
