"""What a run shows of its nodes: results pass through, and a new epoch's take the place of the old ones all at once."""

import math
import time

import msgpack
import numpy as np
import pytest
import zmq

from photonstream.stream import hub
from photonstream.stream.chunk import Result
from photonstream.stream.hub import HUB, Hub, progress
from photonstream.stream.link import LatestWriter, LinkReader, Waiter
from photonstream.stream.places import Places
from photonstream.stream.wire import Close, Open, ResultSent, encode

DEADLINE_S = 20.0
NODES = ("source", "states", "lifetime")
PLACES = Places.inproc("run")
INNER = {("states", "rows")}


def opening(epoch, run="run", writer="source", **more):
    return Open(run, epoch, writer, "latest", {"mode": "T3"}, **{"facts": {}, **more})


class Page:
    """Somebody who reads what is published: the openings, and all that came after each."""

    def __init__(self, context):
        self.reader = LinkReader(context, "inproc://public", "page", 100)
        self.openings: list[Open] = []
        self.came: list[list[ResultSent | Close]] = []

    def read(self):
        for message in self.reader.receive():
            if isinstance(message, Open):
                self.openings.append(message)
                self.came.append([])
            else:
                self.came[-1].append(message)
                self.reader.done()

    @property
    def newest(self):
        """Value ``x`` of each key since the last OPEN."""
        return {(m.node, m.key): m.value.get("x") for m in self.came[-1]}


class Run:
    """A hub, the nodes that it reads, and a page that reads what it publishes."""

    def __init__(self, context):
        self.context = context
        self.nodes = {name: LatestWriter(context, PLACES.results(name)) for name in NODES}
        self.public = LatestWriter(context, "inproc://public")
        self.hub = Hub(context, PLACES, NODES, self.public, INNER)
        self.hub.open(
            opening(99, writer=HUB, facts={"control": "tcp://here"}, parameters={"states": {"a": 1}})
        )
        self.page = Page(context)

    def step(self):
        for node in self.nodes.values():
            node.service()
        self.hub.service(Waiter())
        self.page.read()

    def until(self, event):
        poller = zmq.Poller()
        ends = [self.public.socket, self.page.reader.socket, *(node.socket for node in self.nodes.values())]
        end = time.monotonic() + DEADLINE_S
        while not event():
            assert time.monotonic() < end, "it did not happen in time"
            self.step()
            for each in ends:
                poller.register(each, zmq.POLLIN)
            poller.poll(20)

    def settle(self):
        """All that was put has arrived, also what was put because of it."""
        self.until(lambda: all(node.delivered and node.readers for node in self.nodes.values()))
        for _ in range(5):
            self.step()
        self.until(lambda: self.public.delivered)

    def open(self, epoch, names=NODES, **more):
        for name in names:
            self.nodes[name].open(opening(epoch, writer=name, **more))

    def put(self, node, key, x, final=False, **more):
        self.nodes[node].put(Result(node, key, {"x": x, **more}, final))

    def reach(self, records, time_s=None, final=False):
        self.put("source", "progress", records, final, records=records, time_s=time_s)

    def take_in(self, node, events):
        self.put(node, "status", None, ledger={"events_in": events})

    def speak(self, x, final=False):
        """All nodes say something proper."""
        for name in NODES:
            self.put(name, "result", x, final)

    def close(self, version, names=NODES, epoch=0):
        for name in names:
            self.nodes[name].put(Close(epoch, 0, "end", version))

    def seen(self):
        """The newest of all nodes' results proper, once everything has arrived."""
        self.settle()
        return {x for (_, key), x in self.page.newest.items() if key == "result"}

    def begin(self, epoch, until_s=None):
        self.hub.begin(epoch, until_s)

    def stop(self):
        self.page.reader.stop()
        self.hub.stop()
        self.public.stop()
        for node in self.nodes.values():
            node.stop()


@pytest.fixture
def run(context):
    run = Run(context)
    run.open(0)
    run.until(lambda: not run.hub.missing and run.page.openings)
    yield run
    run.stop()


@pytest.fixture
def going(run):
    """A run that has come to record 100 at 10 s, and whose nodes have all spoken."""
    run.reach(100, 10.0)
    run.speak("old")
    assert run.seen() == {"old"}
    return run


def test_nodes_are_missing_until_they_have_begun_the_epoch(context):
    run = Run(context)
    assert run.hub.missing == list(NODES)
    run.open(0, ["states"])
    run.until(lambda: run.hub.missing == ["source", "lifetime"])
    run.open(0, ["source", "lifetime"])
    run.until(lambda: not run.hub.missing)
    run.begin(1)
    assert run.hub.missing == list(NODES)
    run.stop()


