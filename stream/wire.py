"""The wire format: one message is a msgpack header and the raw little-endian buffers of its arrays.

A message travels as frames. The first is a msgpack map with the protocol version ``v``, the ``kind`` and the
fields of that kind; wherever a field holds an array, an extension (code 1) stands for it: its frame, dtype and
shape, themselves as msgpack. The further frames are the arrays, C-contiguous. A checksum may stand behind them
(`sealed`). Nothing on the wire is ever executed or unpickled. docs/wire.md describes it for other languages.

Unknown fields are ignored, so later versions may add some; an unknown kind or version is refused.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import msgpack
import numpy as np
from numpy.typing import NDArray

PROTOCOL = 1
# What one message may hold: far above anything the nodes send, far below what would hurt a machine.
MOST_FRAMES = 256
MOST_HEADER_BYTES = 1 << 20
MOST_BYTES = 1 << 30
# Arrays below this size are copied: cheaper than keeping track of them.
COPY_BYTES = 65536
# Lists and maps stand within each other no deeper than this.
DEEPEST = 32
_ARRAY = 1
# Begins the frame of a checksum; CRC-32 (that of zlib) of all frames before it follows, four bytes, little-endian.
SEAL = b"checksum"
_SEAL_BYTES = len(SEAL) + 4
_DTYPES = frozenset(
    ["<u1", "<u2", "<u4", "<u8", "<i1", "<i2", "<i4", "<i8", "<f4", "<f8", "|u1", "|i1", "|b1"]
)

Frames = list[Any]


class WireError(ValueError):
    """Frames that are no message, or a message that cannot be sent; the text says why."""


@dataclass(frozen=True)
class Message:
    """Base of all messages; ``kind`` is how it is called on the wire."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Hello(Message):
    """A reader introduces itself: who it is and which protocol it speaks."""

    kind: ClassVar[str] = "HELLO"
    protocol: int
    reader: str


@dataclass(frozen=True)
class Open(Message):
    """A stream begins: run, epoch, what is known of it, every node's parameters, and the versions that wrote it.

    It comes again, with the next ``mark``, when the writer has to know whether what it sent has arrived.
    """

    kind: ClassVar[str] = "OPEN"
    run: str
    epoch: int
    writer: str
    policy: str
    info: Mapping[str, Any]
    facts: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)
    mark: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChunkSent(Message):
    """One chunk; ``number`` is its place in the writer's outbox, counted in each epoch. ``stamp``: see `Chunk`."""

    kind: ClassVar[str] = "CHUNK"
    epoch: int
    number: int
    sequence: int
    start: int
    stop: int
    events: int
    columns: Mapping[str, NDArray[Any]]
    stamp: int | None = None


@dataclass(frozen=True)
class GapSent(Message):
    """Where data were lost, with the cause."""

    kind: ClassVar[str] = "GAP"
    epoch: int
    number: int
    start: int
    stop: int
    cause: str


@dataclass(frozen=True)
class ResultSent(Message):
    """The whole present state of one (node, key). ``stamp``: see `Result`."""

    kind: ClassVar[str] = "RESULT"
    epoch: int
    number: int
    node: str
    key: str
    final: bool
    value: Mapping[str, Any]
    stamp: int | None = None


@dataclass(frozen=True)
class Need(Message):
    """What a reader says, again until it is answered: all before ``next`` has arrived, send up to ``limit``.

    ``mark`` is that of the last OPEN: all that was sent before that OPEN has arrived by now or is lost.
    """

    kind: ClassVar[str] = "NEED"
    epoch: int
    next: int
    limit: int
    mark: int = 0


@dataclass(frozen=True)
class Close(Message):
    """The stream of an epoch ends; ``number`` is one past its last message.

    On a `latest` stream it says that all results are final under the orders of ``version``; it may come again.
    """

    kind: ClassVar[str] = "CLOSE"
    epoch: int
    number: int
    reason: str
    version: int = 0


@dataclass(frozen=True)
class Error(Message):
    """Something was refused; the sender goes on."""

    kind: ClassVar[str] = "ERROR"
    text: str


