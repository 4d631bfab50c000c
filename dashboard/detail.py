"""The fit in detail: every further estimate, and the tests of the model against the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from photonstream.dashboard.html import Row
from photonstream.dashboard.numbers import (
    NS,
    PERCENT,
    PLUS_MINUS,
    Unit,
    counted,
    decimals_of,
    estimate_text,
    fixed,
    interval_95,
    interval_text,
    is_estimate,
    named_quantity,
    number,
    plain,
    quantity,
    with_unit,
)
from photonstream.nodes.inference.estimate import Estimate, Interval
from photonstream.nodes.inference.eta import model_range

# How the result names what the corrections took the photons for, and how the page does.
STATISTICS = {"one emitter": "those of one emitter", "independent photons": "independent of each other"}
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
    label: str, estimate: Any, unit: Unit, remark: str = "", *, fits: bool = True, share: bool = False
) -> Row:
    """An estimate with its error and its 95 % interval, or the reason why it has neither.

    ``fits``: whether its model describes the data; the error of one that does not would be that of a wrong description.
    ``share``: it lies between 0 and 1.
    """
    has_error = is_estimate(estimate) and any(estimate.get(key) for key in ("stderr", "ci68", "ci95"))
    interval = ""
    if has_error and not fits:
        value = quantity(estimate.get("value"), unit, 3)
        return Row(label, f"{value} (of a model that does not fit)", "", remark)
    if has_error:
        # Where no profile was followed, as for shares: as if errors were normal.
        followed = estimate.get("ci95") is not None or not estimate.get("stderr")
        interval = (
            interval_text(estimate, "ci95", unit)
            if followed
            else interval_95(estimate, unit, share=share).removeprefix("95 % ")
        )
    return Row(label, estimate_text(estimate, unit), interval, remark)


def model_range_row(
    label: str, estimate: Mapping[str, Any], model: str, models: Any, why_silent: str = ""
) -> Row:
    """A share by several models: from the lowest to the highest value, the interval widened by as much.

    ``estimate`` is that of ``model``; ``models`` has the value of every model by its name, None where a model cannot
    say, and ``why_silent``. With fewer than two values it is the estimate alone.
    """
    named = models.items() if isinstance(models, Mapping) else ()
    values = {str(name): known for name, value in named if (known := number(value)) is not None}
    because = f" ({why_silent})" if why_silent else ""
    silent = [f"no value by the {name}{because}" for name, value in named if number(value) is None]
    value = number(estimate.get("value"))
    if len(values) < 2 or value is None:
        return estimate_row(label, estimate, PERCENT, remark="; ".join(filter(None, [model, *silent])))
    error = number(estimate.get("stderr"))
    found = model_range(Estimate(value, error, ci95=_ends(estimate.get("ci95"))), values)
    assert found is not None
    (low, high), ci95 = found
    digits = decimals_of(100.0 * error) if error else 1
    wide = {"value": value, "stderr": error, "ci95": ci95}
    by_model = ", ".join(f"{name} {fixed(100.0 * each, digits)} %" for name, each in values.items())
    spread = f", each {PLUS_MINUS} {fixed(100.0 * error, digits)} %" if error else ""
    return Row(
        label,
        f"{fixed(100.0 * low, digits)} to {with_unit(fixed(100.0 * high, digits), PERCENT)}",
        interval_text(wide, "ci95", PERCENT),
        "; ".join([f"by model: {by_model}{spread}", *silent]),
    )


def _ends(interval: Any) -> Interval | None:
    if not isinstance(interval, list | tuple) or len(interval) != 2:
        return None
    return number(interval[0]), number(interval[1])


def fitted_row(fit: Mapping[str, Any]) -> Row:
    """The photons that were fitted, and their delays where these are a part of the period."""
    span = fit.get("fit_range_s")
    ends = span if isinstance(span, list | tuple) and len(span) == 2 else ()
    words = " to ".join(quantity(end, NS, 4) for end in ends)
    words = words and f"delays {words}"
    return Row("photons fitted", counted(fit.get("photons")), remark=words)


def correction_rows(fit: Mapping[str, Any]) -> Iterator[Row]:
    """What the detectors did to the photons, where the fit corrected it."""
    given = fit.get("corrections")
    if not isinstance(given, Mapping):
        return
    parts = []
    if number(given.get("dead_time_s")):
        parts.append(f"dead time {quantity(given['dead_time_s'], NS)}")
    if given.get("pile_up") is True:
        parts.append("one photon per sync")
    if number(given.get("afterpulsing")):
        wait = quantity(given.get("afterpulse_s"), NS)
        parts.append(f"afterpulsing {quantity(given['afterpulsing'], PERCENT)} (after {wait})")
    statistics = given.get("photon_statistics")
    remark = f"photons taken as {STATISTICS.get(statistics, statistics)}" if statistics else ""
    if parts:
        yield Row("corrected for", ", ".join(parts), remark=remark)


def detail_rows(fit: Mapping[str, Any], shown: Collection[str], *, fits: bool = True) -> Iterator[Row]:
    """Rows for whatever estimates ``fit`` has besides those in ``shown``, for its channels, and for its tests.

    ``fits``: whether the model describes the data, for else its estimates have no errors.
    """

    def row(place: str, key: str, value: Any) -> Row:
        words, unit = _words(key)
        return estimate_row(place + words, value, unit, fits=fits, share=is_share(key))

    for key, value in fit.items():
        if is_estimate(value) and key not in shown:
            yield row("", key, value)
        elif isinstance(value, Mapping | list):
            yield from _member_rows(key, value, row)
    ratio = number(fit.get("likelihood_ratio"))
    if ratio is not None:
        label = "likelihood ratio 2 ln(L₂/L₁), two components against one"
        yield Row(label, plain(ratio, 4) if ratio >= 0.01 else "0: no gain", remark=_STATISTIC)
    tests = fit.get("goodness")
    if isinstance(tests, Mapping):
        yield from _test_rows(tests)
    outside = number(fit.get("photons_outside"))
    if outside:
        yield Row("selected photons outside the fitted bins", fixed(outside, 0))


def is_share(key: str) -> bool:
    """Whether an estimate of this name is a part of a whole."""
    return key.startswith(("amplitude_", "photon_share_")) or key.endswith("_share")


def _words(key: str) -> tuple[str, Unit]:
    """Words and unit of an estimate; the times of a decay are in nanoseconds."""
    if key == "irf_tail_share":
        return "instrument response, share in its tail", PERCENT
    if key in _SHARES:
        return key.replace("_", " "), PERCENT
    words, unit = named_quantity(key)
    words = words.replace("irf fwhm", "instrument response, FWHM")
    return words.replace("irf tail", "instrument response, time of its tail"), NS if key.endswith(
        "_s"
    ) else unit


def _member_rows(key: str, group: Any, row: Callable[[str, str, Any], Row]) -> Iterator[Row]:
    """One row for each estimate of a list or mapping, or of its members: those of channels, for example."""
    members = group.items() if isinstance(group, Mapping) else enumerate(group)
    for name, member in members:
        place = f"channel {name}" if str(name).isdigit() else str(name).replace("_", " ")
        if is_estimate(member):
            yield row(f"{place}: ", key, member)
        elif isinstance(member, Mapping):
            for inner, value in member.items():
                if is_estimate(value):
                    yield row(f"{place}: ", str(inner), value)


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
