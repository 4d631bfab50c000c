"""Time in raw records: against the decoder, for every record type, in any pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.device_time import DeviceTime, only_wraps, wrap_records
from photonstream.nodes.formats.records import (
    GENERIC_T2,
    GENERIC_T3,
    HYDRAHARP_V1_T2,
    HYDRAHARP_V1_T3,
    PICOHARP_T2,
    PICOHARP_T3,
    RECORD_TYPES,
)
from photonstream.nodes.pacing import RecordClock

KINDS = st.sampled_from(RECORD_TYPES)


def decoded(record_type, records):
    """The time that the decoder finds, in ticks."""
    clock = RecordClock(record_type, 1.0, max(1, records.size))
    return clock.after(clock.start, records).time_s


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("wraps", [1, 2, 1023, 1024, 5000])
def test_the_decoder_finds_the_wraps_that_were_written(record_type, wraps):
    records = wrap_records(record_type, wraps)
    assert decoded(record_type, records) == wraps * record_type.wrap_ticks
    time = DeviceTime(record_type)
    time.read(records)
    assert time.ticks == wraps * record_type.wrap_ticks


@pytest.mark.parametrize(
    ("record_type", "most"),
    [
        (GENERIC_T3, 1),
        (GENERIC_T2, 1),
        (HYDRAHARP_V1_T3, 1000),
        (HYDRAHARP_V1_T2, 1000),
        (PICOHARP_T3, 1000),
        (PICOHARP_T2, 1000),
    ],
)
def test_wraps_are_counted_in_one_record_where_the_format_can(record_type, most):
    assert wrap_records(record_type, 1000).size == most


def test_no_wraps_are_no_records():
    assert wrap_records(GENERIC_T3, 0).size == 0


@given(KINDS, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=30), st.integers(1, 7))
def test_photons_and_wraps_in_any_pieces(record_type, steps, size):
    """Times that rise, as a device gives them: so many wraps, then a photon so many ticks after the last one."""
    words, within = [], 0
    for wraps, ticks in steps:
        words.extend(wrap_records(record_type, wraps).tolist())
        within = ticks if wraps else min(within + ticks, (1 << record_type.time_bits) - 1)
        channel = 1 << (28 if record_type.layout == "picoharp" else 25)
        words.append(channel | within)
    records = np.array(words, np.uint32)
    time = DeviceTime(record_type)
    for start in range(0, records.size, size):
        time.read(records[start : start + size])
    assert time.ticks == decoded(record_type, records)


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda kind: kind.name)
def test_what_tells_the_time_alone_is_neither_photon_nor_marker(record_type):
    wraps = wrap_records(record_type, 3)
    photon = 1 << 28 if record_type.layout == "picoharp" else 1 << 25
    if record_type.layout == "hydraharp":
        marker = 1 << 31 | 2 << 25
    else:
        marker = 15 << 28 | (2 << 16 if record_type.mode == "T3" else 2)
    assert only_wraps(wraps, record_type)
    for other in (photon, marker):
        assert not only_wraps(np.append(wraps, np.uint32(other)), record_type)


def test_a_marker_of_a_picoharp_is_no_wrap():
    time = DeviceTime(PICOHARP_T3)
    time.read(np.array([15 << 28 | 2 << 16 | 77], np.uint32))
    assert time.ticks == 77
