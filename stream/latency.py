"""How late things are: stamps that travel beside the data, and what was measured by them.

A stamp is a moment of this machine's steady clock (CLOCK_MONOTONIC, integer ns): that at which the newest record of
what carries it was found in the file. What is read at full speed carries none, and no result depends on one.
"""

from __future__ import annotations

import math
import platform
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Bins per factor of ten, so that a figure is right to 3 %, from 10 us to 1000 s.
PER_DECADE = 40
FIRST_S, DECADES = 1e-5, 8
# The last minute is kept in slots of so many seconds; the oldest one is that much too old.
SLOT_S, SLOTS = 5.0, 12


def _clock_name() -> str:
    """Which steady clock this process reads: processes with the same name of it may compare stamps."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


CLOCK = _clock_name()


def stamp_now() -> int:
    """The present moment as a stamp."""
    return time.monotonic_ns()


def stamp_of(clock_s: float) -> int:
    """A moment of the steady clock in seconds as a stamp."""
    return round(clock_s * 1e9)


def newest(*stamps: int | None) -> int | None:
    """The newest of those that are there."""
    return max((stamp for stamp in stamps if stamp is not None), default=None)


class Stamps:
    """The stamps of what a fold has taken, by where each chunk stops on an axis that what it gives has, too."""

    def __init__(self) -> None:
        self._taken: deque[tuple[int, int | None]] = deque()
        self.newest: int | None = None

    def take(self, stop: int, stamp: int | None) -> None:
        """A chunk up to ``stop`` has come."""
        self.newest = newest(self.newest, stamp)
        self._taken.append((stop, stamp))

    def of(self, stop: int) -> int | None:
        """The stamp of what lies before ``stop``: that of the last chunk that reaches into it. ``stop`` never falls."""
        while len(self._taken) > 1 and self._taken[0][0] < stop:
            self._taken.popleft()
        return self._taken[0][1] if self._taken else None


class Latency:
    """Histogram of how late something was, of the last minute and of the whole; log-spaced, in bounded memory."""

    def __init__(self) -> None:
        self._run = np.zeros(PER_DECADE * DECADES, np.int64)
        self._slots: deque[tuple[int, np.ndarray[Any, Any]]] = deque(maxlen=SLOTS)
        self._last: int | None = None

    def note(self, stamp: int | None, now: int) -> None:
        """What carries ``stamp`` has arrived ``now``. A stamp that is not newer than the last one is no news."""
        if stamp is None or (self._last is not None and stamp <= self._last):
            return
        self._last = stamp
        late_s = max(FIRST_S, (now - stamp) * 1e-9)
        place = min(len(self._run) - 1, int(PER_DECADE * math.log10(late_s / FIRST_S)))
        slot = int(now * 1e-9 // SLOT_S)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, np.zeros_like(self._run)))
        self._slots[-1][1][place] += 1
        self._run[place] += 1

    def value(self, now: int) -> dict[str, Any]:
        """``minute`` and ``run``: ``median_s``, ``p99_s`` and the ``count`` of each; None where nothing was noted."""
        slot = int(now * 1e-9 // SLOT_S)
        recent = [counts for number, counts in self._slots if number > slot - SLOTS]
        minute = np.sum(recent, axis=0) if recent else np.zeros_like(self._run)
        return {"minute": _figures(minute), "run": _figures(self._run)}


def _figures(counts: np.ndarray[Any, Any]) -> dict[str, float | int] | None:
    total = int(counts.sum())
    if not total:
        return None
    reached = np.cumsum(counts)
    median, p99 = (int(np.searchsorted(reached, math.ceil(share * total))) for share in (0.5, 0.99))
    return {"count": total, "median_s": _middle_s(median), "p99_s": _middle_s(p99)}


def _middle_s(place: int) -> float:
    return float(FIRST_S * 10 ** ((place + 0.5) / PER_DECADE))


def figures(value: Any, of: str) -> Mapping[str, Any] | None:
    """The figures ``of`` ("minute" or "run") in what a `Latency` said; None where there are none."""
    found = value.get(of) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else None
