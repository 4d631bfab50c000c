"""Runs whose recording is not there yet or begins anew: they have no clock, and what they learn nobody sets."""

import dataclasses
import threading

import pytest

from photonstream.stream.helm import LIVE
from photonstream.stream.runner import InlineRunner, NothingReadError
from photonstream.stream.topology import Topology
from tests.stream.tapes import Live, complete, line, nothing, say

pytestmark = pytest.mark.usefixtures("tape_kinds")


def live_line(**parameters):
    first, *others = line(player=parameters).nodes
    return Topology((dataclasses.replace(first, kind="live"), *others))


@pytest.fixture
def tape(monkeypatch):
    monkeypatch.setattr(Live, "there", threading.Event())
    return Live.there


def waits(visitor):
    return visitor.status.get("state") == "waiting"


def test_who_watches_is_told_what_a_run_waits_for_before_it_can_begin(play, tape):
    said = []

    def begin(visitor):
        said.append(visitor.status["says"])
        tape.set()

    visitor, outcomes = play(
        live_line(take=2, seconds=5),
        (waits, say("set", node="adder", name="below", value=3)),
        (lambda v: v.answers, begin),
        (complete, nothing),
    )
    assert said == ["waiting for the tape"]
    assert visitor.answers == [(False, "there is no recording yet: waiting for the tape")]
    assert outcomes[-1].results["adder", "sum"].value["sum"] == sum(range(50))
    # What stood there before the run began is gone.
    assert visitor.opens == 2


@pytest.mark.parametrize("by", ["command", "signal"])
def test_a_run_that_is_ended_while_it_waits_has_no_result(play, tape, by):
    deed = say("stop") if by == "command" else lambda visitor: visitor.runner.stop()
    with pytest.raises(NothingReadError, match="ended while waiting for the tape: there is no result"):
        play(live_line(), (waits, deed), (lambda v: False, nothing))


def test_a_clock_is_refused_where_there_is_none(play, tape):
    tape.set()
    commands = [("pause", {}), ("resume", {}), ("speed", {"speed": 2.0}), ("seek", {"time_s": 1.0})]
    visitor, _ = play(
        live_line(take=2, speed=50.0),
        (lambda v: v.status, lambda v: [v.client.send(name, values) for name, values in commands]),
        (lambda v: len(v.answers) == 4 and complete(v), nothing),
    )
    assert visitor.answers == [(False, LIVE)] * 4
    assert visitor.status["clocked"] is False


@pytest.mark.parametrize("placement", ["threads", "inline"])
def test_another_recording_begins_everything_again_and_leaves_nothing_of_the_first(play, tape, placement):
    tape.set()
    if placement == "inline":
        outcome = InlineRunner(live_line(seconds=9)).run()
    else:
        visitor, outcomes = play(live_line(seconds=9), (complete, nothing))
        outcome = outcomes[-1]
        assert visitor.status["parameters"]["player"]["take"] == 2
        assert visitor.status["restarts"] == []
    assert outcome.results["adder", "sum"].value["sum"] == sum(range(90))
    assert outcome.ledger["adder"]["events_in"] == 90
    assert not outcome.imbalances


def test_nobody_sets_what_the_source_finds_out(play, tape):
    tape.set()
    visitor, _ = play(
        live_line(take=2),
        (complete, say("set", node="player", name="take", value=3)),
        (lambda v: v.answers, nothing),
    )
    assert visitor.answers == [(False, "player.take is learned from the recording, and nobody sets it")]