def test_results_pass_through_as_they_are(run):
    counts = np.arange(6, dtype=np.uint32).reshape(3, 2)
    run.put("states", "selection", 1, counts=counts, none=None, name="\udcff")
    run.put("lifetime", "fit", 2, final=True)
    run.settle()
    assert run.page.newest == {("states", "selection"): 1, ("lifetime", "fit"): 2}
    first, second = run.page.came[-1]
    assert (first.value["counts"] == counts).all()
    assert first.value["counts"].dtype == np.uint32
    assert (first.value["none"], first.value["name"]) == (None, "\udcff")
    assert (first.final, second.final) == (False, True)
    assert run.hub.fresh["states", "selection"].value["x"] == 1
    assert not run.hub.catching_up


def test_the_newest_of_a_key_replaces_what_was_before(run):
    for n in range(30):
        run.put("states", "selection", n)
        run.step()
    run.settle()
    order = [m.value["x"] for m in run.page.came[-1]]
    assert order[-1] == 29
    assert order == sorted(order)


def test_what_is_for_other_nodes_only_is_not_published(run):
    run.put("states", "rows", 1)
    run.put("states", "selection", 1)
    run.put("lifetime", "rows", 1)
    run.settle()
    assert set(run.page.newest) == {("states", "selection"), ("lifetime", "rows")}
    assert ("states", "rows") in run.hub.fresh
    # Nor when it is published anew.
    run.begin(1)
    run.open(1)
    run.put("states", "rows", 2)
    run.speak("new")
    run.reach(1)
    assert run.seen() == {"new"}
    assert ("states", "rows") not in run.page.newest


def test_a_page_that_comes_late_gets_everything(going):
    late = Page(going.context)
    going.until(lambda: (late.read(), late.openings and len(late.came[-1]) == 4)[1])
    assert late.newest == going.page.newest
    late.reader.stop()


def test_how_nodes_are_is_known_in_the_present_epoch_only(going):
    going.put("states", "status", 7, behind=["decay"])
    going.settle()
    assert going.hub.statuses()["states"] == {"x": 7, "behind": ["decay"]}
    assert going.page.newest["states", "status"] == 7
    going.begin(1)
    assert going.hub.statuses() == {name: {} for name in NODES}
    # A late word of the epoch before.
    going.put("states", "status", 8, behind=["decay"])
    going.settle()
    assert going.hub.statuses()["states"] == {}


def test_a_new_epoch_is_held_back_until_it_is_as_far_and_every_node_speaks_of_it(going):
    going.begin(1)
    assert going.hub.catching_up
    going.open(1)
    going.reach(99, 9.9)
    going.speak("new")
    assert going.seen() == {"old"}
    assert going.hub.fresh["states", "result"].value["x"] == "new"
    assert going.hub.shown["states", "result"].value["x"] == "old"
    going.reach(100, 10.0)
    assert going.seen() == {"new"}
    assert not going.hub.catching_up
    assert [o.epoch for o in going.page.openings] == [0, 1]


@pytest.mark.parametrize("late", ["states", "lifetime"])
def test_an_epoch_whose_source_is_as_far_waits_for_the_slowest_node(going, late):
    going.begin(1)
    going.open(1)
    going.reach(150, 15.0)
    for name in set(NODES) - {late}:
        going.put(name, "result", "new")
    # This is nothing to look at.
    going.put(late, "status", 1)
    assert going.seen() == {"old"}
    going.put(late, "result", "new")
    assert going.seen() == {"new"}


def test_a_node_that_has_spoken_its_last_speaks(going):
    going.begin(1)
    going.open(1)
    going.reach(100, 10.0)
    going.put("source", "result", "new", final=True)
    going.put("states", "result", "new", final=True)
    going.put("lifetime", "result", "new")
    assert going.seen() == {"new"}


def test_a_complete_run_is_shown_until_the_next_epoch_has_as_much_to_show(going):
    going.reach(200, 20.0, final=True)
    going.speak("complete", final=True)
    going.close(1)
    assert going.seen() == {"complete"}
    going.begin(1)
    going.open(1)
    going.reach(200, 20.0)
    going.put("states", "result", "new")
    assert going.seen() == {"complete"}
    going.put("source", "result", "new")
    going.put("lifetime", "result", "new")
    assert going.seen() == {"new"}


def test_everything_of_the_new_epoch_comes_at_once_behind_its_opening(going):
    going.put("states", "old only", 1)
    going.settle()
    going.begin(1)
    going.open(1)
    going.speak("new")
    going.put("lifetime", "history", "new")
    going.reach(120, 12.0)
    going.settle()
    assert {m.epoch for m in going.page.came[0]} == {0}
    assert {m.epoch for m in going.page.came[1]} == {1}
    assert set(going.page.newest) == {
        ("source", "progress"),
        ("lifetime", "history"),
        *((name, "result") for name in NODES),
    }
    # From there on they pass through again.
    going.put("lifetime", "history", "newer")
    going.settle()
    assert going.page.newest["lifetime", "history"] == "newer"
    assert len(going.page.openings) == 2


