"""The loop of the nodes that read results only."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from photonstream.stream.chunk import Result
from photonstream.stream.latency import newest
from photonstream.stream.link import Context, LinkReader
from photonstream.stream.loop import STATUS, Loop, open_message, opening_of
from photonstream.stream.node import CHOICE, blame
from photonstream.stream.orders import Orders
from photonstream.stream.places import Places
from photonstream.stream.topology import NodeSpec
from photonstream.stream.wire import Close, Message, Open, ResultSent


@dataclass
class _Input:
    """What is known of one input: the newest of every key in its epoch, and under which orders it is final."""

    reader: LinkReader
    opening: Open | None = None
    newest: dict[str, Result] = field(default_factory=dict)
    final_version: int | None = None
    stamp: int | None = None

    @property
    def epoch(self) -> int:
        return -1 if self.opening is None else self.opening.epoch


class ResultLoop(Loop):
    """Takes the latest results of its inputs; its own are final when theirs are, under the same orders as its own.

    It works in the epoch of its first input, whose OPEN it is given, and takes from the others what is of that epoch.
    """

    # No photon waits for it and looking is all it does, but there are others on the machine.
    looking = 2.0

    def __init__(self, context: Context, spec: NodeSpec, places: Places) -> None:
        super().__init__(context, spec, places)
        self._inputs: dict[str, _Input] = {}

    def _connect(self, stack: ExitStack) -> None:
        super()._connect(stack)
        for name in self._spec.inputs:
            self._inputs[name] = _Input(self._read(stack, self._places.results(name)))

    def _refused_here(self) -> int:
        return super()._refused_here() + sum(i.reader.refused for i in self._inputs.values())

    def _obey(self, orders: Orders) -> None:
        before = self._orders
        self._changed |= (orders.parameters, orders.restarts) != (before.parameters, before.restarts)
        # What is final was so under earlier orders; it is said again once all inputs are as far.
        self._ended = False
        super()._obey(orders)

    def _step(self) -> None:
        self._service()
        news = 0
        for name, of in self._inputs.items():
            if self._waiter.came(of.reader.socket):
                for message in of.reader.receive():
                    self._hear(name, of, message)
                    news += 1
        if not self._ended and self._all_final():
            self._conclude()
        elif not news:
            self._publish_interim()
            self._wait("idle")
        else:
            self._publish_interim()

    def _pause_s(self) -> float:
        # What it reads comes at the wanted pace, and is to be seen at once.
        return 0.0

    def _all_final(self) -> bool:
        return self._node is not None and all(
            of.epoch == self._epoch and of.final_version == self._orders.version
            for of in self._inputs.values()
        )

    def _hear(self, name: str, of: _Input, message: Message) -> None:
        if isinstance(message, Open):
            of.opening, of.newest, of.final_version, of.stamp = message, {}, None, None
            if name == self._spec.inputs[0]:
                self._begin(message)
            return
        # How a node is, and what it has learned, concerns the run only.
        if isinstance(message, ResultSent) and message.key not in (STATUS, CHOICE):
            result = Result(message.node, message.key, message.value, message.final, message.stamp)
            of.newest[result.key] = result
            if self._class.photons_in in ("", result.key):
                of.stamp = newest(of.stamp, result.stamp)
            of.final_version = None
            if of.epoch == self._epoch:
                self._take(result)
        elif isinstance(message, Close):
            of.final_version = message.version
        of.reader.done()

    def _begin(self, message: Open) -> None:
        earlier = self._node
        node = self._make(message.epoch, message.parameters)
        with blame(self._spec.name):
            opening = node.open(opening_of(message))
            self._hear_clock(opening.facts)
            if earlier is not None:
                node.inherit(earlier)
        self._results.open(
            open_message(message.run, message.epoch, self._spec.name, "latest", opening, message.parameters)
        )
        for of in self._inputs.values():
            if of.epoch == message.epoch:
                for result in of.newest.values():
                    self._take(result)

    def _take(self, result: Result) -> None:
        node: Any = self._node
        with blame(self._spec.name):
            node.take(result)
        self._changed = self._news = True
        self._ended = False

    def _publish(self, results: Iterable[Result]) -> None:
        # What it says holds a photon when all that it reads does.
        stamps = [
            of.stamp for of in self._inputs.values() if of.stamp is not None and of.epoch == self._epoch
        ]
        self._stamp = min(stamps, default=None)
        super()._publish(results)
        self._note(self._stamp)
