"""When a node or page that has died is started again, and when it cannot live."""

from __future__ import annotations

import time
from collections import deque

from photonstream.stream.link.common import Clock

# More deaths of one child within this time mean that it cannot live.
MOST_DEATHS = 15
WITHIN_S = 600.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.02, 1.0


class Restarts:
    """Keeps the deaths of each child, and who waits to be started again; each waits longer the more often it died."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._deaths: dict[str, deque[float]] = {}
        self._due: dict[str, float] = {}

    def died(self, name: str) -> bool:
        """Whether ``name`` may live on: then it is due again soon."""
        now = self._clock()
        deaths = self._deaths.setdefault(name, deque())
        deaths.append(now)
        while now - deaths[0] > WITHIN_S:
            deaths.popleft()
        if len(deaths) > MOST_DEATHS:
            return False
        self._due[name] = now + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (len(deaths) - 1))
        return True

    def due(self) -> list[str]:
        """Those to be started now; each is named once."""
        now = self._clock()
        names = [name for name, due_s in self._due.items() if now >= due_s]
        for name in names:
            del self._due[name]
        return names
