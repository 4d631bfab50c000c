"""Intensity trace with the selected bins and the window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.models.annotations import BoxAnnotation, LabelSet, Span
from bokeh.plotting import figure

from photonstream.dashboard.decimate import skyline
from photonstream.dashboard.style import (
    LOST,
    OTHER_STATES,
    REST,
    SELECTED,
    Size,
    interval,
    label_axes,
    plain_figure,
    say,
)
from photonstream.dashboard.views import Envelope, Floats, Trace, envelope

# Two columns a pixel, for screens of high resolution.
COLUMNS_PER_PIXEL = 2
# Of the lines of `trace_columns`, in the order in which they are drawn.
LINE_COLORS = {
    "trace": REST,
    **{f"trace_other_{k}": color for k, color in enumerate(OTHER_STATES)},
    "trace_on": SELECTED,
}


# What persons have noted; more of it than these characters is told only to whoever points at its line.
NOTED = "#7a3e9d"
MOST_LABEL = 24
# So near a line, in pixels, is at it.
NEAR = 7
_NOTE = '<div style="max-width: 420px; white-space: normal; overflow-wrap: anywhere">@text</div>'
# Where the device lost data: first and last second of each.
Spans = Sequence[tuple[float, float]]


def draw_trace(
    trace: Trace,
    window_kcps: Sequence[float | None] | None,
    rates: Range1d,
    *,
    width: int,
    height: int,
    gaps_s: Spans = (),
    notes: Sequence[tuple[float, str]] = (),
) -> figure:
    """Rate against time: selected bins blue, other states in their colours, the rest grey; the window, gaps red, notes.

    ``window_kcps`` is [low, high), high None where it is open, None where no window was drawn.
    """
    shown = envelope(trace, COLUMNS_PER_PIXEL * width)
    ends = (float(shown.edges_s[0]), float(shown.edges_s[-1])) if len(shown.low) else (0.0, 1.0)
    sources = {name: ColumnDataSource(columns) for name, columns in trace_columns(shown, gaps_s).items()}
    plot = trace_figure(sources, interval(*ends), rates, (width, height))
    draw_window(plot, window_kcps)
    there = [(time_s, text) for time_s, text in notes if ends[0] <= time_s <= ends[1]]
    if there:
        add_notes(plot, ColumnDataSource(note_columns(there)))
    if not len(shown.low):
        say(plot, "The recording has no bins.", (width, height))
    return plot


def trace_columns(shown: Envelope, gaps_s: Spans = ()) -> dict[str, dict[str, Floats]]:
    """What `trace_figure` draws: lines of all bins and of the selected ones, gaps, and what pointing at them tells."""
    spans = np.array(gaps_s, np.float64).reshape(-1, 2)
    x, y = skyline(shown.edges_s, shown.low, shown.high)
    others = [{"x": x, "y": skyline(shown.edges_s, *ends)[1]} for ends in shown.others.values()]
    others += [{"x": x[:0], "y": y[:0]}] * len(OTHER_STATES)
    return {
        # All share one x, which goes to a page once.
        "trace": {"x": x, "y": y},
        "trace_on": {"x": x, "y": skyline(shown.edges_s, shown.on_low, shown.on_high)[1]},
        **{f"trace_other_{k}": others[k] for k in range(len(OTHER_STATES))},
        "trace_values": {
            "left": shown.edges_s[:-1],
            "right": shown.edges_s[1:],
            "low": shown.low,
            "high": shown.high,
            "selected": 100 * shown.on_share,
        },
        "trace_gaps": {"start": spans[:, 0], "stop": spans[:, 1]},
    }


def trace_figure(
    sources: Mapping[str, ColumnDataSource], time: Range1d, rates: Range1d, size: Size
) -> figure:
    """The plot of the columns that `trace_columns` makes."""
    plot = plain_figure(size, x_range=time, y_range=rates)
    label_axes(plot, "Time (s)", "Intensity (kcps)")
    # A gap of no known length still has its line.
    plot.vstrip(
        x0="start",
        x1="stop",
        source=sources["trace_gaps"],
        fill_color=LOST,
        fill_alpha=0.25,
        line_color=LOST,
        line_alpha=0.8,
        line_width=1,
    )
    for name, color in LINE_COLORS.items():
        plot.line("x", "y", source=sources[name], line_color=color, line_width=0.8, line_join="bevel")
    columns = plot.quad(
        left="left",
        right="right",
        bottom="low",
        top="high",
        source=sources["trace_values"],
        fill_alpha=0,
        line_alpha=0,
    )
    plot.add_tools(
        HoverTool(
            renderers=[columns],
            mode="vline",
            limit=1,
            tooltips=[
                ("time", "@left{0.000} to @right{0.000} s"),
                ("rate", "@low{0.00} to @high{0.00} kcps"),
                ("selected", "@selected{0} % of the bins"),
            ],
        )
    )
    return plot


def note_columns(notes: Sequence[tuple[float, str]]) -> dict[str, list[Any]]:
    """What `add_notes` draws: seconds, the words, and as much of them as stands beside the line."""
    words = [" ".join(text.split()) for _, text in notes]
    short = [each if len(each) <= MOST_LABEL else f"{each[: MOST_LABEL - 1].rstrip()}…" for each in words]
    return {"x": [time_s for time_s, _ in notes], "text": [text for _, text in notes], "label": short}


def add_notes(plot: figure, source: ColumnDataSource) -> None:
    """A line where somebody has said something, with the words at its foot, or as many as there is room for."""
    plot.vspan(x="x", source=source, line_color=NOTED, line_width=1.5)
    near = plot.vspan(x="x", source=source, line_alpha=0, line_width=2 * NEAR)
    plot.add_tools(HoverTool(renderers=[near], tooltips=_NOTE))
    plot.add_layout(
        LabelSet(
            x="x",
            y=4,
            y_units="screen",
            text="label",
            # A note of now stands at the right end.
            x_offset=-4,
            text_align="right",
            source=source,
            text_font_size="11px",
            text_color=NOTED,
            background_fill_color="#ffffff",
            background_fill_alpha=0.8,
        )
    )


def line_words(selected: Sequence[int], others: Iterable[int]) -> dict[str, str]:
    """What the lines of the trace are, by their names, from the states with selected bins and the others in it."""
    known = [f"state {n}" for n in others][: len(OTHER_STATES)]
    first = f"state {selected[0]}, selected" if len(selected) == 1 and known else "selected"
    rest = "not known" if known else "other bins"
    return {"trace_on": first, **{f"trace_other_{k}": words for k, words in enumerate(known)}, "trace": rest}


def trace_key(selected: Sequence[int], others: Iterable[int]) -> str:
    """What the colours of the trace are, as HTML: the `line_words` of the same states."""
    words = line_words(selected, others).items()
    return "".join(f'<i style="background:{LINE_COLORS[name]}"></i>{text} ' for name, text in words)


def draw_window(plot: figure, window_kcps: Sequence[float | None] | None) -> None:
    """The window as a faint band with its limits; a window that takes everything has none."""
    sides = zip(("bottom", "top"), window_kcps or (), strict=False)
    limits: dict[str, Any] = {side: limit for side, limit in sides if limit}
    if not limits:
        return
    plot.add_layout(window_band(**limits))
    for limit in limits.values():
        plot.add_layout(window_limit(location=limit))


def window_band(**options: Any) -> BoxAnnotation:
    """The band of a window."""
    return BoxAnnotation(fill_color=SELECTED, fill_alpha=0.07, line_alpha=0, level="underlay", **options)


def window_limit(**options: Any) -> Span:
    """The line at a limit of a window."""
    return Span(dimension="width", line_color=SELECTED, line_dash=[5, 3], line_width=1, **options)
