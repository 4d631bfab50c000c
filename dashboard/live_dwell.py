"""Dwell times on the live page: how long the emitter stays in the selected state and out of it. Pure."""

from __future__ import annotations

import numpy as np

from photonstream.dashboard.axes import log_ends
from photonstream.dashboard.folder import Curve
from photonstream.dashboard.latest import Latest
from photonstream.dashboard.live_panels import Update, none_yet
from photonstream.dashboard.panels.dwell import dwell_ends, dwell_sides
from photonstream.nodes.dwells import dwell_table, dwells_of_bins
from photonstream.nodes.inference.rows import HIDDEN_MARKOV

# Of a window, dwells are those of the bins that were recorded last: a page counts no more of them anew every time.
MOST_BINS = 1_000_000


def dwell_view(latest: Latest) -> Update:
    """Densities of complete dwells with both models of their lengths, or why there are none."""
    selection, tiles = latest.value("states", "selection"), latest.tiles
    if selection.get("method") == HIDDEN_MARKOV:
        times = latest.value("states", "dwell").get("times")
    else:
        bins = tiles.on(MOST_BINS), tiles.unseen(MOST_BINS)
        times = dwells_of_bins(*bins, tiles.bin_s) if tiles.bins else None
    table = dwell_table(times).get("dwell", [])
    sides = dwell_sides(Curve({column.name: np.asarray(column.values, float) for column in table}))
    ends = dwell_ends(sides)
    if ends is None:
        words = none_yet(latest, "No complete dwells", "states", "selection")
        return {"data": sides, "say": {"dwell": words}}
    times_s, densities = ends
    return {
        "data": sides,
        "ranges": {"dwell": log_ends(*times_s), "density": log_ends(*densities)},
        "say": {"dwell": str((times or {}).get("unbelieved", ""))},
    }
