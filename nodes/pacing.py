"""When records are due: recorded time, record by record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import RecordType
from photonstream.nodes.kernels.decode import Carry, EventArrays, decode_into, new_carry, watermark_ticks


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A place in a recording: so many ``records`` have passed, and ``time_s`` is the recorded time of the last one."""

    records: int
    time_s: float
    carry: Carry


class RecordClock:
    """Tells the recorded time of records, which only the decoder knows; at most ``most`` at once.

    What else the decoder finds out is of no use here.
    """

    def __init__(self, record_type: RecordType, unit_s: float, most: int) -> None:
        self._type = record_type
        self._unit_s = unit_s
        self._scratch = EventArrays.allocate(record_type, most)
        self.start = Mark(0, 0.0, new_carry())

    def after(self, mark: Mark, records: NDArray[np.uint32]) -> Mark:
        """The place behind ``records``, which follow ``mark``."""
        carry = mark.carry.copy()
        decode_into(records, self._type, carry, self._scratch)
        return Mark(mark.records + len(records), watermark_ticks(carry) * self._unit_s, carry)

    def until(self, mark: Mark, records: NDArray[np.uint32], time_s: float, guess: int = 1) -> Mark:
        """The place behind those of ``records``, which follow ``mark``, that are not later than ``time_s``.

        Looks at some twice as many as these, in steps that grow from ``guess`` until one goes too far, then shrink.
        """
        found, step, grows = 0, max(1, guess), True
        while step and found < len(records):
            piece = records[found : found + step]
            further = self.after(mark, piece)
            if further.time_s <= time_s:
                mark = further
                found += len(piece)
            else:
                grows = False
            # A half is rounded up, so that the steps to come add up to what is left.
            step = 2 * step if grows else (step + 1) // 2 if step > 1 else 0
        return mark
