"""Messages between threads: by reference, once, and never by a ticket that somebody made up."""

import gc
import weakref

import numpy as np
import pytest

from photonstream.stream.link import LosslessWriter, Waiter, new_context
from photonstream.stream.link.passing import MARK, hand_over, take_over
from photonstream.stream.link.reader import LinkReader
from photonstream.stream.wire import ChunkSent, Close, Open, WireError, decode


def test_a_ticket_is_cashed_once_and_where_it_was_made():
    here, elsewhere = new_context(), new_context()
    message = Close(0, 0, "end")
    ticket = hand_over(here, message)
    assert take_over(elsewhere, [ticket]) is None
    assert take_over(here, [ticket]) is message
    for again in ([ticket], [MARK + b"1000000"], [MARK]):
        assert take_over(here, again) is None
        with pytest.raises(WireError):
            decode(again)
    here.term()
    elsewhere.term()


def test_nothing_waits_longer_than_its_context():
    context = new_context()
    kept = np.zeros(100_000)
    gone = weakref.ref(kept)
    hand_over(context, ChunkSent(0, 0, 0, 0, 10, 5, {"macrotime": kept}))
    context.term()
    del kept, context
    gc.collect()
    assert gone() is None


def test_a_large_column_is_the_same_memory_at_the_other_end():
    context = new_context()
    writer = LosslessWriter(context, "inproc://line", ["reader"])
    reader = LinkReader(context, "inproc://line", "reader")
    column = np.arange(100_000, dtype=np.uint64)
    writer.open(Open("run", 0, "decode", "lossless", {}, {}))
    waiter = Waiter()
    waiter.watch(writer.socket)
    waiter.watch(reader.socket)
    sent, came = False, []
    while not came:
        waiter.wait(1.0)
        writer.service()
        if not sent and writer.room:
            writer.put(ChunkSent(0, 0, 0, 0, 10, 5, {"macrotime": column}))
            sent = True
        came = [message for message in reader.receive() if isinstance(message, ChunkSent)]
    assert np.shares_memory(came[0].columns["macrotime"], column)
    reader.stop()
    writer.stop()
    context.term()
