"""Figures for a paper, made from the folder of a finished run: PDF and PNG of the width of a journal's column.

What is drawn, on which axes and in which colours is that of the report; here is only how matplotlib draws it. It is
optional (``photonstream[paper]``), so nothing else imports this module before figures are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from photonstream.dashboard import coincidence, facts
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.panels.coincidence import DELAY as PAIR_DELAY
from photonstream.dashboard.panels.coincidence import coincidence_columns, most_pairs, pairs_label
from photonstream.dashboard.panels.decay import (
    DELAY,
    STYLES,
    count_ends,
    counts_label,
    decay_columns,
    parts_drawn,
    residual_end,
    time_ends,
)
from photonstream.dashboard.panels.flid import PALETTE, flid_columns, most_bins
from photonstream.dashboard.panels.histogram import histogram_columns
from photonstream.dashboard.panels.trace import LINE_COLORS, trace_columns
from photonstream.dashboard.recording_events import gap_spans
from photonstream.dashboard.style import FIT, INK, LOST, PALE, REST, SELECTED, rate_axis
from photonstream.dashboard.views import Trace, envelope, rate_histogram, view_decay, view_trace

# One column of most journals.
WIDTH_MM, MM_PER_INCH = 85.0, 25.4
PNG_DPI = 300
# In the order of wish; the last one comes with matplotlib.
FONTS = ("Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")
TRACE_COLUMNS = 2000


def _style() -> Any:
    """matplotlib's settings: plain axes with ticks inside, 7 pt, type that stays type in the PDF."""
    known = {font.name for font in fontManager.ttflist}
    side = {f"{axis}tick.{key}": value for axis in "xy" for key, value in _TICKS.items()}
    return {
        "font.family": [next(font for font in FONTS if font in known)],
        "font.size": 7,
        "axes.labelsize": 7,
        "axes.labelpad": 2,
        "axes.linewidth": 0.6,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "legend.fontsize": 6,
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "legend.labelspacing": 0.25,
        "lines.linewidth": 0.8,
        "pdf.fonttype": 42,
        "mathtext.default": "regular",
        **side,
    }


_TICKS = {
    "direction": "in",
    "labelsize": 6,
    "color": INK,
    "labelcolor": INK,
    "major.width": 0.6,
    "minor.width": 0.4,
    "major.size": 2.5,
    "minor.size": 1.5,
}


def write_figures(run: RunFolder, place: Path) -> list[Path]:
    """Write ``trace``, ``flid``, ``decay`` and ``g2`` as .pdf and .png into the folder ``place``; returns their paths.

    What the run has no data of is left out, and an older figure of it is taken away.
    """
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in FIGURES.items():
        files = [place / f"{name}.pdf", place / f"{name}.png"]
        with rc_context(_style()):
            drawn = draw(run)
            for file in files:
                if drawn is None:
                    file.unlink(missing_ok=True)
                    continue
                # Without a date the same run gives the same file.
                about = {"CreationDate": None} if file.suffix == ".pdf" else None
                drawn.savefig(file, dpi=PNG_DPI, metadata=about)
                written.append(file)
    return written


def _figure(height_mm: float) -> Figure:
    return Figure((WIDTH_MM / MM_PER_INCH, height_mm / MM_PER_INCH), layout="constrained")


def trace_figure(run: RunFolder) -> Figure | None:
    """The trace with the window, and beside it how often each intensity occurs; None without bins."""
    trace = view_trace(run.curve("trace"))
    if not len(trace.counts):
        return None
    figure = _figure(38)
    rates, bars = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    _draw_trace(rates, trace, gap_spans(run.summary.get("recording_events")))
    columns = histogram_columns(rate_histogram(trace))
    edges = np.append(columns["low"], columns["high"][-1:])
    for name, color in (("bins", REST), ("selected", SELECTED)):
        bars.stairs(columns[name], edges, orientation="horizontal", fill=True, color=color)
    bars.set_xlim(0, 1.08 * max(1.0, float(columns["bins"].max(initial=0))))
    bars.set_xlabel("Bins")
    bars.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    bars.tick_params(labelleft=False)
    for axes in (rates, bars):
        for limit in facts.window_kcps(run) or ():
            if limit:
                axes.axhline(limit, color=SELECTED, linewidth=0.6, dashes=(4, 2))
    return figure


def _draw_trace(axes: Axes, trace: Trace, gaps_s: Sequence[tuple[float, float]]) -> None:
    columns = trace_columns(envelope(trace, TRACE_COLUMNS), gaps_s)
    for start_s, stop_s in gaps_s:
        axes.axvspan(start_s, stop_s, color=LOST, alpha=0.3, linewidth=0.6)
    for name, color in LINE_COLORS.items():
        axes.plot(columns[name]["x"], columns[name]["y"], color=color, linewidth=0.4)
    axes.set_xlim(trace.edges_s[0], trace.edges_s[-1])
    _set_rates(axes, trace)
    axes.set_xlabel("Time (s)")
    axes.set_ylabel("Intensity (kcps)")