@dataclass(frozen=True)
class Command(Message):
    """Somebody wants something of the run; ``number`` counts the commands of this sender, from 1.

    ``by`` says who, in a word, for the run's log. ``to`` is the name of the command socket that is meant: at its place
    there may be that of a later run by now.
    """

    kind: ClassVar[str] = "COMMAND"
    number: int
    name: str
    values: Mapping[str, Any]
    by: str | None = None
    to: str | None = None


@dataclass(frozen=True)
class Answer(Message):
    """Whether command ``number`` was carried out, and what there is to say about it."""

    kind: ClassVar[str] = "ANSWER"
    number: int
    ok: bool
    text: str


KINDS: Mapping[str, type[Message]] = {
    cls.kind: cls
    for cls in (Hello, Open, ChunkSent, GapSent, ResultSent, Need, Close, Error, Command, Answer)
}


# The names of the fields of each kind.
_FIELDS: Mapping[type[Message], Sequence[str]] = {
    cls: [f.name for f in fields(cls)] for cls in KINDS.values()
}
_UNNUMBERED = [name for name in _FIELDS[ResultSent] if name != "number"]
_NUMBER: bytes = msgpack.packb("number")


def encode(message: Message) -> Frames:
    """The frames of ``message``; arrays are not copied. Raises WireError for what cannot be sent."""
    return _encode(message, _FIELDS[type(message)])


class Numbered:
    """Frames of ``message`` with any number: what is sent to several readers is made only once.

    Raises WireError for what cannot be sent.
    """

    def __init__(self, message: ResultSent) -> None:
        header, *self._arrays = _encode(message, _UNNUMBERED)
        # A map of up to 15 fields begins with one byte, 0x80 and their number.
        self._begin, self._rest = bytes([header[0] + 1]) + _NUMBER, header[1:]

    def frames(self, number: int) -> Frames:
        """The message as number ``number``."""
        return [self._begin + msgpack.packb(number) + self._rest, *self._arrays]


def _encode(message: Message, names: Sequence[str]) -> Frames:
    """The frames of ``message`` with those of its fields that have ``names``."""
    arrays: list[NDArray[Any]] = []

    def stand_in(array: NDArray[Any]) -> msgpack.ExtType:
        arrays.append(array)
        return msgpack.ExtType(_ARRAY, msgpack.packb([len(arrays), array.dtype.str, list(array.shape)]))

    header: dict[str, Any] = {"v": PROTOCOL, "kind": message.kind}
    for name in names:
        if (value := getattr(message, name)) is not None:
            header[name] = _plain(value, stand_in, name)
    try:
        # The name of a file may hold bytes that are no text; they come out as they went in.
        packed = msgpack.packb(header, use_bin_type=True, unicode_errors="surrogateescape")
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"{message.kind} cannot be sent: {error}") from error
    if len(packed) > MOST_HEADER_BYTES or len(arrays) >= MOST_FRAMES:
        raise WireError(f"{message.kind} cannot be sent: {len(packed)} bytes of header, {len(arrays)} arrays")
    return [packed, *(array.reshape(-1).view(np.uint8).data for array in arrays)]


def chunk_as_received(message: ChunkSent) -> ChunkSent:
    """``message`` as its reader has it, without bytes in between: the columns are shared, and nobody writes them.

    Raises WireError for what cannot be sent.
    """
    columns = {name: _shared(_sendable(column, name)) for name, column in message.columns.items()}
    return replace(message, columns=columns)


def result_as_received(message: ResultSent) -> ResultSent:
    """``message`` as its reader has it, without bytes in between: plain values, and arrays that nobody writes.

    Arrays below COPY_BYTES are copied, so that the node may go on with its own; larger ones are shared. Raises
    WireError for what cannot be sent.
    """
    return replace(message, value=_plain(message.value, _shared_or_copied, "value"))


