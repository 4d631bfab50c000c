"""The fit of one particle's decay: which model, its parameters, beta."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from photonstream.nodes.inference import candidates, claims, corrections, fit_range, report, select
from photonstream.nodes.inference.beta_fit import BetaFit, fit_beta
from photonstream.nodes.inference.candidates import Candidates
from photonstream.nodes.inference.decay_data import AUTOMATIC, DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import (
    MISFIT,
    OR_TAIL,
    TOO_FEW,
    CascadeShift,
    Components,
    DecayFit,
    FitStart,
    Verdict,
    without_errors,
)
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.eta import fit_eta
from photonstream.nodes.inference.goodness import goodness
from photonstream.nodes.inference.irf import MeasuredIrf
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX, TAIL, TAIL_SHARE, Likelihood
from photonstream.nodes.inference.means import recorded_means
from photonstream.nodes.inference.profile import Profile, profile
from photonstream.nodes.inference.scoring import Box, Optimum, covariance, maximise
from photonstream.nodes.inference.tail import FittedTail

_RESTARTS = 3
# A lifetime of so many full widths of the response is none of the instrument's.
_PLAINLY_LONGER = 10.0


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
    photons = int(fit_range.photons_within(data, options).sum())
    if photons < options.min_photons:
        place = "" if options.fit_range_s is None else " in the fit range"
        few = _none(data, options, f"too few photons{place}: {photons}, {options.min_photons} needed")
        return replace(few, verdict=TOO_FEW)
    if refused := fit_range.refusal(data, options):
        return _none(data, options, refused)
    fits: Candidates | None = None
    notes: list[str] = []
    if not cold and start is not None and set(start.channels) <= set(data.numbers):
        fits = candidates.from_last(data, options, start)
    if fits is None:
        fits, notes = candidates.search_all(data, options)
    if fits is None:
        return _none(data, options, "; ".join(notes))
    if options.detector is not None:
        fits = candidates.as_recorded(data, options, fits, options.detector)
        notes = [*notes, *filter(None, [corrections.note(options)])]
    if options.fit_range_s is not None:
        fits, more = candidates.within_range(data, options, fits)
        notes = [*notes, *more]
    # A search looks for everything anew.
    known = None if start is None or fits.searched == data.photons else start.shift
    return _choose(data, options, fits, notes, known, intervals=cold and options.intervals)


def _choose(
    data: DecayData,
    options: FitOptions,
    fits: Candidates,
    notes: list[str],
    known: CascadeShift | None,
    *,
    intervals: bool,
) -> DecayFit:
    """Decide between one, two and no exponentials, and report the choice.

    ``known``: what a live fit takes over from the ones before it (`eta.fit_eta`).
    """
    threshold = options.mono_bi_threshold
    if threshold is None:
        photons = int(fit_range.photons_within(data, options).sum())
        threshold = select.mono_bi_threshold(photons, tail_fitted=isinstance(options.irf, FittedTail))
    double = fits.ratio > threshold if options.model == AUTOMATIC else options.model == "bi"
    if options.model != AUTOMATIC:
        wanted = "two components were" if double else "one component was"
        notes = [f"{wanted} asked for: the data did not decide", *notes]
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
    known_irf = not options.irf_fitted
    numbers = tuple(data.numbers[row] for row in fits.rows)
    longest_s = math.exp(float(box.upper[LN_TAU_X]))
    errors = covariance(optimum, box)
    means = recorded_means(likelihood, theta)
    tests = goodness(likelihood.counts, means, int(np.count_nonzero(errors.diagonal())))
    gross, misfit = select.misfit(tests)
    tau_xx_s, share_xx = math.exp(float(theta[LN_TAU_XX])), float(theta[MIX])
    # A live fit asks only where the answer may matter.
    asked = intervals or tau_x_s < _PLAINLY_LONGER * fwhm_s
    gain = _lifetime_gain(fits, optimum) if asked else math.inf
    parts = report.components(theta, errors, profiles, double=double)
    response_tail = report.tail_figures(likelihood, theta, errors, box)
    alike = isinstance(options.irf, FittedTail) and _alike(parts, response_tail)
    if alike:
        parts = replace(parts, tau_x_s=_beside_one(likelihood, optimum, box, intervals=intervals))
    background = report.background_share(likelihood, theta, errors)
    likeness = claims.correlation(likelihood, errors)
    refused = (
        select.instrument_reason(tau_x_s, fwhm_s, known_irf, gain)
        or select.endless_reason(tau_x_s, longest_s, period_s)
        or (select.scatter_reason(tau_xx_s, share_xx, fwhm_s, known_irf) if double else "")
        or (f"nothing fits: {misfit}" if gross else "")
        or claims.lifetime_reason(parts.tau_x_s, period_s, background.value, likeness)
    )
    common = replace(
        _none(data, options, ""),
        likelihood_ratio=fits.ratio,
        goodness=tests,
        curves=report.curves(data, fits.whole or likelihood, fits.rows, theta),
        start=FitStart(numbers, fits.single.theta, fits.double.theta, fits.searched, known),
    )
    if refused:
        return replace(
            common,
            verdict=MISFIT if gross else "none",
            reason="; ".join([refused, *notes]),
            beta_reason=f"no beta: {refused}",
            eta_reason=f"no eta: {refused}",
        )
    # A response narrower than a bin is known to no better than the bin, and no wider than its tail.
    response_s = max(fwhm_s, report.tail_s(likelihood, theta))
    width_s = max(response_s, likelihood.bin_s, likelihood.irf_bin_s)
    in_bins = width_s > response_s
    shape = claims.GAUSSIAN if response_tail is None else claims.TAILED
    shape = claims.MEASURED if isinstance(options.irf, MeasuredIrf) else shape
    tail = claims.tail_reason(tau_xx_s, width_s, shape, in_bins=in_bins) if double else ""
    if alike:
        tail, response_tail = claims.ALIKE_TAIL, report.TailFigures(None, None, claims.ALIKE_TAIL, 0.0)
    elif parts.amplitude_xx is not None and parts.amplitude_xx.stderr is None:
        notes = [*notes, "the data do not determine the shares of the two components"]
    if options.irf_fitted and response_tail is not None and response_tail.reason not in ("", tail):
        notes = [*notes, response_tail.reason]
    doubt = claims.open_reason(parts.tau_x_s, period_s)
    beta = BetaFit(None, f"no beta: {doubt}")
    if double:
        missed = claims.misfit_reason(misfit, tests["misplaced_share"] or 0.0, share_xx)
    else:
        # Only where one was asked for: else there would be two.
        missed = claims.one_too_few_reason(fits.ratio, threshold)
    refused = tail or missed
    if not doubt:
        warnings = (
            claims.tail_warning(tau_xx_s, width_s, shape, in_bins=in_bins),
            claims.misfit_warning(misfit),
            fits.caution,
            claims.leftover_warning(tau_x_s, period_s),
        )
        beta = fit_beta(likelihood, optimum, box, options, parts, refused, warnings, intervals=intervals)
    eta = fit_eta(options, beta, parts, period_s, fwhm_s, known)
    if eta.shift is not None and common.start is not None:
        common = replace(common, start=replace(common.start, shift=eta.shift))
    verdict: Verdict = "bi" if double else "mono"
    if missed:
        verdict = MISFIT
    elif tail and shape != claims.MEASURED:
        verdict = OR_TAIL
    elif not double and select.too_few(beta.signed, beta.upper95):
        verdict = TOO_FEW
    found = replace(
        common,
        model="bi" if double else "mono",
        verdict=verdict,
        tau_x_s=parts.tau_x_s,
        tau_xx_s=parts.tau_xx_s,
        amplitude_x=parts.amplitude_x,
        amplitude_xx=parts.amplitude_xx,
        photon_share_x=parts.photon_share_x,
        photon_share_xx=parts.photon_share_xx,
        reason="; ".join(note for note in (doubt, misfit, tail, missed * (not double), *notes) if note),
        background_share=background,
        irf_fwhm_s=report.widest_fwhm(options, likelihood, theta, errors, box),
        irf_tail_share=None if response_tail is None else response_tail.share,
        irf_tail_s=None if response_tail is None else response_tail.time_s,
        irf_tail_reason="" if response_tail is None else response_tail.reason,
        channels=report.channel_fits(data, options, likelihood, fits.rows, theta, errors, box),
        parameters=report.parameter_names(numbers, tailed=response_tail is not None),
        covariance=errors,
        beta=beta.beta,
        beta_reason=beta.reason,
        fast_reason=doubt or refused,
        beta_signed=beta.signed,
        beta_signed_reason=beta.signed_reason,
        beta_upper95=beta.upper95,
        assumed_tau_xx_s=beta.assumed_tau_xx_s,
        eta=eta.eta,
        eta_model=eta.model,
        eta_reason=eta.reason,
        eta_models=eta.models,
        eta_models_reason=eta.models_reason,
    )
    found = _without_parts(found) if alike else found
    return without_errors(found) if verdict == MISFIT else found


def _alike(parts: Components, response_tail: report.TailFigures | None) -> bool:
    """Whether a fast component may be one with a fitted tail of the response."""
    if parts.tau_xx_s is None or response_tail is None:
        return False
    return claims.tail_alike(parts.tau_xx_s, response_tail.longest_s)


def _beside_one(likelihood: Likelihood, optimum: Optimum, box: Box, *, intervals: bool) -> Estimate:
    """tau_x where fast component and tail of the response are taken for one: with both, nothing bounds it."""
    theta, free = optimum.theta.copy(), box.free.copy()
    # The tail's share and time end the vector.
    theta[-TAIL + TAIL_SHARE] = 0.0
    free[-TAIL:] = False
    one = replace(box, free=free)
    found = maximise(likelihood, theta, one)
    profiles: dict[int, Profile] = {}
    if intervals:
        found, profiles = _profiles(likelihood, found, one, (LN_TAU_X,))
    return report.components(found.theta, covariance(found, one), profiles, double=True).tau_x_s


def _without_parts(fit: DecayFit) -> DecayFit:
    """The fit without what tells the fast component from the slow one."""
    return replace(
        fit, tau_xx_s=None, amplitude_x=None, amplitude_xx=None, photon_share_x=None, photon_share_xx=None
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


def _lifetime_gain(fits: Candidates, optimum: Optimum) -> float:
    """Twice the log-likelihood of ``optimum`` over that of the shortest single lifetime the model takes."""
    theta, free = fits.single.theta.copy(), fits.single_box.free.copy()
    theta[LN_TAU_X] = fits.single_box.lower[LN_TAU_X]
    free[LN_TAU_X] = False
    shortest = maximise(fits.likelihood, theta, replace(fits.single_box, free=free))
    return 2.0 * (shortest.half_deviance - optimum.half_deviance)


def _none(data: DecayData, options: FitOptions, reason: str) -> DecayFit:
    photons = int(fit_range.photons_within(data, options).sum())
    return DecayFit(
        model="none",
        reason=reason,
        photons=photons,
        photons_outside=data.photons_outside + data.photons - photons,
        fit_range_s=fit_range.fitted_span(data, options),
        channels=report.unfitted_channels(data, options),
        s=options.s,
        corrections=corrections.describe(options),
        beta_reason=f"no beta: {reason}",
        eta_reason=f"no eta: {reason}",
    )
