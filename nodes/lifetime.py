"""Lifetimes and beta: fits the decay of the selected photons."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.calibration_runs import CalibrationRuns
from photonstream.nodes.delays import pulses_of
from photonstream.nodes.history import History
from photonstream.nodes.inference.contamination import Contaminant, contaminants
from photonstream.nodes.inference.dead_time import contradiction
from photonstream.nodes.inference.decay_data import DecayData, Irf, check_irf_width
from photonstream.nodes.inference.decay_fit import DecayFit, FitStart
from photonstream.nodes.inference.estimate import plain_number, plain_value
from photonstream.nodes.inference.eta import model_range
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.fit_range import check_span
from photonstream.nodes.inference.irf import GaussianIrf, MeasuredIrf, shares_on_period
from photonstream.nodes.inference.own_delays import LeftOut, part_of
from photonstream.nodes.inference.precision import StoppingRule, forecast
from photonstream.nodes.inference.rows import HIDDEN_MARKOV, WINDOW, selected
from photonstream.nodes.inference.systematics import systematics
from photonstream.nodes.irf_files import irf_checksum, load_irf
from photonstream.nodes.lifetime_parameters import LifetimeParameters
from photonstream.nodes.second_opinion import Fit, second_opinion
from photonstream.stream.chunk import Result
from photonstream.stream.node import Opening, ParameterError, ResultNode


class Lifetime(ResultNode[LifetimeParameters]):
    """Sums the rows of the selected levels and fits them; interim fits start where the last one ended."""

    Parameters = LifetimeParameters
    live = frozenset(f.name for f in dataclasses.fields(LifetimeParameters)) - {"calibrate"}
    # Folders are read where the command was typed, not for whoever sends commands.
    fixed = frozenset({"calibrate"})

    def __init__(self, name: str, parameters: LifetimeParameters) -> None:
        super().__init__(name, parameters)
        self._options = parameters.options()
        self._irf_sha256: str | None = None
        self._latest: dict[str, Mapping[str, Any]] = {}
        self._start: FitStart | None = None
        self._history = History()
        self._enough = StoppingRule()
        self._rule: object = None
        self._contradiction = ""
        self._period_s: float | None = None
        self._calibration = CalibrationRuns(())

    def open(self, opening: Opening) -> Opening:
        self._latest.clear()
        self._start = None
        self._history = History()
        self._period_s = opening.facts["pulse_period_s"]
        self._use(self.parameters)
        self._calibration = CalibrationRuns(self.parameters.calibrate)
        return opening

    def change(self, parameters: LifetimeParameters) -> None:
        """Fit with other figures from now on. Raises ParameterError for what this decay cannot be fitted with; then
        nothing changes.
        """
        self._use(parameters)
        self._start = None
        self._history = History()
        self._enough = StoppingRule()
        super().change(parameters)

    def _use(self, parameters: LifetimeParameters) -> None:
        """Take over ``parameters`` with the IRF that they name; one that is in use is not read again."""
        irf = None if parameters.irf is None else self._options.irf
        if irf is None or parameters.irf != self.parameters.irf:
            irf = None if parameters.irf is None else load_irf(parameters.irf)
        if self._period_s is not None:
            try:
                _check_irf(irf, self._period_s)
                if parameters.fit_range_s is not None:
                    check_span(parameters.fit_range_s, self._period_s)
            except ValueError as error:
                raise ParameterError(str(error)) from error
        self._options = dataclasses.replace(parameters.options(), irf=irf)
        self._irf_sha256 = irf_checksum(parameters.irf)

    def inherit(self, earlier: Any) -> None:
        self._rule = earlier._rule
        self._history.inherit(earlier._history)
        self._enough = earlier._enough

    photons_in = "rows"

    def take(self, result: Result) -> None:
        self._latest[result.key] = result.value

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``fit``: model, parameters and beta as result.json has them; ``decay``: the histograms and the model.

        ``recorded_s`` of the fit: the recorded time that it knows of. ``history``: the fits so far (`History.value`).
        """
        rows, selection = self._latest.get("rows"), self._latest.get("selection")
        if rows is None or selection is None:
            return
        counts: NDArray[np.int64] = rows["counts"]
        on = selected(selection, rows["labels"])
        chosen = counts[on].sum(axis=0)
        self._contradiction = contradiction(rows, self.parameters.dead_time_s, selection["recorded_s"])
        data = self._data(chosen, rows, selection["on_time_s"])
        if selection["method"] == HIDDEN_MARKOV and selection["chosen"] == "given" and not on.any():
            data = f"no photons: there is no such state, only {len(selection['levels'])} (--set states.state)"
        fit = self._fit(data, final=final)
        beyond = int(rows["beyond"][on].sum())
        fit = dataclasses.replace(
            fit, photons_outside=beyond + (fit.fit_range_s is not None) * fit.photons_outside
        )
        self._start = fit.start
        # With a window moved by hand a new history begins: its fits are of other photons.
        given = selection["method"] == WINDOW and selection["chosen"] == "given"
        rule = (selection["method"], selection["chosen"], selection["window_hz"] if given else None)
        if rule != self._rule:
            self._rule, self._history = rule, History()
        self._history.add(fit)
        summary = summarise(fit, rows["channels"])
        summary["precision"] = self._precision(fit, selection, final=final)
        summary["fit"]["pulse_period_s"] = rows["pulse_period_s"]
        summary["fit"]["irf_sha256"] = self._irf_sha256
        if final:
            others = contaminants(rows, selection)
            by_states = selection["method"] == HIDDEN_MARKOV
            left_out = self._left_out(rows, selection, others) if by_states else None
            summary["systematics"] = self._systematics(data, fit, others, left_out)
            summary["calibration"] = self._calibration.summary(data, self._options, fit)
            summary["other_selections"] = left_out and self._other_selections(fit, left_out, rows, selection)
        if final and (second := self._latest.get("second_opinion")) is not None:
            summary["second_opinion"] = second_opinion(
                second, selection, self._fit_final(rows), pulses_of(summary["fit"])
            )
        told = {"summary": summary, "headline": headline(fit), "recorded_s": selection["recorded_s"]}
        yield self.result("fit", told, final=final)
        model = None if fit.curves is None else dataclasses.asdict(fit.curves)
        value = {
            "selected": chosen,
            "all": counts.sum(axis=0),
            "channels": rows["channels"],
            "model": model,
            "resolution_s": rows["resolution_s"],
            "pulse_period_s": rows["pulse_period_s"],
            "fit_range_s": fit.fit_range_s,
        }
        yield self.result("decay", value, final=final)
        yield self.result("history", self._history.value(), final=final)

    def _precision(self, fit: DecayFit, selection: Mapping[str, Any], *, final: bool) -> dict[str, Any]:
        """What is missing to the wanted error; only a run that ends by it says when it was there, for looks on the way
        come at times of their own."""
        now = forecast(fit, self.parameters.target_sigma, _rate_hz(fit, selection))
        if not final:
            self._enough.look(fit.photons, now)
        until = self.parameters.until_target
        return now.as_dict() | {"met_photons": self._enough.met_photons if until else None}

    def _systematics(
        self,
        data: DecayData | str,
        fit: DecayFit,
        others: Sequence[Contaminant] | str,
        left_out: LeftOut | None,
    ) -> list[dict[str, Any]]:
        """What moves beta beside the photons' statistics (`systematics`)."""
        if isinstance(data, str):
            return []
        parts = systematics(data, self._options, fit, others, left_out)
        return [dataclasses.asdict(part) for part in parts]

    def _left_out(
        self, rows: Mapping[str, Any], selection: Mapping[str, Any], others: Sequence[Contaminant] | str
    ) -> LeftOut:
        """The selection by states that bins have without their own photons, fitted."""
        counts, labels = rows["counts"], rows["labels"]
        own, on = selected(selection, labels), selected(selection, labels, left_out=True)
        data = self._data(counts[on].sum(axis=0), rows, selection["left_out_time_s"])
        part = part_of(others, selection["resolved"], counts.sum(axis=(1, 2)), own, on)
        return LeftOut(self._fit(data, final=True), part)

    def _other_selections(
        self, fit: DecayFit, left_out: LeftOut, rows: Mapping[str, Any], selection: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Beta and tau_x of other selections: by states found without each bin's own photons, and by the window of the
        rule. ``depending``: the figures that the choice between the first and the own one moves (`own_delays`).
        """
        by_window = selected({**selection, "method": WINDOW}, rows["labels"])
        data = self._data(rows["counts"][by_window].sum(axis=0), rows, selection["rule_time_s"])
        ways = {"left_out": left_out.fit, "window": self._fit(data, final=True)}
        shift, depending = left_out.shift(fit, "beta"), left_out.depending(fit)
        why = fit.beta_reason if fit.beta is None else left_out.fit.beta_reason
        return {
            "shift": shift,
            "depends": bool(depending) if fit.tau_x_s is not None else None,
            "depending": depending,
            "reason": why if shift is None else "",
            **{way: plain_value(other.beta) for way, other in ways.items()},
            "tau_x_s": {way: plain_value(other.tau_x_s) for way, other in ways.items()},
            "reasons": {way: "" if other.beta else other.beta_reason for way, other in ways.items()},
        }

    def _fit_final(self, rows: Mapping[str, Any]) -> Fit:
        """The final fit for other photons of the same recording."""

        def fit(counts: NDArray[np.int64], channels: NDArray[np.int64], time_s: float) -> DecayFit:
            return self._fit(self._data(counts, {**rows, "channels": channels}, time_s), final=True)

        return fit

    def _data(self, chosen: NDArray[np.int64], rows: Mapping[str, Any], on_time_s: float) -> DecayData | str:
        return self._contradiction or _data(chosen, rows, on_time_s)

    def _fit(self, data: DecayData | str, *, final: bool) -> DecayFit:
        if isinstance(data, str):
            return _no_fit(data)
        try:
            return fit_decay(data, self._options, cold=final, start=self._start)
        except ValueError as error:
            # Detector figures that do not go with these photons may go with those of another window.
            return dataclasses.replace(_no_fit(str(error)), photons=data.photons, s=self._options.s)


def _data(chosen: NDArray[np.int64], rows: Mapping[str, Any], on_time_s: float) -> DecayData | str:
    """The decay of the ``chosen`` photons (channels, bins), or why there is none."""
    period_s: float | None = rows["pulse_period_s"]
    if period_s is None:
        return (
            "no decay: the laser's pulse rate is not known (give it with --set sync_rate_hz=..., and where a "
            "detector input carries the laser, that with --set sync_channel=...)"
        )
    if not chosen.size:
        return "no photons"
    if rows["beyond"].any() and not rows["counts"].any():
        return "no decay: none of the photons follows a known laser pulse within its period"
    pulses = on_time_s / period_s if on_time_s > 0.0 else None
    return DecayData(chosen, rows["resolution_s"], period_s, pulses, tuple(rows["channels"].tolist()))


def _check_irf(irf: Irf | None, period_s: float) -> None:
    """Raise ValueError for an IRF that no decay of this pulse period can have."""
    if isinstance(irf, GaussianIrf):
        check_irf_width(irf, period_s)
    elif isinstance(irf, MeasuredIrf):
        shares_on_period(irf, irf.numbers, period_s)


def _gain(likelihood_ratio: float | None) -> float | None:
    """What a second component gains; the fits end within a millionth of the best, so less is none."""
    known = plain_number(likelihood_ratio)
    return 0.0 if known is not None and abs(known) < 1e-6 else known


def _no_fit(reason: str) -> DecayFit:
    return DecayFit("none", reason, 0, 0, beta_reason=reason, eta_reason=reason)


def summarise(fit: DecayFit, channels: NDArray[np.int64]) -> dict[str, Any]:
    """The parts of result.json that come from the fit (docs/schema.md); ``channels`` numbers those of the data."""
    return {
        "fit": {
            "model": fit.model,
            "verdict": fit.verdict,
            "reason": fit.reason,
            "photons": fit.photons,
            "photons_outside": fit.photons_outside,
            "fit_range_s": None if fit.fit_range_s is None else list(fit.fit_range_s),
            "tau_x_s": plain_value(fit.tau_x_s),
            "tau_xx_s": plain_value(fit.tau_xx_s),
            "amplitude_x": plain_value(fit.amplitude_x),
            "amplitude_xx": plain_value(fit.amplitude_xx),
            "photon_share_x": plain_value(fit.photon_share_x),
            "photon_share_xx": plain_value(fit.photon_share_xx),
            "background_share": plain_value(fit.background_share),
            "irf_fwhm_s": plain_value(fit.irf_fwhm_s),
            "irf_tail_share": plain_value(fit.irf_tail_share),
            "irf_tail_s": plain_value(fit.irf_tail_s),
            "irf_tail_reason": fit.irf_tail_reason,
            "likelihood_ratio": _gain(fit.likelihood_ratio),
            "goodness": {key: plain_number(value) for key, value in fit.goodness.items()},
            "s": fit.s,
            "corrections": fit.corrections,
            "channels": {
                str(c): {
                    "photons": channel.photons,
                    "fitted": channel.used,
                    "t0_s": plain_value(channel.t0_s),
                    "irf_fwhm_s": plain_value(channel.irf_fwhm_s),
                    "background_share": plain_value(channel.background_share),
                }
                for c, channel in zip(channels.tolist(), fit.channels, strict=False)
                if channel.photons
            },
        },
        "beta": plain_value(fit.beta),
        "beta_reason": fit.beta_reason,
        "beta_signed": plain_value(fit.beta_signed),
        "beta_signed_reason": "" if fit.beta_signed else fit.beta_signed_reason or fit.beta_reason,
        "beta_upper95": plain_number(fit.beta_upper95),
        "assumed_tau_xx_s": plain_number(fit.assumed_tau_xx_s),
        "eta": plain_value(fit.eta),
        "eta_model": fit.eta_model,
        "eta_reason": fit.eta_reason,
        "eta_range": _eta_range(fit),
        "eta_models": {name: plain_number(value) for name, value in fit.eta_models.items()} or None,
        "eta_models_reason": fit.eta_models_reason,
    }


def _eta_range(fit: DecayFit) -> dict[str, Any] | None:
    found = None if fit.eta is None else model_range(fit.eta, fit.eta_models)
    if found is None:
        return None
    (low, high), ci95 = found
    return {"value": [low, high], "ci95": [plain_number(end) for end in ci95]}


def _rate_hz(fit: DecayFit, selection: Mapping[str, Any]) -> float:
    """How fast photons that are fitted came lately, dark times included: what bleaches or dims comes ever slower."""
    recent_s, photons = selection["recent_s"], selection["on_photons"]
    return fit.photons / photons * selection["recent_photons"] / recent_s if photons and recent_s else 0.0


def headline(fit: DecayFit) -> str:
    """The state of the fit in a few words, for a progress line."""
    if fit.tau_x_s is None:
        return "no lifetime yet"
    words = f"tau_x {1e9 * fit.tau_x_s.value:.3g} ns"
    if fit.beta is not None and fit.beta.stderr is not None:
        return f"{words}  beta {fit.beta.value:.3f} +- {fit.beta.stderr:.3f}"
    if fit.beta_upper95 is not None:
        return f"{words}  one component, beta < {fit.beta_upper95:.3f}"
    return f"{words}  no beta"
