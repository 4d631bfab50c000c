"""The trace of the live page: from tiles to the columns, axes and words of what a tab shows of it. Pure."""

from __future__ import annotations

import math

import numpy as np

from photonstream.dashboard.axes import round_above
from photonstream.dashboard.latest import RUN, STATUS, TRACE, Latest
from photonstream.dashboard.live_panels import Update, none_yet
from photonstream.dashboard.numbers import MS, quantity
from photonstream.dashboard.panels.trace import (
    LINE_COLORS,
    line_words,
    note_columns,
    trace_columns,
    trace_key,
)
from photonstream.dashboard.recording_events import gap_spans, note_marks
from photonstream.dashboard.tiles import TraceTiles
from photonstream.dashboard.views import Envelope
from photonstream.nodes.tag_source import EVENTS

# As many columns as a wide screen has pixels in the trace's frame, or fewer.
TRACE_COLUMNS = 1200
# Fewer bins of the trace than this are drawn in the bins of the states.
FEW_BINS = 300

_NOTHING = np.empty(0)
NO_TRACE = Envelope(np.zeros(1), _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING)

# A part of the trace: first and last second, or how many of its last seconds; None: all of it.
Part = tuple[float, float] | float | None


def part_of(value: object) -> Part:
    """A part as a browser says it. Raises TypeError or ValueError for what is none."""
    if value is None:
        return None
    ends = [value] if isinstance(value, int | float) else [*value] if isinstance(value, list | tuple) else []
    numbers = [float(end) for end in ends]
    if len(numbers) not in (1, 2) or not all(map(math.isfinite, numbers)) or numbers[-1] <= 0:
        raise ValueError("a part of the trace is two times, or how many of its last seconds")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def trace_view(latest: Latest, part_s: Part = None) -> Update:
    """The whole trace, or ``part_s`` of it, decimated to the screen."""
    tiles = latest.tiles
    if not tiles.bins:
        return {
            "data": trace_columns(NO_TRACE),
            "say": {"trace": _no_trace_yet(latest)},
            "html": {"trace-key": ""},
        }
    start_s, stop_s = _ends(latest, part_s)
    shown, bin_s = live_envelope(tiles, start_s, stop_s)
    gaps_s = gap_spans(latest.value("source", EVENTS).get("events"))
    columns = trace_columns(shown, gaps_s)
    # A tenth of a millionth of a rate is not seen, and this is most of what goes to a page.
    for name in LINE_COLORS:
        columns[name]["y"] = columns[name]["y"].astype(np.float32)
    update: Update = {"data": columns, "say": {"trace": ""}}
    highest = float(np.nanmax(shown.high, initial=0.0)) if bin_s < tiles.bin_s else 0.0
    update["ranges"] = {"rates": rate_ends(tiles, highest)}
    states = [state for state in tiles.states_seen if tiles.is_on(state)], tuple(shown.others)
    update["html"] = {"trace-key": f"{trace_key(*states)}&middot; bins of {quantity(bin_s, MS, 3)}"}
    words = line_words(*states)
    update["models"] = {
        f"legend {name}": {"visible": name in words, "label": {"value": words.get(name, "")}}
        for name in LINE_COLORS
    }
    if not isinstance(part_s, tuple):
        update["ranges"]["time"] = (start_s, stop_s)
    return update


def notes_view(latest: Latest) -> Update:
    """Where on the trace somebody has said something, and what."""
    said = latest.value(RUN, STATUS).get("notes")
    marks = note_marks(latest.value("source", EVENTS).get("events"), said)
    return {"data": {"trace_notes": note_columns(marks)}}


def _ends(latest: Latest, part_s: Part) -> tuple[float, float]:
    if isinstance(part_s, tuple):
        return part_s
    if part_s is None:
        return 0.0, _trace_end_s(latest)
    reached_s = latest.tiles.bins * latest.bin_s
    return max(0.0, reached_s - part_s), max(part_s, reached_s)


def live_envelope(tiles: TraceTiles, start_s: float, stop_s: float) -> tuple[Envelope, float]:
    """The extremes of the rates from ``start_s`` to ``stop_s`` (seconds), in TRACE_COLUMNS columns or fewer.

    And the width in seconds of the bins that they are of: those of the trace, or where these would be few, the short
    bins of the states as far as they are known.
    """
    bins = max(1.0, (stop_s - start_s) / tiles.bin_s)
    first, stop = math.floor(start_s / tiles.bin_s), math.ceil(stop_s / tiles.bin_s)
    bin_s, columns = tiles.bin_s, None
    if bins < FEW_BINS:
        per_column = math.ceil(bins * tiles.fine.per_bin / TRACE_COLUMNS)
        columns, bin_s = tiles.fine_columns(first, stop, per_column), tiles.fine.bin_s
    if columns is None:
        columns, bin_s = tiles.columns(first, stop, math.ceil(bins / TRACE_COLUMNS)), tiles.bin_s
    kcps = 1.0 / (1e3 * bin_s)
    others = {
        state: (columns.state_low[state] * kcps, columns.state_high[state] * kcps)
        for state in tiles.states_seen
        if state and not tiles.is_on(state)
    }
    shown = Envelope(
        columns.edges.astype(np.float64) * bin_s,
        columns.low * kcps,
        columns.high * kcps,
        columns.on_low * kcps,
        columns.on_high * kcps,
        columns.on_share,
        others,
    )
    return shown, bin_s


def rate_ends(tiles: TraceTiles, least_kcps: float = 0.0) -> tuple[float, float]:
    """Ends of the rate axis in kcps, which reaches to ``least_kcps`` at least."""
    highest = max(least_kcps, tiles.highest / (1e3 * tiles.bin_s) if tiles.bin_s else 0.0)
    top = round_above(1.03 * highest) if highest > 0 else 1.0
    return -0.03 * top, top


def _trace_end_s(latest: Latest) -> float:
    """Where the axis of time ends: the recording's end where it is known, else the next round number."""
    reached_s = latest.tiles.bins * latest.bin_s
    ended = latest.end_s
    if ended is not None and ended[1]:
        return max(ended[0], reached_s)
    return round_above(max(reached_s, latest.bin_s))


def _no_trace_yet(latest: Latest) -> str:
    words = "No bin of the trace" if latest.opening is not None else "No data"
    return none_yet(latest, words, "intensity", TRACE)
