"""The trace close by: the short bins of the states in place of those of the trace, every state in its colour."""

import numpy as np
import pytest

from photonstream.dashboard.fine import FineTrace
from photonstream.dashboard.latest import Latest
from photonstream.dashboard.live_trace import FEW_BINS, trace_view
from photonstream.dashboard.tiles import BLOCK, TraceTiles
from photonstream.nodes.inference.rows import HIDDEN_MARKOV, STATES, WINDOW
from photonstream.nodes.trace import FINE_TILE_BINS, FINE_TILES
from photonstream.stream.wire import Open, ResultSent

BIN_S, PER_BIN, TILE = 0.01, 10, 256


@pytest.fixture
def bins():
    """Counts and states of the short bins of 40 s, the states in stretches of a trace's bin or more."""
    rng = np.random.default_rng(3)
    states = np.repeat(rng.choice([1, 1, 2, 3], 4000), PER_BIN)
    return rng.poisson(np.array([0, 30, 12, 3])[states]), states


def fine_tiles(counts, states, size=FINE_TILE_BINS):
    for first in range(0, len(counts), size):
        yield {
            "first": first,
            "bin_s": BIN_S / PER_BIN,
            "per_bin": PER_BIN,
            "counts": counts[first : first + size].astype(np.uint16),
            "states": states[first : first + size].astype(np.uint8),
        }


def told(bins, *, on=1, method=HIDDEN_MARKOV, fine=True):
    """What a page knows of such a run."""
    counts, states = bins
    by_bin, of_bin = counts.reshape(-1, PER_BIN).sum(axis=1), states[::PER_BIN]
    results = []
    for first in range(0, len(by_bin), TILE):
        part = slice(first, first + TILE)
        tile = {"first": first, "bin_s": BIN_S, "counts": by_bin[part, None].astype(np.uint32)}
        tile["end_s"] = (first + len(tile["counts"])) * BIN_S
        results += [("intensity", f"trace/{first // TILE}", tile)]
        results += [
            ("states", f"states/{first // TILE}", {"first": first, "states": of_bin[part].astype(np.uint32)})
        ]
    if fine:
        results += [("states", f"fine/{k}", tile) for k, tile in enumerate(fine_tiles(*bins))]
    selection = {"method": method, "on_states": np.arange(STATES) == on, "on_levels": np.arange(100) > 40}
    results += [("states", "selection", selection), ("run", "status", {})]
    latest = Latest()
    latest.hear(Open("run-1", 0, "run", "latest", {}, {}), 0.0)
    for result in results:
        latest.hear(ResultSent(0, 0, *result[:2], False, result[2], None), 0.0)
    assert latest.refused == 0
    return latest


@pytest.mark.parametrize("per_column", [1, 7, 2 * BLOCK + 1, 300])
def test_every_state_keeps_its_extremes(bins, per_column):
    columns = told(bins).tiles.columns(0, 4000, per_column)
    counts, states = bins[0].reshape(-1, PER_BIN).sum(axis=1), bins[1][::PER_BIN]
    for k in range(len(columns.low)):
        part = slice(columns.edges[k], columns.edges[k + 1])
        for state in range(STATES):
            of_state = counts[part][states[part] == state]
            ends = (of_state.min(), of_state.max()) if of_state.size else (np.nan, np.nan)
            np.testing.assert_equal((columns.state_low[state, k], columns.state_high[state, k]), ends)


def test_close_by_the_trace_is_of_the_short_bins(bins):
    update = trace_view(told(bins), (10.0, 10.5))
    values = update["data"]["trace_values"]
    assert len(values["left"]) == 500
    np.testing.assert_allclose(values["left"], 10.0 + 0.001 * np.arange(500))
    np.testing.assert_allclose(values["low"], bins[0][10_000:10_500])
    np.testing.assert_allclose(values["selected"], 100 * (bins[1][10_000:10_500] == 1))
    for name, state in (("trace_on", 1), ("trace_other_0", 2), ("trace_other_1", 3)):
        drawn = np.nanmax(update["data"][name]["y"].reshape(-1, 4), axis=1, initial=-1)
        np.testing.assert_allclose(drawn, np.where(bins[1] == state, bins[0], -1)[10_000:10_500])
    assert np.isnan(update["data"]["trace_other_2"]["y"]).all()
    # Short bins scatter more: the axis holds all of them.
    assert update["ranges"]["rates"][1] >= bins[0][10_000:10_500].max()
    key = update["html"]["trace-key"]
    assert all(words in key for words in ("state 1, selected", "state 2", "state 3", "bins of 1\u00a0ms"))


