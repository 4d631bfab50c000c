"""Runs at links, with small nodes made for the purpose: orders, commands, epochs, what is published."""

import dataclasses
import threading
import time
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest

from photonstream.stream import supervisor
from photonstream.stream import topology as topology_module
from photonstream.stream.chunk import Chunk, StreamInfo
from photonstream.stream.control import CommandClient
from photonstream.stream.helm import LIVE
from photonstream.stream.link import LinkReader, new_context
from photonstream.stream.node import Opening, ParameterError, PhotonNode, ResultNode, Source
from photonstream.stream.orders import Pace
from photonstream.stream.runner import InlineRunner, NothingReadError
from photonstream.stream.supervisor import Watch
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology import NodeSpec, Topology
from photonstream.stream.wire import Close, Open, ResultSent


@dataclass(frozen=True)
class Tape:
    """Ten events a recorded second, one second a chunk; ``speed`` as in a replay."""

    seconds: int = 20
    speed: float | None = None


class Player(Source[Tape]):
    Parameters = Tape

    def first_pace(self):
        return Pace(self.parameters.speed)

    def begin(self):
        return Opening(StreamInfo("made", "here", "T3", 1.0, 1.0, 1.0, 1, 1))

    given = 0

    def chunks(self):
        while self.given < self.parameters.seconds:
            if self.orders.pace.due_s(time.monotonic()) <= self.given:
                yield 0.01
                continue
            start = 10 * self.given
            self.given += 1
            times = np.arange(start, start + 10, dtype=np.uint64)
            yield Chunk(self.given - 1, start, start + 10, 10, {"macrotime": times})

    def snapshot(self, *, final):
        records, total = 10 * self.given, 10 * self.parameters.seconds
        value = {"records": records, "total": total, "time_s": float(self.given)}
        yield self.result("progress", value, final=final)


@dataclass(frozen=True)
class Takes(Tape):
    take: int = 1


class Live(Player):
    """A player without a clock, which waits for its tape; the first take is broken off for another one."""

    Parameters = Takes
    learns = "take"
    clocked = False
    there = threading.Event()

    def awaits(self):
        return "" if self.there.is_set() else "waiting for the tape"

    def choice(self, *, final):
        return 2 if self.given == 7 else self.parameters.take

    def chunks(self):
        for piece in super().chunks():
            yield piece
            if self.parameters.take == 1 and self.given == 7:
                return


@dataclass(frozen=True)
class Cut:
    below: int = 10**9
    scale: int = 1
    tape: str = "A"

    def __post_init__(self):
        if self.scale == 0:
            raise ValueError("a scale of 0")


class Adder(PhotonNode[Cut]):
    """Sums its events, times ``scale``; shows the sum of those below ``below``, which may change any time."""

    Parameters = Cut
    live = frozenset({"below"})
    fixed = frozenset({"tape"})
    inner = frozenset({"secret"})

    def open(self, opening):
        if self.parameters.scale < 0:
            raise ParameterError("a scale below 0 does not go with this tape")
        if self.parameters.below < 0:
            raise ParameterError("nothing on this tape is below 0")
        self.seen = []
        return opening

    def fold(self, chunk):
        self.seen += (chunk["macrotime"] * self.parameters.scale).tolist()
        self.ledger.end("added", chunk.events)
        return ()

    def snapshot(self, *, final):
        yield self.result("sum", {"sum": sum(x for x in self.seen if x < self.parameters.below)}, final=final)
        yield self.result("secret", {"n": len(self.seen)}, final=final)


@dataclass(frozen=True)
class Learned(Cut):
    best: int = 0


class Scholar(Adder):
    """Learns 1 if events go on while it learns, else 2; 1 is what the whole recording asks for."""

    Parameters = Learned
    learns = "best"
    further = threading.Event()
    studied_at: int | None = None

    def fold(self, chunk):
        if self.studied_at is not None:
            self.further.set()
        return super().fold(chunk)

    def choice(self, *, final):
        return 1

    def study(self):
        if self.studied_at is not None or self.parameters.best:
            return None
        self.studied_at = len(self.seen)
        return lambda: 1 if self.further.wait(5.0) else 2


