"""The run: slice after slice of time through emitter, detectors and encoder into a tag file."""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3, RecordType
from photonstream.nodes.kernels import encode
from photonstream.nodes.simulate import detection, emission
from photonstream.nodes.simulate.emission import PHASE_BITS, PHASES, SOURCES, TAG_BITS
from photonstream.nodes.simulate.parameters import SimulationParameters
from photonstream.nodes.simulate.tables import emission_tables
from photonstream.nodes.simulate.truth import History, Truth, states_path, switch_history, truth_path
from photonstream.stream.node import ParameterError

BUFFER_EVENTS = 65536
BUFFER_SWITCHES = 4096

# What a device counts in T2, and the TCSPC bin that suits these lifetimes in T3: the device's tick times 2^k.
_TICK_S = {"HydraHarp 400": 1e-12, "MultiHarp, PicoHarp 330": 5e-12}
_BIN_S = {"HydraHarp 400": 64e-12, "MultiHarp, PicoHarp 330": 80e-12}
_DTIME_MOST = 32768

# A simulated recording has no date; a fixed one keeps the file the same every time it is made.
_CREATED = datetime(2000, 1, 1)
# Far enough from the mean that a Gaussian never gets there.
_SIGMAS = 9.0


def simulate(
    parameters: SimulationParameters,
    path: str | os.PathLike[str],
    *,
    record_type: RecordType = GENERIC_T3,
    progress: Callable[[float], None] | None = None,
    slice_s: float = 0.25,
) -> Truth:
    """Simulate a measurement, write it as a .ptu file with its truth beside it, and return the truth.

    The same parameters give the same bytes, whatever ``slice_s``, the time that is simulated at once.
    ``progress`` is called with the share that is done. ``record_type`` is T3 or T2 of HydraHarp v2 or generic
    (MultiHarp). Raises ParameterError for what such a device cannot record.
    """
    path = Path(path)
    encoder = Encoder(parameters, record_type)
    # The truth about an earlier file of this name must not stand beside an unfinished new one.
    for stale in (truth_path(path), states_path(path)):
        stale.unlink(missing_ok=True)
    output = _Output(parameters, record_type, encoder, path)
    source = Source(parameters)
    detectors = Detectors(parameters)
    slice_pulses = max(1, round(slice_s * parameters.repetition_rate_hz))
    with output.writer:
        stop_pulse = 0
        while stop_pulse < parameters.pulses:
            stop_pulse = min(stop_pulse + slice_pulses, parameters.pulses)
            candidates, stop = source.until(stop_pulse)
            output.write(detectors.see(candidates, stop), stop)
            if progress is not None:
                progress(stop_pulse / parameters.pulses)
        output.finish()
    truth = Truth(
        parameters,
        record_type,
        output.writer.records,
        output.photons,
        detectors.lost(),
        source.switches(),
    )
    truth.write(path)
    return truth


