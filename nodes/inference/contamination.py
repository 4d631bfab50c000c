"""How much of the selected time is expected to be another state's, and whose photons that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.hidden_markov import StateModel
from photonstream.nodes.inference.rows import states_of

# How many shares of a bin that a switch divides are looked at, and how often photons of such a bin are drawn.
_SHARES, _DRAWS = 32, 64
_NO_RATE = 1e-12
# What each visit of another state leaves in the selected time scatters by more than its mean: most leave only their
# edges, some are missed as a whole. So this over the root of the visits is the relative error of an expected share.
# Simulated (bench/calibrate_contamination.py): found less expected had a root mean square of 0.5 to 1.9 of that.
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


def lost_at_switches(
    rates: Floats,
    switch: Floats,
    selected: NDArray[np.bool_],
    other: NDArray[np.bool_],
    here: int,
    there: int,
) -> float:
    """Time of state ``there``, in bins, that is told as a selected one where the emitter comes from it and goes back.

    A bin with a switch holds photons of both states and goes as a whole to the state that it is most likely of, given
    those before and after it: with one far brighter than the other to that in most cases, to a third one where that is
    like the mixture. What the posteriors say of such bins is taken off; where bins tell little it is all. Two states
    that are told at once, and one as well as the other, cost an eighth of a bin each way.

    ``rates`` (states, gates) in counts a bin, ``switch`` (states, states), ``selected`` and ``other`` (states,): those
    whose posteriors are counted as selected and as not; ``here`` is selected, ``there`` is not.
    """
    share = np.linspace(0.0, 1.0, 2 * _SHARES + 1)[1::2]
    expected = np.outer(share, rates[here]) + np.outer(1.0 - share, rates[there])
    known = np.maximum(rates, _NO_RATE)
    counts = np.random.default_rng(1).poisson(expected, (_DRAWS, *expected.shape))
    likely = counts @ np.log(known).T - known.sum(axis=1)
    ways = np.log(np.maximum(switch, _NO_RATE))
    lost = 0.0
    for before, after in ((here, there), (there, here)):
        weights = likely + ways[before] + ways[:, after]
        posteriors = np.exp(weights - weights.max(axis=-1, keepdims=True))
        foreign = posteriors[..., other].sum(axis=-1) / posteriors.sum(axis=-1)
        lost += float((((1.0 - share) - foreign) * selected[np.argmax(weights, axis=-1)]).mean())
    return lost


def expected_shares(
    model: StateModel,
    certainty: Floats,
    bins: NDArray[np.int64],
    visits: NDArray[np.int64],
    on: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Expected share of the selected time that is each other state's, and its standard error, both (states,).

    By the posteriors, ``certainty`` (labels, states of the model), and by what they ignore: that the emitter switches
    within bins. ``bins`` and ``visits`` by state, as labelled; ``on``: the selected ones.
    """
    group = 1 + np.array(model.groups)
    shares = foreign_shares(certainty, group, on)
    # A bin between two states is in part the selected one's: what is not, the switches count.
    between = np.array([1 + each for each in model.between], np.int64)
    shares[between] = 0.0
    others = np.where(on, 0, visits)
    others[between] = 0
    edges = np.zeros(len(on))
    if others.any() and bins[on].any():
        lost = _lost(model, certainty.sum(axis=0), on[group], ~on[group] & ~np.isin(group, between), len(on))
        edges = visits[on].sum() / bins[on].sum() * lost * others / others.sum()
    shares += edges
    errors = _SCATTER * shares / np.sqrt(np.maximum(visits, 1))
    if between.size:
        # How many of the switches went to the state between?
        errors = np.hypot(errors, edges)
    if not model.resolved:
        # One of them may be a state too many, and then its share is none.
        errors = np.hypot(errors, shares)
    return shares, errors


def _lost(
    model: StateModel, times: Floats, selected: NDArray[np.bool_], other: NDArray[np.bool_], size: int
) -> Floats:
    """`lost_at_switches` of the longest of the states of each group in ``other``, and the longest selected one."""
    lost, group = np.zeros(size), 1 + np.array(model.groups)

    def longest(states: NDArray[np.bool_]) -> int:
        return int(np.argmax(np.where(states, times, -1.0)))

    for number in np.unique(group[other]).tolist():
        ends = longest(selected), longest(group == number)
        lost[number] = lost_at_switches(model.rates, model.switch, selected, other, *ends)
    return lost


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
