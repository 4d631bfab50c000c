"""The table of record types against what other readers know."""

import pytest

from photonstream.nodes.formats.records import BY_CODE, BY_NAME, RECORD_TYPES


def test_codes_are_those_of_an_independent_reader():
    ptufile = pytest.importorskip("ptufile")
    assert {int(kind) for kind in ptufile.PtuRecordType} == set(BY_CODE)
    for kind in ptufile.PtuRecordType:
        assert BY_CODE[int(kind)].mode == kind.name[-2:]


def test_names_are_unique():
    assert len(BY_NAME) == len(RECORD_TYPES) == 12


@pytest.mark.parametrize(
    ("name", "wrap_ticks"),
    [
        ("PicoHarp T2", 210698240),
        ("PicoHarp T3", 65536),
        ("HydraHarp v1 T2", 33552000),
        ("HydraHarp v2 T2", 33554432),
        ("Generic T2", 33554432),
        ("HydraHarp v1 T3", 1024),
        ("TimeHarp 260 P T3", 1024),
    ],
)
def test_wraps(name, wrap_ticks):
    assert BY_NAME[name].wrap_ticks == wrap_ticks


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.name)
def test_fields_fill_the_word(kind):
    channel_bits = 4 if kind.layout == "picoharp" else 6 + 1
    assert kind.time_bits + kind.dtime_bits + channel_bits == 32
    assert kind.wrap_ticks <= 1 << kind.time_bits
