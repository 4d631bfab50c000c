"""What tabs are sent: sections made once, packed once, and only when they are other than before."""

import json
import struct

import numpy as np
import pytest

from photonstream.dashboard.latest import Latest
from photonstream.dashboard.updates import BEAT_S, PATIENCE_S, SECTIONS, Updates, attempt, pack
from photonstream.stream.wire import Open, ResultSent


def unpack(packed):
    """Sections of an update, by the description of their bytes."""
    found = []
    while packed:
        length, head = struct.unpack_from("<II", packed)
        body = packed[8 + head : 8 + length]

        def array(thing, body=body):
            if "array" not in thing:
                return thing
            offset, size, kind = thing["array"]
            return np.frombuffer(body, f"<{kind}", size, offset)

        found.append(json.loads(packed[8 : 8 + head], object_hook=array))
        packed = packed[8 + length :]
    return found


@pytest.fixture
def latest(results_of_run):
    """A run of 300 bins, read to the half."""
    found = Latest()
    found.hear(Open("r", 0, "run", "latest", {"sync_rate_hz": 4.75e6}, {}), 0.0)
    for node, key, value in results_of_run():
        found.hear(ResultSent(0, 0, node, key, False, value), 0.0)
    return found


def say(latest, node, key, value):
    latest.hear(ResultSent(0, 0, node, key, False, value), 0.0)


def test_packed_arrays_come_out_as_they_went_in():
    values = {"a": np.array([1.5, np.nan, np.inf]), "b": [np.arange(3), np.zeros(0)], "c": {"d": np.int64(4)}}
    (found,) = unpack(pack(values))
    np.testing.assert_array_equal(found["a"], values["a"])
    assert found["a"].dtype == np.float64
    assert found["b"][0].tolist() == [0, 1, 2]
    assert found["b"][1].size == 0
    assert found["c"] == {"d": 4}
    assert [len(part) for part in unpack(pack({"x": 1}) + pack({"y": "β", "z": 2}))] == [1, 2]


def test_an_array_in_several_places_travels_once_and_rates_of_a_trace_in_half_the_bytes():
    x, y = np.linspace(0, 1, 1000), np.linspace(0, 9, 1000, dtype=np.float32)
    once = pack({"a": {"x": x, "y": y}})
    twice = pack({"a": {"x": x, "y": y}, "b": {"x": x, "y": y}})
    assert len(twice) - len(once) < 100
    assert 12000 < len(once) < 12200
    (found,) = unpack(twice)
    for name in "ab":
        np.testing.assert_array_equal(found[name]["x"], x)
        np.testing.assert_array_equal(found[name]["y"], y)
        assert found[name]["y"].dtype == np.float32


def test_every_section_is_sent_once_and_again_only_when_it_changed(latest):
    updates, seen = Updates(latest, "tcp://somewhere"), {}
    updates.refresh(0.0)
    assert len(updates.news(seen, None)) == len(SECTIONS) + 2
    updates.refresh(1.0)
    assert updates.news(seen, None) == []
    value = dict(latest.value("lifetime", "history"))
    say(latest, "lifetime", "history", value | {"beta": value["beta"] + 0.01})
    updates.refresh(2.0)
    (section,) = (part for packed in updates.news(seen, None) for part in unpack(packed))
    assert section["data"]["beta"]["value"][-1] == pytest.approx(28.0)
    # The same result again is no news.
    say(latest, "lifetime", "history", value | {"beta": value["beta"] + 0.01})
    updates.refresh(2.5)
    assert updates.news(seen, None) == []


def test_a_section_is_made_no_more_often_than_it_is_wanted(latest):
    updates, seen = Updates(latest, ""), {}
    updates.refresh(0.0)
    updates.news(seen, None)
    flid = dict(latest.value("states", "flid"))
    say(latest, "states", "flid", flid | {"counts": flid["counts"] + 1})
    half_s = 0.5 * SECTIONS["flid"].every_s
    updates.refresh(half_s)
    updates.news(seen, None)
    assert seen["flid"] == 1
    updates.refresh(half_s + SECTIONS["flid"].every_s)
    updates.news(seen, None)
    assert seen["flid"] == 2
    assert updates.known(seen)


