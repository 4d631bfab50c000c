"""s and <N> of one nanocrystal, from runs in which biexcitons come from Poisson double absorption alone.

Excited below twice its gap a nanocrystal holds a biexciton only after two photons: with N absorbed per pulse a share
B = 1 - N/(exp(N) - 1) of the excited pulses do (two levels). The decay shows B times what the amplitude of a biexciton
says, which is s: so one run fixes s where N is known, or N where s is, and never both. Errors of given N go in as a
Gaussian constraint on one common factor, because what they are uncertain by (size of the particle, place in the focus)
is the same in all runs of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from photonstream.nodes.inference.beta import domain_reason, eta_estimate, poisson_factor
from photonstream.nodes.inference.calibration_data import (
    Calibration,
    CalibrationRun,
    Sample,
    Way,
    power_shared,
)
from photonstream.nodes.inference.calibration_warnings import warnings_of
from photonstream.nodes.inference.claims import within_bounds
from photonstream.nodes.inference.decay_data import FitOptions
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.estimate import Estimate, Interval
from photonstream.nodes.inference.eta import NO_MEAN_N
from photonstream.nodes.inference.joint import LEAST_S, LEAST_SCALE, MOST_S, SCALES, Joint, S
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX
from photonstream.nodes.inference.profile import profile_of
from photonstream.nodes.inference.refit import Refit, beta_at
from photonstream.nodes.inference.scoring import Box, Optimum

_RESTARTS = 3


def calibrate(runs: Sequence[CalibrationRun], sample: Sample) -> Calibration:
    """s at given <N> and <N> at given s from ``runs``, and beta and eta of ``sample`` for both.

    ``sample.options`` has the given s and the sample's own <N>. Intervals are of the profile likelihood of the joint
    fit; eta adds the error of the sample's <N> in quadrature.
    """
    if not any(run.fast for run in runs):
        why = "no calibration: none of the runs shows a fast component"
        return Calibration(Way(why), Way(why))
    s = sample.options.s
    if any(run.refit.tau_ratio >= 1.0 - 1.0 / s for run in runs if run.fast):
        why = f"no calibration: the fast component of a run is too slow for a biexciton with s = {s:g}"
        return Calibration(Way(why), Way(why))
    by_s, joint, optimum, errors = _n_at_given_s(runs, sample)
    by_n = _s_at_given_n(runs, sample)
    return Calibration(
        by_n,
        by_s,
        _exponential(Estimate(float(optimum.theta[LN_TAU_X]), _root(errors, LN_TAU_X))),
        _exponential(Estimate(float(optimum.theta[LN_TAU_XX]), _root(errors, LN_TAU_XX))),
        warnings_of(runs, sample, joint, optimum, errors, by_n, by_s),
    )


def _s_at_given_n(runs: Sequence[CalibrationRun], sample: Sample) -> Way:
    known = [run for run in runs if run.mean_n is not None]
    if not known:
        return Way("no s: <N> of none of the runs is known (mean_n in their --meta, or --mean-n)")
    weights, groups = _weights(runs, known)
    error = max(run.mean_n_relative_error for run in known)
    free: tuple[float | None, ...] = (None,) * max(groups)
    joint = Joint(tuple(run.refit for run in runs), groups, weights, (error, *free))
    clearest = max(range(len(runs)), key=lambda k: weights[k] if groups[k] == 0 else 0.0)
    s = _s_of(runs[clearest].refit, weights[clearest])
    scales = [1.0, *(_mean_n_of(r.refit, s) for r in runs if not power_shared(runs) and r.mean_n is None)]
    box = joint.box(s_free=True)
    optimum, (interval,) = _fit(joint, joint.start(s, scales), box, [S])
    errors = joint.covariance(optimum, box)
    s = float(optimum.theta[S])
    if not LEAST_S < s < MOST_S:
        return Way(
            f"no s: the runs put it beyond {s:g}; their <N> is wrong, or the fast component no biexciton"
        )
    found = Estimate(s, _root(errors, S), *interval)
    means = tuple(
        replace(_exponential(_scale(optimum, errors, group), weight))
        for group, weight in zip(groups, weights, strict=True)
    )
    way = Way("", found, means, _exponential(_scale(optimum, errors, 0)))
    return _with_beta(way, joint, optimum, sample)


def _weights(
    runs: Sequence[CalibrationRun], known: Sequence[CalibrationRun]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """<N> of each run but for its scale, and which scale that is; those whose <N> is not known have scales 1, 2, ..."""
    if power_shared(runs):
        alpha = sum(run.mean_n or 0.0 for run in known) / sum(run.power_w or 0.0 for run in known)
        return tuple(alpha * (run.power_w or 0.0) for run in runs), (0,) * len(runs)
    groups: list[int] = []
    for run in runs:
        groups.append(max(groups, default=0) + 1 if run.mean_n is None else 0)
    return tuple(1.0 if run.mean_n is None else run.mean_n for run in runs), tuple(groups)


def _with_beta(way: Way, joint: Joint, optimum: Optimum, sample: Sample) -> Way:
    """``way`` with beta and eta of the sample at its s, the errors of both in one likelihood."""
    fit, options = sample.fit, sample.options
    assert way.s is not None
    why = _no_beta(fit, options, way.s.value)
    if why:
        return replace(way, beta_reason=why, eta_reason=f"no eta without beta ({why})")
    together = replace(joint, sample=sample.refit)
    scales = np.exp(optimum.theta[SCALES : SCALES + joint.scales]).tolist()
    begin = together.start(way.s.value, scales)
    begin[: optimum.theta.size] = optimum.theta
    box = together.box(s_free=True)
    best, (interval,) = _fit(together, begin, box, [together.beta])
    errors = together.covariance(best, box)
    estimate = Estimate(float(best.theta[together.beta]), _root(errors, together.beta), *interval)
    beta, note = within_bounds(estimate)
    if beta is None:
        return replace(way, beta_reason=note, eta_reason=f"no eta without beta ({note})")
    eta, eta_reason = _eta(sample, beta, None)
    return replace(way, beta=beta, beta_reason=note, eta=eta, eta_reason=eta_reason)


def _no_beta(fit: DecayFit, options: FitOptions, s: float) -> str:
    """Why the sample has no beta at ``s``; empty where it has."""
    tau_x, tau_xx = fit.tau_x_s, fit.tau_xx_s
    if fit.model == "none":
        return f"no beta: {fit.reason}"
    if fit.fast_reason:
        return f"no beta: {fit.fast_reason}"
    if tau_x is None or tau_xx is None or fit.amplitude_xx is None or fit.amplitude_x is None:
        return "no beta: one component suffices"
    ratio = fit.amplitude_xx.value / max(fit.amplitude_x.value, 1e-300)
    return domain_reason(ratio, tau_x, tau_xx, s, options.quantum_yield_x)


def _n_at_given_s(runs: Sequence[CalibrationRun], sample: Sample) -> tuple[Way, Joint, Optimum, Floats]:
    s, shared = sample.options.s, power_shared(runs)
    refits = tuple(run.refit for run in runs)
    alone = [_mean_n_of(run.refit, s) for run in runs]
    if shared:
        strongest = max(run.power_w or 0.0 for run in runs)
        weights = tuple((run.power_w or 0.0) / strongest for run in runs)
        joint = Joint(refits, (0,) * len(runs), weights, (None,))
        scales = [max(n / w for n, w, run in zip(alone, weights, runs, strict=True) if run.fast)]
    else:
        joint = Joint(refits, tuple(range(len(runs))), (1.0,) * len(runs), (None,) * len(runs))
        scales = alone
    box = joint.box(s_free=False)
    indices = list(range(SCALES, SCALES + joint.scales))
    optimum, intervals = _fit(joint, joint.start(s, scales), box, indices)
    errors = joint.covariance(optimum, box)
    lowest = math.log(LEAST_SCALE)
    means: list[Estimate | None] = []
    for group, weight in zip(joint.groups, joint.weights, strict=True):
        scale = _scale(optimum, errors, group, *intervals[group])
        means.append(_exponential(scale, weight) if scale.value > lowest else None)
    way = Way("", Estimate(s), tuple(means), _scale_of_given(runs, means, errors, shared=shared))
    eta, eta_reason = _eta(sample, sample.fit.beta, way.scale)
    return (
        replace(
            way, beta=sample.fit.beta, beta_reason=sample.fit.beta_reason, eta=eta, eta_reason=eta_reason
        ),
        joint,
        optimum,
        errors,
    )


def _scale_of_given(
    runs: Sequence[CalibrationRun], means: Sequence[Estimate | None], errors: Floats, *, shared: bool
) -> Estimate | None:
    """Fitted over given <N>: of one power series its only one, else the weighted mean of those of the runs."""
    pairs = [
        (k, mean.value / run.mean_n)
        for k, (run, mean) in enumerate(zip(runs, means, strict=True))
        if run.mean_n and mean is not None and mean.stderr
    ]
    if not pairs:
        return None
    if shared:
        given = sum(runs[k].mean_n or 0.0 for k, _ in pairs)
        value = sum((runs[k].mean_n or 0.0) * ratio for k, ratio in pairs) / given
        return Estimate(value, value * (_root(errors, SCALES) or 0.0))
    index = [SCALES + k for k, _ in pairs]
    weights = np.linalg.solve(errors[np.ix_(index, index)], np.ones(len(index)))
    value = math.exp(float(weights @ np.log([ratio for _, ratio in pairs])) / float(weights.sum()))
    return Estimate(value, value / math.sqrt(float(weights.sum())))


def _eta(sample: Sample, beta: Estimate | None, scale: Estimate | None) -> tuple[Estimate | None, str]:
    """eta of the sample at its given <N>, or with ``scale`` at as much of it, whose error is then that of the scale."""
    fit, options = sample.fit, sample.options
    if options.mean_n is None:
        return None, NO_MEAN_N
    if beta is None or fit.tau_x_s is None:
        return None, f"no eta without beta ({fit.beta_reason})"
    mean_n, relative = options.mean_n, options.mean_n_relative_error
    if scale is not None:
        mean_n, relative = mean_n * scale.value, (scale.stderr or 0.0) / scale.value
    eta, _, reason = eta_estimate(beta, mean_n, relative, sample.refit.likelihood.period_s, fit.tau_x_s.value)
    return eta, reason


def _fit(
    joint: Joint, begin: Floats, box: Box, indices: Sequence[int]
) -> tuple[Optimum, list[tuple[Interval, Interval]]]:
    """The optimum with intervals of the named parameters; a better one met on the way starts them over."""
    optimum = joint.maximise(begin, box)
    intervals: list[tuple[Interval, Interval]] = []
    for _ in range(_RESTARTS):
        errors = joint.covariance(optimum, box)
        intervals, better = [], None
        for index in indices:
            found = profile_of(joint.maximise, optimum, errors, box, index)
            intervals.append((found.ci68, found.ci95))
            better = found.better
            if better is not None:
                optimum = joint.maximise(better.theta, box)
                break
        if better is None:
            break
    return optimum, intervals


def _s_of(refit: Refit, mean_n: float) -> float:
    """s of one run alone at its <N>, within the bounds of a fit."""
    share, ratio = float(refit.optimum.theta[MIX]), refit.tau_ratio
    biexcitons = (1.0 - 1.0 / poisson_factor(mean_n)) * ratio
    s = (share + biexcitons / (1.0 - ratio)) / (biexcitons * (1.0 - share))
    return min(max(s, 1.1 * LEAST_S), 0.9 * MOST_S)


def _mean_n_of(refit: Refit, s: float) -> float:
    """<N> of one run alone at ``s``, roughly: double absorption makes a biexciton in N/2 of the excited pulses."""
    return min(max(2.0 * beta_at(refit.optimum.theta, s), 0.02), 3.0)


def _scale(
    optimum: Optimum, errors: Floats, group: int, ci68: Interval | None = None, ci95: Interval | None = None
) -> Estimate:
    """The logarithm of a scale."""
    return Estimate(float(optimum.theta[SCALES + group]), _root(errors, SCALES + group), ci68, ci95)


def _exponential(estimate: Estimate, factor: float = 1.0) -> Estimate:
    """``factor`` times e to the power of an estimate."""

    def of(bound: float | None) -> float | None:
        return None if bound is None else factor * math.exp(bound)

    value = factor * math.exp(estimate.value)
    ci68, ci95 = (
        None if interval is None else (of(interval[0]), of(interval[1]))
        for interval in (estimate.ci68, estimate.ci95)
    )
    return Estimate(value, None if estimate.stderr is None else value * estimate.stderr, ci68, ci95)


def _root(errors: Floats, index: int) -> float | None:
    variance = float(errors[index, index])
    return math.sqrt(variance) if variance > 0.0 else None
