"""The likelihood behind a finished fit, to ask what it would find under other circumstances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference import candidates, corrections, fit_range, search
from photonstream.nodes.inference.beta import beta_from_photon_share
from photonstream.nodes.inference.beta_fit import estimate_beta, within_domain
from photonstream.nodes.inference.cascade_eta import Behind, Reading
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.eta import behind_of
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX, Likelihood
from photonstream.nodes.inference.report import irf_fwhm_s
from photonstream.nodes.inference.scoring import Box, Optimum, maximise


@dataclass(frozen=True, eq=False)
class Refit:
    """The best double (or single) exponential of a fit: its likelihood over the fitted ``rows`` of the data, optimum
    and bounds. ``starts``: where its bins begin, before a fit range is cut out."""

    rows: tuple[int, ...]
    starts: NDArray[np.int64]
    likelihood: Likelihood
    optimum: Optimum
    box: Box

    @property
    def tau_ratio(self) -> float:
        """tau_xx/tau_x."""
        return math.exp(float(self.optimum.theta[LN_TAU_XX] - self.optimum.theta[LN_TAU_X]))


def refit_of(data: DecayData, options: FitOptions, fit: DecayFit, *, double: bool = True) -> Refit:
    """From ``fit``, made of ``data`` with ``options``. Raises ValueError where nothing was fitted."""
    if fit.start is None:
        raise ValueError(fit.reason)
    rows = tuple(data.numbers.index(c) for c in fit.start.channels)
    one, two = fit.start.single, fit.start.double
    starts = candidates.bins_of_fit(data, options, rows, one, two)
    likelihood = search.likelihood_of(data, options, rows, starts)
    if options.detector is not None:
        likelihood = corrections.corrected(likelihood, two, data, options, options.detector)
    box = search.box_of(likelihood, options, two)
    if double:
        box = search.double_box(likelihood, box, one, irf_fwhm_s(options, likelihood, one))
    if options.fit_range_s is not None:
        likelihood = fit_range.cut(likelihood, data, options)
        box, _ = fit_range.hold(likelihood, two, box)
    optimum, box = search.narrowed(likelihood, maximise(likelihood, two if double else one, box), box)
    return Refit(rows, starts, likelihood, optimum, box)


def beta_of(refit: Refit, s: float, *, intervals: bool = True) -> Estimate:
    """beta by the likelihood alone, perhaps with its intervals, whether or not two components may be claimed.

    What `fit_decay` claims is a selection of what it measures: bias and coverage are of this.
    """
    theta = refit.optimum.theta.copy()
    theta[MIX] = beta_at(theta, s)
    within, box = within_domain(refit.likelihood, refit.box)
    return estimate_beta(within, maximise(within, theta, box, as_beta=True), box, intervals=intervals)


def emitter_of(
    refit: Refit, fit: DecayFit, options: FitOptions, beta: float, mean_n: float, s: float
) -> Behind:
    """The n^2 cascade at ``mean_n`` and ``s`` that ``fit`` reads as its own lifetimes and ``beta``."""
    if fit.tau_x_s is None or fit.tau_xx_s is None:
        return Behind(reason="one component suffices")
    read = Reading(beta, fit.tau_x_s.value, fit.tau_xx_s.value)
    fwhm_s = irf_fwhm_s(options, refit.likelihood, refit.optimum.theta)
    return behind_of(read, mean_n, s, options, refit.likelihood.period_s, fwhm_s)


def beta_of_refit(refit: Refit) -> float | None:
    """beta where a refit has its optimum; None where it has none."""
    if not math.isfinite(refit.optimum.half_deviance):
        return None
    try:
        return beta_at(refit.optimum.theta, refit.likelihood.s)
    except (ValueError, ZeroDivisionError):
        return None


def beta_at(theta: Floats, s: float) -> float:
    """Apparent beta of a parameter vector with the fast component's share of the photons."""
    ratio = math.exp(float(theta[LN_TAU_XX] - theta[LN_TAU_X]))
    return beta_from_photon_share(float(theta[MIX]), ratio, s)
