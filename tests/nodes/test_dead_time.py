"""A dead time that the photons contradict is said, one that they bear out is not."""

import numpy as np
import pytest

from photonstream.nodes.inference.dead_time import contradiction
from photonstream.nodes.kernels.waits import BINS, count_waits, wait_edges_s

PERIOD_S, DTIME_S = 200e-9, 1e-10


def waits_of(pieces):
    """Photons (macrotime, channel, dtime) in pieces."""
    found, last = np.zeros((2, BINS + 1), np.int64), np.zeros((2, 2), np.uint64)
    for piece in pieces:
        macrotime, channel, dtime = (np.array([p[k] for p in piece]) for k in range(3))
        columns = macrotime.astype(np.uint64), channel.astype(np.uint8), dtime.astype(np.uint16)
        count_waits(*columns, PERIOD_S, DTIME_S, wait_edges_s(), last, found)
    return found


def test_waits_are_counted_by_channel_across_chunks():
    edges_s = wait_edges_s()
    # On channel 0: 250 ns, then 30 ns; on channel 1 more than the longest, an hour.
    photons = [(0, 0, 100), (0, 1, 5), (1, 0, 600), (1, 0, 900), (18_000_000_000, 1, 5)]
    whole = waits_of([photons])
    assert whole.sum() == 3
    assert whole[0, np.searchsorted(edges_s, 250e-9, side="right")] == 1
    assert whole[0, np.searchsorted(edges_s, 30e-9, side="right")] == 1
    assert whole[1, BINS] == 1
    for cut in range(1, 5):
        np.testing.assert_array_equal(waits_of([photons[:cut], photons[cut:]]), whole)


def rows(waits_s):
    waits = np.bincount(np.searchsorted(wait_edges_s(), waits_s, side="right"), minlength=BINS + 1)
    return {"channels": np.array([3]), "waits": waits[None], "wait_edges_s": wait_edges_s()}


@pytest.mark.parametrize(
    ("dead_s", "given_s", "said"), [(0, 1e-6, 1), (25e-9, 25e-9, 0), (25e-9, 80e-9, 1), (0, 0, 0)]
)
def test_photons_within_a_dead_time_contradict_it(dead_s, given_s, said):
    # 50 kcps on one channel for 10 s.
    waits_s = dead_s + np.random.default_rng(3).exponential(20e-6, 500_000)
    words = contradiction(rows(waits_s), given_s, 10.0)
    assert bool(words) is bool(said)
    if said:
        assert "on channel 3" in words
