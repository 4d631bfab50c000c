"""How well a model explains its histograms."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_model import Floats

# Bins are joined until this many counts are expected, where Pearson's chi-squared and signs are near normal.
GROUP_COUNTS = 25.0
_DIRECT_BELOW = 100.0
_LOCAL_WIDTHS = (16, 64, 256)


@njit(nogil=True, cache=True)
def deviance_moments(means: Floats) -> tuple[float, float]:
    """Expectation and variance of the Poisson deviance of bins with these means.

    Summed term by term below a mean of 100; above, from D/(1 + 1/(6 mu)) being chi-squared with one degree of
    freedom to this order.
    """
    expectation = 0.0
    variance = 0.0
    for mean in means:
        if mean >= _DIRECT_BELOW:
            stretch = 1.0 + 1.0 / (6.0 * mean)
            expectation += stretch
            variance += 2.0 * stretch * stretch
            continue
        if mean <= 0.0:
            continue
        last = int(mean + 10.0 * math.sqrt(mean) + 20.0)
        log_mean = math.log(mean)
        probability = math.exp(-mean)
        first = 2.0 * mean
        sum1 = probability * first
        sum2 = probability * first * first
        for n in range(1, last + 1):
            probability *= mean / n
            term = 2.0 * (mean - n + n * (math.log(n) - log_mean))
            sum1 += probability * term
            sum2 += probability * term * term
        expectation += sum1
        variance += sum2 - sum1 * sum1
    return expectation, variance


@njit(nogil=True, cache=True)
def group_starts(means: Floats) -> NDArray[np.int64]:
    """First bin of each group of neighbours that together expect at least 25 counts; the rest joins the last."""
    starts = np.zeros(max(means.size, 1), np.int64)
    count, held, start = 0, 0.0, 0
    for b in range(means.size):
        held += means[b]
        if held >= GROUP_COUNTS:
            starts[count] = start
            count += 1
            held, start = 0.0, b + 1
    return starts[: max(count, 1)].copy()


def runs_z(signs: list[np.ndarray]) -> float | None:
    """Wald-Wolfowitz z of the number of runs of equal sign, channels apart; negative means too few runs.

    None where there is nothing to count.
    """
    runs, expected, variance = 0.0, 0.0, 0.0
    for row in signs:
        above = int(np.count_nonzero(row))
        below = row.size - above
        n = above + below
        if above == 0 or below == 0 or n < 3:
            continue
        runs += 1 + int(np.count_nonzero(row[1:] != row[:-1]))
        expected += 1.0 + 2.0 * above * below / n
        variance += 2.0 * above * below * (2.0 * above * below - n) / (n * n * (n - 1.0))
    return (runs - expected) / math.sqrt(variance) if variance > 0.0 else None


def local_z(terms: Floats) -> float | None:
    """Largest z of the sum of any 16, 64 or 256 neighbouring terms of Pearson's chi-squared.

    A sum's z is by Wilson and Hilferty's cube root, normal into the tail. Being the largest of many it is about 3 by
    chance, and above 5 once in a thousand. None with fewer than 16 terms.
    """
    sums = np.concatenate([[0.0], np.cumsum(terms)])
    largest = None
    for width in _LOCAL_WIDTHS:
        if terms.size < width:
            break
        highest = float(np.max(sums[width:] - sums[:-width])) / width
        z = (max(highest, 0.0) ** (1.0 / 3.0) - 1.0 + 2.0 / (9.0 * width)) / math.sqrt(2.0 / (9.0 * width))
        largest = z if largest is None else max(largest, z)
    return largest


def goodness(counts: Floats, means: Floats, free_parameters: int) -> dict[str, float | None]:
    """Tests of ``counts`` against ``means``, both (channels, bins), after fitting ``free_parameters``.

    ``deviance`` with its ``expectation`` and ``sd`` under the model, ``z`` and the one-sided ``p``;
    ``reduced_chi2``, ``runs_z`` and ``local_z``, the worst stretch, on bins joined to 25 expected counts.
    ``misplaced_share`` is sqrt((X^2 - degrees of freedom)/photons)/2, at most which share of the photons the
    model puts in the wrong place (by Cauchy-Schwarz, half the chi distance bounds the total variation), and
    ``misplaced_sd`` is the value that chance alone reaches at one standard deviation of X^2.
    """
    seen = counts > 0.0
    deviance = 2.0 * float((means - counts).sum() + (counts[seen] * np.log(counts[seen] / means[seen])).sum())
    expectation, variance = deviance_moments(np.ascontiguousarray(means).ravel())
    expectation -= free_parameters
    sd = math.sqrt(max(variance, 1e-300))
    z = (deviance - expectation) / sd
    chi2, groups = 0.0, 0
    signs = []
    worst: list[float] = []
    for row, model in zip(counts, means, strict=True):
        starts = group_starts(model)
        observed, expected = np.add.reduceat(row, starts), np.add.reduceat(model, starts)
        terms = (observed - expected) ** 2 / expected
        chi2 += float(terms.sum())
        local = local_z(terms)
        worst.extend([] if local is None else [local])
        groups += len(starts)
        signs.append(observed > expected)
    freedom = max(groups - free_parameters, 1)
    photons = max(float(counts.sum()), 1.0)
    return {
        "deviance": deviance,
        "expectation": expectation,
        "sd": sd,
        "z": z,
        "p": 0.5 * math.erfc(z / math.sqrt(2.0)),
        "reduced_chi2": chi2 / freedom,
        "groups": float(groups),
        "runs_z": runs_z(signs),
        "local_z": max(worst) if worst else None,
        "misplaced_share": 0.5 * math.sqrt(max(chi2 - freedom, 0.0) / photons),
        "misplaced_sd": 0.5 * math.sqrt(math.sqrt(2.0 * freedom) / photons),
    }
