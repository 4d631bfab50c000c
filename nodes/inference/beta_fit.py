"""beta as a fitted parameter, with profile-likelihood intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from photonstream.nodes.inference import select
from photonstream.nodes.inference.beta import beta_from_photon_share, domain_reason
from photonstream.nodes.inference.claims import LARGEST_BETA, within_bounds
from photonstream.nodes.inference.decay_data import FitOptions
from photonstream.nodes.inference.decay_fit import Components
from photonstream.nodes.inference.estimate import Estimate, from_variance
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX, Likelihood
from photonstream.nodes.inference.profile import RISE_UPPER95, ProfileSide, profile
from photonstream.nodes.inference.scoring import Box, Optimum, covariance, maximise

# Where tau_xx/tau_x reaches 1 - 1/s the amplitude no longer depends on beta; the fit stays this far below.
_DOMAIN_MARGIN = 0.95
_LARGEST = 50.0
_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class BetaFit:
    """``beta``, and what to mind about it, or the ``reason`` why there is none.

    ``signed`` and ``upper95`` hold tau_xx at ``assumed_tau_xx_s``; without these ``signed_reason`` says why.
    """

    beta: Estimate | None
    reason: str
    signed: Estimate | None = None
    upper95: float | None = None
    assumed_tau_xx_s: float | None = None
    signed_reason: str = ""


def fit_beta(
    likelihood: Likelihood,
    optimum: Optimum,
    box: Box,
    options: FitOptions,
    parts: Components,
    refused: str,
    warnings: Sequence[str],
    *,
    intervals: bool,
) -> BetaFit:
    """beta at a converged ``optimum`` within ``box``, whose reported numbers are ``parts``.

    ``refused`` says why the fast component cannot be called a biexciton's, if so; there is no beta then.
    ``warnings`` go with a beta.
    """
    signed = _signed(likelihood, optimum, box, options, intervals=intervals)
    tau_x, tau_xx = parts.tau_x_s, parts.tau_xx_s
    if tau_xx is None and refused:
        return replace(signed, upper95=None, reason=f"no beta: {refused}")
    if tau_xx is None or parts.amplitude_xx is None:
        why = "no beta: one component suffices"
        if select.too_few(signed.signed, signed.upper95):
            why += f", but there are not enough photons to exclude a beta of {select.TELLING_BETA:g}"
        limit = f"no upper limit: {signed.signed_reason}" if signed.signed_reason else ""
        return replace(signed, reason="; ".join(filter(None, [why, limit])))
    signed = replace(signed, upper95=None)
    ratio = parts.amplitude_xx.value / max(parts.amplitude_x.value, 1e-300)
    outside = domain_reason(ratio, tau_x, tau_xx, options.s, options.quantum_yield_x)
    if refused or outside:
        return replace(signed, reason=f"no beta: {refused}" if refused else outside)
    theta = optimum.theta.copy()
    theta[MIX] = beta_from_photon_share(float(theta[MIX]), tau_xx.value / tau_x.value, options.s)
    within, bounded = within_domain(likelihood, box)
    estimate = estimate_beta(
        within, maximise(within, theta, bounded, as_beta=True), bounded, intervals=intervals
    )
    beta, note = within_bounds(estimate)
    if beta is None:
        return replace(signed, reason=note)
    return replace(signed, beta=beta, reason="; ".join(filter(None, [*warnings, note])))


def within_domain(likelihood: Likelihood, box: Box) -> tuple[Likelihood, Box]:
    """Both for a fit with beta in place of the share, down to where the decay would start from nothing."""
    s = likelihood.s
    lower, upper = box.lower.copy(), box.upper.copy()
    lower[MIX], upper[MIX] = -0.999 / (s - 1.0), _LARGEST
    free = box.free.copy()
    free[MIX] = True
    bounded = replace(box, lower=lower, upper=upper, free=free)
    return replace(likelihood, max_ratio=_DOMAIN_MARGIN * (1.0 - 1.0 / s)), bounded


def with_biexciton(
    likelihood: Likelihood, optimum: Optimum, box: Box, tau_xx_s: float
) -> tuple[Likelihood, Optimum, Box]:
    """The best fit `within_domain` with tau_xx held at ``tau_xx_s`` (s) and beta free, negative values included."""
    within, bounded = within_domain(likelihood, box)
    bounded.free[LN_TAU_XX] = False
    theta = optimum.theta.copy()
    theta[LN_TAU_XX], theta[MIX] = math.log(tau_xx_s), 0.0
    return within, maximise(within, theta, bounded, as_beta=True), bounded


def estimate_beta(likelihood: Likelihood, optimum: Optimum, box: Box, *, intervals: bool) -> Estimate:
    """beta at ``optimum`` of a fit `within_domain`, by its likelihood alone."""
    for _ in range(_RESTARTS):
        errors = covariance(optimum, box)
        estimate = from_variance(float(optimum.theta[MIX]), float(errors[MIX, MIX]))
        if not intervals:
            return estimate
        found = profile(likelihood, optimum, box, MIX, as_beta=True)
        estimate = replace(estimate, ci68=found.ci68, ci95=found.ci95)
        if found.better is None:
            return estimate
        optimum = maximise(likelihood, found.better.theta, box, as_beta=True)
    return estimate


def _signed(
    likelihood: Likelihood, optimum: Optimum, box: Box, options: FitOptions, *, intervals: bool
) -> BetaFit:
    """Signed beta and its upper limit with tau_xx held, or why there is none."""
    tau_xx_s = options.assumed_tau_xx_s
    tau_x_s = math.exp(float(optimum.theta[LN_TAU_X]))
    largest_s = tau_x_s / (options.s * options.quantum_yield_x)
    if tau_xx_s > largest_s:
        too_slow = (
            f"a biexciton of the assumed {1e9 * tau_xx_s:.3g} ns is too slow for "
            f"tau_x = {1e9 * tau_x_s:.3g} ns (at most {1e9 * largest_s:.3g} ns)"
        )
        return BetaFit(None, "", signed_reason=too_slow)
    within, free, bounded = with_biexciton(likelihood, optimum, box, tau_xx_s)
    return BetaFit(
        None,
        "",
        signed=estimate_beta(within, free, bounded, intervals=intervals),
        upper95=_upper95(within, free, bounded) if intervals else None,
        assumed_tau_xx_s=tau_xx_s,
    )


def _upper95(likelihood: Likelihood, optimum: Optimum, box: Box) -> float | None:
    """One-sided 95 % limit, at most 1; a best value below 0 counts as 0, so that the limit is never below it."""
    if optimum.theta[MIX] < 0.0:
        theta, free = optimum.theta.copy(), box.free.copy()
        # Not 0 itself: the likelihood spares the fast component there, and with it the information on beta.
        theta[MIX], free[MIX] = 1e-12, False
        optimum = maximise(likelihood, theta, replace(box, free=free), as_beta=True)
    fit = partial(maximise, likelihood, as_beta=True)
    limit = ProfileSide(fit, optimum, covariance(optimum, box), box, MIX, 1).cross(RISE_UPPER95)
    return None if limit is None else min(limit, LARGEST_BETA)
