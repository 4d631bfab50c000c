"""Finding the best fit of a constant, a single and a double exponential, from several starts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_data import DecayData, FitOptions, check_irf_width, max_sigma_s
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.irf import (
    FWHM_PER_SIGMA,
    GaussianIrf,
    MeasuredIrf,
    fwhm_s,
    shares_on_period,
)
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
    differentiate,
    tail_at,
)
from photonstream.nodes.inference.scoring import Box, Optimum, covariance, inverse, maximise
from photonstream.nodes.inference.start import guess, rising_edge
from photonstream.nodes.inference.tail import (
    LONGEST_TAIL_S,
    MOST_FITTED_SHARE,
    SHORTEST_TAIL_S,
    START_SHARE,
    START_TAILS_S,
    FittedTail,
    TailedIrf,
)

# A "double" exponential whose lifetimes lie closer than this is a single one for any data.
MAX_RATIO = 0.8
MAX_TAU_PERIODS = 4.0
# In the search a fitted IRF is at least this many bins wide in sigma: with a steeper edge the likelihood of t0 is a
# chain of kinks. From there it may become as narrow as the least: a response of a tenth of a bin that is held wider
# puts beta three errors too high at 1e6 photons.
MIN_SIGMA_BINS, LEAST_SIGMA_BINS = 0.2, 0.05
_FEW_STEPS = 10
_IRF_COUNTS = 1e6
# A width below the least of the search is one that the data want: half the deviance is lower by this.
_NARROWED = 1.0
# A width of less than so many bins may be none that the data tell: they do where half the deviance is higher by this
# without a width (95 %). Else ln sigma is known as by a range from the least to that.
_NARROW_BINS, _UNTOLD = 1.0, 1.92
_UNTOLD_VARIANCE = math.log(_NARROW_BINS / LEAST_SIGMA_BINS) ** 2 / 12.0
# Where t0 of a narrow response is sought, in bins from that of a wider one.
_BESIDE_BINS = (-0.3, -0.15, 0.15, 0.3)
# A single exponential found from the double one replaces the first when its half deviance is lower by this.
_FREED = 1e-3
_ROUNDS = 3
# Lifetimes at which a fast component is tried: how many, the highest and the likely one over the single lifetime, and
# the largest share to begin with.
_FAST_TRIED, _FAST_HIGHEST, _FAST_LIKELY, _FAST_MOST = 6, 0.5, 0.08, 0.5
# Starts of the double exponential: fast over single lifetime, share of the photons, slow over single lifetime.
_DOUBLE_STARTS = (
    (0.02, 0.05, 1.02),
    (0.06, 0.05, 1.05),
    (0.06, 0.30, 1.40),
    (0.15, 0.10, 1.10),
    (0.30, 0.20, 1.20),
    (0.50, 0.30, 1.30),
    (0.50, 0.60, 2.00),
    (0.70, 0.85, 4.00),
)


def likelihood_of(
    data: DecayData,
    options: FitOptions,
    channels: Iterable[int],
    starts: NDArray[np.int64] | None = None,
) -> Likelihood:
    """The likelihood of the named channels with ideal detectors, in joined bins that begin at ``starts``.

    Raises ValueError for an IRF that does not fit.
    """
    rows = list(channels)
    irf = np.zeros((len(rows), 0))
    irf_bin_s = 0.0
    if isinstance(options.irf, MeasuredIrf):
        irf, irf_bin_s = shares_on_period(options.irf, [data.numbers[r] for r in rows], data.pulse_period_s)
    elif isinstance(options.irf, GaussianIrf):
        check_irf_width(options.irf, data.pulse_period_s)
    if starts is None:
        starts = data.fit_starts
    counts = np.ascontiguousarray(data.joined(starts)[rows])
    return Likelihood(
        counts=counts,
        efficiency=np.ones_like(counts),
        extra=np.zeros_like(counts),
        edges_s=data.edges_s(starts),
        period_s=data.pulse_period_s,
        irf=np.ascontiguousarray(irf),
        irf_bin_s=irf_bin_s,
        s=options.s,
        max_ratio=MAX_RATIO,
    )


def box_of(likelihood: Likelihood, options: FitOptions, theta: Floats) -> Box:
    """Bounds around a start, for a single exponential (the fast component is not free).

    A fitted width that starts below the least of the search comes from `narrowed`, and may stay there.
    """
    period_s, channels = likelihood.period_s, likelihood.counts.shape[0]
    bin_s = likelihood.bin_s
    photons = likelihood.counts.sum(axis=1)
    lower, upper = np.full(theta.size, -np.inf), np.full(theta.size, np.inf)
    free = np.ones(theta.size, dtype=np.bool_)
    lower[LN_TAU_X] = math.log(max(0.1 * bin_s, 1e-5 * period_s))
    upper[LN_TAU_X] = math.log(MAX_TAU_PERIODS * period_s)
    lower[LN_TAU_XX], upper[LN_TAU_XX] = lower[LN_TAU_X], upper[LN_TAU_X]
    lower[MIX], upper[MIX] = 0.0, 0.98
    free[[LN_TAU_XX, MIX]] = False
    for c in range(channels):
        base = SHARED + PER_CHANNEL * c
        lower[base + PHOTONS], upper[base + PHOTONS] = 1e-3, 1e3 * photons[c] + 10.0
        lower[base + BACKGROUND], upper[base + BACKGROUND] = 1e-3, 1e3 * photons[c] + 10.0
        lower[base + T0] = theta[base + T0] - 0.5 * period_s
        upper[base + T0] = theta[base + T0] + 0.5 * period_s
        lower[base + LN_SIGMA] = least = _least_ln_sigma(likelihood, MIN_SIGMA_BINS)
        if theta[base + LN_SIGMA] < least:
            lower[base + LN_SIGMA] = _least_ln_sigma(likelihood, LEAST_SIGMA_BINS)
        upper[base + LN_SIGMA] = math.log(max_sigma_s(period_s))
        free[base + LN_SIGMA] = options.irf_fitted
    tail = tail_at(theta, channels)
    if tail is not None:
        fitted = isinstance(options.irf, FittedTail)
        free[tail:] = fitted
        if fitted:
            lower[tail + TAIL_SHARE], upper[tail + TAIL_SHARE] = 0.0, MOST_FITTED_SHARE
            shortest_s = max(SHORTEST_TAIL_S, bin_s)
            lower[tail + LN_TAIL] = math.log(shortest_s)
            upper[tail + LN_TAIL] = math.log(max(LONGEST_TAIL_S, 2.0 * shortest_s))
    return Box(lower, upper, free)


def _least_ln_sigma(likelihood: Likelihood, bins: float) -> float:
    return math.log(min(bins * likelihood.bin_s, 0.1 * max_sigma_s(likelihood.period_s)))


def narrowed(likelihood: Likelihood, optimum: Optimum, box: Box, *, anew: bool = True) -> tuple[Optimum, Box]:
    """The optimum with widths of less than a bin free to be narrower than the search lets them be.

    Those that the data do not tell from none at all are marked so in the box: the curvature there means nothing.
    ``anew`` false, for a live fit between two searches: none is let go, and the curvature is asked what it tells.
    """
    bases = [SHARED + PER_CHANNEL * c for c in range(likelihood.counts.shape[0])]
    narrow = math.log(_NARROW_BINS * likelihood.bin_s)
    held = [base for base in bases if box.free[base + LN_SIGMA] and optimum.theta[base + LN_SIGMA] < narrow]
    if not held:
        return optimum, box
    known, widths = np.zeros(optimum.theta.size), np.array(held) + LN_SIGMA
    if not anew:
        variances = covariance(optimum, box)[widths, widths]
        told = (variances > 0.0) & (variances < _UNTOLD_VARIANCE)
        known[widths[~told]] = 1.0 / _UNTOLD_VARIANCE
        return optimum, replace(box, known=known)
    lower, found = box.lower.copy(), optimum
    lower[widths] = _least_ln_sigma(likelihood, LEAST_SIGMA_BINS)
    wider = replace(box, lower=lower)
    for base in held:
        found = best_of(likelihood, [found.theta, *_narrower(likelihood, found.theta, base)], wider)
    if found.half_deviance < optimum.half_deviance - _NARROWED:
        optimum, box = found, wider
    untold = [base + LN_SIGMA for base in held if not _told(likelihood, optimum, wider, base)]
    known[untold] = 1.0 / _UNTOLD_VARIANCE
    return optimum, replace(box, known=known)


def _narrower(likelihood: Likelihood, theta: Floats, base: int) -> list[Floats]:
    """``theta`` with a narrow response of a channel, whose t0 may stand on the other side of an edge of a bin."""
    found = []
    for bins in _BESIDE_BINS:
        moved = theta.copy()
        moved[base + T0] += bins * likelihood.bin_s
        moved[base + LN_SIGMA] = _least_ln_sigma(likelihood, 0.5 * MIN_SIGMA_BINS)
        found.append(moved)
    return found


def _told(likelihood: Likelihood, optimum: Optimum, box: Box, base: int) -> bool:
    """Whether the data tell the width of a channel's response from none at all."""
    free = box.free.copy()
    free[base + LN_SIGMA] = False
    starts = [optimum.theta.copy(), *_narrower(likelihood, optimum.theta, base)]
    for theta in starts:
        theta[base + LN_SIGMA] = box.lower[base + LN_SIGMA]
    none = best_of(likelihood, starts, replace(box, free=free))
    return none.half_deviance > optimum.half_deviance + _UNTOLD


