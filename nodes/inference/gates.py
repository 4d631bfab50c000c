"""Lifetime gates: parts of the delay after the pulse in which a bin's photons are counted to tell states apart.

They are placed from the recording's own decay, for each channel about its own t0, so that cables and skewed responses
make no difference: after t0 come GATE_SHARES of the channel's photons in each gate, which are 0 to 4, 4 to 15, 15 to
45 and over 45 ns for an exciton of 47 ns. What comes before t0 is the tail of the pulse before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Share of the photons up to the end of each gate but the last.
GATE_SHARES = (0.12, 0.30, 0.62)
GATES = len(GATE_SHARES) + 1
# A channel with fewer photons has no gates: its decay cannot be seen.
FEWEST_PHOTONS = 50
# Delays are told apart in so many classes of the period, at most.
MOST_CLASSES = 1024
# The rise at t0 is looked for over this share of the period.
_RISE = 1 / 64
NO_GATE = 255
_MOST_CHANNELS = 256


@dataclass(frozen=True)
class Gates:
    """Per channel the class of t0 and those in which the gates after the first begin, counted from t0.

    ``classes`` is the number of classes in a period.
    """

    classes: int
    t0: Mapping[int, int]
    edges: Mapping[int, tuple[int, ...]]

    def table(self) -> NDArray[np.uint8]:
        """Gate of every channel (256) and class; NO_GATE for channels that have none."""
        gate_of = np.full((_MOST_CHANNELS, self.classes), NO_GATE, np.uint8)
        for channel, t0 in self.t0.items():
            delay = (np.arange(self.classes) - t0) % self.classes
            gate_of[channel] = np.searchsorted(self.edges[channel], delay, side="right")
        return gate_of

    def widths(self, photons: Mapping[int, int]) -> NDArray[np.float64]:
        """Share of each gate in a constant background, (GATES,): the mean over channels by their ``photons``."""
        found, total = np.zeros(GATES), 0
        for channel, edges in self.edges.items():
            weight = photons.get(channel, 0)
            found += weight * np.diff(np.array([0, *edges, self.classes])) / self.classes
            total += weight
        return found / max(total, 1)

    def as_dict(self) -> dict[str, Any]:
        """As the value of a parameter."""
        channels = sorted(self.t0)
        return {
            "classes": self.classes,
            "channels": channels,
            "t0": [self.t0[c] for c in channels],
            "edges": [list(self.edges[c]) for c in channels],
        }


def gates_of(value: Mapping[str, Any]) -> Gates:
    """The gates that `Gates.as_dict` gave. Raises ValueError for what cannot be."""
    classes, channels = int(value["classes"]), [int(c) for c in value["channels"]]
    if not 1 <= classes <= MOST_CLASSES or not all(0 <= c < _MOST_CHANNELS for c in channels):
        raise ValueError("gates of no channels or delays that can be")
    t0 = {c: int(each) for c, each in zip(channels, value["t0"], strict=True)}
    edges = {c: tuple(int(e) for e in each) for c, each in zip(channels, value["edges"], strict=True)}
    for each in edges.values():
        if len(each) != GATES - 1 or list(each) != sorted(each) or not 0 <= each[0] <= each[-1] <= classes:
            raise ValueError("the edges of gates rise from t0 to the period")
    return Gates(classes, t0, edges)


def place_gates(decays: NDArray[np.int64]) -> Gates | None:
    """Gates for ``decays`` (channels, classes of one period); None where no channel has enough photons.

    t0 is where the counts rise most, from one 64th of a period to the next.
    """
    classes = decays.shape[1]
    t0: dict[int, int] = {}
    edges: dict[int, tuple[int, ...]] = {}
    span = max(1, round(classes * _RISE))
    for channel, decay in enumerate(decays):
        photons = int(decay.sum())
        if photons < FEWEST_PHOTONS or classes < GATES:
            continue
        running = np.concatenate([[0], np.cumsum(np.concatenate([decay[-span:], decay, decay[:span]]))])
        after = running[2 * span : 2 * span + classes] - running[span : span + classes]
        before = running[span : span + classes] - running[:classes]
        t0[channel] = int(np.argmax(after - before))
        cumulative = np.cumsum(np.roll(decay, -t0[channel]))
        cuts = 1 + np.searchsorted(cumulative, np.array(GATE_SHARES) * photons)
        edges[channel] = tuple(int(c) for c in np.minimum(cuts, classes))
    return Gates(classes, t0, edges) if t0 else None


def background_share(decay: NDArray[np.int64]) -> float:
    """Share of a constant background among the photons of ``decay`` (classes from t0 on), between 0 and 1.

    From three neighbouring spans in the last three quarters of the period: for a decay that is one exponential there,
    y1, y2, y3 = b + a, b + a q, b + a q^2 give b = (y1 y3 - y2^2)/(y1 + y3 - 2 y2).
    """
    span, photons = len(decay) // 4, int(decay.sum())
    if not span or not photons:
        return 0.0
    y1, y2, y3 = (float(decay[k * span : (k + 1) * span].sum()) for k in (1, 2, 3))
    bend = y1 + y3 - 2 * y2
    constant = (y1 * y3 - y2 * y2) / bend if bend > 0 else y3
    return min(1.0, float(np.clip(constant, 0.0, min(y1, y2, y3))) * len(decay) / span / photons)
