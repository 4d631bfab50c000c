"""Replay by a clock that a test sets: which records go out when, and what a source leaves behind."""

import bisect
import dataclasses
import hashlib
import math
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.checksum import Checksum
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.pacing import RecordClock
from photonstream.nodes.sources import LONGEST_WAIT_S, PACED_CHUNK_S, Replay, ReplayParameters
from photonstream.stream.chunk import Chunk, ChunkLaws
from photonstream.stream.orders import Orders, Pace

UNIT_S = 0.01
MOST_TICKS = 1023
# 1000 photons of which the first half comes at an even 1 kHz in groups of ten, then 4 s of darkness, then the rest.
TICKS = np.sort(np.concatenate([np.repeat(np.arange(50), 10), np.repeat(np.arange(450, 500), 10)]))
TIMES_S = TICKS * UNIT_S


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def photons(ticks):
    """One record a photon at these sync pulses, all before the counter wraps; the channel tells them apart."""
    ticks = np.asarray(ticks, np.uint32)
    return (np.arange(len(ticks), dtype=np.uint32) % 64 << 25) | ticks


def write(path, records):
    with PtuWriter(
        path,
        record_type=GENERIC_T3,
        macrotime_unit_s=UNIT_S,
        dtime_resolution_s=1e-9,
        sync_rate_hz=1 / UNIT_S,
    ) as writer:
        writer.write(np.asarray(records, np.uint32))
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sources") / "even.ptu", photons(TICKS))


def opened(path, clock, pace=None, **parameters):
    replay = Replay("source", ReplayParameters(str(path), **parameters))
    replay.clock = clock
    replay.begin()
    replay.orders = Orders(pace=Pace() if pace is None else pace)
    return replay


def order(replay, pace):
    replay.orders = Orders(pace=pace)


def play(pieces, clock, until=math.inf):
    """Take pieces and let time pass as they say, until the clock shows ``until``: (time, start, stop) of the chunks."""
    given_out = []
    while clock.now < until and (piece := next(pieces, None)) is not None:
        if isinstance(piece, Chunk):
            given_out.append((clock.now, piece.start, piece.stop))
        else:
            assert 0.0 <= piece <= 0.05
            clock.now += piece
    return given_out


def latest(replay, *, final=False):
    return {result.key: result.value for result in replay.snapshot(final=final)}


def test_without_a_speed_full_chunks_go_out_at_once(recording):
    clock = Clock()
    replay = opened(recording, clock, chunk_records=300)
    chunks = play(replay.chunks(), clock)
    assert [(start, stop) for _, start, stop in chunks] == [(0, 300), (300, 600), (600, 900), (900, 1000)]
    assert clock.now == Clock.now
    assert latest(replay)["progress"] == {"records": 1000, "total": 1000, "time_s": None}


@pytest.mark.parametrize("speed", [0.2, 1.0, 7.0, 300.0])
def test_every_record_goes_out_when_it_is_due(recording, speed):
    clock = Clock()
    replay = opened(recording, clock, speed=speed)
    order(replay, replay.first_pace())
    chunks = play(replay.chunks(), clock)
    for now, start, stop in chunks:
        due = Clock.now + TIMES_S[start:stop] / speed
        # None before its time, and none later than a chunk takes to fill.
        assert due.max() <= now + 1e-9
        assert due.min() >= now - PACED_CHUNK_S - 2e-3
    assert clock.now - Clock.now == pytest.approx(TIMES_S[-1] / speed, rel=1e-3, abs=2e-3)
    assert latest(replay)["progress"] == {
        "records": 1000,
        "total": 1000,
        "time_s": pytest.approx(TIMES_S[-1]),
    }


def test_a_chunk_of_a_paced_replay_holds_about_20_ms(tmp_path):
    # 10 records a tick of 1 ms at a fifth of real time, looked at as often as wanted.
    path = write(tmp_path / "dense.ptu", photons(np.repeat(np.arange(1000), 10)))
    clock = Clock()
    replay = opened(path, clock)
    order(replay, Pace(0.4 * UNIT_S / 1e-3, since_s=clock.now))
    sizes = [stop - start for _, start, stop in play(replay.chunks(), clock)]
    # 20 ms by the clock are 80 ms of recorded time, 8 ticks.
    assert 70 <= np.median(sizes) <= 90


