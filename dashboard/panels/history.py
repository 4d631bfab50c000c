"""How beta and the lifetimes settle as photons come in: 68 and 95 % bands, and how wide these are to be at best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    NoOverlap,
    Range1d,
)
from bokeh.plotting import figure

from photonstream.dashboard.axes import linear_ends
from photonstream.dashboard.numbers import NS, PERCENT, Unit
from photonstream.dashboard.style import EXCITON, FAST, GREY, INK, Size, count_ticks, label_axes, plain_figure
from photonstream.dashboard.views import Floats
from photonstream.nodes.history import ENDS

RECENT = 0.1
# Numbers of photons that an axis can show.
DECADES = 13


@dataclass(frozen=True)
class Quantity:
    """One row of the panel: its name in the result, its words, unit and colour."""

    name: str
    words: str
    unit: Unit
    color: str


QUANTITIES = (
    Quantity("beta", "β", PERCENT, INK),
    Quantity("tau_x_s", "τₓ", NS, EXCITON),
    Quantity("tau_xx_s", "τₓₓ", NS, FAST),
)


Columns = dict[str, dict[str, list[Floats] | Floats]]


def history_columns(history: Mapping[str, Floats], quantity: Quantity) -> Columns:
    """What `history_figure` draws: the values, each band as one outline for each run of fits that have it, the bound.

    The Cramer-Rao bound of the last fit, for fewer photons: information grows with them, so the standard error falls
    with their root.
    """
    photons = np.asarray(history["photons"], float)
    value, low, high, low95, high95, error = (
        np.asarray(history[quantity.name + end], float) * quantity.unit.per_si for end in ENDS
    )
    lines = {"photons": photons, "value": value, "low": low, "high": high, "low95": low95, "high95": high95}
    known = np.flatnonzero(np.isfinite(error) & np.isfinite(value))
    at, best = np.empty(0), np.empty(0)
    if known.size:
        last = known[-1]
        at = photons[known[0] : last + 1]
        best = error[last] * np.sqrt(photons[last] / at)
    centre = value[known[-1]] if known.size else 0.0
    return {
        quantity.name: {**lines},
        f"{quantity.name}_band": _outlines(photons, value, low, high),
        f"{quantity.name}_band95": _outlines(photons, value, low95, high95),
        f"{quantity.name}_bound": {"photons": at, "low": centre - best, "high": centre + best},
    }


def _outlines(photons: Floats, value: Floats, low: Floats, high: Floats) -> dict[str, list[Floats] | Floats]:
    has_band = np.isfinite(low) & np.isfinite(high) & np.isfinite(value)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], has_band, [False]]))).reshape(-1, 2).tolist()
    runs = [slice(a, b) for a, b in edges]
    return {
        "xs": [np.concatenate([photons[run], photons[run][::-1]]) for run in runs],
        "ys": [np.concatenate([low[run], high[run][::-1]]) for run in runs],
    }


def history_ends(columns: Mapping[str, Floats]) -> tuple[float, float] | None:
    """Ends of the axis of a quantity, None without a value.

    Bands of fits with fewer than a share RECENT of the photons are wide and may stick out, and of the 95 % band all but
    its newest end.
    """
    value = columns["value"]
    known = np.flatnonzero(np.isfinite(value))
    if not known.size:
        return None
    late = known[columns["photons"][known] >= RECENT * columns["photons"][known[-1]]]
    recent = [columns[name][late] for name in ("value", "low", "high")]
    seen = np.concatenate([*recent, *(columns[name][known[-1:]] for name in ("low95", "high95"))])
    seen = seen[np.isfinite(seen)]
    low, high = float(seen.min()), float(seen.max())
    pad = 0.1 * (high - low)
    return linear_ends(low - pad, high + pad)


def history_figure(
    sources: Mapping[str, ColumnDataSource],
    quantity: Quantity,
    photons: Range1d,
    values: Range1d,
    size: Size,
    *,
    last: bool,
) -> figure:
    """The plot of the columns that `history_columns` makes; only the ``last`` row shows the numbers of photons."""
    plot = plain_figure(size, x_range=photons, y_range=values, x_axis_type="log")
    label_axes(plot, "Selected photons" if last else "", f"{quantity.words} ({quantity.unit.name})")
    plot.yaxis.ticker = BasicTicker(desired_num_ticks=4)
    plot.xaxis.ticker = FixedTicker(
        ticks=[m * 10.0**k for k in range(DECADES) for m in (1, 2, 5)],
        minor_ticks=[m * 10.0**k for k in range(DECADES) for m in range(1, 10)],
    )
    plot.xaxis.formatter = count_ticks()
    plot.xaxis.major_label_policy = NoOverlap(min_distance=16)
    if not last:
        plot.xaxis.major_label_text_font_size = "0px"
        plot.min_border_bottom = 8
    for band in ("band95", "band"):
        plot.patches(
            "xs",
            "ys",
            source=sources[f"{quantity.name}_{band}"],
            fill_color=quantity.color,
            fill_alpha=0.12,
            # The band of a single fit is a line.
            line_color=quantity.color,
            line_alpha=0.2,
        )
    for end in ("low", "high"):
        plot.line(
            "photons",
            end,
            source=sources[f"{quantity.name}_bound"],
            line_color=GREY,
            line_dash=[4, 3],
            line_width=1,
        )
    source = sources[quantity.name]
    plot.line("photons", "value", source=source, line_color=quantity.color, line_width=1.4)
    dots = plot.scatter("photons", "value", source=source, size=3, fill_color=quantity.color, line_color=None)
    unit = quantity.unit.name
    plot.add_tools(
        HoverTool(
            renderers=[dots],
            mode="vline",
            limit=1,
            tooltips=[
                ("photons", "@photons{0,0}"),
                (quantity.words, f"@value{{0.00}} {unit}"),
                ("68 %", f"@low{{0.00}} to @high{{0.00}} {unit}"),
                ("95 %", f"@low95{{0.00}} to @high95{{0.00}} {unit}"),
            ],
        )
    )
    return plot
