"""How the fit came to its values: lifetimes and beta by the photons that were fitted. For looking only."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import Z95, Estimate

MOST_ENTRIES = 512
# The quantities that are followed, by their names in a fit.
FOLLOWED = ("tau_x_s", "tau_xx_s", "beta")
# What is kept of each: its value, both ends of its 68 % and of its 95 % interval, its standard error.
ENDS = ("", "_low", "_high", "_low95", "_high95", "_stderr")


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
        """Arrays of equal length: ``photons``, and each quantity with its ENDS; NaN where there is none.

        ``_stderr`` is that of the Fisher information: what it is at the last fit says by the Cramer-Rao bound what
        it was to be at any earlier number of photons.
        """
        names = [name + end for name in FOLLOWED for end in ENDS]
        table = np.array([numbers for _, numbers in self._entries], np.float64).reshape(-1, len(names))
        columns = dict(zip(names, table.T.copy(), strict=True))
        return {"photons": np.array([photons for photons, _ in self._entries], np.int64), **columns}


def _band(estimate: Estimate | None) -> tuple[float, ...]:
    """An estimate as ENDS has it; where no interval was computed, it is that of the standard error."""
    if estimate is None:
        return (math.nan,) * len(ENDS)
    error = math.nan if estimate.stderr is None else estimate.stderr
    ends = [
        interval or (estimate.value - z * error, estimate.value + z * error)
        for interval, z in ((estimate.ci68, 1.0), (estimate.ci95, Z95))
    ]
    known = (math.nan if end is None else end for pair in ends for end in pair)
    return (estimate.value, *known, error)