def _shared(array: NDArray[Any]) -> NDArray[Any]:
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def _shared_or_copied(array: NDArray[Any]) -> NDArray[Any]:
    return _shared(array.copy() if array.nbytes < COPY_BYTES else array)


def sealed(frames: Sequence[Any]) -> Frames:
    """``frames`` with their checksum behind them, for a way on which bytes may change."""
    return [*frames, SEAL + _checksum(frames)]


def sealed_in_one(frame: bytes) -> Frames:
    """The same for a message without arrays, in a single frame, which ZeroMQ sends as a whole or drops."""
    return [b"".join(sealed([frame]))]


def unsealed(frames: Sequence[Any]) -> Sequence[Any]:
    """``frames`` without their checksum; raises WireError where it is another one. They may have none."""
    if len(frames) == 1:
        whole = memoryview(frames[0])
        body, seal = whole[:-_SEAL_BYTES], bytes(whole[-_SEAL_BYTES:])
        # A wrong one cannot be told from the end of a text: it stays, and makes the header be none.
        return [body] if seal.startswith(SEAL) and seal == SEAL + _checksum([body]) else frames
    if not frames or memoryview(frames[-1]).nbytes != _SEAL_BYTES:
        return frames
    seal = bytes(frames[-1])
    if not seal.startswith(SEAL):
        return frames
    if seal.removeprefix(SEAL) != _checksum(frames[:-1]):
        raise WireError("its checksum is wrong: it changed on its way")
    return frames[:-1]


def _checksum(frames: Sequence[Any]) -> bytes:
    total = 0
    for frame in frames:
        total = zlib.crc32(frame, total)
    return total.to_bytes(4, "little")


_SCALARS = (bool, int, float, str, type(None))
_PLAIN_TYPES = frozenset(_SCALARS)


def _plain(value: Any, stand_in: Callable[[NDArray[Any]], Any], where: str) -> Any:
    """``value`` with arrays, made sendable, replaced by what ``stand_in`` gives, and only plain types besides."""
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, np.ndarray):
        return stand_in(_sendable(value, where))
    if isinstance(value, dict | Mapping):
        if not all(isinstance(key, str) for key in value):
            raise WireError(f"{where}: keys on the wire are texts")
        return {
            key: inner if type(inner) in _PLAIN_TYPES else _plain(inner, stand_in, f"{where}.{key}")
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(inner, stand_in, where) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, _SCALARS):
        return value
    raise WireError(f"{where}: {type(value).__name__} is not sent")


def _sendable(array: NDArray[Any], where: str) -> NDArray[Any]:
    """``array`` as its bytes are sent; itself where it is so already."""
    if array.flags.c_contiguous and array.dtype.str in _DTYPES:
        return array
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    if plain.dtype.str not in _DTYPES:
        raise WireError(f"{where}: arrays of {array.dtype} are not sent")
    return plain.reshape(array.shape)


def decode(frames: Sequence[Any]) -> Message:
    """The message of ``frames`` (anything with the buffer protocol), sealed or not; arrays are read-only views of them.

    Raises WireError, and nothing else, for whatever is no message of this protocol.
    """
    buffers = [memoryview(frame) for frame in unsealed(frames)]
    if not 1 <= len(buffers) <= MOST_FRAMES or sum(buffer.nbytes for buffer in buffers) > MOST_BYTES:
        raise WireError(
            f"{len(buffers)} frames of {sum(b.nbytes for b in buffers)} bytes are too few or too many"
        )
    if buffers[0].nbytes > MOST_HEADER_BYTES:
        raise WireError(f"a header of {buffers[0].nbytes} bytes is too long")
    used: set[int] = set()

    def array(code: int, data: bytes) -> NDArray[Any]:
        if code != _ARRAY:
            raise WireError(f"unknown extension {code}")
        return _array(data, buffers, used)

    try:
        header = msgpack.unpackb(
            buffers[0], ext_hook=array, raw=False, strict_map_key=True, unicode_errors="surrogateescape"
        )
    except WireError:
        raise
    # msgpack documents ValueError and its kin; a hostile header can also nest too deep or clash in its keys.
    except (ValueError, TypeError, RecursionError, OverflowError, UnicodeDecodeError) as error:
        raise WireError(f"the header is not msgpack: {error}") from error
    _check_values(header, DEEPEST)
    if len(used) != len(buffers) - 1:
        raise WireError(f"{len(buffers) - 1} arrays came, {len(used)} are named")
    return _message(header)


