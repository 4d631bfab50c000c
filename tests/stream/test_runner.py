"""Runs of a topology, inline and in threads, and their ledger, with small nodes made for the purpose."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from photonstream.stream.chunk import Chunk, ChunkLawError, StreamInfo
from photonstream.stream.helm import Helm
from photonstream.stream.node import NodeError, Opening, ParameterError, PhotonNode, ResultNode, Source
from photonstream.stream.runner import InlineRunner
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology import NodeSpec, Topology, TopologyError, build


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class Numbers:
    chunks: int = 3

    def __post_init__(self):
        if self.chunks < 0:
            raise ValueError("chunks cannot be negative")


class Count(Source[Numbers]):
    """Ten events a chunk, 0, 1, 2, ..."""

    Parameters = Numbers

    def begin(self):
        return Opening(StreamInfo("made", "here", "T3", 1.0, 1.0, 1.0, 1, 1), {"from": self.name})

    given = 0

    def chunks(self):
        for k in range(self.parameters.chunks):
            self.given = 10 * (k + 1)
            times = np.arange(10 * k, 10 * k + 10, dtype=np.uint64)
            yield Chunk(k, 10 * k, 10 * k + 10, 10, {"macrotime": times})

    def snapshot(self, *, final):
        value = {"records": self.given, "total": 10 * self.parameters.chunks, "time_s": None}
        yield self.result("progress", value, final=final)


class Evens(PhotonNode[Nothing]):
    """Passes even events on, ends odd ones; ``forget`` makes it lose one without saying so."""

    Parameters = Nothing
    forget = 0

    def fold(self, chunk):
        keep = chunk["macrotime"][chunk["macrotime"] % 2 == 0]
        self.ledger.end("odd", chunk.events - len(keep) - self.forget)
        yield Chunk(chunk.sequence, chunk.start, chunk.stop, len(keep), {"macrotime": keep})


class Forgetful(Evens):
    forget = 1


class Sum(PhotonNode[Nothing]):
    Parameters = Nothing
    total = 0

    def fold(self, chunk):
        self.total += int(chunk["macrotime"].sum())
        self.ledger.end("summed", chunk.events)
        return ()

    def snapshot(self, *, final):
        yield self.result("sum", {"total": self.total}, final=final)


class Stutter(Evens):
    """Gives every chunk twice, which no stream allows."""

    def fold(self, chunk):
        return [chunk, chunk]


class Broken(Evens):
    """Cannot go on after its second chunk."""

    def fold(self, chunk):
        if chunk.sequence == 1:
            raise ZeroDivisionError("in the middle")
        return super().fold(chunk)


@dataclass(frozen=True)
class Learned:
    highest: int | None = None


class Highest(PhotonNode[Learned]):
    """Learns the highest event, and counts those above half of what it has learned; before that it knows none."""

    Parameters = Learned
    learns = "highest"
    seen = -1
    above = 0

    def fold(self, chunk):
        self.seen = max(self.seen, int(chunk["macrotime"][-1]))
        if self.parameters.highest is not None:
            self.above += int(np.count_nonzero(2 * chunk["macrotime"] > self.parameters.highest))
        self.ledger.end("judged", chunk.events)
        return ()

    def choice(self, *, final):
        return self.seen if self.seen >= 0 else None

    def snapshot(self, *, final):
        yield self.result("above", {"highest": self.parameters.highest, "above": self.above}, final=final)


class Fickle(Highest):
    """Learns something else each time."""

    def choice(self, *, final):
        return (self.parameters.highest or 0) + 1 if final else self.parameters.highest


class Keeper(ResultNode[Nothing]):
    """Keeps what it was told, over all epochs."""

    Parameters = Nothing

    def __init__(self, name, parameters):
        super().__init__(name, parameters)
        self.all = []

    def inherit(self, earlier):
        self.all = [*earlier.all, "again"]

    def take(self, result):
        if result.key == "above" and result.final:
            self.all.append(result.value["highest"])

    def snapshot(self, *, final):
        yield self.result("all", {"all": list(self.all)}, final=final)


class Reader(ResultNode[Nothing]):
    Parameters = Nothing

    def take(self, result):
        self.__dict__.setdefault("taken", []).append([result.node, result.key, result.final])

    def snapshot(self, *, final):
        yield self.result("taken", {"taken": list(self.taken)}, final=final)


KINDS = {
    c.__name__.lower(): c
    for c in (Count, Evens, Forgetful, Sum, Stutter, Broken, Reader, Highest, Fickle, Keeper)
}


@pytest.fixture(autouse=True)
def own_kinds(only_kinds):
    only_kinds(KINDS)


@pytest.fixture(params=[InlineRunner, ThreadsRunner])
def runner(request):
    """Either runner; afterwards nothing of it is left behind."""
    before = threading.enumerate()
    yield request.param
    assert threading.enumerate() == before


def line(*kinds, **parameters):
    specs, before = [], ()
    for kind in kinds:
        specs.append(NodeSpec(kind, kind, before, parameters.get(kind, {})))
        before = (kind,)
    return Topology(tuple(specs))


def test_a_run_sums_what_the_source_gave_and_balances(runner):
    outcome = runner(line("count", "evens", "sum")).run()
    assert outcome.results["sum", "sum"].value["total"] == sum(range(0, 30, 2))
    assert outcome.imbalances == []
    assert [(n["events_in"], n["events_out"], n["ended"]) for n in outcome.ledger.values()] == [
        (30, 30, {}),
        (30, 15, {"odd": 15}),
        (15, 0, {"summed": 15}),
    ]


def test_a_stream_may_have_no_chunks_and_two_readers(runner):
    nodes = (*line("count", "evens", count={"chunks": 0}).nodes, NodeSpec("sum", "sum", ("evens",)))
    nodes += (NodeSpec("other", "sum", ("evens",)),)
    outcome = runner(Topology(nodes)).run()
    assert outcome.results["sum", "sum"].value == outcome.results["other", "sum"].value == {"total": 0}


def test_many_small_chunks_arrive_once_each(runner):
    outcome = runner(line("count", "evens", "sum", count={"chunks": 2000})).run()
    assert outcome.results["sum", "sum"].value["total"] == sum(range(0, 20000, 2))
    assert outcome.imbalances == []


def test_an_event_that_vanishes_is_found(runner):
    outcome = runner(line("count", "forgetful", "sum")).run()
    assert outcome.imbalances == ["forgetful: 30 events in, but 27 accounted for"]


@pytest.mark.parametrize("chunks", [0, 1, 3, 40])
def test_what_a_node_has_learned_of_the_whole_is_used_for_the_whole(runner, chunks):
    outcome = runner(line("count", "evens", "highest", "keeper", count={"chunks": chunks})).run()
    highest = 10 * chunks - 2 if chunks else None
    expected = sum(2 * x > highest for x in range(0, 10 * chunks, 2)) if chunks else 0
    assert outcome.results["highest", "above"].value == {"highest": highest, "above": expected}
    assert outcome.imbalances == []
    assert not outcome.interrupted
    # Each node has seen every event once in the reading that counts.
    assert outcome.ledger["highest"]["events_in"] == 5 * chunks


def test_what_is_learned_on_the_way_leaves_the_final_results_as_they_are(runner):
    quiet = runner(line("count", "evens", "highest", count={"chunks": 300})).run()
    busy = runner(line("count", "evens", "highest", count={"chunks": 300}), results_s=0.0).run()
    assert quiet.results == busy.results


def test_nothing_is_final_before_what_was_learned_is_used(monkeypatch):
    """However late the run hears of it: nobody may take for the end what is about to be read again."""
    heed, seen = Helm.heed, []

    def heed_late(helm):
        choice = helm._hub.choices().get("highest")
        if choice is not None and choice.final and helm.orders.epoch == 0 and len(seen) < 20:
            seen.append(helm._hub.final_under(helm.orders.version))
        else:
            heed(helm)

    monkeypatch.setattr(Helm, "heed", heed_late)
    outcome = ThreadsRunner(line("count", "evens", "highest", "keeper")).run()
    assert seen == [False] * 20
    assert outcome.results["keeper", "all"].value["all"] == ["again", 28]


def test_a_node_that_never_settles_ends_the_run_with_a_sentence(runner):
    with pytest.raises(NodeError, match=r"node fickle cannot go on: .* learned something else"):
        runner(line("count", "evens", "fickle")).run()


def test_a_result_node_goes_on_with_what_is_for_the_eye(runner):
    outcome = runner(line("count", "evens", "highest", "keeper")).run()
    seen = outcome.results["keeper", "all"].value["all"]
    assert seen[-2:] == ["again", 28]


def test_a_run_that_is_stopped_learns_of_what_it_has_read(runner):
    def stop(progress):
        if progress.share and progress.share * 10**7 > 55:
            run.stop()

    endless = line("count", "evens", "highest", count={"chunks": 10**6})
    run = runner(endless, on_progress=stop, progress_s=0.0, results_s=0.0)
    outcome = run.run()
    read = outcome.ledger["count"]["events_out"]
    assert outcome.interrupted
    assert 0 < read < 10**7
    assert outcome.results["highest", "above"].value["highest"] == read - 2
    assert outcome.imbalances == []


def test_a_node_that_breaks_a_chunk_law_ends_the_run(runner):
    with pytest.raises(ChunkLawError, match="stream stutter"):
        runner(line("count", "stutter", "sum")).run()


def test_a_node_that_breaks_ends_the_run_and_is_named(runner):
    with pytest.raises(NodeError, match=r"node broken cannot go on: ZeroDivisionError: in the middle"):
        runner(line("count", "broken", "sum")).run()


def test_result_nodes_get_the_ledger_before_the_last_results(runner):
    nodes = (*line("count", "evens", "sum").nodes, NodeSpec("reader", "reader", ("sum",)))
    outcome = runner(Topology(nodes)).run()
    assert outcome.results["reader", "taken"].value["taken"] == [
        ["sum", "ledger", True],
        ["sum", "sum", True],
    ]


def test_interim_results_leave_the_final_ones_as_they_are(runner):
    quiet = runner(line("count", "evens", "sum")).run()
    seen = []
    busy = runner(
        line("count", "evens", "sum"),
        results_s=0.0,
        progress_s=0.0,
        on_progress=lambda p: seen.append(dict(p.results)),
    ).run()
    assert seen
    assert quiet.results == busy.results


def test_stop_ends_the_stream_with_a_balanced_ledger(runner):
    def stop(progress):
        if progress.share and progress.share * 10**7 > 55:
            run.stop()

    endless = line("count", "evens", "sum", count={"chunks": 10**6})
    run = runner(endless, progress_s=0.0, results_s=0.0, on_progress=stop)
    outcome = run.run()
    assert outcome.interrupted
    given = outcome.ledger["count"]["events_out"]
    assert 50 < given < 10**7
    assert outcome.results["sum", "sum"].value["total"] == sum(range(0, given, 2))
    assert outcome.imbalances == []


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: line("count", "count"), TopologyError, "two nodes are called 'count'"),
        (
            lambda: Topology((NodeSpec("a", "evens", ("b",)),)),
            TopologyError,
            "reads 'b', which does not stand",
        ),
        (lambda: build(line("nonsense")), TopologyError, "no node of kind 'nonsense'"),
        (lambda: build(line("sum")), TopologyError, "takes one input, not 0"),
        (lambda: build(line("count", "reader", "sum")), TopologyError, "gives only results"),
        (lambda: build(Topology(())), TopologyError, "begins with its source"),
        (lambda: build(line("count", count={"speed": 1})), ParameterError, "no parameter 'speed'.*chunks"),
        (lambda: build(line("count", count={"chunks": -1})), ParameterError, "cannot be negative"),
    ],
)
def test_what_cannot_be_joined_is_refused_with_the_reason(make, error, words):
    with pytest.raises(error, match=words):
        make()
