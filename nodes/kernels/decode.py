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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import Layout, RecordType
from photonstream.nodes.kernels.decode_carry import (
    MOST_TICKS,
    NO_DTIME,
    Carry,
    Counts,
    counts,
    new_carry,
    watermark_ticks,
)
from photonstream.nodes.kernels.decode_t2 import decode_t2_hydraharp, decode_t2_picoharp
from photonstream.nodes.kernels.decode_t3 import decode_t3_hydraharp, decode_t3_picoharp

__all__ = [
    "MOST_DIVIDER",
    "MOST_TICKS",
    "NO_DTIME",
    "Carry",
    "Counts",
    "EventArrays",
    "counts",
    "decode",
    "decode_into",
    "new_carry",
    "watermark_ticks",
]

# Laser pulses to one record of them, far more than any device divides by.
MOST_DIVIDER = 65536

_Kernel = Callable[..., tuple[Any, Any]]
_T3: Mapping[Layout, _Kernel] = {"picoharp": decode_t3_picoharp, "hydraharp": decode_t3_hydraharp}
_T2: Mapping[Layout, _Kernel] = {"picoharp": decode_t2_picoharp, "hydraharp": decode_t2_hydraharp}


@dataclass(frozen=True, slots=True)
class EventArrays:
    """Photons and markers as columns of equal length.

    ``macrotime`` uint64 ticks; ``dtime`` uint16 bins in T3, uint32 ticks in T2; ``channel`` uint8;
    ``nsync`` uint64, the number of the laser pulse, in T2 only (in T3 it is the macrotime);
    ``marker_time`` uint64 ticks; ``marker_bits`` uint8.
    """

    macrotime: NDArray[np.uint64]
    dtime: NDArray[Any]
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
    if not 1 <= sync_divider <= MOST_DIVIDER:
        raise ValueError(f"the sync divider must be 1 to {MOST_DIVIDER}, not {sync_divider}")
    if not -1 <= sync_channel < inputs:
        raise ValueError(f"the sync channel must be 0 to {inputs - 1}, or -1 for none, not {sync_channel}")
    # One type of array for the compiler, whether or not a chunk has made its records read-only.
    words = records.view()
    words.flags.writeable = False
    first: tuple[Any, ...] = (words, carry, record_type.wrap_ticks, inputs)
    photons: tuple[Any, ...] = (out.macrotime, out.dtime, out.channel)
    last: tuple[Any, ...] = (photon_at, (out.marker_time, out.marker_bits), marker_at)
    if record_type.mode == "T3":
        after = _T3[record_type.layout](*first, photons, *last)
    else:
        after = _T2[record_type.layout](*first, sync_channel, sync_divider, (*photons, out.nsync), *last)
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
