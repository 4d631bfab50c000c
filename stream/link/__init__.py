"""The credit link: messages from one writer to its readers, none lost silently, none faster than they are read.

A reader (DEALER) says HELLO until the writer (ROUTER) answers with OPEN. From then on it says only
``NEED(epoch, next, limit, mark)``: all before ``next`` has arrived, messages up to ``limit`` may come, and OPEN number
``mark`` was the last one heard. It says so when it has read, and again every REPEAT_S while nothing comes.

A connection delivers in order or is cut, so what is lost is found without guessing at times. When the writer hears the
same NEED again although it has sent more, it stops, sends OPEN with a new mark behind all that, and goes on from the
``next`` of the NEED that brings the mark back: what had not arrived before that OPEN is lost. A slow connection costs
one small message more, never a chunk twice. What a reader has already it drops. docs/wire.md has the rules in full.

Two kinds of writer:

- `LosslessWriter`: every message in order to every named reader. What is not acknowledged by all is kept; without
  credit there is no ``room`` and the producer has to wait. A reader that was restarted asks for a number that is no
  longer kept: ``behind`` names it, and the run has to begin a new epoch.
- `LatestWriter`: the newest result of each (node, key) to whoever connects; a newer one replaces an older one that
  was not sent yet, and the replaced ones are counted.

One socket belongs to one object and one thread. What is no message of the protocol, or comes from a stranger, is
refused with an ERROR and counted; it never ends the link. Arrays that were put are sent without a copy, also later and
again: nobody may change them.
"""

from photonstream.stream.link.common import REPEAT_S, RESULTS_WINDOW, WINDOW, Context, Waiter, new_context
from photonstream.stream.link.reader import LinkReader
from photonstream.stream.link.writers import LatestWriter, LosslessWriter

__all__ = [
    "REPEAT_S",
    "RESULTS_WINDOW",
    "WINDOW",
    "Context",
    "LatestWriter",
    "LinkReader",
    "LosslessWriter",
    "Waiter",
    "new_context",
]
