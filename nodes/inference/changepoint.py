"""States of an emitter from the changes of its intensity alone: a second opinion that knows no bins and no delays.

Changes are found photon by photon (`kernels.changepoint`). The stretches between them are joined into levels of one
rate each, the most alike first, improved by expectation maximisation, and as many levels are kept as the Bayesian
information criterion asks for (L. P. Watkins, H. Yang, J. Phys. Chem. B 109, 617 (2005)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.gates import background_share, place_gates
from photonstream.nodes.inference.hidden_markov import same_shares
from photonstream.nodes.kernels.changepoint import MOST_WINDOW, Tables, confidence, find_changes

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_LEVELS = 6
# Critical values by the number of waiting times, from constant rates simulated 1000 to 20 000 times each.
_WAITS = (4, 16, 64, 256, 1024, 4096, 16384, 65536)
CRITICAL = {
    0.05: (3.17, 4.43, 5.30, 5.81, 6.13, 6.29, 6.46, 6.54),
    0.01: (5.06, 6.71, 7.67, 8.33, 8.70, 8.89, 9.15, 9.25),
}
# Stretches are sorted by rate and taken together so far that this many groups begin to be joined.
_MOST_GROUPS = 400
_ITERATIONS = 200
# A level holds at least this share of the time, or it cannot be the neutral one.
_SHORTEST_SHARE = 0.02
_TINY = 1e-300


def tables(alpha: float) -> Tables:
    """What `find_changes` needs for a probability ``alpha`` of a change found in a window of constant rate."""
    n = np.arange(MOST_WINDOW + 1, dtype=np.float64)
    inverse = np.divide(1.0, n, out=np.zeros_like(n), where=n > 0)
    n_log_n = n * np.log(np.maximum(n, 1.0))
    digamma = np.concatenate([[0.0, 0.0], np.cumsum(inverse[1:-1])])
    trigamma = np.pi**2 / 6 - np.concatenate([[0.0, 0.0], np.cumsum(inverse[1:-1] ** 2)])
    critical = np.interp(np.log2(np.maximum(n, 1.0)), np.log2(_WAITS), CRITICAL[alpha])
    return Tables(n_log_n, digamma, trigamma, critical)


@dataclass(frozen=True, eq=False)
class Stretches:
    """Parts of constant rate: ``photons`` (n,), ``ticks`` (n,); ``first`` (n + 1,) photon of each and of the end.

    ``unsure_ticks`` (n - 1,): how long the 95 % region of each change is.
    """

    first: Integers
    photons: Integers
    ticks: Integers
    unsure_ticks: Integers


def divide(times: NDArray[Any], stop: int, alpha: float) -> Stretches:
    """The stretches of a recording of photons at ``times`` (ticks that do not fall) from tick 0 to ``stop``."""
    table = tables(alpha)
    changes = find_changes(times, table)
    regions = confidence(times, changes, table)
    at = times.astype(np.int64)[changes]
    first = np.concatenate([[0], changes, [len(times)]])
    ticks = np.diff(np.concatenate([[0], at, [stop]]))
    ends = times[np.minimum(regions, len(times) - 1)].astype(np.int64) if len(changes) else regions
    return Stretches(first, np.diff(first), np.maximum(ticks, 1), ends[:, 1] - ends[:, 0])


def levels_of(stretches: Stretches) -> Integers:
    """The level of each stretch, 0 the darkest, as many levels as the criterion asks for."""
    photons, ticks = stretches.photons.astype(float), stretches.ticks.astype(float)
    start = _joined(photons, ticks)
    best, found = -np.inf, np.zeros(len(photons), np.int64)
    for levels in range(1, min(MOST_LEVELS, len(start)) + 1):
        level, likelihood = _improve(photons, ticks, start[levels - 1])
        changes = int(np.count_nonzero(np.diff(level)))
        cost = (2 * levels - 1) * np.log(len(photons)) + changes * np.log(photons.sum() + 1.0)
        if 2.0 * likelihood - cost > best:
            best, found = 2.0 * likelihood - cost, level
    rates = _rates(photons, ticks, found)
    order = np.argsort(np.argsort(rates, kind="stable"), kind="stable")
    ordered: Integers = order[found]
    return ordered


def _rates(photons: Floats, ticks: Floats, level: Integers) -> Floats:
    found: Floats = np.bincount(level, photons) / np.maximum(np.bincount(level, ticks), 1.0)
    return found


def _joined(photons: Floats, ticks: Floats) -> list[Floats]:
    """Rates of 1, 2, ... levels (each ascending), by joining the groups whose joining costs least likelihood.

    Groups are neighbours in rate, so only those need to be compared.
    """
    order = np.argsort(photons / ticks, kind="stable")
    begins = np.unique(np.linspace(0, len(order), min(_MOST_GROUPS, len(order)), endpoint=False).astype(int))
    n, t = np.add.reduceat(photons[order], begins), np.add.reduceat(ticks[order], begins)
    found: list[Floats] = []
    while True:
        if len(n) <= MOST_LEVELS:
            found.insert(0, n / t)
        if len(n) == 1:
            return found
        loss = _information(n[1:], t[1:]) + _information(n[:-1], t[:-1])
        loss -= _information(n[1:] + n[:-1], t[1:] + t[:-1])
        k = int(np.argmin(loss))
        n, t = (np.concatenate([x[:k], [x[k] + x[k + 1]], x[k + 2 :]]) for x in (n, t))


def _information(n: Floats, t: Floats) -> Floats:
    found: Floats = n * np.log(np.maximum(n, 1.0) / t)
    return found


def _improve(photons: Floats, ticks: Floats, rates: Floats) -> tuple[Integers, float]:
    """The most probable level of each stretch, and the log-likelihood (less n!) of the mixture of levels."""
    rates = np.maximum(rates, 1.0 / ticks.sum())
    share = np.full(len(rates), 1.0 / len(rates))
    before = -np.inf
    for _ in range(_ITERATIONS):
        joint = photons[:, None] * np.log(rates) - ticks[:, None] * rates + np.log(share + _TINY)
        top = joint.max(axis=1, keepdims=True)
        weight = np.exp(joint - top)
        total = weight.sum(axis=1, keepdims=True)
        likelihood = float((top + np.log(total)).sum())
        if likelihood - before < 1e-6 * max(1.0, abs(before) * 1e-6):
            break
        before = likelihood
        weight /= total
        share = weight.mean(axis=0)
        rates = np.maximum((weight * photons[:, None]).sum(axis=0), 0.5) / np.maximum(
            (weight * ticks[:, None]).sum(axis=0), 1.0
        )
    level: Integers = joint.argmax(axis=1).astype(np.int64)
    # Levels that no stretch is of are none.
    _, level = np.unique(level, return_inverse=True)
    return level.astype(np.int64), likelihood


def neutral_levels(decays: NDArray[np.int64], ticks: Integers) -> NDArray[np.bool_]:
    """Which levels are the neutral state, by the rule of the hidden Markov states.

    ``decays`` (levels, channels, classes of one period); ``ticks`` (levels,) the time in each. Levels whose shares of
    delays agree are one; neutral are those with the highest rate of late photons without background. Without delays
    to tell by, the brightest.
    """
    gates = place_gates(decays.sum(axis=0)) if decays.shape[2] > 1 else None
    share = ticks / ticks.sum()
    if gates is None:
        rates = np.where(share >= _SHORTEST_SHARE, decays.sum(axis=(1, 2)) / ticks, -1.0)
        brightest: NDArray[np.bool_] = np.arange(len(ticks)) == int(np.argmax(rates))
        return brightest
    table = gates.table()
    gated = np.zeros((len(ticks), 4))
    aligned = np.zeros(decays.shape[2], np.int64)
    for channel, t0 in gates.t0.items():
        for gate in range(gated.shape[1]):
            gated[:, gate] += decays[:, channel, table[channel] == gate].sum(axis=1)
        aligned += np.roll(decays[:, channel].sum(axis=0), -t0)
    widths = gates.widths({c: int(decays[:, c].sum()) for c in gates.t0})
    dark = background_share(aligned) * gated.sum() / ticks.sum() * widths
    flat = ticks[:, None] * dark
    groups = np.array(same_shares(gated, flat))
    late = np.where(share >= _SHORTEST_SHARE, (gated - flat)[:, -1] / ticks, -np.inf)
    neutral: NDArray[np.bool_] = groups == groups[int(np.argmax(late))]
    return neutral