def test_the_opening_of_an_epoch_has_the_parameters_and_facts_of_its_source(going):
    first = going.page.openings[0]
    assert (first.parameters, first.facts) == ({"states": {"a": 1}}, {"control": "tcp://here"})
    assert (first.epoch, first.writer, first.policy) == (0, "run", "latest")
    going.begin(1)
    going.open(1, ["source"], facts={"pulse_period_s": 2e-7}, parameters={"states": {"a": 2}})
    going.open(1, ["states", "lifetime"], facts={"bin_ticks": 5}, parameters={"states": {"a": 2}})
    going.speak("new")
    going.reach(100)
    assert going.seen() == {"new"}
    second = going.page.openings[1]
    assert second.parameters == {"states": {"a": 2}}
    assert second.facts == {"control": "tcp://here", "pulse_period_s": 2e-7}
    assert (second.run, second.epoch, second.writer) == ("run", 1, "run")


def test_nothing_is_held_back_for_an_epoch_that_had_shown_nothing(run):
    run.put("states", "status", 1)
    run.reach(5)
    run.settle()
    run.begin(1)
    run.settle()
    assert not run.hub.catching_up
    assert run.page.openings[-1].epoch == 1
    run.open(1)
    run.put("states", "result", "new")
    assert run.seen() == {"new"}


def test_results_of_the_epoch_before_are_heard_no_more(going):
    going.begin(1)
    going.put("states", "result", "late")
    going.settle()
    assert going.hub.fresh == {}
    assert going.seen() == {"old"}


def test_who_goes_back_sees_the_new_epoch_as_soon_as_it_is_there(going):
    going.begin(1, until_s=4.0)
    going.open(1)
    going.reach(37, 3.7)
    going.put("states", "result", "new")
    assert going.seen() == {"old"}
    going.reach(39, 3.9)
    assert going.seen() == {"new"}
    assert not going.hub.catching_up


def test_who_goes_back_to_the_beginning_sees_it_when_all_have_begun(going):
    going.begin(1, until_s=0.0)
    going.settle()
    going.open(1, ["source", "states"])
    assert going.seen() == {"old"}
    going.open(1, ["lifetime"])
    assert going.seen() == set()
    assert not going.hub.catching_up


def test_who_goes_back_waits_no_longer_than_until_all_is_as_far_as_it_was(going):
    """At full speed nobody says at what time the source is."""
    going.begin(1, until_s=4.0)
    going.open(1)
    going.speak("new")
    going.reach(99)
    assert going.seen() == {"old"}
    going.reach(100)
    assert going.seen() == {"new"}


def test_results_from_before_the_place_was_reached_are_not_shown(going, monkeypatch):
    """The source runs ahead of the others: what they say meanwhile would look like a result of too few photons."""
    monkeypatch.setattr(hub, "LATE_S", math.inf)
    going.take_in("states", 90)
    going.take_in("lifetime", 0)
    going.settle()
    going.begin(1)
    going.open(1)
    going.speak("early")
    going.take_in("lifetime", 0)
    going.reach(100, 10.0)
    assert going.seen() == {"old"}
    going.take_in("states", 89)
    going.put("states", "result", "early")
    going.put("lifetime", "result", "early")
    assert going.seen() == {"old"}
    going.take_in("states", 90)
    assert going.seen() == {"old"}
    going.put("lifetime", "result", "new")
    assert going.seen() == {"old"}
    going.put("states", "result", "new")
    # The source never said how it is: what it has said is enough.
    assert going.seen() == {"early", "new"}


def test_a_node_into_which_less_comes_now_is_not_waited_for_without_end(going, monkeypatch):
    going.take_in("states", 90)
    going.settle()
    monkeypatch.setattr(hub, "LATE_S", 0.0)
    going.begin(1)
    going.open(1)
    going.take_in("states", 40)
    going.speak("new")
    going.reach(100, 10.0)
    assert going.seen() == {"new"}


def test_an_epoch_that_is_replaced_while_it_catches_up_is_never_shown(going):
    going.begin(1)
    going.open(1)
    going.reach(60, 6.0)
    going.speak("replaced")
    assert going.seen() == {"old"}
    going.begin(2)
    # It is as far only now, and nobody cares.
    going.reach(130, 13.0)
    assert going.seen() == {"old"}
    going.open(2)
    going.speak("new")
    # The measure is what is shown, not how far the replaced one had come.
    going.reach(80, 8.0)
    assert going.seen() == {"old"}
    going.reach(101, 10.1)
    assert going.seen() == {"new"}
    assert [o.epoch for o in going.page.openings] == [0, 2]


