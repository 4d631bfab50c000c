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


@dataclass(frozen=True, eq=False)
class Contaminant:
    """A state that was not selected: counts (channels, bins) of its photons, its expected share of the selected time.

    ``part``: the selected time that is expected to be this state's, over the time in which it was found.
    """

    counts: NDArray[np.int64]
    part: float
    share: float


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


def contaminants(rows: Mapping[str, Any], selection: Mapping[str, Any]) -> tuple[Contaminant, ...] | str:
    """The states that were not selected, from the results of ``decay`` and ``states``; or why nobody knows them."""
    shares = selection.get("contamination")
    if shares is None:
        return "no estimate: a window of rates does not say how sure it is of its bins"
    times_s = {int(row["state"]): float(row["time_s"]) for row in selection["states"]}
    states = states_of(rows["labels"])
    return tuple(
        Contaminant(
            rows["counts"][states == state].sum(axis=0),
            float(shares[state]) * float(selection["on_time_s"]) / times_s[state],
            float(shares[state]),
        )
        for state in np.flatnonzero(shares).tolist()
        if times_s.get(state)
    )