def constant_half_deviance(likelihood: Likelihood) -> float:
    """Half the Poisson deviance of a flat background, its level fitted to each channel."""
    counts, widths = likelihood.counts, np.diff(likelihood.edges_s)
    mean = np.outer(counts.sum(axis=1), widths / widths.sum())
    seen = counts > 0.0
    return float((counts[seen] * np.log(counts[seen] / mean[seen])).sum())


def best_of(
    likelihood: Likelihood, starts: Iterable[Floats], box: Box, *, as_beta: bool = False, keep: int = 2
) -> Optimum:
    """The best maximum: a few steps from every start, then the ``keep`` best to the end."""
    tried = sorted(
        (maximise(likelihood, theta, box, as_beta=as_beta, max_steps=_FEW_STEPS) for theta in starts),
        key=lambda optimum: optimum.half_deviance,
    )
    ends = (o if o.converged else maximise(likelihood, o.theta, box, as_beta=as_beta) for o in tried[:keep])
    return min(ends, key=lambda optimum: optimum.half_deviance)


def _single_starts(likelihood: Likelihood, options: FitOptions) -> list[Floats]:
    """Starts of a single exponential in one channel."""
    bin_s = likelihood.bin_s
    found = guess(likelihood.counts[0], bin_s)
    t0_s = found.t0_s
    sigmas_s = [max(0.5 * bin_s, 0.25 * found.edge_s), max(bin_s, found.edge_s)]
    offsets_s = [0.0]
    if isinstance(options.irf, GaussianIrf):
        sigmas_s = [options.irf.fwhm_s / FWHM_PER_SIGMA]
        offsets_s = [0.0, found.edge_s]
    elif isinstance(options.irf, MeasuredIrf):
        # The shares keep nothing of how many photons they were: the edge is sought as among very many.
        edge, _ = rising_edge(_IRF_COUNTS * likelihood.irf[0])
        t0_s -= edge * likelihood.irf_bin_s
        sigmas_s = [1.0]
        step_s = max(found.edge_s, 0.5 * fwhm_s(likelihood.irf[0], likelihood.irf_bin_s))
        offsets_s = [-step_s, 0.0, step_s]
    else:
        sigmas_s = [min(sigma_s, 0.5 * max_sigma_s(likelihood.period_s)) for sigma_s in sigmas_s]
    return [
        np.array(
            [
                math.log(tau_s),
                math.log(0.1 * tau_s),
                0.0,
                max(found.photons, 1.0),
                t0_s + offset_s,
                math.log(sigma_s),
                max(found.background, 1.0),
                *tail,
            ]
        )
        for tail in _tail_starts(options)
        for tau_s in (found.tau_s, 0.2 * found.tau_s)
        for sigma_s in sigmas_s
        for offset_s in offsets_s
    ]


