"""The command socket: what somebody at a page or a terminal wants of the run, and what became of it.

A client (DEALER) numbers its commands and says each again until the run (ROUTER) has answered it. A command that comes
twice is carried out once: the second time it gets the first one's answer. One that was meant for an earlier run at the
same place, which may have carried it out, is refused.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zmq

from photonstream.stream.link import REPEAT_S, Context
from photonstream.stream.link.common import (
    MOST_AT_ONCE,
    MOST_NAME,
    Clock,
    Silence,
    bind,
    configure,
    connect,
    take,
    unlink,
)
from photonstream.stream.link.guard import Refusals
from photonstream.stream.wire import (
    MOST_HEADER_BYTES,
    Answer,
    Command,
    Error,
    Message,
    WireError,
    decode,
    encode,
    sealed,
    sealed_in_one,
    unsealed,
)

# Of how many clients the last answers are remembered, and how many of each. Every `ctl` is a client.
MOST_CLIENTS = 1024
MOST_ANSWERS = 16
# Characters of an answer: what is said of a command may quote it, and that may be long.
MOST_TEXT = 1000

# Characters of the word that says who gives commands.
MOST_BY = 40

# In the facts of a run: where its command socket is, and its name.
ENDPOINT, NAME = "control", "control_name"
GONE = "it was meant for the run that was here before"


def socket_of(facts: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Endpoint and name of the command socket of a run that says these ``facts``; None: it takes no commands."""
    endpoint, name = facts.get(ENDPOINT), facts.get(NAME)
    return (endpoint, name if isinstance(name, str) else None) if isinstance(endpoint, str) else None


# Carries out one command: name, values and who gave it ("": did not say) to (done?, what there is to say).
Handler = Callable[[str, Mapping[str, Any], str], tuple[bool, str]]


class CommandServer:
    """The side of the run. What is no command is refused with an ERROR and counted, as is who may not come in.

    ``name`` is new in each life of a command socket.
    """

    def __init__(self, context: Context, endpoint: str) -> None:
        self.refused = 0
        self.name = secrets.token_hex(8)
        self._answers: OrderedDict[bytes, OrderedDict[int, Answer]] = OrderedDict()
        self.socket = context.socket(zmq.ROUTER)
        configure(self.socket, endpoint, MOST_HEADER_BYTES)
        self.socket.router_handover = True
        self.endpoint = bind(self.socket, endpoint)
        self._refusals = Refusals(self.socket, endpoint)

    @property
    def facts(self) -> dict[str, str]:
        """What a run says of it in its OPEN."""
        return {ENDPOINT: self.endpoint, NAME: self.name}

    def service(self, handle: Handler) -> None:
        """Carry out what has come. Never blocks; ``handle`` answers for whatever goes wrong in it."""
        self.refused += self._refusals.new()
        for _ in range(MOST_AT_ONCE):
            came = take(self.socket)
            if came is None:
                return
            identity, *frames = came
            try:
                frames = list(unsealed(frames))
                if len(frames) > 1:
                    raise WireError("a command brings no arrays")
                answer: Message = self._answer(identity, decode(frames), handle)
            except WireError as error:
                self.refused += 1
                answer = Error(str(error)[:MOST_NAME])
            self.socket.send_multipart([identity, *sealed(encode(answer))], zmq.NOBLOCK)

    def _answer(self, identity: bytes, message: Message, handle: Handler) -> Answer:
        if not isinstance(message, Command):
            raise WireError(f"{message.kind} is no command")
        if message.to not in (None, self.name):
            return Answer(message.number, False, GONE)
        answers = self._answers.setdefault(identity, OrderedDict())
        self._answers.move_to_end(identity)
        if len(self._answers) > MOST_CLIENTS:
            self._answers.popitem(last=False)
        number = message.number
        if number in answers:
            return answers[number]
        if answers and number < next(reversed(answers)):
            raise WireError(f"command {number} comes after {next(reversed(answers))}")
        ok, text = handle(message.name, message.values, (message.by or "")[:MOST_BY])
        answers[number] = Answer(number, ok, text[:MOST_TEXT])
        if len(answers) > MOST_ANSWERS:
            answers.popitem(last=False)
        return answers[number]

    def stop(self) -> None:
        """Close the socket; the file of an ipc endpoint goes too."""
        if self.socket.closed:
            return
        self._refusals.stop()
        self.socket.close()
        unlink(self.endpoint, own=True)


