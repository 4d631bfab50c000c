"""How much of the page one tab takes at a time: all of it, unless its browser is too slow for that."""

from __future__ import annotations

from collections.abc import Mapping

from photonstream.dashboard.updates import BEAT_S, HIDDEN_S, TURNS, Updates

# Longer than a beat, and a browser takes less at a time; well below it, and more.
SLOW_S, FAST_S = 1.2 * BEAT_S, 0.8 * BEAT_S


class Pace:
    """Of one tab. A browser that draws the whole page more slowly than new traces come is sent the trace each time, and
    of the rest as much as it can draw beside that in a beat, in turns.
    """

    def __init__(self, updates: Updates) -> None:
        self._updates = updates
        self._turns = TURNS
        self._most = len(TURNS)
        self._epoch: object = None
        # Whether what was sent last had as much as it may have.
        self._full = False

    @property
    def slow(self) -> bool:
        """Whether not all is sent each time."""
        return self._most < len(TURNS)

    def drawn(self, took_s: float) -> None:
        """The browser has drawn what it was sent, in so long."""
        if SLOW_S < took_s < HIDDEN_S:
            self._most = max(1, self._most - 1)
        elif took_s < FAST_S and self._full:
            self._most = min(len(TURNS), self._most + 1)

    def later(self, seen: Mapping[str, int]) -> set[str]:
        """The sections that a tab, which has ``seen`` these versions, is not sent now."""
        updates, epoch = self._updates, self._updates.epoch
        # Results of two epochs do not stand beside each other; and nothing waits for its turn once the run stands.
        whole = epoch != self._epoch or updates.at_rest
        self._epoch, self._full = epoch, False
        if whole:
            return set()
        waiting = [turn for turn in self._turns if any(updates.newer(seen, name) for name in turn)]
        taken = waiting[: self._most]
        self._full = len(taken) == self._most and updates.newer(seen, "trace")
        self._turns = (*(turn for turn in self._turns if turn not in taken), *taken)
        return {name for turn in waiting[self._most :] for name in turn}