def test_a_replay_that_is_behind_gives_full_chunks_until_it_is_there(recording):
    clock = Clock()
    replay = opened(recording, clock, Pace(1.0, since_s=clock.now), chunk_records=200)
    pieces = replay.chunks()
    clock.now += 4.6
    # Due are the 500 photons of the first half and those of ticks 450 to 460.
    first = play(pieces, clock, until=clock.now + 1e-9)
    assert [(start, stop) for _, start, stop in first] == [(0, 200), (200, 400), (400, 600), (600, 610)]
    assert latest(replay)["progress"]["time_s"] == pytest.approx(4.6)


def test_a_slow_reader_loses_nothing(recording):
    clock = Clock()
    replay = opened(recording, clock, Pace(1.0, since_s=clock.now))
    stop = 0
    for piece in replay.chunks():
        clock.now += 0.7 if isinstance(piece, Chunk) else piece
        if isinstance(piece, Chunk):
            assert piece.start == stop
            stop = piece.stop
    assert stop == 1000


@pytest.mark.parametrize("pace", [Pace(), Pace(1e3, since_s=Clock.now)])
def test_a_replay_waits_at_its_hold(recording, pace):
    clock = Clock()
    pieces = (replay := opened(recording, clock, dataclasses.replace(pace, hold_s=0.255))).chunks()
    # Ticks 0 to 25.
    assert play(pieces, clock, until=clock.now + 3.0)[-1][2] == 260
    order(replay, dataclasses.replace(pace, hold_s=math.inf))
    assert play(pieces, clock)[-1][2] == 1000


def test_pause_goes_to_its_place_and_stays(recording):
    clock = Clock()
    pace = Pace(1.0, since_s=clock.now)
    replay = opened(recording, clock, pace)
    pieces = replay.chunks()
    play(pieces, clock, until=clock.now + 0.205)
    replay.orders = Orders(pace=Pace(1.0, paused=True, place_s=0.255, since_s=clock.now))
    # Ticks 0 to 25.
    assert play(pieces, clock, until=clock.now + 3.0)[-1][2] == 260
    assert latest(replay)["progress"] == {"records": 260, "total": 1000, "time_s": pytest.approx(0.25)}
    assert next(pieces) == LONGEST_WAIT_S
    # And so it does where the place lies behind it.
    order(replay, Pace(1.0, paused=True, place_s=0.1, since_s=clock.now))
    assert [next(pieces), next(pieces)] == [LONGEST_WAIT_S] * 2
    resumed = clock.now
    order(replay, Pace(1.0, place_s=0.255, since_s=resumed))
    chunks = play(pieces, clock)
    assert chunks[0][1] == 260
    assert chunks[-1][0] - resumed == pytest.approx(TIMES_S[-1] - 0.255, abs=2e-3)


def test_seek_ahead_jumps_and_goes_on_at_the_pace(recording):
    clock = Clock()
    replay = opened(recording, clock, Pace(1.0, since_s=clock.now))
    pieces = replay.chunks()
    play(pieces, clock, until=clock.now + 0.1)
    sought = clock.now
    order(replay, Pace(1.0, place_s=4.7, since_s=sought))
    at_once = play(pieces, clock, until=sought + 1e-9)
    assert at_once[-1][2] == 710
    chunks = play(pieces, clock)
    assert chunks[-1][0] - sought == pytest.approx(TIMES_S[-1] - 4.7, abs=2e-3)


def test_a_pace_that_begins_in_the_middle_finds_the_time_reached(recording):
    clock = Clock()
    replay = opened(recording, clock, chunk_records=150)
    pieces = replay.chunks()
    for _ in range(4):
        next(pieces)
    assert latest(replay)["progress"] == {"records": 600, "total": 1000, "time_s": None}
    order(replay, Pace(2.0, place_s=4.6, since_s=clock.now))
    chunks = play(pieces, clock)
    # The first step ends 20 ms after the time reached, which is that of tick 459.
    assert chunks[0] == (pytest.approx(Clock.now + (4.63 - 4.6) / 2, abs=2e-3), 600, 640)
    assert chunks[-1][0] - Clock.now == pytest.approx((TIMES_S[-1] - 4.6) / 2, abs=2e-3)
    assert latest(replay)["progress"]["time_s"] == pytest.approx(TIMES_S[-1])


