"""A recording without an emitter: how much light, does it follow the laser, was it steady."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.irf import running

# What follows the laser stands out of a flat histogram by so many standard deviations somewhere: among some 1e5
# stretches that are looked at, chance does that in less than one recording of a thousand.
_STANDS_OUT = 6.0
_ONE_SIDED_95 = 1.645
STEADY_P = 1e-3
_LEAST_BINS = 5
_LEAST_MEAN = 5.0


@dataclass(frozen=True, slots=True)
class PulsedShare:
    """How much of the light follows the laser pulse.

    ``share`` with its error and the place of the peak; without a residue that stands out ``share`` is None and
    ``upper95`` a one-sided limit of light that keeps to half of the period. ``reason`` says so.
    """

    share: float | None
    stderr: float | None
    peak_s: float | None
    upper95: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Chi-squared of the counts of equal bins against their mean; ``dispersion`` is it per degree of freedom.

    1 for Poisson light. ``steady``: the probability ``p`` of so large a chi-squared is above 0.001.
    """

    bins: int
    bin_s: float
    dispersion: float | None
    p: float | None
    steady: bool | None
    reason: str = ""


def pulsed_share(counts: NDArray[np.generic], bin_width_s: float) -> PulsedShare:
    """The share of a histogram over one period, (bins,), that stands out of a flat one.

    Stretches of 1, 2, 4, ... bins up to a quarter of the period are compared with the mean. What the most
    significant one holds, one of its widths before and four behind, is compared with all the rest.
    """
    row = np.asarray(counts, dtype=np.float64)
    bins, photons = row.size, float(row.sum())
    if bins < 8 or not photons:
        return PulsedShare(None, None, None, None, "no photons after laser pulses")
    best, first, width = -math.inf, 0, 1
    window = 1
    while window <= bins // 4:
        due = window * photons / bins
        sums = running(row, window)
        at = int(np.argmax(sums))
        outstanding = (float(sums[at]) - due) / math.sqrt(due + 1.0)
        if outstanding > best:
            best, first, width = outstanding, at - window // 2, window
        window *= 2
    if best < _STANDS_OUT:
        halves = running(row, bins // 2)
        most = float(halves.max() - halves.min()) + _ONE_SIDED_95 * math.sqrt(photons)
        upper = min(1.0, most / photons)
        return PulsedShare(None, None, None, upper, "nothing that follows the laser stands out")
    before = min(width, bins // 8)
    behind = min(5 * width, bins // 2)
    inside = np.zeros(bins, np.bool_)
    inside[np.arange(first - before, first + behind) % bins] = True
    held, rest = float(row[inside].sum()), float(row[~inside].sum())
    ratio = float(np.count_nonzero(inside)) / float(np.count_nonzero(~inside))
    share = (held - ratio * rest) / photons
    # share = 1 - (1 + ratio) rest/photons, with rest binomial among the photons
    outside = rest / photons
    stderr = (1.0 + ratio) * math.sqrt(max(outside * (1.0 - outside), 1.0 / photons) / photons)
    stretch = row[np.arange(first, first + width) % bins]
    peak = first + (float(np.argmax(stretch)) if width < 8 else float(_centre(stretch)))
    return PulsedShare(share, stderr, (peak + 0.5) % bins * bin_width_s, None)


def _centre(stretch: Floats) -> float:
    """Place of the highest running mean over an eighth of ``stretch``."""
    window = stretch.size // 8
    sums = np.convolve(stretch, np.ones(window), "valid")
    return float(np.argmax(sums)) + (window - 1) / 2.0


def steadiness(counts: NDArray[np.generic], bin_s: float) -> Steadiness:
    """Whether counts of whole bins of ``bin_s``, (bins,), scatter as those of a steady light.

    Bins are joined until they hold 5 counts on average, below which chi-squared has another distribution.
    """
    row = np.asarray(counts, dtype=np.float64)
    mean = float(row.mean()) if row.size else 0.0
    group = 1 if mean >= _LEAST_MEAN else math.ceil(_LEAST_MEAN / mean) if mean > 0.0 else row.size + 1
    bins = row.size // group
    if bins < _LEAST_BINS:
        reason = f"fewer than {_LEAST_BINS} bins of {bin_s:g} s or of {_LEAST_MEAN:g} counts"
        return Steadiness(bins, group * bin_s, None, None, None, reason)
    joined = row[: bins * group].reshape(bins, group).sum(axis=1)
    centre = float(joined.mean())
    chi_squared = float(((joined - centre) ** 2).sum()) / centre
    p = float(gammaincc(0.5 * (bins - 1), 0.5 * chi_squared))
    return Steadiness(bins, group * bin_s, chi_squared / (bins - 1), p, p > STEADY_P)
