"""The part of the period that is fitted, where a person has named one.

The model is integrated over each bin of the whole period, so a part of the bins is a likelihood like all of them, and
what leaks into it from earlier pulses is in the model. What detectors did is worked out of all bins, before.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_data import DecayData, FitOptions, Span
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.likelihood import LN_SIGMA, T0, Likelihood, tail_at
from photonstream.nodes.inference.means import at, response_shares
from photonstream.nodes.inference.scoring import Box

# With fewer bins (of the fit) there is nothing to tell two lifetimes and a background by.
FEWEST_BINS = 16
# A range that holds less of a channel's response cannot tell where its pulse was from how bright it is.
_WHOLE_RESPONSE = 0.99


def bins_of(edges_s: Floats, span_s: Span | None) -> slice:
    """The bins between ``edges_s`` that lie in the range, its ends taken to the nearest edge; all where it is None."""
    if span_s is None:
        return slice(0, edges_s.size - 1)
    first, stop = (int(np.argmin(np.abs(edges_s - min(end_s, edges_s[-1])))) for end_s in span_s)
    return slice(first, stop)


def cut(likelihood: Likelihood, data: DecayData, options: FitOptions) -> Likelihood:
    """``likelihood`` of the bins in the range of ``options`` alone, which ends where joined bins of ``data`` do."""
    bins = bins_of(likelihood.edges_s, fitted_span(data, options))
    counts, efficiency, extra = (
        np.ascontiguousarray(each[:, bins])
        for each in (likelihood.counts, likelihood.efficiency, likelihood.extra)
    )
    edges_s = likelihood.edges_s[bins.start : bins.stop + 1].copy()
    return replace(likelihood, counts=counts, efficiency=efficiency, extra=extra, edges_s=edges_s)


def fitted_span(data: DecayData, options: FitOptions) -> Span | None:
    """Where the fitted bins begin and end, None for the whole period."""
    if options.fit_range_s is None:
        return None
    edges_s = data.edges_s(data.fit_starts)
    bins = bins_of(edges_s, options.fit_range_s)
    return float(edges_s[bins.start]), float(edges_s[bins.stop])


def photons_within(data: DecayData, options: FitOptions) -> NDArray[np.int64]:
    """Photons of each channel in the bins that are fitted."""
    if options.fit_range_s is None:
        every: NDArray[np.int64] = data.counts[:, : data.bins_in_period].sum(axis=1, dtype=np.int64)
        return every
    bins = bins_of(data.edges_s(data.fit_starts), options.fit_range_s)
    photons: NDArray[np.int64] = data.joined(data.fit_starts)[:, bins].sum(axis=1).astype(np.int64)
    return photons


def refusal(data: DecayData, options: FitOptions) -> str:
    """Why nothing can be fitted in the range; empty where that is no hindrance."""
    span_s = options.fit_range_s
    if span_s is None:
        return ""
    bins = bins_of(data.edges_s(data.fit_starts), span_s)
    if bins.stop - bins.start >= FEWEST_BINS:
        return ""
    return (
        f"the fit range of {words(span_s)} holds {max(0, bins.stop - bins.start)} bins of the decay, and "
        f"{FEWEST_BINS} are needed"
    )


def hold(likelihood: Likelihood, theta: Floats, box: Box) -> tuple[Box, tuple[int, ...]]:
    """``box`` with t0 and response held in those channels whose response the range leaves out, and which these are.

    A decay after its edge is the same for any t0 as for any number of photons: what ``theta`` has of the whole decay
    stands in for it. ``likelihood`` is that of the range.
    """
    channels = likelihood.counts.shape[0]
    held = tuple(
        c
        for c in range(channels)
        if response_shares(likelihood, theta, c, likelihood.edges_s, likelihood.bin_s).sum() < _WHOLE_RESPONSE
    )
    free = box.free.copy()
    for c in held:
        free[[at(c, T0), at(c, LN_SIGMA)]] = False
    tail = tail_at(theta, channels)
    if tail is not None and len(held) == channels:
        free[tail:] = False
    return replace(box, free=free), held


def words(span_s: Span) -> str:
    """A range in words."""
    low, high = (1e9 * end_s for end_s in span_s)
    return f"{low:.4g} ns to {'the end' if math.isinf(high) else f'{high:.4g} ns'}"


def check_span(span_s: Span, period_s: float) -> None:
    """Raise ValueError for a range that no decay of this pulse period has."""
    low, high = span_s
    if low >= period_s or (high > period_s * (1.0 + 1e-6) and not math.isinf(high)):
        raise ValueError(
            f"the fit range of {words(span_s)} does not lie within the pulse period of {1e9 * period_s:.4g} ns"
        )
