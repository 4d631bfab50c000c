"""What a detector does to the decay that it records: dead time, one photon per sync, afterpulses.

Every channel is a detector of its own. If mu_b photons are due in bin b over the whole measurement, the channel
records on average

    efficiency_b mu_b + extra_b,

where ``efficiency`` is what blindness leaves and ``extra`` are afterpulses. Both follow from counts per pulse.

**Blindness.** A photon at time t is lost if the channel recorded another one in its window: the dead time before t
(a photon that is lost does not prolong it), or everything since the sync, if the electronics keeps one photon per
sync. Two *recorded* photons never share such a window, so the probability that one was recorded in it is exactly the
expected number W, a sum of counts per pulse over the window, around the end of the period and over several periods
where the dead time is longer. A photon that is independent of the earlier ones is recorded with probability 1 - W;
for one photon per sync this is the correction of Coates, J. Phys. E 1, 878 (1968).

**The photons of one emitter are not independent.** After a pulse it gives at most one photon with each lifetime: in
the two-level world an exciton photon follows a biexciton photon or nothing. Let R_xx and R_x be the biexciton and
exciton photons per pulse that reach the channel, P = 1 - exp(-<N>) the probability that a pulse excites, so that an
exciton's photon arrives with probability R_x/P. With window w, the exciton photons lost behind the biexciton photon
of their own pulse have the density (u after the pulse; h_tau is the exponential with mean tau)

    L(u) = R_xx (R_x/P) [G(u) - exp(-w/tau_x) G(u - w)],
    G = h_tau_xx * h_tau_x = (tau_x h_tau_x - tau_xx h_tau_xx)/(tau_x - tau_xx),

the second term because of the exciton photons that come later than w behind. Every other photon in the window
(background, afterpulses, earlier pulses) is independent of this pulse, so

    recorded = own (1 - W_other) - L + rest (1 - W),

own and rest being this pulse's photons and all others; L is less by the share of first photons that are lost
themselves. For one photon per sync, w of a pair reaches from the pulse to the end of the period. At <N> = 0.1 and
beta = 0.26 about as many photons are lost as independence says, but within nanoseconds of the pulse, where the loss
passes for biexcitons: independence takes back a third of the shift of beta, and at <N> = 1 it overshoots. The rates
come from the fitted decay, R_xx/R_x = beta s tau_xx/tau_x, and the fit is repeated until they agree. <N> is needed
for P, and its relative error is that of the correction; where it is not known the photons are taken as independent.

**Afterpulses.** Each recorded photon, also an afterpulse, makes another with probability p, after the dead time and
an exponential wait: extra is p times the recorded histogram convolved with that, over all periods, times 1 - W. With
one photon per sync none is recorded in the period of its parent.

Of second order, and left out: the counting noise in efficiency and extra (and of the fitted rates), three photons
that block each other, three excitons, the part of a photon's own bin and of the instrument's width in the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from photonstream.nodes.inference.decay_model import Floats, bin_shares

# Mean wait of an afterpulse after the dead time where none is given: what silicon avalanche diodes show.
AFTERPULSE_S = 50e-9
# A channel that is blind for more of the time than this is not corrected: then figures and counts disagree.
MOST_BLIND = 0.9
# After that many waits no afterpulse is left.
_WAITS = 60.0


@dataclass(frozen=True, slots=True)
class Detector:
    """Figures of one detector and its electronics, the same for every channel.

    ``dead_time_s``: not prolonged by lost photons. ``pile_up``: each channel keeps one photon per sync.
    ``afterpulsing``: probability that a recorded photon makes another, ``afterpulse_s`` after the dead time on
    average. Raises ValueError for what cannot be.
    """

    dead_time_s: float = 0.0
    pile_up: bool = False
    afterpulsing: float = 0.0
    afterpulse_s: float = AFTERPULSE_S

    def __post_init__(self) -> None:
        for name in ("dead_time_s", "afterpulsing", "afterpulse_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} is {value!r}: not a number")
        if not isinstance(self.pile_up, bool):
            raise ValueError(f"pile_up is {self.pile_up!r}: one photon per sync is true or false")
        if not 0.0 <= self.dead_time_s <= 1e-3:
            raise ValueError(f"dead_time_s is {self.dead_time_s}: not from 0 to 1 ms")
        if not 0.0 <= self.afterpulsing <= 0.5:
            raise ValueError(f"afterpulsing is {self.afterpulsing}: not a probability from 0 to 0.5")
        if not 0.0 < self.afterpulse_s <= 1e-3:
            raise ValueError(f"afterpulse_s is {self.afterpulse_s}: not above 0 and up to 1 ms")

    @property
    def blinding(self) -> bool:
        """Whether photons are lost."""
        return self.pile_up or self.dead_time_s > 0.0

    @property
    def name_of_blindness(self) -> str:
        """Which figures say that photons are lost."""
        names = ["dead_time_s"] if self.dead_time_s > 0.0 else []
        return " and ".join([*names, "pile_up"] if self.pile_up else names)


@dataclass(frozen=True, slots=True)
class Emission:
    """One channel's photons due per pulse and bin, by origin, and what ties them together.

    ``own`` (bins,): from the latest pulse; ``other`` (bins,): earlier pulses, background and afterpulses. The pulse
    comes at ``pulse_s`` in the period. ``pairs`` (bins,): exciton photons in bins that come behind the biexciton
    photon of their pulse; ``pairs_late`` those of them that the window no longer reaches.
    """

    own: Floats
    other: Floats
    pulse_s: float
    pairs: Floats
    pairs_late: Floats


def recorded_before(per_pulse: Floats, edges_s: Floats, period_s: float, times_s: Floats) -> Floats:
    """Counts per pulse from time 0 to ``times_s``, which may lie in other periods; negative before 0.

    ``per_pulse`` (bins,) are the counts per pulse between ``edges_s`` (bins + 1,).
    """
    cumulative = np.concatenate([[0.0], np.cumsum(per_pulse)])
    turns = np.floor(times_s / period_s)
    return np.asarray(
        turns * cumulative[-1] + np.interp(times_s - turns * period_s, edges_s, cumulative), dtype=np.float64
    )


def _between(per_pulse: Floats, edges_s: Floats, period_s: float, low_s: Floats, high_s: Floats) -> Floats:
    high = recorded_before(per_pulse, edges_s, period_s, high_s)
    return np.asarray(high - recorded_before(per_pulse, edges_s, period_s, low_s))


def _window(detector: Detector, edges_s: Floats) -> tuple[Floats, Floats]:
    """Start and end of the window of a photon in the middle of each bin."""
    end_s = 0.5 * (edges_s[:-1] + edges_s[1:])
    start_s = end_s - detector.dead_time_s
    return (np.minimum(start_s, 0.0) if detector.pile_up else start_s), end_s


def independent_efficiency(detector: Detector, per_pulse: Floats, edges_s: Floats, period_s: float) -> Floats:
    """1 - W of each bin, from the recorded counts ``per_pulse`` of one channel."""
    start_s, end_s = _window(detector, edges_s)
    return np.asarray(1.0 - _between(per_pulse, edges_s, period_s, start_s, end_s))


def pair_window_s(detector: Detector, pulse_s: float, period_s: float) -> float:
    """How long after the pulse's first photon the channel takes no other of the same pulse."""
    to_sync_s = period_s - pulse_s % period_s if detector.pile_up else 0.0
    return max(detector.dead_time_s, to_sync_s)


