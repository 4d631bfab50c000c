"""What decoding a recording has to remember between two pieces of it: time, laser pulses and counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Places in the carry.
BASE, NOW, LAST_SYNC, INTERVAL, SYNCS_PAIRED = range(5)
PHOTONS, MARKERS, OVERFLOWS, WRAPS, SYNCS, OTHER, BACKWARDS = range(5, 12)
CARRY_SIZE = 12

# Time stands still here rather than run over: a quarter of a billion years of pulses at 1 MHz, or months of the
# finest device ticks (only corrupt records get there). Far enough below 2^63 for any one record to be added.
MOST_TICKS = 1 << 62

# The dtime of a T2 photon whose laser pulse is not known.
NO_DTIME = 0xFFFFFFFF

Carry = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counts:
    """What the records were: ``records`` is the sum of all kinds.

    ``overflows`` counts records and ``overflow_wraps`` the counter wraps they stand for; ``backwards`` counts
    events of any kind that were earlier than their predecessor.
    """

    photons: int
    markers: int
    overflows: int
    overflow_wraps: int
    syncs: int
    other: int
    backwards: int

    @property
    def records(self) -> int:
        """All records that were decoded."""
        return self.photons + self.markers + self.overflows + self.syncs + self.other


def new_carry() -> Carry:
    """The carry before the first record."""
    return np.zeros(CARRY_SIZE, np.int64)


def counts(carry: Carry) -> Counts:
    """The counts of all records since the carry was new."""
    return Counts(*(int(number) for number in carry[PHOTONS : BACKWARDS + 1]))


def watermark_ticks(carry: Carry) -> int:
    """Time of the latest record of any kind: no later event will have a smaller macrotime."""
    return int(carry[NOW])
