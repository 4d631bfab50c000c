"""One node at its links: what all kinds of nodes have in common.

A loop owns its sockets and never shares them; it runs in one thread, of this process or of another. It obeys the
orders of the run, publishes the node's results, at most every ``results_s`` while it works, and tells once a second how
it is (result ``status``). What is published on the way has no part in the final results. When its input has closed, a
loop gives its final results and says CLOSE; should orders change a parameter later, it says both again. It serves its
readers until the run says CLOSE.

Every epoch has a node of its own, made with the parameters that travel in OPEN.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

from photonstream.stream.chunk import Result, StreamInfo
from photonstream.stream.latency import CLOCK, Latency, stamp_now
from photonstream.stream.link import RESULTS_WINDOW, Context, LatestWriter, LinkReader, Waiter
from photonstream.stream.node import (
    Node,
    Opening,
    ParameterError,
    ResultNode,
    blame,
    make_parameters,
)
from photonstream.stream.orders import Orders, Parameters, orders_of
from photonstream.stream.places import Places
from photonstream.stream.topology import NodeSpec, node_class
from photonstream.stream.wire import Close, Open, ResultSent, WireError

# How long a loop sleeps when nothing comes: it wakes at once for a message, and has to say now and then what it needs.
IDLE_S = 0.2
STATUS_S = 1.0
END = "end of the recording"
# The same where it could not be read again.
LAST_END = "end of the recording, which is not there any more"
# Key of the result that tells how a node is.
STATUS = "status"
# The fact of an opening that names the clock of its stamps.
CLOCK_FACT = "clock"
# Looking may take a tenth of the time of a node that photons wait for.
LOOKING = 9.0


def open_message(
    run: str, epoch: int, writer: str, policy: str, opening: Opening, parameters: Parameters
) -> Open:
    """The OPEN of a stream of ``writer``."""
    info = dataclasses.asdict(opening.info)
    versions = {"photonstream": version("photonstream"), "pyzmq": version("pyzmq")}
    return Open(run, epoch, writer, policy, info, dict(opening.facts), versions, parameters=parameters)


def opening_of(message: Open) -> Opening:
    """What a node is told of the stream that ``message`` opens; raises WireError where that is no stream info."""
    known = {f.name for f in dataclasses.fields(StreamInfo)}
    try:
        info = StreamInfo(**{key: value for key, value in message.info.items() if key in known})
    except TypeError as error:
        raise WireError(f"OPEN.info: {error}") from error
    return Opening(info, message.facts)


class _Shares:
    """How a loop spends its time: idle (nothing to do), blocked (no credit), busy (the rest)."""

    def __init__(self) -> None:
        self._since_s = time.monotonic()
        self._waited_s = {"idle": 0.0, "blocked": 0.0}

    def waited(self, kind: str, seconds: float) -> None:
        self._waited_s[kind] += seconds

    def take(self) -> dict[str, float]:
        """The shares since this was last called; they add up to 1."""
        now = time.monotonic()
        whole_s = max(now - self._since_s, 1e-9)
        shares = {kind: min(1.0, waited_s / whole_s) for kind, waited_s in self._waited_s.items()}
        self._since_s, self._waited_s = now, {"idle": 0.0, "blocked": 0.0}
        return shares | {"busy": max(0.0, 1.0 - sum(shares.values()))}


class Loop:
    """Base of all loops; ``over`` when the run has said that it ends."""

    # How many times as long as looking took, at least, there is no other look.
    looking = LOOKING

    def __init__(self, context: Context, spec: NodeSpec, places: Places) -> None:
        self.over = False
        self._context = context
        self._spec = spec
        self._class = node_class(spec.kind)
        self._places = places
        self._next_results = self._next_status = time.monotonic()
        self._waiter = Waiter()
        self._shares = _Shares()
        self._orders = Orders()
        self._run_id: str | None = None
        self._refused = 0
        self._problem: str | None = None
        self._node: Node[Any] | None = None
        self._epoch = -1
        # Parameters as they were given, by name.
        self._given: Mapping[str, Any] = {}
        self._news = self._changed = self._ended = False
        # How late this node is in this run, and the stamp of the newest photon that its results contain.
        self._latency = Latency()
        self._stamp: int | None = None
        self._same_clock = False

    def run(self, finish: Callable[[], bool]) -> None:
        """Work until the run is over or ``finish`` says so; raises what goes wrong in the node."""
        with ExitStack() as stack:
            self._connect(stack)
            while not finish():
                self._hear_orders()
                if self.over:
                    break
                self._step()

    def _connect(self, stack: ExitStack) -> None:
        """Make the sockets; each is closed by ``stack``."""
        name = self._spec.name
        self._results = LatestWriter(self._context, self._places.results(name))
        stack.callback(self._results.stop)
        self._from_run = self._read(stack, self._places.orders())
        # What else readers say is heard when the loop wakes anyway.
        self._waiter.watch(self._results.socket, lambda: self._results.urgent)

    def _read(self, stack: ExitStack, endpoint: str, window: int = RESULTS_WINDOW) -> LinkReader:
        reader = LinkReader(self._context, endpoint, self._spec.name, window)
        stack.callback(reader.stop)
        self._waiter.watch(reader.socket)
        return reader

    @abstractmethod
    def _step(self) -> None:
        """Do what there is to do, or wait for it a little."""

    # Orders

    def _hear_orders(self) -> None:
        for message in self._from_run.receive():
            if isinstance(message, Open):
                # Where the run that this loop served is gone without a word, another one takes its place.
                self._run_id, self._orders = message.run, Orders()
                self._latency = Latency()
                self._serve_run()
                continue
            if isinstance(message, ResultSent):
                try:
                    orders = orders_of(message.value)
                except ValueError:
                    self._refused += 1
                else:
                    self._obey(orders)
            self.over |= isinstance(message, Close)
            self._from_run.done()

    def _serve_run(self) -> None:
        """A run has begun to give orders."""

    def _obey(self, orders: Orders) -> None:
        self._orders = orders
        if self._node is None:
            return
        self._node.orders = orders
        given = self._with_live(self._given)
        if given != self._given:
            self._change(given)
        if self._ended:
            self._conclude()
        self._next_status = time.monotonic()

    def _with_live(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """``given`` with those parameters as they are ordered now that may change while the node works."""
        ordered = self._orders.parameters.get(self._spec.name, given)
        live = self._class.live
        kept = {name: value for name, value in given.items() if name not in live}
        return kept | {name: value for name, value in ordered.items() if name in live}

    def _change(self, given: Mapping[str, Any]) -> None:
        assert self._node is not None
        try:
            parameters = make_parameters(self._class.Parameters, given, self._spec.name)
            with blame(self._spec.name):
                self._node.change(parameters)
        except ParameterError as error:
            self._problem = str(error)
        else:
            self._problem = None
            self._given = given
            self._changed = self._news = True
            self._next_results = time.monotonic()

    # The node of an epoch

    def _make(self, epoch: int, parameters: Parameters) -> Node[Any]:
        """The node of ``epoch``, in the place of the one before."""
        self._given = self._with_live(parameters.get(self._spec.name, {}))
        node = self._class(
            self._spec.name, make_parameters(self._class.Parameters, self._given, self._spec.name)
        )
        node.inputs = self._spec.inputs
        node.orders = self._orders
        self._node, self._epoch = node, epoch
        self._problem = None
        self._ended = self._news = False
        self._changed = True
        self._stamp = None
        return node

    def _note(self, stamp: int | None) -> None:
        """What carries ``stamp`` is done here by now."""
        if self._same_clock:
            self._latency.note(stamp, stamp_now())

    def _hear_clock(self, facts: Mapping[str, Any]) -> None:
        """Stamps made on another machine say nothing here."""
        self._same_clock = facts.get(CLOCK_FACT) == CLOCK

    # Results

    def _service(self) -> None:
        self._results.service()
        now = time.monotonic()
        if self._node is not None and not self._ended and now >= self._next_status:
            self._next_status = now + STATUS_S
            self._results.put(self._status())

    def _status(self) -> Result:
        assert self._node is not None
        value = {
            "pid": os.getpid(),
            "ledger": self._node.ledger.as_dict(),
            "shares": self._shares.take(),
            "refused": self._refused_here(),
            "superseded": self._results.superseded,
            "behind": self._behind(),
            "problem": self._problem,
            "version": self._orders.version,
            "latency": self._latency.value(stamp_now()),
        }
        return self._node.result(STATUS, value, final=False)

    def _refused_here(self) -> int:
        return self._refused + self._results.refused + self._from_run.refused

    def _behind(self) -> list[str]:
        """Readers that cannot be served any more in this epoch."""
        return []

    def _wait(self, kind: str, seconds: float = IDLE_S) -> bool:
        """Until a message comes, but no longer than ``seconds`` or until something is to be published.

        Whether one came.
        """
        began = time.monotonic()
        if self._node is not None and not self._ended:
            seconds = min(seconds, max(0.0, self._next_status - began))
            if self._news and math.isfinite(self._orders.results_s):
                seconds = min(seconds, max(0.0, self._next_results - began))
        came = self._waiter.wait(seconds)
        self._shares.waited(kind, time.monotonic() - began)
        return came

    def _publish(self, results: Iterable[Result]) -> None:
        for result in results:
            self._results.put(dataclasses.replace(result, stamp=self._stamp))

    def _due(self) -> bool:
        """Whether somebody watches, there is something new, and it is time to say it."""
        wanted = self._news and math.isfinite(self._orders.results_s)
        return (
            wanted and self._node is not None and not self._ended and time.monotonic() >= self._next_results
        )

    def _publish_interim(self) -> None:
        """The results as they are, if they are due."""
        if not self._due():
            return
        assert self._node is not None
        # By the time that it had the processor: on a busy machine waiting for that is no work.
        began_s = time.thread_time()
        with blame(self._spec.name):
            results = list(self._node.snapshot(final=False))
        self._publish(results)
        self._news = False
        # Whatever was final before has lost its place to these.
        self._changed = True
        took_s = time.thread_time() - began_s
        self._next_results = time.monotonic() + max(self._pause_s(), self.looking * took_s)

    def _pause_s(self) -> float:
        """How long there is no other look, at least."""
        return self._class.rest * self._orders.results_s

    def _conclude(self) -> None:
        """Final results and CLOSE: at the end, and again when orders have changed after it."""
        assert self._node is not None
        if self._changed:
            self._changed = self._news = False
            if not isinstance(self._node, ResultNode):
                self._publish([self._node.account()])
            with blame(self._spec.name):
                results = list(self._node.snapshot(final=True))
            self._publish(results)
        if not self._ended:
            self._publish([self._status()])
        self._ended = True
        self._results.put(Close(self._epoch, 0, END, self._orders.version))
