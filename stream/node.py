"""What a node is: its input, outputs, parameters and life cycle.

A photon node is a deterministic fold (``fold``) over the chunks of one input. A result node keeps the latest
result of each key that it reads (``take``). Both state their present results as a pure function of what they
hold (``snapshot``), whenever the runner asks: so no result depends on when somebody looked.

Life of a node: ``Node(name, parameters)``, ``open`` once, ``fold`` or ``take`` any number of times, ``close``
once (photon nodes: the last chunks), ``snapshot(final=True)``. Every epoch has nodes of its own. A parameter that the
class names as ``live`` may change at any time (``change``), also at the end: then ``snapshot(final=True)`` comes again.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin, get_type_hints

from photonstream.stream.chunk import Chunk, ChunkLawError, Result, StreamInfo
from photonstream.stream.ledger import NodeLedger
from photonstream.stream.orders import Orders, Pace, same_value

P = TypeVar("P")
# Key of the result in which every node of the photon path gives its account at the end.
LEDGER = "ledger"
# Key of the result in which a source says how far it is.
PROGRESS = "progress"
# Key of the result in which a node says what it has learned: `PhotonNode.choice`.
CHOICE = "choice"


class ParameterError(ValueError):
    """A parameter that cannot be: its text is one sentence for the person who gave it."""


class NodeError(RuntimeError):
    """A node cannot go on; its text says why."""


class InputError(NodeError):
    """A node cannot go on because of what the recording holds; its text says what."""


@contextmanager
def blame(name: str) -> Iterator[None]:
    """Whatever goes wrong in a node is a NodeError that names it; what is the input's or a person's fault stays so."""
    try:
        yield
    except (NodeError, ParameterError, ChunkLawError):
        raise
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)
        raise NodeError(f"node {name} cannot go on: {what}") from error
    except Exception as error:
        raise NodeError(f"node {name} cannot go on: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Opening:
    """What is known of a stream before its first chunk.

    ``facts`` grows on the way: each node adds what those after it need (bin width in ticks, histogram length).
    """

    info: StreamInfo
    facts: Mapping[str, Any] = field(default_factory=dict)

    def with_facts(self, **facts: Any) -> Opening:
        """The same opening with further facts."""
        return Opening(self.info, {**self.facts, **facts})


class Node(ABC, Generic[P]):
    """Base of all nodes: a name in the topology, checked parameters and a line in the ledger."""

    Parameters: ClassVar[type]
    # Parameters on which nothing depends but `snapshot`: they may change while the node works.
    live: ClassVar[frozenset[str]] = frozenset()
    # Parameters that belong to the whole of a run, such as where it writes: no command changes them.
    fixed: ClassVar[frozenset[str]] = frozenset()
    # The parameter that the node finds out itself from the recording; `PhotonNode.choice` says its value.
    learns: ClassVar[str | None] = None
    # Keys of results that are for other nodes only, too large or too raw for a page.
    inner: ClassVar[frozenset[str]] = frozenset()
    # Of a node that reads results: key of those whose photons are in its own, for the stamp; empty: all that it reads.
    photons_in: ClassVar[str] = ""
    # How long it waits between two looks at its results, over what the run wants: less where a fit waits for it.
    rest: ClassVar[float] = 1.0

    def __init__(self, name: str, parameters: P) -> None:
        self.name = name
        self.parameters = parameters
        self.ledger = NodeLedger(name)
        # What the run asks of all its nodes at present; whoever runs the node keeps it up to date.
        self.orders = Orders()
        # What it reads, in the order of the topology, which sets it.
        self.inputs: tuple[str, ...] = ()

    def open(self, opening: Opening) -> Opening:
        """Begin a stream; returns the opening for the nodes after this one."""
        return opening

    def inherit(self, earlier: Any) -> None:
        """Take over from ``earlier``, the node of the epoch before, what is for people; no result depends on it.

        Asked of sources and of nodes that read results, where they still are in the same process.
        """

    def change(self, parameters: P) -> None:
        """Take new parameters, which differ from the present ones in ``live`` ones only."""
        self.parameters = parameters

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """The node's present results, each the whole state of its key."""
        return ()

    def account(self) -> Result:
        """The node's line in the ledger, as its result ``ledger``: final, when nothing comes any more."""
        return self.result(LEDGER, self.ledger.as_dict(), final=True)

    def result(self, key: str, value: Mapping[str, Any], *, final: bool) -> Result:
        """A result of this node."""
        return Result(self.name, key, value, final)


