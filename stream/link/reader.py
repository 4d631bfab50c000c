"""The side of a link that connects and reads."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

import zmq

from photonstream.stream.keys import KeysError
from photonstream.stream.link.common import (
    LONGEST_REPEAT_S,
    MOST_AT_ONCE,
    MOST_CREDIT,
    MOST_NAME,
    NOW,
    REPEAT_S,
    WINDOW,
    Clock,
    Context,
    Silence,
    configure,
    connect,
    has_come,
    take_uncopied,
)
from photonstream.stream.link.guard import Handshakes
from photonstream.stream.link.passing import passes, take_over
from photonstream.stream.wire import (
    MOST_BYTES,
    PROTOCOL,
    ChunkSent,
    Close,
    Error,
    GapSent,
    Hello,
    Message,
    Need,
    Open,
    ResultSent,
    WireError,
    decode,
    encode,
    sealed,
)


class LinkReader:
    """The side that connects. ``window`` messages may be under way.

    ``opening`` is the present OPEN, ``refused`` counts what came and was no message for a reader, ``refusal`` is the
    text of the last ERROR or of what was refused here, until the next OPEN.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        name: str,
        window: int = WINDOW,
        clock: Clock = time.monotonic,
    ) -> None:
        if not 1 <= window <= MOST_CREDIT:
            raise ValueError(f"a window of {window} messages is not within 1 to {MOST_CREDIT}")
        self.name = name
        self.endpoint = endpoint
        self._context = context
        self._passes = passes(endpoint)
        self.refused = 0
        self.refusal: str | None = None
        self.opening: Open | None = None
        self._clock = clock
        self._window = window
        self._next = 0
        self._read = 0
        self._granted = 0
        self._mark = 0
        self._quiet_since_s = self._hello_s = -REPEAT_S
        self._patience_s = REPEAT_S
        self._silence = Silence(clock) if endpoint.startswith("tcp:") else None
        self.socket = context.socket(zmq.DEALER)
        configure(self.socket, endpoint, MOST_BYTES)
        # What a reader says is repeated: of what a dead writer did not hear, the last few words are enough.
        self.socket.sndhwm = 4
        self.socket.identity = secrets.token_hex(16).encode()
        # Before it connects: a first try that is refused may be the last one.
        self._handshakes = Handshakes(self.socket, endpoint) if endpoint.startswith("tcp:") else None
        try:
            connect(self.socket, endpoint)
        except (OSError, KeysError):
            if self._handshakes is not None:
                self._handshakes.stop()
            raise
        self._speak()

    def receive(self) -> Iterator[Message]:
        """What has arrived, in order and without repetition: OPEN, CHUNK, GAP, RESULT, CLOSE. Never blocks.

        Each message but OPEN takes one place of the window until `done` is called for it. Arrays are read-only views
        of what arrived and stay valid as long as they are held. To be called, and read to its end, at least every
        REPEAT_S: it also says again what the writer may have missed. Raises KeysError where the writer was never
        reached because of keys that are wrong or missing.
        """
        if self._handshakes is not None:
            self._look_at_handshakes(self._handshakes)
        for _ in range(MOST_AT_ONCE):
            frames = take_uncopied(self.socket)
            if frames is None:
                break
            try:
                buffers: Sequence[Any] = [frame.buffer for frame in frames]
                passed = take_over(self._context, buffers) if self._passes else None
                message = decode(buffers) if passed is None else passed
                accepted = self._accept(message)
            except WireError as error:
                self.refused += 1
                self.refusal = str(error)[:MOST_NAME]
                continue
            # Nonsense is no word, nor is what answers our own: after a size that was wrong either may go on for ever.
            if self._silence is not None and not isinstance(message, Error):
                self._silence.ends()
            if accepted:
                yield message
        if self._clock() - self._quiet_since_s >= self._patience_s:
            # While nothing happens it is said less and less often: what is lost then is found a little later.
            patience_s = min(LONGEST_REPEAT_S, 1.5 * self._patience_s)
            self._speak()
            self._patience_s = patience_s if self.opening is not None else REPEAT_S
            if self._silence is not None:
                self._break_silence(self._silence)

    @property
    def descriptor(self) -> int:
        """For an event loop of one's own: ready to be read when something may have come.

        It says so once for all that has come: `receive` has to be read to its end, and until nothing is `pending`.
        """
        return int(self.socket.fileno())

    @property
    def pending(self) -> bool:
        """Whether there is something to `receive` by now."""
        return has_come(self.socket)

    def _accept(self, message: Message) -> bool:
        if isinstance(message, Open):
            return self._open(message)
        if isinstance(message, Error):
            # The writer does not know us (any more): introduce ourselves again, but not in a tight circle.
            self.refusal = message.text[:MOST_NAME]
            if self._clock() - self._hello_s >= REPEAT_S:
                self._hello()
            return False
        if not isinstance(message, ChunkSent | GapSent | ResultSent | Close):
            raise WireError(f"{message.kind} is nothing that a writer says")
        if self.opening is None or message.epoch != self.opening.epoch or message.number != self._next:
            return False
        self._next += 1
        self._quiet_since_s = self._clock()
        self._patience_s = REPEAT_S
        if isinstance(message, Close) or (isinstance(message, ResultSent) and message.final):
            # Somebody waits for this one to have arrived.
            self._speak()
        return True

    def _open(self, message: Open) -> bool:
        known = self.opening
        if known is not None and message.run == known.run and message.epoch <= known.epoch:
            if message.epoch == known.epoch and message.mark != self._mark:
                self._mark = message.mark
                self._speak()
            return False
        self.opening = message
        self._patience_s = REPEAT_S
        self.refusal = None
        self._next = self._read = self._granted = 0
        self._mark = message.mark
        self._speak()
        return True

    def done(self) -> None:
        """One more message has been dealt with: its place in the window is free."""
        # Those of an epoch that has ended meanwhile do not count.
        self._read = min(self._read + 1, self._next)
        if self._read + self._window - self._granted >= max(1, self._window // 2):
            self._speak()

    def _speak(self) -> None:
        if self.opening is None:
            self._hello()
            return
        self._granted = self._read + self._window
        self._send(Need(self.opening.epoch, self._next, self._granted, self._mark))

    def _hello(self) -> None:
        self._hello_s = self._clock()
        self._send(Hello(PROTOCOL, self.name))

    def _send(self, message: Message) -> None:
        self._quiet_since_s = self._clock()
        try:
            frames = encode(message)
            self.socket.send_multipart(frames if self._passes else sealed(frames), NOW)
        except zmq.Again:
            watched = self._handshakes
            if self._passes or (watched is not None and (watched.given_up or watched.lost)):
                self._connect_again()

    def _look_at_handshakes(self, handshakes: Handshakes) -> None:
        handshakes.look()
        refusal = handshakes.refusal
        if refusal is None:
            return
        if self.opening is None:
            raise KeysError(refusal)
        # A writer that was known has come back with other keys: who is at fault there is told there.
        self.refusal = refusal[:MOST_NAME]

    def _break_silence(self, silence: Silence) -> None:
        """A writer may have nothing to say, but it answers a HELLO: else the connection is dead without an end.

        One that has no epoch yet answers nothing; its first answer may be what was corrupted.
        """
        if silence.too_long:
            self._connect_again()
        if silence.lasts_s >= LONGEST_REPEAT_S and self.opening is not None:
            self._hello()

    def _connect_again(self) -> None:
        """ZeroMQ does not do this by itself between threads, where a writer that ended leaves no connection.

        Nor where the other end has said that it will have none, or what came could not be read any more.
        """
        # A connection that is only full ends here too; one that is gone already is no error.
        with contextlib.suppress(zmq.ZMQError):
            self.socket.disconnect(self.endpoint)
        self.socket.connect(self.endpoint)

    def stop(self) -> None:
        """Close the socket."""
        if self._handshakes is not None:
            self._handshakes.stop()
        self.socket.close()
