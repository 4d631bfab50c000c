"""What moves beta and lifetimes beside the statistics of the photons: each cause with its part and how that was found.

Shifts are what a cause is expected to have added, sigmas how far it may have moved a figure either way. Causes whose
part lies inside the statistical error already are named without a number, so that nobody adds them twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from photonstream.nodes.inference.beta import MOST_MEAN_N, apparent_beta, poisson_factor_slope
from photonstream.nodes.inference.beta_fit import with_biexciton
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.inference.cascade_eta import leftover_shift
from photonstream.nodes.inference.contamination import Contaminant
from photonstream.nodes.inference.decay_data import DecayData, FitOptions, max_sigma_s
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.fit_range import cut
from photonstream.nodes.inference.irf import GaussianIrf, MeasuredIrf
from photonstream.nodes.inference.likelihood import (
    LN_SIGMA,
    LN_TAU_X,
    PER_CHANNEL,
    SHARED,
    T0,
    TAIL_SHARE,
    tail_at,
)
from photonstream.nodes.inference.means import at
from photonstream.nodes.inference.own_delays import LeftOut
from photonstream.nodes.inference.refit import Refit, beta_at, beta_of_refit, emitter_of, refit_of
from photonstream.nodes.inference.report import irf_fwhm_s
from photonstream.nodes.inference.scoring import covariance, maximise
from photonstream.nodes.inference.search import likelihood_of
from photonstream.nodes.inference.selection_parts import of_contamination, of_own_delays
from photonstream.nodes.inference.systematic import Systematic
from photonstream.nodes.inference.tail import MOST_TAIL_SHARE

# A width that is given without an error is taken to be right to this.
IRF_WIDTH_ERROR = 0.1
# How far s is moved; the paper's 640 nm control alone allows more.
S_STEP = 0.5
# How bright excitation is where nobody says it: that at which the paper measures beta.
USUAL_MEAN_N = 0.1
HELD = "held where the whole decay has it, because the fit range leaves the edge out: by its standard error there"
HIGHER = "three and more excitons"
LEFTOVER = "excitons left over from earlier pulses"
DETECTORS = "dead time, afterpulsing and pile-up"
WEAK = "a fast component too weak to be claimed"


def systematics(
    data: DecayData,
    options: FitOptions,
    fit: DecayFit,
    others: Sequence[Contaminant] | str,
    left_out: LeftOut | None = None,
) -> tuple[Systematic, ...]:
    """The parts of a ``fit``: without a beta those of its lifetimes, none without errors.

    ``others``: what contaminates the selection, or why nobody knows. ``left_out``: the same bins judged without their
    own photons; None where nothing is chosen by these.
    """
    if fit.beta is None:
        return _of_lifetimes(data, options, fit, others, left_out)
    refit = refit_of(data, options, fit)
    # What a fit range holds is known from the whole decay.
    whole = refit if options.fit_range_s is None else refit_of(data, replace(options, fit_range_s=None), fit)
    return (
        *_of_mean_n(options, fit),
        _of_irf(data, options, refit, whole),
        *_of_tail(options, refit, data.pulse_period_s),
        _of_t0(refit, whole, data.pulse_period_s),
        *_of_detectors(data, options, fit, ("beta", "tau_x_s", "tau_xx_s")),
        *of_contamination(data, options, refit, others, ("beta", "tau_x_s", "tau_xx_s")),
        *of_own_delays(fit, left_out, ("beta", "tau_x_s")),
        *_of_higher_excitons(options, fit, refit),
        _of_leftovers(options, fit, data.pulse_period_s),
        _of_s(refit.optimum.theta, options.s),
    )


def _of_lifetimes(
    data: DecayData,
    options: FitOptions,
    fit: DecayFit,
    others: Sequence[Contaminant] | str,
    left_out: LeftOut | None,
) -> tuple[Systematic, ...]:
    """The parts of the lifetimes that have an error, where there is no beta."""
    named = {"tau_x_s": fit.tau_x_s, "tau_xx_s": fit.tau_xx_s}
    quantities = [name for name, value in named.items() if value is not None and value.stderr is not None]
    if fit.tau_x_s is None or not quantities:
        return ()
    refit = refit_of(data, options, fit, double=fit.model == "bi")
    return (
        *(_of_weak_component(refit, fit) if fit.model == "mono" else ()),
        *_of_detectors(data, options, fit, quantities),
        *of_contamination(data, options, refit, others, quantities),
        *of_own_delays(fit, left_out, quantities),
    )


def _of_weak_component(refit: Refit, fit: DecayFit) -> tuple[Systematic, ...]:
    """What tau_x becomes with a biexciton of the assumed lifetime beside it, as strong as the photons have it."""
    if fit.tau_x_s is None or fit.assumed_tau_xx_s is None or fit.beta_signed is None:
        how = f"its part of tau_x is not known: {fit.beta_signed_reason}"
        return (Systematic(WEAK, how, quantity="tau_x_s"),)
    beside = with_biexciton(refit.likelihood, refit.optimum, refit.box, fit.assumed_tau_xx_s)[1]
    found_s = math.exp(float(beside.theta[LN_TAU_X]))
    how = (
        f"tau_x would be {1e9 * found_s:.4g} ns with a component of tau_xx = {1e9 * fit.assumed_tau_xx_s:.3g} ns "
        f"beside it, as strong as the photons have it (beta {fit.beta_signed.value:.2g}, negative values included)"
    )
    return (Systematic(WEAK, how, sigma=abs(found_s - fit.tau_x_s.value), quantity="tau_x_s"),)


def _of_mean_n(options: FitOptions, fit: DecayFit) -> tuple[Systematic, ...]:
    """<N> does not enter beta, but eta = 1 - (1 - beta)(exp(N) - 1)/N."""
    if fit.beta is None or fit.eta is None or options.mean_n is None or options.mean_n > MOST_MEAN_N:
        return ()
    relative = options.mean_n_relative_error
    sigma = (1.0 - fit.beta.value) * poisson_factor_slope(options.mean_n) * relative * options.mean_n
    how = f"<N> = {options.mean_n:.3g} with an error of {100.0 * relative:.3g} %: already in the error of eta"
    return (Systematic("<N>", how, sigma=sigma, quantity="eta"),)


def _of_t0(refit: Refit, whole: Refit, period_s: float) -> Systematic:
    """Nothing where it is free; held by the fit range, each channel's by its standard error in the whole decay."""
    if not (held := _held(refit, T0)):
        how = (
            "free in the fit of every channel: its part is inside the statistical error, but for how far three and "
            "more excitons pull it"
        )
        return Systematic("t0", how)
    return _of_held("t0", T0, held, refit, whole, period_s)