def test_who_goes_back_still_does_when_the_epoch_is_replaced_on_the_way(going):
    going.begin(1, until_s=4.0)
    going.open(1)
    going.reach(20, 2.0)
    going.settle()
    going.begin(2)
    going.open(2)
    going.speak("new")
    going.reach(30, 3.0)
    assert going.seen() == {"old"}
    going.reach(40, 4.0)
    assert going.seen() == {"new"}
    # The next epoch has nothing to do with that.
    going.reach(60, 6.0)
    going.settle()
    going.begin(3)
    going.open(3)
    going.speak("newer")
    going.reach(45, 4.5)
    assert going.seen() == {"new"}
    going.reach(60, 6.0)
    assert going.seen() == {"newer"}


def test_an_epoch_at_its_end_is_shown_however_short_it_is(going):
    going.begin(1)
    going.open(1)
    going.reach(50, 5.0, final=True)
    going.put("states", "result", "new", final=True)
    going.close(3, epoch=1)
    assert going.seen() == {"new"}


def test_the_end_is_when_every_node_says_so_under_these_orders(run):
    run.speak("new", final=True)
    run.close(4, ["source", "states"])
    run.settle()
    assert not run.hub.final_under(4)
    run.close(3, ["lifetime"])
    run.settle()
    assert not run.hub.final_under(4)
    run.close(4, ["lifetime"])
    run.settle()
    assert run.hub.final_under(4)
    assert not run.hub.final_under(5)
    # A result takes it back, what a node says of itself does not.
    run.put("states", "status", 1)
    run.settle()
    assert run.hub.final_under(4)
    run.put("states", "result", "newer", final=True)
    run.settle()
    assert not run.hub.final_under(4)
    run.close(4, ["states"])
    run.settle()
    assert run.hub.final_under(4)
    run.begin(1)
    assert not run.hub.final_under(4)


def test_the_end_of_the_epoch_before_is_not_that_of_this_one(going):
    going.begin(1)
    going.open(1, ["source", "states"])
    going.close(4, ["source", "states"], epoch=1)
    going.close(4, ["lifetime"])
    going.settle()
    assert not going.hub.final_under(4)


def test_a_node_that_is_started_again_in_the_same_epoch_is_heard(going):
    going.nodes["lifetime"].stop()
    going.nodes["lifetime"] = LatestWriter(going.context, PLACES.results("lifetime"))
    going.open(0, ["lifetime"])
    going.put("lifetime", "result", "second life", final=True)
    going.close(5)
    going.until(lambda: going.hub.final_under(5))
    going.settle()
    assert going.page.newest["lifetime", "result"] == "second life"
    assert going.page.newest["states", "result"] == "old"
    assert len(going.page.openings) == 1


def test_a_node_that_still_serves_another_run_is_missing(context):
    run = Run(context)
    run.open(0, ["source", "states"])
    run.open(0, ["lifetime"], run="the one before")
    run.put("lifetime", "result", "of another run", final=True)
    run.close(1)
    run.settle()
    assert run.hub.missing == ["lifetime"]
    assert not run.hub.final_under(1)
    assert ("lifetime", "result") not in run.page.newest
    run.open(0, ["lifetime"])
    run.put("lifetime", "result", "of this run", final=True)
    run.close(1, ["lifetime"])
    run.until(lambda: run.hub.final_under(1))
    assert run.seen() == {"of this run"}
    run.stop()


def test_what_nobody_could_be_sent_is_refused_and_the_run_goes_on(going):
    writer = going.nodes["states"]
    ((hub, peer),) = writer._peers.items()
    header = msgpack.unpackb(encode(ResultSent(0, peer.sent, "states", "result", False, {}))[0])
    for said in (msgpack.packb(header | {"value": {"x": b"bytes"}}), b"noise"):
        writer.socket.send_multipart([hub, said])
    going.until(lambda: going.hub.refused == 2)
    going.put("lifetime", "result", "new")
    going.settle()
    assert going.page.newest["lifetime", "result"] == "new"


def test_what_is_refused_at_the_public_address_counts(going):
    stranger = going.context.socket(zmq.DEALER)
    stranger.linger = 0
    stranger.connect("inproc://public")
    stranger.send_multipart([b"noise"])
    going.until(lambda: going.hub.refused == 1)
    stranger.close()


def test_how_far_the_source_is():
    assert progress({}) == {}
    said = {"records": 5}
    assert progress({("replay", "progress"): Result("replay", "progress", said)}) == said
