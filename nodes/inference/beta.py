"""From decay amplitudes to the carrier-multiplication efficiency: formulas, their domains, their errors.

Rate model of one nanocrystal after a pulse: biexciton probability beta, biexciton -> exciton at 1/tau_xx, radiative
rate of the biexciton s times the exciton's. Then A_x exp(-t/tau_x) + A_xx exp(-t/tau_xx) with
A_x = 1 + beta tau_xx/(tau_x - tau_xx) and A_xx = beta (s - tau_x/(tau_x - tau_xx)).
"""

from __future__ import annotations

import math

from photonstream.nodes.inference.estimate import Estimate

ETA_MODEL = "two levels: Poisson absorption, n >= 2 counts as one biexciton"
# Below this the excitons left over from earlier pulses change the pulse-by-pulse populations.
MIN_PERIOD_PER_TAU_X = 4.0
# With more photons per pulse nearly every excited pulse makes several excitons, of which two levels know nothing.
MOST_MEAN_N = 1.0
# Noise, or an <N> that is somewhat wrong, can put eta below 0; further down it has no meaning, nor above 1.
LOWEST_ETA, HIGHEST_ETA = -0.5, 1.0
# Below this <N> the closed form of the slope loses its digits.
_SMALL_MEAN_N = 1e-2


def beta_from_amplitudes(ratio: float, tau_x_s: float, tau_xx_s: float, s: float = 4.0) -> float:
    """beta for an amplitude ratio A_xx/A_x. Raises ValueError where the two lifetimes allow no biexciton."""
    if tau_x_s * (s - 1.0) <= s * tau_xx_s:
        raise ValueError(
            f"tau_x = {tau_x_s:.4g} s is not above s/(s - 1) tau_xx = {s / (s - 1) * tau_xx_s:.4g} s"
        )
    gap_s = tau_x_s - tau_xx_s
    bottom_s = s * gap_s - tau_x_s - ratio * tau_xx_s
    if bottom_s <= 0.0:
        raise ValueError(f"an amplitude ratio of {ratio:.4g} is beyond any beta")
    return ratio * gap_s / bottom_s


def amplitude_ratio(beta: float, tau_x_s: float, tau_xx_s: float, s: float = 4.0) -> float:
    """A_xx/A_x of the rate model."""
    gap_s = tau_x_s - tau_xx_s
    return beta * (s * gap_s - tau_x_s) / (gap_s + beta * tau_xx_s)


def beta_from_photon_share(share: float, ratio: float, s: float) -> float:
    """beta for the fast component's share of the photons and ``ratio`` = tau_xx/tau_x, within the domain."""
    return share / (ratio * (s - 1.0 / (1.0 - ratio) - s * share))


def domain_reason(ratio: float, tau_x: Estimate, tau_xx: Estimate, s: float, quantum_yield_x: float) -> str:
    """Why a fast component cannot be a biexciton with a beta of at most 1; empty where it can.

    ``ratio`` is A_xx/A_x. The physical bound tau_xx <= tau_x/(s Q_x) follows from a radiative rate s k_r.
    """
    x_ns, xx_ns = 1e9 * tau_x.value, 1e9 * tau_xx.value
    mathematical_ns = x_ns * (s - 1.0) / s
    if xx_ns >= mathematical_ns:
        return (
            f"no beta: fast component {xx_ns:.3g} ns is not below (s - 1)/s tau_x = {mathematical_ns:.3g} ns "
            f"(by {xx_ns - mathematical_ns:.2g} ns), so its amplitude says nothing about biexcitons"
        )
    if why := too_slow(tau_x, tau_xx, s, quantum_yield_x):
        return f"no beta: {why}"
    largest = s - 1.0 - s * xx_ns / x_ns
    if ratio > largest:
        return (
            f"no beta: amplitude ratio A_xx/A_x = {ratio:.3g} is above s - 1 - s tau_xx/tau_x = {largest:.3g} "
            f"(by {ratio - largest:.2g}), more than one biexciton per pulse"
        )
    return ""


