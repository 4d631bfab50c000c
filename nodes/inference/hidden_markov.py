"""Which states an emitter has, learned from a sample of its recording: how many, how they emit, which one is neutral.

The number of states is the one that predicts best what it has not seen: a model learned from every other piece (half a
second) is followed through all of them and judged by the others. States whose gate shares agree are then one, however
different their brightness: that is drift, focus or bleaching. The neutral state is the one with the highest rate of
late photons: a share would prefer a dim state without biexcitons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from photonstream.nodes.inference.gates import GATES, Gates, background_share, gates_of, place_gates
from photonstream.nodes.inference.sample import Block
from photonstream.nodes.kernels.hidden_markov import Filter, count_gates, follow, learn, left_out, new_filter

MOST_STATES = 4
# A further state has to predict the bins that it was not learned from better by so much (log-likelihood).
LEAST_GAIN = 10.0
# States whose shares differ with a smaller probability are two. The test is of states chosen to differ: of 200
# nanocrystals that only lost brightness three fell below 1e-3 (1.5e-4, 3e-4, 8e-4). At 1e-5 a dim state that loses a
# fifth of its excitons is missed after 15 s in one of four; a trion of 0.9 tau_x is at 1e-50 after 10 s.
SAME_SHARES = 1e-4
# Parts of the estimated background with which they are compared.
BACKGROUNDS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Bins that come after a bin before it is labelled.
LAG_BINS = 10
# In how many fine bins the filter forgets (10 s), how many the model weighs that it starts from, and how many it always
# weighs: a state that stays away for long is not forgotten.
FORGET_FINE, START_FINE, LASTING_FINE = 40_000, 8_000.0, 400.0
# Fine bins in a bin of the states, the usual number first: shorter ones where the neutral state lasts only so long.
FINE_BINS = (4, 2, 1)
SHORTEST_NEUTRAL = 20
# A state of fewer bins is what lies between two others.
SHORTEST_STATE = 2.0
# Below this balanced accuracy, as the model itself expects it, states are not resolved.
RESOLVED = 0.97
# Without delays, a neutral state that is less than so many times as bright as the next one may be drift.
BRIGHTER = 2.0
# Below this one the neutral state and the one that it is most confused with are taken as one.
USABLE = 0.85
# The neutral state holds at least this share of the time: shorter ones are bursts or dust.
SHORTEST_SHARE = 0.02
# States of which so few photons lie in other gates (half the sum of the differences of their shares) may be one.
ALIKE = 0.05
# With less than this there is nothing to learn from.
FEWEST_BINS = 200
# What is learned from and what is held out take turns, in pieces of so many bins; short recordings have PIECES of them.
SHORTEST_PIECE, LONGEST_PIECE, PIECES = 16, 512, 16

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class StateModel:
    """K states: ``rates`` (K, gates) in counts a bin, ``switch`` (K, K), ``groups`` (K,): which of them are one.

    Groups are numbered by their rate of late photons, so group 0 is the neutral state. ``fine``: how many fine bins
    make a bin. ``gates`` is None where delays tell nothing: then all photons of a bin are counted together.
    ``accuracy``: balanced accuracy of "neutral or not" as the model itself expects it (1 with one group); ``full``:
    no further state could be tried (states that only lie between others are none). ``joined``: whether group 0 holds
    states whose delays differ, and which are confused too often to be told apart. ``learned_from`` tells the sample
    that it was learned from, which was of the first ``seen`` bins of the trace.
    """

    gates: Gates | None
    fine: int
    rates: Floats
    switch: Floats
    groups: tuple[int, ...]
    accuracy: float
    full: bool
    learned_from: str = ""
    seen: int = 0
    joined: bool = False

    @property
    def resolved(self) -> bool:
        """Whether the neutral state can be told from the others, and from a drift of the brightness."""
        return not self.unresolved

    @property
    def unresolved(self) -> str:
        """Why the states are not resolved; empty where they are."""
        reasons = []
        if self.accuracy < RESOLVED:
            reasons.append(
                f"the model, when learned, expected an accuracy of {self.accuracy:.3f} of itself, and {RESOLVED} is "
                "asked for"
            )
        if self.full:
            reasons.append(
                f"{MOST_STATES} states are the most that are tried, and {MOST_STATES} were found: there may be more "
                "of them, mixed in these (the accuracy expected is that among those found)"
            )
        if self.gates is None and len(set(self.groups)) > 1:
            number, rates = np.array(self.groups), self.rates[:, 0]
            if rates[number == 0].min() < BRIGHTER * rates[number != 0].max():
                reasons.append(
                    f"without delays, the brightest state is less than {BRIGHTER:g} times as bright as the next one, "
                    "which may be drift"
                )
        return "; ".join(reasons)

    def remarks(self) -> list[str]:
        """What is to be minded of each group, empty for one that may be a state of the emitter."""
        number, weight = np.array(self.groups), stationary(self.switch)
        groups = range(max(self.groups) + 1)
        rates = np.array([weight[number == g] @ self.rates[number == g] for g in groups])
        shares = rates / np.maximum(rates.sum(axis=1, keepdims=True), 1e-12)
        found = []
        for g in groups:
            others = [h for h in groups if h < g]
            apart = [0.5 * float(np.abs(shares[g] - shares[h]).sum()) for h in others]
            if g in self.between:
                found.append("lies between others: bins in which the emitter changes")
            elif self.gates is not None and apart and min(apart) < ALIKE:
                state = 1 + others[int(np.argmin(apart))]
                found.append(
                    f"delays nearly those of state {state}: perhaps a brightness of it, no other state"
                )
            elif g and weight[number == g].sum() < SHORTEST_SHARE:
                found.append(f"less than {100 * SHORTEST_SHARE:g} % of the time: perhaps bursts or dust")
            else:
                found.append("")
        return found

    @property
    def between(self) -> list[int]:
        """Groups that only lie between others: their states last a bin, that in which the emitter changes."""
        lasts = _lasts(self.switch)
        number = np.array(self.groups)
        return [g for g in sorted(set(self.groups)) if lasts[number == g].max() < SHORTEST_STATE]

    def filter(self) -> Filter:
        """A filter at the beginning of the recording."""
        return _filter(self.rates, self.switch, self.fine)

    def as_dict(self) -> dict[str, Any]:
        """As the value of a parameter."""
        return {
            "gates": None if self.gates is None else self.gates.as_dict(),
            "fine": self.fine,
            "rates": self.rates.tolist(),
            "switch": self.switch.tolist(),
            "groups": list(self.groups),
            "accuracy": self.accuracy,
            "full": self.full,
            "learned_from": self.learned_from,
            "seen": self.seen,
            "joined": self.joined,
        }


def model_of(value: Mapping[str, Any]) -> StateModel:
    """The model that `StateModel.as_dict` gave. Raises ValueError for what cannot be."""
    try:
        gates = None if value["gates"] is None else gates_of(value["gates"])
        rates, switch = np.array(value["rates"], float), np.array(value["switch"], float)
        groups, fine = tuple(map(int, value["groups"])), int(value["fine"])
        accuracy, full = float(value["accuracy"]), bool(value["full"])
        learned_from, seen, joined = str(value["learned_from"]), int(value["seen"]), bool(value["joined"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"this is no model of states: {error}") from error
    states = len(groups)
    fits = 1 <= states <= MOST_STATES and fine in FINE_BINS
    fits &= set(groups) == set(range(len(set(groups))))
    fits &= rates.shape == (states, 1 if gates is None else GATES) and switch.shape == (states, states)
    if not (
        fits
        and bool(np.all(rates > 0))
        and bool(np.all(switch >= 0))
        and bool(np.all(switch.sum(axis=1) > 0))
    ):
        raise ValueError("this is no model of states: its parts do not go together")
    return StateModel(gates, fine, rates, switch, groups, accuracy, full, learned_from, seen, joined)


def stationary(switch: Floats) -> Floats:
    """The share of bins in each state after a long time."""
    shares = np.full(len(switch), 1.0 / len(switch))
    for _ in range(20):
        switch = switch @ switch
        switch /= switch.sum(axis=1, keepdims=True)
    found: Floats = shares @ switch
    return found


def _filter(rates: Floats, switch: Floats, fine: int) -> Filter:
    return new_filter(
        rates,
        switch,
        stationary(switch),
        LAG_BINS,
        START_FINE / fine,
        LASTING_FINE / fine,
        FORGET_FINE / fine,
    )


def learn_states(sample: Block, decays: NDArray[np.int64], seen: int = 0) -> StateModel | None:
    """The model of a recording; None where there is too little of it.

    ``sample`` has fine bins; ``decays`` (channels, classes) are the delays of the whole recording so far, ``seen`` bins
    of its trace.
    """
    gates = place_gates(decays) if decays.size else None
    shape = np.ones(1)
    background = 0.0
    if gates is not None:
        shape = gates.widths({c: int(decays[c].sum()) for c in gates.t0})
        aligned = sum(np.roll(decays[c], -t0) for c, t0 in gates.t0.items())
        background = background_share(np.asarray(aligned))
    found: StateModel | None = None
    for fine in FINE_BINS:
        counts = sample_counts(sample, gates, fine)
        if len(counts) < FEWEST_BINS:
            break
        dark = background * counts.sum() / len(counts) * shape
        found = _learn(counts, gates, fine, dark)
        inside = [k for k, group in enumerate(found.groups) if group == 0]
        leaves = stationary(found.switch)[inside] @ (1.0 - found.switch[np.ix_(inside, inside)].sum(axis=1))
        lasts = stationary(found.switch)[inside].sum() / max(leaves, 1e-12)
        if len(set(found.groups)) == 1 or lasts >= SHORTEST_NEUTRAL:
            break
    return None if found is None else replace(found, learned_from=sample.digest(decays), seen=seen)


def sample_counts(sample: Block, gates: Gates | None, fine: int) -> Counts:
    """Counts in the gates (bins, gates) of the whole bins in ``sample``, ``fine`` fine bins each."""
    bins = len(sample.photons) // fine
    offsets = np.concatenate([[0], np.cumsum(sample.photons)])[: fine * bins + 1 : fine].astype(np.int64)
    if gates is None:
        return np.diff(offsets)[:, None].astype(np.int32)
    counts = np.zeros((bins, GATES), np.int32)
    limit = np.uint32(gates.classes)
    count_gates(offsets, sample.channel, sample.classes, np.uint32(0), limit, gates.table(), counts)
    return counts


def _learn(counts: Counts, gates: Gates | None, fine: int, dark: Floats) -> StateModel:
    bins = len(counts)
    # A short recording has shorter pieces, so that both halves see its states.
    piece = min(LONGEST_PIECE, max(SHORTEST_PIECE, bins // PIECES))
    held_out = np.arange(bins) // piece % 2 == 1
    states, best = 1, -np.inf
    for tried in range(1, MOST_STATES + 1):
        rates, switch, _ = _fit(counts[~held_out], tried)
        score = float(_follow(counts, rates, switch, fine)[0][held_out].sum())
        if tried == 1 or score > best + LEAST_GAIN * (tried - states):
            states, best = tried, score
    rates, switch, first = _fit(counts, states)
    weights = left_out(counts, rates, switch, first)
    occupancy, gated = weights.sum(axis=0), np.einsum("bk,bg->kg", weights, counts)
    flat = occupancy[:, None] * dark
    groups = _by_late_rate(same_shares(gated, flat), (gated - flat)[:, -1], occupancy, switch)
    certainty = _follow(counts, rates, switch, fine)[1].certainty
    joined = False
    while (accuracy := expected_accuracy(certainty, np.array(groups) == 0)) < USABLE:
        groups, joined = _joined(groups, certainty), True
    model = StateModel(gates, fine, rates, switch, groups, accuracy, full=False, joined=joined)
    return replace(model, full=len(set(groups)) - len(model.between) == MOST_STATES)


def _joined(groups: tuple[int, ...], certainty: Floats) -> tuple[int, ...]:
    """``groups`` with group 0 and the one that it is most confused with as one; ``certainty`` (labels, states)."""
    number = np.array(groups)
    confused = []
    for other in range(1, max(groups) + 1):
        both = certainty[np.isin(number, (0, other))][:, np.isin(number, (0, other))]
        confused.append(expected_accuracy(both, number[np.isin(number, (0, other))] == 0))
    partner = 1 + int(np.argmin(confused))
    return tuple(0 if g == partner else g - (g > partner) for g in groups)


def _by_late_rate(
    groups: tuple[int, ...], late: Floats, occupancy: Floats, switch: Floats
) -> tuple[int, ...]:
    """``groups`` numbered by the highest rate of late photons that a state of theirs has.

    Those come last that cannot be the neutral state: all of their states last a bin or two, so that they lie between
    others, or hold too little of the time.
    """
    rates = late / np.maximum(occupancy, 1e-12)
    lasts = _lasts(switch)
    rank = {}
    for group in set(groups):
        members = [k for k, each in enumerate(groups) if each == group]
        share = occupancy[members].sum() / occupancy.sum()
        fit = share >= SHORTEST_SHARE and lasts[members].max() >= SHORTEST_STATE
        rank[group] = bool(fit), float(rates[members].max())
    order = sorted(rank, key=lambda group: rank[group], reverse=True)
    return tuple(order.index(group) for group in groups)


def _lasts(switch: Floats) -> Floats:
    """Mean number of bins that each state lasts."""
    found: Floats = 1.0 / np.maximum(1.0 - np.diag(switch), 1e-12)
    return found


def _fit(counts: Counts, states: int) -> tuple[Floats, Floats, Floats]:
    """Rates, switches and first shares of the most likely model of several starts."""
    if states == 1:
        return np.maximum(counts.mean(axis=0, keepdims=True), 1e-6), np.ones((1, 1)), np.ones(1)
    best: tuple[float, Floats, Floats, Floats] | None = None
    for rates in _starts(counts, states):
        switch = np.full((states, states), 0.02 / (states - 1))
        np.fill_diagonal(switch, 0.98)
        first = np.full(states, 1.0 / states)
        value = learn(counts, rates, switch, first, 25, 0.1)
        if best is None or value > best[0]:
            best = value, rates, switch, first
    assert best is not None
    _, rates, switch, first = best
    learn(counts, rates, switch, first, 100, 0.01)
    return rates, switch, first


def _starts(counts: Counts, states: int) -> list[Floats]:
    """Rates of the bins in quantiles of four running means: all, late share, late, early photons."""
    total = counts.sum(axis=1)
    keys = [_running(total, 5), _running(counts[:, -1], 9) / np.maximum(_running(total, 9), 1e-9)]
    keys += [_running(counts[:, -1], 7), _running(counts[:, 0], 7)]
    # Without gates they are all of the same photons.
    keys = keys if counts.shape[1] > 1 else keys[::3]
    found = []
    for key in keys:
        group = np.searchsorted(np.quantile(key, np.linspace(0, 1, states + 1)[1:-1]), key)
        rates = np.empty((states, counts.shape[1]))
        for k in range(states):
            inside = counts[group == k]
            # A quantile may be empty where most bins are alike.
            rates[k] = inside.mean(axis=0) if len(inside) else counts.mean(axis=0) * (0.5 + k / states)
        found.append(rates + 0.01)
    return found


def _running(values: NDArray[np.integer], width: int) -> Floats:
    found: Floats = np.convolve(values, np.ones(width) / width, "same")
    return found


def _follow(counts: Counts, rates: Floats, switch: Floats, fine: int) -> tuple[Floats, Filter]:
    """Predictive log-likelihoods of all bins, and the filter behind them."""
    f = _filter(rates, switch, fine)
    return label_bins(f, counts, last=True)[2], f


def sample_accord(sample: Block, one: StateModel, other: StateModel) -> float:
    """Share of the sample's time in which two models agree on whether the emitter is neutral."""
    neutral = []
    for model in (one, other):
        own, _, _ = label_bins(model.filter(), sample_counts(sample, model.gates, model.fine), last=True)
        neutral.append(np.repeat(np.array(model.groups)[own] == 0, model.fine))
    length = min(len(each) for each in neutral)
    return float(np.mean(neutral[0][:length] == neutral[1][:length])) if length else 1.0


