"""The page of a validation: bias, coverage, variance and accuracy of each cell, with what they should be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bokeh.embed import components
from bokeh.models import FactorRange, HoverTool
from bokeh.models.annotations import Span, Whisker
from bokeh.models.sources import ColumnDataSource
from bokeh.plotting import figure

from photonstream.dashboard.html import grid_table, text
from photonstream.dashboard.page import BASE_CSS, POLICY, plot_library
from photonstream.dashboard.style import BLUE, GREY, VERMILLION, interval, label_axes, plain_figure
from photonstream.nodes.validate.summary import Figure, Summary

_WIDTH, _ROW, _LEAST = 330, 26, 120
# What is drawn of each cell: its words, how to get it, and what it should be.
_PANELS: tuple[tuple[str, Callable[[Summary], Figure], float], ...] = (
    ("Bias of β (σ)", lambda s: s.bias, 0.0),
    ("Coverage of the 68 % interval", lambda s: s.coverage68, 0.6827),
    ("Coverage of the 95 % interval", lambda s: s.coverage95, 0.95),
    ("Variance over the Cramér-Rao bound", lambda s: s.variance, 1.0),
    ("Accuracy of the states (balanced, 1 ms)", lambda s: s.accuracy, 1.0),
    ("Called bi-exponential (share)", lambda s: s.bi, math.nan),
)
_CSS = """
main { width: 1260px; margin: 0 auto; padding: 22px 10px 40px; }
.plots { display: flex; flex-wrap: wrap; gap: 18px; }
.grid { margin-top: 20px; } .grid td:not(:last-child) { white-space: nowrap; }
"""


def render(summaries: Sequence[Summary], ended: str = "") -> str:
    """The page as HTML that needs nothing from outside itself; at least one summary.

    ``ended``: how it was cut short.
    """
    numbered = [(f"{n}", summary) for n, summary in enumerate(summaries, 1)]
    script, plots = components([_plot(numbered, *panel) for panel in _PANELS])
    count = sum(summary.count for summary in summaries)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><link rel="icon" href="data:,">'
        f"<title>Validation</title><style>{BASE_CSS}{_CSS}</style>"
        f"{plot_library()}</head><body><main>"
        f"<header><h1>Validation</h1><p>{count:,} simulated nanocrystals in {len(numbered)} cells through the whole "
        f"pipeline. Dots with their Monte-Carlo errors; dashed: what it should be (of the share "
        f"called bi-exponential known at β = 0 alone: none). σ is the Cramér-Rao bound of β."
        f"{text(f' It was {ended}.') if ended else ''}"
        f'</p></header><div class="plots">{"".join(plots)}</div>{_table(numbered)}</main>{script}</body></html>\n'
    )


def _plot(
    numbered: Sequence[tuple[str, Summary]], words: str, get: Callable[[Summary], Figure], ideal: float
) -> figure:
    known = [(name, summary, *get(summary)) for name, summary in numbered if not math.isnan(get(summary)[0])]
    names = [name for name, _ in numbered]
    errors = [0.0 if math.isnan(error) else error for *_, error in known]
    data: dict[str, list[Any]] = {
        "cell": [name for name, *_ in known],
        "value": [value for *_, value, _ in known],
        "error": errors,
        "low": [value - error for (*_, value, _), error in zip(known, errors, strict=True)],
        "high": [value + error for (*_, value, _), error in zip(known, errors, strict=True)],
        "words": [str(summary.cell) for _, summary, *_ in known],
    }
    seen = [*data["low"], *data["high"], *([] if math.isnan(ideal) else [ideal])]
    low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.5
    plot = plain_figure(
        (_WIDTH, max(_LEAST, _ROW * len(names))),
        x_range=interval(low - pad, high + pad),
        y_range=FactorRange(factors=names[::-1]),
    )
    label_axes(plot, words, "Cell")
    source = ColumnDataSource(data)
    if not math.isnan(ideal):
        plot.add_layout(Span(location=ideal, dimension="height", line_color=VERMILLION, line_dash="dashed"))
    whisker = Whisker(
        base="cell", upper="high", lower="low", source=source, dimension="width", line_color=GREY
    )
    plot.add_layout(whisker)
    dots = plot.scatter("value", "cell", source=source, size=7, fill_color=BLUE, line_color=None)
    tooltips = [("cell", "@words"), (words, "@value{0.0000} ± @error{0.0000}")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tooltips))
    return plot


def _table(numbered: Sequence[tuple[str, Summary]]) -> str:
    head = (
        "cell",
        "",
        "NCs",
        "σ (CRB)",
        "bias (σ)",
        "68 %",
        "95 %",
        "variance/CRB",
        "bi",
        "limits above β",
        "accuracy",
        "shift (σ)",
        "most frequent reason for no β",
    )
    rows = [
        (
            name,
            str(s.cell),
            s.count if s.two == s.count or math.isnan(s.sigma) else f"{s.two} of {s.count}",
            "" if math.isnan(s.sigma) else f"{s.sigma:.4f}",
            *(_figure(f) for f in (s.bias, s.coverage68, s.coverage95, s.variance, s.bi, s.upper)),
            _figure(s.accuracy, 4),
            _figure(s.shift),
            s.reason[:80],
        )
        for name, s in numbered
    ]
    return grid_table(head, rows) if rows else text("no cells")


def _figure(figure: Figure, digits: int = 2) -> str:
    value, error = figure
    if math.isnan(value):
        return ""
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")
