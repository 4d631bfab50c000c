"""A hidden Markov model of photon counts: learning, smoothing, and a filter that follows slow drift in flow.

Each bin has counts in G gates, independent Poisson variables with the rates of the state that the emitter is in;
between bins it switches with fixed probabilities. Arrays: ``counts`` (bins, G) int32, ``rates`` (K, G) counts a bin,
``switch`` (K, K) from row to column, ``first`` (K,) before the first bin. Rabiner, Proc. IEEE 77, 257 (1989).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]

# No state is so dark that a count in it is impossible.
LEAST_RATE = 1e-6
# What every state and switch is given in learning, in bins: none dies out for good.
_PRIOR_BINS = 1e-3
# In place of the counts of a bin in which nobody looked.
UNSEEN = -1
# The filter's rates are brought up to date after so many bins.
UPDATE_BINS = 64


@njit(nogil=True, cache=True)
def _emission(counts: Counts, rates: Floats, log_rates: Floats, out: Floats) -> float:
    """Likelihood of one bin in every state, relative to the best one, whose logarithm is returned (less n!)."""
    states, gates = rates.shape
    if counts[0] == UNSEEN:
        out[:] = 1.0
        return 0.0
    best = -np.inf
    for k in range(states):
        total = 0.0
        for g in range(gates):
            total += counts[g] * log_rates[k, g] - rates[k, g]
        out[k] = total
        best = max(best, total)
    for k in range(states):
        out[k] = math.exp(out[k] - best)
    return best


@njit(nogil=True, cache=True)
def learn(
    counts: Counts, rates: Floats, switch: Floats, first: Floats, iterations: int, tolerance: float
) -> float:
    """Improve a model in place by expectation maximisation; returns the log-likelihood before the last step.

    It ends when a step gains less than ``tolerance``.
    """
    bins, gates = counts.shape
    states = rates.shape[0]
    forward, emission, scale = np.empty((bins, states)), np.empty((bins, states)), np.empty(bins)
    gated, occupancy, jumps = np.empty((states, gates)), np.empty(states), np.empty((states, states))
    backward, earlier, posterior = np.empty(states), np.empty(states), np.empty(states)
    before = -np.inf
    for _ in range(iterations):
        log_rates = np.log(rates)
        value = 0.0
        for t in range(bins):
            value += _emission(counts[t], rates, log_rates, emission[t])
            total = 0.0
            for k in range(states):
                expected = first[k]
                if t > 0:
                    expected = 0.0
                    for j in range(states):
                        expected += forward[t - 1, j] * switch[j, k]
                forward[t, k] = expected * emission[t, k]
                total += forward[t, k]
            scale[t] = total
            value += math.log(total)
            for k in range(states):
                forward[t, k] /= total
        gated[:], occupancy[:], jumps[:], backward[:] = 0.0, 0.0, 0.0, 1.0
        for t in range(bins - 1, -1, -1):
            total = 0.0
            for k in range(states):
                posterior[k] = forward[t, k] * backward[k]
                total += posterior[k]
            for k in range(states):
                posterior[k] /= total
                occupancy[k] += posterior[k]
                for g in range(gates):
                    gated[k, g] += posterior[k] * counts[t, g]
            if t > 0:
                for j in range(states):
                    total = 0.0
                    for k in range(states):
                        step = switch[j, k] * emission[t, k] * backward[k] / scale[t]
                        total += step
                        jumps[j, k] += forward[t - 1, j] * step
                    earlier[j] = total
                backward[:] = earlier
        for k in range(states):
            for g in range(gates):
                rates[k, g] = max(LEAST_RATE, gated[k, g] / (occupancy[k] + _PRIOR_BINS))
            total = jumps[k].sum() + states * _PRIOR_BINS
            for j in range(states):
                switch[k, j] = (jumps[k, j] + _PRIOR_BINS) / total
        first[:] = posterior
        if value - before < tolerance:
            break
        before = value
    return value


@njit(nogil=True, cache=True)
def left_out(counts: Counts, rates: Floats, switch: Floats, first: Floats) -> Floats:
    """Posterior of every bin's state (bins, K) from all other bins: its own counts have no say."""
    bins = len(counts)
    states = len(rates)
    log_rates = np.log(rates)
    emission, found = np.empty((bins, states)), np.empty((bins, states))
    now, later = first.copy(), np.empty(states)
    for t in range(bins):
        _emission(counts[t], rates, log_rates, emission[t])
        found[t] = now
        now = now * emission[t]
        now /= now.sum()
        for k in range(states):
            total = 0.0
            for j in range(states):
                total += now[j] * switch[j, k]
            later[k] = total
        now[:] = later
    backward = np.ones(states)
    for t in range(bins - 1, -1, -1):
        found[t] *= backward
        found[t] /= found[t].sum()
        for j in range(states):
            total = 0.0
            for k in range(states):
                total += switch[j, k] * emission[t, k] * backward[k]
            later[j] = total
        backward[:] = later / later.sum()
    return found


