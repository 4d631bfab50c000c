"""Runs at links, with small nodes made for the purpose: orders, commands, epochs, what is published."""

import socket

import pytest

from photonstream.stream.link import LinkReader, new_context
from photonstream.stream.supervisor import Watch
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology import NodeSpec, Topology
from tests.stream.tapes import Scholar, complete, line, nothing, say, state, total

pytestmark = pytest.mark.usefixtures("tape_kinds")


def test_what_is_published_is_what_the_nodes_say_but_for_what_is_theirs_alone(play):
    visitor, outcomes = play(line(), (complete, nothing))
    assert visitor.get("adder", "sum") == total(20)
    assert visitor.get("doubler", "double") == 2 * total(20)
    assert ("adder", "secret") not in visitor.newest
    assert outcomes[-1].results["adder", "secret"].value == {"n": 200}
    assert outcomes[-1].imbalances == []
    assert visitor.opens == 1
    assert visitor.status["refused"] == 0
    for name in ("player", "adder", "doubler"):
        assert sum(visitor.newest[name, "status"]["shares"].values()) == pytest.approx(1.0)


def test_final_results_stay_whatever_is_ordered_after_the_end(play):
    """Orders that come faster than nodes can follow: results on the way must not stay in the place of final ones."""

    quick = [(complete, say("speed", speed=2.0 + k)) for k in range(60)]
    visitor, outcomes = play(line(), *quick, (complete, nothing))
    for outcome in outcomes:
        assert outcome.results["doubler", "double"].final
        assert outcome.results.keys() == outcomes[0].results.keys()
    assert visitor.get("doubler", "double") == 2 * total(20)


def test_a_live_parameter_changes_everything_after_it_and_reads_nothing_again(play):
    visitor, outcomes = play(
        line(adder={"below": 50}),
        (lambda v: complete(v) and v.get("doubler", "double") == 2 * total(20, below=50), nothing),
        (complete, say("set", node="adder", name="below", value=70)),
        (lambda v: complete(v) and v.get("doubler", "double") == 2 * total(20, below=70), nothing),
        (complete, say("set", node="doubler", name="by", value=3)),
        (lambda v: complete(v) and v.get("doubler", "double") == 3 * total(20, below=70), nothing),
    )
    assert visitor.answers == [(True, ""), (True, "")]
    assert visitor.status["epoch"] == 0
    final = outcomes[-1].results
    fresh, _ = play(line(adder={"below": 70}, doubler={"by": 3}), (complete, nothing))
    assert final["doubler", "double"].value == fresh.newest["doubler", "double"]
    assert visitor.status["parameters"] == fresh.status["parameters"]


def test_results_are_complete_only_when_all_of_them_follow_the_same_orders(play):
    """After a change, each outcome that is told as complete holds the whole of it."""
    changes = [
        (
            complete,
            lambda v: [
                v.client.send("set", {"node": "adder", "name": "below", "value": b}) for b in range(60, 90)
            ],
        ),
        (lambda v: complete(v) and len(v.answers) == 30, nothing),
    ]
    _, outcomes = play(line(adder={"below": 50}), *changes)
    for outcome in outcomes:
        results = outcome.results
        assert results["doubler", "double"].value["double"] == 2 * results["adder", "sum"].value["sum"]
    assert outcomes[-1].results["adder", "sum"].value["sum"] == total(20, below=89)


def test_photons_do_not_wait_for_what_is_learned_on_the_way(play):
    Scholar.further.clear()
    topology = Topology(
        (NodeSpec("player", "player", (), {"speed": 20.0}), NodeSpec("scholar", "scholar", ("player",), {}))
    )
    visitor, _ = play(topology, (complete, nothing))
    assert visitor.status["parameters"]["scholar"]["best"] == 1
    assert visitor.status["epoch"] == 1
    assert visitor.get("scholar", "sum") == total(20)


