"""Encoders against words set up by hand, an independent reader, and themselves in pieces."""

from pathlib import Path

import numpy as np
import ptufile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3
from photonstream.nodes.kernels import encode

OVERFLOW = 0x80000000 | 63 << 25


def t3(
    nsync: list[int], dtime: list[int], channel: list[int], end: int = 0, carry: object = None
) -> list[int]:
    carry = encode.new_carry() if carry is None else carry
    out = np.empty(encode.t3_capacity(len(nsync), max([end, *nsync]), carry), np.uint32)
    arrays = np.array(nsync, np.int64), np.array(dtime, np.uint16), np.array(channel, np.uint8)
    return out[: encode.encode_t3(*arrays, end, carry, out)].tolist()


def t2(
    ticks: list[int], channel: list[int], sync: float = 0.0, stop: int = 0, end: int = 0, carry: object = None
) -> list[int]:
    carry = encode.new_carry() if carry is None else carry
    out = np.empty(encode.t2_capacity(len(ticks), sync, max([stop, end, *ticks]), carry), np.uint32)
    arrays = np.array(ticks, np.int64), np.array(channel, np.uint8)
    return out[: encode.encode_t2(*arrays, sync, stop, end, carry, out)].tolist()


def test_t3_words() -> None:
    assert t3([5, 1023, 1024], [7, 32767, 0], [0, 1, 1]) == [
        7 << 10 | 5,
        1 << 25 | 32767 << 10 | 1023,
        OVERFLOW | 1,
        1 << 25,
    ]


def test_t3_long_darkness_takes_several_wrap_records() -> None:
    assert t3([1024 * 2000 + 3], [1], [0]) == [OVERFLOW | 1023, OVERFLOW | 977, 1 << 10 | 3]


def test_t3_darkness_to_the_end_is_told() -> None:
    assert t3([], [], [], end=1024 * 3 + 900) == [OVERFLOW | 3]
    assert t3([1], [1], [1], end=1023) == [1 << 25 | 1 << 10 | 1]


def test_t2_words() -> None:
    assert t2([9, 33554432 + 4], [1, 0]) == [1 << 25 | 9, OVERFLOW | 1, 4]


def test_t2_syncs_come_before_photons_of_the_same_tick_and_stop_in_time() -> None:
    sync = 0x80000000
    assert t2([0, 25], [0, 1], sync=12.5, stop=38) == [sync, 0, sync | 12, sync | 25, 1 << 25 | 25, sync | 37]
    assert t2([], [], sync=12.5, stop=25) == [sync, sync | 12]


def test_t2_darkness_to_the_end_is_told() -> None:
    assert t2([], [], end=33554432 * 7 + 5) == [OVERFLOW | 7]


@st.composite
def photons(draw: st.DrawFn, most: int) -> tuple[list[int], list[int], list[int]]:
    gaps = draw(st.lists(st.one_of(st.integers(0, 50), st.integers(0, most)), max_size=40))
    times = np.cumsum(np.array(gaps, np.int64)).tolist()
    dtimes = draw(st.lists(st.integers(0, 32767), min_size=len(gaps), max_size=len(gaps)))
    channels = draw(st.lists(st.integers(0, 1), min_size=len(gaps), max_size=len(gaps)))
    return times, dtimes, channels


def t3_times(words: list[int]) -> NDArray[np.int64]:
    array = np.array(words, np.int64)
    special = array >> 31 == 1
    wraps = np.cumsum(np.where(special, array & 1023, 0))
    return (wraps * 1024 + (array & 1023))[~special]


@settings(max_examples=60)
@given(photons(3_000_000), st.data())
def test_t3_pieces_equal_the_whole_and_keep_the_times(
    events: tuple[list[int], list[int], list[int]], data: st.DataObject
) -> None:
    times, dtimes, channels = events
    end = (times[-1] if times else 0) + data.draw(st.integers(0, 3_000_000))
    cut = data.draw(st.integers(0, len(times)))
    carry = encode.new_carry()
    pieces = t3(times[:cut], dtimes[:cut], channels[:cut], carry=carry)
    pieces += t3(times[cut:], dtimes[cut:], channels[cut:], end=end, carry=carry)
    whole = t3(times, dtimes, channels, end=end)
    assert pieces == whole
    assert t3_times(whole).tolist() == times


@settings(max_examples=60)
@given(photons(200_000_000), st.data())
def test_t2_pieces_equal_the_whole(
    events: tuple[list[int], list[int], list[int]], data: st.DataObject
) -> None:
    times, _, channels = events
    end = (times[-1] if times else 0) + data.draw(st.integers(1, 100_000_000))
    cut = data.draw(st.integers(0, end))
    sync = data.draw(st.sampled_from([0.0, 1234567.8, 40_000_000.25]))
    split = int(np.searchsorted(times, cut))
    carry = encode.new_carry()
    pieces = t2(times[:split], channels[:split], sync, stop=cut, carry=carry)
    pieces += t2(times[split:], channels[split:], sync, stop=end, end=end, carry=carry)
    assert pieces == t2(times, channels, sync, stop=end, end=end)


@pytest.mark.parametrize("seed", [1, 2])
def test_ptufile_reads_back_what_was_encoded(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    nsync = np.cumsum(rng.choice([0, 1, 30, 5000, 2_000_000], 500))
    dtime, channel = rng.integers(0, 32768, 500), rng.integers(0, 2, 500)
    with PtuWriter(
        tmp_path / "t3.ptu",
        record_type=GENERIC_T3,
        macrotime_unit_s=2e-7,
        dtime_resolution_s=1e-11,
        sync_rate_hz=5e6,
    ) as writer:
        writer.write(np.array(t3(nsync.tolist(), dtime.tolist(), channel.tolist()), np.uint32))
    with ptufile.PtuFile(tmp_path / "t3.ptu") as file:
        records = file.decode_records()
    records = records[records["channel"] >= 0]
    assert np.array_equal(records["time"], nsync)
    assert np.array_equal(records["dtime"], dtime)
    assert np.array_equal(records["channel"], channel)


def test_ptufile_reads_back_t2_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    ticks = np.cumsum(rng.choice([1, 1000, 40_000_000, 900_000_000], 300))
    channel = rng.integers(0, 2, 300)
    with PtuWriter(
        tmp_path / "t2.ptu",
        record_type=GENERIC_T2,
        macrotime_unit_s=5e-12,
        dtime_resolution_s=5e-12,
        sync_rate_hz=None,
    ) as writer:
        writer.write(np.array(t2(ticks.tolist(), channel.tolist()), np.uint32))
    with ptufile.PtuFile(tmp_path / "t2.ptu") as file:
        records = file.decode_records()
    records = records[records["channel"] >= 0]
    assert np.array_equal(records["time"], ticks)
    # ptufile numbers the sync input 0 and the detectors from 1.
    assert np.array_equal(records["channel"] - records["channel"].min(), channel)
