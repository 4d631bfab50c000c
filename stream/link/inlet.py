"""A socket at which other programs deliver messages of plain frames, and hear a word back."""

from __future__ import annotations

import errno

import zmq

from photonstream.stream.keys import Keys
from photonstream.stream.link.common import Waiter, bind, configure, new_context, take
from photonstream.stream.link.guard import Refusals


class Inlet:
    """A ROUTER at ``endpoint``, which has the port, for messages of up to ``most_bytes``; in a context of its own.

    What is not taken waits in memory: a sender that hears how far it is taken can bound that.
    Raises OSError where nothing can listen there, KeysError where that wants keys and there are none.
    """

    def __init__(self, endpoint: str, keys: Keys | None, most_bytes: int) -> None:
        self._context = new_context(keys)
        try:
            self._socket = self._context.socket(zmq.ROUTER)
            configure(self._socket, endpoint, most_bytes)
            self._socket.router_handover = True
            # So that one can hear whether a sender is still there.
            self._socket.router_mandatory = True
            self.endpoint = bind(self._socket, endpoint)
            self._refusals = Refusals(self._socket, endpoint)
        except BaseException:
            # The context waits for the admission, which closes its socket by itself: nobody else may.
            self._context.term()
            raise
        self._turned_away = 0
        self._waiter = Waiter()
        self._waiter.watch(self._socket)

    def wait(self, seconds: float) -> bool:
        """Until something has come, or for ``seconds``; whether something has."""
        return self._waiter.wait(seconds)

    def take(self) -> tuple[bytes, list[bytes]] | None:
        """Who has sent what, None where nothing has come. Never blocks."""
        came = take(self._socket)
        return None if came is None else (came[0], came[1:])

    @property
    def turned_away(self) -> int:
        """How often somebody was not let in, because of keys."""
        self._turned_away += self._refusals.new()
        return self._turned_away

    def say(self, sender: bytes, words: bytes) -> bool:
        """Tell ``sender``; False where it is not connected. One that does not listen misses it. Never blocks."""
        try:
            self._socket.send_multipart([sender, words], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return error.errno != errno.EHOSTUNREACH
        return True

    def stop(self) -> None:
        """Close it. What was said last is on its way."""
        if not self._socket.closed:
            self._refusals.stop()
            self._socket.close()
            self._context.term()
