"""The command socket: every command is carried out once and answered, in whatever company and over whatever line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.stream.control import GONE, MOST_ANSWERS, MOST_CLIENTS, MOST_TEXT
from photonstream.stream.link import REPEAT_S
from photonstream.stream.wire import Answer, Command, Error, WireError, encode
from tests.stream.command_line import Ends, command


def test_what_is_said_of_a_command_is_what_its_sender_gets():
    ends = Ends()
    ends.clients[0].send("pause", {})
    ends.clients[0].send("no", {"time_s": 2.5, "value": [1, None, "text"]})
    assert ends.clients[0].waiting == 2
    ends.rounds(3)
    assert ends.answers == [(True, "1: pause"), (False, "2: no")]
    assert ends.deeds.done == [("pause", {}), ("no", {"time_s": 2.5, "value": [1, None, "text"]})]
    assert ends.clients[0].waiting == ends.server.refused == ends.clients[0].refused == 0


def test_a_command_that_is_repeated_because_no_answer_came_is_carried_out_once():
    ends = Ends()
    ends.clients[0].send("pause", {})
    for _ in range(4):
        ends.now_s += REPEAT_S
        ends.hear()
    # It was said five times.
    assert len(ends.line.up) == 5
    ends.rounds(2)
    assert ends.deeds.names == ["pause"]
    assert ends.answers == [(True, "1: pause")]
    assert ends.server.refused == ends.clients[0].refused == 0


def test_nothing_is_repeated_before_its_time():
    ends = Ends()
    ends.clients[0].send("pause", {})
    ends.now_s += 0.9 * REPEAT_S
    ends.hear()
    assert len(ends.line.up) == 1


def test_a_copy_gets_the_answer_of_the_first_and_does_nothing():
    ends = Ends()
    for _ in range(3):
        ends.say(b"page", *command(1, "resume"))
    ends.say(b"page", *command(2, "pause"))
    ends.say(b"page", *command(1, "resume"))
    ends.serve()
    assert ends.deeds.names == ["resume", "pause"]
    first, second = Answer(1, True, "1: resume"), Answer(2, True, "2: pause")
    assert ends.told(b"page") == [first, first, first, second, first]
    assert ends.server.refused == 0


def test_a_copy_with_other_content_changes_nothing():
    ends = Ends()
    ends.say(b"page", *command(1, "pause"))
    ends.say(b"page", *command(1, "stop"))
    ends.serve()
    assert ends.deeds.names == ["pause"]


def test_the_same_number_of_somebody_else_is_another_command():
    ends = Ends()
    ends.say(b"page", *command(1, "pause"))
    ends.say(b"terminal", *command(1, "stop"))
    ends.serve()
    assert ends.deeds.names == ["pause", "stop"]
    assert ends.told(b"terminal") == [Answer(1, True, "2: stop")]


def test_a_command_is_carried_out_by_the_run_alone_for_which_it_was_meant():
    ends = Ends()
    for number, to in enumerate([ends.server.name, None, "another"], 1):
        ends.say(b"page", *encode(Command(number, f"{to}", {}, to=to)))
    ends.serve()
    assert ends.deeds.names == [ends.server.name, "None"]
    assert ends.told(b"page")[2] == Answer(3, False, GONE)
    assert ends.server.refused == 0


def test_commands_wait_for_each_other_so_that_the_order_is_kept_when_one_is_lost():
    ends = Ends()
    for name in ("seek", "speed", "resume"):
        ends.clients[0].send(name, {})
    ends.line.cut()
    ends.rounds(8, REPEAT_S)
    assert ends.deeds.names == ["seek", "speed", "resume"]
    assert ends.answers == [(True, "1: seek"), (True, "2: speed"), (True, "3: resume")]


def test_an_answer_that_is_lost_comes_again_and_is_the_same():
    ends = Ends()
    ends.clients[0].send("no", {})
    ends.serve()
    ends.line.cut()
    ends.rounds(3, REPEAT_S)
    assert ends.deeds.names == ["no"]
    assert ends.answers == [(False, "1: no")]


def test_an_answer_that_comes_twice_is_heard_once():
    ends = Ends()
    ends.clients[0].send("pause", {})
    ends.now_s += REPEAT_S
    ends.hear()
    ends.clients[0].send("resume", {})
    ends.rounds(4)
    assert ends.answers == [(True, "1: pause"), (True, "2: resume")]
    assert ends.clients[0].refused == 0


@settings(max_examples=150)
@given(data=st.data())
def test_over_any_line_every_command_is_carried_out_once_in_order_and_answered(data):
    """What is under way is delivered, lost, doubled; old frames come again; time passes."""
    ends, sent, seen = Ends(), 0, []
    steps = st.sampled_from(["send", "serve", "hear", "cut", "double", "replay", "tick"])
    for step in data.draw(st.lists(steps, max_size=40)):
        if step == "send":
            sent += 1
            ends.clients[0].send(f"{sent}", {})
        elif step == "serve":
            ends.serve()
        elif step == "hear":
            ends.hear()
        elif step == "cut":
            ends.line.cut()
        elif step == "tick":
            ends.now_s += REPEAT_S
        elif step == "double" and ends.line.up:
            ends.line.up.append(ends.line.up[-1])
        elif step == "replay" and seen:
            ends.line.arrived_up.append(data.draw(st.sampled_from(seen)))
        seen += ends.line.up
    ends.rounds(3 * sent + 3, REPEAT_S)
    names = [str(n + 1) for n in range(sent)]
    assert ends.deeds.names == names
    assert ends.answers == [(True, f"{n}: {n}") for n in names]
    assert ends.clients[0].waiting == ends.clients[0].refused == 0


def test_an_earlier_command_than_those_that_are_remembered_is_refused_and_not_carried_out():
    ends = Ends()
    for n in range(1, MOST_ANSWERS + 2):
        ends.say(b"page", *command(n))
    ends.say(b"page", *command(1))
    ends.say(b"page", *command(2))
    ends.serve()
    assert len(ends.deeds.done) == MOST_ANSWERS + 1
    refusal, answer = ends.told(b"page")[-2:]
    assert isinstance(refusal, Error)
    assert f"command 1 comes after {MOST_ANSWERS + 1}" in refusal.text
    assert answer == Answer(2, True, "2: pause")
    assert ends.server.refused == 1


def test_of_more_clients_than_are_remembered_the_one_that_was_silent_longest_is_forgotten():
    ends = Ends()
    for n in range(MOST_CLIENTS):
        ends.say(b"%d" % n, *command(1))
        ends.serve()
    # The first one speaks again, so the second one is the one that was silent longest.
    ends.say(b"0", *command(1))
    ends.say(b"new", *command(1))
    ends.serve()
    assert len(ends.deeds.done) == MOST_CLIENTS + 1
    ends.say(b"0", *command(1))
    ends.say(b"2", *command(1))
    ends.serve()
    assert len(ends.deeds.done) == MOST_CLIENTS + 1
    ends.say(b"1", *command(1))
    ends.serve()
    assert len(ends.deeds.done) == MOST_CLIENTS + 2


def test_an_answer_that_quotes_a_command_at_length_is_cut_short():
    ends = Ends()
    ends.say(b"page", *command(1, "\x00" * 1_000_000))
    ends.line.raise_all()
    ends.server.service(lambda name, values, by: (False, f"there is no {name!r}"))
    (answer,) = ends.told(b"page")
    assert not answer.ok
    assert len(answer.text) == MOST_TEXT


def test_a_command_that_brings_an_array_is_refused():
    ends = Ends()
    for array in (np.arange(3), np.empty(0)):
        ends.say(b"page", *(bytes(f) for f in encode(Command(1, "set", {"value": [array]}))))
    ends.serve()
    assert ends.deeds.done == []
    assert ends.server.refused == 2
    assert all("no arrays" in told.text for told in ends.told(b"page"))


def test_bytes_that_are_no_text_come_back_in_the_answer():
    ends = Ends()
    ends.clients[0].send("set", {"value": "/data/\udcff.ptu"})
    ends.rounds(2)
    assert ends.deeds.done == [("set", {"value": "/data/\udcff.ptu"})]


@pytest.mark.parametrize("values", [{"x": object()}, {"x": np.arange(3)}, {"x": np.empty(0)}, {1: 2}])
def test_a_command_that_cannot_be_sent_is_said_to_who_gives_it_and_leaves_no_trace(values):
    ends = Ends()
    with pytest.raises(WireError):
        ends.clients[0].send("set", values)
    assert ends.clients[0].waiting == 0
    ends.clients[0].send("pause", {})
    ends.rounds(2)
    assert ends.answers == [(True, "1: pause")]