class Filter(NamedTuple):
    """The filter's whole state; made by `new_filter`.

    The last ``lag + 2`` bins stand in rings: those that wait for their label, and the one before. ``occupancy`` (K,),
    ``gated`` (K, G) and ``jumps`` (K, K) are what the rates and switches are learned from in flow; they fade, towards
    what the filter started from (``own_occupancy`` and so on): a state that has not been visited for long keeps its
    rates. ``certainty`` (K, K) sums the posteriors of the bins with each label, for estimates of error only. ``clock``:
    bins that came, bins that were labelled. ``fade``: what is left of a bin's weight in the learning after one more.
    """

    rates: Floats
    log_rates: Floats
    switch: Floats
    expected: Floats
    forward: Floats
    emission: Floats
    ring: Counts
    first: Floats
    occupancy: Floats
    gated: Floats
    jumps: Floats
    own_occupancy: Floats
    own_gated: Floats
    own_jumps: Floats
    certainty: Floats
    clock: NDArray[np.int64]
    fade: float


def new_filter(
    rates: Floats,
    switch: Floats,
    first: Floats,
    lag: int,
    weight: float,
    lasting: float = 0.0,
    forget: float = math.inf,
) -> Filter:
    """A filter at its beginning.

    What it starts from weighs as ``weight`` bins, and always as ``lasting`` ones; the learning forgets in ``forget``.
    """
    states, gates = rates.shape
    slots = lag + 2
    # Also a rare state keeps its rates for a while.
    share = np.maximum(first, 0.05)
    occupancy, own = weight * share, lasting * share
    return Filter(
        rates.copy(),
        np.log(rates),
        switch.copy(),
        np.empty((slots, states)),
        np.empty((slots, states)),
        np.empty((slots, states)),
        np.empty((slots, gates), np.int32),
        first.copy(),
        occupancy,
        occupancy[:, None] * rates,
        occupancy[:, None] * switch,
        own,
        own[:, None] * rates,
        own[:, None] * switch,
        np.zeros((states, states)),
        np.zeros(2, np.int64),
        1.0 - 1.0 / forget,
    )


