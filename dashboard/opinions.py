"""What the report says beside the selection: how long states last, and what other ways of selecting give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import grid_table, text
from photonstream.dashboard.numbers import (
    KCPS,
    MS,
    NS,
    ONE,
    PERCENT,
    SECONDS,
    counted,
    estimate_text,
    is_estimate,
    number,
    quantity,
)


def dwell_table(run: RunFolder) -> str:
    """Mean and exponent of the dwells in the selected state and out of it, and which model is favoured."""
    times = run.section("states").get("dwell_times")
    if not isinstance(times, Mapping):
        return ""
    sides = {name: times.get(name) for name in ("selected", "other")}
    names = {"selected": "selected", "other": "not selected"}
    rows = [
        (
            names[name],
            f"{counted(side.get('dwells'))} + {counted(side.get('cut'))}",
            estimate_text(side["tau_s"], SECONDS) if is_estimate(side.get("tau_s")) else "–",
            estimate_text(side["alpha"], ONE) if is_estimate(side.get("alpha")) else "–",
            _favoured(side),
        )
        for name, side in sides.items()
        if isinstance(side, Mapping)
    ]
    remark = (
        f"Complete dwells + those cut by the ends of the recording, in bins of {quantity(times.get('bin_s'), MS)}; "
        "models of the dwells of two bins or more by maximum likelihood: mean of an exponential (solid), exponent of a "
        "power law (dashed). Ahead by: difference of the log-likelihoods."
    )
    return grid_table(("state", "dwells", "mean", "exponent", "favoured"), rows) + f"<p>{text(remark)}</p>"


def _favoured(side: Mapping[str, Any]) -> str:
    ahead = number(side.get("difference"))
    if ahead is None:
        return str(side.get("reason") or "unknown")
    return f"{side.get('favoured')}, ahead by {abs(ahead):.1f}"


def selections_table(run: RunFolder) -> str:
    """Beta by every way of selecting that was tried, and the levels that the change points found."""
    second = run.section("second_opinion")
    rows = [*_selections(run), *_second(second)]
    if not rows:
        return ""
    return grid_table(("selection", "beta (apparent)", "remark"), rows) + _levels(second)


def _selections(run: RunFolder) -> Iterator[tuple[str, str, str]]:
    others = run.section("other_selections")
    if "left_out" in others:
        depends = "depends on the selection" if others.get("depends") is True else ""
        yield "states without each bin's own photons", _beta(others["left_out"]), depends
    if "window" in others:
        yield "window of rates", _beta(others["window"]), ""


def _second(second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if second.get("reason"):
        yield "change points of the intensity", "none", str(second["reason"])
    elif second:
        agreement = number(second.get("agreement"))
        agrees = "" if agreement is None else f"agrees {quantity(agreement, PERCENT, 3)} of the time"
        yield "change points of the intensity", _beta(second.get("beta")), agrees


def _beta(value: Any) -> str:
    return estimate_text(value, PERCENT) if is_estimate(value) else "none"


def _levels(second: Mapping[str, Any]) -> str:
    levels = second.get("levels")
    if not isinstance(levels, list):
        return ""
    rows = [
        (
            "neutral" if level.get("neutral") is True else "not neutral",
            quantity(level.get("rate_hz"), KCPS),
            quantity(level.get("time_share"), PERCENT, 3),
            quantity(level.get("mean_dtime_s"), NS),
            quantity(level.get("dwell_s"), SECONDS, 3),
        )
        for level in reversed(levels)
        if isinstance(level, Mapping)
    ]
    left_out = number(second.get("left_out"))
    remark = f"{counted(second.get('change_points'))} change points, found photon by photon without delays"
    if (unsure_s := number(second.get("unsure_s"))) is not None:
        remark += f"; half of them are placed within {quantity(unsure_s, MS, 3)} (95 %)"
    if left_out:
        covered = quantity(second.get("covered_s"), SECONDS)
        remark += f"; of the first {covered}: {counted(left_out)} later photons were not kept"
    head = ("level", "rate", "time share", "mean delay", "mean dwell")
    return grid_table(head, rows) + f"<p>{text(remark)}.</p>"
