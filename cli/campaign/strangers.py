"""Somebody who does not belong to a run, and says every wrong thing to a socket of it.

It speaks ZeroMQ's protocol by itself (rfc.zeromq.org/spec/23), because the library would not let it speak wrongly.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from photonstream.stream.wire import (
    Answer,
    ChunkSent,
    Close,
    Command,
    Error,
    Hello,
    Message,
    Need,
    Open,
    ResultSent,
    WireError,
    decode,
    encode,
    sealed,
    unsealed,
)

Address = tuple[str, int]

# Well made, but from nobody who may say it, or at a time at which it makes no sense.
_OUT_OF_PLACE: tuple[Message, ...] = (
    Hello(1, "nobody"),
    Open("run", 3, "decode", "lossless", {"mode": "T3"}, {}),
    ChunkSent(0, 0, 0, 0, 10, 5, {}),
    ResultSent(0, 0, "decode", "counts", True, {"photons": 7}),
    Need(0, 10**9, 8),
    Need(99, 0, 4000),
    Close(0, 0, "end", 1),
    Command(7, "nonsense", {}),
    Answer(1, True, ""),
)
_MORE, _LONG, _COMMAND = 1, 2, 4
# No authentication, version 3.0; a DEALER.
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
# Longer than any header may be: such a message ends the connection.
_FAR_TOO_LONG = 2_000_000
PATIENCE_S = 20.0


def molest(place: Address, chance: random.Random) -> None:
    """Say all that is out of place to ``place``, each also broken in some way, and greet as nobody should.

    Raises ConnectionError where nobody listens.
    """
    for message in _OUT_OF_PLACE:
        with _connection(place) as connection, connection.makefile("rb") as stream:
            # Its greeting and the head of what it says then: what comes before that may never be read.
            stream.read(len(_GREETING) + 2)
            whole = [bytes(frame) for frame in sealed(encode(message))]
            # Whoever was told enough may hang up in the middle of it.
            with suppress(ConnectionError):
                for frames in (whole, _broken(chance, whole), whole):
                    connection.sendall(_framed(frames))
    for greeting in (chance.randbytes(64), _GREETING[:11]):
        with socket.create_connection(place, PATIENCE_S) as connection:
            connection.sendall(greeting)


def refusal(place: Address) -> str | None:
    """What ``place`` answers to nonsense; None where it takes it without a word."""
    with _connection(place) as connection, connection.makefile("rb") as stream:
        frames: list[bytes] = []
        stream.read(len(_GREETING))
        with suppress(OSError):
            while head := stream.read(1):
                size = int.from_bytes(stream.read(8 if head[0] & _LONG else 1), "big")
                content = stream.read(size)
                if head[0] & _COMMAND:
                    # It is ready: what comes earlier may end the connection instead.
                    connection.sendall(_framed([b"nonsense"]))
                    continue
                frames.append(content)
                if head[0] & _MORE:
                    continue
                with suppress(WireError):
                    message = decode(unsealed(frames))
                    if isinstance(message, Error):
                        return message.text
                frames = []
    return None


def _connection(place: Address) -> socket.socket:
    connection = socket.create_connection(place, PATIENCE_S)
    connection.sendall(_GREETING + bytes([_COMMAND, len(_READY)]) + _READY)
    return connection


def _framed(frames: Sequence[bytes]) -> bytes:
    """One message as it goes over the line."""
    heads = [_LONG | (_MORE if number < len(frames) else 0) for number in range(1, len(frames) + 1)]
    return b"".join(
        bytes([head]) + len(frame).to_bytes(8, "big") + frame
        for head, frame in zip(heads, frames, strict=True)
    )


def _broken(chance: random.Random, whole: Sequence[bytes]) -> list[bytes]:
    """The frames of a message with something wrong in them."""
    head, *rest = whole
    place = chance.randrange(len(head))
    ways: tuple[Callable[[], list[bytes]], ...] = (
        lambda: [head[:place] + bytes([head[place] ^ (1 << chance.randrange(8))]) + head[place + 1 :], *rest],
        lambda: [head[:place], *rest],
        lambda: [*rest, b""],
        lambda: [*whole, chance.randbytes(chance.randrange(2000))],
        lambda: [chance.randbytes(chance.randrange(3000)) for _ in range(chance.randrange(1, 5))],
        lambda: [head + bytes(chance.randrange(1, _FAR_TOO_LONG)), *rest],
    )
    return chance.choice(ways)()