def test_paused_at_full_speed_and_released_again(recording):
    clock = Clock()
    replay = opened(recording, clock, chunk_records=250)
    pieces = replay.chunks()
    next(pieces)
    # The place of the pause may lie behind what has gone out.
    order(replay, Pace(paused=True, place_s=0.01, since_s=clock.now))
    assert play(pieces, clock, until=clock.now + 1.0) == []
    assert latest(replay)["progress"]["time_s"] == pytest.approx(0.24)
    order(replay, Pace())
    before = clock.now
    assert [(start, stop) for _, start, stop in play(pieces, clock)] == [(250, 500), (500, 750), (750, 1000)]
    assert clock.now == before


def test_the_search_for_the_time_lets_go_when_it_is_not_wanted_any_more(recording):
    clock = Clock()
    replay = opened(recording, clock, chunk_records=100)
    pieces = replay.chunks()
    for _ in range(8):
        next(pieces)
    order(replay, Pace(1.0, since_s=clock.now))
    assert next(pieces) == 0.0
    order(replay, Pace())
    assert next(pieces).stop == 900
    order(replay, Pace(1.0, since_s=clock.now))
    assert next(pieces) == 0.0
    replay.halted = True
    assert list(pieces) == []


@pytest.mark.parametrize("how", ["flag", "orders"])
@pytest.mark.parametrize("pace", [Pace(), Pace(1.0, since_s=Clock.now), Pace(paused=True)])
def test_a_halt_ends_it_at_once(recording, how, pace):
    clock = Clock()
    replay = opened(recording, clock, pace, chunk_records=100)
    pieces = replay.chunks()
    next(pieces)
    if how == "flag":
        replay.halted = True
    else:
        replay.orders = Orders(pace=pace, end_at=0)
    assert next(pieces, None) is None
    value = latest(replay, final=True)["recording"]
    assert (value["interrupted"], value["complete"]) == (True, False)
    assert value["records_read"] == latest(replay)["progress"]["records"] <= 100


@pytest.mark.parametrize("pace", [Pace(), Pace(1.0, since_s=Clock.now), Pace(paused=True)])
def test_an_end_that_is_further_is_gone_to_without_a_wait(recording, pace):
    clock = Clock()
    replay = opened(recording, clock, pace, chunk_records=100)
    replay.orders = Orders(pace=pace, end_at=333)
    pieces = list(replay.chunks())
    assert [piece.stop for piece in pieces] == [100, 200, 300, 333]
    value = latest(replay, final=True)["recording"]
    assert (value["records_read"], value["interrupted"], value["complete"]) == (333, True, False)


def test_an_end_beyond_the_recording_is_no_interruption(recording):
    replay = opened(recording, Clock(), chunk_records=400)
    replay.orders = Orders(end_at=10**6)
    assert [piece.stop for piece in replay.chunks()] == [400, 800, 1000]
    value = latest(replay, final=True)["recording"]
    assert (value["interrupted"], value["complete"]) == (False, True)


def test_the_first_pace_is_the_speed_that_was_given(recording):
    clock = Clock()
    assert opened(recording, clock).first_pace().due_s(clock.now) == math.inf
    pace = opened(recording, clock, speed=2.5).first_pace()
    assert (pace.due_s(clock.now), pace.due_s(clock.now + 2)) == (0.0, 5.0)


def checksums():
    return [thread for thread in threading.enumerate() if thread.name == "sha256"]


def test_opening_starts_no_thread_and_nothing_is_left_after_the_end(recording):
    clock = Clock()
    replay = opened(recording, clock)
    assert checksums() == []
    pieces = replay.chunks()
    assert checksums() == []
    play(pieces, clock)
    value = latest(replay, final=True)
    assert checksums() == []
    assert value["recording"]["sha256"] == hashlib.sha256(recording.read_bytes()).hexdigest()
    assert value["recording"]["complete"] is True
    assert value["progress"]["records"] == 1000
    # Said again, it is the same.
    assert latest(replay, final=True) == value


@pytest.fixture
def endless():
    """A file without an end."""
    zeros = Path("/dev/zero")
    if not zeros.exists():
        pytest.skip("needs a file without an end")
    with zeros.open("rb", buffering=0) as file:
        yield file


