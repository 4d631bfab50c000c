"""A part of the recording, kept so that states can be learned from it: blocks of bins spread evenly over its time.

Which blocks are kept depends on the recording alone. When they become too many, every second one is dropped.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# One block, in fine bins; how many of them, and how many photons, are kept at most (but always two).
BLOCK_BINS = 4096
MOST_BLOCKS = 32
MOST_PHOTONS = 8_000_000
NO_CLASS = 0xFFFF


@dataclass(frozen=True)
class Block:
    """Photons of neighbouring bins: how many each bin has, and the channel and class of delay of each photon."""

    photons: NDArray[np.int64]
    channel: NDArray[np.uint8]
    classes: NDArray[np.uint16]

    def digest(self, decays: NDArray[np.int64]) -> str:
        """Tells one sample, with the ``decays`` of its recording, from any other."""
        found = hashlib.sha256()
        for array in (self.photons, self.channel, self.classes, decays):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()[:32]


class Sample:
    """Blocks number 0, s, 2s, ... of the recording, where s is a power of two that grows with its length.

    A photon's class is its dtime over 2^``shift``, NO_CLASS where its dtime is not below ``limit``.
    """

    def __init__(self, shift: int, limit: int) -> None:
        self._shift, self._limit = shift, limit
        self._stride = 1
        self._bins = 0
        self._kept: list[Block] = []
        self._open: list[Block] = []

    def add(self, offsets: NDArray[np.int64], channel: NDArray[np.uint8], dtime: NDArray[np.integer]) -> None:
        """Take the next bins: bin b holds the photons ``offsets[b]:offsets[b + 1]``."""
        begin, bins = 0, len(offsets) - 1
        while begin < bins:
            number, within = divmod(self._bins, BLOCK_BINS)
            end = min(bins, begin + BLOCK_BINS - within)
            if number % self._stride == 0:
                photons = slice(offsets[begin], offsets[end])
                per_bin = np.diff(offsets[begin : end + 1])
                self._open.append(Block(per_bin, channel[photons].copy(), self._classes(dtime[photons])))
            self._bins += end - begin
            begin = end
            if self._bins % BLOCK_BINS == 0 and self._open:
                self._kept.append(_joined(self._open))
                self._open = []
                self._thin()

    def _classes(self, dtime: NDArray[np.integer]) -> NDArray[np.uint16]:
        classes: NDArray[np.uint16] = np.minimum(dtime >> self._shift, NO_CLASS).astype(np.uint16)
        classes[dtime >= self._limit] = NO_CLASS
        return classes

    def _thin(self) -> None:
        while len(self._kept) > 2 and (
            len(self._kept) > MOST_BLOCKS or sum(len(b.channel) for b in self._kept) > MOST_PHOTONS
        ):
            self._kept = self._kept[::2]
            self._stride *= 2

    def taken(self, most: int | None = None) -> Block:
        """What is kept, one block after the other; of more than ``most`` blocks only some, spread evenly."""
        # The open block has as many parts as it came in.
        blocks = [*self._kept, *([_joined(self._open)] if self._open else [])]
        return _joined(blocks if most is None else blocks[:: max(1, math.ceil(len(blocks) / most))])


def _joined(blocks: list[Block]) -> Block:
    if not blocks:
        return Block(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.uint16))
    return Block(
        np.concatenate([b.photons for b in blocks]),
        np.concatenate([b.channel for b in blocks]),
        np.concatenate([b.classes for b in blocks]),
    )
