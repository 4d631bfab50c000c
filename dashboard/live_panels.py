"""What the panels of the live page show: from the newest results to columns, axes and words. Pure.

Every function here gives an `Update`: what the page is to change. Nothing in it depends on who looks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.dashboard.axes import linear_ends, log_ends, round_above
from photonstream.dashboard.folder import Curve
from photonstream.dashboard.latest import TRACE, Latest
from photonstream.dashboard.panels.decay import (
    STYLES,
    count_ends,
    counts_label,
    decay_columns,
    parts_drawn,
    residual_end,
    time_ends,
    unfitted_sides,
)
from photonstream.dashboard.panels.flid import flid_columns, most_bins
from photonstream.dashboard.panels.histogram import histogram_columns
from photonstream.dashboard.panels.history import QUANTITIES, history_columns, history_ends
from photonstream.dashboard.views import EXTRAS, Floats, rate_classes, view_decay
from photonstream.nodes.delays import after_pulse, pulses_of
from photonstream.nodes.history import ENDS

# A browser draws that many points of a decay without effort, several times a second.
LIVE_DECAY_BINS = 700
FEWEST_PHOTONS = 100.0
# A logarithmic axis of more than two decades is labelled by powers of ten.
LEAST_SPAN = 101.0
# Room above the curve for the words of its legend.
HEADROOM = 4.0

_NOTHING = np.empty(0)

# "data": columns by source, "ranges": ends by axis, "models": attributes by model, "say": words in place of a panel,
# "text" and "html": what stands in an element, "window": the on window.
Update = dict[str, Any]


def none_yet(latest: Latest, words: str, node: str, key: str) -> str:
    """``words`` of what there is none of, as a sentence: with a yet as long as more of this result may come."""
    return f"{words}." if latest.final(node, key) else f"{words} yet."


def histogram_view(latest: Latest) -> Update:
    """How often each rate occurs."""
    tiles = latest.tiles
    histogram = rate_classes(*tiles.histogram(), tiles.bin_s)
    most = float(histogram.bins.max(initial=0))
    return {
        "data": {"histogram": histogram_columns(histogram)},
        "ranges": {"bins": (0.0, round_above(1.02 * most) if most else 1.0)},
        "say": {"histogram": "" if most else none_yet(latest, "No bins", "intensity", TRACE)},
    }


def flid_view(latest: Latest) -> Update:
    """Bins of the trace by rate and mean delay."""
    flid = latest.value("states", "flid")
    columns = flid_columns(_flid_curve(flid, latest)) if flid else flid_columns(Curve())
    if not columns["bins"].size:
        no_bins = none_yet(latest, "No bins", "intensity", TRACE)
        words = "No delays after a laser pulse: no map." if latest.tiles.bins else no_bins
        return {"data": {"flid": columns}, "say": {"flid": words}}
    ends = float(columns["mean_dtime_start"].min()), float(columns["mean_dtime_stop"].max())
    return {
        "data": {"flid": columns},
        "ranges": {"delays": linear_ends(*ends)},
        "models": {"flid colours": {"high": log_ends(1.0, most_bins(columns))[1]}},
        "say": {"flid": ""},
    }


def _flid_curve(flid: Mapping[str, Any], latest: Latest) -> Curve:
    fit = latest.value("lifetime", "fit").get("summary", {}).get("fit", {})
    counts, rate_hz = flid["counts"], flid["rate_edges_hz"]
    dtime_ns = after_pulse(flid["dtime_edges_s"], pulses_of(fit)) * 1e9
    i, j = np.nonzero(counts)
    columns = {
        "rate_start": rate_hz[i],
        "rate_stop": rate_hz[i + 1],
        "mean_dtime_start": dtime_ns[j],
        "mean_dtime_stop": dtime_ns[j + 1],
        "bins": counts[i, j],
    }
    return Curve({name: np.asarray(values, float) for name, values in columns.items()})


def decay_view(latest: Latest) -> Update:
    """Decay of the selected photons with fit and residuals, or why there is none."""
    value = latest.value("lifetime", "decay")
    decay = view_decay(_decay_curve(value) if value else Curve(), LIVE_DECAY_BINS, value.get("fit_range_s"))
    parts = parts_drawn(decay)
    words = "" if "fit" in decay.model else _no_fit(latest)
    fewest, most = count_ends(decay)
    # Without a laser there may be a span of delays all the same, and it says nothing.
    time = time_ends(decay) if decay.photons else (0.0, 1.0)
    residuals = round_above(residual_end(decay))
    legend: dict[str, dict[str, Any]] = {f"legend {name}": {"visible": name in parts} for name in STYLES}
    legend |= {f"legend {name}": {"visible": name in decay.extras} for name in EXTRAS}
    for name, row in zip(EXTRAS[1:], _rows(value) if value else (), strict=False):
        channel = int(value["channels"][row])
        legend[f"legend {name}"]["label"] = {"value": f"channel {channel}"}
    shades = {
        f"{plot} {side}": of for plot in ("decay", "residuals") for side, of in unfitted_sides(decay).items()
    }
    photons = {f"legend {name}": {"visible": bool(decay.photons)} for name in ("selected", "everything")}
    return {
        "data": decay_columns(decay),
        "ranges": {
            "delay": time,
            "counts": log_ends(fewest, max(HEADROOM * most, LEAST_SPAN * fewest)),
            "residuals": (-residuals, residuals),
        },
        "models": {"counts axis": {"axis_label": counts_label(decay)}, **legend, **photons, **shades},
        "say": {"decay": "" if decay.photons else words, "residuals": words if decay.photons else ""},
    }


def _decay_curve(value: Mapping[str, Any]) -> Curve:
    """Sums over the channels that were fitted (all with photons where none was), as in decay.csv."""
    selected, everything, model, rows = value["selected"], value["all"], value["model"], _rows(value)
    bins = selected.shape[1]
    edges_ns = np.arange(bins + 1) * value["resolution_s"] * 1e9
    edges_ns[-1] = min(edges_ns[-1], (value["pulse_period_s"] or math.inf) * 1e9)
    has_fit = model is not None and bool(model["total"][rows].any())

    def total(counts: Any) -> Floats:
        return np.asarray(counts[rows].sum(axis=0), float)

    columns = {
        "time_start": edges_ns[:-1],
        "time_stop": edges_ns[1:],
        "counts": total(selected),
        "counts_all_states": total(everything),
    }
    if has_fit:
        names = {"fit": "total", "exciton": "x", "fast": "xx", "background": "background"}
        columns |= {name: total(model[key]) for name, key in names.items()}
        columns |= _response(total(model.get("response", 0.0 * model["total"])), columns["fit"])
    if len(rows) > 1:
        columns |= {name: np.asarray(selected[k], float) for name, k in zip(EXTRAS[1:], rows, strict=False)}
    return Curve(columns)


def _response(response: Floats, fit: Floats) -> dict[str, Floats]:
    """The response as high as the fit, which is where one can compare them."""
    highest = float(response.max(initial=0.0))
    return {"response": response * (float(fit.max()) / highest)} if highest > 0 else {}


def _rows(value: Mapping[str, Any]) -> NDArray[np.int64]:
    """The rows of the channels that were fitted, of all with photons where none was."""
    use = value["all"].any(axis=1)
    fitted = use & (value["model"]["total"].any(axis=1) if value["model"] is not None else False)
    return np.flatnonzero(fitted if fitted.any() else use)


def _no_fit(latest: Latest) -> str:
    """Why there is no fit, in a few words; the numbers have the whole reason."""
    summary = latest.value("lifetime", "fit").get("summary")
    fit = summary.get("fit") if isinstance(summary, Mapping) else None
    reason = fit.get("reason") if isinstance(fit, Mapping) else None
    if reason:
        return f"No fit: {str(reason).partition(':')[0]}."
    return none_yet(latest, "No fit", "lifetime", "fit")


def history_view(latest: Latest) -> Update:
    """Beta and the lifetimes against the photons that were selected."""
    history = latest.value("lifetime", "history")
    names = ["photons", *(q.name + end for q in QUANTITIES for end in ENDS)]
    history = history or dict.fromkeys(names, _NOTHING)
    update: Update = {"data": {}, "ranges": {}, "say": {}}
    anything, none = False, "none" if latest.final("lifetime", "history") else "none so far"
    for followed in QUANTITIES:
        columns: Any = history_columns(history, followed)
        update["data"] |= columns
        ends = history_ends(columns[followed.name])
        update["say"][followed.name] = "" if ends else none
        if ends:
            anything = True
            update["ranges"][followed.name] = ends
    photons = np.asarray(history["photons"], float)
    if not anything:
        update["say"] = {q.name: "" for q in QUANTITIES} | {"tau_x_s": _no_fit(latest)}
    if photons.size:
        first = max(FEWEST_PHOTONS, float(photons.min()))
        update["ranges"]["photons"] = log_ends(first, max(2.0 * first, float(photons.max())))
    return update
