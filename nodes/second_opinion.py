"""What the change points say beside the states: their levels, the beta of their neutral ones, and where both agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.delays import Pulses, mean_delay
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import plain_value
from photonstream.nodes.inference.rows import HIDDEN_MARKOV

Fit = Callable[[NDArray[np.int64], NDArray[np.int64], float], DecayFit]


def second_opinion(
    value: Mapping[str, Any], selection: Mapping[str, Any], fit: Fit, pulses: Pulses
) -> dict[str, Any]:
    """The part of result.json for ``value``, the result of the node ``changepoint``.

    ``pulses``: where the pulse stands in each channel.
    ``fit`` takes the decay (channels, dtime bins) of the neutral photons, their channels, and how long they were
    collected (s).
    """
    found = {key: value[key] for key in ("alpha", "photons", "left_out", "reason")}
    if value["reason"]:
        return found
    neutral: NDArray[np.bool_] = value["neutral"]
    again = fit(value["decays"][neutral].sum(axis=0), value["channels"], value["neutral_s"])
    shown = ("covered_s", "change_points", "unsure_s")
    of_axis = value["channels"], value["resolution_s"], value["pulse_period_s"], pulses
    delays = (mean_delay(decay, *of_axis) for decay in value["decays"])
    return {
        **found,
        **{key: value[key] for key in shown},
        "levels": [
            {**level, "mean_dtime_s": mean_s, "mean_dtime_stderr_s": stderr_s}
            for level, (mean_s, stderr_s) in zip(value["levels"], delays, strict=True)
        ],
        "tau_x_s": plain_value(again.tau_x_s),
        "beta": plain_value(again.beta),
        "beta_reason": again.beta_reason,
        "agreement": _agreement(value["by_state_s"], neutral, selection),
    }


def _agreement(
    by_state_s: NDArray[np.float64], neutral: NDArray[np.bool_], selection: Mapping[str, Any]
) -> float | None:
    """Share of the time in which both call the emitter neutral or both do not; None where states were not told."""
    known = by_state_s[:, 1:]
    if selection["method"] != HIDDEN_MARKOV or not known.any():
        return None
    on: NDArray[np.bool_] = selection["on_states"][1:]
    return float(known[neutral[:, None] == on[None, :]].sum() / known.sum())
