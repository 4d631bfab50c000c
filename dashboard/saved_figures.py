"""What a plot of the live page looks like where it is saved: on white, of one size, with both axes and its key."""

from __future__ import annotations

from typing import Any

from bokeh.models import Plot, Toolbar
from bokeh.models.annotations import ColorBar, Legend, LegendItem
from bokeh.models.grids import Grid
from bokeh.plotting import figure

from photonstream.dashboard.panels.trace import LINE_COLORS
from photonstream.dashboard.style import BORDER_BOTTOM, BORDER_LEFT, FONT, INK

# Width and height in pixels; a trace is long.
SIZE, SIZE_TRACE = (720, 450), (1080, 450)
BORDER_RIGHT, BORDER_TOP = 30, 16
# On the page these show no x axis, or no y axis: that of the plot below them, or beside them, is theirs, too.
X_OF = {"decay": "residuals", "beta": "tau_xx_s", "tau_x_s": "tau_xx_s"}
Y_OF = {"histogram": "trace", "flid": "trace"}


def saved_figures(figures: dict[str, figure]) -> dict[str, Plot]:
    """What is saved of each plot, ``saved NAME``: it shows the same data, and is drawn only to be saved."""
    found = {}
    for name, plot in figures.items():
        saved = Plot(
            name=f"saved {name}",
            width=SIZE_TRACE[0] if name == "trace" else SIZE[0],
            height=SIZE[1],
            x_range=plot.x_range,
            y_range=plot.y_range,
            x_scale=plot.x_scale,
            y_scale=plot.y_scale,
            renderers=plot.renderers,
            center=[each for each in plot.center if not isinstance(each, Grid)],
            left=figures[Y_OF.get(name, name)].left,
            below=figures[X_OF.get(name, name)].below,
            right=[_with_words(each) for each in plot.right],
            toolbar=Toolbar(),
            toolbar_location=None,
            min_border_left=BORDER_LEFT,
            min_border_right=BORDER_RIGHT,
            min_border_top=BORDER_TOP,
            min_border_bottom=BORDER_BOTTOM,
            background_fill_color="white",
            border_fill_color="white",
            outline_line_color=INK,
        )
        if name == "trace":
            saved.add_layout(_trace_key(plot), "above")
        found[name] = saved
    return found


def _with_words(beside: Any) -> Any:
    """A scale of colours with what it is of, which on the page stands over it."""
    if not isinstance(beside, ColorBar):
        return beside
    return beside.clone(title="Bins", title_text_font=FONT, title_text_font_style="normal")


def _trace_key(trace: figure) -> Legend:
    """The key of the lines of the trace, ``legend SOURCE``; the page has its own, of words."""
    drawn: Any = trace.renderers
    lines = {each.data_source.name: each for each in drawn}
    return Legend(
        items=[
            LegendItem(label="", renderers=[lines[f"source {name}"]], name=f"legend {name}", visible=False)
            for name in reversed(LINE_COLORS)
        ],
        orientation="horizontal",
        location="top_right",
        border_line_color=None,
        background_fill_color=None,
        label_text_font=FONT,
        label_text_font_size="12px",
        margin=4,
    )