@pytest.mark.parametrize("period_ms", [20, 34, 51, 60, 90, 130, 190, 250])
def test_a_newer_trace_is_made_when_it_arrives_and_at_most_ten_times_a_second(results_of_run, period_ms):
    latest = Latest()
    latest.hear(Open("r", 0, "run", "latest", {"sync_rate_hz": 4.75e6}, {}), 0.0)
    updates, seen, made_ms, bins = Updates(latest, ""), {}, [], 10
    for now_ms in range(3000):
        arrives = now_ms % period_ms == 0
        if arrives:
            bins += 1
            for node, key, value in results_of_run(bins):
                say(latest, node, key, value)
        elif now_ms % 7:
            # A node that is not the trace's is no reason for a beat.
            say(latest, "decode", "counts", latest.value("decode", "counts"))
        updates.refresh(1e-3 * now_ms)
        before = seen.get("trace")
        updates.news(seen, None)
        if seen["trace"] != before:
            made_ms.append(now_ms)
            assert arrives
    wanted_ms = max(100, period_ms)
    assert 0.8 * 3000 / wanted_ms <= len(made_ms) <= 3000 / wanted_ms + 2


def test_without_a_newer_trace_the_rest_is_made_all_the_same(latest):
    updates, seen = Updates(latest, ""), {}
    updates.refresh(0.0)
    updates.news(seen, None)
    history = dict(latest.value("lifetime", "history"))
    say(latest, "lifetime", "history", history | {"beta": history["beta"] + 0.01})
    made_s = next(
        now_s for now_s in np.arange(0.0, 1.0, 1e-3) if updates.refresh(now_s) or not updates.known(seen)
    )
    assert made_s <= 2 * (BEAT_S + PATIENCE_S)


def test_two_tabs_get_the_same_bytes_and_a_zoomed_one_its_own_trace(latest):
    updates = Updates(latest, "")
    updates.refresh(0.0)
    one, other = updates.news({}, None), updates.news({}, None)
    assert all(a is b for a, b in zip(one, other, strict=True))
    zoomed = updates.news({}, (1.0, 1.5))
    assert sum(a is not b for a, b in zip(one, zoomed, strict=True)) == 1
    trace = unpack(zoomed[0])[0]
    assert trace["data"]["trace_values"]["left"][0] == pytest.approx(1.0)
    assert trace["data"]["trace_values"]["right"][-1] == pytest.approx(1.5)
    assert "time" not in trace["ranges"]


def test_a_result_that_is_none_is_told_in_its_place(latest):
    updates, seen = Updates(latest, ""), {}
    updates.refresh(0.0)
    updates.news(seen, None)
    say(latest, "lifetime", "decay", {"selected": "nonsense"})
    updates.refresh(1.0)
    (section,) = (part for packed in updates.news(seen, None) for part in unpack(packed))
    assert list(section) == ["text"]
    assert "cannot be shown" in section["text"]["say-decay"]


def test_what_cannot_be_packed_is_told_too():
    (section,) = unpack(attempt(lambda: {"text": {"beta": object()}}, "reason"))
    assert "object" in section["text"]["reason"]
    (section,) = unpack(attempt(lambda: {"ranges": {"time": (0.0, float("nan"))}}, "reason"))
    assert "cannot be shown" in section["text"]["reason"]


def test_a_wish_is_shown_before_the_run_has_taken_it_up(latest):
    updates, seen = Updates(latest, ""), {}
    updates.refresh(0.0)
    updates.news(seen, None)
    updates.wish = (4000.0, None)
    updates.refresh(0.01)
    (section,) = (part for packed in updates.news(seen, None) for part in unpack(packed))
    assert section["window"] == {"band": [4.0, None], "auto": False, "idle": False}
    assert section["text"]["window-note"] == "waiting for its results"