def _of_held(
    source: str, which: int, held: Sequence[int], refit: Refit, whole: Refit, period_s: float
) -> Systematic:
    """A parameter of the channels ``held`` by its standard error either way; channels are independent of each other."""
    parts = []
    for channel in held:
        mask = np.zeros(refit.optimum.theta.size)
        mask[at(channel, which)] = 1.0
        moved = [beta_of_refit(_moved(refit, period_s, step, mask)) for step in _standard_errors(whole, mask)]
        parts.append(_either_way(source, HELD, moved))
    sigmas = [part.sigma for part in parts]
    if None in sigmas:
        return parts[sigmas.index(None)]
    return Systematic(source, HELD, sigma=math.hypot(*(sigma for sigma in sigmas if sigma is not None)))


def _held(refit: Refit, which: int) -> list[int]:
    """The channels in which the fit holds a parameter, as it does where its range leaves the edge out."""
    return [c for c in range(len(refit.rows)) if not refit.box.free[at(c, which)]]


def _of_detectors(
    data: DecayData, options: FitOptions, fit: DecayFit, quantities: Sequence[str]
) -> tuple[Systematic, ...]:
    """What detectors do to a decay is known only where their figures are given."""
    if options.detector is None:
        how = (
            "figures of the detectors are not given, so nothing is corrected: parts of up to some hundredths (of "
            "lifetimes too: an afterpulse looks like a late photon), unknown"
        )
        return tuple(Systematic(DETECTORS, how, quantity=name) for name in quantities)
    blinding = options.detector.blinding
    how = "corrected by the figures that were given, which have no error"
    how += "; how much depends on <N>, as for beta" * blinding
    return tuple(
        _of_blinding(data, options, fit)
        if name == "beta" and blinding
        else Systematic(DETECTORS, how, quantity=name)
        for name in quantities
    )