def test_from_afar_it_is_of_its_own_bins_and_the_states_have_their_colours_all_the_same(bins):
    update = trace_view(told(bins))
    assert "bins of 10\u00a0ms" in update["html"]["trace-key"]
    assert np.isfinite(update["data"]["trace_other_1"]["y"]).any()
    far = trace_view(told(bins), (0.0, (FEW_BINS + 1) * BIN_S))
    assert "bins of 10\u00a0ms" in far["html"]["trace-key"]


def test_another_selected_state_changes_colours_with_it(bins):
    update = trace_view(told(bins, on=2), (10.0, 10.5))
    drawn = np.nanmax(update["data"]["trace_on"]["y"].reshape(-1, 4), axis=1, initial=-1)
    np.testing.assert_allclose(drawn, np.where(bins[1] == 2, bins[0], -1)[10_000:10_500])
    assert "state 2, selected" in update["html"]["trace-key"]


def test_a_window_selects_bins_of_the_trace_whatever_their_states(bins):
    update = trace_view(told(bins, method=WINDOW), (10.0, 10.5))
    by_bin = bins[0].reshape(-1, PER_BIN).sum(axis=1)
    on = np.repeat(by_bin >= 106, PER_BIN)[10_000:10_500]
    np.testing.assert_array_equal(update["data"]["trace_values"]["selected"] > 0, on)
    assert np.isnan(update["data"]["trace_other_0"]["y"]).all()
    assert "state" not in update["html"]["trace-key"]


def test_where_the_short_bins_are_not_known_those_of_the_trace_are_shown(bins):
    update = trace_view(told(bins, fine=False), (10.0, 10.5))
    assert len(update["data"]["trace_values"]["left"]) == 50
    assert "bins of 10\u00a0ms" in update["html"]["trace-key"]


def test_at_the_live_edge_short_bins_are_shown_as_far_as_they_are_known(bins):
    counts, states = (each.copy() for each in bins)
    latest = told((counts, states), fine=False)
    known = len(counts) - 3 * PER_BIN
    for k, tile in enumerate(fine_tiles(counts[:known], states[:known])):
        latest.hear(ResultSent(0, 0, "states", f"fine/{k}", False, tile, None), 0.0)
    end_s = len(counts) * BIN_S / PER_BIN
    update = trace_view(latest, (end_s - 0.5, end_s))
    drawn = update["data"]["trace_values"]
    assert len(drawn["left"]) == 500 - 3 * PER_BIN
    assert "bins of 1\u00a0ms" in update["html"]["trace-key"]


def test_only_so_many_tiles_are_kept():
    fine = FineTrace()
    counts, states = np.ones(4, int), np.ones(4, int)
    for first in range(0, 4 * (FINE_TILES + 5), 4):
        fine.take(next(fine_tiles(counts, states)) | {"first": first})
    assert fine.bins(0, 4) is None
    assert fine.bins(16, 24) is None
    assert len(fine.bins(20, 4 * (FINE_TILES + 5))[0]) == 4 * FINE_TILES


@pytest.mark.parametrize(
    "wrong",
    [{"counts": np.zeros(3)}, {"states": np.full(4, 9)}, {"first": -1}, {"per_bin": 0}, {"bin_s": 0.0}],
)
def test_what_is_no_fine_tile_is_refused(wrong):
    fine = FineTrace()
    with pytest.raises(ValueError, match="a fine tile has"):
        fine.take(next(fine_tiles(np.ones(4, int), np.ones(4, int))) | wrong)
    assert fine.bins(0, 4) is None


def test_without_states_nothing_is_marked():
    tiles = TraceTiles()
    tiles.take({"first": 0, "bin_s": BIN_S, "counts": np.ones((4, 1), np.uint32), "end_s": 4 * BIN_S})
    assert tiles.states_seen == []
    assert tiles.fine_columns(0, 4, 1) is None
