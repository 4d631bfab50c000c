"""Calibration by runs of the same nanocrystal, in the words of the page: s and <N>, and beta and eta with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photonstream.dashboard.detail import estimate_row
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row, grid_table, rows_table
from photonstream.dashboard.numbers import (
    ONE,
    PERCENT,
    Unit,
    counted,
    estimate_text,
    interval_text,
    is_estimate,
    number,
    plain,
    quantity,
)

_GIVEN = "given"


def main_rows(run: RunFolder) -> Iterator[Row]:
    """Beta and eta by both ways of calibrating, with the s and <N> that each rests on; or why there are none."""
    section = run.section("calibration")
    if section.get("reason"):
        yield Row("calibration", "none", remark=str(section["reason"]))
    if not section.get("runs"):
        return
    way = _member(section, "s_at_given_n")
    if is_estimate(way.get("s")):
        s = f"s = {estimate_text(way['s'])} (95 %: {interval_text(way['s'])})"
        yield _row("beta, s calibrated at the given <N>", way, "beta", f"{s}, at <N> = {_means(way)}")
        yield _row("CM efficiency, s calibrated at the given <N>", way, "eta", _cascade(way, "s"))
    else:
        yield Row("beta, s calibrated at the given <N>", "none", remark=str(way.get("reason") or ""))
    way = _member(section, "n_at_given_s")
    if is_estimate(way.get("s")):
        s, scale = plain(number(way["s"]["value"]) or 0.0), way.get("scale")
        factor = f"; {estimate_text(scale)} of the given" if is_estimate(scale) else ""
        words = f"<N> of the calibration runs: {_means(way)}{factor}"
        yield _row(f"beta, <N> calibrated at s = {s} exactly", way, "beta", words)
        scaled = "<N> of this run by the same factor; " if factor else ""
        words = scaled + _cascade(way, "mean_n")
        yield _row(f"CM efficiency, <N> calibrated at s = {s} exactly", way, "eta", words)
    elif way.get("reason"):
        yield Row("<N> at the given s", "none", remark=str(way["reason"]))


def calibration_html(run: RunFolder) -> str:
    """The runs that calibrate this one, the lifetimes that they share, and what to mind; empty without any."""
    section = run.section("calibration")
    runs = section.get("runs")
    if not isinstance(runs, list):
        return rows_table(main_rows(run)) if section.get("reason") else ""
    ways = [_member(section, key).get("mean_n") for key in ("s_at_given_n", "n_at_given_s")]
    lines = [
        (
            each.get("folder"),
            quantity(each.get("excitation_nm"), Unit("nm", 1.0)),
            quantity(each.get("power_w"), Unit("nW", 1e9)),
            counted(each.get("photons")),
            "yes" if each.get("fast_component") is True else "no",
            _estimate(each.get("given_n")),
            *(_estimate(way[k]) if isinstance(way, list) and k < len(way) else "none" for way in ways),
        )
        for k, each in enumerate(runs)
        if isinstance(each, Mapping)
    ]
    head = (
        "run",
        "excitation",
        "power",
        "photons",
        "fast component",
        "<N> given",
        "<N>, s fitted",
        "<N> at the given s",
    )
    nanoseconds = Unit("ns", 1e9)
    rows = [
        estimate_row("exciton lifetime of the runs", section.get("tau_x_s"), nanoseconds),
        estimate_row("biexciton lifetime of the runs", section.get("tau_xx_s"), nanoseconds),
    ]
    remark = (
        "All runs in one likelihood; their biexcitons from double absorption, 1 − N/(exp N − 1) of the excited pulses. "
        + ("<N> in proportion to the power." if section.get("power_shared") is True else "")
    )
    return grid_table(head, lines) + f"<p>{remark}</p>" + rows_table(rows, intervals="95 % interval")


def warnings(run: RunFolder) -> list[str]:
    """What to mind about the calibration."""
    found = run.section("calibration").get("warnings")
    return [f"Calibration: {each}." for each in found] if isinstance(found, list) else []


def _row(label: str, way: Mapping[str, Any], key: str, remark: str) -> Row:
    said = str(way.get(f"{key}_reason") or "")
    words = "; ".join(part for part in (remark, said) if part)
    if not is_estimate(way.get(key)):
        return Row(label, "none", "", words)
    return estimate_row(label, way[key], PERCENT, remark=words)


def _cascade(way: Mapping[str, Any], key: str) -> str:
    """What the cascade says in place of the closed form."""
    cascade = _member(way, "cascade")
    value, eta = number(cascade.get(key)), number(cascade.get("eta"))
    if value is None:
        return "closed form of n ≤ 2; no n² cascade makes these decays"
    name = "s" if key == "s" else "<N>"
    words = f"closed form of n ≤ 2; by the n² cascade {name} = {plain(value, 3)}"
    return words if eta is None else f"{words} and {quantity(eta, PERCENT, 3)}"


def _means(way: Mapping[str, Any]) -> str:
    means = way.get("mean_n")
    return ", ".join(_estimate(each) for each in means) if isinstance(means, list) else "unknown"


def _estimate(value: Any) -> str:
    return estimate_text(value, ONE, without_error=_GIVEN) if is_estimate(value) else "not known"


def _member(section: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = section.get(key)
    return value if isinstance(value, Mapping) else {}
