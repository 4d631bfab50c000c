"""The mean counts of a fitted model, component by component."""

from __future__ import annotations

import math

import numpy as np

from photonstream.nodes.inference.decay_model import Floats, bin_shares
from photonstream.nodes.inference.likelihood import (
    BACKGROUND,
    LN_SIGMA,
    LN_TAIL,
    LN_TAU_X,
    LN_TAU_XX,
    MIX,
    PER_CHANNEL,
    PHOTONS,
    SHARED,
    T0,
    TAIL_SHARE,
    Likelihood,
    tail_at,
)
from photonstream.nodes.inference.tail import tailed_shares

# A lifetime that is a bin over this is none: what it gives is the response itself.
_AT_ONCE = 50.0


def at(channel: int, which: int) -> int:
    """Place of one channel's own parameter in the vector."""
    return SHARED + PER_CHANNEL * channel + which


def component_shares(
    likelihood: Likelihood, theta: Floats, channel: int, edges_s: Floats, tau_s: float, delay_s: float = 0.0
) -> Floats:
    """Share of an exponential's photons between ``edges_s``, (edges - 1,), ``delay_s`` later than t0."""
    t0_s = float(theta[at(channel, T0)]) + delay_s
    sigma_s = math.exp(float(theta[at(channel, LN_SIGMA)]))
    tail = tail_at(theta, likelihood.counts.shape[0])
    if tail is not None:
        share, tail_s = float(theta[tail + TAIL_SHARE]), math.exp(float(theta[tail + LN_TAIL]))
        return tailed_shares(edges_s, likelihood.period_s, t0_s, tau_s, sigma_s, share, tail_s)
    return bin_shares(
        edges_s,
        likelihood.period_s,
        t0_s,
        tau_s,
        sigma_s=sigma_s,
        irf=likelihood.irf[channel] if likelihood.irf.size else None,
        irf_bin_s=likelihood.irf_bin_s,
    )


def response_shares(
    likelihood: Likelihood, theta: Floats, channel: int, edges_s: Floats, bin_s: float
) -> Floats:
    """Share of the instrument's response between ``edges_s``: a lifetime far below ``bin_s`` shows nothing else."""
    return component_shares(likelihood, theta, channel, edges_s, bin_s / _AT_ONCE)


def model_means(likelihood: Likelihood, theta: Floats, edges_s: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean counts of slow component, fast component and background between ``edges_s``, each (channels, bins).

    These are the photons that reach the detectors, before what the detectors do to them.
    """
    channels = likelihood.counts.shape[0]
    slow, fast, flat = (np.zeros((channels, edges_s.size - 1)) for _ in range(3))
    q = float(theta[MIX])
    tau_x_s, tau_xx_s = math.exp(float(theta[LN_TAU_X])), math.exp(float(theta[LN_TAU_XX]))
    for c in range(channels):
        photons = theta[at(c, PHOTONS)]
        slow[c] = photons * (1.0 - q) * component_shares(likelihood, theta, c, edges_s, tau_x_s)
        if q != 0.0:
            fast[c] = photons * q * component_shares(likelihood, theta, c, edges_s, tau_xx_s)
        flat[c] = theta[at(c, BACKGROUND)] * np.diff(edges_s) / likelihood.period_s
    return slow, fast, flat


def recorded_means(likelihood: Likelihood, theta: Floats) -> Floats:
    """Mean recorded counts in the bins of the fit, (channels, bins)."""
    slow, fast, flat = model_means(likelihood, theta, likelihood.edges_s)
    return np.asarray(likelihood.efficiency * (slow + fast + flat) + likelihood.extra)
