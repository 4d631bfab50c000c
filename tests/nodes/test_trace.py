"""The trace in tiles: what is published of it, when, and that it is the same trace however it came about."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes import trace
from photonstream.nodes.intensity import Intensity, IntensityParameters
from photonstream.nodes.trace import Tiles, assemble
from photonstream.stream.chunk import Chunk, StreamInfo
from photonstream.stream.node import Opening

UNIT_S = 1e-3
INFO = StreamInfo("test", "none", "T3", UNIT_S, 1e-10, 1 / UNIT_S, 1, 4)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(trace, "TILE_BINS", 4)


def node(bin_ticks=10):
    made = Intensity("intensity", IntensityParameters(bin_ticks * UNIT_S))
    made.open(Opening(INFO))
    return made


def chunk(start, stop, times=(), channels=()):
    columns = {
        "macrotime": np.array(times, np.uint64),
        "dtime": np.zeros(len(times), np.uint16),
        "channel": np.array(channels, np.uint8),
    }
    return Chunk(0, start, stop, len(times), columns)


def look(intensity, *, final=False):
    results = list(intensity.snapshot(final=final))
    assert all(result.final is final for result in results)
    return {result.key: result.value for result in results}


def test_only_tiles_that_changed_are_given_and_at_the_end_all_of_them():
    intensity = node()
    assert look(intensity) == {"trace": {"tiles": 0, "bins": 0, "bin_s": pytest.approx(0.01), "end_s": 0.0}}
    # Bins 0 to 5 are complete, bin 6 is not.
    intensity.fold(chunk(0, 65, [3, 12, 12, 44], [0, 1, 1, 0]))
    first = look(intensity)
    assert list(first) == ["trace/0", "trace/1", "trace"]
    assert first["trace/0"]["counts"].tolist() == [[1, 0], [0, 2], [0, 0], [0, 0]]
    assert first["trace/1"]["counts"].tolist() == [[1], [0]]
    assert (first["trace/1"]["first"], first["trace/1"]["bins"]) == (4, 2)
    assert first["trace/1"]["end_s"] == pytest.approx(0.06)
    assert first["trace"] == {
        "tiles": 2,
        "bins": 6,
        "bin_s": pytest.approx(0.01),
        "end_s": pytest.approx(0.06),
    }
    assert list(look(intensity)) == ["trace"]
    intensity.fold(chunk(65, 71))
    assert list(look(intensity)) == ["trace/1", "trace"]
    intensity.fold(chunk(71, 85))
    assert list(look(intensity)) == ["trace/1", "trace"]
    # Tile 1 is full: it is not given again before the end.
    intensity.fold(chunk(85, 93, [86, 92], [2, 0]))
    third = look(intensity)
    assert list(third) == ["trace/2", "trace"]
    assert third["trace/2"]["counts"].tolist() == [[0, 0, 1]]
    intensity.close()
    last = look(intensity, final=True)
    assert list(last) == ["trace/0", "trace/1", "trace/2", "trace"]
    assert last["trace/2"]["counts"].tolist() == [[0, 0, 1], [1, 0, 0]]
    # The recording ends within its last bin.
    assert last["trace/2"]["end_s"] == last["trace"]["end_s"] == pytest.approx(0.093)
    whole = assemble(last)
    assert whole["counts"].sum(axis=1).tolist() == [1, 2, 0, 0, 1, 0, 0, 0, 1, 1]
    assert whole["counts"].shape == (10, 3)
    assert (whole["bins"], whole["end_s"]) == (10, last["trace"]["end_s"])


def test_a_tile_is_handed_out_by_reference_and_stays_as_it_was():
    tiles = Tiles()
    tiles.add(np.array([[1], [2]], np.uint32))
    _, early = tiles.tile(0)
    with pytest.raises(ValueError, match="read-only"):
        early[0, 0] = 7
    tiles.add(np.array([[3, 0], [4, 0], [5, 9]], np.uint32))
    assert early.tolist() == [[1], [2]]
    assert np.shares_memory(early, tiles.tile(0)[1])
    # A channel that counts for the first time leaves full tiles alone, and what was handed out of the last one.
    _, last = tiles.tile(1)
    tiles.add(np.array([[0, 0, 8]], np.uint32))
    assert last.tolist() == [[5, 9]]
    assert tiles.tile(0)[1].shape == (4, 1)
    assert tiles.tile(1)[1].tolist() == [[5, 9, 0], [0, 0, 8]]


@given(cuts=st.sets(st.integers(1, 129)))
def test_bins_in_gaps_are_told_however_the_gaps_come(cuts):
    intensity = node()
    # A gap within bins, one over several tiles, and one with a photon in it, which tells that somebody looked.
    gaps, photons = [(3, 7), (15, 60), (75, 100)], np.array([5, 12, 83])
    edges = sorted({0, *cuts, 130})
    for start, stop in pairwise(edges):
        times = photons[(photons >= start) & (photons < stop)]
        part = chunk(start, stop, times, np.zeros(len(times)))
        pieces = [(max(a, start), min(b, stop)) for a, b in gaps if a < stop and b > start]
        blind = np.array(pieces, np.int64).reshape(-1, 2)
        intensity.fold(Chunk(0, start, stop, part.events, {**part.columns, "blind": blind}))
    list(intensity.close())
    found = assemble(look(intensity, final=True))
    assert np.flatnonzero(found["unseen"]).tolist() == [2, 3, 4, 5, 9]


@pytest.mark.parametrize(("gap_from", "unseen"), [(80, [8, 9, 10]), (85, [9, 10]), (101, [])])
def test_a_recording_may_end_in_a_gap(gap_from, unseen):
    intensity = node()
    gap = {"blind": np.array([[gap_from, 105]], np.int64)}
    intensity.fold(Chunk(0, 0, 105, 0, {**chunk(0, 105).columns, **gap}))
    list(intensity.close())
    assert np.flatnonzero(assemble(look(intensity, final=True))["unseen"]).tolist() == unseen


def test_a_trace_of_tiles_from_different_times_ends_where_one_is_missing_or_not_full():
    def tile(first, bins):
        counts = np.arange(first, first + bins, dtype=np.uint32)[:, None]
        unseen = np.empty((0, 2), np.int64)
        extent = {"bin_s": 1.0, "first": first, "bins": bins, "end_s": float(first + bins)}
        return {**extent, "counts": counts, "unseen": unseen}

    index = {"bin_s": 1.0, "bins": 99, "end_s": 99.0, "tiles": 25}
    assert assemble({"trace": index})["counts"].shape == (0, 1)
    late = assemble({"trace": index, "trace/0": tile(0, 4), "trace/1": tile(4, 3), "trace/2": tile(8, 4)})
    assert late["counts"][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert late["end_s"] == 7.0
    gone = assemble({"trace": index, "trace/0": tile(0, 4), "trace/2": tile(8, 4)})
    assert gone["bins"] == len(gone["counts"]) == 4


@given(data=st.data())
def test_any_split_and_any_times_of_looking_give_the_same_trace(data):
    stop = data.draw(st.integers(1, 400), label="stop")
    times = sorted(data.draw(st.lists(st.integers(0, stop - 1), max_size=60), label="times"))
    channels = [data.draw(st.integers(0, 3)) for _ in times]
    width = data.draw(st.integers(1, 40), label="bin width")
    cuts = sorted(data.draw(st.lists(st.integers(0, stop), max_size=8), label="cuts"))
    intensity = node(width)
    seen = {}
    for begin, end in zip([0, *cuts], [*cuts, stop], strict=True):
        here = [k for k, t in enumerate(times) if begin <= t < end]
        intensity.fold(chunk(begin, end, [times[k] for k in here], [channels[k] for k in here]))
        if data.draw(st.booleans(), label="look"):
            seen |= look(intensity)
            known = assemble(seen)
            assert known["bins"] == seen["trace"]["bins"] == end // width
    intensity.close()
    final = look(intensity, final=True)
    assert set(seen) <= set(final)
    bins = -(-stop // width)
    expected = np.zeros((bins, max(channels, default=0) + 1), int)
    for t, c in zip(times, channels, strict=True):
        expected[t // width, c] += 1
    whole = assemble(final)
    np.testing.assert_array_equal(whole["counts"], expected)
    assert whole["counts"].dtype == np.uint32
    assert whole["end_s"] == pytest.approx(stop * UNIT_S)
    # Not only the whole, each tile is the same as without a cut.
    alone = node(width)
    alone.fold(chunk(0, stop, times, channels))
    alone.close()
    once = look(alone, final=True)
    assert set(once) == set(final)
    for key in set(once) - {"trace"}:
        assert once[key]["counts"].shape == final[key]["counts"].shape
        assert once[key]["end_s"] == final[key]["end_s"]
