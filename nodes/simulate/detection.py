"""What the detectors do to photons that reach them: dead time, one photon per sync, afterpulses."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from photonstream.nodes.simulate.emission import AFTERPULSE, PHASE_BITS, TAG_BITS

# Elements of the carry: per channel the time of the last detection, then what was lost, then how many
# afterpulses are under way.
LAST, LOST_DEAD_TIME, LOST_SAME_SYNC, PENDING = 0, 2, 3, 4

PENDING_MOST = 4096


def new_carry() -> NDArray[np.int64]:
    """The state of detectors that have been dark for long."""
    carry = np.zeros(5, np.int64)
    carry[:2] = -(np.int64(1) << 58)
    return carry


@njit(nogil=True, cache=True)
def detect(
    rng: np.random.Generator,
    candidates: NDArray[np.int64],
    stop: int,
    dead_time: int,
    one_photon_per_sync: bool,
    afterpulse_probability: float,
    afterpulse_wait: float,
    carry: NDArray[np.int64],
    pending: NDArray[np.int64],
    out: NDArray[np.int64],
) -> tuple[int, int, bool]:
    """Which of the sorted events ``candidates``, all before time ``stop``, are detected, with afterpulses.

    Times are in phases. ``pending`` (PENDING_MOST elements) keeps afterpulses still to come, latest first.
    Returns the number of events written, the number of candidates used, and whether all before ``stop`` is
    done; if not, ``out`` is full. Raises OverflowError when more afterpulses are under way than ``pending``
    holds.
    """
    written = 0
    used = 0
    end = stop << TAG_BITS
    while True:
        waiting = carry[PENDING]
        from_pending = waiting > 0 and pending[waiting - 1] < end
        if used < candidates.size and not (from_pending and pending[waiting - 1] < candidates[used]):
            from_pending = False
        elif not from_pending:
            return written, used, True
        if written == out.size:
            return written, used, False
        if from_pending:
            event = pending[waiting - 1]
            carry[PENDING] -= 1
        else:
            event = candidates[used]
            used += 1
        channel = event & 1
        time = event >> TAG_BITS
        if time - carry[LAST + channel] < dead_time:
            carry[LOST_DEAD_TIME] += 1
            continue
        if one_photon_per_sync and time >> PHASE_BITS == carry[LAST + channel] >> PHASE_BITS:
            carry[LOST_SAME_SYNC] += 1
            continue
        carry[LAST + channel] = time
        out[written] = event
        written += 1
        if afterpulse_probability > 0.0 and rng.random() < afterpulse_probability:
            later = time + dead_time + int(afterpulse_wait * rng.standard_exponential())
            _insert((later << TAG_BITS) | (AFTERPULSE << 1) | channel, carry, pending)


@njit(nogil=True, cache=True)
def _insert(event: int, carry: NDArray[np.int64], pending: NDArray[np.int64]) -> None:
    at = carry[PENDING]
    if at == pending.size:
        raise OverflowError("too many afterpulses are under way")
    while at > 0 and pending[at - 1] < event:
        pending[at] = pending[at - 1]
        at -= 1
    pending[at] = event
    carry[PENDING] += 1
