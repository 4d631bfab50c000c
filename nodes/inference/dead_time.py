"""Whether the photons contradict a dead time that was given: then some follow another one within it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# So many photons within a dead time are no accident of the electronics, and no afterpulses of a detector that is blind:
# at least this many, and this share of those that a detector without dead time would have seen there.
FEWEST, LEAST_SHARE = 10, 0.05


def contradiction(rows: Mapping[str, Any], dead_time_s: float | None, recorded_s: float) -> str:
    """Why ``dead_time_s`` cannot be that of the detectors; empty where nothing says so.

    ``rows`` is the result of the node ``decay``: ``waits`` (channels, bins), whose upper ends but the last one's are
    ``wait_edges_s``. Photons at a constant rate r follow another one within a short time t with probability r t.
    """
    edges_s: NDArray[np.float64] = rows["wait_edges_s"]
    if not dead_time_s or recorded_s <= 0.0 or dead_time_s < edges_s[0]:
        return ""
    within = int(np.searchsorted(edges_s, dead_time_s, side="right"))
    for channel, waits in zip(rows["channels"].tolist(), rows["waits"], strict=True):
        seen, photons = int(waits[:within].sum()), int(waits.sum())
        expected = photons**2 / recorded_s * float(edges_s[within - 1])
        if seen > max(FEWEST, LEAST_SHARE * expected):
            return (
                f"dead_time_s is {dead_time_s:g}, but on channel {channel} {seen} photons came within "
                f"{edges_s[within - 1]:.3g} s of the one before them (without a dead time some {expected:.0f} would): "
                "a detector that is blind for so long sees none"
            )
    return ""
