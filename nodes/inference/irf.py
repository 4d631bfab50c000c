"""The instrument response: a Gaussian of known width, or a measured histogram."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_model import Floats

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True, slots=True)
class GaussianIrf:
    """A Gaussian of known full width at half maximum, the same for every channel."""

    fwhm_s: float

    def __post_init__(self) -> None:
        if not (self.fwhm_s > 0.0 and math.isfinite(self.fwhm_s)):
            raise ValueError(f"an IRF of {self.fwhm_s} s full width is not a width")


@dataclass(frozen=True, eq=False)
class MeasuredIrf:
    """Measured response, ``shares`` of shape (channels, bins) with rows that sum to one; one row serves all.

    Raises ValueError if a row is empty, not finite or does not sum to one.
    """

    shares: Floats
    bin_width_s: float

    def __post_init__(self) -> None:
        if self.shares.ndim != 2 or not self.shares.size or not np.all(np.isfinite(self.shares)):
            raise ValueError("a measured IRF is a finite array (channels, bins)")
        if not np.allclose(self.shares.sum(axis=1), 1.0, atol=1e-9):
            raise ValueError(
                "each channel of a measured IRF must sum to one; use measured_irf(histogram, width)"
            )
        if not self.bin_width_s > 0.0:
            raise ValueError(f"an IRF bin of {self.bin_width_s} s is not a width")


def measured_irf(histogram: NDArray[np.generic], bin_width_s: float) -> MeasuredIrf:
    """An IRF from its raw histogram, (bins,) or (channels, bins): background subtracted, far bins set to zero.

    The background is the mean of the contiguous half of the range that holds the fewest counts. Bins further from
    the peak than the stretch in which the running sum of 5 bins exceeds that background by 3 standard deviations
    are zero. Raises ValueError where nothing stands out of the background.
    """
    counts = np.atleast_2d(np.asarray(histogram, dtype=np.float64))
    if counts.ndim != 2 or counts.shape[1] < 8:
        raise ValueError("an IRF histogram needs at least 8 bins a channel")
    if not np.all(np.isfinite(counts)) or np.any(counts < 0.0):
        raise ValueError("an IRF histogram holds counts: finite and not negative")
    return MeasuredIrf(np.stack([_cleaned(row, c) for c, row in enumerate(counts)]), bin_width_s)


def _cleaned(row: Floats, channel: int) -> Floats:
    bins = row.size
    half = bins // 2
    turns = np.concatenate([[0.0], np.cumsum(np.concatenate([row, row]))])
    background = float(np.min(turns[half : half + bins] - turns[:bins])) / half
    peak = int(np.argmax(row))
    around = np.roll(row, bins // 2 - peak)
    running = np.convolve(around, np.ones(5), mode="same")
    above = running > 5.0 * background + 3.0 * math.sqrt(5.0 * background + 1.0)
    if not above[bins // 2]:
        raise ValueError(f"the IRF of channel {channel} does not stand out of its background")
    outside = np.flatnonzero(~above)
    first = int(outside[outside < bins // 2].max(initial=-1)) + 1
    last = int(outside[outside > bins // 2].min(initial=bins)) - 1
    kept = np.zeros(bins)
    kept[first : last + 1] = around[first : last + 1] - background
    return np.asarray(np.roll(kept / kept.sum(), peak - bins // 2))


def fwhm_s(shares: Floats, bin_width_s: float) -> float:
    """Full width at half maximum of one measured row, interpolated between bin centres."""
    around = np.roll(shares, shares.size // 2 - int(np.argmax(shares)))
    top = shares.size // 2
    half = 0.5 * around[top]
    below = np.flatnonzero(around < half)
    left = int(below[below < top].max(initial=0))
    right = int(below[below > top].min(initial=shares.size - 1))
    start = left + (half - around[left]) / max(around[left + 1] - around[left], 1e-300)
    stop = right - (half - around[right]) / max(around[right - 1] - around[right], 1e-300)
    return float(stop - start) * bin_width_s


def shares_on_period(irf: MeasuredIrf, channels: int, period_s: float) -> Floats:
    """The IRF's rows for ``channels``, cut to the bins that start within the period and normalised again.

    Raises ValueError if the number of rows fits neither one nor ``channels``, or nothing is left.
    """
    rows = irf.shares
    if rows.shape[0] not in (1, channels):
        raise ValueError(f"the IRF has {rows.shape[0]} channels, the decay has {channels}")
    bins = min(rows.shape[1], math.ceil(period_s / irf.bin_width_s - 1e-9))
    rows = np.broadcast_to(rows[:, :bins], (channels, bins))
    total = rows.sum(axis=1, keepdims=True)
    if np.any(total < 0.5):
        raise ValueError("more than half of the measured IRF lies beyond the pulse period")
    return np.ascontiguousarray(rows / total)
