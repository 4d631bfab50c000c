"""How long dwells last in the selected state and out of it, with the two models of their lengths."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from photonstream.dashboard.folder import Curve
from photonstream.dashboard.style import INK, REST, SELECTED, Size, interval, label_axes, plain_figure, say
from photonstream.dashboard.views import Floats

# Each side of the dwells: its name, what its rows are marked with, and its colour.
_SIDES = (("dwell_selected", 1.0, SELECTED), ("dwell_other", 0.0, REST))
TIME, DENSITY = "Dwell time (s)", "Density (1/s)"


def draw_dwell(curve: Curve, *, width: int, height: int) -> figure:
    """Density of the complete dwells of ``dwell.csv`` on logarithmic axes, selected in blue, others in grey.

    Solid: the exponential, dashed: the power law, dotted: that with a cut-off where it is favoured.
    """
    sides, size = dwell_sides(curve), (width, height)
    ends = dwell_ends(sides)
    if ends is None:
        plot = plain_figure(size, x_range=interval(0, 1), y_range=interval(0, 1))
        label_axes(plot, TIME, DENSITY)
        say(plot, "No complete dwells.", size)
        return plot
    sources = {name: ColumnDataSource(columns) for name, columns in sides.items()}
    return dwell_figure(sources, interval(*ends[0]), interval(*ends[1]), size)


def dwell_sides(curve: Curve) -> dict[str, dict[str, Floats]]:
    """What `dwell_figure` draws."""
    return {name: dwell_columns(curve, on) for name, on, _ in _SIDES}


def dwell_ends(sides: Mapping[str, Mapping[str, Floats]]) -> tuple[tuple[float, float], ...] | None:
    """Ends of both axes around all dwells, None without any."""
    columns = ("start", "stop", "density")
    start, stop, density = (np.concatenate([side[name] for side in sides.values()]) for name in columns)
    if not density.size:
        return None
    return (start.min() / 1.2, stop.max() * 1.2), (density.min() / 2.5, density.max() * 2.5)


def dwell_figure(
    sources: Mapping[str, ColumnDataSource], times: Range1d, densities: Range1d, size: Size
) -> figure:
    """The plot of the columns that `dwell_sides` makes."""
    plot = plain_figure(size, x_axis_type="log", y_axis_type="log", x_range=times, y_range=densities)
    label_axes(plot, TIME, DENSITY)
    for name, on, colour in _SIDES:
        source, ink = sources[name], INK if on else colour
        plot.line("time", "exponential", source=source, line_color=ink, line_width=1.4)
        plot.line("time", "power_law", source=source, line_color=ink, line_width=1.4, line_dash=[4, 3])
        plot.line("time", "cut_off", source=source, line_color=ink, line_width=1.4, line_dash=[1, 3])
        points = plot.scatter("time", "density", source=source, size=6, fill_color=colour, line_color="white")
        plot.add_tools(
            HoverTool(
                renderers=[points],
                tooltips=[("dwell time", "@start{0.0000} to @stop{0.0000} s"), ("dwells", "@dwells{0,0}")],
            )
        )
    return plot


def dwell_columns(curve: Curve, on: float) -> dict[str, Floats]:
    """What is drawn of one side: classes with dwells in them, their densities and those of the models, in 1/s."""
    inside = (curve["selected"] == on) & (curve["dwells"] > 0)
    start, stop, dwells = (curve[name][inside] for name in ("time_start", "time_stop", "dwells"))
    unit = (stop - start) * max(1.0, float(dwells.sum()))
    return {
        "start": start,
        "stop": stop,
        "time": np.sqrt(start * stop),
        "dwells": dwells,
        "density": dwells / unit,
        "exponential": curve["exponential"][inside] / unit,
        "power_law": curve["power_law"][inside] / unit,
        "cut_off": curve["cut_off"][inside] / unit,
    }
