"""The exact decay of an emitter that holds several excitons, also with leftovers from earlier pulses.

An emitter with n excitons loses one at a time. Photons leave on the radiative steps,

    radiative(n) = k_r s^(log2 n),     k_r = Q_x / tau_x     (n^2 k_r for s = 4)
    total(1) = 1 / tau_x,    total(2) = 1 / tau_xx
    total(n) = radiative(n) + k_A n^2 (n - 1) / 4,     k_A = 1 / tau_xx - s k_r     for n >= 3

where k_A is the Auger rate of the biexciton. For n >= 3 this is an assumption: Auger recombination by
counting the triples n^2 (n-1) / 2, radiation by counting pairs. Such a chain is linear, so that its decay is
a sum of exponentials with the rates total(1), total(2), ... and amplitudes from the eigenvectors of the rate
matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Cascade:
    """An emitter. ``radiative_ratio`` is s, the radiative rate of n = 2 in units of that of n = 1.

    Absorption that would give more than ``max_excitons`` gives that many; 2 is the two-level world in which
    the formula of beta is derived.
    """

    tau_x_s: float
    tau_xx_s: float
    quantum_yield_x: float = 1.0
    radiative_ratio: float = 4.0
    max_excitons: int = 12

    @property
    def auger_rate_hz(self) -> float:
        """Non-radiative rate of the biexciton; negative where the lifetimes contradict s."""
        return 1.0 / self.tau_xx_s - self.radiative_ratio * self.quantum_yield_x / self.tau_x_s

    def problem(self) -> str | None:
        """One sentence on why there can be no such emitter, or None."""
        if not (self.tau_x_s > 0 and self.tau_xx_s > 0):
            return "lifetimes must be positive"
        if not 0 < self.quantum_yield_x <= 1:
            return "quantum_yield_x must lie between 0 and 1"
        if not self.radiative_ratio >= 1:
            return "radiative_ratio must be 1 or more"
        if not 1 <= self.max_excitons <= 32:
            return "max_excitons must lie between 1 and 32"
        if self.auger_rate_hz < 0:
            longest_ns = 1e9 * self.tau_x_s / (self.radiative_ratio * self.quantum_yield_x)
            return f"tau_xx cannot be above tau_x / (s Q_x) = {longest_ns:.3g} ns"
        if self.tau_xx_s >= self.tau_x_s:
            return "tau_xx must be below tau_x"
        return None


def radiative_rates_hz(cascade: Cascade) -> NDArray[np.float64]:
    """Radiative rate with n excitons, n = 0 ... max_excitons; shape (max_excitons + 1,)."""
    n = np.arange(1, cascade.max_excitons + 1)
    rates = cascade.quantum_yield_x / cascade.tau_x_s * cascade.radiative_ratio ** np.log2(n)
    return np.concatenate(([0.0], rates))


def total_rates_hz(cascade: Cascade) -> NDArray[np.float64]:
    """Rate of losing one of n excitons, n = 0 ... max_excitons; shape (max_excitons + 1,)."""
    n = np.arange(cascade.max_excitons + 1)
    rates = radiative_rates_hz(cascade) + cascade.auger_rate_hz * n**2 * (n - 1.0) / 4.0
    rates[1] = 1.0 / cascade.tau_x_s
    return rates


def exciton_distribution(mean_n: float, cm_efficiency: float, max_excitons: int) -> NDArray[np.float64]:
    """Probability that a pulse creates m excitons, m = 0 ... max_excitons; the last holds all beyond.

    A pulse is absorbed k ~ Poisson(``mean_n``) times; each time gives two excitons with probability
    ``cm_efficiency`` and else one.
    """
    probabilities = np.zeros(max_excitons + 1)
    # From m photons on a pulse gives at least m excitons, so the rest belongs to the last element.
    for photons in range(max_excitons + 1):
        absorbed = math.exp(-mean_n) * mean_n**photons / math.factorial(photons)
        for doubled in range(photons + 1 if cm_efficiency else 1):
            single = (1 - cm_efficiency) ** (photons - doubled)
            share = math.comb(photons, doubled) * cm_efficiency**doubled * single
            probabilities[min(photons + doubled, max_excitons)] += absorbed * share
    probabilities[-1] += max(0.0, 1.0 - float(probabilities.sum()))
    return probabilities


def biexciton_share(mean_n: float, cm_efficiency: float) -> float:
    """B, the share of excited pulses with more than one exciton: 1 - (1 - eta) N / (e^N - 1)."""
    return 1.0 - (1.0 - cm_efficiency) * mean_n / math.expm1(mean_n)


def expected_decay(
    cascade: Cascade, mean_n: float, cm_efficiency: float, period_s: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean photon rate after a pulse: sum_j amplitude_j exp(-rate_j t), before any detector.

    Returns ``(rates_hz, amplitudes_hz)`` of n = 1, 2, ..., each of shape (max_excitons,); amplitudes are
    photons per second and pulse. Without ``period_s`` each pulse finds the emitter empty. With it, excitons
    left over from earlier pulses are there too, in the stationary state of a pulse train; amplitudes are then
    referred to one pulse, so that the decay within a period is their sum over all earlier pulses, amplitude_j
    exp(-rate_j t) / (1 - exp(-rate_j period)). Where pulses overlap, n excitons that met in the emitter decay
    faster than they would alone, and amplitudes differ from those of a single pulse.

    Raises ValueError for an emitter that cannot be.
    """
    problem = cascade.problem()
    if problem:
        raise ValueError(problem)
    totals = total_rates_hz(cascade)
    vectors = _eigenvectors(totals)
    created = exciton_distribution(mean_n, cm_efficiency, cascade.max_excitons)
    radiative = radiative_rates_hz(cascade) @ vectors
    if period_s is None:
        weights = np.linalg.solve(vectors, created)
        return totals[1:], (weights * radiative)[1:]
    occupation = stationary_occupation(cascade, created, period_s)
    weights = np.linalg.solve(vectors, occupation)
    return totals[1:], (weights * radiative * -np.expm1(-totals * period_s))[1:]


def stationary_occupation(
    cascade: Cascade, created: NDArray[np.float64], period_s: float
) -> NDArray[np.float64]:
    """Probability of n excitons right after a pulse of an endless train; shape (max_excitons + 1,).

    ``created`` is the `exciton_distribution` of one pulse.
    """
    totals = total_rates_hz(cascade)
    vectors = _eigenvectors(totals)
    over_period = vectors * np.exp(-totals * period_s) @ np.linalg.inv(vectors)
    size = created.size
    step = _pulse(created) @ over_period
    # The stationary vector, with the redundant last equation replaced by the sum of probabilities.
    system = step - np.eye(size)
    system[-1] = 1.0
    target = np.zeros(size)
    target[-1] = 1.0
    return np.asarray(np.linalg.solve(system, target), np.float64)


@njit(nogil=True, cache=True)
def _pulse(created: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a pulse makes of the probabilities of n excitons; shape (n, n)."""
    size = created.size
    pulse = np.zeros((size, size))
    for before in range(size):
        for more in range(size):
            pulse[min(before + more, size - 1), before] += created[more]
    return pulse


@njit(nogil=True, cache=True)
def _eigenvectors(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns are the eigenvectors of the chain n -> n - 1; upper triangular with ones on the diagonal."""
    size = totals.size
    vectors = np.eye(size)
    for j in range(1, size):
        for n in range(j - 1, -1, -1):
            vectors[n, j] = totals[n + 1] * vectors[n + 1, j] / (totals[n] - totals[j])
    return vectors