@njit(nogil=True, cache=True)
def follow(
    counts: Counts,
    f: Filter,
    last: bool,
    own: NDArray[np.int64],
    others: NDArray[np.int64],
    predicted: Floats,
) -> int:
    """Take the next bins; label those that lie a lag before them (all, if these are the ``last``).

    A bin whose counts are UNSEEN says nothing: its state is what its neighbours make probable. ``own`` gets the most
    probable state of each labelled bin, ``others`` the one without its own counts; both have
    room for the bins and the lag. ``predicted`` (bins,) gets the log-likelihood (less n!) of each bin that came, given
    those before it. Returns how many bins were labelled. Any split of the bins into calls gives the same.
    """
    states, gates = f.rates.shape
    fade = f.fade
    slots = f.forward.shape[0]
    lag = slots - 2
    backward, earlier, posterior = np.empty(states), np.empty(states), np.empty(states)
    labelled = 0
    steps = counts.shape[0] + (lag if last else 0)
    for step in range(steps):
        if step < counts.shape[0]:
            t = f.clock[0]
            f.clock[0] += 1
            slot, previous = t % slots, (t - 1) % slots
            f.ring[slot] = counts[step]
            value = _emission(counts[step], f.rates, f.log_rates, f.emission[slot])
            total = 0.0
            for k in range(states):
                expected = f.first[k]
                if t > 0:
                    expected = 0.0
                    for j in range(states):
                        expected += f.forward[previous, j] * f.switch[j, k]
                f.expected[slot, k] = expected
                f.forward[slot, k] = expected * f.emission[slot, k]
                total += f.forward[slot, k]
            for k in range(states):
                f.forward[slot, k] /= total
            predicted[step] = value + math.log(total)
        newest = f.clock[0] - 1
        u = f.clock[1]
        if u > newest or (step < counts.shape[0] and u > newest - lag):
            continue
        backward[:] = 1.0
        for v in range(newest, u, -1):
            slot = v % slots
            norm = 0.0
            for j in range(states):
                total = 0.0
                for k in range(states):
                    total += f.switch[j, k] * f.emission[slot, k] * backward[k]
                earlier[j] = total
                norm += total
            for j in range(states):
                backward[j] = earlier[j] / norm
        slot = u % slots
        total = 0.0
        best = best_others = 0
        for k in range(states):
            posterior[k] = f.forward[slot, k] * backward[k]
            total += posterior[k]
            if posterior[k] > posterior[best]:
                best = k
            if f.expected[slot, k] * backward[k] > f.expected[slot, best_others] * backward[best_others]:
                best_others = k
        own[labelled], others[labelled] = best, best_others
        labelled += 1
        if f.ring[slot, 0] == UNSEEN:
            # Nothing is learned from it, neither of rates nor of how sure labels are.
            f.clock[1] += 1
            continue
        for k in range(states):
            posterior[k] /= total
            f.certainty[best, k] += posterior[k]
        # What is known of the bin before, by the counts up to that bin alone: those after it are in the other factors.
        earlier[:] = f.forward[(u - 1) % slots] if u > 0 else f.first
        norm = 0.0
        for j in range(states):
            for k in range(states):
                norm += earlier[j] * f.switch[j, k] * f.emission[slot, k] * backward[k]
        for j in range(states):
            f.occupancy[j] = fade * f.occupancy[j] + posterior[j] + (1.0 - fade) * f.own_occupancy[j]
            for g in range(gates):
                seen = posterior[j] * f.ring[slot, g]
                f.gated[j, g] = fade * f.gated[j, g] + seen + (1.0 - fade) * f.own_gated[j, g]
            for k in range(states):
                jump = (
                    earlier[j] * f.switch[j, k] * f.emission[slot, k] * backward[k] / norm if u > 0 else 0.0
                )
                f.jumps[j, k] = fade * f.jumps[j, k] + jump + (1.0 - fade) * f.own_jumps[j, k]
        f.clock[1] += 1
        if f.clock[1] % UPDATE_BINS == 0:
            for j in range(states):
                total = f.jumps[j].sum()
                for k in range(states):
                    f.switch[j, k] = f.jumps[j, k] / total
                for g in range(gates):
                    f.rates[j, g] = max(LEAST_RATE, f.gated[j, g] / f.occupancy[j])
                    f.log_rates[j, g] = math.log(f.rates[j, g])
    return labelled


@njit(nogil=True, cache=True)
def divide_bins(
    macrotime: NDArray[np.uint64], first: int, bin_ticks: int, parts: int, offsets: NDArray[np.int64]
) -> None:
    """Fill ``offsets``: the bins of ``bin_ticks`` from number ``first`` on, each divided into ``parts``.

    Part k holds the photons ``offsets[k]:offsets[k + 1]``; the last one holds whatever is left.
    """
    i = np.uint64(0)
    end = np.uint64(macrotime.size)
    for k in range(offsets.size - 1):
        begin = np.uint64((first + k // parts) * bin_ticks + k % parts * bin_ticks // parts)
        while i < end and macrotime[i] < begin:
            i += np.uint64(1)
        offsets[k] = i
    offsets[-1] = end


@njit(nogil=True, cache=True)
def count_gates(
    offsets: NDArray[np.int64],
    channel: NDArray[np.uint8],
    dtime: NDArray[Any],
    shift: np.uint32,
    limit: np.uint32,
    gate_of: NDArray[np.uint8],
    counts: Counts,
) -> None:
    """Add the photons of each bin to its gates.

    Bin ``b`` holds the photons ``offsets[b]:offsets[b + 1]``; a photon's gate is ``gate_of[channel, dtime >> shift]``.
    Those with a gate that ``counts`` (bins, gates) does not have, or a dtime from ``limit`` on, belong to none.
    """
    gates = counts.shape[1]
    for b in range(offsets.size - 1):
        for i in range(np.uint64(offsets[b]), np.uint64(offsets[b + 1])):
            d = np.uint32(dtime[i])
            if d < limit:
                gate = gate_of[channel[i], d >> shift]
                if gate < gates:
                    counts[b, gate] += 1


@njit(nogil=True, cache=True)
def count_delays(
    channel: NDArray[np.uint8],
    dtime: NDArray[Any],
    shift: np.uint32,
    limit: np.uint32,
    decays: NDArray[np.int64],
) -> None:
    """Add photons to ``decays`` (channels, classes) at ``dtime >> shift``, but for dtimes from ``limit`` on."""
    for i in range(channel.size):
        d = np.uint32(dtime[i])
        if d < limit:
            decays[channel[i], d >> shift] += 1
