"""A run whose nodes work at links: gives orders, listens, starts again what has died, and knows when all is done.

Everything here happens in one thread, in which `PlacedRunner.run` was called. What differs between the placements is
how a node is started and how one hears that it ended.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import secrets
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from photonstream.stream.children import Children, Death
from photonstream.stream.chunk import Result
from photonstream.stream.commands import DEVICE, HELLO, NEXT, NOTE, SET, STOP, TOGETHER
from photonstream.stream.control import CommandServer
from photonstream.stream.deeds import Deeds, OnDeed, OnParameters
from photonstream.stream.helm import Helm
from photonstream.stream.hub import HUB, Hub
from photonstream.stream.keys import Keys, leaves_machine
from photonstream.stream.link import Context, LatestWriter, Waiter, new_context
from photonstream.stream.lobby import Lobby
from photonstream.stream.loop import END, STATUS, open_message
from photonstream.stream.node import InputError, NodeError, Opening, ResultNode, blame
from photonstream.stream.places import Places
from photonstream.stream.restarts import Restarts
from photonstream.stream.runner import Outcome, Progress, Runner
from photonstream.stream.topology import Topology
from photonstream.stream.wire import Close

ANYWHERE = "tcp://127.0.0.1:0"
# How long the run sleeps when nothing comes: a signal does not wake it.
IDLE_S = 0.1
# How often results are wanted while somebody watches, and how often the run says how it is.
WATCHED_S = 0.1
TELL_S = 0.2
# So long the end waits for those who read to have everything; and after something went wrong.
FAREWELL_S, ABRUPT_S = 1.0, 0.2
# Exit codes of a child that is not to be started again: its input is to blame, or the node itself.
BAD_INPUT, BROKEN = 2, 3
# So many notes are repeated in the status; the run's log has all.
MOST_SAID = 20


class Device(Protocol):
    """A device that is recorded for the run; it is armed with its settings, so another one is of the next recording."""

    def value(self) -> Mapping[str, Any]:
        """What is said of it."""

    def change(self, values: Mapping[str, Any]) -> tuple[bool, str]:
        """Carry out the command ``set`` with these ``values``: whether it was done, and what there is to say."""


@dataclass(frozen=True)
class Watch:
    """How a run is watched: where it publishes, and processes that belong to it, such as that of its page.

    ``or_elsewhere``: where another program has the ``address``, a free one of this machine does too. ``attendants``
    make the command of each from the run's address and the folder of its processes. One that cannot live does not end
    the run; ``on_note`` is told of such things. ``on_deed`` is told all that is done to the run, in a word, with more
    of it and how far the run is; ``on_parameters`` the parameters of all nodes whenever they change. Who gave a command
    is answered after that. ``on_stop`` is called instead of ending the run where somebody commands that, and says what
    comes of it, and ``on_next`` where somebody wants the next particle; they see to it. ``followed`` says whether
    another run follows this one at its address. None of them may raise. ``notes`` are those of a run that is done
    again: ``time_s`` and ``text`` of each. ``device`` takes what is to be set of it.
    """

    address: str = ANYWHERE
    or_elsewhere: bool = False
    attendants: Mapping[str, Callable[[str, Path], Sequence[str]]] = dataclasses.field(default_factory=dict)
    on_address: Callable[[str], None] | None = None
    on_note: Callable[[str], None] | None = None
    on_deed: OnDeed | None = None
    on_parameters: OnParameters | None = None
    on_stop: Callable[[], str] | None = None
    on_next: Callable[[], tuple[bool, str]] | None = None
    followed: Callable[[], bool] | None = None
    notes: Sequence[Mapping[str, Any]] = ()
    device: Device | None = None


class PlacedRunner(Runner):
    """What threads and processes have in common.

    With ``stay`` the run goes on after its end, so that it can be looked at and its window moved, until `stop`;
    ``on_complete`` is told whenever all results are final. ``keys`` are for all tcp sockets of the run. A source with a
    clock waits at ``hold_s`` in recorded time until `hold` names another place.
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
        keys: Keys | None = None,
        hold_s: float = math.inf,
    ) -> None:
        super().__init__(topology, on_progress=on_progress, progress_s=progress_s, results_s=results_s)
        self._on_complete = on_complete
        self._stay = stay
        self._watch = watch or Watch()
        self._keys = keys
        self._hold_s = hold_s
        self._stop_asked = False
        self._restarts = Restarts()
        self._children: Children | None = None
        self._notes: list[str] = []
        # What persons have noted, and how far the run had come then.
        self._said: deque[dict[str, Any]] = deque(map(dict, self._watch.notes), maxlen=MOST_SAID)
        self._by_hand: frozenset[str] = frozenset()

    def stop(self) -> None:
        """End the stream soon; may be called from a signal handler or another thread."""
        self._stop_asked = True

    def enough(self) -> None:
        if self._helm.orders.end_at is None:
            self._helm.halt()

    def hold(self, place_s: float) -> bool:
        return self._helm.hold(place_s)

    # What a placement has to say

    @abstractmethod
    def _places(self, run: str) -> Places:
        """Where the sockets of this run are."""

    @abstractmethod
    def _start(self, context: Context, places: Places) -> None:
        """Start every node."""

    def _start_again(self, name: str) -> None:
        """Start the process of a node again, where nodes have some."""
        raise NodeError(f"node {name} has no process of its own that could be started again")

    def _heed(self) -> None:
        """Raise what has gone wrong in a node."""

    def _join(self) -> None:
        """Wait for the nodes to end; they have been told."""

    # The run

    def run(self) -> Outcome:
        run = secrets.token_hex(8)
        context = new_context(self._keys)
        with ExitStack() as stack:
            stack.callback(context.term)
            if self._needs_children():
                self._children = Children()
                stack.callback(self._children.stop)
            self._bind(stack, context)
            attended = self._await_beginning()
            opening = self.open()
            places = self._places(run)
            self._connect(stack, context, places, run, opening)
            # The nodes end before the sockets they are connected to.
            stack.callback(self._join)
            self._start(context, places)
            if not attended:
                self._attend_all()
            farewell_s = ABRUPT_S
            try:
                outcome = self._supervise()
                farewell_s = FAREWELL_S
            finally:
                self._farewell(farewell_s)
        return outcome

    def _needs_children(self) -> bool:
        return bool(self._watch.attendants)

    def _bind(self, stack: ExitStack, context: Context) -> None:
        """The sockets for those who watch."""
        self._public = self._publish(context)
        stack.callback(self._public.stop)
        self.address = self._public.endpoint
        self._control = CommandServer(context, self._control_endpoint())
        stack.callback(self._control.stop)

    def _publish(self, context: Context) -> LatestWriter:
        try:
            return LatestWriter(context, self._watch.address)
        except OSError as error:
            if not self._watch.or_elsewhere or error.errno != errno.EADDRINUSE:
                raise
        writer = LatestWriter(context, ANYWHERE)
        if self._watch.on_note is not None:
            taken = f"{self._watch.address} has been taken by another program"
            self._watch.on_note(f"{taken}: the run is at {writer.endpoint}")
        return writer

    def _control_endpoint(self) -> str:
        """Beside the public address; between machines, where ports have to be opened, at the next port."""
        if not self.address.startswith("tcp:"):
            return f"{self.address}.control"
        host, _, port = self.address.rpartition(":")
        asked = self._watch.address.rpartition(":")[2] != "0"
        return f"{host}:{int(port) + 1 if asked and leaves_machine(self.address) else 0}"

    def _await_beginning(self) -> bool:
        """Until the source has something to read; whether those who watch were told of that."""
        with blame(self._source.name):
            if not self._source.awaits():
                return False
        lobby = Lobby(self._public, self._control, self._parameters)
        self._attend_all()
        self._await_source(
            lambda: self._stop_asked or lobby.stop_asked, lambda s: lobby.wait(self._source.says, s)
        )
        return True

    def _attend_all(self) -> None:
        for name in self._watch.attendants:
            self._attend(name)
        if self._watch.on_address is not None:
            self._watch.on_address(self.address)

    def _connect(
        self, stack: ExitStack, context: Context, places: Places, run: str, opening: Opening
    ) -> None:
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
        parameters = self._parameters
        facts = opening.with_facts(**self._control.facts)
        self._hub.open(open_message(run, 0, HUB, "latest", facts, parameters))
        self._to_nodes.open(open_message(run, 0, HUB, "latest", opening, parameters))
        pace = self._source.first_pace()
        if self._source.clocked:
            pace = dataclasses.replace(pace, hold_s=self._hold_s)
        self._helm = Helm(self._to_nodes, self._hub, self._topology, parameters, pace)
        self._deeds = Deeds(self._helm, self._hub, self._watch.on_deed, self._watch.on_parameters)
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
            self._helm.heed()
            self._helm.adapt(self._wanted_s())
            self._deeds.look()
            self._stop_asked |= self._helm.stop_asked
            if self._hub.final_under(self._helm.orders.version):
                if self._complete != self._helm.orders.version:
                    self._complete = self._helm.orders.version
                    outcome = self._outcome()
                    self._tell(at_once=True)
                    self._deeds.tell("complete", interrupted=outcome.interrupted)
                    if self._on_complete is not None:
                        self._on_complete(outcome)
                if not self._stay or self._stop_asked:
                    assert outcome is not None
                    return outcome
            elif self._stop_asked and self._helm.orders.end_at is None:
                self._end_stream()
            self._tell()
            self._show_progress()

    def _listen(self) -> None:
        catching_up = self._hub.catching_up
        self._hub.service(self._waiter)
        if catching_up and not self._hub.catching_up:
            # What is shown now is of another epoch: its state goes with it.
            self._tell(at_once=True)
        self._control.service(self._command)
        self._to_nodes.service()

    def _end_stream(self) -> None:
        waiting = self._hub.missing
        if waiting and set(waiting) & self._by_hand:
            raise NodeError(f"ended while waiting for {', '.join(waiting)}, which nobody has started")
        self._helm.halt()

    def _outcome(self) -> Outcome:
        results = {key: result for key, result in self._hub.fresh.items() if result.final}
        outcome = self._judge(results, halted=self._helm.orders.end_at is not None)
        return dataclasses.replace(outcome, latency=self._hub.latencies())

    def _wanted_s(self) -> float:
        if self._public.readers or self._watch.attendants:
            return WATCHED_S
        return math.inf if self._results_s is None else self._results_s

    def _command(self, name: str, values: Mapping[str, Any], by: str) -> tuple[bool, str]:
        self._next_told = 0.0
        done, text = self._carry_out(name, values)
        if name != HELLO:
            self._deeds.tell("command", by=by, name=name, values=values, done=done, answer=text)
        self._deeds.look()
        return done, text

    def _carry_out(self, name: str, values: Mapping[str, Any]) -> tuple[bool, str]:
        if name == "pause" and self._complete == self._helm.orders.version:
            return False, "the recording is at its end"
        if name == NEXT and self._watch.on_next is not None:
            return self._watch.on_next()
        if name == STOP and self._watch.on_stop is not None:
            return True, self._watch.on_stop()
        if name == SET and self._watch.device is not None and _of_device(values):
            return self._watch.device.change(values)
        done, text = self._helm.command(name, values)
        if name == NOTE and done:
            # Before there are records it stands at the beginning.
            time_s = self._helm.reached_s if self._hub.events else 0.0
            self._said.append({"time_s": time_s, "text": str(values["text"]).strip()})
            utc = datetime.now(UTC).isoformat(timespec="milliseconds")
            try:
                text = self._source.note(str(values["text"]).strip(), utc, self._hub.events)
            except OSError as error:
                return True, f"it is in the run's log, not beside the recording: {error.strerror}"
        return done, text

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
        self._helm.restarted([death.name], death.cause, anew=False)
        # A page that was told wrong things would not do better the next time.
        if death.code == BAD_INPUT or not self._restarts.died(death.name):
            note = f"the {death.name} cannot live and is not started again: {death.cause}"
            self._notes.append(note)
            if self._watch.on_note is not None:
                self._watch.on_note(note)
            # Nobody is left to look at a run that only stays to be looked at.
            self._stay = False

    def _bury_node(self, death: Death) -> None:
        if death.code == BAD_INPUT:
            raise InputError(death.last_words)
        if death.code == BROKEN:
            raise NodeError(death.last_words)
        if not self._restarts.died(death.name):
            raise NodeError(
                f"node {death.name} cannot live: it was started again and again, and {death.cause}"
            )
        on_path = not isinstance(self._nodes[death.name], ResultNode)
        self._helm.restarted([death.name], death.cause, anew=on_path)

    # What is said of the run

    def _state(self) -> str:
        if self._complete == self._helm.orders.version:
            return "complete"
        if self._hub.missing and not self._hub.catching_up:
            return "starting"
        return "paused" if self._helm.paused else "running"

    def _tell(self, *, at_once: bool = False, state: str | None = None) -> None:
        now = time.monotonic()
        if now < self._next_told and not at_once:
            return
        self._next_told = now + TELL_S
        state = state or self._state()
        orders, statuses, reached_s = self._helm.orders, self._hub.statuses(), self._helm.reached_s
        # At the end there is nowhere left to be.
        over = state == "complete" or self._hub.all_given
        place_s = reached_s if over else self._helm.place_s()
        said = Progress(self._hub.fresh)
        sockets = (self._hub, self._control, self._to_nodes)
        refused = [s.refused for s in sockets] + [int(s.get("refused", 0)) for s in statuses.values()]
        value = {
            "epoch": orders.epoch,
            "state": state,
            "catching_up": self._hub.catching_up,
            "place_s": place_s,
            "lag_s": None if place_s is None or reached_s is None else max(0.0, place_s - reached_s),
            "speed": orders.pace.speed,
            "clocked": self._helm.clocked,
            "notes": list(self._said),
            "has_next": self._watch.on_next is not None,
            "followed": self._watch.followed is not None and self._watch.followed(),
            "device": None if self._watch.device is None else self._watch.device.value(),
            "says": said.says,
            "restarts": list(orders.restarts),
            "refused": sum(refused),
            "waiting_for": self._hub.missing,
            "problems": [s["problem"] for s in statuses.values() if s.get("problem")]
            + said.notes
            + self._notes,
            "parameters": orders.parameters,
            "latency": self._hub.latencies(),
        }
        if value != self._told or at_once:
            self._told = value
            self._public.put(Result(HUB, STATUS, value))

    def _show_progress(self) -> None:
        if self._on_progress is not None and time.monotonic() >= self._next_progress:
            self._on_progress(Progress(self._hub.shown))
            self._next_progress = time.monotonic() + self._progress_s

    def _farewell(self, seconds: float) -> None:
        """Tell those who watch, and the nodes, that the run is over; wait a little for them to hear it."""
        self._tell(at_once=True, state="ended")
        self._hub.close(END, self._helm.orders.version)
        self._to_nodes.put(Close(0, 0, END, self._helm.orders.version))
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (self._public.delivered and self._to_nodes.delivered):
            self._waiter.wait(IDLE_S)
            self._public.service()
            self._to_nodes.service()


def _of_device(values: Mapping[str, Any]) -> bool:
    """Whether one of the settings that are to be made is of the device."""
    wanted = values.get(TOGETHER, [values])
    each_of = wanted if isinstance(wanted, list | tuple) else []
    return any(isinstance(each, Mapping) and each.get("node") == DEVICE for each in each_of)
