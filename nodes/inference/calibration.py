"""s and <N> of one nanocrystal, from runs in which biexcitons come from Poisson double absorption alone.

Excited below twice its gap a nanocrystal holds a biexciton only after two photons: with N absorbed per pulse a share
B = 1 - N/(exp(N) - 1) of the excited pulses do (two levels). The decay shows B times what the amplitude of a biexciton
says, which is s: so one run fixes s where N is known, or N where s is, and never both. Errors of given N go in as a
Gaussian constraint on a common factor, because most of what they are uncertain by (size of the particle, place in the
focus) is the same in all runs of it, and as half as much again on each run's own, because the rest is not: a power that
was read wrongly, a focus that has moved. Where N goes with the power there is the common factor alone.

That closed form takes three excitons for two. So every question is asked twice, of it and of the n^2 cascade, by the
same joint likelihood; what nature does is not known, and the answer is the range over both (`calibration_range`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from photonstream.nodes.inference.beta import poisson_factor, too_slow
from photonstream.nodes.inference.calibration_data import (
    Calibration,
    CalibrationRun,
    Models,
    Sample,
    Way,
    power_shared,
)
from photonstream.nodes.inference.calibration_sample import eta_of, no_beta
from photonstream.nodes.inference.calibration_warnings import Answers, warnings_of
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.inference.claims import within_bounds
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.estimate import GIVEN, Z95, Estimate, Interval, from_variance
from photonstream.nodes.inference.joint import LEAST_S, LEAST_SCALE, MOST_S, SCALES, Joint, S
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX, MIX
from photonstream.nodes.inference.profile import profile_of
from photonstream.nodes.inference.refit import Refit, beta_at
from photonstream.nodes.inference.scoring import Box, Optimum

_RESTARTS = 3
# Beside the common error of given <N>, so much of it is of each run alone.
OWN_ERROR = 0.5
# A run of the cascade begins this far inside what such an emitter can be.
_INSIDE = 0.9


def calibrate(runs: Sequence[CalibrationRun], sample: Sample) -> Calibration:
    """s at given <N> and <N> at given s from ``runs``, and beta and eta of ``sample`` for both, by both models.

    ``sample.options`` has the given s and the sample's own <N>. Intervals are of the profile likelihood of the joint
    fit, in which <N> is a logarithm; a side on which that does not close is open. eta adds the error of the sample's
    <N> in quadrature.
    """
    s, why = sample.options.s, ""
    if not any(run.fast for run in runs):
        why = "no calibration: none of the runs shows a fast component"
    elif any(run.refit.tau_ratio >= 1.0 - 1.0 / s for run in runs if run.fast):
        why = f"no calibration: the fast component of a run is too slow for a biexciton with s = {s:g}"
    if why:
        return Calibration(Models(Way(why), Way(why)), Models(Way(why), Way(why)))
    closed, cascade = (by_model(runs, sample, x) for x in (None, sample.options.quantum_yield_x))
    return Calibration(
        Models(closed.by_n, cascade.by_n),
        Models(closed.by_s, cascade.by_s),
        warnings_of(runs, sample, closed, cascade),
    )


def by_model(runs: Sequence[CalibrationRun], sample: Sample, cascade_yield_x: float | None) -> Answers:
    """Both ways by the closed form, or by the cascade of an exciton of that quantum yield."""
    by_s, joint, optimum = _n_at_given_s(runs, sample, cascade_yield_x)
    return Answers(_s_at_given_n(runs, sample, cascade_yield_x), by_s, joint, optimum)


def _s_at_given_n(runs: Sequence[CalibrationRun], sample: Sample, cascade_yield_x: float | None) -> Way:
    known = [run for run in runs if run.mean_n is not None]
    if not known:
        return Way("no s: <N> of none of the runs is known (mean_n in their --meta, or --mean-n)")
    shared = power_shared(runs)
    weights, groups = _weights(runs, known)
    errors_of: tuple[float | None, ...] = tuple(
        run.mean_n_relative_error if run.mean_n is not None else None for run in runs
    )
    if shared:
        errors_of = (max(run.mean_n_relative_error for run in known),)
    refits = tuple(run.refit for run in runs)
    own = OWN_ERROR if len(known) > 1 and not shared else 0.0
    joint = Joint(refits, groups, weights, errors_of, cascade_yield_x=cascade_yield_x, own=own)
    clearest = max(range(len(runs)), key=lambda k: weights[k] if shared or runs[k] in known else 0.0)
    s = _s_of(runs[clearest].refit, weights[clearest])
    scales = [1.0 if shared or run in known else _mean_n_of(run.refit, s) for run in runs][: joint.scales]
    if cascade_yield_x is not None:
        begin = joint.start(s, scales)
        s = min(s, _INSIDE * math.exp(float(begin[LN_TAU_X] - begin[LN_TAU_XX])) / cascade_yield_x)
        if s <= LEAST_S:
            return Way(_no_cascade(begin, s, cascade_yield_x))
    box = joint.box(s_free=True)
    begin = joint.start(s, scales)
    most = MOST_S
    if cascade_yield_x is None:
        # A cascade with a larger s cannot be; to the closed form it has to be told.
        most = _most_s(joint, begin, box, sample.options.quantum_yield_x)
        box.upper[S] = max(most, 1.01 * LEAST_S)
    wanted = [SCALES + k for k in range(joint.scales) if box.free[SCALES + k]]
    optimum, intervals = _fit(joint, begin, box, [S, *wanted])
    if not intervals:
        return Way(_no_cascade(begin, s, cascade_yield_x or 1.0))
    errors = joint.covariance(optimum, box)
    s = float(optimum.theta[S])
    if s <= LEAST_S:
        return Way(
            f"no s: the runs put it beyond {s:g}; their <N> is wrong, or the fast component no biexciton"
        )
    of_scale = dict(zip(wanted, intervals[1:], strict=True))
    scales_of = [
        _scale(optimum, errors, k, *of_scale.get(SCALES + k, (None, None))) for k in range(joint.scales)
    ]
    found, why = _s_within(_with_intervals(from_variance(s, float(errors[S, S])), intervals[0]), most)
    means = tuple(
        _exponential(scales_of[group], weight) for group, weight in zip(groups, weights, strict=True)
    )
    factor = _exponential(scales_of[0]) if shared else _scale_of_given(runs, means, errors, shared=False)
    way = Way("", found, why, means, factor, *_lifetimes(optimum, errors))
    return _with_beta(way, joint, box, optimum, sample)


def _most_s(joint: Joint, begin: Floats, box: Box, quantum_yield_x: float) -> float:
    """The largest s that the lifetimes of the runs allow: tau_xx <= tau_x/(s Q_x), at the 95 % end of their ratio."""
    optimum = joint.maximise(begin, box)
    errors = joint.covariance(optimum, box)[:S, :S]
    gap = float(optimum.theta[LN_TAU_X] - optimum.theta[LN_TAU_XX])
    variance = float(errors[0, 0] + errors[1, 1] - 2.0 * errors[0, 1])
    return min(MOST_S, math.exp(gap + Z95 * math.sqrt(max(variance, 0.0))) / quantum_yield_x)


def _s_within(found: Estimate, most: float) -> tuple[Estimate, str]:
    """s with what to mind about it: without a value where the likelihood does not fall before s ends (``most``)."""
    (low68, high68), (low, high) = found.ci68 or (None, None), found.ci95 or (None, None)
    if high is not None:
        return found, ""
    why = (
        "the runs and the errors of their <N> set s no upper limit at 95 % that such an emitter could exceed"
    )
    if most < MOST_S:
        why += f" (tau_x/(Q_x tau_xx) allows up to {most:.3g})"
    if high68 is not None:
        # Curvature at the optimum says nothing of a side that does not close.
        return replace(found, stderr=None, reason=why), why
    known = "" if low is None else f", only that it is above {low:.3g} at 95 %"
    return Estimate(math.nan, None, (low68, None), (low, None)), f"s is not determined{known}: {why}"


def _no_cascade(begin: Floats, s: float, quantum_yield_x: float) -> str:
    tau_x_s, tau_xx_s = math.exp(float(begin[LN_TAU_X])), math.exp(float(begin[LN_TAU_XX]))
    problem = Cascade(tau_x_s, tau_xx_s, quantum_yield_x, max(s, LEAST_S)).problem()
    return f"no n^2 cascade: {problem or 'no such emitter decays like these runs'}"


def _lifetimes(optimum: Optimum, errors: Floats) -> tuple[Estimate, Estimate]:
    """tau_x and tau_xx of the runs in seconds."""
    tau_x, tau_xx = (_exponential(_of(optimum, errors, k)) for k in (LN_TAU_X, LN_TAU_XX))
    return tau_x, tau_xx


def _weights(
    runs: Sequence[CalibrationRun], known: Sequence[CalibrationRun]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """<N> of each run but for its scale, and which scale that is: its own, or the one that goes with the power."""
    if power_shared(runs):
        alpha = sum(run.mean_n or 0.0 for run in known) / sum(run.power_w or 0.0 for run in known)
        return tuple(alpha * (run.power_w or 0.0) for run in runs), (0,) * len(runs)
    return tuple(1.0 if run.mean_n is None else run.mean_n for run in runs), tuple(range(len(runs)))


def _with_beta(way: Way, joint: Joint, runs_box: Box, optimum: Optimum, sample: Sample) -> Way:
    """``way`` with beta and eta of the sample at its s, the errors of both in one likelihood.

    Where s is not determined nor are they: beta has limits alone, eta not even these.
    """
    fit, options = sample.fit, sample.options
    assert way.s is not None
    s = float(optimum.theta[S])
    why = no_beta(fit, options, s)
    if why:
        return replace(way, beta_reason=why, eta_reason=f"no eta without beta ({why})")
    together = replace(joint, sample=sample.refit)
    scales = np.exp(optimum.theta[SCALES : SCALES + joint.scales]).tolist()
    begin = together.start(s, scales)
    begin[: optimum.theta.size] = optimum.theta
    box = together.box(s_free=True)
    box.upper[S] = runs_box.upper[S]
    best, (interval,) = _fit(together, begin, box, [together.beta])
    errors = together.covariance(best, box)
    estimate = _with_intervals(_of(best, errors, together.beta), interval)
    beta, note = within_bounds(estimate)
    if beta is None:
        return replace(way, beta_reason=note, eta_reason=f"no eta without beta ({note})")
    if math.isnan(way.s.value):
        nothing = Estimate(math.nan, None, (None, None), (None, None))
        beta = replace(beta, value=math.nan, stderr=None)
        note = "s is not determined, so there are limits of beta alone"
        return replace(
            way, beta=beta, beta_reason=note, eta=nothing, eta_reason="no eta: s is not determined"
        )
    eta, eta_reason = eta_of(sample, beta, s, None, joint.cascade_yield_x)
    return replace(way, beta=beta, beta_reason=note, eta=eta, eta_reason=eta_reason)


def _n_at_given_s(
    runs: Sequence[CalibrationRun], sample: Sample, cascade_yield_x: float | None
) -> tuple[Way, Joint, Optimum]:
    s, shared = sample.options.s, power_shared(runs)
    refits = tuple(run.refit for run in runs)
    alone = [_mean_n_of(run.refit, s) for run in runs]
    if shared:
        strongest = max(run.power_w or 0.0 for run in runs)
        weights = tuple((run.power_w or 0.0) / strongest for run in runs)
        joint = Joint(refits, (0,) * len(runs), weights, (None,), cascade_yield_x=cascade_yield_x)
        scales = [max(n / w for n, w, run in zip(alone, weights, runs, strict=True) if run.fast)]
    else:
        groups, ones, free = tuple(range(len(runs))), (1.0,) * len(runs), (None,) * len(runs)
        joint = Joint(refits, groups, ones, free, cascade_yield_x=cascade_yield_x)
        scales = alone
    box = joint.box(s_free=False)
    begin = joint.start(s, scales)
    indices = list(range(SCALES, SCALES + joint.scales))
    optimum, intervals = _fit(joint, begin, box, indices)
    if not intervals:
        return Way(_no_cascade(begin, s, cascade_yield_x or 1.0)), joint, optimum
    errors = joint.covariance(optimum, box)
    tau_x, tau_xx = _lifetimes(optimum, errors)
    if why := too_slow(tau_x, tau_xx, s, sample.options.quantum_yield_x):
        return Way(f"no <N> at s = {s:g}: of the runs the {why}"), joint, optimum
    lowest = math.log(LEAST_SCALE)
    means: list[Estimate | None] = []
    for group, weight in zip(joint.groups, joint.weights, strict=True):
        scale = _scale(optimum, errors, group, *intervals[group])
        means.append(_exponential(scale, weight) if scale.value > lowest else None)
    factor = _scale_of_given(runs, means, errors, shared=shared)
    eta, eta_reason = eta_of(sample, sample.fit.beta, s, factor, cascade_yield_x)
    way = Way("", Estimate(s, reason=GIVEN), "", tuple(means), factor, tau_x, tau_xx)
    fit = sample.fit
    return (
        replace(way, beta=fit.beta, beta_reason=fit.beta_reason, eta=eta, eta_reason=eta_reason),
        joint,
        optimum,
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
        first = pairs[0][0]
        mean = means[first]
        assert mean is not None
        value = sum((runs[k].mean_n or 0.0) * ratio for k, ratio in pairs) / given
        return mean.times(value / mean.value)
    index = [SCALES + k for k, _ in pairs]
    weights = np.linalg.solve(errors[np.ix_(index, index)], np.ones(len(index)))
    middle = float(weights @ np.log([ratio for _, ratio in pairs])) / float(weights.sum())
    return _exponential(Estimate(middle, 1.0 / math.sqrt(float(weights.sum()))))


def _fit(
    joint: Joint, begin: Floats, box: Box, indices: Sequence[int]
) -> tuple[Optimum, list[tuple[Interval, Interval]]]:
    """The optimum with intervals of the named parameters; a better one met on the way starts them over."""
    optimum = joint.maximise(begin, box)
    if not math.isfinite(optimum.half_deviance):
        return optimum, []
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
    return _with_intervals(_of(optimum, errors, SCALES + group), (ci68, ci95))


def _of(optimum: Optimum, errors: Floats, index: int) -> Estimate:
    return from_variance(float(optimum.theta[index]), float(errors[index, index]))


def _with_intervals(estimate: Estimate, ends: tuple[Interval | None, Interval | None]) -> Estimate:
    return replace(estimate, ci68=ends[0], ci95=ends[1])


def _exponential(estimate: Estimate, factor: float = 1.0) -> Estimate:
    """``factor`` times e to the power of an estimate; intervals that it lacks are those of a normal logarithm."""
    middle, error = estimate.value, estimate.stderr

    def of(interval: Interval | None, z: float) -> Interval | None:
        if interval is None:
            if error is None:
                return None
            interval = middle - z * error, middle + z * error
        low, high = (None if bound is None else factor * math.exp(bound) for bound in interval)
        return low, high

    value = factor * math.exp(middle)
    return replace(
        estimate,
        value=value,
        stderr=None if error is None else value * error,
        ci68=of(estimate.ci68, 1.0),
        ci95=of(estimate.ci95, Z95),
    )
