"""The fit of one particle's decay: which model, its parameters, beta."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from photonstream.nodes.inference import corrections, report, search, select
from photonstream.nodes.inference.beta import eta_estimate
from photonstream.nodes.inference.beta_fit import BetaFit, fit_beta
from photonstream.nodes.inference.cascade_eta import CASCADE, TWO_LEVELS, Reading, eta_of_cascade
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import Components, DecayFit, FitStart
from photonstream.nodes.inference.detector import Detector
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.goodness import goodness
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX, Likelihood
from photonstream.nodes.inference.means import recorded_means
from photonstream.nodes.inference.profile import Profile, profile
from photonstream.nodes.inference.scoring import Box, Optimum, covariance, maximise

_MIN_CHANNEL_PHOTONS = 100
_RESTARTS = 3
# A double exponential with a smaller share of fast photons is no place to start from.
_NO_SHARE = 1e-3


@dataclass(frozen=True, eq=False)
class _Fits:
    """The likelihood of the channels that show a pulsed decay, and its best single and double exponential."""

    channels: tuple[int, ...]
    likelihood: Likelihood
    single: Optimum
    single_box: Box
    double: Optimum
    double_box: Box

    @property
    def ratio(self) -> float:
        return max(0.0, 2.0 * (self.single.half_deviance - self.double.half_deviance))


def fit_decay(
    data: DecayData, options: FitOptions, *, cold: bool = True, start: FitStart | None = None
) -> DecayFit:
    """Fit a single and a double exponential to ``data`` and choose.

    A cold fit searches from several starts and gives profile-likelihood intervals (``options.intervals``). With
    ``cold`` false the search begins at ``start`` alone, an earlier ``DecayFit.start`` of the same channels, and
    errors come from the Fisher information only; without a usable ``start`` it searches all the same.
    Deterministic: a cold result depends on ``data`` and ``options`` alone.
    Raises ValueError for an IRF or detector figures that do not fit the data.
    """
    if data.photons < options.min_photons:
        return _none(data, options, f"too few photons: {data.photons}, {options.min_photons} needed")
    fits: _Fits | None = None
    notes: list[str] = []
    if not cold and start is not None and max(start.channels) < data.counts.shape[0]:
        fits = _warm(data, options, start)
    if fits is None:
        fits, notes = _search(data, options)
    if fits is None:
        return _none(data, options, "; ".join(notes))
    if options.detector is not None:
        fits = _corrected(data, options, fits, options.detector)
        notes = [*notes, *filter(None, [corrections.note(options)])]
    return _choose(data, options, fits, notes, intervals=cold and options.intervals)


def _search(data: DecayData, options: FitOptions) -> tuple[_Fits | None, list[str]]:
    """Fit each channel alone, keep those with a pulsed decay, fit them together; notes say what was left out."""
    found, channels, notes = [], [], []
    head = "too few photons in any one channel: "
    for c, photons in enumerate(data.counts[:, : data.bins_in_period].sum(axis=1).tolist()):
        if photons < _MIN_CHANNEL_PHOTONS:
            if photons:
                notes.append(f"channel {c} left out: {photons} photons")
            continue
        likelihood = search.likelihood_of(data, options, [c])
        fit = search.fit_channel(likelihood, options)
        gain = 2.0 * (search.constant_half_deviance(likelihood) - fit.half_deviance)
        flat = select.flat_reason(gain, photons)
        if flat:
            head = select.NO_EMITTER
            notes.append(f"channel {c} left out: {flat}")
        else:
            found.append(fit)
            channels.append(c)
    if not found:
        return None, [head + "; ".join(notes)]
    likelihood = search.likelihood_of(data, options, channels)
    begin = search.joint_start(found)
    box = search.box_of(likelihood, options, begin)
    single = maximise(likelihood, begin, box)
    double_box = search.double_box(
        likelihood, box, single.theta, report.irf_fwhm_s(options, likelihood, single.theta)
    )
    double = search.fit_double(likelihood, double_box, single)
    return _Fits(tuple(channels), likelihood, single, box, double, double_box), notes


def _warm(data: DecayData, options: FitOptions, start: FitStart) -> _Fits | None:
    """Fit from an earlier result alone; None where that leads nowhere."""
    likelihood = search.likelihood_of(data, options, start.channels)
    if np.any(likelihood.counts.sum(axis=1) < _MIN_CHANNEL_PHOTONS):
        return None
    begin = search.rescaled(start.single, likelihood)
    box = search.box_of(likelihood, options, begin)
    single = maximise(likelihood, begin, box)
    if not math.isfinite(single.half_deviance):
        return None
    fwhm_s = report.irf_fwhm_s(options, likelihood, single.theta)
    double_box = search.double_box(likelihood, box, single.theta, fwhm_s)
    if start.double[MIX] > _NO_SHARE:
        double = maximise(likelihood, search.rescaled(start.double, likelihood), double_box)
    else:
        double = search.fit_double(likelihood, double_box, single)
    if not math.isfinite(double.half_deviance):
        return None
    return _Fits(start.channels, likelihood, single, box, double, double_box)


def _corrected(data: DecayData, options: FitOptions, fits: _Fits, detector: Detector) -> _Fits:
    """Refit with what the detectors did, until the decay and the corrections that rest on it agree."""
    for _ in range(corrections.MOST_REFITS):
        likelihood = corrections.corrected(fits.likelihood, fits.double.theta, data, options, detector)
        moved = float(np.max(np.abs(likelihood.efficiency - fits.likelihood.efficiency)))
        single = maximise(likelihood, fits.single.theta, fits.single_box)
        double = min(
            maximise(likelihood, fits.double.theta, fits.double_box),
            search.fit_double(likelihood, fits.double_box, single),
            key=lambda optimum: optimum.half_deviance,
        )
        fits = replace(fits, likelihood=likelihood, single=single, double=double)
        if moved <= corrections.SETTLED:
            break
    return fits


def _choose(
    data: DecayData, options: FitOptions, fits: _Fits, notes: list[str], *, intervals: bool
) -> DecayFit:
    """Decide between one, two and no exponentials, and report the choice."""
    threshold = select.MONO_BI_THRESHOLD if options.mono_bi_threshold is None else options.mono_bi_threshold
    double = fits.ratio > threshold
    optimum, box = (fits.double, fits.double_box) if double else (fits.single, fits.single_box)
    profiles: dict[int, Profile] = {}
    if intervals:
        optimum, profiles = _profiles(
            fits.likelihood, optimum, box, (LN_TAU_X, LN_TAU_XX) if double else (LN_TAU_X,)
        )
        fits = replace(fits, double=optimum) if double else replace(fits, single=optimum)
    likelihood, theta = fits.likelihood, optimum.theta
    period_s = data.pulse_period_s
    tau_x_s = math.exp(float(theta[LN_TAU_X]))
    fwhm_s = report.irf_fwhm_s(options, likelihood, theta)
    known_irf = options.irf is not None
    longest_s = math.exp(float(box.upper[LN_TAU_X]))
    errors = covariance(optimum, box)
    means = recorded_means(likelihood, theta)
    tests = goodness(likelihood.counts, means, int(np.count_nonzero(errors.diagonal())))
    gross, misfit = select.misfit(tests)
    tail = select.tail_reason(math.exp(float(theta[LN_TAU_XX])), fwhm_s, known_irf) if double else ""
    refused = (
        select.instrument_reason(tau_x_s, fwhm_s, known_irf, _lifetime_gain(fits, optimum))
        or select.endless_reason(tau_x_s, longest_s, period_s)
        or select.scatter_reason(tail, float(theta[MIX]))
        or (f"nothing fits: {misfit}" if gross else "")
    )
    common = replace(
        _none(data, options, ""),
        likelihood_ratio=fits.ratio,
        goodness=tests,
        curves=report.curves(data, likelihood, fits.channels, theta),
        start=FitStart(fits.channels, fits.single.theta, fits.double.theta),
    )
    if refused:
        return replace(
            common,
            reason="; ".join([refused, *notes]),
            beta_reason=f"no beta: {refused}",
            eta_reason=f"no eta: {refused}",
        )
    parts = report.components(theta, errors, profiles, double=double)
    beta = fit_beta(likelihood, optimum, box, options, parts, tail, intervals=intervals)
    eta, eta_model, eta_reason = _eta(options, beta, parts.tau_x_s, period_s)
    eta_models: dict[str, float | None] = {} if eta is None else {TWO_LEVELS: eta.value}
    if eta is not None and intervals:
        eta_models[CASCADE] = _eta_of_cascade(options, beta, parts, period_s, fwhm_s)
    return replace(
        common,
        model="bi" if double else "mono",
        tau_x_s=parts.tau_x_s,
        tau_xx_s=parts.tau_xx_s,
        amplitude_x=parts.amplitude_x,
        amplitude_xx=parts.amplitude_xx,
        photon_share_x=parts.photon_share_x,
        photon_share_xx=parts.photon_share_xx,
        reason="; ".join(note for note in (misfit, tail, *notes) if note),
        background_share=report.background_share(likelihood, theta, errors),
        irf_fwhm_s=report.brightest_fwhm(options, likelihood, theta, errors),
        channels=report.channel_fits(data, options, likelihood, fits.channels, theta, errors),
        parameters=report.parameter_names(fits.channels),
        covariance=errors,
        beta=beta.beta,
        beta_reason=beta.reason,
        beta_signed=beta.signed,
        beta_upper95=beta.upper95,
        assumed_tau_xx_s=beta.assumed_tau_xx_s,
        eta=eta,
        eta_model=eta_model,
        eta_reason=eta_reason,
        eta_models=eta_models,
    )


def _profiles(
    likelihood: Likelihood, optimum: Optimum, box: Box, indices: tuple[int, ...]
) -> tuple[Optimum, dict[int, Profile]]:
    """Intervals of the named parameters. A better optimum met on the way becomes the optimum and starts it over."""
    profiles: dict[int, Profile] = {}
    for _ in range(_RESTARTS):
        profiles = {}
        for index in indices:
            profiles[index] = profile(likelihood, optimum, box, index)
            better = profiles[index].better
            if better is not None:
                optimum = maximise(likelihood, better.theta, box)
                break
        else:
            break
    return optimum, profiles


def _lifetime_gain(fits: _Fits, optimum: Optimum) -> float:
    """Twice the log-likelihood of ``optimum`` over that of the shortest single lifetime the model takes."""
    theta, free = fits.single.theta.copy(), fits.single_box.free.copy()
    theta[LN_TAU_X] = fits.single_box.lower[LN_TAU_X]
    free[LN_TAU_X] = False
    shortest = maximise(fits.likelihood, theta, replace(fits.single_box, free=free))
    return 2.0 * (shortest.half_deviance - optimum.half_deviance)


def _eta(
    options: FitOptions, beta: BetaFit, tau_x: Estimate, period_s: float
) -> tuple[Estimate | None, str, str]:
    if options.mean_n is None:
        return None, "", "no eta: <N> is not known"
    if beta.beta is None:
        return None, "", f"no eta without beta ({beta.reason})"
    return eta_estimate(beta.beta, options.mean_n, options.mean_n_relative_error, period_s, tau_x.value)


def _eta_of_cascade(
    options: FitOptions, beta: BetaFit, parts: Components, period_s: float, fwhm_s: float
) -> float | None:
    if beta.beta is None or parts.tau_xx_s is None or options.mean_n is None:
        return None
    return eta_of_cascade(
        Reading(beta.beta.value, parts.tau_x_s.value, parts.tau_xx_s.value),
        options.mean_n,
        period_s,
        fwhm_s,
        s=options.s,
        quantum_yield_x=options.quantum_yield_x,
        width_fitted=options.irf is None,
    )


def _none(data: DecayData, options: FitOptions, reason: str) -> DecayFit:
    return DecayFit(
        model="none",
        reason=reason,
        photons=data.photons,
        photons_outside=data.photons_outside,
        channels=report.unfitted_channels(data),
        s=options.s,
        corrections=corrections.describe(options),
        beta_reason=f"no beta: {reason}",
        eta_reason=f"no eta: {reason}",
    )