@dataclass(frozen=True)
class Times:
    by: int = 2


class Doubler(ResultNode[Times]):
    Parameters = Times
    live = frozenset({"by"})
    last = 0

    def take(self, result):
        if result.key == "sum":
            self.last = result.value["sum"]

    def snapshot(self, *, final):
        yield self.result("double", {"double": self.last * self.parameters.by}, final=final)


KINDS = {c.__name__.lower(): c for c in (Player, Live, Adder, Scholar, Doubler)}


@pytest.fixture(autouse=True)
def own_kinds(monkeypatch):
    class Point(EntryPoint):
        def load(self):
            return KINDS[self.name]

    points = EntryPoints(Point(name, "made.here:X", topology_module.NODE_GROUP) for name in KINDS)
    monkeypatch.setattr(topology_module, "registered", lambda: points)
    # The visitor here sits in the run's own thread: it cannot hear a farewell.
    monkeypatch.setattr(supervisor, "FAREWELL_S", 0.0)


def line(**parameters):
    names, before, specs = ("player", "adder", "doubler"), (), []
    for name in names:
        specs.append(NodeSpec(name, name, before, parameters.get(name, {})))
        before = (name,)
    return Topology(tuple(specs))


class Visitor:
    """Somebody who watches a run and gives it commands: the newest of every key, and how often it began anew."""

    def __init__(self, runner):
        self.context = new_context()
        self.runner = runner
        self.newest = {}
        self.opens = 0
        self.closed = False
        self.answers = []
        self.client = None

    def connect(self, address):
        self.reader = LinkReader(self.context, address, "visitor")

    def look(self):
        for message in self.reader.receive():
            if isinstance(message, Open):
                self.opens += 1
                self.newest.clear()
                if self.client is None:
                    self.client = CommandClient(self.context, message.facts["control"])
                continue
            if isinstance(message, ResultSent):
                self.newest[message.node, message.key] = message.value
            self.closed |= isinstance(message, Close)
            self.reader.done()
        if self.client is not None:
            self.answers += self.client.receive()

    @property
    def status(self):
        return self.newest.get(("run", "status"), {})

    def get(self, node, key):
        return self.newest.get((node, key), {}).get(key)

    def leave(self):
        self.reader.stop()
        if self.client is not None:
            self.client.stop()
        self.context.term()


@pytest.fixture
def play():
    """Runs a topology in threads and does, one after the other, what is to be done when something has come about.

    ``steps`` are pairs of a condition on the visitor and a deed; at the end the run is stopped. Gives the visitor and
    what the run came to each time it was complete.
    """
    before = threading.enumerate()

    def run(topology, *steps, stay=True):
        outcomes = []
        todo = list(steps)

        def go_on(progress):
            visitor.look()
            while todo and todo[0][0](visitor):
                todo.pop(0)[1](visitor)
            if not todo and stay:
                runner.stop()

        runner = ThreadsRunner(
            topology,
            on_progress=go_on,
            progress_s=0.0,
            stay=stay,
            on_complete=outcomes.append,
            watch=Watch(on_address=lambda address: visitor.connect(address)),
        )
        visitor = Visitor(runner)
        try:
            outcomes.append(runner.run())
            return visitor, outcomes
        finally:
            visitor.leave()

    yield run
    assert threading.enumerate() == before


def say(command, /, **values):
    return lambda visitor: visitor.client.send(command, values)


def nothing(visitor):
    pass


def complete(visitor):
    return visitor.status.get("state") == "complete"


def state(name):
    return lambda visitor: visitor.status.get("state") == name


def total(seconds, scale=1, below=10**9):
    return sum(x * scale for x in range(10 * seconds) if x * scale < below)


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
        # Stopped, and the results are not final yet.
        assert visitor.runner._helm.orders.end_at == visitor.runner._hub.events == read[0]
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
    assert read[0] <= given
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
