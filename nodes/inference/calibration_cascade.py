"""s or <N> of a calibration run when three and more excitons are counted too.

The closed form takes three excitons for two. At <N> = 0.5 the decay of a cascade (radiative n^2, Auger n^2 (n - 1)/4 at
s = 4) is read as 23 % more biexcitons than that, and at 0.1 as 7 % more. What lies between the two is not known.
"""

from __future__ import annotations

import math
from dataclasses import replace

from photonstream.nodes.inference.beta import poisson_factor, poisson_factor_slope
from photonstream.nodes.inference.calibration_data import Calibration, CalibrationRun, Cascaded, Sample, Way
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.inference.cascade_eta import Reading, eta_of_cascade, reading
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX, photon_share
from photonstream.nodes.inference.refit import beta_at

_STEPS = 30
_CLOSE = 1e-4
# A step changes s - 1 or <N> by at most this factor.
_MOST_FACTOR = 1.5


def with_cascade(found: Calibration, runs: tuple[CalibrationRun, ...], sample: Sample) -> Calibration:
    """``found`` with what the cascade says for the run of the highest <N>, whose fast component is the clearest."""
    return replace(
        found,
        s_at_given_n=_with(found.s_at_given_n, runs, sample, solve_s=True),
        n_at_given_s=_with(found.n_at_given_s, runs, sample, solve_s=False),
    )


def _with(way: Way, runs: tuple[CalibrationRun, ...], sample: Sample, *, solve_s: bool) -> Way:
    known = [(mean.value, k) for k, mean in enumerate(way.mean_n) if mean is not None and runs[k].fast]
    if way.reason or way.s is None or not known:
        return way
    mean_n, k = max(known)
    solved = solve(runs[k], way.s.value, mean_n, sample.options.quantum_yield_x, solve_s=solve_s)
    if solved is None:
        return replace(way, cascade=Cascaded(runs[k].name, None, None, None))
    s, cascade_n = solved
    scale = None if way.scale is None else way.scale.value * cascade_n / mean_n
    return replace(way, cascade=Cascaded(runs[k].name, s, cascade_n, _eta(sample, s, scale, solve_s=solve_s)))


def solve(
    run: CalibrationRun, s: float, mean_n: float, quantum_yield_x: float, *, solve_s: bool
) -> tuple[float, float] | None:
    """s and <N> of the n^2 cascade that is read as ``run`` is; one is found, the other held. None where none is."""
    theta, likelihood = run.refit.optimum.theta, run.refit.likelihood
    wanted, tau_x_s, tau_xx_s = float(theta[MIX]), math.exp(theta[LN_TAU_X]), math.exp(theta[LN_TAU_XX])
    cascade = Cascade(tau_x_s, tau_xx_s, quantum_yield_x, s)
    for _ in range(_STEPS):
        if cascade.problem() is not None:
            return None
        found = reading(
            cascade, mean_n, 0.0, likelihood.period_s, run.irf_fwhm_s, width_fitted=run.width_fitted
        )
        if found is None:
            return None
        s = cascade.radiative_ratio
        rho = found.tau_xx_s / found.tau_x_s
        share, by_beta, _ = photon_share(found.beta, rho, s, True)
        if solve_s:
            slope = found.beta * rho * (1.0 - share) / (1.0 + s * found.beta * rho) * (s - 1.0)
        else:
            slope = by_beta * poisson_factor_slope(mean_n) / poisson_factor(mean_n) ** 2 * mean_n
        step = (wanted - share) / slope
        if abs(step) < _CLOSE and abs(found.tau_xx_s / tau_xx_s - 1.0) < _CLOSE:
            return s, mean_n
        factor = min(max(1.0 + step, 1.0 / _MOST_FACTOR), _MOST_FACTOR)
        if solve_s:
            s = 1.0 + (s - 1.0) * factor
        else:
            mean_n *= factor
        cascade = replace(
            cascade,
            radiative_ratio=s,
            tau_x_s=cascade.tau_x_s * tau_x_s / found.tau_x_s,
            tau_xx_s=cascade.tau_xx_s * tau_xx_s / found.tau_xx_s,
        )
    return None


def _eta(sample: Sample, s: float, scale: float | None, *, solve_s: bool) -> float | None:
    """eta of the sample by the same cascade, at its given <N> where s was found, else at ``scale`` times that."""
    fit, options = sample.fit, sample.options
    if options.mean_n is None or not _has_beta(fit) or fit.tau_x_s is None or fit.tau_xx_s is None:
        return None
    mean_n = options.mean_n if solve_s or scale is None else options.mean_n * scale
    fwhm_s = 0.0 if fit.irf_fwhm_s is None else fit.irf_fwhm_s.value
    read = Reading(beta_at(sample.refit.optimum.theta, s), fit.tau_x_s.value, fit.tau_xx_s.value)
    return eta_of_cascade(
        read,
        mean_n,
        sample.refit.likelihood.period_s,
        fwhm_s,
        s=s,
        quantum_yield_x=options.quantum_yield_x,
        width_fitted=options.irf_fitted,
    )


def _has_beta(fit: DecayFit) -> bool:
    return fit.model == "bi" and not fit.fast_reason
