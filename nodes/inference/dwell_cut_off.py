"""The power law of dwell times that ends: a density t^-alpha exp(-t/tau) beyond the cutoff t0.

What blinks by a power law cannot do so for ever: long dwells end by another process (R. G. Neuhauser et al., Phys. Rev.
Lett. 85, 3301 (2000); I. H. Chung, M. G. Bawendi, Phys. Rev. B 70, 165304 (2004)). The exponential (alpha = 0) and the
plain power law (tau without bound) are its ends. Its integrals over classes are sums over Gauss-Legendre nodes in ln t.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_NODES = 8
_MOST_ALPHA = 6.0
# tau is looked for from this part of the cutoff to so many times the longest dwell.
_REACH = (0.1, 1e3)
_STEP = 1e-3
# After so many tau nothing is left.
_GONE = 60.0
# A logarithm of nothing.
_NOTHING = -745.0
# By how much ln L falls at the ends of an interval of 68 and of 95 %.
_FALLS = {"ci68": 0.5, "ci95": 1.9207}
# How finely the other parameter is fitted along a profile, and the first step of a search for its ends.
_FINE, _FIRST = 1e-4, 0.05


class _Likelihood:
    """ln L of (alpha, ln tau) for dwells in classes between ``edges_s`` and those that were cut."""

    def __init__(self, edges_s: Floats, counts: Integers, cut_s: Floats) -> None:
        self._counts = counts
        self._x, self._w = _nodes(np.log(edges_s[:-1]), np.log(edges_s[1:]))
        # From where a dwell was cut to the end of that class; all later classes follow.
        self._class = np.minimum(np.searchsorted(edges_s, cut_s, side="right") - 1, len(counts) - 1)
        self._cut_x, self._cut_w = _nodes(np.log(cut_s), np.log(edges_s[self._class + 1]))
        self._first = math.log(edges_s[0])

    def shares(self, alpha: float, log_tau: float) -> tuple[Floats, Floats]:
        """Of all dwells beyond the cutoff: how many end in each class, how many last longer than each that was cut."""
        whole = self._integral(self._x, self._w, alpha, log_tau)
        later = np.append(np.cumsum(whole[::-1])[::-1], 0.0)
        part = self._integral(self._cut_x, self._cut_w, alpha, log_tau)
        return whole / later[0], (part + later[self._class + 1]) / later[0]

    def _integral(self, x: Floats, w: Floats, alpha: float, log_tau: float) -> Floats:
        # As seen from the cutoff, where the density is largest.
        tau = math.exp(log_tau - self._first)
        density = np.exp((1.0 - alpha) * (x - self._first) - np.expm1(x - self._first) / tau)
        found: Floats = (density * w).sum(axis=-1)
        return found

    def __call__(self, alpha: float, log_tau: float) -> float:
        shares, beyond = self.shares(alpha, log_tau)
        with np.errstate(divide="ignore"):
            inside, cut = np.log(shares), np.log(beyond)
        used = self._counts > 0
        found = (self._counts[used] * np.maximum(inside[used], _NOTHING)).sum()
        return float(found + np.maximum(cut, _NOTHING).sum())


def fit_cut_off(
    edges_s: Floats, counts: Integers, cut_s: Floats, tau_s: float, alpha: float
) -> tuple[dict[str, Any], float]:
    """``alpha`` and ``tau_s`` (`{"value", "stderr"}`, the error None where one of them is at its end) and ln L.

    ``counts`` (classes,) complete dwells between ``edges_s``, of which the last holds every longer one; ``cut_s`` those
    that were cut after the cutoff. ``tau_s`` and ``alpha``: of the exponential and of the power law, to begin with.
    """
    # Imported here: it takes as long as all else, and most processes of a run never come here.
    from scipy.optimize import minimize

    likelihood = _Likelihood(edges_s, counts, cut_s)
    longest_s = max([float(edges_s[1:][counts > 0].max()), *cut_s.tolist()])
    low, high = math.log(_REACH[0] * edges_s[0]), math.log(_REACH[1] * longest_s)
    begins = [(0.2, math.log(tau_s)), (min(alpha, _MOST_ALPHA), math.log(longest_s))]
    found = [
        minimize(
            lambda p: -likelihood(p[0], p[1]),
            (begin[0], min(max(begin[1], low), high)),
            method="L-BFGS-B",
            options={"maxiter": 60},
            bounds=[(0.0, _MOST_ALPHA), (low, high)],
        )
        for begin in begins
    ]
    best = min(found, key=lambda each: float(each.fun))
    at = np.array(best.x, float)
    inside = 2.0 * _STEP < at[0] < _MOST_ALPHA - 2.0 * _STEP and low + _STEP < at[1] < high - _STEP
    errors = _errors(likelihood, at) if inside else (None, None)
    tau = math.exp(at[1])
    return {
        "alpha": {"value": float(at[0]), "stderr": errors[0]},
        "tau_s": {"value": tau, "stderr": None if errors[1] is None else tau * errors[1]},
    }, -float(best.fun)


def with_intervals(fit: dict[str, Any], edges_s: Floats, counts: Integers, cut_s: Floats) -> dict[str, Any]:
    """The ``fit`` of `fit_cut_off` with the intervals of ``alpha`` and ``tau_s`` by their profile likelihoods.

    An end that lies beyond what is looked for is null: of a tau longer than anything seen nobody knows how long it is,
    and where that is so at 68 %, there is no error but a ``reason``.
    """
    from scipy.optimize import brentq, minimize_scalar

    likelihood = _Likelihood(edges_s, counts, cut_s)
    best = fit["alpha"]["value"], math.log(fit["tau_s"]["value"])
    longest_s = max([float(edges_s[1:][counts > 0].max()), *cut_s.tolist()])
    bounds = (0.0, _MOST_ALPHA), (math.log(_REACH[0] * edges_s[0]), math.log(_REACH[1] * longest_s))
    top = likelihood(*best)

    def fallen(k: int, value: float) -> float:
        """By how much ln L is lower with this value of one parameter."""

        def against(other: float) -> float:
            return -likelihood(*((value, other) if k == 0 else (other, value)))

        return top + float(
            minimize_scalar(against, bounds=bounds[1 - k], method="bounded", options={"xatol": _FINE}).fun
        )

    def end(k: int, fall: float, direction: int) -> float | None:
        limit, near, step = bounds[k][direction > 0], best[k], _FIRST
        while near != limit:
            far = min(max(near + direction * step, bounds[k][0]), bounds[k][1])
            if fallen(k, far) > fall:
                return float(brentq(lambda x: fallen(k, x) - fall, near, far, xtol=_FINE))
            near, step = far, 2.0 * step
        return None

    found = dict(fit)
    for k, (name, of) in enumerate((("alpha", float), ("tau_s", math.exp))):
        ends = {
            key: [None if at is None else of(at) for at in (end(k, fall, -1), end(k, fall, 1))]
            for key, fall in _FALLS.items()
        }
        found[name] = {**fit[name], **ends}
    if found["tau_s"]["ci68"][1] is None:
        least = found["tau_s"]["ci95"][0]
        reason = "no dwell tells where it ends"
        if least is not None:
            reason += f": above {1e3 * least:.3g} ms at 95 %"
        found["tau_s"] |= {"stderr": None, "reason": reason}
    return found


def expected_cut_off(edges_s: Floats, fit: dict[str, Any]) -> Floats:
    """The share of all dwells beyond the cutoff in each class between ``edges_s``, of a ``fit`` with alpha and tau."""
    tau_s = fit["tau_s"]["value"]
    # On to where nothing is left.
    octaves = math.ceil(max(0.0, math.log2(_GONE * tau_s / edges_s[-1])))
    all_s = np.append(edges_s, edges_s[-1] * 2.0 ** (0.25 * np.arange(1, 4 * octaves + 1)))
    likelihood = _Likelihood(all_s, np.zeros(len(all_s) - 1, np.int64), np.empty(0))
    return likelihood.shares(fit["alpha"]["value"], math.log(tau_s))[0][: len(edges_s) - 1]


def _errors(likelihood: _Likelihood, at: Floats) -> tuple[float | None, float | None]:
    """Standard errors of alpha and ln tau by the curvature of the likelihood; None where that is no maximum."""
    steps = _STEP * np.eye(2)
    bend = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            corners = [likelihood(*(at + a * steps[i] + b * steps[j])) for a in (1, -1) for b in (1, -1)]
            bend[i, j] = -(corners[0] - corners[1] - corners[2] + corners[3]) / (4.0 * _STEP**2)
    if bend[0, 0] <= 0.0 or np.linalg.det(bend) <= 0.0:
        return None, None
    variances = np.linalg.inv(bend).diagonal()
    return math.sqrt(variances[0]), math.sqrt(variances[1])


def _nodes(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Nodes and weights (intervals, nodes) of integrals from ``low`` to ``high``."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * (high - low)[:, None]
    return (low + high)[:, None] / 2.0 + half * x, half * w
