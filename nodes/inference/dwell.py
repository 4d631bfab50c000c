"""How long a state lasts: likelihoods of an exponential and of power laws for dwell times in classes.

``edges_s`` (classes + 1,) rise from the shortest dwell that can be seen. A law may begin above it: below are dwells
that mistakes have made, or none, because the emitter has no shorter ones. So the cutoff t0 is the lowest from which on
the best of the models describes what was seen, and shorter dwells are not looked at. With S(t) the share of those that
last longer than t, a complete dwell of the class a to b gives ln(S(a) - S(b)), one that the recording cut after t gives
ln S(t); S = exp(-(t - t0)/tau) or (t/t0)^(1 - alpha) (A. Clauset, C. R. Shalizi, M. E. J. Newman, SIAM Rev. 51, 661
(2009), also for the cutoff). So bins, in which dwells are counted whole, do not bias either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.dwell_cut_off import expected_cut_off, fit_cut_off, with_intervals

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
EXPONENTIAL, POWER_LAW, NEITHER = "exponential", "power law", "neither"
CUT_OFF, NONE = "power law with a cut-off", "none of them"
# With fewer complete dwells nothing is said of their distribution.
FEWEST_DWELLS = 20
# A model is favoured when the logarithm of its likelihood is higher by so much.
LEAST_LEAD = 3.0
# The largest difference of the shares that last longer, times the root of the dwells, that chance leaves in 99 of 100
# (H. W. Lilliefors, J. Am. Stat. Assoc. 64, 387 (1969): of exponentials with a fitted mean).
MOST_APART = 1.25
# Cutoffs are tried in steps of this factor, as long as so much of the dwells is beyond.
_NEXT, _LEAST_BEYOND = math.sqrt(2.0), 0.1
# ln of tau over the cutoff and of alpha - 1 are looked for between these.
_REACH = (-12.0, 25.0)
_STEP = 1e-3
# Correction for missed visits: rounds, when it has settled (relative), below which a quotient is its limit.
_ROUNDS, _SETTLED, _SMALL = 200, 1e-9, 1e-9


def exponential_survival(t_s: Floats, t0_s: float, tau_s: float) -> Floats:
    """ln S of an exponential of mean ``tau_s`` beyond the cutoff."""
    found: Floats = -(t_s - t0_s) / tau_s
    return found


def power_survival(t_s: Floats, t0_s: float, alpha: float) -> Floats:
    """ln S of a density t^-alpha, alpha > 1."""
    found: Floats = (1.0 - alpha) * np.log(t_s / t0_s)
    return found


def fit_dwells(edges_s: Floats, counts: Integers, cut_s: Floats, *, quick: bool = False) -> dict[str, Any]:
    """The models, the difference of the first two in log-likelihood (exponential less power law), which is favoured.

    ``cut_off``: ``alpha``, ``tau_s`` and the ``lead`` of the power law that ends (`dwell_cut_off`) over the better of
    these, of which it has one parameter more; with ``ci68`` and ``ci95`` of both where it is favoured.

    ``counts`` (classes,) complete dwells, ``cut_s`` what was seen of those that the recording cut, in s. ``beyond`` of
    them last longer than the cutoff ``shortest_s``. Parameters are `{"value", "stderr"}`: ``tau_s``, ``alpha``; all of
    it null with the ``reason`` where there are too few dwells. ``apart``: by how much what is favoured differs from
    what was seen, at most (`MOST_APART`). ``quick``: what takes long, the cutoff and the law that ends, is not looked
    for; the other two are of all dwells, and ``cut_off`` is None.
    """
    dwells = int(counts.sum())
    found: dict[str, Any] = {"dwells": dwells, "cut": len(cut_s)}
    if dwells < FEWEST_DWELLS:
        reason = f"too few dwells: {dwells} complete ones, {FEWEST_DWELLS} are needed"
        return unbelieved(found, reason)
    best: dict[str, Any] | None = None
    for first in [0] if quick else _begins(edges_s, counts):
        beyond = edges_s[first:], counts[first:], cut_s[cut_s > edges_s[first]]
        fit = _fit_beyond(*beyond, quick=quick)
        if best is None or fit["apart"] < best["apart"]:
            best, of_best = fit, beyond
        if fit["apart"] <= MOST_APART:
            break
    assert best is not None
    if best["apart"] > MOST_APART and not quick:
        best["favoured"] = NONE
    if best["favoured"] == CUT_OFF:
        best["cut_off"] = with_intervals(best["cut_off"], *of_best)
    return {**found, **best, "reason": ""}


def _begins(edges_s: Floats, counts: Integers) -> list[int]:
    """The classes from which on dwells may be described, the first one first."""
    beyond = np.cumsum(counts[::-1])[::-1]
    least = max(FEWEST_DWELLS, _LEAST_BEYOND * beyond[0])
    found = [0]
    for first in np.flatnonzero(beyond >= least).tolist():
        if edges_s[first] >= _NEXT * edges_s[found[-1]]:
            found.append(first)
    return found


def _fit_beyond(edges_s: Floats, counts: Integers, cut_s: Floats, *, quick: bool) -> dict[str, Any]:
    """What `fit_dwells` says of dwells beyond the first edge."""
    t0_s = float(edges_s[0])
    used = counts > 0
    low_s, high_s, number = edges_s[:-1][used], edges_s[1:][used], counts[used]

    def likelihood(survival: Callable[[Floats, float, float], Floats], parameter: float) -> float:
        a, b = survival(low_s, t0_s, parameter), survival(high_s, t0_s, parameter)
        inside = a + np.log(-np.expm1(np.minimum(b - a, -1e-300)))
        return float((number * inside).sum() + survival(cut_s, t0_s, parameter).sum())

    tau, at_tau = _best(lambda x: likelihood(exponential_survival, t0_s * math.exp(x)))
    alpha, at_alpha = _best(lambda x: likelihood(power_survival, 1.0 + math.exp(x)))
    difference = at_tau - at_alpha
    tau_s, exponent = t0_s * math.exp(tau[0]), 1.0 + math.exp(alpha[0])
    cut_off = None
    if not quick:
        both, at_both = fit_cut_off(edges_s, counts, cut_s, tau_s, exponent)
        cut_off = {**both, "lead": at_both - max(at_tau, at_alpha)}
    fit: dict[str, Any] = {
        "shortest_s": t0_s,
        "beyond": int(counts.sum()),
        "tau_s": _value(tau_s, tau_s * tau[1]),
        "alpha": _value(exponent, math.exp(alpha[0]) * alpha[1]),
        "difference": difference,
        "cut_off": cut_off,
        "favoured": _favoured(difference, -math.inf if cut_off is None else cut_off["lead"]),
    }
    shares = {
        EXPONENTIAL: -np.diff(np.exp(exponential_survival(edges_s, t0_s, tau_s))),
        POWER_LAW: -np.diff(np.exp(power_survival(edges_s, t0_s, exponent))),
    }
    if fit["favoured"] == CUT_OFF:
        shares = {CUT_OFF: expected_cut_off(edges_s, fit["cut_off"])}
    favoured = fit["favoured"] if fit["favoured"] in shares else EXPONENTIAL if difference > 0 else POWER_LAW
    return {**fit, "apart": _apart(counts, cut_s, edges_s, shares[favoured])}


def _apart(counts: Integers, cut_s: Floats, edges_s: Floats, shares: Floats) -> float:
    """The largest difference between the shares that last longer by the Kaplan-Meier estimate and by a model."""
    at_risk = np.cumsum(counts[::-1])[::-1] + (cut_s[:, None] > edges_s[:-1]).sum(axis=0)
    last = int(np.flatnonzero(counts)[-1]) + 1
    seen = np.cumprod(1.0 - counts[:last] / at_risk[:last])
    model = 1.0 - np.cumsum(shares[:last])
    return float(np.abs(seen - model).max()) * math.sqrt(float(at_risk[0]))


def _favoured(difference: float, lead: float) -> str:
    if lead > LEAST_LEAD:
        return CUT_OFF
    if abs(difference) <= LEAST_LEAD:
        return NEITHER
    return EXPONENTIAL if difference > 0 else POWER_LAW


def unbelieved(fit: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """What is left of the ``fit`` of dwells that mistakes have made, or joined: how many they are."""
    nothing = dict.fromkeys(
        ("shortest_s", "beyond", "tau_s", "alpha", "difference", "cut_off", "favoured", "apart")
    )
    return {**fit, **nothing, "reason": reason}


def without_missed(tau_s: float, other_s: float, dead_s: float) -> tuple[float, float] | None:
    """Means of two states whose visits go unseen when they last less than ``dead_s``, from the means that are seen.

    Seen dwells have the time constant of the slowest root of s + 1/a - (1 - e^(-k dead))/(a b k) = 0, with k = s + 1/b,
    for means a and b (A. G. Hawkes, A. Jalali, D. Colquhoun, Phil. Trans. R. Soc. Lond. A 332, 511 (1990)); so with
    s = -1/seen it gives a for b, and the other state's gives b for a. None where no pair of means does.
    """

    def mean(seen_s: float, beside_s: float) -> float:
        k = 1.0 / beside_s - 1.0 / seen_s
        missed_s = dead_s if abs(k * dead_s) < _SMALL else -math.expm1(-k * dead_s) / k
        return seen_s * (1.0 - missed_s / beside_s)

    a, b = tau_s, other_s
    for _ in range(_ROUNDS):
        last = a, b
        a, b = mean(tau_s, b), mean(other_s, a)
        if min(a, b) <= dead_s:
            return None
        if abs(a - last[0]) + abs(b - last[1]) < _SETTLED * (a + b):
            return a, b
    return None


def correct_means(own: Mapping[str, Any], other: Mapping[str, Any], dead_s: float) -> dict[str, Any]:
    """The mean of ``own`` dwells if all visits below ``dead_s`` were missed: ``corrected_s``, or null and a reason."""
    taus = own["tau_s"], other["tau_s"]
    if None in taus:
        why = own["reason"] or f"nothing is known of the times between: {other['reason']}"
        return {"corrected_s": None, "corrected_reason": why}
    if {POWER_LAW, CUT_OFF} & {own["favoured"], other["favoured"]}:
        why = "of a power law nobody knows how many visits are too short to be seen"
        return {"corrected_s": None, "corrected_reason": why}
    values = [tau["value"] for tau in taus]
    found = without_missed(values[0], values[1], dead_s)
    moved = [
        without_missed(values[0] * (1.0 + _STEP), values[1], dead_s),
        without_missed(values[0], values[1] * (1.0 + _STEP), dead_s),
    ]
    if found is None or None in moved:
        why = "too many visits may be shorter than a bin to restore them: take shorter ones"
        return {"corrected_s": None, "corrected_reason": why}
    slopes = [(each[0] - found[0]) / (_STEP * x) for each, x in zip(moved, values, strict=True) if each]
    error = math.hypot(*(slope * tau["stderr"] for slope, tau in zip(slopes, taus, strict=True)))
    return {"corrected_s": _value(found[0], error), "corrected_reason": ""}


def expected_dwells(edges_s: Floats, counts: Integers, fit: dict[str, Any]) -> tuple[Floats, Floats, Floats]:
    """Complete dwells in each class by the exponential, the power law and that with a cut-off of ``fit``; NaN without.

    Below the cutoff there are none. Those of the last one only where it is favoured.
    """
    unknown = np.full(len(counts), np.nan)
    if fit["tau_s"] is None:
        return unknown, unknown, unknown
    t0_s, beyond = fit["shortest_s"], fit["beyond"]
    first = int(np.argmin(np.abs(edges_s - t0_s)))
    tau_s, alpha = fit["tau_s"]["value"], fit["alpha"]["value"]
    edges_s = edges_s[first:]
    parts = [
        -np.diff(np.exp(exponential_survival(edges_s, t0_s, tau_s))),
        -np.diff(np.exp(power_survival(edges_s, t0_s, alpha))),
        expected_cut_off(edges_s, fit["cut_off"]) if fit["favoured"] == CUT_OFF else unknown[first:],
    ]
    exponential, power, cut_off = (np.append(unknown[:first], beyond * each) for each in parts)
    return exponential, power, cut_off


def _best(likelihood: Callable[[float], float]) -> tuple[tuple[float, float], float]:
    """Where a likelihood is highest with the standard error, and its value there."""
    # Imported here: it takes as long as all else, and most processes of a run never come here.
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda x: -likelihood(x), bounds=_REACH, method="bounded", options={"xatol": 1e-6}
    )
    x = float(found.x)
    middle = likelihood(x)
    bend = (2.0 * middle - likelihood(x - _STEP) - likelihood(x + _STEP)) / _STEP**2
    return (x, 1.0 / math.sqrt(max(bend, 1e-12))), middle


def _value(value: float, stderr: float) -> dict[str, float]:
    return {"value": value, "stderr": stderr}
