"""The helm of a run: what it orders its nodes to do, and how that changes by command, by time and by what happens."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from photonstream.stream.chunk import Result
from photonstream.stream.commands import Change, CommandError, Scene, carry_out
from photonstream.stream.hub import HUB, Hub, progress
from photonstream.stream.link import LatestWriter
from photonstream.stream.node import NodeError, ParameterError, Source
from photonstream.stream.orders import MOST_CHOICES, Orders, Pace, same_value
from photonstream.stream.runner import never_settled, open_all
from photonstream.stream.topology import Topology, build, node_class

# The whole of the orders is a result of the run itself.
ORDERS = "orders"
# The clock of a replay is set where the source is when it is so far behind it: the source came from full speed.
BEHIND_S = 0.1
# What a source refuses that has no clock, and the words for it.
CLOCK_COMMANDS = frozenset({"pause", "resume", "seek", "speed"})
LIVE = (
    "this run follows a recording that is still written: it goes as fast as that, and its clock cannot be set"
)
# Why an epoch begins, for the run's log.
COMMANDED, LEARNED, RESTARTED, RENEWED = "a command", "learned", "a restart", "another recording"
# On the way a node learns again from so many times the events, at least.
LEARN_AGAIN = 1.25


class Helm:
    """Holds the orders and gives them at ``writer``, which is open; ``stop_asked`` when somebody wants the end.

    A clock that is to run with a speed starts when all nodes are there.
    """

    def __init__(
        self,
        writer: LatestWriter,
        hub: Hub,
        topology: Topology,
        parameters: Mapping[str, Any],
        pace: Pace,
    ) -> None:
        self.stop_asked = False
        # Why the present epoch began.
        self.why = ""
        self._writer = writer
        self._hub = hub
        self._topology = topology
        source = topology.nodes[0]
        self._source = source.name
        source_class = node_class(source.kind)
        # Whether somebody may say where in recorded time the run is to be.
        self.clocked = not issubclass(source_class, Source) or source_class.clocked
        self._started = pace.speed is None
        self._first_pace = pace
        # The pace that begins when the source is again where the run has been.
        self._later: Pace | None = None
        # From how many events each node has learned what it works with.
        self._learned_at: dict[str, int] = {}
        # What each has said it has learned, when that was looked at last.
        self._heeded: dict[str, Result] = {}
        # How often each has learned something new of the whole.
        self._settling: dict[str, int] = {}
        held = pace if self._started else dataclasses.replace(pace, paused=True)
        self.orders = Orders(version=0, parameters=parameters, pace=held)
        self.change()

    def change(self, **changes: Any) -> None:
        """Give orders that differ from the present ones in ``changes``."""
        self.orders = dataclasses.replace(self.orders, version=self.orders.version + 1, **changes)
        self._writer.put(Result(HUB, ORDERS, self.orders.value()))

    def begin_again(self, why: str, until_s: float | None = None, **changes: Any) -> None:
        """A new epoch: everything begins again from the file. ``until_s`` as in `Hub.begin`."""
        self.why = why
        epoch, pace, reached_s = self.orders.epoch + 1, self.orders.pace, self.reached_s
        if "pace" not in changes and pace.paused and reached_s is not None and reached_s > pace.place_s:
            # Paused on the way at full speed: the run is to come back to where that was.
            changes["pace"] = dataclasses.replace(pace, place_s=reached_s)
        if self.orders.end_at is not None:
            # What was given by then is not lost with who dies after it.
            changes["end_at"] = max(self.orders.end_at, self._hub.events)
        self._hub.begin(epoch, until_s)
        self.change(epoch=epoch, **changes)

    def halt(self) -> None:
        """Let the stream end where it is, or, while an epoch catches up, where the one before was."""
        self.change(end_at=self._hub.events)

    def hold(self, place_s: float) -> bool:
        """Let the source go on to ``place_s`` in recorded time and wait there; False where somebody has paused it."""
        if not self.paused:
            self.change(pace=dataclasses.replace(self.orders.pace, hold_s=place_s))
        return not self.paused

    def restarted(self, names: Iterable[str], cause: str, *, anew: bool) -> None:
        """Somebody died, or was there again without what it had: note it, and begin ``anew`` where photons are lost."""
        notes = [{"node": name, "epoch": self.orders.epoch, "cause": cause} for name in names]
        restarts = (*self.orders.restarts, *notes)
        if anew:
            self.begin_again(RESTARTED, restarts=restarts)
        else:
            self.change(restarts=restarts)

    def heed(self) -> None:
        """Begin again where a node has learned that a parameter of its own should be another one.

        On the way only from so much more than it was learned from before: an epoch that reads the beginning again
        finds there what was right then, and a run shall come to its end. Where the source has learned that another
        recording has begun, nothing that was found stays.
        """
        choices = self._hub.choices()
        if all(self._heeded.get(name) is choice for name, choice in choices.items()):
            return
        self._heeded = choices
        if self._source in choices:
            self._renew(choices[self._source].value["value"])
            return
        learned = {}
        for name, choice in choices.items():
            of, given = self._learns(name), self.orders.parameters.get(name, {})
            value, events = choice.value["value"], choice.value["events"]
            if of is None or same_value(given.get(of), value):
                continue
            if choice.final:
                self._settling[name] = self._settling.get(name, 0) + 1
                if self._settling[name] > MOST_CHOICES:
                    raise never_settled(name)
            if choice.final or events > LEARN_AGAIN * self._learned_at.get(name, 0):
                learned[name] = {**given, of: value}
                self._learned_at[name] = events
        if learned:
            self.begin_again(LEARNED, parameters={**self.orders.parameters, **learned})

    def _renew(self, value: Any) -> None:
        of, given = self._learns(self._source), self.orders.parameters.get(self._source, {})
        if of is None or same_value(given.get(of), value):
            return
        parameters = {**self.orders.parameters, self._source: {**given, of: value}}
        # Whatever is there of the new recording is shown at once.
        self.begin_again(RENEWED, until_s=0.0, parameters=self._unlearned(parameters))

    def _learns(self, node: str) -> str | None:
        spec = next((spec for spec in self._topology.nodes if spec.name == node), None)
        return None if spec is None else node_class(spec.kind).learns

    def _unlearned(self, parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """``parameters`` without what was learned under others: of those that differ now, or read who does."""
        found = dict(parameters)
        touched: set[str] = set()
        for spec in self._topology.nodes:
            given, present = parameters.get(spec.name, {}), self.orders.parameters.get(spec.name, {})
            if touched.intersection(spec.inputs) or not same_value(given, present):
                touched.add(spec.name)
                of = self._learns(spec.name)
                if of is not None and spec.name != self._source:
                    found[spec.name] = {**given, of: None}
                    self._learned_at.pop(spec.name, None)
                    self._settling.pop(spec.name, None)
        return found

    def adapt(self, results_s: float) -> None:
        """Start the clock when all are there, set it where the source is, mend a link, ask for results that often."""
        now, pace, reached_s = time.monotonic(), self.orders.pace, self.reached_s or 0.0
        if not self._started and not self._hub.missing:
            self._started = True
            self.change(pace=self._first_pace.at(self._first_pace.place_s, now))
        elif self._later is not None and not self._hub.catching_up:
            self.change(pace=self._later.at(self._later.place_s, now))
            self._later = None
        elif self._started and not pace.paused and reached_s > pace.due_s(now) + BEHIND_S:
            self.change(pace=pace.at(reached_s, now))
        if results_s != self.orders.results_s:
            self.change(results_s=results_s)
        for name, status in self._hub.statuses().items():
            if status.get("behind"):
                self.restarted(status["behind"], f"it or {name} had begun again", anew=True)
                return

    @property
    def paused(self) -> bool:
        """Whether somebody has paused the replay."""
        return self._started and self.orders.pace.paused

    @property
    def due_s(self) -> float:
        """The recorded time at which the run is to be now; infinite at full speed."""
        return self.orders.pace.due_s(time.monotonic())

    @property
    def reached_s(self) -> float | None:
        """The recorded time that the source has reached, None where it does not know."""
        reached_s: float | None = progress(self._hub.fresh).get("time_s")
        return reached_s

    def command(self, name: str, values: Mapping[str, Any]) -> tuple[bool, str]:
        """Carry out what somebody wants: whether it was done, and why not, or what comes of it."""
        if name in CLOCK_COMMANDS and not self.clocked:
            return False, LIVE
        pace = self.orders.pace if self._started else self._first_pace
        orders = dataclasses.replace(self.orders, pace=pace)
        utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        scene = Scene(orders, time.monotonic(), self.reached_s, self._hub.catching_up, utc, self._later)
        try:
            change = carry_out(name, values, scene, self._live)
            if change.parameters is not None:
                self._check(change.parameters)
        except (CommandError, ParameterError, NodeError) as error:
            return False, str(error)
        except OSError as error:
            return False, f"{error.filename}: {error.strerror}"
        except Exception as error:
            # Whatever a node has not foreseen: a command is refused, and the run goes on.
            return False, f"{type(error).__name__}: {error}"
        self._carry_out(change)
        if change.later:
            return True, "from where the run has been before; until then at full speed"
        return True, f"everything is read again (epoch {self.orders.epoch})" if change.anew else ""

    def _live(self, node: str) -> frozenset[str] | None:
        spec = next((spec for spec in self._topology.nodes if spec.name == node), None)
        return None if spec is None else node_class(spec.kind).live

    def _check(self, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise what the nodes have to say of new parameters, before they are given to those that work.

        By opening nodes like those: only then do they see what the recording says of itself, and files that a parameter
        names. The recording itself is opened only where its source is told something new.
        """
        source = self._topology.nodes[0].name
        for spec in self._topology.nodes:
            given, present = parameters.get(spec.name, {}), self.orders.parameters.get(spec.name, {})
            for name in node_class(spec.kind).fixed:
                if given.get(name) != present.get(name):
                    raise ParameterError(
                        f"{spec.name}.{name} is for the whole run and does not change on the way"
                    )
            of = self._learns(spec.name)
            if of is not None and not same_value(given.get(of), present.get(of)):
                raise ParameterError(f"{spec.name}.{of} is learned from the recording, and nobody sets it")
        specs = (dataclasses.replace(s, parameters=parameters.get(s.name, {})) for s in self._topology.nodes)
        known = same_value(parameters.get(source, {}), self.orders.parameters.get(source, {}))
        open_all(build(Topology(tuple(specs))), self._hub.opening if known else None)

    def _carry_out(self, change: Change) -> None:
        changes: dict[str, Any] = {}
        if change.later:
            self._later = change.pace
        elif change.pace is not None and self._started:
            waiting, self._later = self._later, None
            # Who pauses on the way goes on from there with the speed that was to come.
            speed = waiting.speed if waiting is not None and change.pace.paused else change.pace.speed
            changes["pace"] = dataclasses.replace(change.pace, speed=speed)
        elif change.pace is not None:
            self._first_pace = change.pace
        if change.parameters is not None:
            new = self._unlearned(change.parameters) if change.anew else change.parameters
            changes["parameters"] = new
        self.stop_asked |= change.stop
        if change.anew:
            self.begin_again(COMMANDED, change.until_s, **changes)
        elif changes:
            self.change(**changes)

    def place_s(self) -> float | None:
        """Where the run is to be in recorded time, None at full speed."""
        return self.due_s if math.isfinite(self.due_s) else None