def _set_rates(axes: Axes, trace: Trace) -> None:
    rates: Any = rate_axis(trace.highest_kcps)
    axes.set_ylim(rates.start, rates.end)


def flid_figure(run: RunFolder) -> Figure | None:
    """Bins of the trace by intensity and mean delay; None without delays."""
    columns = flid_columns(run.curve("flid"))
    if not columns["bins"].size:
        return None
    figure = _figure(60)
    axes = figure.subplots()
    left, right = columns["mean_dtime_start"], columns["mean_dtime_stop"]
    low, high = columns["low"], columns["high"]
    cells = PolyCollection(
        list(np.array([[left, right, right, left], [low, low, high, high]]).T),
        array=columns["bins"],
        cmap=ListedColormap(list(PALETTE)),
        norm=LogNorm(1, most_bins(columns)),
        # Neighbours would show a hair of paper between them.
        edgecolors="face",
        linewidths=0.2,
    )
    axes.add_collection(cells)
    axes.set_xlim(left.min(), right.max())
    _set_rates(axes, view_trace(run.curve("trace")))
    axes.set_xlabel("Mean delay (ns)")
    axes.set_ylabel("Intensity (kcps)")
    scale = figure.colorbar(cells, label="Bins", pad=0.02)
    scale.locator = LogLocator(subs=(1, 2, 5))
    scale.formatter = FuncFormatter(lambda bins, _: f"{bins:g}")
    return figure


def decay_figure(run: RunFolder) -> Figure | None:
    """Decay of the selected photons, the fit with its parts, and its residuals; None without delays."""
    decay = view_decay(run.curve("decay"))
    if not decay.photons:
        return None
    columns, has_fit = decay_columns(decay), "fit" in decay.model
    figure = _figure(70)
    panels = figure.subplots(
        2 if has_fit else 1, 1, sharex=True, squeeze=False, height_ratios=(3, 1)[: 1 + has_fit]
    )
    counts, below = panels[0, 0], panels[-1, 0]
    shown = columns["decay"]
    for name, words, color, size in (
        ("everything", "all states", PALE, 1.2),
        ("selected", "selected photons", SELECTED, 1.5),
    ):
        counts.plot(
            shown["time"], shown[name], "o", color=color, markersize=size, markeredgewidth=0, label=words
        )
    for name in parts_drawn(decay):
        words, color, dash, _ = STYLES[name]
        line = {} if dash == "solid" else {"dashes": dash}
        counts.plot(shown["time"], shown[name], color=color, label=words, **line)
    counts.set_yscale("log")
    counts.set_xlim(*time_ends(decay))
    counts.set_ylim(*count_ends(decay))
    counts.set_ylabel(counts_label(decay))
    counts.legend(loc="upper right")
    if has_fit:
        top = residual_end(decay)
        below.axhline(0, color=FIT, linewidth=0.6)
        for place in (-2, 2):
            below.axhline(place, color=PALE, linewidth=0.6, dashes=(4, 2))
        residuals = columns["residuals"]
        below.plot(
            residuals["time"], residuals["residual"], "o", color=SELECTED, markersize=1.2, markeredgewidth=0
        )
        below.set_ylim(-top, top)
        below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        below.set_ylabel("Residual (σ)")
    below.set_xlabel(DELAY)
    figure.align_ylabels()
    return figure


def g2_figure(run: RunFolder) -> Figure | None:
    """Pairs of photons by the delay between them, the centre dashed; None without pairs."""
    curve = run.curve("coincidences")
    if not curve.rows:
        return None
    columns = coincidence_columns(curve)
    figure = _figure(38)
    axes = figure.subplots()
    edges = np.append(columns["left"], columns["right"][-1:])
    for name, color, words in (("pairs", REST, "all pairs"), ("selected", SELECTED, "selected pairs")):
        axes.stairs(columns[name], edges, fill=True, color=color, label=words)
    centre_ns = coincidence.centre_ns(run)
    if centre_ns is not None:
        axes.axvline(centre_ns, color=INK, linewidth=0.6, dashes=(4, 2), zorder=0)
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylim(0, 1.3 * most_pairs(columns))
    axes.set_xlabel(PAIR_DELAY)
    axes.set_ylabel(pairs_label(columns))
    axes.legend(loc="upper right", ncols=2)
    return figure


FIGURES: Mapping[str, Callable[[RunFolder], Figure | None]] = {
    "trace": trace_figure,
    "flid": flid_figure,
    "decay": decay_figure,
    "g2": g2_figure,
}
