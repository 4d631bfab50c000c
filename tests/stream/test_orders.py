"""What a run wants of its nodes: the pace, and orders as they travel."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.stream.orders import Orders, Pace, orders_of
from photonstream.stream.wire import ResultSent, decode, encode

NAN = float("nan")

times = st.floats(-1e9, 1e9)
paces = st.builds(
    Pace, st.none() | st.floats(1e-3, 1e6), st.booleans(), times, times, st.just(math.inf) | times
)
parameters = st.dictionaries(
    st.text(max_size=5),
    st.dictionaries(
        st.text(max_size=5), st.none() | st.booleans() | st.integers(-9, 9) | st.lists(times), max_size=3
    ),
    max_size=3,
)
orders = st.builds(
    Orders,
    version=st.integers(0, 1 << 62),
    epoch=st.integers(0, 1 << 62),
    parameters=parameters,
    pace=paces,
    end_at=st.none() | st.integers(0, 1 << 62),
    results_s=st.floats(0, allow_nan=False),
    restarts=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), max_size=3).map(tuple),
)


def sent(value):
    """``value`` after a journey over the wire."""
    frames = encode(ResultSent(0, 0, "run", "orders", False, value))
    return decode([bytes(frame) for frame in frames]).value


@given(orders)
def test_orders_arrive_as_they_were_given(given_orders):
    assert orders_of(sent(given_orders.value())) == given_orders


def test_what_later_versions_add_is_ignored():
    value = Orders(version=3, pace=Pace(2.0)).value()
    value["pace"]["smooth"] = True
    assert orders_of(value | {"colour": "red"}) == Orders(version=3, pace=Pace(2.0))


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Orders)])
def test_orders_are_whole_or_none(name):
    value = Orders().value()
    del value[name]
    with pytest.raises(ValueError, match=f"these are no orders: {name} is missing"):
        orders_of(value)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Pace)])
def test_a_pace_is_whole_or_none(name):
    value = Orders().value()
    del value["pace"][name]
    with pytest.raises(ValueError, match=f"these are no orders: {name} is missing"):
        orders_of(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", -1),
        ("version", 1.0),
        ("version", True),
        ("epoch", None),
        ("parameters", []),
        ("parameters", {"states": None}),
        ("pace", None),
        ("pace", [1.0]),
        ("end_at", -1),
        ("end_at", True),
        ("end_at", 2.0),
        ("results_s", None),
        ("results_s", -0.1),
        ("results_s", NAN),
        ("restarts", None),
        ("restarts", "often"),
        ("restarts", {"a": {}}),
        ("restarts", [3]),
    ],
)
def test_what_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"these are no orders: {name} cannot be "):
        orders_of(Orders().value() | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed", 0.0),
        ("speed", -1),
        ("speed", math.inf),
        ("speed", NAN),
        ("speed", "max"),
        ("speed", True),
        ("paused", None),
        ("paused", 1),
        ("place_s", None),
        ("place_s", math.inf),
        ("place_s", NAN),
        ("since_s", "now"),
        ("since_s", -math.inf),
        ("hold_s", NAN),
        ("hold_s", None),
    ],
)
def test_a_pace_that_cannot_be_is_refused(name, value):
    whole = Orders().value()
    whole["pace"][name] = value
    with pytest.raises(ValueError, match=f"these are no orders: {name} cannot be "):
        orders_of(whole)


def test_at_full_speed_everything_is_due():
    assert Pace().due_s(12.0) == math.inf
    assert Pace(None, False, 3.0, 5.0).due_s(5.0) == math.inf


def test_a_pace_moves_on_with_its_speed():
    pace = Pace(2.5, place_s=10.0, since_s=100.0)
    assert [pace.due_s(now_s) for now_s in (100.0, 101.0, 104.0)] == [10.0, 12.5, 20.0]


@pytest.mark.parametrize("speed", [None, 3.0])
def test_a_paused_replay_is_due_up_to_its_place_and_stays(speed):
    pace = Pace(speed, paused=True, place_s=7.0, since_s=100.0)
    assert pace.due_s(100.0) == pace.due_s(1e6) == 7.0


def test_whatever_the_pace_it_waits_at_its_hold():
    for pace in (Pace(), Pace(2.5), Pace(2.5, paused=True, place_s=50.0)):
        held = dataclasses.replace(pace, hold_s=10.0)
        assert held.due_s(1e6) == 10.0
    assert dataclasses.replace(Pace(2.5), hold_s=10.0).due_s(2.0) == 5.0


@given(paces, times, times)
def test_from_another_place_it_goes_on_at_the_same_pace(pace, place_s, now_s):
    moved = pace.at(place_s, now_s)
    assert (moved.speed, moved.paused) == (pace.speed, pace.paused)
    free = pace.speed is None and not pace.paused
    assert moved.due_s(now_s) == min(pace.hold_s, math.inf if free else place_s)
