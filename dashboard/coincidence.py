"""Antibunching in the words of the page: g2(0), the number of emitters, and what they were counted from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photonstream.dashboard.detail import estimate_row
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row
from photonstream.dashboard.numbers import NS, ONE, counted, is_estimate, number, plain, quantity


def main_rows(run: RunFolder) -> Iterator[Row]:
    """The rows that stand among the main numbers: g2(0) of the selected pairs, and how many emitters it is.

    Where there is no g2(0), why not.
    """
    section = run.section("antibunching")
    selected = _member(section, "selected")
    g2, better = selected.get("g2_0"), selected.get("g2_0_corrected")
    if is_estimate(better):
        yield estimate_row("g⁽²⁾(0), selected pairs, without background", better, ONE)
    if is_estimate(g2):
        why = str(selected.get("g2_0_corrected_reason") or "")
        remark = f"not corrected for background: {why}" if why else ""
        yield estimate_row("g⁽²⁾(0), selected pairs, as counted", g2, ONE, remark)
    elif section:
        why = section.get("reason") or selected.get("g2_0_reason") or "no pairs"
        yield Row("g⁽²⁾(0), selected pairs", "none", remark=str(why))
    late = _member(section, "late")
    if late.get("verdict") and (is_estimate(g2) or is_estimate(late.get("g2_0"))):
        yield Row("emitters, by late photons", str(late["verdict"]), remark=str(late.get("reason") or ""))


def detail_rows(run: RunFolder) -> Iterator[Row]:
    """Everything that was found about pairs, or why there are none."""
    section = run.section("antibunching")
    if not section:
        return
    if section.get("reason"):
        yield Row("pairs", "no g⁽²⁾(0)", remark=str(section["reason"]))
    channels = section.get("channels")
    if isinstance(channels, list):
        yield Row("detectors", " and ".join(f"channel {c}" for c in channels), remark=_others(section))
    yield from _centre_rows(_member(section, "centre"))
    for key, words in (("all", "all pairs"), ("selected", "selected pairs")):
        yield from _count_rows(_member(section, key), words)
    yield from _late_rows(_member(section, "late"))
    if number(section.get("accidental_pairs_per_bin")) is not None:
        width = quantity(section.get("bin_s"), NS)
        yield Row(f"accidental pairs per {width}, from the rates", plain(section["accidental_pairs_per_bin"]))
    ratio = _member(section, "yield_ratio")
    if is_estimate(ratio.get("value")):
        label = "quantum yield of the biexciton over that of the exciton"
        models = ", ".join(
            f"{name} {plain(x, 3)}" for name, x in _member(ratio, "models").items() if number(x)
        )
        yield estimate_row(label, ratio["value"], ONE, remark=f"by model: {models}" if models else "")
    elif ratio.get("reason"):
        yield Row("yield of the biexciton", "none", remark=str(ratio["reason"]))


def centre_ns(run: RunFolder) -> float | None:
    """Delay of the centre in nanoseconds, None where it is not known."""
    delay = _member(run.section("antibunching"), "centre").get("s")
    delay_s = number(delay.get("value") if isinstance(delay, Mapping) else delay)
    return None if delay_s is None else 1e9 * delay_s


def _others(section: Mapping[str, Any]) -> str:
    pairs = section.get("pairs_by_channels")
    return f"of {len(pairs)} pairs of channels the one with most pairs" if pairs and len(pairs) > 1 else ""


def _centre_rows(centre: Mapping[str, Any]) -> Iterator[Row]:
    if not centre:
        return
    how = {"dip": "fewest pairs", "peak": "most pairs", "given": "given"}
    found = how.get(str(centre.get("found")), "not found: no peak stands out, taken at zero")
    pulses = number(centre.get("pulses"))
    yield Row("centre", "at zero delay" if pulses is None else f"{pulses:+.0f} pulses", remark=found)
    if is_estimate(centre.get("s")):
        yield estimate_row("delay of the centre", centre["s"], NS)


def _count_rows(part: Mapping[str, Any], words: str) -> Iterator[Row]:
    if not part:
        return
    mean = number(part.get("pairs_side_mean"))
    sides = f"{counted(part.get('pairs_centre'))} against {plain(mean) if mean is not None else 'unknown'}"
    yield Row(f"{words}: centre against mean of the far side peaks", sides)
    if is_estimate(part.get("g2_0")):
        yield estimate_row(f"{words}: g⁽²⁾(0)", part["g2_0"], ONE)
    if is_estimate(part.get("g2_0_corrected")):
        yield estimate_row(f"{words}: g⁽²⁾(0) without background", part["g2_0_corrected"], ONE)


def _late_rows(late: Mapping[str, Any]) -> Iterator[Row]:
    if not late:
        return
    yield Row(
        f"both photons later than {quantity(late.get('late_s'), NS)} after their pulse",
        str(late.get("verdict") or "unknown"),
        remark=str(late.get("reason") or ""),
    )
    if "pairs_centre" in late:
        yield from _count_rows(late, "late pairs")


def _member(section: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = section.get(key)
    return value if isinstance(value, Mapping) else {}
