"""T2 records to photons and markers: one loop per record layout. See `photonstream.nodes.kernels.decode`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from photonstream.nodes.kernels.decode_carry import (
    BACKWARDS,
    BASE,
    INTERVAL,
    LAST_SYNC,
    MARKERS,
    MOST_TICKS,
    NO_DTIME,
    NOW,
    OTHER,
    OVERFLOWS,
    PHOTONS,
    SYNCS,
    SYNCS_PAIRED,
    WRAPS,
    Carry,
)
from photonstream.nodes.kernels.decode_t3 import MarkerColumns, Places

# macrotime, dtime, channel, nsync
PhotonColumns = tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint64]]

# A longer interval between two laser pulses has no dtime that fits, and its multiples might not fit either.
_LONGEST_INTERVAL = 1 << 40

_SPECIAL = 15
_SYNC, _LAST_MARKER, _WRAP = 64, 64 + 15, 64 + 63


@njit(nogil=True, cache=True)
def _pair(time: int, last_sync: int, interval: int, pulses: int, divider: int) -> tuple[int, int]:
    """dtime and nsync of a photon after ``pulses`` recorded laser pulses, the last one at ``last_sync``."""
    if pulses == 0:
        return NO_DTIME, 0
    gap = time - last_sync
    nsync = (pulses - 1) * divider
    if divider > 1:
        if interval == 0 or interval > _LONGEST_INTERVAL:
            return NO_DTIME, nsync
        passed = divider - 1 if gap >= interval else gap * divider // interval
        gap -= passed * interval // divider
        nsync += passed
    return min(gap, NO_DTIME), nsync


@njit(nogil=True, cache=True)
def decode_t2_hydraharp(
    records: NDArray[np.uint32],
    carry: Carry,
    wrap_ticks: int,
    channels: int,
    sync_channel: int,
    divider: int,
    photons: PhotonColumns,
    photon_at: int,
    markers: MarkerColumns,
    marker_at: int,
) -> Places:
    """T2 of HydraHarp, TimeHarp 260 and MultiHarp."""
    macrotime, dtime, channel, nsync = photons
    marker_time, marker_bits = markers
    base, now, backwards = carry[BASE], carry[NOW], carry[BACKWARDS]
    last_sync, interval, pulses = carry[LAST_SYNC], carry[INTERVAL], carry[SYNCS_PAIRED]
    # A detector input that was named as the laser's takes the place of the sync input.
    laser = _SYNC if sync_channel < 0 else sync_channel
    end_of_photons = channels << 25
    n, m = np.uint64(photon_at), np.uint64(marker_at)
    for i in range(np.uint64(records.size)):
        record = np.int64(records[i])
        kind = record >> 25
        tag = record & 0x1FFFFFF
        if record < end_of_photons and kind != laser:
            time = base + tag
            backwards += time < now
            now = max(now, time)
            macrotime[n] = now
            dtime[n], nsync[n] = _pair(now, last_sync, interval, pulses, divider)
            channel[n] = kind
            n += np.uint64(1)
        elif kind == _WRAP:
            wraps = tag + (tag == 0)
            base = min(base + wraps * wrap_ticks, MOST_TICKS)
            now = max(now, base)
            carry[OVERFLOWS] += 1
            carry[WRAPS] += wraps
        elif kind in (laser, _SYNC):
            time = base + tag
            backwards += time < now
            now = max(now, time)
            carry[SYNCS] += 1
            if kind == laser:
                # Pulses that were put on the same tick give no interval.
                if pulses > 0 and now > last_sync:
                    interval = now - last_sync
                last_sync = now
                pulses += 1
        elif _SYNC < kind <= _LAST_MARKER:
            time = base + tag
            backwards += time < now
            now = max(now, time)
            marker_time[m] = now
            marker_bits[m] = kind - _SYNC
            m += np.uint64(1)
        else:
            carry[OTHER] += 1
    carry[BASE], carry[NOW], carry[BACKWARDS] = base, now, backwards
    carry[LAST_SYNC], carry[INTERVAL], carry[SYNCS_PAIRED] = last_sync, interval, pulses
    carry[PHOTONS] += np.int64(n) - photon_at
    carry[MARKERS] += np.int64(m) - marker_at
    return n, m


@njit(nogil=True, cache=True)
def decode_t2_picoharp(
    records: NDArray[np.uint32],
    carry: Carry,
    wrap_ticks: int,
    channels: int,
    sync_channel: int,
    divider: int,
    photons: PhotonColumns,
    photon_at: int,
    markers: MarkerColumns,
    marker_at: int,
) -> Places:
    """T2 of the PicoHarp 300."""
    macrotime, dtime, channel, nsync = photons
    marker_time, marker_bits = markers
    base, now, backwards = carry[BASE], carry[NOW], carry[BACKWARDS]
    last_sync, interval, pulses = carry[LAST_SYNC], carry[INTERVAL], carry[SYNCS_PAIRED]
    n, m = np.uint64(photon_at), np.uint64(marker_at)
    for i in range(np.uint64(records.size)):
        record = np.int64(records[i])
        kind = record >> 28
        time = base + (record & 0xFFFFFFF)
        if kind < channels:
            backwards += time < now
            now = max(now, time)
            if kind == sync_channel:
                # Pulses that were put on the same tick give no interval.
                if pulses > 0 and now > last_sync:
                    interval = now - last_sync
                last_sync = now
                pulses += 1
                carry[SYNCS] += 1
            else:
                macrotime[n] = now
                dtime[n], nsync[n] = _pair(now, last_sync, interval, pulses, divider)
                channel[n] = kind
                n += np.uint64(1)
        elif kind != _SPECIAL:
            carry[OTHER] += 1
        elif record & 0xF == 0:
            base = min(base + wrap_ticks, MOST_TICKS)
            now = max(now, base)
            carry[OVERFLOWS] += 1
            carry[WRAPS] += 1
        else:
            # The lowest four bits of the time are the marker's, so its true time is known to 16 ticks only.
            bits = record & 0xF
            backwards += time - bits + 0xF < now
            now = max(now, time - bits)
            marker_time[m] = now
            marker_bits[m] = bits
            m += np.uint64(1)
    carry[BASE], carry[NOW], carry[BACKWARDS] = base, now, backwards
    carry[LAST_SYNC], carry[INTERVAL], carry[SYNCS_PAIRED] = last_sync, interval, pulses
    carry[PHOTONS] += np.int64(n) - photon_at
    carry[MARKERS] += np.int64(m) - marker_at
    return n, m