def _tail_starts(options: FitOptions) -> list[tuple[float, ...]]:
    """The parameters of a tail from which a fit may start; none of a response without one."""
    if isinstance(options.irf, TailedIrf):
        return [(options.irf.tail_share, math.log(options.irf.tail_s))]
    if isinstance(options.irf, FittedTail):
        return [(START_SHARE, math.log(tail_s)) for tail_s in START_TAILS_S]
    return [()]


def fit_channel(likelihood: Likelihood, options: FitOptions) -> Optimum:
    """Best single exponential of the only channel of ``likelihood``."""
    starts = _single_starts(likelihood, options)
    return best_of(likelihood, starts, box_of(likelihood, options, starts[0]))


def joint_start(fits: list[Optimum]) -> Floats:
    """One parameter vector from the fits of single channels; tau_x and a tail are those of the brightest."""
    brightest = max(fits, key=lambda fit: float(fit.theta[SHARED + PHOTONS]))
    own = slice(SHARED, SHARED + PER_CHANNEL)
    return np.concatenate(
        [brightest.theta[:SHARED], *(fit.theta[own] for fit in fits), brightest.theta[SHARED + PER_CHANNEL :]]
    )


def double_box(likelihood: Likelihood, box: Box, single: Floats, irf_fwhm_s: float) -> Box:
    """The box of a double exponential: tau_xx from half the IRF's width or one bin to 0.8 tau_x, share >= 0."""
    bin_s = likelihood.bin_s
    lower, free = box.lower.copy(), box.free.copy()
    # A strong fast component can pass for a wide IRF in the single fit, so its width may not shut the range.
    shortest_s = min(max(bin_s, 0.5 * irf_fwhm_s), 0.1 * math.exp(float(single[LN_TAU_X])))
    lower[LN_TAU_XX] = max(float(lower[LN_TAU_XX]), math.log(shortest_s))
    free[[LN_TAU_XX, MIX]] = True
    return Box(lower, box.upper, free)


