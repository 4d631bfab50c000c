"""The curves of a run as the panels want them: right unit, no more points than the eye can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from photonstream.dashboard.decimate import column_starts, extremes, rebin
from photonstream.dashboard.folder import Curve
from photonstream.dashboard.numbers import number

Floats = NDArray[np.float64]

MOST_DECAY_BINS = 2000
MODEL_PARTS = ("fit", "exciton", "fast", "background")
# What a live page knows besides: the instrument's response, and the selected photons of the first detectors.
EXTRAS = ("response", "detector_1", "detector_2")


@dataclass(frozen=True)
class Trace:
    """Rate of every bin in kcps, NaN in a gap; ``edges_s`` has one more; ``on`` marks bins whose photons are selected.

    ``state`` of each bin, 0 where nobody knows.
    """

    edges_s: Floats
    rate_kcps: Floats
    counts: Floats
    on: NDArray[np.bool_]
    state: NDArray[np.int64]

    @property
    def bin_s(self) -> float:
        """Width of the bins but the last, which the recording's end may cut short; 0 without bins."""
        return float(self.edges_s[1] - self.edges_s[0]) if len(self.counts) else 0.0

    @property
    def whole(self) -> slice:
        """The bins of full width."""
        widths = np.diff(self.edges_s[-2:])
        cut = len(self.counts) > 1 and bool(widths[0] < 0.999 * self.bin_s)
        return slice(0, len(self.counts) - 1 if cut else None)

    @property
    def selected_states(self) -> list[int]:
        """The states whose bins are selected, ascending."""
        return [int(state) for state in np.unique(self.state[self.on]) if state > 0]

    @property
    def other_states(self) -> list[int]:
        """The states that are known and not selected, ascending."""
        return [int(state) for state in np.unique(self.state[~self.on]) if state > 0]

    @property
    def highest_kcps(self) -> float:
        """The largest rate of a whole bin, 0 without bins."""
        rates = self.rate_kcps[self.whole]
        return float(np.nanmax(rates)) if np.isfinite(rates).any() else 0.0


def view_trace(curve: Curve) -> Trace:
    """The trace of ``trace.csv``; without its ``on`` column no bin is marked, without ``state`` nobody knows states."""
    start_s, stop_s = curve["time_start"], curve["time_stop"]
    edges_s = np.append(start_s, stop_s[-1:])
    if not np.isfinite(edges_s).all():
        edges_s = np.arange(curve.rows + 1, dtype=np.float64)
    on = curve["on"] > 0
    # In a gap nobody looked.
    rate, counts = (np.where(curve["gap"] > 0, np.nan, curve[name]) for name in ("rate", "counts"))
    state = np.nan_to_num(curve["state"]).astype(np.int64)
    return Trace(edges_s, rate / 1e3, counts, on, state)


@dataclass(frozen=True)
class Envelope:
    """A trace drawn with at most so many columns: the extremes of all bins and of the selected ones in each."""

    edges_s: Floats
    low: Floats
    high: Floats
    on_low: Floats
    on_high: Floats
    on_share: Floats
    # Extremes of the bins in each state that is known and not selected, by its number.
    others: Mapping[int, tuple[Floats, Floats]] = field(default_factory=dict)


def envelope(trace: Trace, columns: int) -> Envelope:
    """Smallest and largest rate in each of at most ``columns`` columns; no extreme of the trace is lost."""
    bins = len(trace.counts)
    starts = column_starts(bins, columns)
    low, high = extremes(trace.rate_kcps, starts)
    on_low, on_high = extremes(np.where(trace.on, trace.rate_kcps, np.nan), starts)
    size = np.diff(np.append(starts, bins))
    marked = np.add.reduceat(trace.on.astype(np.float64), starts) if bins else np.empty(0)
    edges_s = trace.edges_s[np.append(starts, bins)] if bins else np.empty(0)
    others = {
        state: extremes(np.where((trace.state == state) & ~trace.on, trace.rate_kcps, np.nan), starts)
        for state in trace.other_states
    }
    return Envelope(edges_s, low, high, on_low, on_high, marked / np.maximum(size, 1), others)


@dataclass(frozen=True)
class RateHistogram:
    """Bins of the trace by their rate: all of them and the selected ones."""

    edges_kcps: Floats
    bins: NDArray[np.int64]
    on_bins: NDArray[np.int64]


