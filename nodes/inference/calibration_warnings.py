"""What to mind about a calibration: runs, lifetimes or given figures that do not go together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import chi2

from photonstream.nodes.inference.beta import MOST_MEAN_N
from photonstream.nodes.inference.calibration_data import CalibrationRun, Sample, Way, power_shared
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.joint import Joint
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX
from photonstream.nodes.inference.scoring import Optimum

# Runs that go together differ by more only once in a thousand; lifetimes, as many standard errors.
_RARE = 1e-3
_FAR_SIGMA = 3.3


def warnings_of(
    runs: Sequence[CalibrationRun],
    sample: Sample,
    joint: Joint,
    optimum: Optimum,
    errors: Floats,
    by_n: Way,
    by_s: Way,
) -> tuple[str, ...]:
    """All warnings; ``optimum`` of ``joint`` and its ``errors`` are those of the way at given s, ``by_s``."""
    found = (
        _accord(runs, joint, optimum),
        _lifetimes_differ(sample, optimum, errors),
        _ways_differ(by_n, by_s),
        _too_bright(runs, by_s),
    )
    return tuple(filter(None, found))


def _ways_differ(by_n: Way, by_s: Way) -> str:
    """What to mind where the given s lies outside the 95 % interval of the s at the given <N>."""
    if by_n.s is None or by_s.s is None or by_n.s.ci95 is None:
        return ""
    low, high = by_n.s.ci95
    if (low is None or by_s.s.value >= low) and (high is None or by_s.s.value <= high):
        return ""
    return f"s = {by_s.s.value:g} and the given <N> exclude each other at 95 %: the runs put s at {by_n.s.value:.3g}"


def _accord(runs: Sequence[CalibrationRun], joint: Joint, optimum: Optimum) -> str:
    """What to mind where the runs, each alone, fit better beyond chance than together."""
    apart = sum(run.refit.optimum.half_deviance for run in runs)
    freedom = 3 * len(runs) - 2 - joint.scales
    excess = 2.0 * (optimum.half_deviance - apart)
    if not freedom or chi2.sf(excess, freedom) > _RARE:
        return ""
    common = "lifetimes and <N> in proportion to the power" if power_shared(runs) else "lifetimes"
    return (
        f"the calibration runs do not share {common}: fitted together they miss by 2 ln L = {excess:.1f} for "
        f"{freedom} degrees of freedom"
    )


def _lifetimes_differ(sample: Sample, optimum: Optimum, errors: Floats) -> str:
    """What to mind where the sample's lifetimes are not those of the calibration runs."""
    words = []
    for name, index, own in (
        ("tau_x", LN_TAU_X, sample.fit.tau_x_s),
        ("tau_xx", LN_TAU_XX, sample.fit.tau_xx_s),
    ):
        common_s = math.exp(float(optimum.theta[index]))
        if own is None or not own.stderr or not errors[index, index] > 0.0:
            continue
        sigma_s = math.hypot(own.stderr, common_s * math.sqrt(float(errors[index, index])))
        if abs(own.value - common_s) > _FAR_SIGMA * sigma_s:
            words.append(f"{name} {1e9 * own.value:.3g} and {1e9 * common_s:.3g} ns")
    if not words:
        return ""
    return f"this run and the calibration runs differ in {', '.join(words)}, more than their errors allow"


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