def _of_blinding(data: DecayData, options: FitOptions, fit: DecayFit) -> Systematic:
    """Which photons hide which depends on <N>.

    One emitter's exciton photon is hidden by its own biexciton's: in a pulse that was excited, which of all pulses a
    share of about <N> is. So the part goes as 1/<N>; photons that are independent of each other hide far fewer.
    """
    mean_n, more = options.mean_n, 1.0 + options.mean_n_relative_error

    def beta_if(**changed: object) -> float | None:
        try:
            return beta_of_refit(refit_of(data, replace(options, **changed), fit))  # type: ignore[arg-type]
        except ValueError:
            return None

    if mean_n is not None:
        how = (
            "corrected by the figures that were given, which have no error, as one emitter's photons at "
            f"<N> = {mean_n:.3g}: by the error of {100.0 * (more - 1.0):.3g} % on that"
        )
        return _either_way(DETECTORS, how, [beta_if(mean_n=mean_n / more), beta_if(mean_n=mean_n * more)])
    how = (
        "corrected by the figures that were given as for photons that are independent of each other, because <N> is "
        f"not known: by so much less than those of one emitter at <N> = {USUAL_MEAN_N:g} ask for, and by more at a "
        "lower one (--mean-n)"
    )
    found, other = beta_if(), beta_if(mean_n=USUAL_MEAN_N)
    if found is None or other is None:
        return Systematic(DETECTORS, f"{how}: beta leaves its domain")
    return Systematic(DETECTORS, how, sigma=abs(other - found))


def _of_higher_excitons(options: FitOptions, fit: DecayFit, refit: Refit) -> tuple[Systematic, ...]:
    """What is read of the n^2 cascade behind the fit, less what two levels of the same eta and lifetimes would show.

    Excitons left over from earlier pulses are in both: those of two levels have a row of their own.
    """
    quantities = ("beta", "tau_x_s", "tau_xx_s")
    mean_n = options.mean_n
    if mean_n is None:
        how = "<N> is not known, so nobody knows how often three photons are absorbed (--mean-n)"
        return tuple(Systematic(HIGHER, how, quantity=name) for name in quantities)
    found = _higher_shifts(options, fit, refit, mean_n)
    if isinstance(found, str):
        how = f"no n^2 cascade: {found}"
        return tuple(Systematic(HIGHER, how, quantity=name) for name in quantities)
    relative = options.mean_n_relative_error
    how = (
        f"n^2 cascade (radiative n^2, Auger n^2 (n - 1)/4) at <N> = {mean_n:.3g} less two levels of the same eta and "
        f"lifetimes, leftovers of earlier pulses in both; error from {100.0 * relative:.3g} % on <N>, what such a "
        "cascade is wrong by is not known"
    )
    more = _higher_shifts(options, fit, refit, mean_n * (1.0 + relative))
    sigmas = (
        [None] * len(found)
        if isinstance(more, str)
        else [abs(b - a) for a, b in zip(found, more, strict=True)]
    )
    return tuple(
        Systematic(HIGHER, how, shift, sigma, name)
        for name, shift, sigma in zip(quantities, found, sigmas, strict=True)
    )


def _higher_shifts(
    options: FitOptions, fit: DecayFit, refit: Refit, mean_n: float
) -> tuple[float, float, float] | str:
    """Shifts of beta, tau_x (s) and tau_xx (s) by three and more excitons at ``mean_n``, or why they are not known."""
    if fit.beta is None or fit.tau_x_s is None or fit.tau_xx_s is None:
        return fit.beta_reason
    behind = emitter_of(refit, fit, options, fit.beta.value, mean_n, options.s)
    if behind.cascade is None or behind.eta is None:
        return behind.reason
    left = _leftover_shift(options, fit, mean_n, refit.likelihood.period_s)
    if left is None:
        return "two excitons at the most make no such decay"
    return (
        fit.beta.value - apparent_beta(behind.eta, mean_n) - left,
        fit.tau_x_s.value - behind.cascade.tau_x_s,
        fit.tau_xx_s.value - behind.cascade.tau_xx_s,
    )