def _check_values(value: Any, depth: int) -> None:
    """Refuse what `encode` would not send: msgpack knows more types, and nests deeper, than this protocol."""
    if isinstance(value, dict | list):
        if not depth:
            raise WireError("lists and maps stand within each other too deep")
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            raise WireError("keys on the wire are texts")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_values(inner, depth - 1)
    elif not (type(value) in _PLAIN_TYPES or isinstance(value, np.ndarray)):
        raise WireError(f"{type(value).__name__} is not taken")


def _array(data: bytes, buffers: Sequence[memoryview], used: set[int]) -> NDArray[Any]:
    description = msgpack.unpackb(data)
    if not (isinstance(description, list) and len(description) == 3):
        raise WireError("an array is described by frame, dtype and shape")
    frame, dtype, shape = description
    if not isinstance(frame, int) or not 1 <= frame < len(buffers) or frame in used:
        raise WireError(f"there is no frame {frame!r} for an array, or it is named twice")
    if dtype not in _DTYPES:
        raise WireError(f"arrays of {dtype!r} are not taken")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 8:
        raise WireError(f"{shape!r} is no shape")
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if expected != buffers[frame].nbytes:
        raise WireError(f"an array of {expected} bytes came with {buffers[frame].nbytes}")
    used.add(frame)
    view: NDArray[Any] = np.frombuffer(buffers[frame], dtype).reshape(shape)
    view.flags.writeable = False
    return view


_TYPES: Mapping[str, type] = {
    "int": int,
    "int | None": int,
    "str": str,
    "str | None": str,
    "bool": bool,
    "Mapping": dict,
}
# Of each field of a kind its name, its type on the wire, and whether it may be left out.
_WANTED: Mapping[type[Message], Sequence[tuple[str, type, bool]]] = {
    cls: [(f.name, _TYPES[str(f.type).partition("[")[0]], f.default is None) for f in fields(cls)]
    for cls in KINDS.values()
}


def _message(header: Any) -> Message:
    if not isinstance(header, dict):
        raise WireError("the header is not a map")
    if header.get("v") != PROTOCOL:
        raise WireError(f"protocol {header.get('v')!r} is not spoken here, only {PROTOCOL}")
    cls = KINDS.get(header["kind"]) if isinstance(header.get("kind"), str) else None
    if cls is None:
        raise WireError(f"unknown kind {header.get('kind')!r}")
    given: dict[str, Any] = {}
    for name, wanted, optional in _WANTED[cls]:
        # What may be unknown is left out where it is.
        if name not in header and optional:
            continue
        if name not in header:
            raise WireError(f"{cls.kind} without {name}")
        value = header[name]
        # Not `isinstance`: bool is an int to Python; on the wire they are different things.
        if type(value) is not wanted:
            raise WireError(f"{cls.kind}.{name} is {type(value).__name__}, not {wanted.__name__}")
        given[name] = value
    _check(cls, given)
    return cls(**given)


def _check(cls: type[Message], given: Mapping[str, Any]) -> None:
    """Numbers count from 0, and columns are arrays of the same messages."""
    for name, wanted, _ in _WANTED[cls]:
        if wanted is int and name != "protocol" and given.get(name, 0) < 0:
            raise WireError(f"{cls.kind}.{name} is negative")
    if not all(isinstance(column, np.ndarray) for column in given.get("columns", {}).values()):
        raise WireError(f"{cls.kind}.columns holds something that is no array")
    for name, kind in (("versions", str), ("parameters", dict)):
        if not all(isinstance(value, kind) for value in given.get(name, {}).values()):
            raise WireError(f"{cls.kind}.{name} holds values of the wrong type")
