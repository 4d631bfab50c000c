"""The numbers of a run as rows of the page: lifetimes, shares, beta, with errors or the reason why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row
from photonstream.dashboard.numbers import (
    NO_ERROR,
    NS,
    PERCENT,
    Unit,
    counted,
    estimate_text,
    fixed,
    interval_text,
    is_estimate,
    named_quantity,
    number,
    plain,
    quantity,
)

_HEADLINE = (
    "tau_x_s",
    "tau_xx_s",
    "amplitude_x",
    "amplitude_xx",
    "photon_share_x",
    "photon_share_xx",
    "background_share",
    "irf_fwhm_s",
    "beta",
    "beta_signed",
    "eta",
)
_UNITS = {
    "amplitude_x": PERCENT,
    "amplitude_xx": PERCENT,
    "beta": PERCENT,
    "beta_signed": PERCENT,
    "eta": PERCENT,
}


class Findings:
    """What the fit of a run says, in the words of the page."""

    def __init__(self, run: RunFolder) -> None:
        self._summary = run.summary
        self._fit = run.section("fit")
        self._parameters = run.section("parameters")

    def _get(self, key: str) -> Any:
        """``key`` from the top of result.json or from its fit."""
        value = self._summary.get(key)
        return self._fit.get(key) if value is None else value

    @property
    def model(self) -> str:
        """``mono``, ``bi`` or ``none``."""
        model = self._fit.get("model")
        return model if model in ("mono", "bi") else "none"

    @property
    def verdict(self) -> str:
        """The outcome in a few words."""
        return {"mono": "One component suffices", "bi": "Two components", "none": "No lifetime fitted"}[
            self.model
        ]

    @property
    def reason(self) -> str:
        """Why there is no fit, or what to mind about it."""
        reason = str(self._fit.get("reason") or "")
        return reason or ("the result names no reason" if self.model == "none" else "")

    @property
    def has_beta(self) -> bool:
        """Whether the fast component may be called a biexciton: its beta lies within the domain."""
        return number(_value(self._get("beta"))) is not None

    @property
    def beta_label(self) -> str:
        s = number(self._get("s"))
        assumed = "s unknown" if s is None else f"s = {plain(s)}"
        return f"beta (apparent, {assumed}, <N> not corrected)"

    def beta_row(self) -> Row:
        """Apparent beta, or why there is none."""
        if self.has_beta:
            return self._row(self.beta_label, "beta", PERCENT)
        why = str(self._get("beta_reason") or "") or (
            "" if self.model == "none" else "the result names no reason"
        )
        return Row(self.beta_label, "none", "", why or self.reason)

    def rows(self) -> list[Row]:
        """The main numbers, beta first; amplitude share and photon share together."""
        rows = [self.beta_row(), *self._limits(), *self._eta_rows()]
        if self.model == "none":
            return rows
        rows.append(self._row("exciton lifetime τₓ", "tau_x_s", NS))
        if self.model == "bi":
            fast = "biexciton" if self.has_beta else "fast component"
            rows += [
                self._row(f"{fast} lifetime τₓₓ", "tau_xx_s", NS),
                self._row(f"{fast}, amplitude share Aₓₓ/(Aₓ + Aₓₓ)", "amplitude_xx", PERCENT),
                self._row(f"{fast}, photon share", "photon_share_xx", PERCENT),
            ]
        given = self._lifetime_parameter("irf") is not None
        rows += [
            self._row("background share of the photons", "background_share", PERCENT),
            self._row("instrument response, FWHM", "irf_fwhm_s", NS, "given" if given else NO_ERROR),
            Row("photons fitted", counted(self._fit.get("photons"))),
        ]
        return rows

    def _limits(self) -> Iterator[Row]:
        """The upper limit and the signed beta that go with one component."""
        assumed = number(self._get("assumed_tau_xx_s"))
        held = f"τₓₓ = {plain(1e9 * assumed)} ns assumed" if assumed is not None else "τₓₓ assumed"
        upper = number(self._get("beta_upper95"))
        if upper is not None:
            yield Row("beta, upper limit", f"{plain(100 * upper, 2)} %", "one-sided 95 %", held)
        if self.model == "mono" and is_estimate(self._get("beta_signed")):
            yield self._row("beta, signed", "beta_signed", PERCENT, remark=held)

    def _eta_rows(self) -> Iterator[Row]:
        """Efficiency per absorbed photon: one number, or one for each model that was asked."""
        label, eta = "CM efficiency per absorbed photon, <N>-corrected", self._get("eta")
        model = str(self._get("eta_model") or "")
        if is_estimate(eta) and number(_value(eta)) is not None:
            yield self._row(label, "eta", PERCENT, remark=model)
        elif isinstance(eta, Mapping) and any(is_estimate(v) for v in eta.values()):
            for name, value in eta.items():
                if is_estimate(value):
                    yield _estimate_row(label, value, PERCENT, remark=str(name).replace("_", " "))
        elif self.has_beta or self._get("eta_reason"):
            why = self._get("eta_reason") or "<N> is not known: give it to have beta corrected for it"
            yield Row(label, "none", "", str(why))

    def _row(self, label: str, key: str, unit: Unit, without_error: str = NO_ERROR, remark: str = "") -> Row:
        return _estimate_row(label, self._get(key), unit, without_error, remark)

    def _lifetime_parameter(self, name: str) -> Any:
        lifetime = self._parameters.get("lifetime")
        return lifetime.get(name) if isinstance(lifetime, Mapping) else None

    def detail_rows(self) -> list[Row]:
        """Everything else the fit gave: other estimates, channels, the tests of the model."""
        rows = [*self._held_rows()] if self.model == "bi" else []
        for key, value in self._fit.items():
            if is_estimate(value) and key not in _HEADLINE:
                words, unit = _unit_of(key)
                rows.append(_estimate_row(words, value, unit))
            elif key == "channels" or _holds_estimates(value):
                rows += _group_rows(key, value)
        rows += list(self._tests())
        return rows

    def _tests(self) -> Iterator[Row]:
        ratio = number(self._fit.get("likelihood_ratio"))
        if ratio is not None:
            yield Row(
                "likelihood ratio 2 ln(L₂/L₁), two components against one", plain(ratio), "", _STATISTIC
            )
        tests = self._fit.get("goodness")
        for key, value in tests.items() if isinstance(tests, Mapping) else ():
            words, unit = named_quantity(str(key))
            known = number(value)
            unit = PERCENT if str(key).startswith("misplaced") else unit
            shown = "unknown" if known is None else quantity(known, unit)
            yield Row(f"goodness: {_TEST_WORDS.get(str(key), words)}", shown)
        outside = number(self._fit.get("photons_outside"))
        if outside:
            yield Row("selected photons outside the fitted bins", fixed(outside, 0))

    def warnings(self) -> list[str]:
        """What a reader must know before using the numbers."""
        found = [self.reason] if self.model != "none" and self.reason else []
        for place in (self._fit.get("warnings"), self._summary.get("warnings")):
            if isinstance(place, str):
                found.append(place)
            elif isinstance(place, Sequence):
                found += [str(sentence) for sentence in place]
        if self._summary.get("interrupted") is True:
            found.insert(0, "The run was interrupted: all figures are of the part that was read.")
        return found


_STATISTIC = "a test statistic; it has no error of its own"
_TEST_WORDS = {
    "reduced_chi2": "reduced χ²",
    "z": "deviance, standard deviations above expectation",
    "p": "one-sided p of the deviance",
    "expectation": "expected deviance",
    "sd": "standard deviation of the deviance",
    "runs_z": "runs of equal sign, z",
    "misplaced_share": "share of photons in the wrong place, at most",
    "misplaced_sd": "the same by chance alone",
}


def _value(estimate: Any) -> Any:
    return estimate.get("value") if isinstance(estimate, Mapping) else estimate


def _estimate_row(
    label: str, estimate: Any, unit: Unit, without_error: str = NO_ERROR, remark: str = ""
) -> Row:
    interval = interval_text(estimate, "ci95", unit) if is_estimate(estimate) else ""
    return Row(label, estimate_text(estimate, unit, without_error=without_error), interval, remark)


def _unit_of(key: str) -> tuple[str, Unit]:
    """Words and unit of an estimate; the times of a decay are in nanoseconds."""
    if key in _UNITS:
        return key.replace("_", " "), _UNITS[key]
    words, unit = named_quantity(key)
    return words, NS if key.endswith("_s") else unit


def _holds_estimates(value: Any) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(is_estimate(part) for part in parts)


def _group_rows(key: str, group: Any) -> Iterator[Row]:
    """One row for each estimate of a list or mapping, by channel."""
    named = (
        group.items() if isinstance(group, Mapping) else enumerate(group if isinstance(group, list) else ())
    )
    for name, member in named:
        if is_estimate(member):
            words, unit = _unit_of(key)
            yield _estimate_row(f"channel {name}: {words}", member, unit)
        elif isinstance(member, Mapping):
            for inner, value in member.items():
                if is_estimate(value):
                    words, unit = _unit_of(str(inner))
                    yield _estimate_row(f"channel {name}: {words}", value, unit)