def _of_leftovers(options: FitOptions, fit: DecayFit, period_s: float) -> Systematic:
    """Biexcitons that a pulse makes of an exciton that was still there."""
    mean_n, relative = options.mean_n, options.mean_n_relative_error
    if mean_n is None or fit.tau_x_s is None:
        how = "<N> is not known, so nobody knows how often a pulse finds an exciton of an earlier one (--mean-n)"
        return Systematic(LEFTOVER, how)
    shift, more = (_leftover_shift(options, fit, n, period_s) for n in (mean_n, mean_n * (1.0 + relative)))
    found = -math.expm1(-mean_n) * math.exp(-period_s / fit.tau_x_s.value)
    how = (
        f"the pulse period is {period_s / fit.tau_x_s.value:.3g} tau_x, so {100.0 * found:.2g} % of the pulses find an "
        f"exciton at <N> = {mean_n:.3g}: the stationary train of pulses less a single one, of two levels; error from "
        f"{100.0 * relative:.3g} % on <N>"
    )
    if shift is None or more is None:
        return Systematic(LEFTOVER, f"{how}: beta leaves its domain")
    return Systematic(LEFTOVER, how, shift, abs(more - shift))


def _leftover_shift(options: FitOptions, fit: DecayFit, mean_n: float, period_s: float) -> float | None:
    """`cascade_eta.leftover_shift` of a fit; None where there is no such emitter."""
    if fit.beta is None or fit.tau_x_s is None or fit.tau_xx_s is None:
        return None
    emitter = Cascade(fit.tau_x_s.value, fit.tau_xx_s.value, options.quantum_yield_x, options.s)
    try:
        return leftover_shift(fit.beta.value, mean_n, emitter, period_s)
    except (ValueError, ZeroDivisionError):
        return None


def _of_irf(data: DecayData, options: FitOptions, refit: Refit, whole: Refit) -> Systematic:
    """The width of the instrument response by its standard error either way, by 10 % where that is not known."""
    name = "width of the instrument response"
    if isinstance(options.irf, MeasuredIrf):
        # Where in one of its bins the peak fell is not known afterwards.
        bin_part = 0.5 * options.irf.bin_width_s / irf_fwhm_s(options, refit.likelihood, refit.optimum.theta)
        part, why = max((IRF_WIDTH_ERROR, "it has no error"), (bin_part, "half a bin of its recording"))
        how = f"the measured response made {100 * part:.0f} % wider and narrower ({why})"
        betas = [beta_of_refit(_stretched(data, options, options.irf, refit, 1.0 + e)) for e in _both(part)]
        return _either_way(name, how, betas)
    widths = _of_widths(refit)
    if isinstance(options.irf, GaussianIrf):
        step = np.log1p(-IRF_WIDTH_ERROR) * widths, np.log1p(IRF_WIDTH_ERROR) * widths
        how = f"the given width {100 * IRF_WIDTH_ERROR:.0f} % wider and narrower (it has no error)"
    else:
        if refit.box.known is not None and refit.box.known.any():
            words = "the response is narrower than the bins show: what that leaves open is in the statistical error"
            return Systematic(name, words)
        step = _standard_errors(refit, widths)
        how = "the fitted width by its standard error either way: already in the statistical error"
        if held := _held(refit, LN_SIGMA):
            return _of_held(name, LN_SIGMA, held, refit, whole, data.pulse_period_s)
    moved = [_moved(refit, data.pulse_period_s, move, widths) for move in step]
    return _either_way(name, how, [beta_of_refit(each) for each in moved])