@pytest.mark.parametrize("end", ["closed", "halted"])
def test_a_source_that_is_given_up_leaves_no_thread(recording, monkeypatch, endless, end):
    monkeypatch.setattr("photonstream.nodes.sources.Checksum", lambda _: Checksum(endless))
    clock = Clock()
    replay = opened(recording, clock, chunk_records=100)
    pieces = replay.chunks()
    next(pieces)
    assert len(checksums()) == 1
    if end == "closed":
        pieces.close()
    else:
        replay.halted = True
        assert list(pieces) == []
    assert checksums() == []
    assert latest(replay, final=True)["recording"]["sha256"] is None


def test_a_source_closed_after_its_last_record_still_knows_the_checksum(recording):
    clock = Clock()
    replay = opened(recording, clock)
    pieces = replay.chunks()
    assert next(pieces).stop == 1000
    pieces.close()
    assert checksums() == []
    value = latest(replay, final=True)["recording"]
    assert value["sha256"] == hashlib.sha256(recording.read_bytes()).hexdigest()


def test_a_recording_without_records_ends_at_once(tmp_path):
    clock = Clock()
    replay = opened(write(tmp_path / "none.ptu", []), clock, Pace(1.0, since_s=clock.now))
    assert list(replay.chunks()) == []
    assert latest(replay, final=True)["recording"]["complete"] is True


def test_a_recording_cut_short_while_its_time_is_looked_for(tmp_path):
    path = write(tmp_path / "cut.ptu", photons(TICKS))
    clock = Clock()
    replay = opened(path, clock, chunk_records=400)
    pieces = replay.chunks()
    next(pieces)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4 * 900)
    order(replay, Pace(1.0, since_s=clock.now))
    assert [piece for piece in pieces if isinstance(piece, Chunk)] == []
    value = latest(replay, final=True)["recording"]
    assert any("it held 1000 when it was opened" in note for note in value["notes"])
    assert (value["records_read"], value["complete"], value["interrupted"]) == (400, False, False)


def again(first):
    """A source of the same recording in the epoch after that of ``first``."""
    replay = Replay("source", first.parameters)
    replay.inherit(first)
    replay.begin()
    return replay


def test_a_recording_that_is_deleted_or_replaced_is_read_again_from_what_is_open(tmp_path):
    path = write(tmp_path / "gone.ptu", photons(TICKS))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    first = opened(path, Clock())
    path.unlink()
    with pytest.raises(TagFileError, match="no such file"):
        opened(path, Clock())
    path.write_text("somebody else's", encoding="utf-8")
    second = again(first)
    assert sum(piece.events for piece in second.chunks()) == 1000
    value = latest(second, final=True)["recording"]
    assert (value["records_read"], value["sha256"]) == (1000, digest)
    assert value["notes"] == latest(first, final=True)["recording"]["notes"]


def test_a_recording_that_still_grows_is_read_as_far_as_it_was_at_first(tmp_path):
    path = write(tmp_path / "grows.ptu", photons(TICKS))
    whole = path.read_bytes()
    path.write_bytes(whole[: -4 * 400])
    first = opened(path, Clock())
    path.write_bytes(whole)
    assert [sum(piece.events for piece in each.chunks()) for each in (first, again(first))] == [600, 600]


def test_a_recording_that_holds_less_than_its_header_declares_says_so_from_the_start(tmp_path):
    path = write(tmp_path / "cut.ptu", photons(TICKS))
    path.write_bytes(path.read_bytes()[: -4 * 400])
    told = latest(opened(path, Clock()))["progress"]
    assert (told["declared"], told["total"]) == (1000, 600)
    assert told["notes"] == ["the header declares 1000 records, the file holds 600"]


def test_a_recording_that_has_become_shorter_says_so(tmp_path):
    path = write(tmp_path / "short.ptu", photons(TICKS))
    first = opened(path, Clock())
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4 * 100)
    second = again(first)
    assert sum(piece.events for piece in second.chunks()) == 900
    value = latest(second, final=True)["recording"]
    assert any("it holds 900 records now; it held 1000" in note for note in value["notes"])
    assert not value["complete"]


def test_nothing_is_inherited_of_another_recording(tmp_path):
    first = opened(write(tmp_path / "one.ptu", photons(TICKS)), Clock())
    other = Replay("source", ReplayParameters(str(write(tmp_path / "two.ptu", photons(TICKS[:10])))))
    other.inherit(first)
    other.begin()
    assert sum(piece.events for piece in other.chunks()) == 10


