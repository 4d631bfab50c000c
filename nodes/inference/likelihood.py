"""Extended Poisson likelihood of decay histograms, its gradient and Fisher information.

Parameters, one flat float64 vector: ``ln tau_x, ln tau_xx, mix``, then for each channel ``photons per period, t0,
ln sigma, background photons per period`` (seconds; photons summed over the whole measurement). ``mix`` is the
fast component's share q of the photons, or beta when ``as_beta``: with rho = tau_xx/tau_x the rate model gives
q = beta rho (s - 1/(1 - rho)) / (1 + s beta rho). Either way 0 is a single exponential. Where the response has a tail
(`tail`), its share and the ln of its time end the vector, for all channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from photonstream.nodes.inference.decay_model import Floats, gaussian_cumulative, measured_cumulative
from photonstream.nodes.inference.tail import add_tail

SHARED = 3
PER_CHANNEL = 4
LN_TAU_X, LN_TAU_XX, MIX = 0, 1, 2
PHOTONS, T0, LN_SIGMA, BACKGROUND = 0, 1, 2, 3
# The tail's two, behind the channels.
TAIL = 2
TAIL_SHARE, LN_TAIL = 0, 1


def tail_at(theta: Floats, channels: int) -> int | None:
    """Where the tail's parameters begin in ``theta``; None without a tail."""
    end = SHARED + PER_CHANNEL * channels
    return end if theta.size > end else None


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What the likelihood needs beside the parameters.

    ``counts``: float64 (channels, bins). A bin whose photons have the mean mu records ``efficiency * mu + extra``,
    both of the shape of ``counts``; one and zero for an ideal detector. ``edges_s``: (bins + 1,). ``irf``: shares,
    (channels, IRF bins), with no IRF bins for a Gaussian. ``max_ratio`` bounds tau_xx/tau_x.
    """

    counts: Floats
    efficiency: Floats
    extra: Floats
    edges_s: Floats
    period_s: float
    irf: Floats
    irf_bin_s: float
    s: float
    max_ratio: float

    @property
    def bin_s(self) -> float:
        """Width of the narrowest bin; the last one may be cut by the period."""
        widths = np.diff(self.edges_s)
        return float(widths[: max(1, widths.size - 1)].min())


@njit(nogil=True, cache=True)
def photon_share(mix: float, rho: float, s: float, as_beta: bool) -> tuple[float, float, float]:
    """q and its derivatives to ``mix`` and to rho."""
    if not as_beta:
        return mix, 1.0, 0.0
    gain = s - 1.0 / (1.0 - rho)
    scale = 1.0 / (1.0 + s * mix * rho)
    q = mix * rho * gain * scale
    by_mix = rho * gain * scale * scale
    by_rho = mix * scale * (gain - rho / (1.0 - rho) ** 2) - q * s * mix * scale
    return q, by_mix, by_rho


@njit(nogil=True, cache=True)
def component(
    edges_s: Floats,
    period_s: float,
    t0_s: float,
    sigma_s: float,
    irf: Floats,
    irf_bin_s: float,
    tau_s: float,
    out: Floats,
) -> None:
    if irf.size:
        measured_cumulative(edges_s, period_s, t0_s, irf, irf_bin_s, tau_s, out[0], out[1], out[2], out[3])
    else:
        gaussian_cumulative(edges_s, period_s, t0_s, sigma_s, tau_s, out[0], out[1], out[2], out[3])


@njit(nogil=True, cache=True)
def _place(i: int, base: int, ends: int) -> int:
    """Where the i-th parameter that a channel depends on stands in the vector."""
    if i < SHARED:
        return i
    return base + i - SHARED if i < SHARED + PER_CHANNEL else ends + i - SHARED - PER_CHANNEL


@njit(nogil=True, cache=True)
def evaluate(
    theta: Floats,
    as_beta: bool,
    single: bool,
    counts: Floats,
    efficiency: Floats,
    extra: Floats,
    edges_s: Floats,
    period_s: float,
    irf: Floats,
    irf_bin_s: float,
    s: float,
    gradient: Floats,
    information: Floats,
) -> float:
    """Half the Poisson deviance, sum(mu - n + n ln(n/mu)); fills its gradient and the expected information.

    Infinite where the mean is not positive in some bin; gradient and information mean nothing then. ``single``
    says that mix stays 0, which spares the fast component.
    """
    channels, bins = counts.shape
    tau_x = math.exp(theta[LN_TAU_X])
    tau_xx = math.exp(theta[LN_TAU_XX])
    rho = tau_xx / tau_x
    q, q_mix, q_rho = photon_share(theta[MIX], rho, s, as_beta)
    size = SHARED + PER_CHANNEL
    ends = SHARED + PER_CHANNEL * channels
    tailed = theta.size > ends
    tail_share = theta[ends + TAIL_SHARE] if tailed else 0.0
    tail = math.exp(theta[ends + LN_TAIL]) if tailed else 0.0
    parts = 6 if tailed else 4
    slow = np.empty((parts, edges_s.size))
    fast = np.empty((parts, edges_s.size))
    pure = np.empty((4, edges_s.size if tailed else 0))
    d = np.empty(size + TAIL)
    local_gradient = np.empty(size + TAIL)
    local = np.empty((size + TAIL, size + TAIL))
    gradient[:] = 0.0
    information[:, :] = 0.0
    total = 0.0
    for c in range(channels):
        base = SHARED + PER_CHANNEL * c
        photons = theta[base + PHOTONS]
        t0 = theta[base + T0]
        sigma = math.exp(theta[base + LN_SIGMA])
        background = theta[base + BACKGROUND] / period_s
        component(edges_s, period_s, t0, sigma, irf[c], irf_bin_s, tau_x, slow)
        if tailed:
            component(edges_s, period_s, t0, sigma, irf[c], irf_bin_s, tail, pure)
            add_tail(edges_s, period_s, t0, sigma, tau_x, tail_share, tail, pure, slow)
        if single:
            fast[:, :] = slow
        else:
            component(edges_s, period_s, t0, sigma, irf[c], irf_bin_s, tau_xx, fast)
            if tailed:
                add_tail(edges_s, period_s, t0, sigma, tau_xx, tail_share, tail, pure, fast)
        local_gradient[:] = 0.0
        local[:, :] = 0.0
        for b in range(np.uint64(bins)):
            width = edges_s[b + 1] - edges_s[b]
            p_slow = slow[0, b + 1] - slow[0, b]
            p_fast = fast[0, b + 1] - fast[0, b]
            share = (1.0 - q) * p_slow + q * p_fast
            seen = efficiency[c, b]
            mean = seen * (photons * share + background * width) + extra[c, b]
            if not mean > 0.0:
                return math.inf
            n = counts[c, b]
            excess = 1.0 - n / mean
            total += mean - n
            if n > 0.0:
                total += n * math.log(n / mean)
            contrast = photons * (p_fast - p_slow)
            d[0] = photons * (1.0 - q) * tau_x * (slow[2, b + 1] - slow[2, b]) - contrast * q_rho * rho
            d[1] = photons * q * tau_xx * (fast[2, b + 1] - fast[2, b]) + contrast * q_rho * rho
            d[2] = contrast * q_mix
            d[3] = share
            d[4] = -photons * ((1.0 - q) * (slow[1, b + 1] - slow[1, b]) + q * (fast[1, b + 1] - fast[1, b]))
            d[5] = (
                photons
                * sigma
                * ((1.0 - q) * (slow[3, b + 1] - slow[3, b]) + q * (fast[3, b + 1] - fast[3, b]))
            )
            d[6] = width / period_s
            weight = 1.0 / mean
            for i in range(size):
                d[i] *= seen
                local_gradient[i] += excess * d[i]
                weighted = weight * d[i]
                for k in range(i + 1):
                    local[i, k] += weighted * d[k]
            if tailed:
                for j in range(TAIL):
                    i = size + j
                    part = (1.0 - q) * (slow[4 + j, b + 1] - slow[4 + j, b])
                    part += q * (fast[4 + j, b + 1] - fast[4 + j, b])
                    d[i] = seen * photons * part * (tail if j == LN_TAIL else 1.0)
                    local_gradient[i] += excess * d[i]
                    weighted = weight * d[i]
                    for k in range(i + 1):
                        local[i, k] += weighted * d[k]
        for i in range(size + TAIL if tailed else size):
            row = _place(i, base, ends)
            gradient[row] += local_gradient[i]
            for k in range(i + 1):
                column = _place(k, base, ends)
                information[row, column] += local[i, k]
                if row != column:
                    information[column, row] += local[i, k]
    return total


def differentiate(likelihood: Likelihood, theta: Floats, gradient: Floats, information: Floats) -> float:
    """Half the Poisson deviance of a double exponential at ``theta``; fills its gradient and information."""
    return evaluate(
        theta,
        False,
        False,
        likelihood.counts,
        likelihood.efficiency,
        likelihood.extra,
        likelihood.edges_s,
        likelihood.period_s,
        likelihood.irf,
        likelihood.irf_bin_s,
        likelihood.s,
        gradient,
        information,
    )
