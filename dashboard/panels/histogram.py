"""How often each intensity occurs, on the rate axis of the trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import BasicTicker, ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from photonstream.dashboard.panels.trace import draw_window
from photonstream.dashboard.style import REST, SELECTED, Size, count_ticks, interval, label_axes, plain_figure
from photonstream.dashboard.views import RateHistogram, Trace, rate_histogram


def draw_histogram(
    trace: Trace, window_kcps: Sequence[float | None] | None, rates: Range1d, *, width: int, height: int
) -> figure:
    """Bars of all bins in grey, their selected part in blue."""
    histogram = rate_histogram(trace)
    most = float(histogram.bins.max()) if len(histogram.bins) else 1.0
    source = ColumnDataSource(histogram_columns(histogram))
    plot = histogram_figure(source, interval(0, 1.08 * most), rates, (width, height))
    draw_window(plot, window_kcps)
    return plot


def histogram_columns(histogram: RateHistogram) -> dict[str, NDArray[Any]]:
    """What `histogram_figure` draws."""
    return {
        "low": histogram.edges_kcps[:-1],
        "high": histogram.edges_kcps[1:],
        "bins": histogram.bins,
        "selected": histogram.on_bins,
    }


def histogram_figure(source: ColumnDataSource, bins: Range1d, rates: Range1d, size: Size) -> figure:
    """The plot of the columns that `histogram_columns` makes."""
    plot = plain_figure(size, x_range=bins, y_range=rates)
    label_axes(plot, "Bins", None)
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=3)
    plot.xaxis.formatter = count_ticks()
    bars = plot.quad(
        left=0, right="bins", bottom="low", top="high", source=source, fill_color=REST, line_color=None
    )
    plot.quad(
        left=0,
        right="selected",
        bottom="low",
        top="high",
        source=source,
        fill_color=SELECTED,
        line_color=None,
    )
    plot.add_tools(
        HoverTool(
            renderers=[bars],
            mode="hline",
            tooltips=[
                ("rate", "@low{0.00} to @high{0.00} kcps"),
                ("bins", "@bins{0,0}"),
                ("selected", "@selected{0,0}"),
            ],
        )
    )
    return plot
