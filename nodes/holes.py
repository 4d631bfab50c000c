"""Zeros within a tag file that grows: space that whoever writes it has left out so far, and may fill later."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.base import BLOCK_RECORDS, RESERVED_RECORDS

Records = NDArray[np.uint32]
# More of them than these are not kept in mind, and of the first ones the ends are looked at again and again.
MOST, MOST_LOOKED_AT = 4096, 16


class Holes:
    """Where records were read that are all zeros, `RESERVED_RECORDS` of them or more, which no device gives.

    ``read`` gives as many of the records from one on as are there.
    """

    def __init__(self, read: Callable[[int, int], Records]) -> None:
        self._read = read
        # First and last but one, in order.
        self._holes: list[tuple[int, int]] = []
        # The zeros with which what was read ends.
        self._open = (0, 0)

    def see(self, first: int, records: Records) -> None:
        """``records`` were read, from record ``first`` on; from the first one on again begins anew."""
        if not first:
            self._holes, self._open = [], (0, 0)
        begin, stop = self._open
        self._open = (0, 0)
        if records.all():
            return
        edges = np.flatnonzero(np.diff(records == 0, prepend=False, append=False)) + first
        for start, end in edges.reshape(-1, 2).tolist():
            hole = (begin if start == stop else start, end)
            if end == first + len(records):
                self._open = hole
            if hole[1] - hole[0] < RESERVED_RECORDS:
                continue
            if self._holes and self._holes[-1][0] == hole[0]:
                self._holes.pop()
            if len(self._holes) < MOST:
                self._holes.append(hole)

    def filled(self, *, at_ends: bool = False) -> bool:
        """Whether there is something now in one of them; ``at_ends`` looks at the ends of a few only."""
        if at_ends:
            holes = self._holes[:MOST_LOOKED_AT]
            ends = {end for start, stop in holes for end in (start, stop - RESERVED_RECORDS)}
            return any(self._read(end, RESERVED_RECORDS).any() for end in ends)
        return any(
            self._read(piece, min(BLOCK_RECORDS, stop - piece)).any()
            for start, stop in self._holes
            for piece in range(start, stop, BLOCK_RECORDS)
        )