def fit_double(likelihood: Likelihood, box: Box, single: Optimum) -> Optimum:
    """Best double exponential, from starts around the single one."""
    starts = []
    for fast, share, slow in _DOUBLE_STARTS:
        theta = single.theta.copy()
        theta[LN_TAU_X] += math.log(slow)
        theta[LN_TAU_XX] = max(single.theta[LN_TAU_X] + math.log(fast), box.lower[LN_TAU_XX])
        theta[MIX] = share
        tail = tail_at(theta, likelihood.counts.shape[0])
        if tail is not None and box.free[tail]:
            # A strong fast component leaves the single exponential no tail.
            theta[tail:] = START_SHARE, math.log(START_TAILS_S[0])
        starts.append(theta)
    return best_of(likelihood, starts, box, keep=3)


def add_fast(likelihood: Likelihood, box: Box, double_box: Box, single: Optimum) -> Optimum:
    """The double exponential that grows out of the ``single`` one, from the lifetime that promises most.

    For each of a few tau_xx the slope of the log-likelihood at a share of zero, all other parameters moving along,
    tells the gain and the share to expect (the efficient score; Lindsay, Ann. Statist. 11, 86, 1983: a mixture that
    is not the best has such a slope above zero). Where there is none, the share stays zero.
    """
    moved = single.theta.copy()
    gradient, information = np.zeros(moved.size), np.zeros((moved.size, moved.size))
    # With a share of zero nothing but the share itself depends on tau_xx.
    inside = box.free & (single.theta > box.lower) & (single.theta < box.upper)
    errors = inverse(single.information, inside)
    highest = single.theta[LN_TAU_X] + math.log(_FAST_HIGHEST)
    lowest = min(double_box.lower[LN_TAU_XX], highest)
    best, promised = single.theta.copy(), 0.0
    best[LN_TAU_XX] = max(lowest, single.theta[LN_TAU_X] + math.log(_FAST_LIKELY))
    for ln_tau in np.linspace(lowest, highest, _FAST_TRIED):
        moved[LN_TAU_XX] = ln_tau
        differentiate(likelihood, moved, gradient, information)
        along = errors @ information[:, MIX]
        slope = gradient[MIX] - float(along @ gradient)
        known = information[MIX, MIX] - float(along @ information[:, MIX])
        if slope < 0.0 and known > 0.0 and slope * slope / known > promised:
            promised = slope * slope / known
            share = min(-slope / known, _FAST_MOST)
            best = moved - along * share
            best[MIX] = share
    return maximise(likelihood, best, double_box)


def fit_pair(likelihood: Likelihood, box: Box, double_box: Box, single: Optimum) -> tuple[Optimum, Optimum]:
    """The best single and double exponential; ``single`` may be stuck, at a wrong t0 for example.

    Each is started from the other too: the double exponential holds the single one, so what freed one frees both.
    """
    double = fit_double(likelihood, double_box, single)
    for _ in range(_ROUNDS):
        freed = single_from(likelihood, box, double)
        if freed.half_deviance > single.half_deviance - _FREED:
            break
        single = freed
        double = min(double, fit_double(likelihood, double_box, single), key=_deviance)
    return single, double


def single_from(likelihood: Likelihood, box: Box, double: Optimum) -> Optimum:
    """The single exponential from where a double one has its edge, width and background."""
    theta = double.theta.copy()
    mean_s = (1.0 - theta[MIX]) * math.exp(theta[LN_TAU_X]) + theta[MIX] * math.exp(theta[LN_TAU_XX])
    theta[MIX] = 0.0
    starts = [theta, theta.copy()]
    starts[1][LN_TAU_X] = math.log(max(mean_s, math.exp(double.theta[LN_TAU_XX])))
    return min((maximise(likelihood, start, box) for start in starts), key=_deviance)


def _deviance(optimum: Optimum) -> float:
    return optimum.half_deviance


def rescaled(theta: Floats, likelihood: Likelihood) -> Floats:
    """``theta`` with photons and background of each channel scaled to the counts at hand."""
    out = theta.copy()
    for c, photons in enumerate(likelihood.counts.sum(axis=1).tolist()):
        base = SHARED + PER_CHANNEL * c
        scale = photons / max(out[base + PHOTONS] + out[base + BACKGROUND], 1.0)
        out[[base + PHOTONS, base + BACKGROUND]] *= scale
    return out


def half_maximum_width_s(theta: Floats, channel: int) -> float:
    """Full width at half maximum of the Gaussian IRF of one channel."""
    return FWHM_PER_SIGMA * math.exp(float(theta[SHARED + PER_CHANNEL * channel + LN_SIGMA]))
