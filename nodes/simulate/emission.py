"""From laser pulses to photons at the detectors: kernels for the emitter, its blinking and the background.

Time is one integer: laser pulse << PHASE_BITS | phase, where the phase is a share of the pulse period (0.05
ps at 5 MHz). So the period is exact, and a photon that is late belongs to a later pulse by itself. An event
is time << TAG_BITS | source << 1 | channel, so that sorting events sorts photons, and ties never depend on
how the run was cut into slices.

Random numbers come from NumPy generators handed in, one per emitter, blinking and channel; each is
used in the order of time, whatever the slices.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

PHASE_BITS = 22
PHASES = 1 << PHASE_BITS
TAG_BITS = 4

# Sources of an event. Those of the emitter are 1 + the index of its state.
BACKGROUND, NEUTRAL, CHARGED, DIM, AFTERPULSE = range(5)
SOURCES = ("background", "neutral", "charged", "dim", "afterpulse")

# Elements of an emitter's carry.
EXCITONS, NEXT_PULSE, STATE, NEXT_SWITCH = range(4)

# Columns of a table of dwell times, in pulses; an exponential has exponent 0.
MEAN, EXPONENT, SHORTEST, LONGEST = range(4)

# Columns of the response of a channel, in phases; the tail's share is a probability.
DELAY, SIGMA, TAIL, TAIL_SHARE = range(4)


@njit(nogil=True, cache=True)
def _draw_dwell(rng: np.random.Generator, dwells: NDArray[np.float64], state: int) -> int:
    """Pulses until the next change of state, at least one."""
    exponent = dwells[state, EXPONENT]
    if exponent == 0.0:
        pulses = dwells[state, MEAN] * rng.standard_exponential()
    elif exponent == 1.0:
        pulses = dwells[state, SHORTEST] * (dwells[state, LONGEST] / dwells[state, SHORTEST]) ** rng.random()
    else:
        power = 1.0 - exponent
        shortest = dwells[state, SHORTEST] ** power
        longest = dwells[state, LONGEST] ** power
        pulses = (shortest + (longest - shortest) * rng.random()) ** (1.0 / power)
    return max(1, int(pulses))


@njit(nogil=True, cache=True)
def start_emitter(
    rng: np.random.Generator,
    blink_rng: np.random.Generator,
    mean_n: float,
    dwells: NDArray[np.float64],
    carry: NDArray[np.int64],
) -> None:
    """Set the carry of an emitter that is empty and neutral when the run begins.

    ``dwells`` of shape (0, 4) means no blinking.
    """
    carry[EXCITONS] = 0
    carry[STATE] = 0
    carry[NEXT_PULSE] = int(rng.standard_exponential() / mean_n)
    carry[NEXT_SWITCH] = _draw_dwell(blink_rng, dwells, 0) if dwells.shape[0] else np.int64(1) << 62


@njit(nogil=True, cache=True)
def emit(
    rng: np.random.Generator,
    blink_rng: np.random.Generator,
    stop_pulse: int,
    mean_n: float,
    created: NDArray[np.float64],
    waits: NDArray[np.float64],
    seen: NDArray[np.float64],
    drift_per_pulse: float,
    response: NDArray[np.float64],
    dwells: NDArray[np.float64],
    charged_share: float,
    carry: NDArray[np.int64],
    events: NDArray[np.int64],
    switches: NDArray[np.int64],
) -> tuple[int, int, bool]:
    """Photons of one emitter from the excited pulses before ``stop_pulse``, and its changes of state.

    An excited pulse (the gap to the next one is geometric) adds excitons; then one after the other recombines
    until none is left or the next excited pulse comes. ``created`` (state, n) is the cumulative probability that it
    leaves 0, 1, 2, ... new excitons; ``waits`` (state, n) the mean time in phases to the next recombination; ``seen``
    (state, n, 2) the cumulative probability that it gives a photon in channel 0, or in 0 or 1; ``response``
    (2, 4) the detectors'. Photons may fall after ``stop_pulse`` and are only roughly in order.

    Returns the numbers of events and switches written, and whether everything up to ``stop_pulse`` is done;
    if not, a buffer is full: empty both and call again. A switch is pulse << 2 | state. ``events`` must hold
    more than ``max_excitons`` elements.
    """
    written = 0
    switched = 0
    most = waits.shape[1] - 1
    while carry[NEXT_PULSE] < stop_pulse:
        pulse = carry[NEXT_PULSE]
        while carry[NEXT_SWITCH] <= pulse:
            if switched == switches.size:
                return written, switched, False
            if carry[STATE] == 0:
                carry[STATE] = 1 if blink_rng.random() < charged_share else 2
            else:
                carry[STATE] = 0
            switches[switched] = (carry[NEXT_SWITCH] << 2) | carry[STATE]
            switched += 1
            carry[NEXT_SWITCH] += _draw_dwell(blink_rng, dwells, carry[STATE])
        if events.size - written < most:
            return written, switched, False
        state = carry[STATE]
        gap = 1 + int(rng.standard_exponential() / mean_n)
        draw = rng.random()
        new = 0
        while new < created.shape[1] - 1 and draw >= created[state, new]:
            new += 1
        excitons = min(carry[EXCITONS] + new, most)
        brightness = 1.0 + drift_per_pulse * pulse
        until = float(gap) * PHASES
        time = 0.0
        while excitons > 0:
            time += waits[state, excitons] * rng.standard_exponential()
            if time >= until:
                break
            draw = rng.random()
            if draw < brightness * seen[state, excitons, 1]:
                channel = 0 if draw < brightness * seen[state, excitons, 0] else 1
                delay = time + response[channel, DELAY] + response[channel, SIGMA] * rng.standard_normal()
                if response[channel, TAIL_SHARE] > 0.0 and rng.random() < response[channel, TAIL_SHARE]:
                    delay += response[channel, TAIL] * rng.standard_exponential()
                place = (pulse << PHASE_BITS) + math.floor(delay)
                events[written] = (place << TAG_BITS) | ((1 + state) << 1) | channel
                written += 1
            excitons -= 1
        carry[EXCITONS] = excitons
        carry[NEXT_PULSE] = pulse + gap
    return written, switched, True


@njit(nogil=True, cache=True)
def add_background(
    rng: np.random.Generator,
    stop: int,
    mean_gap: float,
    channel: int,
    carry: NDArray[np.int64],
    events: NDArray[np.int64],
) -> tuple[int, bool]:
    """Counts of a Poisson process before time ``stop``, ``mean_gap`` phases apart on average.

    ``carry[0]`` is the time of the next one. Returns the number written and whether all are; if not, the
    buffer is full.
    """
    written = 0
    while carry[0] < stop:
        if written == events.size:
            return written, False
        events[written] = (carry[0] << TAG_BITS) | (BACKGROUND << 1) | channel
        written += 1
        carry[0] += int(mean_gap * rng.standard_exponential())
    return written, True
