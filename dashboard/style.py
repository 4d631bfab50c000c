"""How the figure looks: colours that colour-blind readers can tell apart, type, and plain axes."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import Any

from bokeh.document import Document
from bokeh.model import Model
from bokeh.models import CustomJS, CustomJSTickFormatter, PlainText, Range1d
from bokeh.models.annotations import Label
from bokeh.plotting import figure

# Okabe and Ito, "Color Universal Design" (2008).
BLUE, SKY, GREEN, ORANGE, VERMILLION = "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00"
PINK = "#cc79a7"
INK, GREY, PALE = "#1a1a1a", "#8c8c8c", "#c4c4c4"

SELECTED, REST = BLUE, "#9a9a9a"
# States that are not selected, in the order of their numbers.
OTHER_STATES = (ORANGE, PINK, GREEN)
FIT, EXCITON, FAST, BACKGROUND = INK, GREEN, VERMILLION, ORANGE
# Where the device lost data.
LOST = VERMILLION

FONT = "Helvetica, Arial, sans-serif"
# All plots of a row have these, so that their frames stand level.
BORDER_TOP, BORDER_BOTTOM, BORDER_LEFT = 8, 46, 66


# Width and height of a frame in pixels; None fills the place on the page and follows it.
Size = tuple[int, int] | None


def plain_figure(size: Size, **options: Any) -> figure:
    """A figure of a paper: framed, ticks inside, no toolbar. Dragging zooms into a box, a double click shows all again.

    A figure of a given size is drawn as SVG, for paper. One that follows its page changes often: it is a canvas, and
    its page knows what "all" is.
    """
    if size is None:
        placed: dict[str, Any] = {"sizing_mode": "stretch_both", "output_backend": "canvas"}
    else:
        placed = {"frame_width": size[0], "frame_height": size[1], "output_backend": "svg"}
    plot = figure(
        **placed,
        toolbar_location=None,
        tools="box_zoom,reset",
        active_drag="box_zoom",
        min_border_top=BORDER_TOP,
        min_border_bottom=BORDER_BOTTOM,
        background_fill_color="white",
        border_fill_color=None,
        outline_line_color=INK,
        outline_line_width=1,
        **options,
    )
    if size is not None:
        plot.js_on_event("doubletap", CustomJS(args={"plot": plot}, code="plot.reset.emit()"))
    plot.grid.grid_line_color = None
    axes: Any = plot.axis
    axes.axis_line_color = None
    axes.axis_label_text_font = axes.major_label_text_font = FONT
    axes.axis_label_text_font_style = "normal"
    axes.axis_label_text_font_size = "13px"
    axes.major_label_text_font_size = "12px"
    axes.axis_label_text_color = axes.major_label_text_color = INK
    axes.axis_label_standoff = 6
    axes.major_tick_in, axes.major_tick_out = 5, 0
    axes.minor_tick_in, axes.minor_tick_out = 3, 0
    axes.major_tick_line_color = axes.minor_tick_line_color = INK
    return plot


def count_ticks() -> CustomJSTickFormatter:
    """Labels of an axis of counts: 500, 20k, 1M. Bokeh's own would write a million as 1m."""
    return CustomJSTickFormatter(
        code="""
        const [per, letter] = tick >= 1e9 ? [1e9, 'G'] : tick >= 1e6 ? [1e6, 'M'] : tick >= 1e3 ? [1e3, 'k'] : [1, '']
        return Number((tick / per).toPrecision(3)) + letter
        """
    )


def label_axes(plot: figure, x: str, y: str | None) -> None:
    """Name the axes; without ``y`` the plot shares the rate axis of its neighbour and shows no numbers on it."""
    plot.xaxis.axis_label = PlainText(text=x)
    if y is None:
        plot.yaxis.major_label_text_font_size = "0px"
        plot.min_border_left = 12
    else:
        plot.yaxis.axis_label = PlainText(text=y)
        plot.min_border_left = BORDER_LEFT


def interval(low: float, high: float) -> Range1d:
    """A range of an axis that zooming cannot leave."""
    return Range1d(start=low, end=high, bounds=(low, high))


def rate_axis(highest_kcps: float) -> Range1d:
    """The rate axis that trace, histogram and map share; ``highest_kcps`` is the largest rate on it."""
    top = 1.06 * highest_kcps if highest_kcps > 0 else 1.0
    return interval(-0.03 * top, top)


def say(plot: figure, text: str, size: tuple[int, int]) -> None:
    """Write ``text`` into the middle of an empty plot with a frame of ``size``."""
    width, height = size
    lines = wrap(text, max(20, width // 8)) or [""]
    plot.add_layout(
        Label(
            x=width / 2,
            y=height / 2,
            x_units="screen",
            y_units="screen",
            text=PlainText(text="\n".join(lines)),
            text_align="center",
            text_baseline="middle",
            text_font=FONT,
            text_font_size="13px",
            text_color="#555555",
        )
    )


def into_one_document(plots: Iterable[Model]) -> None:
    """Let a page have these plots: Bokeh looks for all models at every one that is added, unless told to do so once."""
    document = Document()
    with document.models.freeze():
        for plot in plots:
            document.add_root(plot)
