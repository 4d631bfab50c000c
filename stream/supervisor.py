"""A run whose nodes work at links: gives orders, listens, starts again what has died, and knows when all is done.

Everything here happens in one thread, in which `PlacedRunner.run` was called. What differs between the placements is
how a node is started and how one hears that it ended.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonstream.stream.children import Children, Death
from photonstream.stream.chunk import Result
from photonstream.stream.commands import Change, CommandError, Scene, carry_out
from photonstream.stream.control import CommandServer
from photonstream.stream.hub import HUB, Hub, progress
from photonstream.stream.link import Context, LatestWriter, Waiter, new_context
from photonstream.stream.loop import END, IDLE_S, STATUS, open_message
from photonstream.stream.node import InputError, NodeError, Opening, ParameterError, ResultNode
from photonstream.stream.orders import Orders
from photonstream.stream.places import Places
from photonstream.stream.restarts import Restarts
from photonstream.stream.runner import Outcome, Progress, Runner, open_all
from photonstream.stream.topology import Topology, build, node_class
from photonstream.stream.wire import Close

# The whole of the orders, and the state of the run, are results in its own name.
ORDERS = "orders"
ANYWHERE = "tcp://127.0.0.1:0"
# How often results are wanted while somebody watches, and how often the run says how it is.
WATCHED_S = 0.05
TELL_S = 0.2
# So long the end waits for those who read to have everything.
FAREWELL_S = 1.0
# Exit codes of a child that is not to be started again: its input is to blame, or the node itself.
BAD_INPUT, BROKEN = 2, 3


@dataclass(frozen=True)
class Watch:
    """How a run is watched: where it publishes, and processes that belong to it, such as that of its page.

    ``attendants`` make the command of each from the run's address and the folder of its processes. One that cannot
    live does not end the run; ``on_note`` is told of such things.
    """

    address: str = ANYWHERE
    attendants: Mapping[str, Callable[[str, Path], Sequence[str]]] = dataclasses.field(default_factory=dict)
    on_address: Callable[[str], None] | None = None
    on_note: Callable[[str], None] | None = None


class PlacedRunner(Runner):
    """What threads and processes have in common.

    With ``stay`` the run goes on after its end, so that it can be looked at and its window moved, until `stop`;
    ``on_complete`` is told whenever all results are final.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        progress_s: float = 0.1,
        results_s: float | None = None,
        on_complete: Callable[[Outcome], None] | None = None,
        stay: bool = False,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(topology, on_progress=on_progress, progress_s=progress_s, results_s=results_s)
        self._on_complete = on_complete
        self._stay = stay
        self._watch = watch or Watch()
        self._stop_asked = False
        self._restarts = Restarts()
        self._children: Children | None = None
        self._notes: list[str] = []
        self._by_hand: frozenset[str] = frozenset()

    def stop(self) -> None:
        """End the stream soon; may be called from a signal handler or another thread."""
        self._stop_asked = True

    # What a placement has to say

    def _places(self, run: str) -> Places:
        raise NotImplementedError

    def _start(self, context: Context, places: Places) -> None:
        """Start every node."""
        raise NotImplementedError

    def _start_again(self, name: str) -> None:
        """Start the process of a node again."""
        raise NotImplementedError

    def _heed(self) -> None:
        """Raise what has gone wrong in a node."""

    def _join(self) -> None:
        """Wait for the nodes to end; they have been told."""

    # The run

    def run(self) -> Outcome:
        opening = self.open()
        run = secrets.token_hex(8)
        context = new_context()
        with ExitStack() as stack:
            stack.callback(context.term)
            if self._needs_children():
                self._children = Children()
                stack.callback(self._children.stop)
            places = self._places(run)
            self._connect(stack, context, places, run, opening)
            # The nodes end before the sockets they are connected to.
            stack.callback(self._join)
            self._start(context, places)
            for name in self._watch.attendants:
                self._attend(name)
            if self._watch.on_address is not None:
                self._watch.on_address(self.address)
            outcome = self._supervise()
            self._farewell()
        return outcome

    def _needs_children(self) -> bool:
        return bool(self._watch.attendants)

    def _connect(
        self, stack: ExitStack, context: Context, places: Places, run: str, opening: Opening
    ) -> None:
        self._public = LatestWriter(context, self._watch.address)
        stack.callback(self._public.stop)
        self.address = self._public.endpoint
        host = self.address.rpartition(":")[0] if self.address.startswith("tcp:") else None
        self._control = CommandServer(context, f"{host}:0" if host else f"{self.address}.control")
        stack.callback(self._control.stop)
        self._to_nodes = LatestWriter(context, places.orders())
        stack.callback(self._to_nodes.stop)
        nodes = self._nodes.values()
        inner = {(node.name, key) for node in nodes for key in type(node).inner}
        self._hub = Hub(context, places, list(self._nodes), self._public, inner)
        stack.callback(self._hub.stop)
        self._waiter = Waiter()
        self._hub.watch(self._waiter)
        for socket in (self._public.socket, self._control.socket, self._to_nodes.socket):
            self._waiter.watch(socket)
        pace = self._source.first_pace()
        # The clock starts when all nodes are there.
        self._started = pace.speed is None
        self._first_pace = pace
        self._orders = Orders(
            version=1,
            parameters=self._parameters,
            pace=pace if self._started else dataclasses.replace(pace, paused=True),
            results_s=self._wanted_s(),
        )
        facts = opening.with_facts(control=self._control.endpoint)
        self._hub.open(open_message(run, 0, HUB, "latest", facts, self._orders.parameters))
        self._to_nodes.open(open_message(run, 0, HUB, "latest", opening, self._orders.parameters))
        self._give_orders()
        self._told: dict[str, Any] = {}
        self._next_told = self._next_progress = 0.0
        self._complete = 0

    def _supervise(self) -> Outcome:
        """Until all results are final, and, with ``stay``, until somebody wants it to end."""
        outcome: Outcome | None = None
        while True:
            self._waiter.wait(IDLE_S)
            self._listen()
            self._heed()
            self._bury()
            self._adapt()
            if self._hub.final_under(self._orders.version):
                if self._complete != self._orders.version:
                    self._complete = self._orders.version
                    outcome = self._outcome()
                    self._tell(at_once=True)
                    if self._on_complete is not None:
                        self._on_complete(outcome)
                if not self._stay or self._stop_asked:
                    assert outcome is not None
                    return outcome
            elif self._stop_asked and not self._orders.halted:
                self._end_stream()
            self._tell()
            self._show_progress()

    def _listen(self) -> None:
        self._hub.service()
        self._control.service(self._command)
        self._to_nodes.service()

    def _end_stream(self) -> None:
        waiting = self._hub.missing
        if waiting and set(waiting) & self._by_hand:
            raise NodeError(f"ended while waiting for {', '.join(waiting)}, which nobody has started")
        self._change_orders(halted=True)

    def _outcome(self) -> Outcome:
        results = {key: result for key, result in self._hub.fresh.items() if result.final}
        return self._judge(results, halted=self._orders.halted)

    # Orders

    def _change_orders(self, **changes: Any) -> None:
        self._orders = dataclasses.replace(self._orders, version=self._orders.version + 1, **changes)
        self._give_orders()

    def _give_orders(self) -> None:
        self._to_nodes.put(Result(HUB, ORDERS, self._orders.value()))

    def _new_epoch(self, until_s: float | None = None, **changes: Any) -> None:
        """Everything begins again from the file."""
        epoch = self._orders.epoch + 1
        self._hub.begin(epoch, until_s)
        self._change_orders(epoch=epoch, **changes)

    def _note_restart(self, name: str, cause: str) -> tuple[Mapping[str, Any], ...]:
        note = {"node": name, "epoch": self._orders.epoch, "cause": cause}
        return (*self._orders.restarts, note)

    def _adapt(self) -> None:
        """Start the clock when all are there, and look as often as somebody wants to see."""
        if not self._started and not self._hub.missing:
            self._started = True
            pace = self._first_pace.at(0.0, time.monotonic())
            self._change_orders(pace=pace)
        if self._wanted_s() != self._orders.results_s:
            self._change_orders(results_s=self._wanted_s())
        for name, status in self._hub.statuses().items():
            if status.get("behind"):
                restarts = self._orders.restarts
                for reader in status["behind"]:
                    restarts = (
                        *restarts,
                        {
                            "node": reader,
                            "epoch": self._orders.epoch,
                            "cause": f"it or {name} had begun again",
                        },
                    )
                self._new_epoch(restarts=restarts)
                return

    def _wanted_s(self) -> float:
        if self._public.readers:
            return WATCHED_S
        return float("inf") if self._results_s is None else self._results_s

    # Commands

    def _command(self, name: str, values: Mapping[str, Any]) -> tuple[bool, str]:
        reached_s = progress(self._hub.fresh).get("time_s")
        scene = Scene(self._orders, time.monotonic(), reached_s)
        try:
            change = carry_out(name, values, scene, self._live)
            if change.parameters is not None:
                self._check(change)
        except (CommandError, ParameterError, NodeError) as error:
            return False, str(error)
        except OSError as error:
            return False, f"{error.filename}: {error.strerror}"
        self._carry_out(change)
        return True, ""

    def _live(self, node: str) -> frozenset[str] | None:
        spec = next((spec for spec in self._topology.nodes if spec.name == node), None)
        return None if spec is None else node_class(spec.kind).live

    def _check(self, change: Change) -> None:
        """Raise what the nodes say of new parameters, before they are given to those that work."""
        specs = (
            dataclasses.replace(spec, parameters=(change.parameters or {}).get(spec.name, {}))
            for spec in self._topology.nodes
        )
        open_all(build(Topology(tuple(specs))))

    def _carry_out(self, change: Change) -> None:
        changes: dict[str, Any] = {}
        if change.pace is not None:
            if not self._started and change.pace.paused is False:
                return
            changes["pace"] = change.pace
        if change.parameters is not None:
            changes["parameters"] = change.parameters
        if change.stop:
            self._stop_asked = True
        if change.anew:
            self._new_epoch(change.until_s, **changes)
        elif changes:
            self._change_orders(**changes)
        self._next_told = 0.0

    # Life and death

    def _attend(self, name: str) -> None:
        assert self._children is not None
        self._children.start(name, list(self._watch.attendants[name](self.address, self._children.folder)))

    def _bury(self) -> None:
        """Take note of the dead, and start again who may live."""
        if self._children is None:
            return
        for death in self._children.dead():
            if death.name in self._watch.attendants:
                self._bury_attendant(death)
            else:
                self._bury_node(death)
        for name in self._restarts.due():
            if name in self._watch.attendants:
                self._attend(name)
            else:
                self._start_again(name)

    def _bury_attendant(self, death: Death) -> None:
        restarts = self._note_restart(death.name, death.cause)
        if not self._restarts.died(death.name):
            note = f"the {death.name} cannot live and is not started again: {death.cause}"
            self._notes.append(note)
            if self._watch.on_note is not None:
                self._watch.on_note(note)
            # Nobody is left to look at a run that only stays to be looked at.
            self._stay = False
        self._change_orders(restarts=restarts)

    def _bury_node(self, death: Death) -> None:
        if death.code == BAD_INPUT:
            raise InputError(death.last_words)
        if death.code == BROKEN:
            raise NodeError(death.last_words)
        if not self._restarts.died(death.name):
            raise NodeError(
                f"node {death.name} cannot live: it was started again and again, and {death.cause}"
            )
        restarts = self._note_restart(death.name, death.cause)
        if isinstance(self._nodes[death.name], ResultNode):
            self._change_orders(restarts=restarts)
        else:
            self._new_epoch(restarts=restarts)

    # What is said of the run

    def _state(self) -> str:
        if self._complete == self._orders.version:
            return "complete"
        if self._hub.missing and not self._hub.catching_up:
            return "starting"
        return "paused" if self._started and self._orders.pace.paused else "running"

    def _tell(self, *, at_once: bool = False, state: str | None = None) -> None:
        now = time.monotonic()
        if now < self._next_told and not at_once:
            return
        self._next_told = now + TELL_S
        due_s = self._orders.pace.due_s(now)
        place_s = due_s if due_s != float("inf") else None
        reached_s = progress(self._hub.fresh).get("time_s")
        lag_s = None if place_s is None or reached_s is None else max(0.0, place_s - reached_s)
        statuses = self._hub.statuses()
        value = {
            "epoch": self._orders.epoch,
            "state": state or self._state(),
            "catching_up": self._hub.catching_up,
            "place_s": place_s,
            "lag_s": lag_s,
            "speed": self._orders.pace.speed,
            "restarts": list(self._orders.restarts),
            "refused": self._hub.refused
            + self._control.refused
            + self._to_nodes.refused
            + sum(int(status.get("refused", 0)) for status in statuses.values()),
            "waiting_for": self._hub.missing,
            "problems": [s["problem"] for s in statuses.values() if s.get("problem")] + self._notes,
            "parameters": self._orders.parameters,
        }
        if value != self._told:
            self._told = value
            self._public.put(Result(HUB, STATUS, value))

    def _show_progress(self) -> None:
        if self._on_progress is not None and time.monotonic() >= self._next_progress:
            self._on_progress(Progress(self._hub.shown))
            self._next_progress = time.monotonic() + self._progress_s

    def _farewell(self) -> None:
        """Tell those who watch, and the nodes, that the run is over; wait a little for them to hear it."""
        self._tell(at_once=True, state="ended")
        self._public.put(Close(self._hub.epoch, 0, END, self._orders.version))
        self._to_nodes.put(Close(0, 0, END, self._orders.version))
        until = time.monotonic() + FAREWELL_S
        while time.monotonic() < until and not (self._public.delivered and self._to_nodes.delivered):
            self._waiter.wait(IDLE_S)
            self._public.service()
            self._to_nodes.service()