def emitter_efficiency(
    detector: Detector,
    emission: Emission,
    recorded: Floats,
    independent: Floats,
    edges_s: Floats,
    period_s: float,
) -> Floats:
    """Share of one emitter's photons that is recorded in each bin.

    ``recorded`` (bins,) are the counts per pulse, ``independent`` the 1 - W that they give; a bin in which no photon
    is due has that.
    """
    start_s, end_s = _window(detector, edges_s)
    since_s = np.mod(end_s - emission.pulse_s, period_s)
    # Up to the latest pulse all photons are others'; after it only those that are not the pulse's own.
    turn_s = np.maximum(end_s - since_s, start_s)
    others = _between(recorded, edges_s, period_s, start_s, turn_s) + _between(
        emission.other * independent, edges_s, period_s, turn_s, end_s
    )
    due = emission.own + emission.other
    # The first photon of a pulse can be lost itself, and then blocks nothing.
    at_pulse = int(np.searchsorted(edges_s, emission.pulse_s % period_s, side="right")) - 1
    lost_behind = (1.0 - others[min(at_pulse, others.size - 1)]) * (emission.pairs - emission.pairs_late)
    seen = emission.own * (1.0 - others) - lost_behind + emission.other * independent
    return np.asarray(np.divide(seen, due, out=independent.copy(), where=due > 0.0))


def afterpulses(
    detector: Detector, counts: Floats, independent: Floats, edges_s: Floats, period_s: float
) -> Floats:
    """Mean counts of afterpulses in each bin, from the recorded ``counts`` (bins,) of one channel.

    ``edges_s`` begin at 0 and are equidistant, but for a last bin that the period may cut.
    """
    total = float(counts.sum())
    if detector.afterpulsing == 0.0 or total == 0.0:
        return np.zeros_like(counts)
    bin_s = float(edges_s[1] - edges_s[0])

    def waiting(turn_s: float) -> Floats:
        return bin_shares(
            edges_s,
            turn_s,
            detector.dead_time_s,
            detector.afterpulse_s,
            irf=np.ascontiguousarray(counts / total),
            irf_bin_s=bin_s,
        )

    shares = waiting(period_s)
    if detector.pile_up:
        # In a period without end the histogram is its only one: what falls into it then has a parent there.
        shares = shares - waiting(
            math.ceil(2.0 + (detector.dead_time_s + _WAITS * detector.afterpulse_s) / period_s) * period_s
        )
    return np.asarray(detector.afterpulsing * total * np.maximum(shares, 0.0) * independent)