def label_bins(
    f: Filter, counts: Counts, *, last: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Follow the next bins: states of those that can be labelled by now, the same without their own counts, and the
    predictive log-likelihood of each that came. ``last``: no more will come, so all are labelled."""
    own, others = np.empty((2, len(counts) + LAG_BINS), np.int64)
    predicted = np.empty(len(counts))
    labelled = follow(counts, f, last, own, others, predicted)
    return own[:labelled], others[:labelled], predicted


def expected_accuracy(certainty: Floats, on: NDArray[np.bool_]) -> float:
    """Balanced accuracy of "on or not", from the posteriors summed by label (labels, states); 1 where all are one."""
    if on.all():
        return 1.0
    right = certainty[np.ix_(on, on)].sum(), certainty[np.ix_(~on, ~on)].sum()
    whole = certainty[:, on].sum(), certainty[:, ~on].sum()
    return float(np.mean([r / max(w, 1e-12) for r, w in zip(right, whole, strict=True)]))


def expected_wrong(certainty: Floats, on: NDArray[np.bool_]) -> float:
    """Share of the bins expected to be told wrongly "on or not", from the posteriors summed by label (labels, states).

    Unlike `expected_accuracy`, in which a state that is rare weighs as much as all of the rest.
    """
    wrong = certainty[np.ix_(on, ~on)].sum() + certainty[np.ix_(~on, on)].sum()
    return float(wrong / max(certainty.sum(), 1e-12))


def same_shares(gated: Floats, flat: Floats) -> tuple[int, ...]:
    """Group of each state: states are one while a chi-squared test cannot tell the shares of their gates apart.

    ``gated`` (K, gates) are the counts of each state, ``flat`` how many of them are background at the most: states are
    told apart only if they differ at any background from none to that, because a short period hides how much it is.
    The most similar are joined first. With one gate there are no shares, and every state is a group of its own.
    """
    groups = [[k] for k in range(len(gated))]
    while len(groups) > 1 and gated.shape[1] > 1:
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        alike = [
            max(_alike(gated, gated - part * flat, groups[i], groups[j]) for part in BACKGROUNDS)
            for i, j in pairs
        ]
        best = int(np.argmax(alike))
        if alike[best] < SAME_SHARES:
            break
        i, j = pairs[best]
        groups[j] += groups.pop(i)
    number = {state: n for n, members in enumerate(groups) for state in members}
    return tuple(number[k] for k in range(len(gated)))


def _alike(gated: Floats, signal: Floats, a: list[int], b: list[int]) -> float:
    """Probability of shares at least as different if they were the same."""
    parts = [signal[members].sum(axis=0) for members in (a, b)]
    if min(part.sum() for part in parts) <= 0.0:
        return 0.0
    shares = (parts[0] + parts[1]) / (parts[0].sum() + parts[1].sum())
    value = 0.0
    for part, members in zip(parts, (a, b), strict=True):
        noise = np.maximum(gated[members].sum(axis=0), 1.0)
        value += float((((part - part.sum() * shares) ** 2) / noise).sum())
    return float(chdtrc(gated.shape[1] - 1, value))