@dataclass
class _Asked:
    message: Command
    said_s: float


class CommandClient:
    """The side of a page: `send` any number of commands, `receive` their answers.

    ``refused`` counts what came and was no answer, ``refusal`` is the text of the last ERROR. ``by`` says in a word who
    gives the commands, ``to`` which run is meant, by the name of its command socket.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        clock: Clock = time.monotonic,
        by: str | None = None,
        to: str | None = None,
    ) -> None:
        self.refused = 0
        self.refusal: str | None = None
        self._clock = clock
        self._by = by
        self._to = to
        self._count = 0
        self._asked: OrderedDict[int, _Asked] = OrderedDict()
        self._endpoint = endpoint
        self._silence = Silence(clock)
        self.socket = context.socket(zmq.DEALER)
        configure(self.socket, endpoint, MOST_HEADER_BYTES)
        # A command is repeated: a run that comes back need not hear it more often than this.
        self.socket.sndhwm = 4
        self.socket.identity = secrets.token_hex(16).encode()
        connect(self.socket, endpoint)

    @property
    def waiting(self) -> int:
        """How many commands have no answer yet."""
        return len(self._asked)

    def send(self, name: str, values: Mapping[str, Any]) -> None:
        """Say a command; raises WireError for values that cannot be sent. It is repeated by `receive`."""
        asked = _Asked(Command(self._count + 1, name, dict(values), self._by, self._to), self._clock())
        if len(encode(asked.message)) > 1:
            raise WireError("a command brings no arrays")
        self._count += 1
        self._asked[self._count] = asked
        # One after the other: the run takes a later command as proof that the earlier ones have arrived.
        if len(self._asked) == 1:
            self._say(asked)

    def receive(self) -> list[tuple[bool, str]]:
        """The answers that have come since, in the order of the commands. Never blocks; to be called now and then."""
        answers = []
        for _ in range(MOST_AT_ONCE):
            frames = take(self.socket)
            if frames is None:
                break
            try:
                message = decode(frames)
                answer = self._answer(message)
            except WireError:
                self.refused += 1
                continue
            # As a reader does: what is always refused is perhaps not what was said.
            if not isinstance(message, Error):
                self._silence.ends()
            if answer is not None:
                answers.append((answer.ok, answer.text))
                if self._asked:
                    self._say(next(iter(self._asked.values())))
        first = next(iter(self._asked.values()), None)
        if first is None:
            self._silence.ends()
        elif self._clock() - first.said_s >= REPEAT_S:
            if self._silence.too_long:
                self._connect_again()
            self._say(first)
        return answers

    def _connect_again(self) -> None:
        """ZeroMQ does not where what came could not be read, and nobody notices a size that is wrong."""
        with contextlib.suppress(zmq.ZMQError):
            self.socket.disconnect(self._endpoint)
        self.socket.connect(self._endpoint)

    def _answer(self, message: Message) -> Answer | None:
        """``message``, if it is the answer that is waited for; the answer to a repetition is None."""
        if isinstance(message, Error):
            self.refusal = message.text[:MOST_TEXT]
            return None
        if not isinstance(message, Answer):
            raise WireError(f"{message.kind} is no answer")
        # Only the first of those that wait has been said.
        said = next(iter(self._asked), self._count)
        if message.number > said:
            raise WireError(f"command {message.number} has not been given")
        return message if self._asked.pop(message.number, None) is not None else None

    def _say(self, asked: _Asked) -> None:
        asked.said_s = self._clock()
        try:
            # As one frame: a second one that is not sent yet when the connection is given up, and ends at that moment,
            # would end this process.
            self.socket.send_multipart(sealed_in_one(*encode(asked.message)), zmq.NOBLOCK)
        except zmq.Again:
            # Nobody there, or not yet: it is said again.
            return

    def stop(self) -> None:
        """Close the socket; commands without an answer are given up."""
        self.socket.close()
