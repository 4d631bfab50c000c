"""Pairs of photons by the separation of the pulses that made them.

A device counts a photon to the last sync before it arrived. Where the pulse stands late in the period, the tail of
its photons is counted to the next sync. So the period is cut where photons are rarest, just before the pulse, and
every photon goes to its own one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class OwnPulse:
    """For each class of delays of one channel: ``shift`` (-1, 0, 1) from the counted pulse to the photon's own.

    ``starts_s`` and ``stops_s`` are the delays at which a class begins and ends.
    """

    shift: Counts
    starts_s: NDArray[np.float64]
    stops_s: NDArray[np.float64]
    period_s: float

    def late(self, t0_s: float, late_s: float) -> NDArray[np.bool_]:
        """The classes all of whose photons come at least ``late_s`` after their own pulse, which stands at ``t0_s``."""
        t0_s = t0_s % self.period_s
        holds_pulse = (self.starts_s <= t0_s) & (t0_s < self.stops_s)
        own_s = self.starts_s - self.shift * self.period_s
        # The pulse stands near the cut, whichever period that is counted in.
        after_s = own_s - t0_s - self.period_s * round((own_s.min() - t0_s) / self.period_s)
        late: NDArray[np.bool_] = (after_s >= late_s) & ~holds_pulse
        return late

    def mean_delay_s(self, photons: Counts) -> float:
        """Mean delay, counted from the own pulse's sync, of ``photons`` by class."""
        centre_s = 0.5 * (self.starts_s + self.stops_s) - self.shift * self.period_s
        return float((photons * centre_s).sum() / max(1, photons.sum()))


def own_pulse(photons: Counts, starts_s: NDArray[np.float64], period_s: float) -> OwnPulse:
    """Find the cut of the period from ``photons`` by class; those at the peak keep the pulse they were counted to."""
    classes, peak = len(photons), int(np.argmax(photons))
    # Of equally rare classes the one nearest before the peak: a gap in the tail of few photons is no end of it.
    backwards = (peak - 1 - np.arange(classes)) % classes
    first = (int(backwards[np.argmin(photons[backwards])]) + 1) % classes
    index = np.arange(classes)
    keep_late_part = peak >= first
    shift = np.where(index < first, -1, 0) if keep_late_part else np.where(index >= first, 1, 0)
    return OwnPulse(shift, starts_s, np.append(starts_s[1:], period_s), period_s)


def peaks(
    classes: Counts,
    low: OwnPulse,
    high: OwnPulse,
    keep_low: NDArray[np.bool_] | None = None,
    keep_high: NDArray[np.bool_] | None = None,
) -> Counts:
    """Pairs by separation of own pulses, higher channel less lower; the middle one is separation 0.

    ``classes`` (2 K + 1 separations, classes of the lower channel, of the higher). Separations that lie partly
    beyond the K counted ones are left out. ``keep_low`` and ``keep_high`` choose classes.
    """
    reach = classes.shape[0] // 2
    change = high.shift[None, :] - low.shift[:, None]
    margin = int(np.abs(change).max())
    kept = np.ones(change.shape, bool)
    if keep_low is not None:
        kept &= keep_low[:, None]
    if keep_high is not None:
        kept &= keep_high[None, :]
    found = np.zeros(2 * (reach - margin) + 1, np.int64)
    for step in range(-margin, margin + 1):
        by_counted = classes[:, kept & (change == step)].sum(axis=1)
        # Own separation k was counted as k - step.
        found += by_counted[margin - step : len(by_counted) - margin - step]
    return found
