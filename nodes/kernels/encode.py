"""Photons into raw records of the HydraHarp layout, which the MultiHarp and TimeHarp 260 share.

The counterpart of `decode`. The carry is the whole state between calls, so that chunk after chunk gives the
same records as all at once. Counter wraps are records of their own and carry their number; they precede the
event that needs them. Bit layout: see `photonstream.nodes.formats.records`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

T3_WRAP = 1024
T2_WRAP = 33554432
# Names for the elements of the carry.
WRAPS, SYNCS = 0, 1

_OVERFLOW = np.uint32((1 << 31) | (63 << 25))
_T2_SYNC = np.uint32(1 << 31)
_T3_MOST = 1023
_T2_MOST = 33554431


def new_carry() -> NDArray[np.int64]:
    """The state before the first record: wraps told so far, sync records written so far."""
    return np.zeros(2, np.int64)


@njit(nogil=True, cache=True)
def _wrap_records(wraps: int, most: int, out: NDArray[np.uint32], written: int) -> int:
    while wraps > 0:
        told = min(wraps, most)
        out[written] = _OVERFLOW | np.uint32(told)
        written += 1
        wraps -= told
    return written


@njit(nogil=True, cache=True)
def encode_t3(
    nsync: NDArray[np.int64],
    dtime: NDArray[np.uint16],
    channel: NDArray[np.uint8],
    end: int,
    carry: NDArray[np.int64],
    out: NDArray[np.uint32],
) -> int:
    """Write T3 records of photons in order of ``nsync`` to ``out``; return their number.

    After the photons, wraps up to sync period ``end`` are written, which is how a dark detector tells the
    time; 0 writes none. ``out`` must hold `t3_capacity` records.
    """
    written = 0
    wraps = carry[WRAPS]
    for i in range(nsync.size):
        due = nsync[i] // T3_WRAP
        if due > wraps:
            written = _wrap_records(due - wraps, _T3_MOST, out, written)
            wraps = due
        word = (np.uint32(channel[i]) << np.uint32(25)) | (np.uint32(dtime[i]) << np.uint32(10))
        out[written] = word | np.uint32(nsync[i] & (T3_WRAP - 1))
        written += 1
    if end // T3_WRAP > wraps:
        written = _wrap_records(end // T3_WRAP - wraps, _T3_MOST, out, written)
        wraps = end // T3_WRAP
    carry[WRAPS] = wraps
    return written


@njit(nogil=True, cache=True)
def encode_t2(
    ticks: NDArray[np.int64],
    channel: NDArray[np.uint8],
    sync_ticks: float,
    stop: int,
    end: int,
    carry: NDArray[np.int64],
    out: NDArray[np.uint32],
) -> int:
    """Write T2 records of photons in order of ``ticks`` to ``out``; return their number.

    Sync records stand at tick floor(k * ``sync_ticks``), k = 0, 1, ..., as far as they are before tick
    ``stop``; 0 ticks means no sync records. A sync comes before a photon of the same tick. After the events,
    wraps up to tick ``end`` are written; 0 writes none. ``out`` must hold `t2_capacity` records.
    """
    written = 0
    wraps = carry[WRAPS]
    syncs = carry[SYNCS]
    i = 0
    while True:
        photon = ticks[i] if i < ticks.size else np.int64(-1)
        sync = np.int64(np.floor(syncs * sync_ticks)) if sync_ticks > 0.0 else np.int64(-1)
        sync_is_due = 0 <= sync < stop and (photon < 0 or sync <= photon)
        if not sync_is_due and photon < 0:
            break
        event = sync if sync_is_due else photon
        due = event // T2_WRAP
        if due > wraps:
            written = _wrap_records(due - wraps, _T2_MOST, out, written)
            wraps = due
        tag = np.uint32(event & (T2_WRAP - 1))
        if sync_is_due:
            out[written] = _T2_SYNC | tag
            syncs += 1
        else:
            out[written] = (np.uint32(channel[i]) << np.uint32(25)) | tag
            i += 1
        written += 1
    if end // T2_WRAP > wraps:
        written = _wrap_records(end // T2_WRAP - wraps, _T2_MOST, out, written)
        wraps = end // T2_WRAP
    carry[WRAPS] = wraps
    carry[SYNCS] = syncs
    return written


def t3_capacity(photons: int, last: int, carry: NDArray[np.int64]) -> int:
    """Records that `encode_t3` may need for so many photons up to sync period ``last``."""
    wraps = max(0, last // T3_WRAP - int(carry[WRAPS]))
    return photons + min(wraps, photons + 1 + wraps // _T3_MOST)


def t2_capacity(photons: int, sync_ticks: float, last: int, carry: NDArray[np.int64]) -> int:
    """Records that `encode_t2` may need for so many photons and the syncs up to tick ``last``."""
    syncs = max(0, int(last / sync_ticks) + 2 - int(carry[SYNCS])) if sync_ticks > 0 else 0
    events = photons + syncs
    wraps = max(0, last // T2_WRAP - int(carry[WRAPS]))
    return events + min(wraps, events + 1 + wraps // _T2_MOST)