class Source:
    """Photons and background counts that reach the detectors, in order of time."""

    def __init__(self, parameters: SimulationParameters) -> None:
        self._parameters = parameters
        self._tables = emission_tables(parameters)
        self._events = np.empty(BUFFER_EVENTS, np.int64)
        self._packed = np.empty(BUFFER_SWITCHES, np.int64)
        self._held = np.empty(0, np.int64)
        count = parameters.emitters if parameters.mean_n > 0 else 0
        self._emitters = [
            (_generator(parameters, 0, i), _generator(parameters, 1, i), np.zeros(4, np.int64))
            for i in range(count)
        ]
        self._switches: list[list[NDArray[np.int64]]] = [[] for _ in range(max(1, count))]
        for rng, blink_rng, carry in self._emitters:
            emission.start_emitter(rng, blink_rng, parameters.mean_n, self._tables.dwells, carry)
        self._background = []
        for channel, rate_hz in enumerate(parameters.detector.background_hz):
            if rate_hz > 0:
                rng = _generator(parameters, 2, channel)
                mean_gap = parameters.repetition_rate_hz / rate_hz * PHASES
                first = np.array([int(mean_gap * rng.standard_exponential())], np.int64)
                self._background.append((channel, mean_gap, rng, first))
        # Photons may be detected that much before the pulse that made them.
        response = self._tables.response
        earliest = np.min(response[:, emission.DELAY] - _SIGMAS * response[:, emission.SIGMA])
        self._ahead_pulses = math.ceil(max(0.0, -float(earliest)) / PHASES)

    def until(self, stop_pulse: int) -> tuple[NDArray[np.int64], int]:
        """Sorted events between the last call's time and a new one, in phases, which is returned too."""
        pieces = [self._held]
        for index in range(len(self._emitters)):
            # Pulses after the end may still give photons before it.
            pieces += self._emitter_events(index, stop_pulse + self._ahead_pulses)
        stop = stop_pulse << PHASE_BITS
        for channel, mean_gap, rng, carry in self._background:
            done = False
            while not done:
                count, done = emission.add_background(rng, stop, mean_gap, channel, carry, self._events)
                pieces.append(self._events[:count].copy())
        events = np.sort(np.concatenate(pieces))
        split = int(np.searchsorted(events, stop << TAG_BITS))
        self._held = events[split:].copy()
        # A negative delay can put photons before the run; nothing records those.
        return events[np.searchsorted(events, 0) : split], stop

    def _emitter_events(self, index: int, stop_pulse: int) -> list[NDArray[np.int64]]:
        rng, blink_rng, carry = self._emitters[index]
        parameters, tables, blinking = self._parameters, self._tables, self._parameters.blinking
        pieces = []
        done = False
        while not done:
            count, switched, done = emission.emit(
                rng,
                blink_rng,
                stop_pulse,
                parameters.mean_n,
                tables.created,
                tables.waits,
                tables.seen,
                parameters.drift / parameters.pulses,
                tables.response,
                tables.dwells,
                blinking.charged_share if blinking else 0.0,
                carry,
                self._events,
                self._packed,
            )
            pieces.append(self._events[:count].copy())
            if switched:
                self._switches[index].append(self._packed[:switched].copy())
        return pieces

    def switches(self) -> tuple[History, ...]:
        """Changes of state of each emitter."""
        return tuple(switch_history(packed, self._parameters.pulses) for packed in self._switches)


class Detectors:
    """Dead time and afterpulses."""

    def __init__(self, parameters: SimulationParameters) -> None:
        detector = parameters.detector
        phases_per_s = parameters.repetition_rate_hz * PHASES
        self._rng = _generator(parameters, 3, 0)
        self._dead_time = round(detector.dead_time_s * phases_per_s)
        self._afterpulse_wait = detector.afterpulse_s * phases_per_s
        self._detector = detector
        self._carry = detection.new_carry()
        self._pending = np.empty(detection.PENDING_MOST, np.int64)
        self._out = np.empty(BUFFER_EVENTS, np.int64)

    def see(self, candidates: NDArray[np.int64], stop: int) -> NDArray[np.int64]:
        """The detected events before ``stop`` in phases."""
        pieces = []
        done = False
        while not done:
            count, used, done = detection.detect(
                self._rng,
                candidates,
                stop,
                self._dead_time,
                self._detector.one_photon_per_sync,
                self._detector.afterpulse_probability,
                self._afterpulse_wait,
                self._carry,
                self._pending,
                self._out,
            )
            candidates = candidates[used:]
            pieces.append(self._out[:count].copy())
        return np.concatenate(pieces)

    def lost(self) -> dict[str, int]:
        """Events that reached a detector in vain, by cause."""
        return {
            "dead_time": int(self._carry[detection.LOST_DEAD_TIME]),
            "same_sync": int(self._carry[detection.LOST_SAME_SYNC]),
        }


