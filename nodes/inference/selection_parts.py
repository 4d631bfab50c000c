"""What the selection of photons by the emitter's state may have done to beta and the lifetimes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from photonstream.nodes.inference.contamination import Contaminant
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.fit_range import cut
from photonstream.nodes.inference.likelihood import LN_TAU_X, LN_TAU_XX
from photonstream.nodes.inference.own_delays import JUDGED, LeftOut
from photonstream.nodes.inference.refit import Refit, beta_of_refit
from photonstream.nodes.inference.scoring import maximise
from photonstream.nodes.inference.search import likelihood_of
from photonstream.nodes.inference.systematic import Systematic

OTHERS = "other states in the selection"
OWN_DELAYS = "selection by the photons' own delays"


def of_contamination(
    data: DecayData,
    options: FitOptions,
    refit: Refit,
    others: Sequence[Contaminant] | str,
    quantities: Sequence[str],
) -> tuple[Systematic, ...]:
    """As much again of the other states' photons as the selection is expected to hold, and what that does."""
    if isinstance(others, str):
        return tuple(Systematic(OTHERS, others, quantity=name) for name in quantities)
    share = sum(other.share for other in others)
    relative = math.hypot(*(other.stderr for other in others)) / share
    likelihood = refit.likelihood
    counts = likelihood.counts.copy()
    for other in others:
        whole = replace(data, counts=other.counts)
        counts += (
            other.part * cut(likelihood_of(whole, options, refit.rows, refit.starts), data, options).counts
        )
    likelihood = replace(likelihood, counts=counts)
    more = replace(refit, likelihood=likelihood, optimum=maximise(likelihood, refit.optimum.theta, refit.box))
    how = (
        f"as the model of the states expects, {100.0 * share:.2g} % of the selected time is another state's, give or "
        f"take {100.0 * relative * share:.1g} %: with as much again of their photons, less without"
    )
    found = []
    for name in quantities:
        before, after = _value(refit, name), _value(more, name)
        if before is None or after is None:
            found.append(Systematic(OTHERS, f"{how}: it leaves its domain", quantity=name))
        else:
            shift = after - before
            found.append(Systematic(OTHERS, how, shift, relative * abs(shift), name))
    return tuple(found)


def _value(refit: Refit, name: str) -> float | None:
    """beta, tau_x (s) or tau_xx (s) of a fit; None where it found none."""
    if name == "beta":
        return beta_of_refit(refit)
    if not math.isfinite(refit.optimum.half_deviance):
        return None
    return math.exp(float(refit.optimum.theta[LN_TAU_X if name == "tau_x_s" else LN_TAU_XX]))


def of_own_delays(
    fit: DecayFit, left_out: LeftOut | None, quantities: Sequence[str]
) -> tuple[Systematic, ...]:
    """What choosing bins by delays that are then fitted may have done: see `own_delays`."""
    if left_out is None or not left_out.part:
        return ()
    return tuple(
        Systematic(OWN_DELAYS, left_out.words(name), sigma=left_out.sigma(fit, name), quantity=name)
        for name in JUDGED
        if name in quantities
    )
