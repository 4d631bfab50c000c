"""Between threads of one process a message passes by reference: what travels is a ticket for it.

A ticket can be cashed once, and only where the context is that it was made for; so the message lives as long as
somebody is to take it, and no longer than the run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from photonstream.stream.link.common import Context
from photonstream.stream.wire import Message

# No message begins like this: the header of one is a msgpack map.
MARK = b"\xc1ticket"

_waiting: WeakKeyDictionary[Context, dict[bytes, Message]] = WeakKeyDictionary()
_numbers = itertools.count()


def passes(endpoint: str) -> bool:
    """Whether both ends of ``endpoint`` are in one process."""
    return endpoint.startswith("inproc:")


def hand_over(context: Context, message: Message) -> bytes:
    """A ticket for ``message``."""
    ticket = MARK + str(next(_numbers)).encode()
    _waiting.setdefault(context, {})[ticket] = message
    return ticket


def take_over(context: Context, frames: Sequence[Any]) -> Message | None:
    """The message for which ``frames`` are a ticket; None where they are none, or one that was cashed."""
    if len(frames) != 1:
        return None
    ticket = bytes(frames[0])
    return _waiting.get(context, {}).pop(ticket, None) if ticket.startswith(MARK) else None