def test_another_parameter_begins_a_new_epoch(play):
    visitor, outcomes = play(
        line(),
        (complete, say("set", node="adder", name="scale", value=3)),
        (lambda v: complete(v) and v.get("adder", "sum") == total(20, 3), nothing),
    )
    assert visitor.status["epoch"] == 1
    assert visitor.opens == 2
    assert outcomes[-1].results["adder", "sum"].value == {"sum": total(20, 3)}
    assert outcomes[-1].imbalances == []
    assert visitor.status["restarts"] == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"node": "adder", "name": "scale", "value": 0}, "a scale of 0"),
        ({"node": "adder", "name": "scale", "value": -1}, "does not go with this tape"),
        ({"node": "adder", "name": "below", "value": -5}, "nothing on this tape"),
        ({"node": "adder", "name": "scale", "value": "three"}, "cannot be 'three'"),
        ({"node": "adder", "name": "colour", "value": 1}, "no parameter 'colour'"),
        ({"node": "adder", "name": "tape", "value": "B"}, "adder.tape is for the whole run"),
        ({"node": "nobody", "name": "scale", "value": 1}, "set wants"),
        ({"node": ["adder"], "name": "scale", "value": 1}, "set wants"),
        ({}, "set wants"),
    ],
)
def test_a_bad_parameter_is_answered_and_changes_nothing(play, values, words):
    visitor, outcomes = play(line(), (complete, say("set", **values)), (lambda v: v.answers, nothing))
    [(ok, text)] = visitor.answers
    assert not ok
    assert words in text
    assert outcomes[-1].results["adder", "sum"].value == {"sum": total(20)}
    assert visitor.status["epoch"] == 0


def test_a_paced_run_pauses_goes_on_and_seeks(play):
    reached = lambda s: lambda v: v.newest.get(("player", "progress"), {}).get("time_s", 0) >= s  # noqa: E731
    visitor, outcomes = play(
        line(player={"speed": 40.0, "seconds": 400}),
        (reached(2), say("pause")),
        (state("paused"), lambda v: setattr(v, "paused_at", v.status["place_s"])),
        (lambda v: True, say("seek", time_s=200.0)),
        (reached(200), say("seek", time_s=50.0)),
        (lambda v: v.status.get("epoch") == 1 and not v.status["catching_up"] and reached(50)(v), nothing),
        (lambda v: v.newest[("player", "progress")]["time_s"] == 50, say("resume")),
        (reached(60), say("speed", speed=None)),
        (complete, nothing),
    )
    assert 2 <= visitor.paused_at < 40
    assert all(ok for ok, _ in visitor.answers)
    assert outcomes[-1].results["adder", "sum"].value == {"sum": total(400)}
    assert outcomes[-1].imbalances == []


def test_from_full_speed_to_a_pace_the_clock_begins_where_the_source_is(play):
    def slowed(visitor):
        return visitor.status.get("speed") == 20.0 and visitor.status["lag_s"] is not None

    _, outcomes = play(
        line(player={"speed": 500.0, "seconds": 800}),
        (lambda v: v.newest.get(("player", "progress"), {}).get("time_s", 0) >= 50, say("speed", speed=None)),
        (lambda v: v.status.get("place_s", 0) is None, say("speed", speed=20.0)),
        (lambda v: slowed(v) and v.status["place_s"] >= 50, nothing),
        (lambda v: True, say("stop")),
    )
    assert outcomes[-1].imbalances == []


