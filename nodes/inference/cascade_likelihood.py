"""Likelihood of a decay of the n^2 cascade: as many exponentials as there are excitons, from four parameters.

Without carrier multiplication a decay follows from tau_x, tau_xx, s and <N> (`cascade.expected_decay`). No reading as
two exponentials stands between it and the photons, so what is found is the most likely cascade, and its intervals are
those of its own likelihood.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from photonstream.nodes.inference.cascade import Cascade, expected_decay
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.likelihood import (
    BACKGROUND,
    LN_SIGMA,
    LN_TAIL,
    PER_CHANNEL,
    PHOTONS,
    T0,
    TAIL,
    TAIL_SHARE,
    Likelihood,
    component,
)
from photonstream.nodes.inference.tail import add_tail

# What a decay follows from: ln tau_x, ln tau_xx, s, ln <N>.
SOURCES = 4
# Exponentials with a smaller share of the photons are not seen.
_LEAST_SHARE = 1e-9
# Step of a central difference; what it misses is of the order of its square.
_STEP = 1e-5


class Exponentials(NamedTuple):
    """Lifetimes and shares of the photons, both (n,), with the derivatives of ln lifetime and share, both (4, n)."""

    tau_s: Floats
    share: Floats
    by_ln_tau: Floats
    by_share: Floats


def exponentials(source: Floats, quantum_yield_x: float, period_s: float) -> Exponentials | None:
    """What a cascade decays by; None where ``source`` (ln tau_x, ln tau_xx, s, ln <N>) is no emitter."""
    found = _decay(source, quantum_yield_x, period_s)
    if found is None:
        return None
    ln_tau, share = found
    seen = np.abs(share) > _LEAST_SHARE
    by_ln_tau, by_share = np.empty((SOURCES, int(seen.sum()))), np.empty((SOURCES, int(seen.sum())))
    for k in range(SOURCES):
        step = np.zeros(SOURCES)
        step[k] = _STEP
        more, less = (
            _decay(source + sign * step, quantum_yield_x, period_s) or found for sign in (1.0, -1.0)
        )
        by_ln_tau[k] = (more[0] - less[0])[seen] / (2.0 * _STEP)
        by_share[k] = (more[1] - less[1])[seen] / (2.0 * _STEP)
    return Exponentials(np.exp(ln_tau[seen]), share[seen], by_ln_tau, by_share)


def _decay(source: Floats, quantum_yield_x: float, period_s: float) -> tuple[Floats, Floats] | None:
    """Logarithms of the lifetimes, and shares of the photons."""
    tau_x_s, tau_xx_s, mean_n = (math.exp(float(source[k])) for k in (0, 1, 3))
    cascade = Cascade(tau_x_s, tau_xx_s, quantum_yield_x, float(source[2]))
    if cascade.problem() is not None:
        return None
    rates_hz, amplitudes_hz = expected_decay(cascade, mean_n, 0.0, period_s)
    photons = amplitudes_hz / rates_hz
    return -np.log(rates_hz), photons / photons.sum()


def differentiate(likelihood: Likelihood, parts: Exponentials, local: Floats) -> tuple[float, Floats, Floats]:
    """Half the Poisson deviance, its gradient and the expected information, to the sources and ``local``.

    ``local`` are the parameters of the channels and of a tail as in `likelihood`. Infinite where the mean is not
    positive in some bin.
    """
    channels = likelihood.counts.shape[0]
    gradient = np.zeros(SOURCES + local.size)
    information = np.zeros((gradient.size, gradient.size))
    total = 0.0
    for c in range(channels):
        base = PER_CHANNEL * c
        own = [*range(SOURCES), *range(SOURCES + base, SOURCES + base + PER_CHANNEL)]
        own += range(SOURCES + PER_CHANNEL * channels, gradient.size)
        mean, slopes = _mean(likelihood, parts, local, c)
        if not np.all(mean > 0.0):
            return math.inf, gradient, information
        counts = likelihood.counts[c]
        some = counts > 0.0
        total += float((mean - counts).sum() + (counts[some] * np.log(counts[some] / mean[some])).sum())
        gradient[own] += (slopes * (1.0 - counts / mean)).sum(axis=1)
        # Not a product of matrices: that may run in threads, and sum in another order each time.
        information[np.ix_(own, own)] += np.einsum("ib,jb->ij", slopes / mean, slopes)
    return total, gradient, information


def _mean(likelihood: Likelihood, parts: Exponentials, local: Floats, channel: int) -> tuple[Floats, Floats]:
    """Expected counts of a channel, (bins,), and their slopes to the sources, its own parameters and the tail's."""
    edges_s, period_s = likelihood.edges_s, likelihood.period_s
    irf = likelihood.irf[channel]
    photons, t0_s, ln_sigma, background = local[PER_CHANNEL * channel : PER_CHANNEL * (channel + 1)]
    sigma_s = math.exp(ln_sigma)
    tail = local[PER_CHANNEL * likelihood.counts.shape[0] :]
    place = edges_s, period_s, float(t0_s), sigma_s
    out, pure = np.zeros((PER_CHANNEL + tail.size, edges_s.size)), np.empty((4, edges_s.size))
    tail_share, tail_s = (float(tail[TAIL_SHARE]), math.exp(tail[LN_TAIL])) if tail.size else (0.0, 0.0)
    if tail.size:
        component(*place, irf, likelihood.irf_bin_s, tail_s, pure)
    # Cumulative and its derivatives, summed over the exponentials; then to the sources.
    summed, by_source = np.zeros_like(out), np.zeros((SOURCES, edges_s.size))
    for k, (tau_s, share) in enumerate(zip(parts.tau_s.tolist(), parts.share.tolist(), strict=True)):
        component(*place, irf, likelihood.irf_bin_s, tau_s, out)
        if tail.size:
            add_tail(*place, tau_s, tail_share, tail_s, pure, out)
        summed += share * out
        by_source += parts.by_share[:, k, None] * out[0]
        by_source += share * tau_s * parts.by_ln_tau[:, k, None] * out[2]
    width = np.diff(edges_s) / period_s
    profile, by_time, _, by_sigma, *by_tail = np.diff(summed)
    own = np.empty((PER_CHANNEL, width.size))
    own[PHOTONS], own[T0], own[BACKGROUND] = profile, -photons * by_time, width
    own[LN_SIGMA] = photons * sigma_s * by_sigma
    if by_tail:
        by_tail[LN_TAIL] = by_tail[LN_TAIL] * tail_s
    assert len(by_tail) in (0, TAIL)
    seen = likelihood.efficiency[channel]
    mean = seen * (photons * profile + background * width) + likelihood.extra[channel]
    rest = [photons * row[None] for row in by_tail]
    slopes = np.concatenate([photons * np.diff(by_source), own, *rest])
    return mean, seen * slopes
