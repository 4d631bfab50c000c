"""How long a disk still has room for what is written to it, told before it is too late."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

# So much time is left when it is said first; again at each half of that.
WARN_S = 600.0
# A recording ends before the disk is full, so that what the device still holds and the events find room.
LEAST_BYTES = 64 << 20
# Rates are of the last ten seconds or so.
_MEMORY_S = 10.0


def free_bytes(folder: Path) -> int:
    """What is free on the disk of ``folder`` for this user."""
    return shutil.disk_usage(folder).free


class DiskSpace:
    """Looks at the disk of ``folder`` now and then, and knows how fast we fill it.

    ``warning`` is a sentence where there is little room, which changes when that has halved; ``full`` means to end now.
    """

    def __init__(self, folder: Path, free: Callable[[Path], int] = free_bytes) -> None:
        self.warning: str | None = None
        self.full = False
        # What is free, and how long that lasts at the present rate; None where it is not known.
        self.free_bytes: int | None = None
        self.left_s: float | None = None
        self._folder = folder
        self._free = free
        self._rate = 0.0
        self._last: tuple[float, int] | None = None
        self._next_s = WARN_S

    def look(self, now_s: float, written_bytes: int) -> None:
        """``written_bytes`` is all that was written so far, at ``now_s``."""
        since_s = self._learn_rate(now_s, written_bytes)
        try:
            free = self._free(self._folder)
        except OSError:
            # A disk that cannot be asked is heard of when it cannot be written to.
            return
        room = free - LEAST_BYTES
        self.full = room <= self._rate * since_s
        left_s = max(0.0, room / self._rate) if self._rate > 0 else None
        self.free_bytes, self.left_s = free, left_s
        if left_s is None or left_s > 2 * WARN_S:
            self.warning, self._next_s = None, WARN_S
        elif left_s < self._next_s:
            while left_s < self._next_s and self._next_s > 1.0:
                self._next_s /= 2
            left = f"{left_s / 60:.0f} minutes" if left_s >= 120 else f"{left_s:.0f} s"
            self.warning = (
                f"the disk has room for {left} more at the present rate ({free / 1e9:.3g} GB are free)"
            )

    def _learn_rate(self, now_s: float, written_bytes: int) -> float:
        """Bytes per second, smoothed; returns the time since the last look."""
        since_s = 0.0
        if self._last is not None and now_s > self._last[0]:
            since_s = now_s - self._last[0]
            share = min(1.0, since_s / _MEMORY_S) if self._rate else 1.0
            self._rate += share * ((written_bytes - self._last[1]) / since_s - self._rate)
        self._last = now_s, written_bytes
        return since_s
