"""The simulator without an end: equal slices of time as raw records, each of which stands by itself.

A slice ends where the device's counter wraps and says so with its last record. So the records of any slices in a row
are a recording that begins at time 0: the first of them need not be the first of all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import RecordType
from photonstream.nodes.simulate.emission import PHASE_BITS, PHASES, TAG_BITS
from photonstream.nodes.simulate.parameters import PULSES_MAX, SimulationParameters
from photonstream.nodes.simulate.run import Detectors, Encoder, Source

# After so long another nanocrystal begins, with the next seed: counters of the simulator end somewhere.
LONGEST_S = 3600.0


class Slices:
    """Slices of about ``wish_s``, exactly ``slice_s`` each, of what detectors in ``channels`` give (None: both).

    Raises ParameterError for what a device of ``record_type`` cannot record.
    """

    def __init__(
        self,
        parameters: SimulationParameters,
        record_type: RecordType,
        wish_s: float,
        channels: tuple[int, ...] | None = None,
    ) -> None:
        self.parameters = parameters
        self.encoder = Encoder(parameters, record_type)
        unit_s, wrap = self.encoder.macrotime_unit_s, record_type.wrap_ticks
        self._ticks = wrap * max(1, round(wish_s / unit_s / wrap))
        self.slice_s = self._ticks * unit_s
        self._channels = None if channels is None else np.array(channels, np.uint8)
        self._photons = _Photons(parameters)
        self._reached = 0
        # Photons of T2 that are simulated already and belong to the next slice.
        self._early = np.empty(0, np.int64), np.empty(0, np.uint8)

    def next(self) -> NDArray[np.uint32]:
        """The records of the next slice."""
        self._reached += self._ticks
        if self.encoder.t3:
            time, channel = self._chosen(*self._photons.until(self._reached))
            return self.encoder.encode_t3(time, channel, self._reached, self._reached)
        # Ticks and pulses have no common measure: one pulse more is simulated than is needed.
        pulses = int(self._reached / self.encoder.ticks_per_phase) // PHASES + 1
        time, channel = self._chosen(*self._photons.until(pulses))
        ticks = np.concatenate([self._early[0], (time * self.encoder.ticks_per_phase).astype(np.int64)])
        channel = np.concatenate([self._early[1], channel])
        due = int(np.searchsorted(ticks, self._reached))
        self._early = ticks[due:], channel[due:]
        return self.encoder.encode_t2(ticks[:due], channel[:due], self._reached, self._reached)

    def _chosen(
        self, time: NDArray[np.int64], channel: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        if self._channels is None:
            return time, channel
        kept = np.isin(channel, self._channels)
        return time[kept], channel[kept]


class Repeated:
    """The first slices, for ``length_s``, over and over: as fast as memory, and the same photons again and again.

    In T2 one laser period is of another length where it begins anew.
    """

    def __init__(self, slices: Slices, length_s: float) -> None:
        self._block = [slices.next() for _ in range(max(1, round(length_s / slices.slice_s)))]
        self._at = 0

    def next(self) -> NDArray[np.uint32]:
        """The records of the next slice."""
        records = self._block[self._at]
        self._at = (self._at + 1) % len(self._block)
        return records


class _Photons:
    """Detected photons of one nanocrystal after the other; times are in phases since the first one began."""

    def __init__(self, parameters: SimulationParameters) -> None:
        longest_s = min(LONGEST_S, (PULSES_MAX - 1) / parameters.repetition_rate_hz)
        self._parameters = replace(parameters, duration_s=longest_s)
        self._base = 0
        self._begin()

    def _begin(self) -> None:
        self._source = Source(self._parameters)
        self._detectors = Detectors(self._parameters)
        self._end = self._base + self._parameters.pulses

    def until(self, pulse: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Times and channels of the photons between the last call's pulse and this one."""
        pieces = [self._piece(min(pulse, self._end))]
        while pulse > self._end:
            self._base = self._end
            self._parameters = replace(self._parameters, seed=self._parameters.seed + 1)
            self._begin()
            pieces.append(self._piece(min(pulse, self._end)))
        times, channels = zip(*pieces, strict=True)
        return np.concatenate(times), np.concatenate(channels)

    def _piece(self, pulse: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        events = self._detectors.see(*self._source.until(pulse - self._base))
        return (events >> TAG_BITS) + (self._base << PHASE_BITS), (events & 1).astype(np.uint8)
