"""How the fit came to its values: lifetimes and beta by the photons that were fitted. For looking only."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import Estimate

MOST_ENTRIES = 512
# The quantities that are followed, by their names in a fit.
FOLLOWED = ("tau_x_s", "tau_xx_s", "beta")


class History:
    """One entry a fit, in the order of rising photons, at most MOST_ENTRIES.

    A fit takes the place of every entry of as many photons or more: those are of a selection that holds no longer, or
    of the same photons. When there are too many, the one goes whose neighbours are closest to each other by the ratio
    of their photons: so the first hundred photons stay in sight as the last million do.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[int, tuple[float, ...]]] = []
        # Of an earlier reading of the same photons: they come back as far as this one has come.
        self._earlier: deque[tuple[int, tuple[float, ...]]] = deque()

    def inherit(self, earlier: History) -> None:
        """Go on from the entries of an epoch ``earlier``, in which the same photons were read more slowly."""
        self._earlier = deque((*earlier._entries, *earlier._earlier))

    def add(self, fit: DecayFit) -> None:
        """Take a fit; one of no photons says nothing."""
        if not fit.photons:
            return
        while self._entries and self._entries[-1][0] >= fit.photons:
            self._entries.pop()
        while self._earlier and self._earlier[0][0] < fit.photons:
            entry = self._earlier.popleft()
            if not self._entries or self._entries[-1][0] < entry[0]:
                self._entries.append(entry)
        self._entries.append((fit.photons, tuple(x for name in FOLLOWED for x in _band(getattr(fit, name)))))
        while len(self._entries) > MOST_ENTRIES:
            photons = np.array([photons for photons, _ in self._entries])
            del self._entries[1 + int(np.argmin(photons[2:] / photons[:-2]))]

    def value(self) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
        """Arrays of equal length: ``photons``, and each quantity with ``_low`` and ``_high``, its 68 % band.

        NaN where there is none.
        """
        names = [name + end for name in FOLLOWED for end in ("", "_low", "_high")]
        table = np.array([numbers for _, numbers in self._entries], np.float64).reshape(-1, len(names))
        columns = dict(zip(names, table.T.copy(), strict=True))
        return {"photons": np.array([photons for photons, _ in self._entries], np.int64), **columns}


def _band(estimate: Estimate | None) -> tuple[float, float, float]:
    """Value and both ends of its 68 % interval, or of one standard error where no interval was computed."""
    if estimate is None:
        return math.nan, math.nan, math.nan
    low: float | None = None
    high: float | None = None
    if estimate.ci68 is not None:
        low, high = estimate.ci68
    elif estimate.stderr is not None:
        low, high = estimate.value - estimate.stderr, estimate.value + estimate.stderr
    return estimate.value, math.nan if low is None else low, math.nan if high is None else high
