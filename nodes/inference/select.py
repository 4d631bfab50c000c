"""Which model the data ask for: none, one or two exponentials; and why."""

from __future__ import annotations

from collections.abc import Mapping

from photonstream.nodes.inference.estimate import Estimate

# About the 99 % point of 2 ln(L_bi/L_mono) on single-exponential data, with tau_x free from half the IRF's width to
# 0.8 tau_x and a share of at least 0. Simulated by bench/calibrate_mono_bi.py (its table holds the shares above): from
# 3e3 to 1e6 photons it lies between 6.5 and 9.2 in one detector and 7.6 and 10.2 in two, and 10 is exceeded in at most
# 1 % of runs.
MONO_BI_THRESHOLD = 10.0
# The same of few photons: in two detectors the 99 % points are 9.6 and 11.4 at 300 and 1000 photons.
MONO_BI_THRESHOLD_FEW, FEW_PHOTONS = 12.0, 3_000
# The same where a tail of the response is fitted beside. With a response that has none, the 99 % points were 8.3, 9.2
# and 8.9 to 11.1 at 1e4, 1e5 and 1e6 photons.
MONO_BI_THRESHOLD_TAIL = 12.0
# One component is a finding only where the data exclude a beta as large as this at 95 %; before that they are too few.
TELLING_BETA = 0.1
# Twice the log-likelihood gained by a pulsed decay (lifetime, t0, width, photons) over a flat background. Searching
# t0 and lifetime over the whole period reaches 25 by chance in one of a thousand flat histograms (same simulation).
PULSED_THRESHOLD = 30.0
# Twice the log-likelihood gained by a free lifetime over the shortest one the model takes.
LIFETIME_THRESHOLD = 12.0
# A Gaussian of unknown width takes up the shape of the instrument only down to about this lifetime over its width;
# with a known instrument a lifetime can be shorter.
SHORTEST_PER_FITTED_FWHM = 1.0
SHORTEST_PER_KNOWN_FWHM = 0.1
# With a fitted Gaussian, photons with a lifetime below this many of its widths may be scattered light.
SCATTER_PER_FITTED_FWHM = 2.0
# A model that puts a larger share of the photons in the wrong place does not describe the decay.
GROSS_MISFIT = 0.10
# Share misplaced that chance reaches once in ten thousand histograms: X^2 about 4 sd above its expectation.
SIGNIFICANT_SHARE_SD = 2.0
SIGNIFICANT_Z = 4.0
SIGNIFICANT_LOCAL_Z = 5.0
# Standard errors to a one-sided limit at 95 %.
ONE_SIDED_95 = 1.645
# How the reason begins where nothing speaks for an emitter.
NO_EMITTER = "no emitter: "


def mono_bi_threshold(photons: int, *, tail_fitted: bool) -> float:
    """What the likelihood ratio must exceed for two exponentials."""
    threshold = MONO_BI_THRESHOLD_TAIL if tail_fitted else MONO_BI_THRESHOLD
    return max(threshold, MONO_BI_THRESHOLD_FEW) if photons < FEW_PHOTONS else threshold


def too_few(beta_signed: Estimate | None, upper95: float | None) -> bool:
    """Whether one component suffices only because there are too few photons to see a second.

    Without the limit of a cold fit that of the Fisher information is taken. What has neither is not judged.
    """
    if upper95 is None and beta_signed is not None and beta_signed.stderr is not None:
        upper95 = max(beta_signed.value, 0.0) + ONE_SIDED_95 * beta_signed.stderr
    return upper95 is not None and upper95 > TELLING_BETA


def flat_reason(gain: float, photons: int) -> str:
    """Why the photons show no pulsed emission; empty where they do."""
    if gain >= PULSED_THRESHOLD:
        return ""
    return (
        f"no pulsed emission: a flat background explains the {photons} photons as well "
        f"(2 ln L gain of a decay {gain:.1f}, {PULSED_THRESHOLD:g} needed)"
    )


def instrument_reason(tau_x_s: float, fwhm_s: float, known_irf: bool, gain: float) -> str:
    """Why the slowest lifetime cannot be told from the instrument; empty where it can.

    ``gain`` is twice the log-likelihood gained over the shortest lifetime the model takes.
    """
    limit_s = fwhm_s * (SHORTEST_PER_KNOWN_FWHM if known_irf else SHORTEST_PER_FITTED_FWHM)
    if tau_x_s >= limit_s and gain >= LIFETIME_THRESHOLD:
        return ""
    width = "known" if known_irf else "fitted"
    return (
        f"{NO_EMITTER}the decay cannot be told from the instrument: lifetime {1e9 * tau_x_s:.3g} ns at a {width} "
        f"response of {1e9 * fwhm_s:.3g} ns full width; scattered light or a lifetime too short to measure"
    )


def endless_reason(tau_x_s: float, longest_s: float, period_s: float) -> str:
    """Why the slowest lifetime is too long for the pulse period; empty where it is not."""
    if tau_x_s < 0.999 * longest_s:
        return ""
    return (
        f"lifetime not resolved: longer than {longest_s / period_s:g} pulse periods, flat between two pulses"
    )


def misfit(goodness: Mapping[str, float | None]) -> tuple[bool, str]:
    """Whether the best model misses grossly, and what to say of a misfit that is beyond chance."""
    z, runs, local, share, sd = (
        goodness[name] or 0.0 for name in ("z", "runs_z", "local_z", "misplaced_share", "misplaced_sd")
    )
    significant = (
        share > SIGNIFICANT_SHARE_SD * sd or max(z, -runs) > SIGNIFICANT_Z or local > SIGNIFICANT_LOCAL_Z
    )
    chi2 = goodness["reduced_chi2"] or 0.0
    text = (
        f"the model misses the data beyond chance, up to {100.0 * share:.2g} % of the photons misplaced (reduced "
        f"chi-squared {chi2:.3g}, deviance {z:.1f} sd above its expectation, worst stretch {local:.1f} sd)"
    )
    return significant and share > GROSS_MISFIT, text if significant else ""


def scatter_reason(tau_xx_s: float, photon_share_xx: float, fwhm_s: float, known_irf: bool) -> str:
    """Why there is no emitter to speak of: most pulsed photons come about as fast as the fitted instrument response.

    Scattered light seen through a real, skewed response fits a Gaussian and such a component.
    """
    if known_irf or tau_xx_s > SCATTER_PER_FITTED_FWHM * fwhm_s or photon_share_xx <= 0.5:
        return ""
    percent = 100.0 * photon_share_xx
    return (
        f"{NO_EMITTER}{percent:.0f} % of the pulsed photons come within the instrument response: their lifetime "
        f"({1e9 * tau_xx_s:.3g} ns) is about its fitted width ({1e9 * fwhm_s:.3g} ns), so that they may be scattered "
        "light or its tail: give a measured IRF"
    )