class Encoder:
    """Detected photons into the records of a device; times of photons are in phases."""

    def __init__(self, parameters: SimulationParameters, record_type: RecordType) -> None:
        if record_type.device not in _TICK_S or "v1" in record_type.name:
            raise ParameterError(f"records of type {record_type.name} cannot be simulated")
        period_s = parameters.period_s
        self.tick_s = _TICK_S[record_type.device]
        self.t3 = record_type.mode == "T3"
        bin_s = parameters.detector.resolution_s or _BIN_S[record_type.device]
        if self.t3 and period_s / bin_s > _DTIME_MOST:
            raise ParameterError(
                f"resolution_s must be at least {period_s / _DTIME_MOST:.3g} s, "
                f"so that {_DTIME_MOST} TCSPC bins hold a pulse period"
            )
        self.macrotime_unit_s = period_s if self.t3 else self.tick_s
        self.dtime_resolution_s = bin_s if self.t3 else self.tick_s
        self.sync_divider = 1 if self.t3 else max(1, parameters.sync_divider)
        self.ticks_per_phase = period_s / self.tick_s / PHASES
        self._bins_per_phase = period_s / bin_s / PHASES
        self._sync_ticks = parameters.sync_divider * period_s / self.tick_s
        self._carry = encode.new_carry()

    def encode_t3(
        self, time: NDArray[np.int64], channel: NDArray[np.uint8], last: int, end: int
    ) -> NDArray[np.uint32]:
        """T3 records of photons before pulse ``last``, and wraps up to pulse ``end``."""
        dtime = ((time & (PHASES - 1)) * self._bins_per_phase).astype(np.uint16)
        out = np.empty(encode.t3_capacity(time.size, last, self._carry), np.uint32)
        return out[: encode.encode_t3(time >> PHASE_BITS, dtime, channel, end, self._carry, out)]

    def encode_t2(
        self, ticks: NDArray[np.int64], channel: NDArray[np.uint8], last: int, end: int
    ) -> NDArray[np.uint32]:
        """T2 records of photons and laser pulses before tick ``last``, and wraps up to tick ``end``."""
        capacity = encode.t2_capacity(ticks.size, self._sync_ticks, last, self._carry)
        out = np.empty(capacity, np.uint32)
        return out[: encode.encode_t2(ticks, channel, self._sync_ticks, last, end, self._carry, out)]


class _Output:
    """Events into records into the file."""

    def __init__(
        self, parameters: SimulationParameters, record_type: RecordType, encoder: Encoder, path: Path
    ) -> None:
        self._encoder = encoder
        self._pulses = parameters.pulses
        self._duration_s = parameters.pulses * parameters.period_s
        self.photons = np.zeros((len(SOURCES), 2), np.int64)
        described = json.dumps(asdict(parameters), sort_keys=True) + record_type.name
        self.writer = PtuWriter(
            path,
            record_type=record_type,
            macrotime_unit_s=self._encoder.macrotime_unit_s,
            dtime_resolution_s=self._encoder.dtime_resolution_s,
            sync_rate_hz=parameters.repetition_rate_hz,
            sync_divider=self._encoder.sync_divider,
            comment="simulated by photonstream",
            created=_CREATED,
            guid=f"{{{str(uuid.uuid5(uuid.NAMESPACE_URL, described)).upper()}}}",
            settings={"HW_BaseResolution": self._encoder.tick_s},
        )

    def write(self, events: NDArray[np.int64], stop: int, end: int = 0) -> None:
        """Write events before time ``stop`` in phases, and wraps up to ``end`` in phases."""
        tags = events & ((1 << TAG_BITS) - 1)
        self.photons += np.bincount(tags, minlength=self.photons.size).reshape(self.photons.shape)
        channel = (events & 1).astype(np.uint8)
        time = events >> TAG_BITS
        encoder = self._encoder
        if encoder.t3:
            records = encoder.encode_t3(time, channel, stop >> PHASE_BITS, end >> PHASE_BITS)
        else:
            ticks = (time * encoder.ticks_per_phase).astype(np.int64)
            last, end_tick = (int(each * encoder.ticks_per_phase) for each in (stop, end))
            records = encoder.encode_t2(ticks, channel, last, end_tick)
        self.writer.write(records)

    def finish(self) -> None:
        """Tell the time up to the end of the run, and close the file."""
        end = self._pulses << PHASE_BITS
        self.write(np.empty(0, np.int64), end, end)
        self.writer.close(self._duration_s)


def _generator(parameters: SimulationParameters, purpose: int, index: int) -> np.random.Generator:
    """An independent stream for each purpose: emission, blinking, background, afterpulses."""
    sequence = np.random.SeedSequence(parameters.seed, spawn_key=(purpose, index))
    return np.random.Generator(np.random.PCG64(sequence))
