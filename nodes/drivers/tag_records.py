"""Time tags in picoseconds, as other vendors' devices give them, into records of PicoQuant's generic layout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3, RecordType

_WRAP = np.uint32((1 << 31) | (63 << 25))
MOST_DTIME = (1 << 15) - 1


class RecordWriter:
    """Records of ``record_type`` with the counter wraps between them."""

    def __init__(self, record_type: RecordType) -> None:
        self._type = record_type
        self._wraps = 0
        self._most = (1 << record_type.time_bits) - 1

    def records(
        self, ticks: NDArray[np.int64], inputs: NDArray[np.int64], dtimes: NDArray[np.int64] | None = None
    ) -> NDArray[np.uint32]:
        """Photons at rising ``ticks`` on ``inputs`` (from 0), with wraps where they are due."""
        # A tag from before the time that was told already comes at that time.
        ticks = np.maximum(ticks, self._wraps * self._type.wrap_ticks)
        wraps = ticks // self._type.wrap_ticks
        new = np.diff(wraps, prepend=self._wraps)
        if ticks.size:
            self._wraps = int(wraps[-1])
        words = (inputs << 25) | (ticks % self._type.wrap_ticks)
        if dtimes is not None:
            words |= dtimes << 10
        # A wrap record holds a count up to the size of its field.
        before = -(-new // self._most)
        ends = np.cumsum(before + 1) - 1
        records = np.full(int(ends[-1]) + 1 if ticks.size else 0, _WRAP | np.uint32(self._most))
        records[ends] = words
        wrapped = before > 0
        rest = (new - (before - 1) * self._most)[wrapped]
        records[ends[wrapped] - 1] = _WRAP | rest.astype(np.uint32)
        return records

    def advance(self, tick: int) -> NDArray[np.uint32]:
        """The wraps up to ``tick``, where no photon came."""
        new = tick // self._type.wrap_ticks - self._wraps
        if new <= 0:
            return np.empty(0, np.uint32)
        self._wraps += new
        whole, rest = divmod(new, self._most)
        counts = np.full(whole + (rest > 0), self._most, np.uint32)
        if rest:
            counts[-1] = rest
        return np.bitwise_or(counts, _WRAP, out=counts)


class LaserClock:
    """Photons and laser pulses, in ps, into pulse number and time after the pulse.

    With ``next_pulse`` the device gives only the first pulse after each photon (a conditional filter): the photon's own
    pulse is a whole number of periods before it. Otherwise it is counted from the pulse that came before. Pulses
    that are not given are counted by the period, so over a long silence the number may be wrong by a few, and the time
    after the pulse never.
    """

    def __init__(self, period_ps: float, next_pulse: bool) -> None:
        self.period_ps = period_ps
        self._next = next_pulse
        self._pulse_ps, self._pulse = 0, 0
        self._seen = False
        # Photons that came before the first pulse, where their own pulse is the one before.
        self.early = 0
        self._times = np.empty(0, np.int64)
        self._inputs = np.empty(0, np.int64)

    @property
    def waiting(self) -> int:
        """Photons whose pulse has not come yet."""
        return self._times.size

    def drop_waiting(self) -> int:
        """Give up the photons that wait; returns how many."""
        dropped = self._times.size
        self._times, self._inputs = self._times[:0], self._inputs[:0]
        return dropped

    def silent_ps(self, time_ps: int) -> int:
        """How long before ``time_ps`` the last pulse was."""
        return time_ps - self._pulse_ps

    def pulse_at(self, time_ps: int) -> int:
        """A pulse number that no photon after ``time_ps`` falls below."""
        return self._pulse + max(0, int((time_ps - self._pulse_ps) / self.period_ps) - 3)

    def read(
        self, times: NDArray[np.int64], inputs: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Go on by tags in the order of time, laser pulses on input -1.

        Returns number of the pulse, ps after it, and input of each photon whose pulse is known, in order.
        """
        times = np.concatenate([self._times, times])
        inputs = np.concatenate([self._inputs, inputs])
        laser = inputs < 0
        pulses, numbers = self._count(times[laser])
        photons, on = times[~laser], inputs[~laser]
        # How many pulses came before each photon; the last one of before is the first here.
        before = np.cumsum(laser)[~laser] + self._seen_before
        if self._next:
            known = before < pulses.size
            self._times, self._inputs = photons[~known], on[~known]
        else:
            known, before = before > 0, before - 1
            self.early += int(np.count_nonzero(~known))
            self._times, self._inputs = photons[:0], on[:0]
        photons, on, reference = photons[known], on[known], before[known]
        behind = photons - pulses[reference]
        whole = np.floor(behind / self.period_ps).astype(np.int64)
        return np.maximum(numbers[reference] + whole, 0), behind - whole * self.period_ps, on

    def _count(self, pulses: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pulses with their numbers; before them the last one of before, where there was one."""
        self._seen_before = int(self._seen)
        if not pulses.size and not self._seen:
            return pulses, pulses
        steps = np.rint(np.diff(pulses, prepend=self._pulse_ps) / self.period_ps).astype(np.int64)
        # The first one may be that of a photon one period after the beginning.
        numbers = self._pulse + np.cumsum(np.maximum(steps, 1))
        if self._seen:
            pulses = np.insert(pulses, 0, self._pulse_ps)
            numbers = np.insert(numbers, 0, self._pulse)
        self._seen = True
        self._pulse_ps, self._pulse = int(pulses[-1]), int(numbers[-1])
        return pulses, numbers


def measured_period_ps(pulses: NDArray[np.int64], nominal_ps: float) -> float:
    """The laser's period from tags of some of its pulses, which may miss many; ``nominal_ps`` is good to 1e-4."""
    steps = np.diff(pulses)
    near = steps[steps < 1000 * nominal_ps]
    counted = np.rint(near / nominal_ps).sum()
    if counted < 1:
        return nominal_ps
    period_ps = float(near.sum() / counted)
    # Good to some 1e-6 by now, so longer steps can be counted too.
    far = steps[steps < 1e5 * nominal_ps]
    return float(far.sum() / np.rint(far / period_ps).sum())


def generic(mode: str) -> RecordType:
    """The generic record type of ``mode``."""
    return GENERIC_T3 if mode == "T3" else GENERIC_T2