def _of_tail(options: FitOptions, refit: Refit, period_s: float) -> tuple[Systematic, ...]:
    """The share of the response's tail by its standard error, by 10 % of it where that is not known; none without."""
    tail = tail_at(refit.optimum.theta, len(refit.rows))
    if tail is None:
        return ()
    name = "tail of the instrument response"
    mask = np.zeros(refit.optimum.theta.size)
    mask[tail + TAIL_SHARE] = 1.0
    if options.irf_fitted:
        step = _standard_errors(refit, mask)
        how = "the fitted share by its standard error either way: already in the statistical error"
        if not step[0].any():
            return (Systematic(name, "the fit found no tail"),)
    else:
        share = float(refit.optimum.theta[tail + TAIL_SHARE])
        step = -IRF_WIDTH_ERROR * share * mask, IRF_WIDTH_ERROR * share * mask
        how = f"the given share {100 * IRF_WIDTH_ERROR:.0f} % larger and smaller (it has no error)"
    betas = [beta_of_refit(_moved(refit, period_s, move, mask)) for move in step]
    return (_either_way(name, how, betas),)


def _standard_errors(refit: Refit, mask: Floats) -> tuple[Floats, Floats]:
    """Steps of what ``mask`` marks, by a standard error down and up."""
    errors = covariance(refit.optimum, refit.box)
    step = np.sqrt(np.maximum(errors.diagonal(), 0.0)) * mask
    return -step, step


def _both(step: float) -> tuple[float, float]:
    return -step, step


def _of_widths(refit: Refit) -> Floats:
    """1 where a parameter is the width of a channel's response, else 0."""
    mask = np.zeros(refit.optimum.theta.size)
    mask[SHARED + LN_SIGMA : SHARED + PER_CHANNEL * len(refit.rows) : PER_CHANNEL] = 1.0
    return mask


def _moved(refit: Refit, period_s: float, move: Floats, mask: Floats) -> Refit:
    """The fit with what ``mask`` marks (t0, widths or a tail's share) moved by ``move`` and held there."""
    theta = refit.optimum.theta + move
    widths, held = _of_widths(refit) > 0.0, mask > 0.0
    theta[widths] = np.minimum(theta[widths], math.log(max_sigma_s(period_s)))
    if (tail := tail_at(theta, len(refit.rows))) is not None and held[tail + TAIL_SHARE]:
        theta[tail + TAIL_SHARE] = np.clip(theta[tail + TAIL_SHARE], 0.0, MOST_TAIL_SHARE)
    box = replace(refit.box, free=refit.box.free & ~held)
    return replace(refit, optimum=maximise(refit.likelihood, theta, box), box=box)


def _stretched(data: DecayData, options: FitOptions, irf: MeasuredIrf, refit: Refit, factor: float) -> Refit:
    """The fit with a measured response stretched by ``factor`` about its middle; t0 begins where that leaves it."""
    wide = replace(irf, bin_width_s=factor * irf.bin_width_s)
    whole = likelihood_of(data, replace(options, irf=wide), refit.rows, refit.starts)
    likelihood = cut(whole, data, options)
    likelihood = replace(likelihood, efficiency=refit.likelihood.efficiency, extra=refit.likelihood.extra)
    theta = refit.optimum.theta.copy()
    for k in range(len(refit.rows)):
        shares = refit.likelihood.irf[k]
        middle_s = float((shares * (np.arange(shares.size) + 0.5)).sum()) * refit.likelihood.irf_bin_s
        theta[SHARED + PER_CHANNEL * k + T0] -= (factor - 1.0) * middle_s
    return replace(refit, likelihood=likelihood, optimum=maximise(likelihood, theta, refit.box))


def _either_way(source: str, how: str, betas: Sequence[float | None]) -> Systematic:
    low, high = betas
    if low is None or high is None:
        return Systematic(source, f"{how}: beta leaves its domain")
    return Systematic(source, how, sigma=0.5 * abs(high - low))


def _of_s(theta: Floats, s: float) -> Systematic:
    """beta of the same decay at other s."""
    betas = []
    for other in (s - S_STEP, s + S_STEP):
        try:
            betas.append(beta_at(theta, other) if other > 1.0 else math.nan)
        except (ValueError, ZeroDivisionError):
            betas.append(math.nan)
    low, high = betas
    words = [
        f"beta {b:.3g} at s = {s + d:g}" for b, d in zip(betas, _both(S_STEP), strict=True) if 0.0 < b < 1.0
    ]
    if len(words) < 2:
        return Systematic("s", "; ".join(words) or "no beta at neighbouring s")
    return Systematic("s", "; ".join(words), sigma=0.5 * abs(high - low))
