"""The plots of a page, empty: it fills them from what it is sent, by the names given here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.core.json_encoder import serialize_json
from bokeh.embed.util import standalone_docs_json_and_render_items
from bokeh.models import (
    BasicTicker,
    BoxZoomTool,
    ColumnDataSource,
    CustomJS,
    LogColorMapper,
    Range1d,
)
from bokeh.plotting import figure

from photonstream.dashboard.folder import Curve
from photonstream.dashboard.live_trace import NO_TRACE
from photonstream.dashboard.panels.coincidence import centre_mark, coincidence_columns, coincidence_figure
from photonstream.dashboard.panels.decay import (
    DELAY,
    GAP,
    SIDES,
    STYLES,
    counts_figure,
    decay_columns,
    residuals_figure,
    unfitted,
)
from photonstream.dashboard.panels.dwell import dwell_figure, dwell_sides
from photonstream.dashboard.panels.flid import PALETTE, color_bar, flid_columns, flid_figure
from photonstream.dashboard.panels.histogram import histogram_figure
from photonstream.dashboard.panels.history import QUANTITIES, history_columns, history_figure
from photonstream.dashboard.panels.trace import (
    add_notes,
    note_columns,
    trace_columns,
    trace_figure,
    window_band,
    window_limit,
)
from photonstream.dashboard.saved_figures import saved_figures
from photonstream.dashboard.style import count_ticks, into_one_document, label_axes
from photonstream.dashboard.views import EXTRAS, view_decay
from photonstream.nodes.history import ENDS

# Axes by name, with the ends that they have before there are data.
AXES = {
    "time": (0.0, 1.0),
    "rates": (-0.03, 1.0),
    "bins": (0.0, 1.0),
    "delays": (0.0, 1.0),
    "delay": (0.0, 1.0),
    "counts": (0.5, 100.0),
    "residuals": (-5.0, 5.0),
    "photons": (100.0, 1000.0),
    "beta": (0.0, 100.0),
    "tau_x_s": (0.0, 100.0),
    "tau_xx_s": (0.0, 10.0),
    "between": (-1.0, 1.0),
    "pairs": (0.0, 1.0),
    "dwell": (0.001, 10.0),
    "density": (0.001, 100.0),
}
_NO_HISTORY = {name: np.empty(0) for name in ("photons", *(q.name + end for q in QUANTITIES for end in ENDS))}
# What a plot of the lower row needs beside its axis for the widest numbers, so that no frame moves.
BORDER_HISTORY = 58


def embedded_figures() -> tuple[str, dict[str, tuple[str, str]]]:
    """All plots as the page reads them, and by name the identifiers of the place and of the plot that stands there.

    Every page has the same ones: to make them takes a second, in which no other page would be sent anything.
    """
    figures = live_figures()
    into_one_document(figures)
    documents, items = standalone_docs_json_and_render_items(figures)
    places = {str(root.name): (str(root.elementid), str(root.id)) for item in items for root in item.roots}
    # Within a script no string may look like its end.
    text = serialize_json([documents, [item.to_json() for item in items]]).replace("</", "<\\/")
    return text, places


def live_figures() -> list[figure]:
    """All plots of the page; each has the name of the place where it stands."""
    axes = {name: Range1d(start=low, end=high, name=f"axis {name}") for name, (low, high) in AXES.items()}
    trace = trace_figure(_sources(trace_columns(NO_TRACE)), axes["time"], axes["rates"], None)
    histogram = histogram_figure(
        _source("histogram", ("low", "high", "bins", "selected")), axes["bins"], axes["rates"], None
    )
    add_notes(trace, _source("trace_notes", tuple(note_columns(()))))
    # Whoever zooms into the trace looks for a moment in time.
    for tool in trace.tools:
        if isinstance(tool, BoxZoomTool):
            tool.dimensions = "width"
    figures = {
        "trace": trace,
        "histogram": histogram,
        "flid": _flid(axes),
        **_decay(axes),
        **_history(axes),
        "pairs": _pairs(axes),
        "dwell": _dwell(axes),
    }
    for name in ("trace", "histogram"):
        _add_window(name, figures[name])
    saved = saved_figures(figures)
    for name, plot in figures.items():
        plot.name = name
        # What a callback refers to comes to the page with its plot, and is not drawn there by itself.
        given = {"plot": plot, "saved": saved[name]}
        plot.js_on_event("rangesupdate", CustomJS(args=given, code="photonstream.zoomed(plot)"))
        plot.js_on_event("doubletap", CustomJS(code="photonstream.whole()"))
    return [*figures.values()]


def _sources(columns: Mapping[str, Mapping[str, object]]) -> dict[str, ColumnDataSource]:
    return {name: _source(name, tuple(names)) for name, names in columns.items()}


def _source(name: str, columns: tuple[str, ...]) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns}, name=f"source {name}")


def _add_window(name: str, plot: figure) -> None:
    plot.add_layout(window_band(name=f"{name} band", visible=False))
    for side in ("low", "high"):
        plot.add_layout(window_limit(name=f"{name} {side}", location=0, visible=False))


def _flid(axes: dict[str, Range1d]) -> figure:
    mapper = LogColorMapper(palette=PALETTE, low=1, high=10, name="flid colours")
    source = _source("flid", tuple(flid_columns(Curve())))
    plot = flid_figure(source, axes["delays"], axes["rates"], mapper, None)
    plot.add_layout(color_bar(mapper), "right")
    plot.min_border_right = 40
    return plot


def _decay(axes: dict[str, Range1d]) -> dict[str, figure]:
    sources = _sources(decay_columns(view_decay(Curve())))
    counts = counts_figure(sources["decay"], axes["delay"], axes["counts"], STYLES, None, EXTRAS)
    label_axes(counts, "", "Counts")
    counts.yaxis.name = "counts axis"
    counts.xaxis.major_label_text_font_size = "0px"
    counts.min_border_bottom = GAP
    items: Any = counts.legend.items
    for name, item in zip(("selected", "everything", *STYLES, *EXTRAS), items, strict=True):
        item.name, item.visible = f"legend {name}", False
    residuals = residuals_figure(sources["residuals"], axes["delay"], axes["residuals"], None)
    label_axes(residuals, DELAY, "Residual (σ)")
    for name, plot in (("decay", counts), ("residuals", residuals)):
        for side in SIDES:
            plot.add_layout(unfitted(name=f"{name} {side}", visible=False))
    return {"decay": counts, "residuals": residuals}


def _history(axes: dict[str, Range1d]) -> dict[str, figure]:
    found = {}
    for quantity in QUANTITIES:
        sources = _sources(history_columns(_NO_HISTORY, quantity))
        found[quantity.name] = history_figure(
            sources, quantity, axes["photons"], axes[quantity.name], None, last=quantity is QUANTITIES[-1]
        )
        found[quantity.name].min_border_left = BORDER_HISTORY
    return found


def _pairs(axes: dict[str, Range1d]) -> figure:
    columns = coincidence_columns(Curve())
    plot = coincidence_figure(_source("pairs", tuple(columns)), axes["between"], axes["pairs"], None)
    label_axes(plot, "Delay (ns)", "Pairs")
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=3)
    plot.min_border_right = 18
    plot.yaxis.ticker = BasicTicker(desired_num_ticks=4)
    plot.yaxis.formatter = count_ticks()
    plot.yaxis.name = "pairs axis"
    plot.add_layout(centre_mark(name="pairs centre", location=0, visible=False))
    plot.min_border_left = BORDER_HISTORY
    return plot


def _dwell(axes: dict[str, Range1d]) -> figure:
    plot = dwell_figure(_sources(dwell_sides(Curve())), axes["dwell"], axes["density"], None)
    plot.min_border_left = BORDER_HISTORY
    return plot
