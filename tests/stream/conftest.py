"""What tests of streams have in common."""

import threading
from importlib.metadata import EntryPoint, EntryPoints

import pytest
import zmq

from photonstream.stream import supervisor
from photonstream.stream import topology as topology_module
from photonstream.stream.supervisor import Watch
from photonstream.stream.threads import ThreadsRunner
from tests.stream.tapes import KINDS, Visitor


@pytest.fixture
def context():
    """A context that ends at once when the test has stopped its sockets: nothing may be left behind."""
    context = zmq.Context()
    yield context
    ending = threading.Thread(target=context.term, daemon=True)
    ending.start()
    ending.join(5.0)
    assert not ending.is_alive(), "a socket was left open"


@pytest.fixture
def only_kinds(monkeypatch):
    """Makes classes, by the names of their kinds, the only nodes there are."""

    def put(kinds):
        class Point(EntryPoint):
            def load(self):
                return kinds[self.name]

        points = EntryPoints(Point(name, "made.here:X", topology_module.NODE_GROUP) for name in kinds)
        monkeypatch.setattr(topology_module, "registered", lambda: points)

    return put


@pytest.fixture
def tape_kinds(only_kinds, monkeypatch):
    """The kinds of nodes of tapes.py."""
    only_kinds(KINDS)
    # The visitor here sits in the run's own thread: it cannot hear a farewell.
    monkeypatch.setattr(supervisor, "FAREWELL_S", 0.0)


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
