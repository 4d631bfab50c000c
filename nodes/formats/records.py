"""The record types of PicoQuant's time-tagged files: how the bits of one 32-bit word are shared out.

Two layouts cover every device. In both the time tag sits in the lowest bits and the channel in the highest:

===========  ====  ==================  ================  =================  ==========================
layout       mode  time tag            dtime             channel            special when
===========  ====  ==================  ================  =================  ==========================
picoharp     T3    bits 0-15           bits 16-27        bits 28-31         channel is 15
picoharp     T2    bits 0-27           none              bits 28-31         channel is 15
hydraharp    T3    bits 0-9            bits 10-24        bits 25-30         bit 31 is set
hydraharp    T2    bits 0-24           none              bits 25-30         bit 31 is set
===========  ====  ==================  ================  =================  ==========================

Special records of the picoharp layout are markers whose bits stand in the lowest four bits of dtime (T3) or
time tag (T2), or one counter wrap where these are 0. Special records of the hydraharp layout are wraps on
channel 63, markers on channels 1 to 15 (the channel is the marker bits) and, in T2, laser pulses on
channel 0. A wrap of the hydraharp layout carries its count in the time tag; 0 means one. Format 1.0 of the
HydraHarp knows no count and its devices leave 0 there, but files of that version that other software has
compressed carry one, and it is honoured.

Source: PicoQuant's published file format descriptions and the record type codes of its tag
``TTResultFormat_TTTRRecType``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from photonstream.stream.chunk import Mode

Layout = Literal["picoharp", "hydraharp"]


@dataclass(frozen=True, slots=True)
class RecordType:
    """One kind of record. ``wrap_ticks`` is what one counter wrap is worth, in ticks of the time tag.

    ``channels`` is how many detector inputs the record type can name.
    """

    name: str
    code: int
    mode: Mode
    device: str
    layout: Layout
    wrap_ticks: int
    channels: int

    @property
    def time_bits(self) -> int:
        """Width of the time tag in bits."""
        if self.layout == "picoharp":
            return 16 if self.mode == "T3" else 28
        return 10 if self.mode == "T3" else 25

    @property
    def dtime_bits(self) -> int:
        """Width of the dtime field in bits, 0 in T2."""
        if self.mode == "T2":
            return 0
        return 12 if self.layout == "picoharp" else 15


def _picoharp(name: str, code: int, mode: Mode) -> RecordType:
    # T3 numbers the router's inputs from 1; T2 calls the sync input 0 and the router's inputs 1 to 4.
    if mode == "T3":
        return RecordType(name, code, mode, "PicoHarp 300", "picoharp", 65536, 4)
    return RecordType(name, code, mode, "PicoHarp 300", "picoharp", 210698240, 5)


def _hydraharp(name: str, code: int, mode: Mode, device: str, wrap_ticks: int | None = None) -> RecordType:
    wrap = wrap_ticks or (1024 if mode == "T3" else 33554432)
    return RecordType(name, code, mode, device, "hydraharp", wrap, 64)


PICOHARP_T2 = _picoharp("PicoHarp T2", 0x00010203, "T2")
PICOHARP_T3 = _picoharp("PicoHarp T3", 0x00010303, "T3")
# The first HydraHarp firmware wraps its T2 counter before its 25 bits are full.
HYDRAHARP_V1_T2 = _hydraharp("HydraHarp v1 T2", 0x00010204, "T2", "HydraHarp 400", 33552000)
HYDRAHARP_V1_T3 = _hydraharp("HydraHarp v1 T3", 0x00010304, "T3", "HydraHarp 400")
HYDRAHARP_V2_T2 = _hydraharp("HydraHarp v2 T2", 0x01010204, "T2", "HydraHarp 400")
HYDRAHARP_V2_T3 = _hydraharp("HydraHarp v2 T3", 0x01010304, "T3", "HydraHarp 400")
TIMEHARP_260N_T2 = _hydraharp("TimeHarp 260 N T2", 0x00010205, "T2", "TimeHarp 260 Nano")
TIMEHARP_260N_T3 = _hydraharp("TimeHarp 260 N T3", 0x00010305, "T3", "TimeHarp 260 Nano")
TIMEHARP_260P_T2 = _hydraharp("TimeHarp 260 P T2", 0x00010206, "T2", "TimeHarp 260 Pico")
TIMEHARP_260P_T3 = _hydraharp("TimeHarp 260 P T3", 0x00010306, "T3", "TimeHarp 260 Pico")
GENERIC_T2 = _hydraharp("Generic T2", 0x00010207, "T2", "MultiHarp, PicoHarp 330")
GENERIC_T3 = _hydraharp("Generic T3", 0x00010307, "T3", "MultiHarp, PicoHarp 330")

RECORD_TYPES = (
    PICOHARP_T2,
    PICOHARP_T3,
    HYDRAHARP_V1_T2,
    HYDRAHARP_V1_T3,
    HYDRAHARP_V2_T2,
    HYDRAHARP_V2_T3,
    TIMEHARP_260N_T2,
    TIMEHARP_260N_T3,
    TIMEHARP_260P_T2,
    TIMEHARP_260P_T3,
    GENERIC_T2,
    GENERIC_T3,
)
BY_CODE = {kind.code: kind for kind in RECORD_TYPES}
BY_NAME = {kind.name: kind for kind in RECORD_TYPES}
