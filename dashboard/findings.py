"""The numbers of a run as rows of the page: lifetimes, shares, beta, with errors or the reason why there are none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from photonstream.dashboard.detail import (
    correction_rows,
    detail_rows,
    estimate_row,
    fitted_row,
    is_share,
    model_range_row,
)
from photonstream.dashboard.folder import RunFolder
from photonstream.dashboard.html import Row
from photonstream.dashboard.numbers import (
    NO_LIMIT,
    NS,
    PERCENT,
    Unit,
    counted,
    estimate_text,
    interval_95,
    is_estimate,
    number,
    plain,
    quantity,
)
from photonstream.nodes.inference.decay_fit import TOO_FEW

# Estimates that have a row of their own among the main numbers.
_MAIN = (
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
# Why a figure has no error: the fit says nothing of it, or of the shares of two components that are nearly one.
# What stands where there is no number, and where the reason stands elsewhere.
DASH = "–"
# How eta is called: alone it would read as a quantum yield.
ETA = "CM efficiency per absorbed photon, <N>-corrected"

_VERDICTS = {
    "mono": "One component suffices",
    "bi": "Two components",
    "fast component or tail": "Two components, but the fast one may be the instrument response's own tail",
    TOO_FEW: "Not enough photons",
    "does not fit": "Neither one nor two components fit",
    "none": "No lifetime fitted",
}


class Findings:
    """What the fit of a run says, in the words of the page."""

    def __init__(self, run: RunFolder) -> None:
        self._summary = run.summary
        self._fit = run.section("fit")

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
        if is_dark(self._summary):
            return "No emitter"
        if self.model == "mono" and not self.fits:
            # As somebody has asked for it.
            return "One component does not fit"
        return _VERDICTS.get(self._fit.get("verdict") or self.model, _VERDICTS["none"])

    @property
    def reason(self) -> str:
        """Why there is no fit, or what to mind about it."""
        reason = str(self._fit.get("reason") or "")
        return reason or ("the result names no reason" if self.model == "none" else "")

    @property
    def fits(self) -> bool:
        """Whether the data are described: the parameters of a model that does not fit have no meaning of their own."""
        return self._fit.get("verdict") != "does not fit"

    @property
    def has_beta(self) -> bool:
        """Whether the fast component may be called a biexciton: its beta lies within the domain."""
        return number(_value(self._get("beta"))) is not None

    @property
    def _other_state(self) -> int | None:
        """The state that was selected by hand instead of the neutral one, which is number 1."""
        states = self._summary.get("states")
        if not isinstance(states, Mapping) or states.get("chosen") != "given":
            return None
        chosen = [level.get("state") for level in _levels(states) if level.get("on") is True]
        return next((int(state) for state in chosen if isinstance(state, int) and state > 1), None)

    @property
    def _darker(self) -> bool:
        """Whether a window was drawn that leaves out the brightest level of the trace."""
        states = self._summary.get("states")
        if not isinstance(states, Mapping) or (states.get("method"), states.get("chosen")) != (
            "window",
            "given",
        ):
            return False
        brightest = max(_levels(states), key=lambda level: number(level.get("rate_hz")) or 0.0, default=None)
        return brightest is not None and brightest.get("on") is not True

    @property
    def _names(self) -> tuple[str, str]:
        """What the slow and the fast component may be called."""
        if self._other_state is not None or self._darker or not self.fits:
            return "slow component", "fast component"
        return "exciton", "biexciton" if self.has_beta else "fast component"

    @property
    def beta_label(self) -> str:
        s = number(self._get("s"))
        assumed = "s unknown" if s is None else f"s = {plain(s)}"
        return f"beta (apparent, {assumed}, <N> not corrected)"

    def beta_row(self) -> Row:
        """Apparent beta, or why there is none."""
        said = str(self._get("beta_reason") or "")
        if self.has_beta:
            return self._row(self.beta_label, "beta", PERCENT, remark=said)
        why = said or "the result names no reason"
        return Row(self.beta_label, "none", "", self.reason if self.model == "none" else why)

    def rows(self) -> list[Row]:
        """The main numbers, beta first; amplitude share and photon share together."""
        rows = [self.beta_row(), *self._limits(), *self._eta_rows()]
        if self.model == "none":
            return rows
        slow, fast = self._names
        rows.append(self._row(f"{slow} lifetime τₓ", "tau_x_s", NS))
        if self.model == "bi" and self._get("tau_xx_s") is None:
            rows.append(Row(f"{fast} lifetime τₓₓ and shares", "none", "", str(self._get("irf_tail_reason"))))
        elif self.model == "bi":
            rows += [
                self._row(f"{fast} lifetime τₓₓ", "tau_xx_s", NS),
                self._row(
                    f"{fast}, amplitude share Aₓₓ/(Aₓ\u00a0+\u00a0Aₓₓ)",
                    "amplitude_xx",
                    PERCENT,
                ),
                self._row(f"{fast}, photon share", "photon_share_xx", PERCENT),
            ]
        rows += [
            self._row("background share of the photons", "background_share", PERCENT),
            self._row(self._response_words, "irf_fwhm_s", NS),
            fitted_row(self._fit),
            self.precision_row(),
            *correction_rows(self._fit),
        ]
        return rows

    @property
    def _response_words(self) -> str:
        channels = self._fit.get("channels")
        several = isinstance(channels, Mapping) and len(channels) > 1
        return f"instrument response, FWHM{' (widest)' if several else ''}"

    def precision_row(self) -> Row:
        """What is missing to the wanted standard error of beta."""
        said = self._get("precision")
        said = said if isinstance(said, Mapping) else {}
        target = number(said.get("target_sigma"))
        # As an absolute error: "± 2 %" might be two percent of beta.
        label = (
            "still to measure" if target is None else f"to measure for an error of β of {plain(target, 2)}"
        )
        photons, time_s = number(said.get("photons_more")), number(said.get("time_more_s"))
        met = number(said.get("met_photons"))
        if met is not None:
            return Row(label, f"reached at {counted(met)} photons", "", self._read_further(met))
        if photons is None:
            why = str(said.get("reason") or "not forecast")
            return Row(label, "unknown", "", "no beta" if why == self._get("beta_reason") else why)
        if photons == 0.0:
            return Row(label, "nothing: reached")
        # Two digits: the error of an error is no better.
        size = 10.0 ** max(0, math.floor(math.log10(photons)) - 1)
        words = f"{counted(round(photons / size) * int(size))} photons"
        return Row(label, f"{words}, {'none come now' if time_s is None else _span(time_s)}")

    def _read_further(self, met: float) -> str:
        """How many photons are fitted beside those at which the run was to end."""
        further = (number(self._fit.get("photons")) or met) - met
        knew = "there two fits in a row knew it"
        if self._summary.get("interrupted") is False:
            return f"{knew}; by then all had been read"
        if further < 0:
            # The states were told apart later, and what was fitted then was less.
            return f"{knew}, of photons of which some are not selected in the end; then the reading ended"
        words = f"{knew}, and the reading ended"
        return f"{words}; {counted(further)} more had been read by then" if further > 0 else words

    def interval(self, key: str, unit: Unit) -> str:
        """The 95 % interval of an estimate with its words (`interval_95`)."""
        return interval_95(self._get(key), unit)

    def lifetime_rows(self) -> list[Row]:
        """Both lifetimes, whatever was found."""
        slow, fast = self._names
        return _dashed(
            self._row(f"{slow} lifetime τₓ", "tau_x_s", NS),
            self._row(f"{fast} lifetime τₓₓ", "tau_xx_s", NS),
        )

    def same_rows(self) -> list[Row]:
        """Main numbers but beta and lifetimes, in the same places whatever was found: for a page that must not jump."""
        upper, fast = number(self._get("beta_upper95")), self._names[1]
        return _dashed(
            self._row(f"{fast}: share of the amplitude", "amplitude_xx", PERCENT),
            self._row("share of the photons", "photon_share_xx", PERCENT),
            next(self._eta_rows(), Row(ETA, "none")),
            Row(
                "beta, upper limit (95 %)",
                "none" if upper is None else f"{plain(100 * upper, 2)} %",
            ),
            self._row("background share", "background_share", PERCENT),
            self._row(self._response_words, "irf_fwhm_s", NS),
        )

    @property
    def _held(self) -> str:
        assumed = number(self._get("assumed_tau_xx_s"))
        return (
            "fast lifetime assumed"
            if assumed is None
            else f"fast lifetime of {quantity(assumed, NS)} assumed"
        )

    def _limits(self) -> Iterator[Row]:
        """The upper limit and the signed beta that go with one component."""
        upper = number(self._get("beta_upper95"))
        if upper is not None:
            yield Row("beta, upper limit", f"{plain(100 * upper, 2)} %", "one-sided 95 %", self._held)
        if self.model == "mono" and is_estimate(self._get("beta_signed")):
            yield self._row("beta, signed", "beta_signed", PERCENT, remark=self._held)

    def _eta_rows(self) -> Iterator[Row]:
        """Efficiency per absorbed photon: the range over the models that were asked, or one number and its model."""
        label, eta = ETA, self._get("eta")
        model = str(self._get("eta_model") or "")
        if is_estimate(eta) and number(_value(eta)) is not None:
            why = str(self._get("eta_models_reason") or "")
            yield model_range_row(label, eta, model, self._get("eta_models"), why)
        elif isinstance(eta, Mapping) and any(is_estimate(v) for v in eta.values()):
            for name, value in eta.items():
                if is_estimate(value):
                    yield estimate_row(label, value, PERCENT, remark=str(name).replace("_", " "))
        elif self.model != "none":
            why = self._get("eta_reason") or "<N> is not known: give it to have beta corrected for it"
            yield Row(label, "none", "", str(why))

    def _row(self, label: str, key: str, unit: Unit, remark: str = "") -> Row:
        return estimate_row(label, self._get(key), unit, remark, fits=self.fits, share=is_share(key))

    def _side_by_side(self, others: Mapping[str, Any]) -> Iterator[str]:
        """Lifetime and beta of the states and of the window of rates."""
        tau_x_s = others.get("tau_x_s")
        if not isinstance(tau_x_s, Mapping):
            return
        ways = (
            ("hidden Markov", self._fit.get("tau_x_s"), self._get("beta")),
            ("window of rates", tau_x_s.get("window"), others.get("window")),
        )
        for name, tau, beta in ways:
            lifetime = f"τₓ {estimate_text(tau, NS)}" if is_estimate(tau) else "no τₓ"
            known = number(_value(beta)) is not None
            yield f"{name} {lifetime}, {'beta ' + estimate_text(beta, PERCENT) if known else 'no beta'}"

    def detail_rows(self) -> list[Row]:
        """Everything else the fit gave: estimates that are not shown above, channels, the tests of the model."""
        rows = []
        label = "beta with the fast lifetime held"
        if self.model == "bi" and is_estimate(self._get("beta_signed")):
            rows.append(self._row(label, "beta_signed", PERCENT, remark=self._held))
        elif self.model == "bi" and (why := self._get("beta_signed_reason")):
            rows.append(Row(label, "none", "", str(why)))
        return rows + list(detail_rows(self._fit, _MAIN, fits=self.fits))

    def warnings(self) -> list[str]:
        """What a reader must know before using the numbers."""
        # What stands with beta is not said again.
        beside = str(self._get("beta_reason") or "")
        own = [part for part in self.reason.split("; ") if part and part not in beside]
        found = ["; ".join(own)] if self.model != "none" and own else []
        for place in (self._fit.get("warnings"), self._summary.get("warnings")):
            if isinstance(place, str):
                found.append(place)
            elif isinstance(place, Sequence):
                found += [str(sentence) for sentence in place]
        found += self._of_selection()
        precision = self._get("precision")
        by_rule = isinstance(precision, Mapping) and precision.get("met_photons") is not None
        if self._summary.get("interrupted") is True and not by_rule:
            found.insert(0, "The run was interrupted: all figures are of the part that was read.")
        return found

    def _of_selection(self) -> Iterator[str]:
        """What to know of the states that were selected from."""
        states, others = self._summary.get("states"), self._summary.get("other_selections")
        others = others if isinstance(others, Mapping) else {}
        if isinstance(states, Mapping) and states.get("resolved") is False and not is_dark(self._summary):
            why = states.get("unresolved") or "the neutral state cannot be told safely from the others"
            words = f"States not resolved: {why}."
            if ways := list(self._side_by_side(others)):
                words += f" Side by side: {'; '.join(ways)}."
            yield words
        if (state := self._other_state) is not None:
            yield (
                f"State {state} was selected by hand, not the neutral one: the lifetimes are of that state, and beta "
                "means carrier multiplication in the neutral state only."
            )
        if self.model != "none" and isinstance(states, Mapping) and _one_level(states):
            yield (
                "The trace shows one level of brightness, so everything is selected: a charged state that is nearly as "
                "bright may be among it."
            )
        yield from _of_own_delays(others)


def _of_own_delays(others: Mapping[str, Any]) -> Iterator[str]:
    """Which figures depend on whether bins are judged by their own photons."""
    tau_x_s = others.get("tau_x_s")
    # Results of earlier versions judged beta alone.
    depending = others.get("depending", ["beta"] if others.get("depends") is True else [])
    figures = {
        "beta": ("Beta", others.get("left_out"), PERCENT),
        "tau_x_s": ("τₓ", tau_x_s.get("left_out") if isinstance(tau_x_s, Mapping) else None, NS),
    }
    for name in depending if isinstance(depending, list) else ():
        label, other, unit = figures.get(str(name), (str(name), None, PERCENT))
        found = f"it is {estimate_text(other, unit)}" if is_estimate(other) else "there is none"
        why = f" ({others['reason']})" if name == "beta" and others.get("reason") else ""
        yield f"{label} depends on the selection: with every bin judged without its own photons {found}{why}."


def _dashed(*rows: Row) -> list[Row]:
    """The rows with a dash where there is nothing, and without remarks."""
    return [
        Row(
            row.label,
            DASH if row.value in ("unknown", "none") else row.value,
            DASH if row.interval == NO_LIMIT else row.interval,
        )
        for row in rows
    ]


def is_dark(summary: Mapping[str, Any]) -> bool:
    """Whether there is no emitter, so that levels of brightness are no states of one."""
    fit = summary.get("fit")
    return (
        isinstance(fit, Mapping)
        and fit.get("model") not in ("mono", "bi")
        and str(fit.get("reason") or "").startswith("no emitter")
    )


def _levels(states: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    levels = states.get("levels")
    return [level for level in levels if isinstance(level, Mapping)] if isinstance(levels, list) else []


def _one_level(states: Mapping[str, Any]) -> bool:
    """Whether the rule of the window found nothing to select from."""
    asked = (states.get("method"), states.get("chosen"))
    return asked == ("window", "automatic") and len(_levels(states)) == 1


def _span(time_s: float) -> str:
    """A time as a person plans with it."""
    if time_s < 100.0:
        return f"{plain(time_s, 2)} s"
    return f"{plain(time_s / 60.0, 2)} min" if time_s < 6000.0 else f"{plain(time_s / 3600.0, 2)} h"


def _value(estimate: Any) -> Any:
    return estimate.get("value") if isinstance(estimate, Mapping) else estimate
