"""g2(0) from pairs of photons: where the centre is, its ratio to the side peaks, and how many emitters that means.

A centre peak is compared with the mean of the side peaks. Plain g2(0) of such an emitter measures the yield of its
biexcitons or carrier multiplication. How many emitters there are is asked of pairs in which both photons came late,
when no biexciton is left (Mangum et al., Opt. Express 21, 7419, 2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, betaincinv

from photonstream.nodes.inference.cascade import (
    Cascade,
    exciton_distribution,
    radiative_rates_hz,
    total_rates_hz,
)
from photonstream.nodes.inference.estimate import Z95, Estimate
from photonstream.nodes.inference.pair_peaks import Counts

# A peak stands out when chance makes one of the peaks so low (or high) less often than this.
STANDS_OUT = 1e-3
# A side peak below this share of the others lacks pairs: the electronics were blind then.
BLIND_SHARE = 0.5
# With more than one emitter, equal ones, late pairs give 1/2 or more; with one, 0.
ONE_EMITTER_LIMIT = 0.3
MORE_THAN_ONE = "more than one"
_LEVELS = math.erf(math.sqrt(0.5)), 0.95


@dataclass(frozen=True)
class Centre:
    """Index of the centre among the peaks, and how it was found: "dip", "peak", "given" or "not found"."""

    index: int
    found: str


def ratio(centre: int, sides: int, n_sides: float) -> Estimate | None:
    """Centre over the mean of ``n_sides`` side peaks with ``sides`` pairs in all; None without side pairs.

    The intervals are exact: of two Poisson counts, given their sum, the first is binomial (Clopper and Pearson 1934;
    Przyborowski and Wilenski 1940).
    """
    if not sides:
        return None
    value = n_sides * centre / sides
    ci68, ci95 = (_ratio_interval(centre, sides, n_sides, level) for level in _LEVELS)
    if not centre:
        return Estimate(value, None, ci68, ci95, "no pair at the centre")
    return Estimate(value, value * math.sqrt(1 / centre + 1 / sides), ci68, ci95)


def _ratio_interval(centre: int, sides: int, n_sides: float, level: float) -> tuple[float, float]:
    tail = 0.5 * (1.0 - level)
    low = float(betaincinv(centre, sides + 1, tail)) if centre else 0.0
    high = float(betaincinv(centre + 1, sides, 1.0 - tail))
    return n_sides * low / (1.0 - low), n_sides * high / (1.0 - high)


def find_centre(pairs: Counts) -> Centre:
    """The peak that stands out, a low one before a high one; the middle one where none does."""
    low, high = int(np.argmin(pairs)), int(np.argmax(pairs))
    if high != low:
        # A high peak must not make the others look low, nor a low one the others high: it is left out.
        n = len(pairs) - 1
        total = int(pairs.sum())
        if n * bdtr(pairs[low], total - pairs[high], 1.0 / n) < STANDS_OUT:
            return Centre(low, "dip")
        if n * bdtrc(pairs[high] - 1, total - pairs[low], 1.0 / n) < STANDS_OUT:
            return Centre(high, "peak")
    return Centre(len(pairs) // 2, "not found")


def side_peaks(n: int, centre: int) -> NDArray[np.bool_]:
    """Which of ``n`` peaks the centre is compared with: those further from it than half of the separations.

    An exciton that outlives the period empties the nearest ones too: at T = tau_x the first holds .63 of the others.
    """
    away = np.abs(np.arange(n) - centre)
    far: NDArray[np.bool_] = away > n // 4
    return far


def blind(pairs: Counts, centre: int) -> Counts:
    """Side peaks that lack pairs, by index."""
    sides = np.delete(np.arange(len(pairs)), centre)
    usual = float(np.quantile(pairs[sides], 0.75))
    few = pairs[sides] < BLIND_SHARE * usual
    # Given the sum of two equal Poisson counts, one of them is binomial with 1/2.
    chance = bdtr(pairs[sides], pairs[sides] + round(usual), 0.5)
    missing: Counts = sides[few & (len(sides) * chance < STANDS_OUT)]
    return missing


def corrected(estimate: Estimate, signal: Estimate) -> Estimate:
    """g2(0) of the signal alone, (g - 1)/rho^2 + 1; ``signal`` is rho^2, the share of pairs of two signal photons.

    The error of rho^2 is added to that of counting in quadrature.
    """
    value = (estimate.value - 1.0) / signal.value + 1.0
    other = abs(value - 1.0) / signal.value * (signal.stderr or 0.0)
    return estimate.carried(value, 1.0 / signal.value, other)


def verdict(late: Estimate | None) -> str:
    """The number of emitters that late pairs allow, in words."""
    if late is None or late.ci95 is None or late.ci95[0] is None or late.ci95[1] is None:
        return "too few pairs"
    if late.ci95[1] < ONE_EMITTER_LIMIT:
        return "consistent with one emitter"
    return MORE_THAN_ONE if late.ci95[0] > ONE_EMITTER_LIMIT else "too few pairs"


def leftover_share(mean_n: float, period_per_tau_x: float) -> float:
    """How often a pulse finds an exciton of an earlier one, to first order: (1 - e^-N) e^(-T/tau_x)."""
    return -math.expm1(-mean_n) * math.exp(-period_per_tau_x)


def yield_ratio(g2: Estimate, mean_n: float, leftover: float = 0.0) -> Estimate | None:
    """Quantum yield of the biexciton over that of the exciton, without carrier multiplication, at ``mean_n``.

    Solves g2 = 2 B r/[p (1 + B r)^2] with p = 1 - e^-N and B the share of excited pulses that leave two excitons or
    more: 1 - N/(e^N - 1) absorb twice, and of the others a share ``leftover`` finds one that was there
    (`leftover_share`). None where no yield gives such a g2.
    """
    ends = [_yield_ratio(x, mean_n, leftover) for x in (g2.value, *(g2.ci68 or ()), *(g2.ci95 or ()))]
    if ends[0] is None or len(ends) != 5:
        return None
    error = None if ends[1] is None or ends[2] is None else 0.5 * (ends[2] - ends[1])
    return Estimate(ends[0], error, (ends[1], ends[2]), (ends[3], ends[4]))


def cascade_yield_ratio(g2: float, mean_n: float, s: float, leftover: float = 0.0) -> float | None:
    """The same at its best value where three and more excitons follow the n^2 cascade, with an exciton of yield 1.

    A pulse that leaves m excitons gives a photon at each step n = m ... 1 with the yield q_n of that step, so that
    g2 = 2 <sum_{i<n} q_i q_n>/<sum q_n>^2, over m. None where no yield gives such a g2.
    """
    # Imported here: it takes as long as all else, and most processes of a run never come here.
    from scipy.optimize import brentq

    def miss(ratio: float) -> float:
        # k_r = 1 and tau_xx = 1/(s + Auger rate), so that the biexciton has this yield.
        emitter = Cascade(1.0, ratio / s, radiative_ratio=s)
        yields = radiative_rates_hz(emitter)[1:] / total_rates_hz(emitter)[1:]
        created = exciton_distribution(mean_n, 0.0, yields.size)[1:]
        found = leftover * created[:-1]
        created = created + np.append(0.0, found) - np.append(found, 0.0)
        sums = np.cumsum(yields)
        pairs = np.cumsum(yields * (sums - yields))
        return 2.0 * float((created * pairs).sum()) / float((created * sums).sum()) ** 2 - g2

    low, high = 1e-9, 1.0
    return float(brentq(miss, low, high)) if miss(low) < 0.0 < miss(high) else None


def _yield_ratio(g2: float | None, mean_n: float, leftover: float) -> float | None:
    if g2 is None:
        return None
    once = (1.0 - leftover) * mean_n / math.expm1(mean_n)
    twice = 1.0 - once
    y = max(0.0, g2) * -math.expm1(-mean_n) / (2.0 * twice)
    root = 1.0 - 4.0 * twice * y
    if root < 0.0:
        return None
    # The smaller root of B^2 y r^2 + (2 B y - 1) r + y = 0, in the form that does not cancel.
    return 2.0 * y / (1.0 - 2.0 * twice * y + math.sqrt(root))


def delay_phase(delays: Counts, start_s: float, bin_s: float, period_s: float) -> Estimate | None:
    """Where peaks that repeat every period stand, from -period/2 to period/2: phase of the first Fourier component."""
    total = int(delays.sum())
    if not total:
        return None
    middle_s = start_s + (np.arange(len(delays)) + 0.5) * bin_s
    turn = np.exp(2j * math.pi * middle_s / period_s)
    first, second = complex((delays * turn).sum()) / total, complex((delays * turn**2).sum()) / total
    length = abs(first)
    if length * math.sqrt(total) < 3.0:
        return None
    unit = first / length
    # Standard error of a mean direction (Mardia and Jupp, Directional Statistics, 4.8).
    spread = max(0.0, 1.0 - (second * unit.conjugate() ** 2).real) / (2.0 * length**2)
    scale_s = period_s / (2.0 * math.pi)
    value_s = math.atan2(unit.imag, unit.real) * scale_s
    error_s = math.hypot(math.sqrt(spread / total) * scale_s, bin_s / math.sqrt(12.0 * total))
    return normal(value_s, error_s)


def normal(value: float, error: float) -> Estimate:
    """A value with a normal error."""
    return Estimate(value, error, (value - error, value + error), (value - Z95 * error, value + Z95 * error))
