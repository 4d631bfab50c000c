"""Records made by hand, with known photons, markers, laser pulses and counts."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from photonstream.nodes.formats.records import BY_NAME, RECORD_TYPES
from photonstream.nodes.kernels.decode import (
    NO_DTIME,
    EventArrays,
    counts,
    decode,
    decode_into,
    new_carry,
    watermark_ticks,
)

PT2, PT3 = BY_NAME["PicoHarp T2"], BY_NAME["PicoHarp T3"]
HT2, HT3 = BY_NAME["HydraHarp v2 T2"], BY_NAME["HydraHarp v2 T3"]
HYDRAHARP_T3 = [kind for kind in RECORD_TYPES if kind.mode == "T3" and kind.layout == "hydraharp"]
HYDRAHARP_T2 = [kind for kind in RECORD_TYPES if kind.mode == "T2" and kind.layout == "hydraharp"]
COLUMNS = ("macrotime", "dtime", "channel", "nsync", "marker_time", "marker_bits")
NAMES = {"ids": lambda kind: kind.name}


def pt3(channel, dtime, nsync):
    return channel << 28 | dtime << 16 | nsync


def pt2(channel, time):
    return channel << 28 | time


def ht3(channel, dtime, nsync, special=0):
    return special << 31 | channel << 25 | dtime << 10 | nsync


def ht2(channel, time, special=0):
    return special << 31 | channel << 25 | time


def decoded(records, kind, **parameters):
    """Events as lists, and the carry."""
    carry = new_carry()
    events = decode(np.array(records, np.uint32), kind, carry, **parameters)
    return events, carry


def columns(events, *names):
    return [getattr(events, name).tolist() for name in names]


@pytest.mark.parametrize("kind", HYDRAHARP_T3, **NAMES)
def test_t3_hydraharp(kind):
    wraps = [(0, 1), (1, 1), (5, 5), (1023, 1023)]
    records, times, base = [ht3(0, 32767, 1023)], [1023], 0
    for count, worth in wraps:
        base += 1024 * worth
        records += [ht3(63, 0, count, special=1), ht3(count % 64, count, 7)]
        times.append(base + 7)
    records += [ht3(9, 0, 100, special=1), ht3(63, 1, 200), ht3(0, 0, 0, special=1), ht3(16, 0, 0, special=1)]
    events, carry = decoded(records, kind)
    assert columns(events, "macrotime", "dtime") == [[*times, base + 200], [32767, 0, 1, 5, 1023, 1]]
    assert columns(events, "channel") == [[0, 0, 1, 5, 63, 63]]
    assert columns(events, "marker_time", "marker_bits") == [[base + 100], [9]]
    assert events.nsync is None
    found = counts(carry)
    assert (found.photons, found.markers, found.overflows, found.overflow_wraps) == (6, 1, 4, 1030)
    assert (found.syncs, found.other, found.backwards, found.records) == (0, 2, 0, len(records))
    assert watermark_ticks(carry) == base + 200


def test_t3_picoharp():
    records = [
        pt3(1, 4095, 65535),
        pt3(15, 0, 0),
        pt3(15, 0, 4711),  # still one wrap: the count of wraps is a matter of other devices
        pt3(4, 0, 3),
        pt3(15, 6, 4),
        pt3(15, 16, 0),  # marker bits are the lowest four only, so this is a wrap too
        pt3(0, 1, 9),
        pt3(5, 1, 9),
        pt3(2, 8, 0),
    ]
    events, carry = decoded(records, PT3)
    assert columns(events, "macrotime", "dtime", "channel") == [
        [65535, 131075, 196608],
        [4095, 0, 8],
        [0, 3, 1],
    ]
    assert columns(events, "marker_time", "marker_bits") == [[131076], [6]]
    found = counts(carry)
    assert (found.overflows, found.overflow_wraps, found.other, found.backwards) == (3, 3, 2, 0)


@pytest.mark.parametrize("kind", HYDRAHARP_T2, **NAMES)
def test_t2_hydraharp(kind):
    wrap = 33552000 if kind.name == "HydraHarp v1 T2" else 33554432
    records = [
        ht2(3, 50),
        ht2(0, 100, special=1),
        ht2(1, 130),
        ht2(63, 0, special=1),
        ht2(0, 100, special=1),
        ht2(63, 3, special=1),
        ht2(5, 7),
        ht2(2, 8, special=1),
        ht2(40, 0, special=1),
        ht2(63, 9),
    ]
    events, carry = decoded(records, kind)
    base = 4 * wrap
    assert columns(events, "macrotime", "channel") == [[50, 130, base + 7, base + 9], [3, 1, 5, 63]]
    assert columns(events, "dtime", "nsync") == [[NO_DTIME, 30, 3 * wrap - 93, 3 * wrap - 91], [0, 0, 1, 1]]
    assert columns(events, "marker_time", "marker_bits") == [[base + 8], [2]]
    found = counts(carry)
    assert (found.photons, found.markers, found.overflows, found.overflow_wraps) == (4, 1, 2, 4)
    assert (found.syncs, found.other, found.records) == (2, 1, 10)


def test_t2_picoharp():
    wrap = 210698240
    records = [
        pt2(0, 20),
        pt2(1, 30),
        pt2(15, 0),
        pt2(4, 5),
        pt2(5, 6),
        pt2(14, 7),
        pt2(15, 0x103),
        pt2(15, 0x200),
    ]
    events, carry = decoded(records, PT2)
    assert columns(events, "macrotime", "channel") == [[20, 30, wrap + 5], [0, 1, 4]]
    assert columns(events, "dtime") == [[NO_DTIME] * 3]
    assert columns(events, "marker_time", "marker_bits") == [[wrap + 0x100], [3]]
    found = counts(carry)
    assert (found.overflows, found.overflow_wraps, found.other, found.syncs) == (2, 2, 2, 0)
    assert watermark_ticks(carry) == 2 * wrap


def test_a_picoharp_marker_within_its_own_uncertainty_is_not_backwards():
    events, carry = decoded([pt2(0, 0x10A), pt2(15, 0x103), pt2(1, 0x10B)], PT2)
    assert columns(events, "marker_time", "macrotime") == [[0x10A], [0x10A, 0x10B]]
    assert counts(carry).backwards == 0
    _, carry = decoded([pt2(0, 0x110), pt2(15, 0x103)], PT2)
    assert counts(carry).backwards == 1


def test_an_earlier_event_keeps_its_place_and_takes_the_running_maximum():
    records = [ht3(0, 1, 500), ht3(1, 2, 400), ht3(2, 0, 450, special=1), ht3(0, 3, 500), ht3(0, 4, 501)]
    events, carry = decoded(records, HT3)
    assert columns(events, "macrotime", "dtime") == [[500, 500, 500, 501], [1, 2, 3, 4]]
    assert columns(events, "marker_time") == [[500]]
    assert counts(carry).backwards == 2


def test_an_earlier_laser_pulse_counts_as_backwards_too():
    events, carry = decoded([ht2(1, 90), ht2(0, 80, special=1), ht2(1, 95)], HT2)
    assert columns(events, "dtime") == [[NO_DTIME, 5]]
    assert counts(carry).backwards == 1


def test_wraps_alone_move_time_on():
    _, carry = decoded([ht3(63, 0, 1000, special=1)], HT3)
    assert watermark_ticks(carry) == 1024000


def test_channels_the_device_does_not_have_are_other():
    records = [ht3(0, 0, 1), ht3(2, 0, 2), ht3(1, 0, 3), ht3(1, 0, 4, special=1)]
    events, carry = decoded(records, HT3, channels=2)
    assert columns(events, "macrotime", "marker_time") == [[1, 3], [4]]
    assert counts(carry).other == 1
    assert counts(decoded([pt3(1, 0, 1), pt3(2, 0, 2)], PT3, channels=1)[1]).other == 1
    assert counts(decoded([pt2(0, 1), pt2(2, 2)], PT2, channels=2)[1]).other == 1


def test_a_named_channel_is_the_laser():
    records = [pt2(1, 100), pt2(0, 200), pt2(1, 230), pt2(0, 400), pt2(0, 600), pt2(2, 601)]
    events, carry = decoded(records, PT2, sync_channel=0)
    assert columns(events, "macrotime", "channel") == [[100, 230, 601], [1, 1, 2]]
    assert columns(events, "dtime", "nsync") == [[NO_DTIME, 30, 1], [0, 0, 2]]
    assert (counts(carry).syncs, counts(carry).photons) == (3, 3)


def test_a_named_channel_takes_the_place_of_the_sync_input():
    records = [ht2(2, 100), ht2(0, 120, special=1), ht2(1, 150), ht2(2, 300), ht2(1, 310)]
    events, carry = decoded(records, HT2, sync_channel=2)
    assert columns(events, "dtime", "nsync", "channel") == [[50, 10], [0, 1], [1, 1]]
    assert (counts(carry).syncs, counts(carry).photons) == (3, 2)


@pytest.mark.parametrize(
    ("kind", "pulse", "photon"), [(HT2, ht2(0, 0, special=1), ht2(1, 0)), (PT2, pt2(0, 0), pt2(1, 0))]
)
def test_a_sync_divider_places_the_pulses_between(kind, pulse, photon):
    # Every 4th pulse is recorded, one in 1002 ticks: pulses at 0, 250, 501, 751 after each.
    records = [
        photon + 5,
        pulse + 10,
        photon + 300,
        pulse + 1012,
        photon + 1012,
        photon + 1012 + 249,
        photon + 1012 + 251,
        photon + 1012 + 501,
        photon + 1012 + 1001,
        photon + 1012 + 1100,
        pulse + 3016,
        photon + 3016 + 500,
    ]
    events, _ = decoded(records, kind, sync_divider=4, **({"sync_channel": 0} if kind is PT2 else {}))
    assert columns(events, "dtime") == [[NO_DTIME, NO_DTIME, 0, 249, 1, 0, 250, 349, 500]]
    assert columns(events, "nsync") == [[0, 0, 4, 4, 5, 6, 7, 7, 8]]


def test_a_sync_divider_of_one_needs_one_pulse_only():
    events, _ = decoded([ht2(0, 10, special=1), ht2(1, 25)], HT2)
    assert columns(events, "dtime") == [[15]]


def test_pulses_put_on_the_same_tick_keep_the_last_interval():
    pulses = [ht2(0, time, special=1) for time in (0, 800, 700)]
    events, carry = decoded([*pulses, ht2(1, 1000)], HT2, sync_divider=8)
    assert columns(events, "dtime", "nsync") == [[0], [2 * 8 + 2]]
    assert counts(carry).backwards == 1


@pytest.mark.parametrize(
    ("ticks", "dtime"), [(NO_DTIME - 1, NO_DTIME - 1), (NO_DTIME, NO_DTIME), (1 << 40, NO_DTIME)]
)
def test_a_delay_too_long_for_its_column_is_unknown(ticks, dtime):
    wraps, rest = divmod(ticks, 1 << 25)
    records = [ht2(0, 0, special=1), ht2(63, wraps, special=1), ht2(1, rest)]
    events, _ = decoded(records, HT2)
    assert columns(events, "macrotime", "dtime") == [[ticks], [dtime]]


def test_a_laser_that_paused_gives_no_interval():
    pause = ht2(63, (1 << 25) - 1, special=1)
    records = [ht2(0, 0, special=1), pause, ht2(0, 0, special=1), ht2(1, 7)]
    events, _ = decoded(records, HT2, sync_divider=1024)
    assert columns(events, "dtime", "nsync") == [[NO_DTIME], [1024]]


def test_writes_where_it_is_told_and_nowhere_else():
    out = EventArrays.allocate(HT3, 10)
    for name in ("macrotime", "dtime", "channel", "marker_time", "marker_bits"):
        getattr(out, name)[:] = 99
    records = np.array([ht3(1, 5, 10), ht3(3, 0, 11, special=1), ht3(0, 6, 12)], np.uint32)
    assert decode_into(records, HT3, new_carry(), out, 4, 2) == (6, 3)
    assert columns(out, "macrotime") == [[99, 99, 99, 99, 10, 12, 99, 99, 99, 99]]
    assert columns(out, "marker_bits") == [[99, 99, 3, 99, 99, 99, 99, 99, 99, 99]]


def test_refuses_what_would_write_outside():
    records = np.zeros(5, np.uint32)
    for at in ({"photon_at": 6}, {"marker_at": 6}, {"photon_at": -1}, {"marker_at": -1}):
        with pytest.raises(ValueError, match="no room"):
            decode_into(records, HT3, new_carry(), EventArrays.allocate(HT3, 10), **at)
    for impossible in (
        {"channels": 0},
        {"channels": 65},
        {"sync_divider": 0},
        {"sync_channel": 64},
        {"sync_channel": -2},
    ):
        with pytest.raises(ValueError, match="not"):
            decode(records, HT2, new_carry(), **impossible)


def test_records_may_be_read_only_and_stay_as_they_were():
    records = np.array([ht3(0, 0, 5)], np.uint32)
    decode(records, HT3, new_carry())
    assert records.flags.writeable
    records.flags.writeable = False
    assert decode(records, HT3, new_carry()).macrotime.tolist() == [5]


def test_column_types():
    t3, t2 = EventArrays.allocate(PT3, 0), EventArrays.allocate(PT2, 0)
    assert (t3.macrotime.dtype, t3.dtime.dtype, t3.channel.dtype) == (np.uint64, np.uint16, np.uint8)
    assert (t2.dtime.dtype, t2.nsync.dtype) == (np.uint32, np.uint64)


def words(kind):
    """Raw words that are mostly meaningful: small times, real channels, all kinds of specials, and garbage."""
    if kind.layout == "picoharp":
        channel = st.sampled_from([0, 1, 1, 2, 2, 4, 5, 15, 15])
        word = st.builds(
            pt3 if kind.mode == "T3" else lambda c, d, t: pt2(c, t),
            channel,
            st.integers(0, 40),
            st.integers(0, 500),
        )
    else:
        channel, special = st.sampled_from([0, 0, 1, 2, 3, 16, 63]), st.integers(0, 1)
        layout = ht3 if kind.mode == "T3" else lambda c, d, t, s: ht2(c, t, s)
        word = st.builds(layout, channel, st.integers(0, 40), st.integers(0, 500), special)
    return st.one_of(word, word, word, st.integers(0, 2**32 - 1))


@st.composite
def recordings(draw):
    kind = draw(st.sampled_from([PT2, PT3, HT2, HT3, BY_NAME["HydraHarp v1 T2"]]))
    records = draw(st.lists(words(kind), max_size=60))
    cuts = sorted(draw(st.lists(st.integers(0, len(records)), max_size=5)))
    parameters = {"channels": draw(st.sampled_from([None, 2]))}
    if kind.mode == "T2":
        parameters |= {
            "sync_channel": draw(st.integers(-1, 1)),
            "sync_divider": draw(st.sampled_from([1, 3, 8])),
        }
    return kind, np.array(records, np.uint32), cuts, parameters


@settings(max_examples=400)
@given(recordings())
@example((HT2, np.full(9000, ht2(63, (1 << 25) - 1, special=1), np.uint32), [1], {}))
def test_any_split_gives_the_same_and_the_counts_add_up(recording):
    kind, records, cuts, parameters = recording
    whole_carry, carry = new_carry(), new_carry()
    whole = decode(records, kind, whole_carry, **parameters)
    out = EventArrays.allocate(kind, records.size)
    at = (0, 0)
    for piece in np.split(records, cuts):
        at = decode_into(piece, kind, carry, out, *at, **parameters)
    parts = out.up_to(*at)
    assert np.array_equal(carry, whole_carry)
    for name in COLUMNS:
        if getattr(whole, name) is not None:
            assert np.array_equal(getattr(parts, name), getattr(whole, name)), name

    found = counts(whole_carry)
    assert found.records == records.size
    assert (found.photons, found.markers) == (whole.macrotime.size, whole.marker_time.size)
    assert found.overflow_wraps >= found.overflows
    assert np.all(whole.macrotime[1:] >= whole.macrotime[:-1])
    assert np.all(whole.marker_time[1:] >= whole.marker_time[:-1])
    if whole.macrotime.size:
        assert watermark_ticks(whole_carry) >= int(whole.macrotime[-1])
        assert int(whole.channel.max()) < (parameters["channels"] or kind.channels)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from([PT2, PT3, HT2, HT3]))
def test_long_garbage_is_decoded_without_harm(seed, kind):
    records = np.random.default_rng(seed).integers(0, 2**32, 200_000, dtype=np.uint32)
    carry = new_carry()
    events = decode(records, kind, carry)
    assert counts(carry).records == records.size
    assert np.all(events.macrotime[1:] >= events.macrotime[:-1])
