"""What to mind about a calibration: runs, lifetimes or given figures that do not go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from scipy.special import chdtrc

from photonstream.nodes.inference.beta import MOST_MEAN_N
from photonstream.nodes.inference.calibration_data import CalibrationRun, Sample, Way, power_shared
from photonstream.nodes.inference.cascade_eta import CASCADE, TWO_LEVELS
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.joint import Joint
from photonstream.nodes.inference.refit import emitter_of
from photonstream.nodes.inference.scoring import Optimum

# Runs that go together differ by more only once in a thousand; lifetimes, as many standard errors.
_RARE = 1e-3
_FAR_SIGMA = 3.3


class Answers(NamedTuple):
    """What one model says: s at given <N>, <N> at given s, and the joint fit of the latter."""

    by_n: Way
    by_s: Way
    joint: Joint
    optimum: Optimum


def warnings_of(
    runs: Sequence[CalibrationRun], sample: Sample, closed: Answers, cascade: Answers
) -> tuple[str, ...]:
    """All warnings. What one model objects to and the other does not, three and more excitons may be behind."""
    found = (
        _accord(runs, closed, cascade),
        _lifetimes_differ(sample, closed, cascade),
        _ways_differ(sample.options.s, closed.by_n, cascade.by_n),
        _too_bright(runs, closed.by_s),
    )
    return tuple(filter(None, found))


def _ways_differ(s: float, closed: Way, cascade: Way) -> str:
    """What to mind where the given s lies outside the 95 % interval of the s at the given <N>, by a model or both."""
    excluded = [name for name, way in ((TWO_LEVELS, closed), (CASCADE, cascade)) if _excludes(way, s)]
    if not excluded:
        return ""
    head = f"s = {s:g} and the given <N> exclude each other at 95 %"
    put = " and ".join(
        f"{_s_text(way.s)} ({name})" for name, way in ((TWO_LEVELS, closed), (CASCADE, cascade)) if way.s
    )
    if len(excluded) == 2 or closed.s is None or cascade.s is None:
        return f"{head}: the runs put s at {put}"
    return (
        f"{head} by the {excluded[0]} alone: the runs put s at {put}, so three and more excitons may be why"
    )


def _s_text(s: Estimate) -> str:
    low, _ = s.ci95 or (None, None)
    if math.isfinite(s.value):
        return f"{s.value:.3g}"
    return "no value" if low is None else f"above {low:.3g}"


def _excludes(way: Way, s: float) -> bool:
    if way.s is None or way.s.ci95 is None:
        return False
    low, high = way.s.ci95
    return (low is not None and s < low) or (high is not None and s > high)


def _accord(runs: Sequence[CalibrationRun], closed: Answers, cascade: Answers) -> str:
    """What to mind where the runs, each alone, fit better beyond chance than together."""
    apart = sum(run.refit.optimum.half_deviance for run in runs)
    freedom = 3 * len(runs) - 2 - closed.joint.scales
    excess, by_cascade = (max(0.0, 2.0 * (each.optimum.half_deviance - apart)) for each in (closed, cascade))
    if not freedom or chdtrc(freedom, excess) > _RARE:
        return ""
    common = "lifetimes and <N> in proportion to the power" if power_shared(runs) else "lifetimes"
    missed = f"fitted together they miss by 2 ln L = {excess:.1f} for {freedom} degrees of freedom"
    if chdtrc(freedom, by_cascade) > _RARE:
        return (
            f"the calibration runs do not share {common} by the {TWO_LEVELS} ({missed}); by the {CASCADE} they do, so "
            "three and more excitons may be why"
        )
    return f"the calibration runs do not share {common}: {missed}"


def _lifetimes_differ(sample: Sample, closed: Answers, cascade: Answers) -> str:
    """What to mind where the sample's lifetimes are not those of the calibration runs."""
    fit = sample.fit
    words = _apart(fit.tau_x_s, fit.tau_xx_s, closed.by_s)
    if not words:
        return ""
    found = f"this run and the calibration runs differ in {', '.join(words)}, more than their errors allow"
    mean_n, s = sample.options.mean_n, sample.options.s
    if mean_n is None or fit.beta is None or fit.tau_x_s is None or fit.tau_xx_s is None:
        return found
    behind = emitter_of(sample.refit, fit, sample.options, fit.beta.value, mean_n, s).cascade
    if behind is None or cascade.by_s.tau_x_s is None:
        return found
    own = (
        replace(fit.tau_x_s, value=behind.tau_x_s),
        replace(fit.tau_xx_s, value=behind.tau_xx_s),
    )
    if _apart(*own, cascade.by_s):
        return found
    return f"{found}; by the {CASCADE} they agree, so three and more excitons may be why"


def _apart(tau_x_s: Estimate | None, tau_xx_s: Estimate | None, way: Way) -> list[str]:
    """Lifetimes that differ from those of the runs, in words."""
    words = []
    for name, own, common in (("tau_x", tau_x_s, way.tau_x_s), ("tau_xx", tau_xx_s, way.tau_xx_s)):
        if own is None or common is None or not own.stderr or not common.stderr:
            continue
        sigma_s = math.hypot(own.stderr, common.stderr)
        if abs(own.value - common.value) > _FAR_SIGMA * sigma_s:
            words.append(f"{name} {1e9 * own.value:.3g} and {1e9 * common.value:.3g} ns")
    return words


def _too_bright(runs: Sequence[CalibrationRun], way: Way) -> str:
    """What to mind where pulses absorb so much that two levels are too few."""
    found = [mean.value for mean in way.mean_n if mean is not None]
    highest = max([*found, *(run.mean_n for run in runs if run.mean_n is not None)], default=0.0)
    if highest <= MOST_MEAN_N:
        return ""
    return (
        f"<N> = {highest:.3g} of a calibration run is above {MOST_MEAN_N:g}: most excited pulses absorb several "
        "photons, of which the closed form counts only two"
    )
