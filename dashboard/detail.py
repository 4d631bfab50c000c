"""The fit in detail: every further estimate, and the tests of the model against the data."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from photonstream.dashboard.html import Row
from photonstream.dashboard.numbers import (
    NO_ERROR,
    NS,
    PERCENT,
    PLUS_MINUS,
    Unit,
    estimate_text,
    fixed,
    interval_text,
    is_estimate,
    named_quantity,
    number,
    plain,
    quantity,
)

_STATISTIC = "a test statistic; it has no error of its own"
_SHARES = ("amplitude_x", "amplitude_xx", "beta", "beta_signed", "eta")
_KNOWN_TESTS = (
    "deviance",
    "expectation",
    "sd",
    "z",
    "p",
    "reduced_chi2",
    "groups",
    "runs_z",
    "local_z",
    "misplaced_share",
    "misplaced_sd",
)


def estimate_row(
    label: str, estimate: Any, unit: Unit, without_error: str = NO_ERROR, remark: str = ""
) -> Row:
    """An estimate with its error and its 95 % interval; ``without_error`` says why it has neither."""
    has_error = is_estimate(estimate) and any(estimate.get(key) for key in ("stderr", "ci68", "ci95"))
    interval = interval_text(estimate, "ci95", unit) if has_error else ""
    return Row(label, estimate_text(estimate, unit, without_error=without_error), interval, remark)


def detail_rows(fit: Mapping[str, Any], shown: Collection[str]) -> Iterator[Row]:
    """Rows for whatever estimates ``fit`` has besides those in ``shown``, for its channels, and for its tests."""
    for key, value in fit.items():
        if is_estimate(value) and key not in shown:
            words, unit = _words(key)
            yield estimate_row(words, value, unit)
        elif isinstance(value, Mapping | list):
            yield from _member_rows(key, value)
    ratio = number(fit.get("likelihood_ratio"))
    if ratio is not None:
        label = "likelihood ratio 2 ln(L₂/L₁), two components against one"
        yield Row(label, plain(ratio), remark=_STATISTIC)
    tests = fit.get("goodness")
    if isinstance(tests, Mapping):
        yield from _test_rows(tests)
    outside = number(fit.get("photons_outside"))
    if outside:
        yield Row("selected photons outside the fitted bins", fixed(outside, 0))


def _words(key: str) -> tuple[str, Unit]:
    """Words and unit of an estimate; the times of a decay are in nanoseconds."""
    if key in _SHARES:
        return key.replace("_", " "), PERCENT
    words, unit = named_quantity(key)
    return words.replace("irf fwhm", "instrument response, FWHM"), NS if key.endswith("_s") else unit


def _member_rows(key: str, group: Any) -> Iterator[Row]:
    """One row for each estimate of a list or mapping, or of its members: those of channels, for example."""
    members = group.items() if isinstance(group, Mapping) else enumerate(group)
    for name, member in members:
        place = f"channel {name}" if str(name).isdigit() else str(name).replace("_", " ")
        if is_estimate(member):
            words, unit = _words(key)
            yield estimate_row(f"{place}: {words}", member, unit)
        elif isinstance(member, Mapping):
            for inner, value in member.items():
                if is_estimate(value):
                    words, unit = _words(str(inner))
                    yield estimate_row(f"{place}: {words}", value, unit)


def _probability(p: float) -> str:
    return f"= {plain(p, 2)}" if p >= 1e-10 else "< 10⁻¹⁰"


def _test_rows(tests: Mapping[str, Any]) -> Iterator[Row]:
    """Each test beside what it should be if the model is right."""
    value = {key: number(tests.get(key)) for key in _KNOWN_TESTS}
    deviance, z, p = value["deviance"], value["z"], value["p"]
    if deviance is not None:
        judged = f"z = {plain(z, 2)}" if z is not None else ""
        judged += f", one-sided p {_probability(p)}" if p is not None else ""
        expected = estimate_text({"value": value["expectation"], "stderr": value["sd"]})
        yield Row("deviance", f"{fixed(deviance, 0)}", f"expected {expected}", judged)
    chi2, groups = value["reduced_chi2"], value["groups"]
    if chi2 is not None:
        scatter = f" {PLUS_MINUS} {plain(math.sqrt(2 / groups), 2)}" if groups else ""
        yield Row("reduced χ²", plain(chi2, 3), f"expected 1{scatter}")
    runs = value["runs_z"]
    if runs is not None:
        yield Row("runs of residuals of equal sign, z", plain(runs, 2), f"expected 0 {PLUS_MINUS} 1")
    local = value["local_z"]
    if local is not None:
        yield Row(
            "worst stretch of neighbouring bins, z",
            plain(local, 2),
            "about 3 by chance, above 5 once in a thousand",
        )
    share = value["misplaced_share"]
    if share is not None:
        chance = f"by chance {quantity(value['misplaced_sd'], PERCENT, 2)}"
        yield Row("photons that the model misplaces, at most", quantity(share, PERCENT, 2), chance)
    for key, other in tests.items():
        if key not in _KNOWN_TESTS:
            words, unit = named_quantity(str(key))
            yield Row(f"goodness: {words}", quantity(other, unit), remark=_STATISTIC)
