"""From the apparent beta of a fit to the CM efficiency per absorbed photon, by one model and another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from photonstream.nodes.inference.beta import HIGHEST_ETA, eta_estimate
from photonstream.nodes.inference.beta_fit import BetaFit
from photonstream.nodes.inference.cascade_eta import CASCADE, TWO_LEVELS, Behind, Reading, cascade_behind
from photonstream.nodes.inference.decay_data import FitOptions
from photonstream.nodes.inference.decay_fit import CascadeShift, Components
from photonstream.nodes.inference.estimate import Z95, Estimate, Interval

NO_MEAN_N = "no eta: <N> is not known; give it with --mean-n (photons absorbed per pulse)"


@dataclass(frozen=True, slots=True)
class EtaFit:
    """``eta`` by ``model``, or the ``reason`` why there is none; ``models`` has its value by every model asked.

    ``models_reason``: why one of them has none. ``shift``: of the cascade, where it was asked.
    """

    eta: Estimate | None
    model: str
    reason: str
    models: dict[str, float | None] = field(default_factory=dict)
    models_reason: str = ""
    shift: CascadeShift | None = None


def fit_eta(
    options: FitOptions,
    beta: BetaFit,
    parts: Components,
    period_s: float,
    irf_fwhm_s: float,
    known: CascadeShift | None = None,
) -> EtaFit:
    """eta of a fit whose reported numbers are ``parts``, by both models of higher excitons.

    With ``known``, found a little earlier in the same run, the cascade is not inverted again: from one live fit to the
    next beta moves by less than its error, and the shift by a small part of that.
    """
    if options.mean_n is None:
        return EtaFit(None, "", NO_MEAN_N)
    if beta.beta is None:
        return EtaFit(None, "", f"no eta without beta ({beta.reason})")
    tau_x, tau_xx = parts.tau_x_s, parts.tau_xx_s
    eta, model, reason = eta_estimate(
        beta.beta, options.mean_n, options.mean_n_relative_error, period_s, tau_x.value
    )
    if eta is None or tau_xx is None:
        return EtaFit(eta, model, reason)
    shift = known
    if shift is None or (shift.mean_n, shift.s) != (options.mean_n, options.s):
        read = Reading(beta.beta.value, tau_x.value, tau_xx.value)
        behind = behind_of(read, options.mean_n, options.s, options, period_s, irf_fwhm_s)
        more = None if behind.eta is None else behind.eta - eta.value
        shift = CascadeShift(options.mean_n, options.s, more, behind.reason)
    by_cascade = None if shift.eta is None else eta.value + shift.eta
    models = {TWO_LEVELS: eta.value, CASCADE: by_cascade}
    return EtaFit(eta, model, reason, models, shift.reason, shift)


def model_range(
    eta: Estimate, models: Mapping[str, float | None]
) -> tuple[tuple[float, float], Interval] | None:
    """From the lowest to the highest value of eta by its ``models``, and the 95 % interval widened by as much.

    ``eta`` is that of one of them, whose error stands for all. None with fewer than two values: there is no range.
    """
    values = [value for value in models.values() if value is not None]
    if len(values) < 2 or not math.isfinite(eta.value):
        return None
    low, high = min(values), max(values)
    down, up = eta.ci95 or (None, None)
    if eta.ci95 is None and eta.stderr is not None:
        # While a run goes on only the standard error is known.
        down, up = eta.value - Z95 * eta.stderr, eta.value + Z95 * eta.stderr
    return (low, high), (
        None if down is None else down + (low - eta.value),
        None if up is None else min(up + (high - eta.value), HIGHEST_ETA),
    )


def behind_of(
    read: Reading, mean_n: float, s: float, options: FitOptions, period_s: float, irf_fwhm_s: float
) -> Behind:
    """The n^2 cascade that a fit with ``options`` reads as ``read``."""
    return cascade_behind(
        read,
        mean_n,
        period_s,
        irf_fwhm_s,
        s=s,
        quantum_yield_x=options.quantum_yield_x,
        width_fitted=options.irf_fitted,
    )