def test_a_place_is_gone_to_although_a_speed_is_to_come(play):
    """What is read again at full speed is not yet where it was: the speed waits for that, the place does not."""
    reached = lambda s: lambda v: v.newest.get(("player", "progress"), {}).get("time_s", 0) >= s  # noqa: E731

    def change(visitor):
        for name, values in (
            ("speed", {"speed": None}),
            ("set", {"node": "adder", "name": "scale", "value": 3}),
            ("speed", {"speed": 20.0}),
            ("seek", {"time_s": 30.0}),
        ):
            visitor.client.send(name, values)

    visitor, outcomes = play(
        line(player={"speed": 100.0, "seconds": 400}),
        (reached(100), change),
        (lambda v: len(v.answers) == 4, nothing),
        (lambda v: v.status.get("epoch") == 2 and not v.status["catching_up"] and reached(30)(v), nothing),
        (lambda v: v.status["speed"] == 20.0 and 30 <= v.status["place_s"] < 90, say("speed", speed=None)),
        (complete, nothing),
    )
    assert [ok for ok, _ in visitor.answers] == [True] * 5
    assert outcomes[-1].results["adder", "sum"].value == {"sum": total(400, 3)}
    assert outcomes[-1].imbalances == []


def test_stop_ends_the_stream_with_what_was_read(play):
    _, outcomes = play(
        line(player={"speed": 50.0, "seconds": 10**6}),
        (lambda v: (v.get("adder", "sum") or 0) > 0, say("stop")),
        (lambda v: False, nothing),
    )
    given = outcomes[-1].ledger["player"]["events_out"]
    assert outcomes[-1].interrupted
    assert outcomes[-1].results["adder", "sum"].value["sum"] == sum(range(given))
    assert outcomes[-1].imbalances == []


def test_who_dies_after_stop_takes_nothing_of_what_was_read_with_it(play):
    read = []

    def lose(visitor):
        # Stopped, and the results are not final yet; a chunk more may have been read before the word came.
        read.append(visitor.runner._helm.orders.end_at)
        visitor.runner._helm.restarted(["adder"], "it died", anew=True)

    def stop(visitor):
        read.append(visitor.runner._hub.events)
        visitor.runner.stop()

    _, outcomes = play(
        line(player={"speed": 50.0, "seconds": 10**6}),
        (lambda v: v.runner._hub.events >= 200, stop),
        (lambda v: v.runner._helm.orders.end_at is not None, lose),
        stay=False,
    )
    assert outcomes[-1].interrupted
    assert outcomes[-1].imbalances == []
    given = outcomes[-1].ledger["player"]["events_out"]
    assert read[0] <= read[1] <= given
    assert outcomes[-1].results["adder", "sum"].value["sum"] == sum(range(given))


def test_a_run_that_is_stopped_while_it_reads_again_comes_as_far_as_it_was(play):
    read = []

    def lose(visitor):
        read.append(visitor.runner._hub.events)
        visitor.runner._helm.restarted(["adder"], "it died", anew=True)
        visitor.runner.stop()

    _, outcomes = play(
        line(player={"speed": 50.0, "seconds": 10**6}),
        (lambda v: v.runner._hub.events >= 200, lose),
        stay=False,
    )
    assert outcomes[-1].ledger["player"]["events_out"] >= read[0]


def test_a_reader_that_never_reads_holds_nobody_back(play):
    """A page that hangs: its connection is there and nothing is ever taken from it."""
    context = new_context()
    hung = []

    def hang(visitor):
        hung.append(LinkReader(context, visitor.runner.address, "hung"))

    try:
        _, outcomes = play(
            line(player={"seconds": 20_000}), (lambda v: v.opens == 1, hang), (complete, nothing)
        )
    finally:
        for reader in hung:
            reader.stop()
        context.term()
    assert outcomes[-1].results["adder", "secret"].value == {"n": 200_000}


def test_where_its_address_is_taken_a_run_is_at_another_one_only_if_it_may():
    notes, found = [], []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        watch = Watch(address=address, or_elsewhere=True, on_note=notes.append, on_address=found.append)
        outcome = ThreadsRunner(line(), watch=watch).run()
        with pytest.raises(OSError, match="in use"):
            ThreadsRunner(line(), watch=Watch(address=address)).run()
    assert outcome.imbalances == []
    assert found[0] != address
    assert notes == [f"{address} has been taken by another program: the run is at {found[0]}"]
