"""An exponential decay seen through an instrument and repeated by a pulsed laser: its periodic cumulative.

Everything is written in terms of H(t), the cumulative of one photon's arrival time under endless pulses of
period T: H(t + T) = H(t) + 1, and H(b) - H(a) is the exact share of photons in the bin [a, b). So any bin edges
do, a last partial bin included, and the shares over one period sum to one.

Gaussian IRF of standard deviation sigma, u the time after t0: the convolved exponential has the cumulative
F(u) = Phi(u/sigma) - E(u) with E(u) = exp(sigma^2/(2 tau^2) - u/tau) Phi(u/sigma - sigma/tau), the exponentially
modified Gaussian. Earlier pulses are past their rising edge and add a geometric series of pure tails.

Measured IRF: a histogram taken as a density g constant within each of its bins. The convolution y obeys
tau y' = g - y, so each bin is an exact exponential step, and the cumulative is H = G - tau y.

All functions fill ``cumulative`` and its derivatives to time, tau and sigma, arrays of the shape of ``edges_s``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Beyond this many sigma a Gaussian edge is complete to the last bit of a double.
EDGE_SIGMAS = 8.5
# The wrapped form holds while the rising edge fits well into half a period.
MAX_SIGMA_PER_PERIOD = 0.05

_SQRT_HALF = math.sqrt(0.5)
_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
_INV_SQRT_PI = 1.0 / math.sqrt(math.pi)


@njit(nogil=True, cache=True)
def erfcx(x: float) -> float:
    """exp(x^2) erfc(x) for x >= 0, to about 1e-13 relative."""
    if x < 25.0:
        return math.exp(x * x) * math.erfc(x)
    inverse = 0.5 / (x * x)
    series = 1.0 - inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse * (1.0 - 7.0 * inverse)))
    return _INV_SQRT_PI / x * series


@njit(nogil=True, cache=True)
def modified_tail(u: float, sigma: float, tau: float) -> float:
    """E(u), the part of the convolved exponential that has not decayed yet; never overflows."""
    z = (sigma / tau - u / sigma) * _SQRT_HALF
    if z > 0.0:
        return 0.5 * math.exp(-0.5 * (u / sigma) ** 2) * erfcx(z)
    return 0.5 * math.exp(0.5 * (sigma / tau) ** 2 - u / tau) * math.erfc(z)


@njit(nogil=True, cache=True)
def gaussian_cumulative(
    edges_s: Floats,
    period_s: float,
    t0_s: float,
    sigma_s: float,
    tau_s: float,
    cumulative: Floats,
    by_time: Floats,
    by_tau: Floats,
    by_sigma: Floats,
) -> None:
    """H at each edge for a Gaussian IRF; ``sigma_s`` at most MAX_SIGMA_PER_PERIOD of the period."""
    rate = 1.0 / tau_s
    ratio2_tau = sigma_s * sigma_s * rate
    left = math.exp(-period_s * rate)
    repeats = 1.0 / (1.0 - left)
    repeats_slope = period_s * rate * rate * left * repeats
    shift = 0.5 * ratio2_tau * rate
    complete = EDGE_SIGMAS * sigma_s + ratio2_tau
    for i in range(np.uint64(edges_s.size)):
        time = edges_s[i] - t0_s
        pulse = math.floor(time / period_s + 0.5)
        u = time - pulse * period_s
        if u > complete:
            tail = math.exp(shift - u * rate) * repeats
            cumulative[i] = pulse + 1.0 - tail
            by_time[i] = tail * rate
            by_tau[i] = -tail * ((u - ratio2_tau) * rate * rate + repeats_slope)
            by_sigma[i] = -tail * sigma_s * rate * rate
            continue
        earlier = 0.0
        since = u + period_s
        if since > complete:
            earlier = math.exp(shift - since * rate) * repeats
        value = pulse - earlier
        slope = earlier * rate
        tau_slope = -earlier * ((since - ratio2_tau) * rate * rate + repeats_slope)
        sigma_slope = -earlier * sigma_s * rate * rate
        if u > -EDGE_SIGMAS * sigma_s:
            scaled = u / sigma_s
            pending = modified_tail(u, sigma_s, tau_s)
            bell = _INV_SQRT_2PI * math.exp(-0.5 * scaled * scaled)
            value += 0.5 * math.erfc(-scaled * _SQRT_HALF) - pending
            slope += pending * rate
            tau_slope -= (pending * (u - ratio2_tau) + bell * sigma_s) * rate * rate
            sigma_slope += (bell - pending * sigma_s * rate) * rate
        cumulative[i] = value
        by_time[i] = slope
        by_tau[i] = tau_slope
        by_sigma[i] = sigma_slope


@njit(nogil=True, cache=True)
def measured_cumulative(
    edges_s: Floats,
    period_s: float,
    t0_s: float,
    irf: Floats,
    irf_bin_s: float,
    tau_s: float,
    cumulative: Floats,
    by_time: Floats,
    by_tau: Floats,
    by_sigma: Floats,
) -> None:
    """H at each edge for a measured IRF shifted by ``t0_s``.

    ``irf`` holds the share of each bin, sums to one, and its bins start before the end of the period. Within its
    bins the IRF is a constant density, so shifts by a part of a bin conserve counts.
    """
    size = irf.size
    rate = 1.0 / tau_s
    density = np.zeros(size + 1)
    start = np.zeros(size + 1)
    start_slope = np.zeros(size + 1)
    before = np.zeros(size + 1)
    y = 0.0
    dy = 0.0
    for turn in range(2):
        for j in range(size):
            width = min(irf_bin_s, period_s - j * irf_bin_s)
            if turn == 1:
                start[j] = y
                start_slope[j] = dy
                before[j + 1] = before[j] + irf[j]
            density[j] = irf[j] / width
            kept = math.exp(-width * rate)
            dy = dy * kept + (y - density[j]) * kept * width * rate * rate
            y = y * kept + density[j] * (1.0 - kept)
        if turn == 1:
            start[size] = y
            start_slope[size] = dy
        else:
            rest = max(0.0, period_s - size * irf_bin_s)
            kept = math.exp(-rest * rate)
            dy = dy * kept + y * kept * rest * rate * rate
            y = y * kept
            left = math.exp(-period_s * rate)
            repeats = 1.0 / (1.0 - left)
            dy = dy * repeats + y * left * period_s * rate * rate * repeats * repeats
            y = y * repeats
    for i in range(np.uint64(edges_s.size)):
        time = edges_s[i] - t0_s
        pulse = math.floor(time / period_s)
        within = time - pulse * period_s
        j = min(int(within / irf_bin_s), size)
        step = within - j * irf_bin_s
        kept = math.exp(-step * rate)
        now = start[j] * kept + density[j] * (1.0 - kept)
        now_slope = start_slope[j] * kept + (start[j] - density[j]) * kept * step * rate * rate
        cumulative[i] = pulse + before[j] + density[j] * step - tau_s * now
        by_time[i] = now
        by_tau[i] = -now - tau_s * now_slope
        by_sigma[i] = 0.0


def bin_shares(
    edges_s: Floats,
    period_s: float,
    t0_s: float,
    tau_s: float,
    *,
    sigma_s: float = 0.0,
    irf: Floats | None = None,
    irf_bin_s: float = 0.0,
) -> Floats:
    """Share of a component's photons in each bin between ``edges_s``, shape ``(edges - 1,)``."""
    out = np.empty((4, edges_s.size))
    if irf is None:
        gaussian_cumulative(edges_s, period_s, t0_s, sigma_s, tau_s, out[0], out[1], out[2], out[3])
    else:
        measured_cumulative(edges_s, period_s, t0_s, irf, irf_bin_s, tau_s, out[0], out[1], out[2], out[3])
    return np.diff(out[0])
