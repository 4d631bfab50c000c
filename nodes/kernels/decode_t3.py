"""T3 records to photons and markers: one loop per record layout. See `photonstream.nodes.kernels.decode`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from photonstream.nodes.kernels.decode_carry import (
    BACKWARDS,
    BASE,
    MARKERS,
    MOST_TICKS,
    NOW,
    OTHER,
    OVERFLOWS,
    PHOTONS,
    WRAPS,
    Carry,
)

# macrotime, dtime, channel
PhotonColumns = tuple[NDArray[np.uint64], NDArray[np.uint16], NDArray[np.uint8]]
# marker_time, marker_bits
MarkerColumns = tuple[NDArray[np.uint64], NDArray[np.uint8]]
# the places after the last photon and the last marker
Places = tuple[np.uint64, np.uint64]

_SPECIAL = 15
_NO_MARKER, _LAST_MARKER, _WRAP = 64, 64 + 15, 64 + 63


@njit(nogil=True, cache=True)
def decode_t3_hydraharp(
    records: NDArray[np.uint32],
    carry: Carry,
    wrap_ticks: int,
    channels: int,
    photons: PhotonColumns,
    photon_at: int,
    markers: MarkerColumns,
    marker_at: int,
) -> Places:
    """T3 of HydraHarp, TimeHarp 260 and MultiHarp."""
    macrotime, dtime, channel = photons
    marker_time, marker_bits = markers
    base, now, backwards = carry[BASE], carry[NOW], carry[BACKWARDS]
    end_of_photons = channels << 25
    n, m = np.uint64(photon_at), np.uint64(marker_at)
    for i in range(np.uint64(records.size)):
        record = np.int64(records[i])
        tag = record & 0x3FF
        if record < end_of_photons:
            time = base + tag
            backwards += time < now
            now = max(now, time)
            macrotime[n] = now
            dtime[n] = (record >> 10) & 0x7FFF
            channel[n] = record >> 25
            n += np.uint64(1)
            continue
        kind = record >> 25
        if kind == _WRAP:
            wraps = tag + (tag == 0)
            base = min(base + wraps * wrap_ticks, MOST_TICKS)
            now = max(now, base)
            carry[OVERFLOWS] += 1
            carry[WRAPS] += wraps
        elif _NO_MARKER < kind <= _LAST_MARKER:
            time = base + tag
            backwards += time < now
            now = max(now, time)
            marker_time[m] = now
            marker_bits[m] = kind - _NO_MARKER
            m += np.uint64(1)
        else:
            carry[OTHER] += 1
    carry[BASE], carry[NOW], carry[BACKWARDS] = base, now, backwards
    carry[PHOTONS] += np.int64(n) - photon_at
    carry[MARKERS] += np.int64(m) - marker_at
    return n, m


@njit(nogil=True, cache=True)
def decode_t3_picoharp(
    records: NDArray[np.uint32],
    carry: Carry,
    wrap_ticks: int,
    channels: int,
    photons: PhotonColumns,
    photon_at: int,
    markers: MarkerColumns,
    marker_at: int,
) -> Places:
    """T3 of the PicoHarp 300."""
    macrotime, dtime, channel = photons
    marker_time, marker_bits = markers
    base, now, backwards = carry[BASE], carry[NOW], carry[BACKWARDS]
    n, m = np.uint64(photon_at), np.uint64(marker_at)
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
        if raw_channel != _SPECIAL:
            carry[OTHER] += 1
            continue
        bits = (record >> 16) & 0xF
        if bits == 0:
            base = min(base + wrap_ticks, MOST_TICKS)
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
    carry[PHOTONS] += np.int64(n) - photon_at
    carry[MARKERS] += np.int64(m) - marker_at
    return n, m
