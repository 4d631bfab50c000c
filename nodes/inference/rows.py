"""Labels of photons, which are the rows of their histograms: how bright their bin was and which state it was in.

A label holds the brightness level of the photon's trace bin, the state that the bin was found in, and the state that it
would be found in if its own photons were left out. So whatever is chosen of levels or states, by rule or by hand, is a
sum of rows, and nothing has to be read again. State 0 stands for "not known (yet)".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATE_BITS = 3
# States that a label tells apart, the unknown one included.
STATES = 1 << STATE_BITS
_MASK = STATES - 1

Integers = NDArray[np.int64]
WINDOW, HIDDEN_MARKOV = "window", "hmm"
METHODS = (HIDDEN_MARKOV, WINDOW)


def method_of(name: str) -> str:
    """``name`` where it is a method of finding states. Raises ValueError with a sentence where it is none."""
    if name in METHODS:
        return name
    why = (
        ": change points select nothing; they are the second opinion, found at the end, of --second-opinion"
        if name == "changepoint"
        else ""
    )
    raise ValueError(f"the method is one of {', '.join(METHODS)}, not {name!r:.60}{why}")


def label_of(level: Integers, own: Integers, left_out: Integers) -> Integers:
    """The labels of bins: their level, their state, and that without their own photons."""
    labels: Integers = (level << 2 * STATE_BITS) | (own << STATE_BITS) | left_out
    return labels


def levels_of(labels: Integers) -> Integers:
    """The brightness level of each label."""
    levels: Integers = labels >> 2 * STATE_BITS
    return levels


def states_of(labels: Integers, *, left_out: bool = False) -> Integers:
    """The state of each label; ``left_out``: the one found without the bin's own photons."""
    states: Integers = (labels & _MASK) if left_out else (labels >> STATE_BITS & _MASK)
    return states


def selected(selection: Mapping[str, Any], labels: Integers, *, left_out: bool = False) -> NDArray[np.bool_]:
    """Which of ``labels`` belong to the ``selection`` (the result of the node ``states``).

    While a run goes on the two come from nodes at different times, and a level may be newer than the selection: the
    last entry of its ``on_levels`` stands for all above. With ``left_out`` a bin is selected by the state that it has
    without its own photons; for a window that is no different.
    """
    if selection["method"] == HIDDEN_MARKOV:
        on_states: NDArray[np.bool_] = selection["on_states"]
        return on_states[states_of(labels, left_out=left_out)]
    on_levels: NDArray[np.bool_] = selection["on_levels"]
    if not on_levels.size:
        return np.zeros(len(labels), bool)
    return on_levels[np.minimum(levels_of(labels), len(on_levels) - 1)]
