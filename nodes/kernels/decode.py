"""Raw records to photons and markers: one kernel per record layout and mode, each a fold over its records.

What a kernel knows of the past is in ``carry``, an int64 array made by `new_carry`, so a recording may be
cut anywhere and the result stays the same to the last bit. All arithmetic is in integers.

- Time. macrotime is the time tag plus all counter wraps so far. An event earlier than its predecessor keeps
  its place, takes the running maximum and is counted (``backwards``). Wraps move time on as well.
- Channels are 0-based. A photon on a channel that the device does not have, and a special record of no known
  meaning, are counted as ``other`` and neither moves time nor comes out.
- dtime in T3 is the device's own. In T2 it is the time since the last laser pulse, in ticks, and NO_DTIME
  where that is not known. Laser pulses are the sync records of the device or, where ``sync_channel`` names
  one, the events of that detector input.
- A sync divider d > 1 means that only each d-th laser pulse is recorded. The pulses between are placed by
  dividing the last interval between two recorded ones: with g the ticks since the last recorded pulse and I
  that interval, k = min(g d // I, d - 1) pulses have passed since, dtime = g - k I // d and
  nsync = d (recorded pulses before) + k.

Bit layouts: `photonstream.nodes.formats.records`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from photonstream.nodes.formats.records import RecordType

NO_DTIME = 0xFFFFFFFF

# Places in the carry.
BASE, NOW, LAST_SYNC, INTERVAL, SYNCS_PAIRED = range(5)
PHOTONS, MARKERS, OVERFLOWS, WRAPS, SYNCS, OTHER, BACKWARDS = range(5, 12)
CARRY_SIZE = 12

# A longer interval between two laser pulses has no dtime that fits, and its multiples might not fit either.
_LONGEST_INTERVAL = 1 << 40

_PICOHARP_SPECIAL = 15
_HYDRAHARP_SYNC = 64
_HYDRAHARP_LAST_MARKER = 64 + 15
_HYDRAHARP_WRAP = 64 + 63

Records = NDArray[np.uint32]
Carry = NDArray[np.int64]
# macrotime, dtime, channel (and nsync); marker_time, marker_bits
T3Columns = tuple[NDArray[np.uint64], NDArray[np.uint16], NDArray[np.uint8]]
T2Columns = tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint64]]
MarkerColumns = tuple[NDArray[np.uint64], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Counts:
    """What the records were: ``records`` is the sum of all kinds.

    ``overflows`` counts records and ``overflow_wraps`` the counter wraps they stand for; ``backwards`` counts
    events of any kind that were earlier than their predecessor.
    """

    photons: int
    markers: int
    overflows: int
    overflow_wraps: int
    syncs: int
    other: int
    backwards: int

    @property
    def records(self) -> int:
        """All records that were decoded."""
        return self.photons + self.markers + self.overflows + self.syncs + self.other


@dataclass(frozen=True, slots=True)
class EventArrays:
    """Photons and markers as columns of equal length.

    ``macrotime`` uint64 ticks; ``dtime`` uint16 bins in T3, uint32 ticks in T2; ``channel`` uint8;
    ``nsync`` uint64, the number of the laser pulse, in T2 only (in T3 it is the macrotime);
    ``marker_time`` uint64 ticks; ``marker_bits`` uint8.
    """

    macrotime: NDArray[np.uint64]
    dtime: NDArray[np.uint16] | NDArray[np.uint32]
    channel: NDArray[np.uint8]
    nsync: NDArray[np.uint64] | None
    marker_time: NDArray[np.uint64]
    marker_bits: NDArray[np.uint8]

    @classmethod
    def allocate(cls, record_type: RecordType, events: int) -> EventArrays:
        """Room for ``events`` photons and as many markers, not initialised."""
        t2 = record_type.mode == "T2"
        return cls(
            macrotime=np.empty(events, np.uint64),
            dtime=np.empty(events, np.uint32 if t2 else np.uint16),
            channel=np.empty(events, np.uint8),
            nsync=np.empty(events, np.uint64) if t2 else None,
            marker_time=np.empty(events, np.uint64),
            marker_bits=np.empty(events, np.uint8),
        )

    def up_to(self, photons: int, markers: int) -> EventArrays:
        """Views of the first photons and markers."""
        return EventArrays(
            self.macrotime[:photons],
            self.dtime[:photons],
            self.channel[:photons],
            None if self.nsync is None else self.nsync[:photons],
            self.marker_time[:markers],
            self.marker_bits[:markers],
        )


def new_carry() -> Carry:
    """The carry before the first record."""
    return np.zeros(CARRY_SIZE, np.int64)


def counts(carry: Carry) -> Counts:
    """The counts of all records since the carry was new."""
    return Counts(*(int(number) for number in carry[PHOTONS : BACKWARDS + 1]))


def watermark_ticks(carry: Carry) -> int:
    """Time of the latest record of any kind: no later event will have a smaller macrotime."""
    return int(carry[NOW])


def decode(
    records: NDArray[np.uint32],
    record_type: RecordType,
    carry: Carry,
    *,
    channels: int | None = None,
    sync_channel: int = -1,
    sync_divider: int = 1,
) -> EventArrays:
    """Decode records into fresh arrays; the parameters are those of `decode_into`."""
    out = EventArrays.allocate(record_type, records.size)
    photons, markers = decode_into(
        records,
        record_type,
        carry,
        out,
        channels=channels,
        sync_channel=sync_channel,
        sync_divider=sync_divider,
    )
    return out.up_to(photons, markers)


def decode_into(
    records: NDArray[np.uint32],
    record_type: RecordType,
    carry: Carry,
    out: EventArrays,
    photon_at: int = 0,
    marker_at: int = 0,
    *,
    channels: int | None = None,
    sync_channel: int = -1,
    sync_divider: int = 1,
) -> tuple[int, int]:
    """Write photons and markers into ``out`` from the given places on; return the places after the last ones.

    ``carry`` is brought up to date. ``channels`` is how many detector inputs the device has, by default all
    that the record type can name. ``sync_channel`` and ``sync_divider`` matter in T2 only.
    Raises ValueError where ``out`` may be too short for all records or a parameter is impossible.
    """
    _check_room(records.size, out, photon_at, marker_at)
    inputs = record_type.channels if channels is None else channels
    if not 1 <= inputs <= record_type.channels:
        raise ValueError(f"{record_type.name} has 1 to {record_type.channels} channels, not {inputs}")
    if not 1 <= sync_divider <= 1024:
        raise ValueError(f"the sync divider must be 1 to 1024, not {sync_divider}")
    if not -1 <= sync_channel < inputs:
        raise ValueError(f"the sync channel must be 0 to {inputs - 1}, or -1 for none, not {sync_channel}")
    # One type of array for the compiler, whether or not a chunk has made its records read-only.
    words = records.view()
    words.flags.writeable = False
    before: tuple[Any, ...] = (words, carry, record_type.wrap_ticks, inputs)
    photons: tuple[Any, ...] = (out.macrotime, out.dtime, out.channel)
    markers = (out.marker_time, out.marker_bits)
    if record_type.mode == "T3":
        t3 = decode_t3_picoharp if record_type.layout == "picoharp" else decode_t3_hydraharp
        after = t3(*before, photons, photon_at, markers, marker_at)
    else:
        t2 = decode_t2_picoharp if record_type.layout == "picoharp" else decode_t2_hydraharp
        after = t2(*before, sync_channel, sync_divider, (*photons, out.nsync), photon_at, markers, marker_at)
    return int(after[0]), int(after[1])


def _check_room(records: int, out: EventArrays, photon_at: int, marker_at: int) -> None:
    photon_room = min(column.size for column in (out.macrotime, out.dtime, out.channel))
    if out.nsync is not None:
        photon_room = min(photon_room, out.nsync.size)
    marker_room = min(out.marker_time.size, out.marker_bits.size)
    if (
        photon_at < 0
        or marker_at < 0
        or photon_at + records > photon_room
        or marker_at + records > marker_room
    ):
        raise ValueError(f"no room for {records} records from photon {photon_at}, marker {marker_at} on")


@njit(nogil=True, cache=True)
def decode_t3_hydraharp(
    records: Records,
    carry: Carry,
    wrap_ticks: int,
    channels: int,
    photons: T3Columns,
    at: int,
    markers: MarkerColumns,
    marker_at: int,
) -> tuple[int, int]:
    """T3 of HydraHarp, TimeHarp 260 and MultiHarp; returns the next free places for photons and markers."""
    macrotime, dtime, channel = photons
    marker_time, marker_bits = markers
    base, now, backwards = carry[BASE], carry[NOW], carry[BACKWARDS]
    end_of_photons = channels << 25
    n, m = np.uint64(at), np.uint64(marker_at)
    for i in range(np.uint64(records.size)):
        record = np.int64(records[i])
        if record < end_of_photons:
            time = base + (record & 0x3FF)
            backwards += time < now
            now = max(now, time)
            macrotime[n] = now
            dtime[n] = (record >> 10) & 0x7FFF
            channel[n] = record >> 25
            n += np.uint64(1)
            continue
        kind = record >> 25
        if kind == _HYDRAHARP_WRAP:
            wraps = max(record & 0x3FF, 1)
            base += wraps * wrap_ticks
            now = max(now, base)
            carry[OVERFLOWS] += 1
            carry[WRAPS] += wraps
        elif _HYDRAHARP_SYNC < kind <= _HYDRAHARP_LAST_MARKER:
            time = base + (record & 0x3FF)
            backwards += time < now
            now = max(now, time)
            marker_time[m] = now
            marker_bits[m] = kind - _HYDRAHARP_SYNC
            m += np.uint64(1)
        else:
            carry[OTHER] += 1
    carry[BASE], carry[NOW], carry[BACKWARDS] = base, now, backwards
    carry[PHOTONS] += np.int64(n) - at
    carry[MARKERS] += np.int64(m) - marker_at
    return n, m


@njit(nogil=True, cache=True)
def decode_t3_picoharp(
    records: Records,
    carry: Carry,
    wrap_ticks: int,
    channels: int,
    photons: T3Columns,
    at: int,
    markers: MarkerColumns,
    marker_at: int,
) -> tuple[int, int]:
    """T3 of the PicoHarp 300; returns the next free places for photons and markers."""
    macrotime, dtime, channel = photons
    marker_time, marker_bits = markers
    base, now, backwards = carry[BASE], carry[NOW], carry[BACKWARDS]
    n, m = np.uint64(at), np.uint64(marker_at)
    for i in range(np.uint64(records.size)):
        record = np.int64(records[i])
        raw_channel = record >> 28
        if 1 <= raw_channel <= channels:
            time = base + (record & 0xFFFF)
            backwards += time < now
            now = max(now, time)
            macrotime[n] = now
            dtime[n] = (record >> 16) & 0xFFF
            channel[n] = raw_channel - 1
            n += np.uint64(1)
            continue
        if raw_channel != _PICOHARP_SPECIAL:
            carry[OTHER] += 1
            continue
        bits = (record >> 16) & 0xF
        if bits == 0:
            base += wrap_ticks
            now = max(now, base)
            carry[OVERFLOWS] += 1
            carry[WRAPS] += 1
        else:
            time = base + (record & 0xFFFF)
            backwards += time < now
            now = max(now, time)
            marker_time[m] = now
            marker_bits[m] = bits
            m += np.uint64(1)
    carry[BASE], carry[NOW], carry[BACKWARDS] = base, now, backwards
    carry[PHOTONS] += np.int64(n) - at
    carry[MARKERS] += np.int64(m) - marker_at
    return n, m


@njit(nogil=True, cache=True)
def _take_sync(carry: Carry, time: int) -> None:
    """Note a laser pulse. Pulses that were put on the same tick give no interval."""
    interval = time - carry[LAST_SYNC]
    if carry[SYNCS_PAIRED] > 0 and interval > 0:
        carry[INTERVAL] = interval
    carry[LAST_SYNC] = time
    carry[SYNCS_PAIRED] += 1


@njit(nogil=True, cache=True)
def _pair(carry: Carry, time: int, divider: int) -> tuple[int, int]:
    """dtime and nsync of a photon that comes after the last laser pulse (see the module's text)."""
    seen = carry[SYNCS_PAIRED]
    if seen == 0:
        return NO_DTIME, 0
    gap = time - carry[LAST_SYNC]
    nsync = (seen - 1) * divider
    if divider > 1:
        interval = carry[INTERVAL]
        if interval == 0 or interval > _LONGEST_INTERVAL:
            return NO_DTIME, nsync
        passed = divider - 1 if gap >= interval else gap * divider // interval
        gap -= passed * interval // divider
        nsync += passed
    return min(gap, NO_DTIME), nsync


@njit(nogil=True, cache=True)
def decode_t2_hydraharp(
    records: Records,
    carry: Carry,
    wrap_ticks: int,
    channels: int,
    sync_channel: int,
    divider: int,
    photons: T2Columns,
    at: int,
    markers: MarkerColumns,
    marker_at: int,
) -> tuple[int, int]:
    """T2 of HydraHarp, TimeHarp 260 and MultiHarp; returns the next free places for photons and markers."""
    macrotime, dtime, channel, nsync = photons
    marker_time, marker_bits = markers
    base, now = carry[BASE], carry[NOW]
    end_of_photons = channels << 25
    n, m = np.uint64(at), np.uint64(marker_at)
    for i in range(np.uint64(records.size)):
        record = np.int64(records[i])
        kind = record >> 25
        if kind == _HYDRAHARP_WRAP:
            wraps = max(record & 0x1FFFFFF, 1)
            base += wraps * wrap_ticks
            now = max(now, base)
            carry[OVERFLOWS] += 1
            carry[WRAPS] += wraps
            continue
        if record >= end_of_photons and not _HYDRAHARP_SYNC <= kind <= _HYDRAHARP_LAST_MARKER:
            carry[OTHER] += 1
            continue
        time = base + (record & 0x1FFFFFF)
        carry[BACKWARDS] += time < now
        now = max(now, time)
        if kind == sync_channel:
            _take_sync(carry, now)
            carry[SYNCS] += 1
        elif record < end_of_photons:
            macrotime[n] = now
            dtime[n], nsync[n] = _pair(carry, now, divider)
            channel[n] = kind
            n += np.uint64(1)
        elif kind == _HYDRAHARP_SYNC:
            # A detector input that was named as the laser's takes the place of the sync input.
            if sync_channel < 0:
                _take_sync(carry, now)
            carry[SYNCS] += 1
        else:
            marker_time[m] = now
            marker_bits[m] = kind - _HYDRAHARP_SYNC
            m += np.uint64(1)
    carry[BASE], carry[NOW] = base, now
    carry[PHOTONS] += np.int64(n) - at
    carry[MARKERS] += np.int64(m) - marker_at
    return n, m


@njit(nogil=True, cache=True)
def decode_t2_picoharp(
    records: Records,
    carry: Carry,
    wrap_ticks: int,
    channels: int,
    sync_channel: int,
    divider: int,
    photons: T2Columns,
    at: int,
    markers: MarkerColumns,
    marker_at: int,
) -> tuple[int, int]:
    """T2 of the PicoHarp 300; returns the next free places for photons and markers."""
    macrotime, dtime, channel, nsync = photons
    marker_time, marker_bits = markers
    base, now = carry[BASE], carry[NOW]
    n, m = np.uint64(at), np.uint64(marker_at)
    for i in range(np.uint64(records.size)):
        record = np.int64(records[i])
        kind = record >> 28
        time = base + (record & 0xFFFFFFF)
        if kind < channels:
            carry[BACKWARDS] += time < now
            now = max(now, time)
            if kind == sync_channel:
                _take_sync(carry, now)
                carry[SYNCS] += 1
            else:
                macrotime[n] = now
                dtime[n], nsync[n] = _pair(carry, now, divider)
                channel[n] = kind
                n += np.uint64(1)
        elif kind != _PICOHARP_SPECIAL:
            carry[OTHER] += 1
        elif record & 0xF == 0:
            base += wrap_ticks
            now = max(now, base)
            carry[OVERFLOWS] += 1
            carry[WRAPS] += 1
        else:
            # The lowest four bits of the time are the marker's, so its true time is known to 16 ticks only.
            carry[BACKWARDS] += (time | 0xF) < now
            now = max(now, time - (record & 0xF))
            marker_time[m] = now
            marker_bits[m] = record & 0xF
            m += np.uint64(1)
    carry[BASE], carry[NOW] = base, now
    carry[PHOTONS] += np.int64(n) - at
    carry[MARKERS] += np.int64(m) - marker_at
    return n, m
