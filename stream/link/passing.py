"""Between threads of one process a large message passes by reference: what travels is a ticket for its frames.

A ticket can be cashed once, and only where the context is that it was made for; so the frames live as long as somebody
is to take them, and no longer than the run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from photonstream.stream.link.common import Context
from photonstream.stream.wire import Frames

# No message begins like this: the header of one is a msgpack map.
MARK = b"\xc1ticket"

_waiting: WeakKeyDictionary[Context, dict[bytes, Frames]] = WeakKeyDictionary()
_numbers = itertools.count()


def passes(endpoint: str) -> bool:
    """Whether both ends of ``endpoint`` are in one process."""
    return endpoint.startswith("inproc:")


def hand_over(context: Context, frames: Frames) -> bytes:
    """A ticket for ``frames``."""
    ticket = MARK + str(next(_numbers)).encode()
    _waiting.setdefault(context, {})[ticket] = frames
    return ticket


def take_over(context: Context, frames: Sequence[Any]) -> Sequence[Any]:
    """The frames for which ``frames`` is a ticket; ``frames`` itself where it is none, or one that was cashed."""
    if len(frames) != 1:
        return frames
    ticket = bytes(frames[0])
    return _waiting.get(context, {}).pop(ticket, frames) if ticket.startswith(MARK) else frames
