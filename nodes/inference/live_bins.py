"""Bins as fine as the recording's at the rising edge; those of a live fit are wider with the distance from it.

An exponential looks the same in bins of a sixteenth of the time since its pulse: they keep all but some 1e-3 of the
information at any lifetime (tests/nodes/inference/test_live_bins.py), and are some hundred instead of thousands. The
model is integrated over each bin, so nothing is approximated. Final fits take all bins, joined far from the edge where
a period has more of them than `decay_data.MAX_FIT_BINS`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_data import DecayData
from photonstream.nodes.inference.decay_model import Floats

# Width of a bin over its distance from the edge.
_WIDTH = 1.0 / 16.0
_FINE_WIDTHS, _FINE_BINS = 3.0, 4.0


@njit(nogil=True, cache=True)
def live_starts(
    bins: int, bin_s: float, period_s: float, edges_s: Floats, fwhm_s: float
) -> NDArray[np.int64]:
    """Where joined bins begin among ``bins`` of ``bin_s``; ``edges_s``: the rising edge of each channel.

    Within three full widths of the response on both sides of any edge, and four bins, none are joined.
    """
    fine = max(_FINE_BINS, _FINE_WIDTHS * fwhm_s / bin_s)
    period = period_s / bin_s
    starts = np.empty(bins, np.int64)
    count = 0
    b = 0
    while b < bins:
        starts[count] = b
        count += 1
        width = period
        for edge_s in edges_s:
            since = (b - edge_s / bin_s) % period
            # How far it is to the next stretch in which bins are not joined.
            ahead = period - since - fine
            width = 1.0 if since <= fine else min(width, since * _WIDTH, max(ahead, 1.0))
            if since <= fine:
                break
        b += max(1, int(width))
    return starts[:count].copy()


def fine_at_edges(
    data: DecayData, starts: NDArray[np.int64], edges_s: Floats, fwhm_s: float
) -> NDArray[np.int64]:
    """``starts`` of joined bins, and of all those of ``data`` that are near a rising edge.

    Near is within three full widths of the response, and four bins of the fit: a response much narrower than these
    leaves open where in one the edge stands, and takes part of a fast component for it.
    """
    bin_s, period_s = data.bin_width_s, data.pulse_period_s
    near_s = max(_FINE_BINS * bin_s * data.fit_group, _FINE_WIDTHS * fwhm_s)
    # In halves of a bin, so that none is stepped over.
    reach = math.ceil(2.0 * near_s / bin_s)
    places_s = (edges_s[:, None] + np.arange(-reach, reach + 1) * (0.5 * bin_s)) % period_s
    near = (places_s / bin_s).astype(np.int64)
    return np.union1d(starts, near[near < data.bins_in_period])
