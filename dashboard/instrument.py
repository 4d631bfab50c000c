"""The page of an instrument response: counts of each detector on a logarithmic scale, with the width marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.embed import components
from bokeh.models.annotations import Span
from bokeh.plotting import figure
from numpy.typing import NDArray

from photonstream.dashboard.axes import log_ends
from photonstream.dashboard.html import grid_table, items, text
from photonstream.dashboard.page import BASE_CSS, POLICY, plot_library
from photonstream.dashboard.style import BLUE, GREY, INK, VERMILLION, interval, label_axes, plain_figure

_SIZE = (1050, 300)
# Shown around the peak: so many full widths before and behind it, where the recording has them.
_BEFORE, _BEHIND = 6.0, 20.0
_CSS = "main { width: 1220px; margin: 0 auto; padding: 22px 10px 40px; } h2 { font-size: 14px; margin: 18px 0 6px; }"


def render(content: Mapping[str, Any], histograms: Mapping[str, NDArray[Any]]) -> str:
    """The page as HTML that needs nothing from outside itself, from a stored response and its raw counts by channel."""
    channels = {name: c for name, c in content["channels"].items() if "response" in c}
    script, plots = components([_plot(content, c, histograms[name]) for name, c in channels.items()])
    body = "".join(
        f"<h2>Channel {text(name)}</h2>{plot}{items(channels[name]['notes'])}"
        for name, plot in zip(channels, plots, strict=True)
    )
    source = content["source"]
    subtitle = f"{source['path']}, recorded {source['created']}"
    if content["excitation_nm"] is not None:
        subtitle += f", {content['excitation_nm']:g} nm"
    head = (
        "channel",
        "photons",
        "rate (cps)",
        "peak (ns)",
        "FWHM (ps)",
        "tail (%)",
        "skew",
        "background (cps)",
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><link rel="icon" href="data:,">'
        f"<title>Instrument response</title><style>{BASE_CSS}{_CSS}</style>"
        f"{plot_library()}</head><body><main>"
        f"<header><h1>Instrument response</h1><p>{text(subtitle)}</p></header>{body}"
        f"{grid_table(head, [_row(name, c) for name, c in content['channels'].items()])}"
        f"<p>Tail: {text(content['definitions']['tail_share'])}. Skew: {text(content['definitions']['skew'])}. Black: "
        f"counts; blue: half-maximum width; dashed: peak; grey: background, where it is on the axis.</p>"
        f"{items(content['notes'])}"
        f"</main>{script}</body></html>\n"
    )


def _plot(content: Mapping[str, Any], channel: Mapping[str, Any], counts: NDArray[Any]) -> figure:
    """Counts around the peak against the delay after it: a response that wraps round is shown in one piece."""
    width_s, bins = content["bin_width_s"], len(counts)
    peak_s, fwhm_s = channel["peak_s"]["value"], channel["fwhm_s"]["value"]
    first = int((peak_s - _BEFORE * fwhm_s) / width_s)
    wanted = int((_BEFORE + _BEHIND) * fwhm_s / width_s) + 1
    for further in channel["further_peaks"]:
        wanted = max(wanted, int((further["delay_s"] + (_BEFORE + 2.0) * fwhm_s) / width_s))
        first = min(first, int((peak_s + further["delay_s"] - 2.0 * fwhm_s) / width_s))
    number = first + np.arange(min(bins, wanted + int((peak_s - _BEFORE * fwhm_s) / width_s) - first))
    shown = np.asarray(counts, dtype=np.float64)[number % bins]
    delay_ns = ((number + 0.5) * width_s - peak_s) * 1e9
    low, high = log_ends(0.5, max(2.0, float(shown.max())))
    plot = plain_figure(
        _SIZE, y_axis_type="log", x_range=interval(delay_ns[0], delay_ns[-1]), y_range=interval(low, high)
    )
    label_axes(plot, "Delay after the peak (ns)", f"Counts per {1e12 * width_s:.4g} ps")
    plot.step(delay_ns, np.maximum(shown, low), mode="center", line_color=INK)
    start_ns, stop_ns = (1e9 * (edge - peak_s) for edge in channel["half_maximum_s"])
    half = 0.5 * float(shown.max())
    plot.line([start_ns, stop_ns], [half, half], line_color=BLUE, line_width=3)
    plot.add_layout(Span(location=0.0, dimension="height", line_color=VERMILLION, line_dash="dashed"))
    if channel["background_rate_hz"] is not None:
        source = content["source"]
        measured_s = source.get("measured_s", source["duration_s"])
        level = channel["background_rate_hz"]["value"] * measured_s / bins
        if level > low:
            plot.add_layout(Span(location=level, dimension="width", line_color=GREY))
    return plot


def _row(name: str, channel: Mapping[str, Any]) -> Sequence[str]:
    rate = "unknown" if channel["rate_hz"] is None else f"{channel['rate_hz']:,.0f}"
    if "response" not in channel:
        return (name, f"{channel['photons']:,}", rate, *(["none"] * 5))
    figures = (
        ("peak_s", 1e9),
        ("fwhm_s", 1e12),
        ("tail_share", 100.0),
        ("skew", 1.0),
        ("background_rate_hz", 1.0),
    )
    return (name, f"{channel['photons']:,}", rate, *(_figure(channel[key], scale) for key, scale in figures))


def _figure(value: Mapping[str, Any] | None, scale: float) -> str:
    if value is None:
        return "unknown"
    error = "" if value["stderr"] is None else f" ± {scale * value['stderr']:.2g}"
    return f"{scale * value['value']:.4g}{error}"
