"""Pairs of photons on two detectors by the delay between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from photonstream.dashboard.decimate import rebin
from photonstream.dashboard.folder import Curve
from photonstream.dashboard.style import PALE, REST, SELECTED, Size, interval, label_axes, plain_figure
from photonstream.dashboard.views import Floats

MOST_BINS = 1000
DELAY = "Delay between the photons (ns)"


def draw_coincidence(curve: Curve, centre_ns: float | None, *, width: int, height: int) -> figure:
    """Pairs per bin of ``coincidences.csv``: all in grey, selected in blue, the centre dashed."""
    columns = coincidence_columns(curve)
    ends = float(columns["left"][0]), float(columns["right"][-1])
    source, size = ColumnDataSource(columns), (width, height)
    plot = coincidence_figure(source, interval(*ends), interval(0, 1.08 * most_pairs(columns)), size)
    label_axes(plot, DELAY, pairs_label(columns))
    if centre_ns is not None:
        plot.add_layout(centre_mark(location=centre_ns))
    return plot


def coincidence_columns(curve: Curve, most: int = MOST_BINS) -> dict[str, Floats]:
    """What `coincidence_figure` draws: neighbouring bins added up until at most ``most`` are left."""
    factor = max(1, -(-curve.rows // most))
    edges = np.append(curve["delay_start"][::factor], curve["delay_stop"][-1:])
    everything, selected = (rebin(curve[name], factor) for name in ("pairs", "pairs_selected"))
    return {"left": edges[:-1], "right": edges[1:], "pairs": everything, "selected": selected}


def most_pairs(columns: Mapping[str, Floats]) -> float:
    """The pairs of the fullest bin, at least 1."""
    return max(1.0, float(np.nanmax(columns["pairs"], initial=0.0)))


def pairs_label(columns: Mapping[str, Floats]) -> str:
    """What the axis of pairs is called."""
    if not columns["pairs"].size:
        return "Pairs"
    return f"Pairs per {columns['right'][0] - columns['left'][0]:.3g} ns"


def centre_mark(**options: Any) -> Span:
    """The dashed line at the centre."""
    return Span(dimension="height", line_color=PALE, line_dash=[4, 3], line_width=1.4, **options)


def coincidence_figure(source: ColumnDataSource, delays: Range1d, pairs: Range1d, size: Size) -> figure:
    """The plot of the columns that `coincidence_columns` makes."""
    plot = plain_figure(size, x_range=delays, y_range=pairs)
    bars = plot.quad(
        left="left", right="right", bottom=0, top="pairs", source=source, fill_color=REST, line_color=None
    )
    plot.quad(
        left="left",
        right="right",
        bottom=0,
        top="selected",
        source=source,
        fill_color=SELECTED,
        line_color=None,
    )
    plot.add_tools(
        HoverTool(
            renderers=[bars],
            mode="vline",
            limit=1,
            tooltips=[
                ("delay", "@left{0.00} to @right{0.00} ns"),
                ("pairs", "@pairs{0,0}"),
                ("selected", "@selected{0,0}"),
            ],
        )
    )
    return plot
