"""Counting pairs: against all pairs taken at once, by hand, in pieces, and where it must give up."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes import pairs as module
from photonstream.nodes.kernels.coincidence import MOST_PARTNERS, Photons
from photonstream.nodes.pairs import CLASSES, Pairs, pulse_scale, time_scale

# A period of 200 TCSPC bins of 1 ns.
SCALE = pulse_scale(3, 200e-9, 1e-9)


def photons(key, channel, dtime=None, row=None):
    key = np.asarray(key, np.uint64)
    dtime = np.zeros(len(key), np.uint16) if dtime is None else np.asarray(dtime, np.uint16)
    row = np.ones(len(key), np.int32) if row is None else np.asarray(row, np.int32)
    return Photons(key, np.asarray(channel, np.uint8), dtime, row)


def counted(scale, *chunks):
    pairs = Pairs(scale)
    for chunk in chunks:
        pairs.add(chunk, np.unique(chunk.row), np.unique(chunk.channel))
    return pairs


def cells(rows):
    """Non-zero classes as {(level, separation, class, class): pairs}."""
    reach = rows["classes"].shape[1] // 2
    return {
        (int(rows["labels"][r]), int(k) - reach, int(a), int(b)): int(rows["classes"][r, k, a, b])
        for r, k, a, b in np.argwhere(rows["classes"])
    }


def test_pairs_made_by_hand():
    # Channel 0 at pulses 0, 5; channel 1 at 0, 2, 9: separations 0, +2, -3 are within reach; 9 - 5 = 4 is not.
    pairs = counted(SCALE, photons([0, 0, 2, 5, 9], [0, 1, 1, 0, 1], [0, 30, 199, 100, 7]))
    assert pairs.totals() == [(0, 1, 3)]
    # Classes of 12.5 bins: 0 -> 0, 30 -> 2, 199 -> 15, 100 -> 8.
    assert cells(pairs.rows(0, 1)) == {(0, 0, 0, 2): 1, (0, 2, 0, 15): 1, (0, -3, 8, 15): 1}
    delays = pairs.rows(0, 1)["delays"][0]
    centre_s = SCALE.start_s + (np.arange(SCALE.bins) + 0.5) * SCALE.bin_s
    # Delays of 30, 2 * 200 + 199 and -3 * 200 + 99 ns.
    assert centre_s[np.flatnonzero(delays)] == pytest.approx([-501e-9, 30e-9, 599e-9], abs=1e-15)


def test_a_pair_across_levels_is_counted_apart():
    rows = counted(SCALE, photons([0, 0, 1], [0, 1, 1], row=[5, 5, 9])).rows(0, 1)
    assert cells(rows) == {(4, 0, 0, 0): 1, (-1, 1, 0, 0): 1}


def test_without_pulses_the_delay_is_the_difference_of_times():
    scale = time_scale(10e-9, 4, 1e-9)
    assert (scale.bins, scale.bin_s, scale.start_s) == (4, 5e-9, pytest.approx(-10.5e-9))
    rows = counted(scale, photons([100, 104, 109, 111, 300], [1, 0, 0, 0, 1])).rows(0, 1)
    # Time on channel 1 less that on channel 0: -4, -9 and -11 (outside).
    assert rows["delays"].tolist() == [[1, 1, 0, 0]]


def test_only_the_channels_that_are_there_have_pairs():
    pairs = counted(SCALE, photons([0, 0, 0, 1], [7, 2, 30, 2]))
    assert pairs.totals() == [(2, 7, 2), (2, 30, 2), (7, 30, 1)]
    assert pairs.detectors == 3


streams = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 3]), st.integers(0, 210), st.integers(1, 3)),
    max_size=40,
)


def columns(stream):
    steps, channel, dtime, row = (np.array([each[k] for each in stream], np.int64) for k in range(4))
    return photons(np.cumsum(steps), channel, dtime, row)


@settings(max_examples=60)
@given(streams)
def test_all_pairs_taken_at_once_give_the_same(stream):
    p = columns(stream)
    pairs = counted(SCALE, p)
    for low, high in ((0, 1), (0, 3), (1, 3)):
        a, b = np.flatnonzero(p.channel == low), np.flatnonzero(p.channel == high)
        separation = p.key[b][None, :].astype(int) - p.key[a][:, None].astype(int)
        i, j = np.nonzero(np.abs(separation) <= 3)
        level = np.where(p.row[a[i]] == p.row[b[j]], p.row[a[i]] - 1, -1)
        # Classes are sixteenths of the period; what lies beyond it is in the last one.
        of_a, of_b = (np.minimum(p.dtime[x] / 12.5, CLASSES - 1).astype(int) for x in (a[i], b[j]))
        keys, n = np.unique(np.stack([level, separation[i, j], of_a, of_b]), axis=1, return_counts=True)
        expected = {tuple(int(x) for x in key): int(m) for key, m in zip(keys.T, n, strict=True)}
        if expected:
            assert cells(pairs.rows(low, high)) == expected
        assert sum(m for x, y, m in pairs.totals() if (x, y) == (low, high)) == len(i)


@settings(max_examples=60)
@given(streams, st.lists(st.integers(0, 40), max_size=8))
def test_any_split_gives_the_same(stream, cuts):
    p = columns(stream)
    edges = [0, *sorted(min(c, len(stream)) for c in cuts), len(stream)]
    pieces = [Photons(*(c[a:b] for c in p)) for a, b in pairwise(edges)]
    whole, split = counted(SCALE, p), counted(SCALE, *pieces)
    assert whole.totals() == split.totals()
    for low, high, _ in whole.totals():
        for name, values in whole.rows(low, high).items():
            np.testing.assert_array_equal(values, split.rows(low, high)[name])


def test_a_long_stream_is_exact_over_the_blocks_of_the_kernel():
    # Every pulse gives a photon on both channels: 2 K + 1 - |k| ... pairs, but for the ends.
    n = 10_000
    pairs = counted(SCALE, photons(np.repeat(np.arange(n), 2), np.tile([0, 1], n)))
    found = pairs.rows(0, 1)["classes"].sum(axis=(0, 2, 3))
    assert found.tolist() == [n - abs(k) for k in range(-3, 4)]


@pytest.mark.parametrize("piece", [100, 100_000])
def test_time_that_stands_still_ends_the_counting_with_a_reason(piece):
    p = photons(np.zeros(MOST_PARTNERS + 2), np.arange(MOST_PARTNERS + 2) % 2)
    fits = counted(
        SCALE,
        *(Photons(*(c[a : min(a + piece, len(p.key) - 1)] for c in p)) for a in range(0, len(p.key), piece)),
    )
    assert fits.problem == ""
    assert sum(m for *_, m in fits.totals()) == ((MOST_PARTNERS + 1) // 2) * (MOST_PARTNERS // 2 + 1)
    stands = counted(SCALE, *(Photons(*(c[a : a + piece] for c in p)) for a in range(0, len(p.key), piece)))
    assert "time stands still" in stands.problem


def test_counts_that_grow_too_large_end_the_counting_with_a_reason(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10 * SCALE.cell_bytes)
    keys = 100 * np.repeat(np.arange(11), 2)
    rows = 1 + np.repeat(np.arange(11), 2)
    assert counted(SCALE, photons(keys[:20], np.tile([0, 1], 10), row=rows[:20])).problem == ""
    assert "too many labels" in counted(SCALE, photons(keys, np.tile([0, 1], 11), row=rows)).problem
