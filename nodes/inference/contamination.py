"""How much of the selected time is expected to be another state's, and whose photons that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.rows import states_of

_EDGE_BINS = 0.25
# What each visit of another state leaves in the selected time scatters by more than its mean: most leave only their
# edges, some are missed as a whole. So this over the root of the visits is the relative error of an expected share.
# Simulated (docs/result.md): the root mean square of found less expected was 1.1 to 2.1 of that.
_SCATTER = 2.0
ONE_STATE = (
    "all that was told apart is taken for one state: how much of the time is that of another one, too much like it to "
    "be told from it, is not known"
)
JOINED = (
    "states too much alike to be told apart are taken for one, which is selected: how much of its time is the other "
    "one's is not known"
)


@dataclass(frozen=True, eq=False)
class Contaminant:
    """A state that was not selected: counts (channels, bins) of its photons, its expected share of the selected time.

    ``part``: the selected time that is expected to be this state's, over the time in which it was found. ``stderr``:
    standard error of the share.
    """

    counts: NDArray[np.int64]
    part: float
    share: float
    stderr: float = 0.0


def foreign_shares(certainty: Floats, group: NDArray[np.int64], on: NDArray[np.bool_]) -> Floats:
    """Expected share of the selected time that belongs to each group, from posteriors summed by label (labels, states).

    ``group`` (states,) numbers the group of each state, ``on`` says by that number which are selected; theirs is 0.
    """
    shares = np.zeros(len(on))
    chosen = certainty[on[group]].sum(axis=0)
    if chosen.any():
        np.add.at(shares, group, chosen / chosen.sum())
    shares[on] = 0.0
    return shares


def edge_shares(bins: NDArray[np.int64], visits: NDArray[np.int64], on: NDArray[np.bool_]) -> Floats:
    """Share of the selected time that is other states' because they begin and end within bins, which posteriors ignore.

    Of a bin in which the emitter switches the state that has more of it gets all: an eighth of a bin a switch is the
    other's on average, so a quarter a visit. ``bins`` and ``visits`` by state; ``on``: the selected ones.
    """
    shares = np.zeros(len(on))
    others = np.where(on, 0, visits)
    if others.any() and bins[on].any():
        shares += _EDGE_BINS * visits[on].sum() / bins[on].sum() * others / others.sum()
    return shares


def share_errors(shares: Floats, visits: NDArray[np.int64]) -> Floats:
    """Standard errors of the expected ``shares`` of other states, by how many ``visits`` to each were found."""
    found: Floats = _SCATTER * shares / np.sqrt(np.maximum(visits, 1))
    return found


def contaminants(rows: Mapping[str, Any], selection: Mapping[str, Any]) -> tuple[Contaminant, ...] | str:
    """The states that were not selected, from the results of ``decay`` and ``states``; or why nobody knows them."""
    if (shares := selection.get("contamination")) is None:
        return str(selection["contamination_reason"])
    times_s = {int(row["state"]): float(row["time_s"]) for row in selection["states"]}
    states = states_of(rows["labels"])
    found = tuple(
        Contaminant(
            rows["counts"][states == state].sum(axis=0),
            float(shares[state]) * float(selection["on_time_s"]) / times_s[state],
            float(shares[state]),
            float(selection["contamination_error"][state]),
        )
        for state in np.flatnonzero(shares).tolist()
        if times_s.get(state)
    )
    return found or "no photons of another state were found, so nobody knows what some more of them would do"
