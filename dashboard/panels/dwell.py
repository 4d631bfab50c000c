"""How long dwells last in the selected state and out of it, with the two models of their lengths."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from photonstream.dashboard.folder import Curve
from photonstream.dashboard.style import INK, REST, SELECTED, interval, label_axes, plain_figure, say
from photonstream.dashboard.views import Floats

_SIDES = ((1.0, SELECTED), (0.0, REST))


def draw_dwell(curve: Curve, *, width: int, height: int) -> figure:
    """Density of the complete dwells of ``dwell.csv`` on logarithmic axes, selected in blue, others in grey.

    Solid: the exponential, dashed: the power law.
    """
    sides = {on: dwell_columns(curve, on) for on, _ in _SIDES}
    densities = np.concatenate([side["density"] for side in sides.values()])
    if not densities.size:
        plot = plain_figure((width, height), x_range=interval(0, 1), y_range=interval(0, 1))
        label_axes(plot, "Dwell time (s)", "Density (1/s)")
        say(plot, "No complete dwells.", (width, height))
        return plot
    starts, stops = (np.concatenate([side[name] for side in sides.values()]) for name in ("start", "stop"))
    plot = plain_figure(
        (width, height),
        x_axis_type="log",
        y_axis_type="log",
        x_range=_around(float(starts.min()), float(stops.max()), 1.2),
        y_range=_around(float(densities.min()), float(densities.max()), 2.5),
    )
    label_axes(plot, "Dwell time (s)", "Density (1/s)")
    for on, colour in _SIDES:
        source = ColumnDataSource(sides[on])
        ink = INK if on else colour
        plot.line("time", "exponential", source=source, line_color=ink, line_width=1.4)
        plot.line("time", "power_law", source=source, line_color=ink, line_width=1.4, line_dash=[4, 3])
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
    }


def _around(low: float, high: float, factor: float) -> Range1d:
    return interval(low / factor, high * factor)
