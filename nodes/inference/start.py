"""Where a fit starts: rising edge, lifetime and background read off a histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from photonstream.nodes.inference.decay_model import Floats

# A step is looked for at ever finer scales while this many photons stand on its bright side.
_EDGE_PHOTONS = 40.0


@dataclass(frozen=True, slots=True)
class Guess:
    """A rough decay of one channel. ``edge_s`` is how well ``t0_s`` is known; the counts are over the range."""

    t0_s: float
    edge_s: float
    tau_s: float
    photons: float
    background: float


def _circular_sums(row: Floats, width: int) -> Floats:
    """Sum of ``width`` bins from each bin on, around the end."""
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([row, row[:width]]))])
    return np.asarray(sums[width : width + row.size] - sums[: row.size])


def rising_edge(row: Floats) -> tuple[int, int]:
    """The bin at which counts rise most, and the width in bins of the windows that said so.

    Two adjoining windows are slid along the circle; the place where the second exceeds the first most is refined
    with windows of half the width until they hold too few photons.
    """
    bins = row.size
    width = max(1, bins // 8)
    reach = bins
    at = 0
    while True:
        after = _circular_sums(row, width)
        rise = after - np.roll(after, width)
        near = (at + np.arange(-reach, reach + 1)) % bins if 2 * reach + 1 < bins else np.arange(bins)
        at = int(near[np.argmax(rise[near])])
        if width == 1 or after[at] < 2.0 * _EDGE_PHOTONS:
            return at, width
        reach = width
        width = (width + 1) // 2


def guess(row: Floats, bin_s: float) -> Guess:
    """A rough decay of one channel's counts in equal bins of ``bin_s``; the range is taken for the period."""
    bins = row.size
    at, width = rising_edge(row)
    window = max(1, bins // 8)
    floor = float(_circular_sums(row, window).min()) / window
    signal = np.maximum(np.roll(row, -at) - floor, 0.0) if floor < row.mean() else np.roll(row, -at)
    delay_s = float((signal * (np.arange(bins) + 0.5)).sum() / max(signal.sum(), 1.0)) * bin_s
    total = float(row.sum())
    background = min(0.9 * total, floor * bins)
    return Guess(at * bin_s, width * bin_s, max(delay_s, 0.5 * bin_s), total - background, background)
