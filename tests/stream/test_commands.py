"""What commands do to the orders of a run, in every state that a run can be in."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from photonstream.stream.commands import (
    LONGEST_S,
    MOST_CHARACTERS,
    SPEEDS,
    Change,
    CommandError,
    Scene,
    carry_out,
)
from photonstream.stream.orders import Orders, Pace

NOW_S = 1000.0
PARAMETERS = {"states": {"on": "auto", "edges": (1.0, 2.0)}, "intensity": {"bin_s": 0.01}}
LIVE = {"states": frozenset({"on"}), "intensity": frozenset()}

# Where the run is in each state: at full speed nobody knows; a paced one is due at 60 s; a paused one stays at 40 s.
FULL = Pace(None)
PACED = Pace(2.0, False, 50.0, NOW_S - 5.0)
PAUSED = Pace(2.0, True, 40.0, NOW_S - 300.0)
PAUSED_FULL = Pace(None, True, 0.0, NOW_S - 300.0)
# It begins at 0 when all nodes are there.
WAITING = Pace(2.0, True, 0.0, 0.0)


def order(name, pace, reached_s, /, catching_up=False, **values):
    orders = Orders(version=7, epoch=2, parameters=PARAMETERS, pace=pace)
    return carry_out(name, values, Scene(orders, NOW_S, reached_s, catching_up), LIVE.get)


def paused(pace, place_s):
    return Change(Pace(pace.speed, True, place_s, NOW_S))


def moving(speed, place_s):
    return Change(Pace(speed, False, place_s, NOW_S))


def back(change, place_s):
    return dataclasses.replace(change, anew=True, until_s=place_s)


@pytest.mark.parametrize(
    ("name", "values", "pace", "reached_s", "expected"),
    [
        # The place of a run at full speed is behind the source, so that it stays where it is.
        ("pause", {}, FULL, None, paused(FULL, 0.0)),
        ("pause", {}, PACED, 59.9, paused(PACED, 60.0)),
        ("pause", {}, PACED, 20.0, paused(PACED, 60.0)),
        ("pause", {}, PAUSED, 40.0, Change()),
        ("pause", {}, PAUSED_FULL, 33.0, Change()),
        ("pause", {}, WAITING, None, Change()),
        ("resume", {}, FULL, None, Change()),
        ("resume", {}, PACED, 59.9, Change()),
        ("resume", {}, PAUSED, 39.9, moving(2.0, 40.0)),
        ("resume", {}, PAUSED, 40.02, moving(2.0, 40.02)),
        ("resume", {}, PAUSED, None, moving(2.0, 40.0)),
        ("resume", {}, PAUSED_FULL, 33.0, moving(None, 33.0)),
        ("resume", {}, WAITING, None, moving(2.0, 0.0)),
        ("speed", {"speed": None}, FULL, None, moving(None, 0.0)),
        # Where a run at full speed is has to be found out first; it holds there.
        ("speed", {"speed": 3}, FULL, None, moving(3.0, 0.0)),
        ("speed", {"speed": 3}, FULL, 12.0, moving(3.0, 12.0)),
        ("speed", {"speed": 0.5}, PACED, 59.9, moving(0.5, 59.9)),
        # It could not keep up: it goes on from where it is.
        ("speed", {"speed": 0.5}, PACED, 20.0, moving(0.5, 20.0)),
        ("speed", {"speed": 0.5}, PACED, None, moving(0.5, 60.0)),
        ("speed", {"speed": None}, PACED, 59.9, moving(None, 59.9)),
        ("speed", {"speed": 0.5}, PAUSED, 40.0, Change(dataclasses.replace(PAUSED, speed=0.5))),
        ("speed", {"speed": None}, PAUSED, 40.0, Change(dataclasses.replace(PAUSED, speed=None))),
        ("speed", {"speed": 1}, PAUSED_FULL, 33.0, Change(dataclasses.replace(PAUSED_FULL, speed=1.0))),
        ("speed", {"speed": 4}, WAITING, None, Change(dataclasses.replace(WAITING, speed=4.0))),
        ("seek", {"time_s": 60}, PACED, 59.9, moving(2.0, 60.0)),
        ("seek", {"time_s": 75}, PACED, 59.9, moving(2.0, 75.0)),
        ("seek", {"time_s": 75}, PACED, None, moving(2.0, 75.0)),
        ("seek", {"time_s": 5.5}, PACED, 59.9, back(moving(2.0, 5.5), 5.5)),
        ("seek", {"time_s": 0}, PACED, 59.9, back(moving(2.0, 0.0), 0.0)),
        # The source was on its way to 60 s: it may have passed 30 s when this arrives.
        ("seek", {"time_s": 30}, PACED, 29.9, back(moving(2.0, 30.0), 30.0)),
        ("seek", {"time_s": 30}, PACED, None, back(moving(2.0, 30.0), 30.0)),
        ("seek", {"time_s": 41}, PAUSED, 40.0, paused(PAUSED, 41.0)),
        ("seek", {"time_s": 39}, PAUSED, 40.0, back(paused(PAUSED, 39.0), 39.0)),
        ("seek", {"time_s": 32}, PAUSED_FULL, 33.0, back(paused(PAUSED_FULL, 32.0), 32.0)),
        ("seek", {"time_s": 34}, PAUSED_FULL, 33.0, paused(PAUSED_FULL, 34.0)),
        ("seek", {"time_s": 34}, PAUSED_FULL, None, back(paused(PAUSED_FULL, 34.0), 34.0)),
        ("seek", {"time_s": 8}, WAITING, None, paused(WAITING, 8.0)),
        *(("stop", {}, pace, None, Change(stop=True)) for pace in (FULL, PACED, PAUSED, WAITING)),
    ],
)
def test_every_command_in_every_state(name, values, pace, reached_s, expected):
    assert order(name, pace, reached_s, **values) == expected


def test_at_full_speed_there_is_no_place_to_go_to():
    with pytest.raises(CommandError, match="pause first"):
        order("seek", FULL, None, time_s=3.0)


def test_a_run_that_catches_up_with_itself_still_wants_to_be_where_it_was():
    assert order("speed", PACED, 20.0, catching_up=True, speed=1) == moving(1.0, 60.0)


def test_a_speed_that_is_given_on_the_way_back_at_full_speed_begins_where_the_run_had_been():
    change = order("speed", FULL, None, catching_up=True, speed=1)
    assert change == dataclasses.replace(moving(1.0, 0.0), later=True)
    assert order("speed", FULL, None, catching_up=True, speed=None) == moving(None, 0.0)


@pytest.mark.parametrize("pace", [FULL, PACED, WAITING])
def test_a_live_parameter_changes_in_place_and_any_other_reads_anew(pace):
    window = order("set", pace, None, node="states", name="on", value=[1e3, math.inf])
    assert window == Change(parameters={**PARAMETERS, "states": {"on": [1e3, math.inf], "edges": (1.0, 2.0)}})
    bins = order("set", pace, None, node="intensity", name="bin_s", value=0.02)
    assert bins == Change(parameters={**PARAMETERS, "intensity": {"bin_s": 0.02}}, anew=True)
    # The orders of before are not touched.
    assert PARAMETERS["intensity"] == {"bin_s": 0.01}


def test_a_paused_run_that_is_read_anew_goes_on_to_where_it_had_been():
    values = {"node": "intensity", "name": "bin_s", "value": 0.02}
    assert order("set", PAUSED_FULL, 33.0, **values).pace == Pace(None, True, 33.0, NOW_S)
    assert order("set", PAUSED, 40.02, **values).pace == Pace(2.0, True, 40.02, NOW_S)
    # It has not come there yet, or it comes there by itself.
    assert order("set", PAUSED, 39.0, **values).pace is None
    assert order("set", PAUSED, None, **values).pace is None
    assert order("set", PACED, 59.0, **values).pace is None


@pytest.mark.parametrize(
    ("node", "name", "value"), [("states", "on", "auto"), ("states", "edges", [1.0, 2.0])]
)
def test_what_is_so_already_changes_nothing(node, name, value):
    assert order("set", PACED, 12.0, node=node, name=name, value=value) == Change()


@pytest.mark.parametrize(
    ("node", "before", "after", "anew"),
    [
        ("states", {"note": {"a": 1}}, {"a": 1, "b": 2}, True),
        ("states", {}, {"b": 2}, True),
        ("states", {"note": None}, {"b": 2}, True),
    ],
)
def test_a_field_of_a_map_is_set_and_the_others_stay(node, before, after, anew):
    orders = Orders(version=7, epoch=2, parameters={node: before}, pace=PACED)
    values = {"node": node, "name": "note", "field": "b", "value": 2}
    change = carry_out("set", values, Scene(orders, NOW_S, None), LIVE.get)
    assert change.parameters == {node: {**before, "note": after}}
    assert change.anew == anew
    assert orders.parameters == {node: before}
    again = Scene(dataclasses.replace(orders, parameters=change.parameters), NOW_S, None)
    assert carry_out("set", values, again, LIVE.get) == Change()


def test_two_who_set_fields_at_once_both_have_their_way():
    parameters = {"states": {"note": {"a": 0, "b": 0}}}
    for field in ("a", "b"):
        orders = Orders(version=7, epoch=2, parameters=parameters, pace=PACED)
        values = {"node": "states", "name": "note", "field": field, "value": 1}
        parameters = carry_out("set", values, Scene(orders, NOW_S, None), LIVE.get).parameters
    assert parameters == {"states": {"note": {"a": 1, "b": 1}}}


def test_settings_that_belong_together_are_one_change():
    live, other = (
        {"node": "states", "name": "on", "value": [1.0, 2.0]},
        {"node": "intensity", "name": "bin_s", "value": 0.02},
    )
    both = order("set", PACED, 60.0, together=[live, other])
    assert both.anew
    assert both.parameters == {
        "states": {**PARAMETERS["states"], "on": [1.0, 2.0]},
        "intensity": {"bin_s": 0.02},
    }
    assert not order("set", PACED, 60.0, together=[live]).anew
    assert order("set", PACED, 60.0, together=[{**other, "value": 0.01}]) == Change()
    with pytest.raises(CommandError):
        order("set", PACED, 60.0, together=[live, {"node": "nobody", "name": "on", "value": 1}])


def test_a_parameter_that_had_its_default_can_be_set():
    change = order("set", PACED, 12.0, node="states", name="dark_hz", value=None)
    assert change.parameters["states"] == {**PARAMETERS["states"], "dark_hz": None}
    assert change.anew


def test_parameters_stay_few_enough_for_one_message_however_they_come_together():
    def fill(parameters, name):
        orders = Orders(parameters=parameters, pace=PACED)
        values = {"node": "states", "name": name, "value": "x" * (MOST_CHARACTERS // 3)}
        return carry_out("set", values, Scene(orders, NOW_S, None), LIVE.get).parameters

    parameters = fill(fill(PARAMETERS, "a"), "b")
    with pytest.raises(CommandError, match="characters"):
        fill(parameters, "c")
    # What is there may be replaced.
    assert fill({**parameters, "states": {**parameters["states"], "b": 1}}, "b") == parameters


def nested(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return value


BAD_NUMBERS = [
    None,
    "7",
    True,
    [7],
    {},
    math.nan,
    math.inf,
    -math.inf,
    -1,
    -1e-9,
    1 << 70,
    10**400,
    b"7",
    np.float32(7),
    np.arange(3),
    nested(900),
    nested(5),
]


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=lambda value: f"{type(value).__name__}")
@pytest.mark.parametrize("pace", [FULL, PACED, PAUSED, WAITING])
def test_a_place_or_speed_that_cannot_be_is_refused_in_one_sentence(pace, value):
    with pytest.raises(CommandError) as refusal:
        order("seek", pace, None, time_s=value)
    assert is_one_sentence(str(refusal.value))
    if value is None:
        return
    with pytest.raises(CommandError) as refusal:
        order("speed", pace, None, speed=value)
    assert is_one_sentence(str(refusal.value))


def is_one_sentence(text):
    return 10 < len(text) < 200 and "\n" not in text and ". " not in text and not text.endswith(".")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("seek", {}),
        ("seek", {"place_s": 3.0}),
        ("seek", {"time_s": LONGEST_S * 1.001}),
        ("speed", {}),
        ("speed", {"speed": 0}),
        ("speed", {"speed": SPEEDS[0] * 0.999}),
        ("speed", {"speed": SPEEDS[1] * 1.001}),
        ("speed", {"speed": "max"}),
        ("set", {}),
        ("set", {"node": "states", "name": "on"}),
        ("set", {"node": "states", "value": 1}),
        ("set", {"name": "on", "value": 1}),
        ("set", {"node": "nobody", "name": "on", "value": 1}),
        ("set", {"node": ["states"], "name": "on", "value": 1}),
        ("set", {"node": None, "name": "on", "value": 1}),
        ("set", {"node": "states", "name": ["on"], "value": 1}),
        ("set", {"node": "states", "name": "on", "field": "low", "value": 1}),
        ("set", {"node": "intensity", "name": "bin_s", "field": "low", "value": 1}),
        ("set", {"node": "states", "name": "note", "field": 1, "value": 1}),
        ("set", {"together": []}),
        ("set", {"together": 5}),
        ("set", {"together": ["states"]}),
        ("set", {"together": [{"node": "states", "name": "on", "value": 1}, {"node": "states"}]}),
        ("set", {"node": "states", "name": "on", "value": np.arange(3)}),
        ("set", {"node": "states", "name": "on", "value": [b"\x00"]}),
        ("set", {"node": "states", "name": "on", "value": {"deep": nested(900)}}),
        ("set", {"node": "states", "name": "on", "value": nested(9)}),
        ("set", {"node": "states", "name": "on", "value": {b"key": 1}}),
        ("set", {"node": "states", "name": "on", "value": {1: 1}}),
        ("set", {"node": "states", "name": "on", "value": "x" * MOST_CHARACTERS}),
        ("set", {"node": "states", "name": "on", "value": ["x"] * MOST_CHARACTERS}),
        ("pause", {"x": object()}),
        ("", {}),
        ("PAUSE", {}),
        ("_pause", {}),
        ("x" * 100_000, {}),
        ("\x00" * 100_000, {}),
        ("line\nbreak", {}),
    ],
    ids=lambda value: repr(value)[:30] if isinstance(value, str) else "",
)
def test_what_is_no_command_is_refused_in_one_sentence(name, values):
    with pytest.raises(CommandError) as refusal:
        order(name, PACED, 12.0, **values)
    assert is_one_sentence(str(refusal.value))


# At the end of this the recorded times are still told apart to a microsecond.
times = st.floats(0.0, 1e5)
speeds = st.floats(*SPEEDS)
paces = st.builds(Pace, st.none() | speeds, st.booleans(), times, times)


@st.composite
def scenes(draw):
    """A run that came to its pace some time before now, and a source that is not far ahead of it."""
    pace = draw(paces)
    now_s = pace.since_s + draw(st.floats(0.0, 1e4))
    due_s = pace.due_s(now_s)
    most_s = min(due_s + 0.1, 1e8)
    reached_s = draw(st.none() | st.floats(0.0, most_s))
    return Scene(Orders(parameters=PARAMETERS, pace=pace), now_s, reached_s, draw(st.booleans()))


def after(scene, change):
    return change.pace or scene.orders.pace


@given(scenes(), times)
def test_after_a_seek_the_run_is_at_that_place(scene, place_s):
    assume(scene.orders.pace.paused or scene.orders.pace.speed is not None)
    change = carry_out("seek", {"time_s": place_s}, scene, LIVE.get)
    assert after(scene, change).due_s(scene.now_s) == place_s
    assert after(scene, change).paused == scene.orders.pace.paused
    # Where the source has been or may be by now it cannot go back to.
    if place_s < (scene.reached_s or 0.0):
        assert change.anew
        assert change.until_s == place_s


@given(scenes(), st.floats(0.0, 1e4))
def test_a_pause_loses_no_recorded_time(scene, length_s):
    pace = scene.orders.pace
    assume(not pace.paused and pace.speed is not None)
    place_s = pace.due_s(scene.now_s)
    assume((scene.reached_s or 0.0) <= place_s)
    stopped = after(scene, carry_out("pause", {}, scene, LIVE.get))
    later = dataclasses.replace(
        scene, orders=dataclasses.replace(scene.orders, pace=stopped), now_s=scene.now_s + length_s
    )
    assert stopped.due_s(later.now_s) == place_s
    going = after(later, carry_out("resume", {}, later, LIVE.get))
    assert going.due_s(later.now_s) == place_s
    assert going.speed == pace.speed


COMMANDS = st.sampled_from(
    [
        ("pause", {}),
        ("resume", {}),
        ("stop", {}),
        ("speed", {"speed": None}),
        ("speed", {"speed": 0.5}),
        ("speed", {"speed": 300.0}),
        ("set", {"node": "states", "name": "on", "value": [1.0, 2.0]}),
        ("set", {"node": "intensity", "name": "bin_s", "value": 0.02}),
    ]
)


@given(scenes(), COMMANDS)
def test_no_command_but_a_seek_takes_the_run_back_behind_its_source(scene, command):
    """At full speed there is no place: whatever is due then, the source has it, or holds where it is."""
    before_s = scene.orders.pace.due_s(scene.now_s)
    assume(math.isfinite(before_s))
    now_s = after(scene, carry_out(*command, scene, LIVE.get)).due_s(scene.now_s)
    if scene.catching_up or scene.reached_s is None:
        assert now_s >= before_s
    else:
        assert now_s >= min(before_s, scene.reached_s)
    if command[0] != "speed":
        assert now_s >= before_s


@given(scenes(), times)
def test_a_seek_onward_reads_nothing_anew(scene, further_s):
    due_s = scene.orders.pace.due_s(scene.now_s)
    assume(math.isfinite(due_s) and scene.reached_s is not None)
    place_s = max(due_s, scene.reached_s) + further_s
    assume(place_s <= LONGEST_S)
    assert not carry_out("seek", {"time_s": place_s}, scene, LIVE.get).anew


@given(scenes(), COMMANDS)
def test_a_command_that_is_given_twice_at_once_does_nothing_more(scene, command):
    first = carry_out(*command, scene, LIVE.get)
    orders = dataclasses.replace(
        scene.orders, pace=after(scene, first), parameters=first.parameters or scene.orders.parameters
    )
    second = carry_out(*command, dataclasses.replace(scene, orders=orders), LIVE.get)
    due_s = orders.pace.due_s(scene.now_s)
    assert after(dataclasses.replace(scene, orders=orders), second).due_s(scene.now_s) == due_s
    assert not second.anew