paces = st.builds(
    Pace,
    speed=st.none() | st.floats(1e-3, 1e4),
    paused=st.booleans(),
    place_s=st.floats(-1.0, 12.0),
    since_s=st.floats(Clock.now - 2.0, Clock.now + 2.0),
)
words = st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 1023), st.just((1 << 31) | (63 << 25) | 1))


@settings(max_examples=60)
@given(
    records=st.lists(words, max_size=80),
    size=st.integers(1, 90),
    script=st.lists(st.tuples(paces, st.integers(0, 6), st.floats(0.0, 1.5)), max_size=6),
)
def test_whatever_the_pace_does_the_records_come_once_and_in_order(tmp_path_factory, records, size, script):
    path = write(tmp_path_factory.mktemp("any") / "x.ptu", records)
    clock = Clock()
    replay = opened(path, clock, chunk_records=size)
    laws, came = ChunkLaws("source"), []
    pieces = replay.chunks()

    def take(piece):
        if isinstance(piece, Chunk):
            assert 0 < piece.events == len(piece["records"]) <= size
            laws.admit(piece)
            came.extend(piece["records"].tolist())
        else:
            assert 0.0 <= piece <= LONGEST_WAIT_S
            clock.now += piece

    for pace, steps, passes_s in script:
        order(replay, pace)
        for _ in range(steps):
            take(next(pieces, 0.0))
        clock.now += passes_s
        progress = latest(replay)["progress"]
        assert progress["records"] == len(came)
    order(replay, Pace())
    for piece in pieces:
        take(piece)
    assert came == records
    assert latest(replay, final=True)["recording"]["complete"] is True


@given(
    ticks=st.lists(st.integers(0, MOST_TICKS), max_size=60),
    passed=st.integers(0, 60),
    time_s=st.floats(-1.0, 12.0),
    guess=st.integers(0, 100),
)
def test_records_until_a_time_are_all_that_are_not_later(ticks, passed, time_s, guess):
    ticks = sorted(ticks)
    words = photons(ticks)
    times = RecordClock(GENERIC_T3, UNIT_S, max(1, len(ticks)))
    mark = times.after(times.start, words[:passed])
    assert mark.time_s == (ticks[:passed] or [0])[-1] * UNIT_S
    found = times.until(mark, words[passed:], time_s, guess)
    expected = max(bisect.bisect_right([t * UNIT_S for t in ticks], time_s), min(passed, len(ticks)))
    assert found.records == expected
    assert found.time_s == (ticks[:expected] or [0])[-1] * UNIT_S


def stamps(replay, clock):
    """(now, stamp) of every chunk, in seconds."""
    found = []
    for piece in replay.chunks():
        if isinstance(piece, Chunk):
            found.append((clock.now, None if piece.stamp is None else piece.stamp * 1e-9))
        else:
            clock.now += piece
    return found


def test_at_full_speed_no_chunk_has_a_stamp(recording):
    clock = Clock()
    assert {stamp for _, stamp in stamps(opened(recording, clock, chunk_records=100), clock)} == {None}


def test_at_a_pace_a_chunk_has_the_moment_at_which_it_goes_out(recording):
    clock = Clock()
    found = stamps(opened(recording, clock, Pace(2.0, since_s=clock.now)), clock)
    assert len(found) > 20
    assert all(stamp == pytest.approx(now, abs=1e-8) for now, stamp in found)


def test_a_replay_on_its_way_to_its_place_is_not_in_step(recording):
    clock = Clock()
    replay = opened(recording, clock, Pace(1.0, place_s=4.7, since_s=clock.now), chunk_records=100)
    found = [stamp for _, stamp in stamps(replay, clock)]
    # The 500 photons of the first half lie far behind that place, those of the second half around it.
    assert found[:5] == [None] * 5
    assert len(found) > 10
    assert None not in found[5:]


@pytest.mark.parametrize(("zeros", "said"), [(900, False), (2000, True)])
def test_space_within_a_recording_that_was_never_filled_is_told(tmp_path, zeros, said):
    given = photons(TICKS)[1:]
    path = write(tmp_path / "cut.ptu", np.concatenate([given, np.zeros(zeros, np.uint32), given[-1:]]))
    clock = Clock()
    replay = opened(path, clock, chunk_records=300)
    play(replay.chunks(), clock)
    notes = latest(replay, final=True)["recording"]["notes"]
    assert any(note.startswith("2,000 records are nothing but zeros") for note in notes) == said