def too_slow(tau_x: Estimate, tau_xx: Estimate, s: float, quantum_yield_x: float) -> str:
    """By how much tau_xx is above tau_x/(s Q_x), the physical bound; empty where it is not."""
    over_s = tau_xx.value - tau_x.value / (s * quantum_yield_x)
    if over_s <= 0.0:
        return ""
    sigmas = f", {over_s / tau_xx.stderr:.1f} standard errors" if tau_xx.stderr else ""
    return (
        f"fast component {1e9 * tau_xx.value:.3g} ns is above tau_x/(s Q_x) = "
        f"{1e9 * tau_x.value / (s * quantum_yield_x):.3g} ns (by {1e9 * over_s:.2g} ns{sigmas}): too slow for a "
        f"biexciton that radiates s = {s:g} times as fast as the exciton; a charged state, a second emitter, or s or "
        "Q_x is wrong"
    )


def poisson_factor(mean_n: float) -> float:
    """(e^N - 1)/N: one over the share of the excited pulses, at ``mean_n``, that absorb one photon."""
    return math.expm1(mean_n) / mean_n


def poisson_factor_slope(mean_n: float) -> float:
    """Its derivative to N, for small N by its series sum_k N^k (k + 1)/(k + 2)!."""
    if mean_n < _SMALL_MEAN_N:
        return 0.5 + mean_n * (1.0 / 3.0 + mean_n * (1.0 / 8.0 + mean_n * (1.0 / 30.0 + mean_n / 144.0)))
    return (mean_n * math.exp(mean_n) - math.expm1(mean_n)) / mean_n**2


def apparent_beta(eta: float, mean_n: float) -> float:
    """Apparent beta when each absorbed photon multiplies with probability ``eta``, <N> = ``mean_n`` per pulse."""
    return 1.0 - (1.0 - eta) / poisson_factor(mean_n)


def eta_from_beta(beta: float, mean_n: float) -> float:
    """Inverse of ``apparent_beta``."""
    return 1.0 - (1.0 - beta) * poisson_factor(mean_n)


def eta_estimate(
    beta: Estimate, mean_n: float, mean_n_relative_error: float, period_s: float, tau_x_s: float
) -> tuple[Estimate | None, str, str]:
    """CM efficiency per absorbed photon, <N>-corrected; the model's name; the reason where there is none.

    The errors of beta and of <N> are independent and add in quadrature, side by side of the interval of beta.
    """
    if period_s < MIN_PERIOD_PER_TAU_X * tau_x_s:
        return _no_eta(
            f"the pulse period {1e9 * period_s:.4g} ns is shorter than 4 tau_x = {4e9 * tau_x_s:.4g} ns, "
            "excitons are left over from earlier pulses"
        )
    if mean_n > MOST_MEAN_N:
        return _no_eta(
            f"<N> = {mean_n:.3g} is above {MOST_MEAN_N:g}: most excited pulses absorb several photons, of which the "
            "correction counts only two"
        )
    by_n = (1.0 - beta.value) * poisson_factor_slope(mean_n)
    eta = with_errors(
        eta_from_beta(beta.value, mean_n), beta, poisson_factor(mean_n), by_n * mean_n_relative_error * mean_n
    )
    if eta is None:
        return _no_eta(
            f"{eta_from_beta(beta.value, mean_n):.3g} is no probability: at <N> = {mean_n:.3g} absorption of two "
            f"photons alone makes an apparent beta of {apparent_beta(0.0, mean_n):.3g}, the decay shows "
            f"{beta.value:.3g}; <N> or s is wrong"
        )
    return eta, ETA_MODEL, ""


def with_errors(value: float, beta: Estimate, by_beta: float, sigma_n: float) -> Estimate | None:
    """eta of ``value`` with the errors of ``beta``, times the slope ``by_beta``, and ``sigma_n`` from that of <N>.

    None where it is no probability.
    """
    found = beta.carried(value, by_beta, sigma_n)
    spread = found.stderr or 0.0
    if not LOWEST_ETA - spread <= value <= HIGHEST_ETA + spread:
        return None
    return found.below(HIGHEST_ETA)


def _no_eta(why: str) -> tuple[None, str, str]:
    return None, "", f"no eta: {why}"
