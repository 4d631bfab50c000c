"""Photons into records: a silence of more wraps than one record can tell, and time that was told already."""

import numpy as np

from photonstream.nodes.drivers.tag_records import RecordWriter
from photonstream.nodes.formats.records import GENERIC_T3

WRAP = 0x80000000 | 63 << 25


def array(*values):
    return np.array(values, np.int64)


def test_a_long_silence_takes_several_wrap_records():
    writer = RecordWriter(GENERIC_T3)
    records = writer.records(array(5, 1024 * 2500 + 7), array(0, 1), array(3, 4))
    assert records.tolist() == [3 << 10 | 5, WRAP | 1023, WRAP | 1023, WRAP | 454, 1 << 25 | 4 << 10 | 7]
    assert writer.advance(1024 * 2500 + 9).tolist() == []
    assert writer.advance(1024 * 2502).tolist() == [WRAP | 2]


def test_the_time_never_goes_back():
    writer = RecordWriter(GENERIC_T3)
    writer.advance(4096)
    assert writer.records(array(4000), array(0), array(1)).tolist() == [1 << 10]
