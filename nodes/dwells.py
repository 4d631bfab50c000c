"""How long states last, counted in flow: for every state the dwells in it, and the times between two visits to it.

So whichever state is selected, its dwells and those of all others together are there, and nothing is read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.dwell import correct_means, expected_dwells, fit_dwells, unbelieved
from photonstream.nodes.inference.rows import STATES
from photonstream.nodes.tables import Column

Integers = NDArray[np.int64]
# Shorter dwells, in bins, are below the resolution.
SHORTEST_BINS = 2
# Lengths up to this one have classes of their own; beyond it an octave has four.
_SINGLE = 16
_OCTAVES = 40
# Bins told wrongly for each visit beyond which dwells are not believed (`bench/calibrate_dwells.py` and its table).
# Some are always unsure, where a visit begins and ends. Up to 2 a visit the mean is right within its error; above,
# short visits are missed and long ones cut. Visits of some ten bins are missed sooner: less than a share of the time.
MOST_WRONG_PER_VISIT, MOST_WRONG_SHARE = 2.0, 0.03


# The dwells in the selected state, and the times between them.
SIDES = ("selected", "other")


def _class_begins() -> Integers:
    """The shortest length in bins of each class, and one more than the longest."""
    beyond = np.ceil(_SINGLE * 2.0 ** (np.arange(4 * _OCTAVES + 1) / 4)).astype(np.int64)
    found: Integers = np.unique(np.concatenate([np.arange(1, _SINGLE), beyond]))
    return found


BEGINS = _class_begins()


class Dwells:
    """Counts of dwells by their length, in bins, of every state and of the times without it.

    The first and the last of a recording, and those at a gap of it, are cut: how long they are is not known. States
    come as they are in flow, and any split of them gives the same.
    """

    def __init__(self) -> None:
        # By state, in it (0) or not (1), and class.
        self._counts = np.zeros((STATES, 2, len(BEGINS) - 1), np.int64)
        self._cut: list[tuple[int, int, int]] = []
        # Where the last visit of each state ended, 0 where there was none since the recording or the last gap.
        self._left = np.zeros(STATES, np.int64)
        # The present visit, and the bins since the last gap.
        self._state, self._begin, self._bins = -1, 0, 0

    def add(self, states: Integers, blind: NDArray[np.bool_] | None = None) -> None:
        """Take the states of the next bins, of which those that are ``blind`` lie in a gap."""
        if blind is None or not blind.any():
            self._add(states)
            return
        edges = np.flatnonzero(np.diff(blind)) + 1
        for part, gap in zip(np.split(states, edges), np.split(blind, edges), strict=True):
            if gap[0]:
                self._break()
            else:
                self._add(part)

    def _add(self, states: Integers) -> None:
        if not len(states):
            return
        changes = np.flatnonzero(np.diff(states, prepend=self._state))
        for at in changes.tolist():
            self._enter(int(states[at]), self._bins + at)
        self._bins += len(states)

    def _enter(self, state: int, at: int) -> None:
        if self._state >= 0:
            self._end(self._state, 0, self._begin, at)
            self._left[self._state] = at
        if at:
            self._end(state, 1, int(self._left[state]), at)
        self._state, self._begin = state, at

    def _end(self, state: int, side: int, begin: int, end: int) -> None:
        if begin == 0:
            self._cut.append((state, side, end))
        else:
            self._counts[state, side, np.searchsorted(BEGINS, end - begin, side="right") - 1] += 1

    def _break(self) -> None:
        """Nothing is known from here on: as if the recording ended, and began anew."""
        if self._bins:
            self._cut += [(state, *self._last(state)) for state in range(STATES)]
        self._left[:] = 0
        self._state, self._begin, self._bins = -1, 0, 0

    def _last(self, state: int) -> tuple[int, int]:
        """The visit that lasts, or the time since the last one: which of the two (side), and for how many bins."""
        if self._state == state:
            return 0, self._bins - self._begin
        return 1, self._bins - int(self._left[state])

    def describe(self, selected: Sequence[int], bin_s: float, *, final: bool = True) -> dict[str, Any] | None:
        """Dwell times in the selected state and out of it; None unless it is one state that occurred.

        On the way (not ``final``) what takes long to fit is left out.
        Each of ``selected`` and ``other``: ``edges_s``, ``counts`` of complete dwells, ``fit`` (`fit_dwells`).
        """
        if len(selected) != 1:
            return None
        state = selected[0]
        cut = [(side, bins) for s, side, bins in self._cut if s == state]
        if self._bins:
            cut.append(self._last(state))
        if not (self._counts[state, 0].any() or any(side == 0 for side, _ in cut)):
            return None
        first = SHORTEST_BINS - 1
        # A dwell of n bins lasted n - 1/2 to n + 1/2 of them, as far as bins can tell.
        edges_s: NDArray[np.float64] = (BEGINS[first:].astype(np.float64) - 0.5) * bin_s
        sides = {}
        for side, name in enumerate(SIDES):
            counts = self._counts[state, side, first:]
            cut_s = np.array([bins * bin_s for s, bins in cut if s == side], float)
            fit = fit_dwells(edges_s, counts, cut_s, quick=not final)
            highest = np.flatnonzero(counts)
            shown = int(highest[-1]) + 1 if highest.size else 0
            sides[name] = {
                "edges_s": edges_s[: shown + 1].copy(),
                "counts": counts[:shown].copy(),
                "shorter": int(self._counts[state, side, :first].sum()),
                "fit": fit,
            }
        return {"bin_s": bin_s, **sides}


def dwells_of_bins(on: NDArray[np.bool_], unseen: NDArray[np.bool_], bin_s: float) -> dict[str, Any] | None:
    """Dwell times of bins that are selected or not, or lie in a gap, as `Dwells.describe` gives them."""
    dwells = Dwells()
    dwells.add(on.astype(np.int64), unseen)
    return dwells.describe([1], bin_s)


def why_unbelieved(wrong: float, visits: int, shorter_bins: float, bin_s: float) -> str:
    """Why the lengths of so many ``visits`` say nothing where ``wrong`` bins are told wrongly; empty where they do.

    ``shorter_bins``: how long a visit lasts on average, of the selected states or of the others, whichever is less.
    """
    if wrong <= min(MOST_WRONG_PER_VISIT, MOST_WRONG_SHARE * shorter_bins) * max(visits, 1):
        return ""
    return (
        f"dwell times are not to be believed: some {float(f'{wrong:.1g}'):,.0f} bins of {1e3 * bin_s:.3g} ms are "
        f"expected to be told wrongly, and there are {visits:,} visits of the selected state: the wrong ones make "
        "visits that are none, and join others"
    )


def without_models(times: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """``times`` (`Dwells.describe`) of which nothing is believed but how many they are, for a ``reason``."""
    sides = {name: {**times[name], "fit": unbelieved(times[name]["fit"], reason)} for name in SIDES}
    return {**times, **sides, "unbelieved": reason}


def dwell_summary(times: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What result.json says of dwell times."""
    if times is None:
        return None
    sides = {}
    for name, other in zip(SIDES, reversed(SIDES), strict=True):
        fit = times[name]["fit"]
        corrected = correct_means(fit, times[other]["fit"], times["bin_s"])
        sides[name] = {**fit, **corrected, "shorter": times[name]["shorter"]}
    return {"bin_s": times["bin_s"], **sides}


def dwell_table(times: Mapping[str, Any] | None) -> dict[str, list[Column]]:
    """The curve ``dwell``: complete dwells in the selected state (1) and out of it (0), by their length."""
    if times is None:
        return {}
    parts = []
    for name, on in zip(SIDES, (1, 0), strict=True):
        side = times[name]
        edges_s, counts = side["edges_s"], side["counts"]
        expected = expected_dwells(edges_s, counts, side["fit"])
        parts.append((np.full(len(counts), on), edges_s[:-1][: len(counts)], edges_s[1:], counts, *expected))
    names = ("selected", "time_start", "time_stop", "dwells", "exponential", "power_law", "cut_off")
    units = ("", "s", "s", "dwells", "dwells", "dwells", "dwells")
    columns = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return {"dwell": [Column(*each) for each in zip(names, units, columns, strict=True)]}
