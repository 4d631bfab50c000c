"""Changes of intensity in photon arrival times, one by one, without bins.

For a stretch of N waiting times with one change after the k-th, at the share V of its length, the generalised
likelihood ratio is L_k = k ln(k/(N V)) + (N - k) ln((N - k)/(N (1 - V))). Its mean and width for a constant rate follow
from V ~ Beta(k, N - k); the statistic is (L_k - mean)/width + ln(4 k (N - k)/N^2)/2, the largest over k (L. P. Watkins,
H. Yang, J. Phys. Chem. B 109, 617 (2005)). ``times`` are ticks that do not fall.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Times = NDArray[Any]

# A search begins with so many photons after the last change; without one it doubles, up to the most.
FIRST_WINDOW, MOST_WINDOW = 1024, 65536
# Passes in which changes are tried again between their neighbours.
_PASSES = 20
# Ends of the region of confidence, as shares of the likelihood.
_TAIL = 0.025


class Tables(NamedTuple):
    """By n up to MOST_WINDOW: n ln n, digamma and trigamma up to a constant, and the critical value of n waits."""

    n_log_n: Floats
    digamma: Floats
    trigamma: Floats
    critical: Floats


@njit(nogil=True, cache=True)
def strongest(times: Times, a: int, b: int, tables: Tables) -> tuple[int, float]:
    """The photon between ``a`` and ``b`` at which a change is most likely, and the statistic there (-inf: none)."""
    n = b - a
    found, best = -1, -np.inf
    start = np.int64(times[a])
    length = float(np.int64(times[b]) - start)
    if n < 2 or length <= 0.0:
        return found, best
    psi, psi1 = tables.digamma, tables.trigamma
    for k in range(1, n):
        waited = float(np.int64(times[a + k]) - start)
        if waited <= 0.0 or waited >= length:
            continue
        m = n - k
        value = _ratio(k, n, waited / length, tables)
        mean = tables.n_log_n[k] + tables.n_log_n[m] - tables.n_log_n[n]
        mean += k * (psi[n] - psi[k]) + m * (psi[n] - psi[m])
        spread = k * k * (psi1[k] - psi1[n]) + m * m * (psi1[m] - psi1[n]) - 2.0 * k * m * psi1[n]
        weight = 0.5 * math.log(4.0 * k * m / (float(n) * n))
        value = (value - mean) / math.sqrt(max(spread, 1e-12)) + weight
        if value > best:
            found, best = a + k, value
    return found, best


@njit(nogil=True, cache=True)
def _ratio(k: int, n: int, share: float, tables: Tables) -> float:
    """Logarithm of the likelihood ratio of a change after ``k`` of ``n`` waits, at ``share`` of their time."""
    value = tables.n_log_n[k] + tables.n_log_n[n - k] - tables.n_log_n[n]
    return float(value - k * math.log(share) - (n - k) * math.log(1.0 - share))


@njit(nogil=True, cache=True)
def _divide(times: Times, a: int, b: int, tables: Tables, found: Integers) -> int:
    """Changes within one window by recursive division, ascending into ``found``; returns how many."""
    # Ends of the stretches that are still to be divided, the first one on top.
    ends = np.empty(b - a + 2, np.int64)
    ends[0] = b
    waiting, changes, begin = 1, 0, a
    while waiting:
        end = ends[waiting - 1]
        k, value = strongest(times, begin, end, tables)
        if value > tables.critical[end - begin]:
            ends[waiting] = k
            waiting += 1
            continue
        waiting -= 1
        begin = end
        if end < b:
            found[changes] = end
            changes += 1
    return changes


@njit(nogil=True, cache=True)
def _around(changes: Integers, count: int, j: int, last: int) -> tuple[int, int]:
    """The stretch between the neighbours of change ``j``, at most MOST_WINDOW long."""
    half = MOST_WINDOW // 2
    a = changes[j - 1] if j else 0
    b = changes[j + 1] if j + 1 < count else last
    return max(a, changes[j] - half), min(b, changes[j] + half)


@njit(nogil=True, cache=True)
def find_changes(times: Times, tables: Tables) -> Integers:
    """The photons at which the rate changes, ascending.

    A window begins at the last change and grows until another one is in it. In the end every change is tried again
    between its neighbours, which moves it to its best place or takes it away.
    """
    last = times.size - 1
    changes = np.empty(max(1, times.size), np.int64)
    window = np.empty(MOST_WINDOW + 1, np.int64)
    count, a, width = 0, 0, FIRST_WINDOW
    while a < last:
        b = min(a + width, last)
        here = _divide(times, a, b, tables, window)
        if here:
            changes[count : count + here] = window[:here]
            count += here
            a, width = changes[count - 1], FIRST_WINDOW
        elif b == last:
            break
        elif width < MOST_WINDOW:
            width *= 2
        else:
            a += MOST_WINDOW // 2
    for _ in range(_PASSES):
        moved, kept = False, 0
        for j in range(count):
            change = changes[j]
            # Those before are tried already and stand at the front.
            changes[kept] = change
            a = max(changes[kept - 1] if kept else 0, change - MOST_WINDOW // 2)
            b = min(changes[j + 1] if j + 1 < count else last, change + MOST_WINDOW // 2)
            k, value = strongest(times, a, b, tables)
            if value > tables.critical[b - a]:
                changes[kept] = k
                kept += 1
                moved |= k != change
            else:
                moved = True
        count = kept
        if not moved:
            break
    return changes[:count].copy()


@njit(nogil=True, cache=True)
def confidence(times: Times, changes: Integers, tables: Tables) -> Integers:
    """Photons (changes, 2) between which each change lies with 95 % probability, given its neighbours."""
    last = times.size - 1
    found = np.empty((changes.size, 2), np.int64)
    for j in range(changes.size):
        a, b = _around(changes, changes.size, j, last)
        start = np.int64(times[a])
        length = float(np.int64(times[b]) - start)
        values = np.full(b - a, -np.inf)
        for k in range(1, b - a):
            share = float(np.int64(times[a + k]) - start) / length
            if 0.0 < share < 1.0:
                values[k] = _ratio(k, b - a, share, tables)
        sums = np.cumsum(np.exp(values - values.max()))
        found[j, 0] = a + np.searchsorted(sums, _TAIL * sums[-1])
        found[j, 1] = a + np.searchsorted(sums, (1.0 - _TAIL) * sums[-1])
    return found
