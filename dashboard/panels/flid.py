"""Fluorescence lifetime-intensity distribution: bins of the trace by rate and mean delay of their photons."""

from __future__ import annotations

import numpy as np
from bokeh.models import BasicTicker, ColumnDataSource, HoverTool, LogColorMapper, Range1d
from bokeh.models.annotations import ColorBar
from bokeh.palettes import YlGnBu9, interp_palette
from bokeh.plotting import figure

from photonstream.dashboard.folder import Curve
from photonstream.dashboard.style import FONT, Size, interval, label_axes, plain_figure, say
from photonstream.dashboard.views import Floats

# Few bins are bright, many dark, so that the map is drawn on white paper; the palest colours could not be seen there,
# nor on the dark page.
PALETTE = interp_palette(tuple(reversed(YlGnBu9))[4:], 256)


def draw_flid(flid: Curve, rates: Range1d, *, width: int, height: int) -> figure:
    """The map on the rate axis of the trace, its colour by the logarithm of the number of bins."""
    columns = flid_columns(flid)
    if not columns["bins"].size:
        plot = plain_figure((width, height), x_range=interval(0, 1), y_range=rates)
        label_axes(plot, "Mean delay (ns)", None)
        say(plot, "No delays after a laser pulse: no map.", (width, height))
        return plot
    ends = float(columns["mean_dtime_start"].min()), float(columns["mean_dtime_stop"].max())
    mapper = LogColorMapper(palette=PALETTE, low=1, high=most_bins(columns))
    plot = flid_figure(ColumnDataSource(columns), interval(*ends), rates, mapper, (width, height))
    plot.add_layout(color_bar(mapper, height=height - 34), "right")
    return plot


def flid_columns(flid: Curve) -> dict[str, Floats]:
    """What `flid_figure` draws: the cells with bins in them."""
    names = ("rate_start", "rate_stop", "mean_dtime_start", "mean_dtime_stop", "bins")
    columns = {name: flid[name] for name in names}
    known = np.all([np.isfinite(values) for values in columns.values()], axis=0) & (columns["bins"] > 0)
    columns = {name: values[known] for name, values in columns.items()}
    low, high = columns.pop("rate_start") / 1e3, columns.pop("rate_stop") / 1e3
    return {**columns, "low": low, "high": high}


def most_bins(columns: dict[str, Floats]) -> float:
    """The end of the colour scale."""
    return max(2.0, float(columns["bins"].max(initial=0.0)))


def flid_figure(
    source: ColumnDataSource, delays: Range1d, rates: Range1d, mapper: LogColorMapper, size: Size
) -> figure:
    """The plot of the columns that `flid_columns` makes."""
    plot = plain_figure(size, x_range=delays, y_range=rates)
    label_axes(plot, "Mean delay (ns)", None)
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=4)
    cells = plot.quad(
        left="mean_dtime_start",
        right="mean_dtime_stop",
        bottom="low",
        top="high",
        source=source,
        fill_color={"field": "bins", "transform": mapper},
        line_color=None,
    )
    plot.add_tools(
        HoverTool(
            renderers=[cells],
            tooltips=[
                ("mean delay", "@mean_dtime_start{0.00} to @mean_dtime_stop{0.00} ns"),
                ("rate", "@low{0.00} to @high{0.00} kcps"),
                ("bins", "@bins{0,0}"),
            ],
        )
    )
    return plot


def color_bar(mapper: LogColorMapper, *, height: int | None = None) -> ColorBar:
    """The scale of the map's colours."""
    return ColorBar(
        color_mapper=mapper,
        major_label_text_font=FONT,
        major_label_text_font_size="11px",
        width=10,
        height="auto" if height is None else height,
        padding=4,
        label_standoff=5,
        background_fill_color=None,
    )
