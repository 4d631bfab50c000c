"""Decay of the selected photons with the fit and its parts, and the residuals below it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import BasicTicker, Column, ColumnDataSource, HoverTool, Range1d
from bokeh.models.annotations import BoxAnnotation, Legend, LegendItem, Span
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from photonstream.dashboard.style import (
    BACKGROUND,
    EXCITON,
    FAST,
    FIT,
    FONT,
    GREY,
    INK,
    PALE,
    PINK,
    SELECTED,
    SKY,
    Size,
    interval,
    label_axes,
    plain_figure,
    say,
)
from photonstream.dashboard.views import EXTRAS, Decay, Floats

RESIDUAL_SHARE = 0.24
GAP = 10
# The axis of counts begins below this share of the points; a few stragglers may lie under it.
FEWEST_SHARE = 0.001
# Either side of the fitted delays, by name.
SIDES = ("before", "after")
DELAY = "Delay after the pulse (ns)"
# Each part of the model: its words, colour, dashes and width.
STYLES: Mapping[str, tuple[str, str, str | list[int], float]] = {
    "exciton": ("slow component", EXCITON, "solid", 1.6),
    "fast": ("fast component", FAST, "solid", 1.6),
    "background": ("background", BACKGROUND, [5, 3], 1.4),
    "fit": ("fit", FIT, "solid", 1.6),
}


# Each of the extras likewise.
EXTRA_STYLES: Mapping[str, tuple[str, str, str | list[int], float]] = {
    "response": ("response", GREY, [2, 2], 1.4),
    "detector_1": ("one detector", SKY, "solid", 1.0),
    "detector_2": ("the other", PINK, "solid", 1.0),
}


def draw_decay(decay: Decay, reason: str, *, width: int, height: int) -> Column:
    """Log counts against the delay, and weighted residuals where there is a fit.

    ``reason`` is written on the plot where there is none. ``height`` is that of both frames together.
    """
    has_fit = "fit" in decay.model
    below = round(RESIDUAL_SHARE * height) if has_fit else 0
    time, size = interval(*time_ends(decay)), (width, height - below - (GAP if has_fit else 0))
    sources = {name: ColumnDataSource(columns) for name, columns in decay_columns(decay).items()}
    parts = parts_drawn(decay)
    main = counts_figure(sources["decay"], time, interval(*count_ends(decay)), parts, size)
    main.legend.visible = bool(decay.photons)
    _shade(main, decay)
    if not has_fit:
        label_axes(main, DELAY, counts_label(decay))
        if reason:
            say(main, reason, size)
        return column(main)
    main.xaxis.major_label_text_font_size = "0px"
    label_axes(main, "", counts_label(decay))
    main.min_border_bottom = GAP
    top = residual_end(decay)
    rest = residuals_figure(sources["residuals"], time, interval(-top, top), (width, below))
    _shade(rest, decay)
    return column(main, rest, spacing=0)


def _shade(plot: figure, decay: Decay) -> None:
    for side in unfitted_sides(decay).values():
        if side["visible"]:
            plot.add_layout(unfitted(**side))


def unfitted(**options: Any) -> BoxAnnotation:
    """The shade over delays that are not fitted."""
    return BoxAnnotation(fill_color=GREY, fill_alpha=0.22, line_color=GREY, line_dash=[4, 3], **options)


def unfitted_sides(decay: Decay) -> dict[str, dict[str, Any]]:
    """What is shaded on either side of the fitted delays, by SIDES."""
    if decay.fitted_ns is None:
        return {side: {"visible": False} for side in SIDES}
    low, high = decay.fitted_ns
    first, last = float(decay.edges_ns[0]), float(decay.edges_ns[-1])
    return {
        "before": {"visible": low > first, "left": first, "right": low},
        "after": {"visible": high < last, "left": high, "right": last},
    }


def decay_columns(decay: Decay) -> dict[str, dict[str, Floats]]:
    """What `counts_figure` and `residuals_figure` draw."""
    nothing = np.full(len(decay.selected), np.nan)
    parts = {name: _positive(decay.model.get(name, nothing)) for name in STYLES}
    residual = decay.residual if "fit" in decay.model else nothing
    return {
        "decay": {
            "time": decay.centre_ns,
            "selected": _positive(decay.selected),
            "everything": _positive(decay.everything),
            **parts,
            **{name: _positive(decay.extras.get(name, nothing)) for name in EXTRAS},
        },
        "residuals": {"time": decay.centre_ns, "residual": residual},
    }


def parts_drawn(decay: Decay) -> list[str]:
    """The parts of the model that have photons."""
    return [n for n in STYLES if n in decay.model and np.nanmax(decay.model[n], initial=0.0) > 0]


def counts_figure(
    source: ColumnDataSource,
    time: Range1d,
    counts: Range1d,
    parts: Collection[str],
    size: Size,
    extras: Collection[str] = (),
) -> figure:
    """The plot of the column set ``decay``, with those ``parts`` of the model; its axes have no names yet.

    ``extras`` are shown, or hidden again, by a click on their words.
    """
    plot = plain_figure(size, x_range=time, y_axis_type="log", y_range=counts)
    items: list[tuple[str, GlyphRenderer[Any]]] = []
    grey = plot.scatter("time", "everything", source=source, size=2.5, fill_color=PALE, line_color=None)
    blue = plot.scatter("time", "selected", source=source, size=3, fill_color=SELECTED, line_color=None)
    # Two columns have no room for more words.
    items += [("selected" if extras else "selected photons", blue), ("all states", grey)]
    for name, (words, color, dash, line_width) in STYLES.items():
        if name in parts:
            line = plot.line(
                "time", name, source=source, line_color=color, line_dash=dash, line_width=line_width
            )
            items.append((words, line))
    for name in extras:
        words, color, dash, line_width = EXTRA_STYLES[name]
        line = plot.line("time", name, source=source, line_color=color, line_dash=dash, line_width=line_width)
        line.visible = name == "response"
        items.append((words, line))
    legend = _legend(items)
    if extras:
        legend.click_policy, legend.ncols, legend.background_fill_alpha = "hide", 2, 0.6
        # Words of what is hidden are paler, and can be read all the same.
        legend.label_text_color, legend.inactive_fill_alpha = INK, 0.35
    plot.add_layout(legend)
    tooltips = [
        ("delay", "@time{0.000} ns"),
        ("selected", "@selected{0,0}"),
        ("all states", "@everything{0,0}"),
    ]
    if "fit" in parts:
        tooltips.append(("fit", "@fit{0,0.0}"))
    plot.add_tools(HoverTool(renderers=[blue], mode="vline", limit=1, tooltips=tooltips))
    return plot


def residual_end(decay: Decay) -> float:
    """Where the axis of residuals ends, at either side."""
    residual = decay.residual if "fit" in decay.model else np.empty(0)
    return max(4.5, 1.05 * float(np.nanmax(np.abs(residual), initial=0.0)))


def residuals_figure(source: ColumnDataSource, time: Range1d, residuals: Range1d, size: Size) -> figure:
    """The plot of the column set ``residuals``."""
    plot = plain_figure(size, x_range=time, y_range=residuals)
    plot.min_border_top = 0
    label_axes(plot, DELAY, "Residual (σ)")
    plot.yaxis.ticker = BasicTicker(desired_num_ticks=4)
    for place, color, dash in ((-2.0, PALE, [4, 3]), (2.0, PALE, [4, 3]), (0.0, FIT, "solid")):
        plot.add_layout(
            Span(location=place, dimension="width", line_color=color, line_dash=dash, line_width=1)
        )
    dots = plot.scatter("time", "residual", source=source, size=2.5, fill_color=SELECTED, line_color=None)
    plot.add_tools(
        HoverTool(
            renderers=[dots],
            mode="vline",
            limit=1,
            tooltips=[("delay", "@time{0.000} ns"), ("residual", "@residual{0.00} σ")],
        )
    )
    return plot


def _legend(items: list[tuple[str, GlyphRenderer[Any]]]) -> Legend:
    return Legend(
        items=[LegendItem(label=words, renderers=[renderer]) for words, renderer in items],
        location="top_right",
        border_line_color=None,
        background_fill_alpha=0.8,
        label_text_font=FONT,
        label_text_font_size="12px",
        label_height=14,
        glyph_height=14,
        spacing=1,
        margin=6,
    )


def counts_label(decay: Decay) -> str:
    """What the axis of counts is called."""
    if not decay.photons:
        return "Counts"
    width_ns = decay.bin_ns
    shown = f"{width_ns:.3g} ns" if width_ns >= 1 else f"{1e3 * width_ns:.3g} ps"
    return f"Counts per {shown}"


def _positive(values: Floats) -> Floats:
    """The values that a logarithmic axis can show, NaN for the others."""
    return np.where(values > 0, values, np.nan)


def time_ends(decay: Decay) -> tuple[float, float]:
    """From 0 to the period where there is a fit, else to the last photon."""
    if not decay.photons or not np.isfinite(decay.edges_ns).all():
        return 0.0, max(1.0, float(np.nanmax(decay.edges_ns, initial=0.0)))
    if "fit" in decay.model:
        return float(decay.edges_ns[0]), float(decay.edges_ns[-1])
    filled = np.flatnonzero(np.nan_to_num(decay.everything) + np.nan_to_num(decay.selected) > 0)
    last = int(filled[-1]) if filled.size else len(decay.selected) - 1
    return float(decay.edges_ns[0]), float(decay.edges_ns[last + 1])


def count_ends(decay: Decay) -> tuple[float, float]:
    """From below the fewest counts worth showing to above the most."""
    counts = np.concatenate([decay.selected, decay.everything])
    seen = counts[np.isfinite(counts) & (counts > 0)]
    if not seen.size:
        return 0.5, 10.0
    fewest = [float(np.quantile(seen, FEWEST_SHARE))]
    background = decay.model.get("background", np.empty(0))
    fewest += [float(level) for level in background[:1] if level > 0]
    return max(0.5, 0.4 * min(fewest)), 2.0 * max(5.0, float(seen.max()))
