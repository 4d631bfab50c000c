"""What the report says beside the selection: how long states last, and what other ways of selecting give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from photonstream.dashboard.facts import dwell_text, dwell_unit, with_error
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row, grid_table, items, text
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
from photonstream.nodes.inference.dwell import CUT_OFF, NONE

# Below this share of the time in which both agree, the second opinion is on other photons.
AGREEING = 0.9


def dwell_table(run: RunFolder) -> str:
    """Mean and exponent of the dwells in the selected state and out of it, and which model is favoured."""
    times = run.section("states").get("dwell_times")
    if not isinstance(times, Mapping):
        return ""
    sides = {name: times.get(name) for name in ("selected", "other")}
    known = [(name, side) for name, side in sides.items() if isinstance(side, Mapping)]
    names = {"selected": "selected", "other": "not selected"}
    rows = [
        (
            names[name],
            f"{counted(side.get('dwells'))} + {counted(side.get('cut'))}",
            _dwell(side.get("tau_s")),
            _dwell(side.get("corrected_s")),
            estimate_text(side["alpha"], ONE) if is_estimate(side.get("alpha")) else "–",
            _favoured(side),
        )
        for name, side in known
    ]
    remark = (
        f"Complete dwells + those cut by the ends of the recording, in bins of {quantity(times.get('bin_s'), MS)}; "
        "models of the dwells from the shortest length on from which one of them describes all (two bins at least), by "
        "maximum likelihood (blue dots, black lines: selected; grey ones: not): mean of an exponential (solid), "
        "exponent of a power law (dashed), and one that ends exponentially (dotted) where that does better than both. "
        "Ahead by: "
        "difference of the log-likelihoods. Visits too short for a bin are not seen, and "
        "the dwells beside them are joined. Beside the mean as it is seen stands the one if every visit of less than a "
        "bin was missed (corrected): the true one is expected between the two."
    )
    reasons = dict.fromkeys(
        str(side.get("reason") or side.get("corrected_reason") or "") for _, side in known
    )
    whys = items([f"{reason[:1].upper()}{reason[1:]}." for reason in reasons if reason])
    head = ("state", "dwells", "mean", "corrected", "exponent", "favoured")
    return grid_table(head, rows) + whys + f"<p>{text(remark)}</p>"


def _dwell(mean: Any) -> str:
    return estimate_text(mean, dwell_unit(mean["value"])) if is_estimate(mean) else "–"


def _favoured(side: Mapping[str, Any]) -> str:
    ahead = number(side.get("difference"))
    if ahead is None:
        return "–" if side.get("reason") else "unknown"
    cut_off, shortest_s = side.get("cut_off"), number(side.get("shortest_s"))
    begin = "" if shortest_s is None else f", from {quantity(shortest_s, MS, 3)} on"
    if side.get("favoured") == NONE:
        return f"{NONE}{begin}"
    if side.get("favoured") != CUT_OFF or not isinstance(cut_off, Mapping):
        return f"{side.get('favoured')}, ahead by {abs(ahead):.1f}{begin}"
    exponent, end = estimate_text(cut_off["alpha"], ONE), _dwell(cut_off["tau_s"])
    lead = number(cut_off.get("lead")) or 0.0
    return f"{CUT_OFF}, exponent {exponent}, cut-off {end}, ahead by {lead:.1f}{begin}"


def selections_table(run: RunFolder) -> str:
    """Beta by every way of selecting that was tried, and the levels that the change points found."""
    second = run.section("second_opinion")
    rows = [*_selections(run), *_second(second, fits=_fits(run))]
    if not rows:
        return ""
    return grid_table(("selection", "τₓ", "beta (apparent)", "remark"), rows) + _levels(second)


def _way(others: Mapping[str, Any], way: str, same: str) -> tuple[Any, Any, str]:
    """Lifetime, beta and, where there is none, the reason of one way to select, unless it is the ``same`` as above."""
    tau_x_s, reasons = others.get("tau_x_s"), others.get("reasons")
    why = str(reasons.get(way) or "") if isinstance(reasons, Mapping) else ""
    tau = tau_x_s.get(way) if isinstance(tau_x_s, Mapping) else None
    alike = re.sub(r"[\d.]+", "", why) == re.sub(r"[\d.]+", "", same)
    return tau, others.get(way), "for the same reason" if why and alike else why


def _selections(run: RunFolder) -> Iterator[tuple[str, str, str, str]]:
    others = run.section("other_selections")
    if "left_out" not in others:
        return
    beta, same = run.summary.get("beta"), str(run.summary.get("beta_reason") or "")
    fits = _fits(run)
    ways = (
        ("as selected", run.section("fit").get("tau_x_s"), beta, "the reason stands above"),
        ("states without each bin's own photons", *_way(others, "left_out", same)),
        ("window of rates", *_way(others, "window", same)),
    )
    for name, tau_x_s, each, why in ways:
        depends = others.get("depends") is True and name.startswith("states")
        remark = "depends on the selection" if depends else "" if is_estimate(each) else why
        value = tau_x_s.get("value") if isinstance(tau_x_s, Mapping) else None
        yield (
            name,
            _tau(tau_x_s) if fits else quantity(value, NS, 3),
            _beta(each),
            remark if fits else "of a model that does not fit",
        )


def _second(second: Mapping[str, Any], *, fits: bool) -> Iterator[tuple[str, str, str, str]]:
    if second.get("reason"):
        yield "change points of the intensity", "–", "none", str(second["reason"])
    elif second:
        agreement = number(second.get("agreement"))
        # A count of time in which both say the same: how well either knows it is not in it.
        agrees = "" if agreement is None else f"agrees {quantity(agreement, PERCENT, 3)} of the time"
        if agreement is not None and agreement < AGREEING:
            agrees += ": of other photons, because it sees brightness alone and takes drift and bleaching for states"
        tau_x_s, beta = second.get("tau_x_s"), second.get("beta")
        value = tau_x_s.get("value") if isinstance(tau_x_s, Mapping) else None
        why = "" if is_estimate(beta) else str(second.get("beta_reason") or "")
        remarks = [agrees, why if fits else "of a model that does not fit"]
        yield (
            "change points of the intensity",
            _tau(tau_x_s) if fits else quantity(value, NS, 3),
            _beta(beta),
            "; ".join(filter(None, remarks)),
        )


def second_opinion_rows(run: RunFolder) -> Iterator[Row]:
    """What the change points say, in a row."""
    for name, tau_x_s, beta, remark in _second(run.section("second_opinion"), fits=_fits(run)):
        found = "none" if (tau_x_s, beta) == ("–", "none") else f"τₓ {tau_x_s}, beta {beta}"
        yield Row(f"second opinion: {name}", found, remark=remark)


def _fits(run: RunFolder) -> bool:
    return run.section("fit").get("verdict") != "does not fit"


def _beta(value: Any) -> str:
    return estimate_text(value, PERCENT) if is_estimate(value) else "none"


def _tau(value: Any) -> str:
    return estimate_text(value, NS) if is_estimate(value) else "none"


def _levels(second: Mapping[str, Any]) -> str:
    levels = second.get("levels")
    if not isinstance(levels, list):
        return ""
    rows = [
        (
            "neutral" if level.get("neutral") is True else "not neutral",
            estimate_text({"value": level.get("rate_hz"), "stderr": level.get("rate_stderr_hz")}, KCPS),
            quantity(level.get("time_share"), PERCENT, 3),
            with_error(level, "mean_dtime_s", NS),
            dwell_text(level),
        )
        for level in reversed(levels)
        if isinstance(level, Mapping)
    ]
    left_out = number(second.get("left_out"))
    remark = f"{counted(second.get('change_points'))} change points, found photon by photon without delays"
    if (unsure_s := number(second.get("unsure_s"))) is not None:
        remark += f"; half of them are placed within {quantity(unsure_s, MS, 3)} (95 %)"
    remark += "; the spread of the delays is not kept, so their means have no errors"
    if left_out:
        covered = quantity(second.get("covered_s"), SECONDS)
        remark += f"; of the first {covered}: {counted(left_out)} later photons were not kept"
    head = ("level", "rate", "time share", "mean delay", "mean dwell")
    return grid_table(head, rows) + f"<p>{text(remark)}.</p>"
