"""An instrument response with a tail: a share of a Gaussian is delayed by an exponential wait.

R = (1 - w) G + w G * exp(-t/tail_s)/tail_s, the shape of a silicon diode whose carriers partly diffuse before they are
seen. A decay of lifetime tau seen through the delayed part is a difference of two exponentials, so its cumulative
follows from that of the plain Gaussian, H(tau) of `decay_model`:

    H_R = H(tau) + w tail_s D,    D = [H(tau) - H(tail_s)]/(tau - tail_s)

D is symmetric in the two times and smooth where they meet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from photonstream.nodes.inference.decay_model import Floats, gaussian_cumulative
from photonstream.nodes.inference.irf import GaussianIrf

# A larger share would leave no peak to call the response by.
MOST_TAIL_SHARE = 0.9
# A fitted tail is at most so much of the response and lies in this range of times (and is not shorter than a bin). One
# that is most of it, or shorter, is another description of the edge; a slower one could not be told from a fast
# component.
MOST_FITTED_SHARE = 0.5
SHORTEST_TAIL_S, LONGEST_TAIL_S = 0.05e-9, 1e-9
# A fit begins with these.
START_SHARE, START_TAILS_S = 0.1, (0.3e-9, 0.1e-9)
# Lifetime and tail nearer than this (relative) are moved apart by as much about their mean: the quotient D loses its
# digits there, and by symmetry changes by the square of it only.
_APART = 1e-4


@dataclass(frozen=True, slots=True)
class TailedIrf(GaussianIrf):
    """A Gaussian of ``fwhm_s`` of which ``tail_share`` is delayed by ``tail_s`` on average; all known.

    Raises ValueError for a share outside (0, 0.9] or a time that is none.
    """

    tail_share: float
    tail_s: float

    def __post_init__(self) -> None:
        GaussianIrf.__post_init__(self)
        if not 0.0 < self.tail_share <= MOST_TAIL_SHARE:
            raise ValueError(
                f"an IRF with a share of {self.tail_share:g} in its tail: a share lies above 0 and up to "
                f"{MOST_TAIL_SHARE:g}"
            )
        if not (self.tail_s > 0.0 and math.isfinite(self.tail_s)):
            raise ValueError(f"an IRF tail of {self.tail_s} s is not a time")


@dataclass(frozen=True, slots=True)
class FittedTail:
    """The same with everything fitted: the width of each channel, share and time of the tail for all together."""


@njit(nogil=True, cache=True)
def add_tail(
    edges_s: Floats,
    period_s: float,
    t0_s: float,
    sigma_s: float,
    tau_s: float,
    share: float,
    tail_s: float,
    pure: Floats,
    out: Floats,
) -> None:
    """From H(tau) to H_R, in place.

    ``out``, (6, edges): on entry its first rows are H(tau) and the derivatives to time, tau and sigma; on return
    those of H_R, then its derivatives to ``share`` and ``tail_s``. ``pure``, (4, edges): the same of H(tail_s).
    """
    apart = tau_s - tail_s
    high, low = out, pure
    near = abs(apart) < _APART * tau_s
    if near:
        middle = 0.5 * (tau_s + tail_s)
        high, low = np.empty((4, edges_s.size)), np.empty((4, edges_s.size))
        above, below = middle * (1.0 + 0.5 * _APART), middle * (1.0 - 0.5 * _APART)
        gaussian_cumulative(edges_s, period_s, t0_s, sigma_s, above, high[0], high[1], high[2], high[3])
        gaussian_cumulative(edges_s, period_s, t0_s, sigma_s, below, low[0], low[1], low[2], low[3])
        apart = above - below
    weight = share * tail_s
    for i in range(np.uint64(edges_s.size)):
        quotient = (high[0, i] - low[0, i]) / apart
        by_tau = (high[2, i] - quotient) / apart
        by_tail = (quotient - low[2, i]) / apart
        if near:
            by_tau = by_tail = 0.5 * (by_tau + by_tail)
        by_time = (high[1, i] - low[1, i]) / apart
        by_sigma = (high[3, i] - low[3, i]) / apart
        out[0, i] += weight * quotient
        out[1, i] += weight * by_time
        out[2, i] += weight * by_tau
        out[3, i] += weight * by_sigma
        out[4, i] = tail_s * quotient
        out[5, i] = share * quotient + weight * by_tail


def tailed_cumulative(
    edges_s: Floats, period_s: float, t0_s: float, tau_s: float, sigma_s: float, share: float, tail_s: float
) -> Floats:
    """H_R and its derivatives to time, tau, sigma, share and tail time at each edge, (6, edges)."""
    out, pure = np.empty((6, edges_s.size)), np.empty((4, edges_s.size))
    for tau, part in ((tau_s, out), (tail_s, pure)):
        gaussian_cumulative(edges_s, period_s, t0_s, sigma_s, tau, part[0], part[1], part[2], part[3])
    add_tail(edges_s, period_s, t0_s, sigma_s, tau_s, share, tail_s, pure, out)
    return out


def tailed_shares(
    edges_s: Floats, period_s: float, t0_s: float, tau_s: float, sigma_s: float, share: float, tail_s: float
) -> Floats:
    """Share of a component's photons in each bin between ``edges_s``, (edges - 1,): `bin_shares` with a tail."""
    return np.diff(tailed_cumulative(edges_s, period_s, t0_s, tau_s, sigma_s, share, tail_s)[0])