class Source(Node[P]):
    """A node without input: it begins the stream and gives its chunks until it ends or is halted.

    ``halted`` is a plain flag and no event: a signal handler sets it, perhaps while this thread waits, and the
    lock of an event would then never be free again. Its result ``progress`` says how far it is: ``records`` given,
    the events of its chunks, out of ``total`` (None where that is not known), and ``time_s``, the recorded time reached
    where it is known; where there is something to say of it, ``says`` in a few words (what it waits for) and ``notes``
    in sentences. It does not wait on the way to the ``end_at`` of its orders. Unlike others it is told of the source of
    the epoch before (``inherit``) before it begins.
    """

    # Whether the run may say where in recorded time it is to be; what is live has no other pace than its own.
    clocked: ClassVar[bool] = True

    halted = False
    # What it waits for at present, in a few words; empty where that is not worth a word.
    says = ""

    def awaits(self) -> str:
        """What has to come before it can ``begin``, in a few words, such as a file; empty when it can."""
        return ""

    def choice(self, *, final: bool) -> Any:
        """The value that the parameter ``learns`` should have: another one than the present one where what is read from
        now on is of another recording. Then everything begins again with that value, and nothing follows from what was
        read; it gives no chunks until then.
        """
        return None

    @property
    def renewed(self) -> bool:
        """Whether another recording has begun."""
        of = self.learns
        return of is not None and not same_value(self.choice(final=True), getattr(self.parameters, of))

    @property
    def repeatable(self) -> bool:
        """Whether what was given could be given again; where not, nothing begins again with what was learned of it."""
        return True

    def first_pace(self) -> Pace:
        """The pace with which a run begins."""
        return Pace()

    def note(self, text: str, utc: str, record: int) -> str:
        """Have a person's note kept beside what is read, before number ``record``, where somebody is writing that.

        Returns where it went, in a sentence; empty where it is for the run's log alone.
        """
        return ""

    @abstractmethod
    def begin(self) -> Opening:
        """Open what is read and say what is known of it."""

    @abstractmethod
    def chunks(self) -> Generator[Chunk | float, None, None]:
        """The chunks of the stream, in order, by the pace of the node's ``orders``, which may change any time.

        A number instead of a chunk says for how many seconds nothing is due; whoever asked asks again, at the latest
        then. It never waits itself. Closed early, it lets go of all it has open.
        """


class PhotonNode(Node[P]):
    """A node of the photon path: one input stream, at most one output stream."""

    @abstractmethod
    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        """Take one chunk; returns the chunks that are complete because of it."""

    def close(self) -> Iterable[Chunk]:
        """The input has ended: returns what is still held."""
        return ()

    def choice(self, *, final: bool) -> Any:
        """The value that the parameter ``learns`` should have for the recording so far.

        Where it is another one than the present one, everything begins again from the file with that value. At the end
        it has to follow from the recording alone, not from the present value, so that it comes out the same the next
        time. On the way it is asked for only while somebody watches; then the present value is a good answer too.
        """
        return None

    def study(self) -> Callable[[], Any] | None:
        """On the way: what finds the value that ``learns`` should have for the recording so far; None without news.

        It is called in another thread while this node goes on, so it works with what it was given and nothing else of
        the node. A node whose `choice` takes long says so here.
        """
        choice = self.choice(final=False)
        known = self.learns is None or same_value(choice, getattr(self.parameters, self.learns))
        return None if known else lambda: choice


class ResultNode(Node[P]):
    """A node that reads results only: it keeps the latest of each and needs no epoch."""

    # Names of the nodes without whose results it can say nothing.
    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def take(self, result: Result) -> None:
        """Replace what was known of this result's (node, key)."""


def make_parameters(cls: type[Any], given: Mapping[str, Any], node: str) -> Any:
    """Build a node's parameter dataclass from ``given``; raises ParameterError naming what is wrong."""
    hints = get_type_hints(cls)
    for key, value in given.items():
        if key not in hints:
            names = ", ".join(sorted(hints)) or "none"
            raise ParameterError(f"node {node} has no parameter {key!r} (it has: {names})")
        if not fits(value, hints[key]):
            raise ParameterError(f"{node}.{key} cannot be {value!r:.80}: it is {wanted(hints[key])}")
    try:
        return cls(**given)
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(f"node {node}: {error}") from error


def fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` is of the type ``hint``: plain types, unions, tuples and mappings; numbers are finite.

    In a tuple an infinite number is an open end.
    """
    if hint is Any:
        return True
    if isinstance(hint, UnionType):
        return any(fits(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if inner[-1] is Ellipsis:
            return isinstance(value, tuple | list) and all(fits(v, inner[0]) for v in value)
        return (
            isinstance(value, tuple | list)
            and len(value) == len(inner)
            and all(v in (math.inf, -math.inf) or fits(v, h) for v, h in zip(value, inner, strict=True))
        )
    if get_origin(hint) is Mapping:
        return isinstance(value, Mapping)
    if hint in (float, int):
        number = isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
        return number and abs(value) <= sys.float_info.max
    return value is None if hint is NoneType else isinstance(value, hint)


_KINDS: Mapping[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    NoneType: "nothing",
}


def wanted(hint: Any) -> str:
    """What `fits` a ``hint``, in words."""
    if isinstance(hint, UnionType):
        return " or ".join(wanted(each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        first, *others = get_args(hint)
        if others[-1:] == [Ellipsis]:
            return f"a list, each {wanted(first)}"
        return f"a list of {1 + len(others)}: {', '.join(wanted(each) for each in (first, *others))}"
    return _KINDS.get(hint, "a table" if get_origin(hint) is Mapping else "something else")
