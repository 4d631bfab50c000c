"""How well the mean delay of a level is known: from the spread of the delays in its own decay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.rows import HIDDEN_MARKOV, selected, states_of


def with_delay_errors(rows: Mapping[str, Any], selection: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The levels of ``selection``, each with ``mean_dtime_stderr_s``: standard deviation over the root of the photons.

    ``rows`` is the result of the node ``decay``. None where the rows of the level are not told apart from those of
    another one, as where a window leaves out what is below it and above it.
    """
    labels: NDArray[np.int64] = rows["labels"]
    decays = rows["counts"].sum(axis=1)
    levels = selection["levels"]
    found = []
    for level in levels:
        if selection["method"] == HIDDEN_MARKOV:
            of_level = states_of(labels) == level["state"]
        else:
            of_level = selected(selection, labels) == level["on"]
            if sum(other["on"] == level["on"] for other in levels) > 1:
                of_level = np.zeros(len(labels), bool)
        found.append(
            {**level, "mean_dtime_stderr_s": _error_s(decays[of_level].sum(axis=0), rows["resolution_s"])}
        )
    return found


def _error_s(decay: NDArray[np.int64], resolution_s: float) -> float | None:
    """Standard error of the mean of a histogram (bins,) with bins of ``resolution_s``."""
    photons = int(decay.sum())
    if photons < 2:
        return None
    place = np.arange(len(decay), dtype=float)
    mean = float(decay @ place) / photons
    return math.sqrt(float(decay @ (place - mean) ** 2) / (photons - 1) / photons) * resolution_s
