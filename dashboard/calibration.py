"""Calibration by runs of the same nanocrystal, in the words of the page: s and <N>, and beta and eta with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row, grid_table, rows_table
from photonstream.dashboard.numbers import (
    NS,
    ONE,
    PERCENT,
    Unit,
    counted,
    decimals_of,
    estimate_text,
    fixed,
    interval_text,
    is_estimate,
    number,
    plain,
    quantity,
    with_unit,
)

_GIVEN = "given"


def main_rows(run: RunFolder) -> Iterator[Row]:
    """s, <N>, beta and eta by both ways of calibrating, each as a range over the models; or why there are none."""
    section = run.section("calibration")
    if section.get("reason"):
        yield Row("calibration", "none", remark=str(section["reason"]))
    runs = section.get("runs")
    if not isinstance(runs, list) or not runs:
        return
    way = _member(section, "s_at_given_n")
    yield _range_row("s at the given <N>", way, "s", ONE)
    if _said(way, "s") or _limited(way, "s"):
        yield _range_row("beta, s calibrated at the given <N>", way, "beta", PERCENT)
        yield _range_row("CM efficiency, s calibrated at the given <N>", way, "eta", PERCENT)
    way = _member(section, "n_at_given_s")
    if not (given := list(_said(way, "s").values())):
        yield _range_row("<N> at the given s", way, "s", ONE)
        return
    s = plain(number(given[0]["value"]) or 0.0)
    for k, each in enumerate(runs):
        yield _range_row(f"<N> of {each.get('folder')} at s = {s} exactly", way, ("mean_n", k), ONE)
    yield _range_row(f"beta, <N> calibrated at s = {s} exactly", way, "beta", PERCENT)
    factors = [f"{estimate_text(x)} ({name})" for name, x in _said(way, "scale").items()]
    scaled = f"<N> of this run by the same factor: {', '.join(factors)} of the given" if factors else ""
    yield _range_row(f"CM efficiency, <N> calibrated at s = {s} exactly", way, "eta", PERCENT, scaled)


def _range_row(
    label: str, way: Mapping[str, Any], key: str | tuple[str, int], unit: Unit, also: str = ""
) -> Row:
    """A figure from its lowest to its highest value by the models, with the union of their intervals."""
    said = _said(way, key)
    words = [f"{name} {estimate_text(each, unit)}" for name, each in said.items()]
    if len({text.partition(name)[2] for name, text in zip(said, words, strict=True)}) == 1:
        words = [f"by the {' and the '.join(said)}"]
    remark = "; ".join(filter(None, ["; ".join(words), also, *_reasons(way, key, said)]))
    if not said:
        limits = interval_text(_union(way, key), "ci95", unit) if _limited(way, key) else ""
        return Row(label, "not determined" if limits else "none", limits, remark)
    low, high = (pick(said.values(), key=lambda x: x["value"]) for pick in (min, max))
    errors = [x["stderr"] for x in said.values() if number(x.get("stderr"))]
    if low["value"] == high["value"] or not errors:
        value = estimate_text(low, unit)
    else:
        digits = decimals_of(unit.per_si * max(errors))
        value = with_unit(" to ".join(fixed(unit.per_si * x["value"], digits) for x in (low, high)), unit)
    union = {**_union(way, key), "stderr": min(errors, default=None)}
    return Row(label, value, interval_text(union, "ci95", unit), remark)


def _said(way: Mapping[str, Any], key: str | tuple[str, int]) -> dict[str, Mapping[str, Any]]:
    """What each model says of a figure, by the model's name; without those that say nothing."""
    found = {}
    for name, of_model in _member(way, "models").items():
        each = _picked(of_model, key) if isinstance(of_model, Mapping) else None
        if isinstance(each, Mapping) and is_estimate(each) and number(each["value"]) is not None:
            found[str(name)] = each
    return found


def _union(way: Mapping[str, Any], key: str | tuple[str, int]) -> Mapping[str, Any]:
    found = _picked(_member(way, "range"), key)
    return found if isinstance(found, Mapping) else {}


def _limited(way: Mapping[str, Any], key: str | tuple[str, int]) -> bool:
    """Whether at least one side of the union of the intervals closes."""
    ends = _union(way, key).get("ci95")
    return isinstance(ends, list) and any(number(end) is not None for end in ends)


def _picked(section: Mapping[str, Any], key: str | tuple[str, int]) -> Any:
    if isinstance(key, str):
        return section.get(key)
    several = section.get(key[0])
    return several[key[1]] if isinstance(several, list) and key[1] < len(several) else None


def _reasons(way: Mapping[str, Any], key: str | tuple[str, int], said: Mapping[str, Any]) -> Iterator[str]:
    """Why a model says nothing, or what to mind about what it says; once where all say the same."""
    name = key if isinstance(key, str) else key[0]
    models = _member(way, "models")
    found = {
        str(model): str(each.get("reason") or each.get(f"{name}_reason") or "")
        for model, each in models.items()
        if isinstance(each, Mapping)
    }
    if len(set(found.values())) == 1:
        yield next(iter(found.values()))
        return
    for model, why in found.items():
        if why or model not in said:
            yield why if model in why else f"{model}: {why or 'not determined'}"


def calibration_html(run: RunFolder) -> str:
    """The runs that calibrate this one, the lifetimes that they share, and what to mind; empty without any."""
    section = run.section("calibration")
    runs = section.get("runs")
    if not isinstance(runs, list):
        return rows_table(main_rows(run)) if section.get("reason") else ""
    ways = [_member(section, key) for key in ("s_at_given_n", "n_at_given_s")]
    lines = [
        (
            each.get("folder"),
            quantity(each.get("excitation_nm"), Unit("nm", 1.0)),
            quantity(each.get("power_w"), Unit("nW", 1e9)),
            counted(each.get("photons")),
            "yes" if each.get("fast_component") is True else "no",
            _estimate(each.get("given_n")),
            *(_by_model(way, ("mean_n", k), ONE) for way in ways),
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
    rows = [
        Row(f"{what} lifetime of the runs", _by_model(ways[1], key, NS))
        for what, key in (("exciton", "tau_x_s"), ("biexciton", "tau_xx_s"))
    ]
    remark = (
        "All runs in one likelihood, once for each model: n<=2 closed form, double absorption alone, 1 − N/(exp N − 1) "
        "of the excited pulses; n^2 cascade, three and more excitons too (radiative n², Auger n²(n − 1)/4). "
        + ("<N> in proportion to the power." if section.get("power_shared") is True else "")
    )
    return grid_table(head, lines) + f"<p>{remark}</p>" + rows_table(rows)


def warnings(run: RunFolder) -> list[str]:
    """What to mind about the calibration."""
    found = run.section("calibration").get("warnings")
    return [f"Calibration: {each}." for each in found] if isinstance(found, list) else []


def _by_model(way: Mapping[str, Any], key: str | tuple[str, int], unit: Unit) -> str:
    found = [
        f"{estimate_text(each, unit, without_error=_GIVEN)} ({name})"
        for name, each in _said(way, key).items()
    ]
    return ", ".join(found) or "none"


def _estimate(value: Any) -> str:
    return estimate_text(value, ONE, without_error=_GIVEN) if is_estimate(value) else "not known"


def _member(section: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = section.get(key)
    return value if isinstance(value, Mapping) else {}
