"""Pairs of photons on two detectors by the delay between them."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from photonstream.dashboard.decimate import rebin
from photonstream.dashboard.folder import Curve
from photonstream.dashboard.style import PALE, REST, SELECTED, interval, label_axes, plain_figure

MOST_BINS = 1000


def draw_coincidence(curve: Curve, centre_ns: float | None, *, width: int, height: int) -> figure:
    """Pairs per bin of ``coincidences.csv``: all in grey, selected in blue, the centre dashed."""
    factor = max(1, -(-curve.rows // MOST_BINS))
    start, stop = curve["delay_start"], curve["delay_stop"]
    edges = np.append(start[::factor], stop[-1:])
    everything, selected = rebin(curve["pairs"], factor), rebin(curve["pairs_selected"], factor)
    most = max(1.0, float(np.nanmax(everything, initial=0.0)))
    plot = plain_figure(
        (width, height),
        x_range=interval(float(edges[0]), float(edges[-1])),
        y_range=interval(0, 1.08 * most),
    )
    label_axes(plot, "Delay between the photons (ns)", f"Pairs per {edges[1] - edges[0]:.3g} ns")
    if centre_ns is not None:
        mark = Span(location=centre_ns, dimension="height", line_color=PALE, line_dash=[4, 3], line_width=1.4)
        plot.add_layout(mark)
    source = ColumnDataSource(
        {"left": edges[:-1], "right": edges[1:], "pairs": everything, "selected": selected}
    )
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
            tooltips=[
                ("delay", "@left{0.00} to @right{0.00} ns"),
                ("pairs", "@pairs{0,0}"),
                ("selected", "@selected{0,0}"),
            ],
        )
    )
    return plot
