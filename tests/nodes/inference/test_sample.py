"""What is kept of a recording to learn from: the same blocks however the bins come in."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.inference import sample as module
from photonstream.nodes.inference.sample import NO_CLASS, Sample

BLOCK = 8


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BINS", BLOCK)
    monkeypatch.setattr(module, "MOST_BLOCKS", 4)
    monkeypatch.setattr(module, "MOST_PHOTONS", 1000)


def recording(bins, seed=1, rate=3.0):
    rng = np.random.default_rng(seed)
    photons = rng.poisson(rate, bins)
    n = int(photons.sum())
    return photons, rng.integers(0, 2, n).astype(np.uint8), rng.integers(0, 500, n).astype(np.uint16)


def taken(recording, cuts=(), shift=2, limit=400, most=None):
    photons, channel, dtime = recording
    offsets = np.concatenate([[0], np.cumsum(photons)])
    kept = Sample(shift, limit)
    edges = [0, *sorted(cuts), len(photons)]
    for a, b in itertools.pairwise(edges):
        part = slice(offsets[a], offsets[b])
        kept.add(offsets[a : b + 1] - offsets[a], channel[part], dtime[part])
    return kept.taken(most)


def blocks(recording, numbers, shift=2, limit=400):
    """The named blocks, cut out by hand."""
    photons, channel, dtime = recording
    offsets = np.concatenate([[0], np.cumsum(photons)])
    bins = np.concatenate([np.arange(n * BLOCK, min((n + 1) * BLOCK, len(photons))) for n in numbers])
    chosen = np.concatenate([np.arange(offsets[b], offsets[b + 1]) for b in bins])
    classes = np.where(dtime[chosen] < limit, dtime[chosen] >> shift, NO_CLASS)
    return photons[bins], channel[chosen], classes


def same(block, expected):
    for one, other in zip((block.photons, block.channel, block.classes), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("bins", "numbers"),
    [
        (5, [0]),
        (32, [0, 1, 2, 3]),
        (39, [0, 1, 2, 3, 4]),
        # The fifth whole block is one too many: every second one goes.
        (40, [0, 2, 4]),
        (48, [0, 2, 4]),
        (50, [0, 2, 4, 6]),
        (72, [0, 4, 8]),
    ],
)
def test_blocks_spread_over_the_whole_recording(bins, numbers):
    made = recording(bins)
    same(taken(made), blocks(made, numbers))


@pytest.mark.parametrize(
    ("most", "numbers"), [(1, [0]), (2, [0, 3]), (3, [0, 2, 4]), (5, range(5)), (9, range(5))]
)
def test_fewer_blocks_are_spread_as_evenly(most, numbers):
    made = recording(39)
    for cuts in ((), range(1, 39), (33, 34, 38)):
        same(taken(made, cuts, most=most), blocks(made, numbers))


@given(st.integers(1, 200), st.lists(st.integers(0, 200), max_size=6))
def test_any_split_keeps_the_same(bins, cuts):
    made = recording(bins)
    whole, parts = taken(made), taken(made, [min(c, bins) for c in cuts])
    same(parts, (whole.photons, whole.channel, whole.classes))


def test_of_a_bright_recording_fewer_blocks_are_kept_but_never_less_than_two():
    made = recording(200, rate=100.0)
    kept = taken(made)
    assert 2 * BLOCK <= len(kept.photons) <= 3 * BLOCK


def test_nothing_is_kept_of_nothing():
    kept = Sample(0, 10).taken()
    assert not len(kept.photons)
    assert not len(kept.channel)
