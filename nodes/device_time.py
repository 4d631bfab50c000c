"""The time in raw records, without decoding them: counter wraps, and how a gap of some length is written with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import RecordType

_HYDRAHARP_WRAP = np.uint32((1 << 31) | (63 << 25))
_PICOHARP_WRAP = np.uint32(15 << 28)


class DeviceTime:
    """How far a stream of records of one type has come, in ticks of its macrotime."""

    def __init__(self, record_type: RecordType) -> None:
        self._type = record_type
        self._mask = np.uint32((1 << record_type.time_bits) - 1)
        self._wraps = 0
        self._within = 0

    @property
    def ticks(self) -> int:
        """The time of the last record."""
        return self._wraps * self._type.wrap_ticks + self._within

    def read(self, records: NDArray[np.uint32]) -> None:
        """Go on by ``records``."""
        if not records.size:
            return
        wraps = _wraps_of(records, self._type)
        told = np.maximum(wraps & self._mask, 1) if self._type.layout == "hydraharp" else wraps * 0 + 1
        self._wraps += int(told.sum(dtype=np.int64))
        last = records[-1:]
        self._within = 0 if _wraps_of(last, self._type).size else int(last[0] & self._mask)


def only_wraps(records: NDArray[np.uint32], record_type: RecordType) -> bool:
    """Whether ``records`` tell the time and nothing else."""
    return _wraps_of(records, record_type).size == records.size


def _wraps_of(records: NDArray[np.uint32], record_type: RecordType) -> NDArray[np.uint32]:
    if record_type.layout == "hydraharp":
        return records[records >= _HYDRAHARP_WRAP]
    # A special record with marker bits is no wrap.
    special = records[records >= _PICOHARP_WRAP]
    marker = special >> np.uint32(16) if record_type.mode == "T3" else special
    unmarked: NDArray[np.bool_] = (marker & np.uint32(15)) == 0
    return special[unmarked]


def wrap_records(record_type: RecordType, wraps: int) -> NDArray[np.uint32]:
    """Records that move the macrotime on by ``wraps`` counter wraps; every record type has its own way."""
    if record_type.layout == "picoharp":
        return np.full(wraps, _PICOHARP_WRAP)
    if "v1" in record_type.name:
        # This version of the format knows no count.
        return np.full(wraps, _HYDRAHARP_WRAP)
    most = (1 << record_type.time_bits) - 1
    whole, rest = divmod(wraps, most)
    counts = np.full(whole + (rest > 0), most, np.uint32)
    if rest:
        counts[-1] = rest
    return np.bitwise_or(counts, _HYDRAHARP_WRAP, out=counts)