def rate_histogram(trace: Trace, most: int = 90) -> RateHistogram:
    """At most about ``most`` classes, each of a whole number of counts, so that none is favoured."""
    counts, on = trace.counts[trace.whole], trace.on[trace.whole]
    known = np.isfinite(counts)
    counts, on = counts[known].astype(np.int64), on[known]
    length = int(counts.max(initial=0)) + 1
    everything, selected = (np.bincount(c, minlength=length) for c in (counts, counts[on]))
    return rate_classes(everything, selected, 1, trace.bin_s, most)


def rate_classes(
    bins: NDArray[np.int64], on_bins: NDArray[np.int64], width: int, bin_s: float, most: int = 90
) -> RateHistogram:
    """At most about ``most`` classes of rates, from bins by their counts in classes of ``width`` counts each."""
    if not bins.any() or bin_s <= 0:
        return RateHistogram(np.zeros(1), np.zeros(0, np.int64), np.zeros(0, np.int64))
    top = int(np.flatnonzero(bins)[-1]) + 1
    together = -(-top // most)
    starts = np.arange(0, top, together)
    edges = np.append(starts, starts[-1] + together) * width - 0.5
    everything, selected = (np.add.reduceat(each[:top], starts) for each in (bins, on_bins))
    return RateHistogram(edges / (1e3 * bin_s), everything, selected)


@dataclass(frozen=True)
class Decay:
    """Histogram of delays as shown: ``edges_ns``, counts of selected and of all photons, the model's parts.

    ``model`` is empty without a fit. ``bin_ns`` is the width of the bins shown, ``merged`` how many of the
    recording's bins are in one. ``extras`` has what is known of EXTRAS. ``fitted_ns``: from where to where the fit is
    of these counts, None for everywhere.
    """

    edges_ns: Floats
    selected: Floats
    everything: Floats
    model: dict[str, Floats]
    merged: int
    extras: dict[str, Floats] = field(default_factory=dict)
    fitted_ns: tuple[float, float] | None = None

    @property
    def centre_ns(self) -> Floats:
        return 0.5 * (self.edges_ns[:-1] + self.edges_ns[1:])

    @property
    def bin_ns(self) -> float:
        return float(self.edges_ns[1] - self.edges_ns[0]) if len(self.selected) else 0.0

    @property
    def photons(self) -> float:
        """Photons of either curve: 0 where there is nothing to draw."""
        return float(np.nansum(self.everything) + np.nansum(self.selected))

    @property
    def residual(self) -> Floats:
        """(counts - fit) / sqrt(fit) of the bins as shown; NaN where the fit expects nothing or was not made."""
        fit = self.model["fit"]
        low, high = self.fitted_ns or (-np.inf, np.inf)
        inside = (self.edges_ns[:-1] >= low - 1e-6) & (self.edges_ns[1:] <= high + 1e-6)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(inside & (fit > 0), (self.selected - fit) / np.sqrt(fit), np.nan)


def view_decay(curve: Curve, most: int = MOST_DECAY_BINS, fitted_s: object = None) -> Decay:
    """The decay of ``decay.csv``, neighbouring bins added up until at most ``most`` are left.

    ``fitted_s``: the ``fit_range_s`` of result.json.
    """
    factor = max(1, -(-curve.rows // most))
    start_ns, stop_ns = curve["time_start"], curve["time_stop"]
    edges_ns = np.append(start_ns[::factor], stop_ns[-1:])
    has_fit = "fit" in curve and bool(np.isfinite(curve["fit"]).any())
    parts = [name for name in MODEL_PARTS if name in curve] if has_fit else []
    return Decay(
        edges_ns,
        rebin(curve["counts"], factor),
        rebin(curve["counts_all_states"], factor),
        {name: rebin(curve[name], factor) for name in parts},
        factor,
        {name: rebin(curve[name], factor) for name in EXTRAS if name in curve},
        _span_ns(fitted_s) if has_fit else None,
    )


def _span_ns(span_s: object) -> tuple[float, float] | None:
    ends = [number(end) for end in span_s] if isinstance(span_s, list | tuple) else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return 1e9 * ends[0], 1e9 * ends[1]
