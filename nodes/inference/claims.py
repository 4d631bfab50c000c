"""What may be said of beta, and what must be said with it.

A fit of two exponentials finds a fast component wherever the model is wrong in the first nanoseconds. These rules
ask whether the instrument, the period or a misfit can have made it. They see no third exponential: 3, 12 and 47 ns
with 3, 20 and 77 % of the photons fit as two lifetimes and a beta, and no statistic of this size says otherwise.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from photonstream.nodes.inference.beta import MIN_PERIOD_PER_TAU_X
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.estimate import Z95, Estimate
from photonstream.nodes.inference.likelihood import BACKGROUND, LN_TAU_X, Likelihood
from photonstream.nodes.inference.means import at

# Full widths of the instrument response below which there is no beta, and below which there is a doubt about it.
# A Gaussian, fitted or given, knows nothing of the tail that real detectors have: 5 % of the photons in a tail of
# 1 ns at a width of 0.235 ns fit as a component of 1 ns, four widths, and silicon diodes have weak tails further out.
# A measured response has errors of its own: recorded in bins as wide as itself (80 ps), it makes in half of all
# recordings of 1e6 photons of one exponential a component of one bin, and a few of up to 0.8 ns.
# A tail that is part of the model is treated the same, with its time for a width where that is more.
Shape = Literal["Gaussian", "measured", "tailed"]
GAUSSIAN: Shape = "Gaussian"
MEASURED: Shape = "measured"
TAILED: Shape = "tailed"
TAIL_WIDTHS, DOUBT_WIDTHS = 5.0, 12.0
SHAPED_TAIL_WIDTHS, SHAPED_DOUBT_WIDTHS = 2.0, 8.0
ALIKE_TAIL = (
    "the fast component cannot be told from the fitted tail of the instrument response: at 95 % it may be as fast, and "
    "the data determine only the sum of the two: give a measured IRF, or the figures of its tail"
)
# Background and tau_x, simulated with tau_x 46.8 ns: where the period was so short that the fit found 4 to 15 ns
# and took the rest for background, the correlation was -0.90 to -0.999 and the background above 60 %. With either
# one alone the fit found tau_x within its error.
DEGENERATE_CORRELATION = 0.9
DEGENERATE_BACKGROUND = 0.5
# A decay of more periods is flat between two pulses. Fits of 46.8 ns at a period of 25 ns that by chance found less
# than the period claimed a wrong beta; their upper limits were beyond this.
MOST_PERIODS = 1.5
# Misplaced photons over those of the fast component. A stretched exponential (0.7) fits as a beta of .98 at 0.29;
# a Gaussian for a response with 30 % in a tail of 1 ns shifts beta from .257 to .18 at 0.16.
MOST_MISFIT = 0.2
LARGEST_BETA = 1.0


def tail_reason(tau_xx_s: float, width_s: float, shape: Shape, *, in_bins: bool = False) -> str:
    """Why a fast component may come from the instrument; empty where it cannot.

    ``width_s``: full width of the response, or a bin (``in_bins``) or the time of its tail where that is more;
    ``shape``: what is known of it.
    """
    limit = TAIL_WIDTHS if shape == GAUSSIAN else SHAPED_TAIL_WIDTHS
    if tau_xx_s > limit * width_s:
        return ""
    if in_bins:
        return (
            f"the fast component ({1e9 * tau_xx_s:.3g} ns) is shorter than {limit:g} bins of {1e9 * width_s:.3g} ns, "
            "in which scattered light or the response's tail cannot be told from it: record with a finer resolution"
        )
    fast = f"the fast component ({1e9 * tau_xx_s:.3g} ns) is shorter than {limit:g} widths of the"
    if shape == MEASURED:
        return f"{fast} measured instrument response ({1e9 * width_s:.3g} ns), whose own errors can make it"
    if shape == TAILED:
        return (
            f"{fast} instrument response or its tail ({1e9 * width_s:.3g} ns), from which it cannot be told"
        )
    return (
        f"{fast} instrument response ({1e9 * width_s:.3g} ns) and may be scattered light or the response's tail: "
        "give a measured IRF"
    )


def tail_alike(tau_xx: Estimate, longest_tail_s: float) -> bool:
    """Whether a fast component may be one with the tail of the response that is fitted beside it.

    So it is unless its lower 95 % limit lies above the tail's upper one, ``longest_tail_s``. Where the two meet, the
    fast component and the delayed part of the slow one are the same exponential: the data determine their sum alone.
    """
    low_s = None if tau_xx.ci95 is None else tau_xx.ci95[0]
    if tau_xx.ci95 is None and tau_xx.stderr is not None:
        # As the fit has it, in the logarithm.
        low_s = tau_xx.value * math.exp(-Z95 * tau_xx.stderr / tau_xx.value)
    return low_s is None or low_s <= longest_tail_s


def tail_warning(tau_xx_s: float, width_s: float, shape: Shape, *, in_bins: bool = False) -> str:
    """What to mind where the fast component is not far beyond the width of the response; empty where it is."""
    if tau_xx_s > (DOUBT_WIDTHS if shape == GAUSSIAN else SHAPED_DOUBT_WIDTHS) * width_s:
        return ""
    if in_bins:
        return (
            f"the fast component is only {tau_xx_s / width_s:.1f} bins of {1e9 * width_s:.3g} ns long, in which the "
            "response's tail could pass for it: a finer resolution would tell"
        )
    fast = f"the fast component is only {tau_xx_s / width_s:.1f} widths of the"
    if shape == MEASURED:
        return f"{fast} measured instrument response, whose own errors could add to it"
    if shape == TAILED:
        return f"{fast} instrument response or its tail, whose figures weigh on it"
    return f"{fast} instrument response, whose tail could pass for it: give a measured IRF"


def correlation(likelihood: Likelihood, errors: Floats) -> float:
    """Correlation of ln tau_x with the background of all channels; 0 where either has no error."""
    background = [at(c, BACKGROUND) for c in range(likelihood.counts.shape[0])]
    variance = float(errors[LN_TAU_X, LN_TAU_X] * errors[np.ix_(background, background)].sum())
    return float(errors[LN_TAU_X, background].sum()) / math.sqrt(variance) if variance > 0.0 else 0.0


def lifetime_reason(tau_x: Estimate, period_s: float, background_share: float, correlation: float) -> str:
    """Why there is no slow lifetime, nor anything that rests on it, for all its interval may say; empty where it is."""
    found = f"tau_x = {1e9 * tau_x.value:.3g} ns is not to be relied on: "
    if period_s < tau_x.value:
        return f"{found}{_period(period_s)} is shorter, a slower decay and background look alike"
    if abs(correlation) > DEGENERATE_CORRELATION and background_share > DEGENERATE_BACKGROUND:
        return (
            f"{found}a slower decay and background look alike within {_period(period_s)}, and "
            f"{100.0 * background_share:.0f} % of the photons are taken for background (correlation "
            f"{correlation:.3f})"
        )
    return ""


def open_reason(tau_x: Estimate, period_s: float) -> str:
    """Why nothing rests on a slow lifetime whose own interval says how little is known of it; empty where it is."""
    longest_s = None if tau_x.ci95 is None else tau_x.ci95[1]
    if tau_x.ci95 is None or (longest_s is not None and longest_s <= MOST_PERIODS * period_s):
        return ""
    limit = "no upper limit" if longest_s is None else f"an upper limit of {1e9 * longest_s:.3g} ns"
    return (
        f"tau_x = {1e9 * tau_x.value:.3g} ns is not to be relied on: the data set it {limit} at 95 %, and "
        f"{_period(period_s)} is too short to see so slow a decay"
    )


def _period(period_s: float) -> str:
    return f"the pulse period ({1e9 * period_s:.4g} ns)"


def leftover_warning(tau_x_s: float, period_s: float) -> str:
    """What to mind where pulses follow each other too fast for the formula of beta; empty where they do not."""
    if period_s >= MIN_PERIOD_PER_TAU_X * tau_x_s:
        return ""
    return (
        f"the pulse period is {period_s / tau_x_s:.2g} tau_x, below {MIN_PERIOD_PER_TAU_X:g}: excitons left over from "
        "earlier pulses meet new ones and read as more biexcitons"
    )


def misfit_reason(misfit: str, misplaced_share: float, photon_share_xx: float) -> str:
    """Why a ``misfit`` beyond chance leaves no beta: it is comparable with the fast component. Empty where not."""
    if not misfit or misplaced_share <= MOST_MISFIT * photon_share_xx:
        return ""
    return (
        f"{misfit}; the fast component itself is {100.0 * photon_share_xx:.2g} % of the photons, so the misfit may "
        "have made it (not two exponentials, or another instrument response)"
    )


def one_too_few_reason(likelihood_ratio: float, threshold: float) -> str:
    """Why one component does not fit: two of them do so much better than chance would. Empty where not."""
    if likelihood_ratio <= threshold:
        return ""
    return (
        f"one component is not enough: two fit better than chance allows (2 ln L higher by {likelihood_ratio:.3g}, "
        f"by chance up to {threshold:.3g})"
    )


def misfit_warning(misfit: str) -> str:
    """What to mind about a beta in spite of a ``misfit`` beyond chance; empty without one."""
    return f"{misfit}: the error of beta does not hold that" if misfit else ""


def held_warning(misfit: str) -> str:
    """What to mind about a beta of a fit range without the rising edge; ``misfit``: of the whole decay."""
    held = (
        "t0 and response are held as the whole decay has them, and the error of beta does not hold what they are off "
        "(by their errors there: a systematic part)"
    )
    return f"{held}; of the whole decay {misfit}" if misfit else held


def within_bounds(beta: Estimate) -> tuple[Estimate | None, str]:
    """beta with its intervals cut at 1, and what is to be said of that; None and why where nothing is left."""
    if beta.value > LARGEST_BETA:
        return None, f"no beta: {beta.value:.3g} would be more than one biexciton per pulse"
    if beta.ci95 == (None, None):
        return None, "no beta: the data limit it at neither side at 95 %"
    within = beta.below(LARGEST_BETA)
    note = "the interval ends at 1, one biexciton for every excited pulse, where the model ends"
    return within, note if within != beta else ""
