"""What a calibration says of the run that it is made for: whether it has a beta, and its eta by both models."""

from __future__ import annotations

from photonstream.nodes.inference.beta import domain_reason, eta_estimate, with_errors
from photonstream.nodes.inference.calibration_data import Sample
from photonstream.nodes.inference.decay_data import FitOptions
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.eta import NO_MEAN_N
from photonstream.nodes.inference.refit import emitter_of

# Step by which eta of the cascade is differentiated.
_STEP = 0.05


def no_beta(fit: DecayFit, options: FitOptions, s: float) -> str:
    """Why the sample has no beta at ``s``; empty where it has."""
    tau_x, tau_xx = fit.tau_x_s, fit.tau_xx_s
    if fit.model == "none":
        return f"no beta: {fit.reason}"
    if fit.fast_reason:
        return f"no beta: {fit.fast_reason}"
    if tau_x is None or tau_xx is None or fit.amplitude_xx is None or fit.amplitude_x is None:
        return "no beta: one component suffices"
    ratio = fit.amplitude_xx.value / max(fit.amplitude_x.value, 1e-300)
    return domain_reason(ratio, tau_x, tau_xx, s, options.quantum_yield_x)


def eta_of(
    sample: Sample,
    beta: Estimate | None,
    s: float,
    scale: Estimate | None,
    cascade_yield_x: float | None,
) -> tuple[Estimate | None, str]:
    """eta of the sample at its given <N>, or with ``scale`` at as much of it, whose error is then that of the scale.

    By the closed form, or by the cascade of an exciton of the yield ``cascade_yield_x``.
    """
    fit, options = sample.fit, sample.options
    if options.mean_n is None:
        return None, NO_MEAN_N
    if beta is None or fit.tau_x_s is None:
        return None, f"no eta without beta ({fit.beta_reason})"
    mean_n, relative = options.mean_n, options.mean_n_relative_error
    if scale is not None:
        mean_n, relative = mean_n * scale.value, (scale.stderr or 0.0) / scale.value
    eta, _, reason = eta_estimate(beta, mean_n, relative, sample.refit.likelihood.period_s, fit.tau_x_s.value)
    if cascade_yield_x is None or eta is None:
        return eta, reason
    return _cascade_eta(sample, beta, s, mean_n, relative)


def _cascade_eta(
    sample: Sample, beta: Estimate, s: float, mean_n: float, relative: float
) -> tuple[Estimate | None, str]:
    """The same by the cascade; its slopes to beta and <N> are differences, steeper than those of the closed form."""
    etas = []
    for x, n in (
        (beta.value, mean_n),
        ((1.0 - _STEP) * beta.value, mean_n),
        (beta.value, (1.0 - _STEP) * mean_n),
    ):
        behind = emitter_of(sample.refit, sample.fit, sample.options, x, n, s)
        if behind.eta is None:
            return None, f"no eta by the n^2 cascade: {behind.reason}"
        etas.append(behind.eta)
    value, less_beta, less_n = etas
    by_beta = (value - less_beta) / (_STEP * beta.value)
    sigma_n = abs(value - less_n) / _STEP * relative
    eta = with_errors(value, beta, by_beta, sigma_n)
    if eta is None:
        return None, f"no eta by the n^2 cascade: {value:.3g} is no probability; <N> or s is wrong"
    return eta, ""
