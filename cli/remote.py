"""A run that is at work elsewhere: what it says, and the commands that it takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from photonstream.dashboard.latest import RUN, STATUS, Latest
from photonstream.stream.commands import DEVICE
from photonstream.stream.control import CommandClient, socket_of
from photonstream.stream.keys import Keys
from photonstream.stream.link import RESULTS_WINDOW, LinkReader, Waiter, new_context
from photonstream.stream.node import ParameterError
from photonstream.stream.wire import WireError

# So long a run may say nothing before it is taken for none.
PATIENCE_S = 5.0
# All that it has said so far follows at once; so long after the last of it nothing more is expected.
QUIET_S = 0.3
WAIT_S = 0.1


class Remote:
    """The run that publishes at ``address``; raises ParameterError where none answers there."""

    def __init__(self, address: str, keys: Keys | None = None) -> None:
        self._address = address
        self._context = new_context(keys)
        self._latest = Latest()
        self._reader = LinkReader(self._context, address, "ctl", RESULTS_WINDOW)
        self._client: CommandClient | None = None

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.stop()
        self._reader.stop()
        self._context.term()

    def latest(self) -> Latest:
        """All that it has said so far."""
        self.parameters()
        until = time.monotonic() + PATIENCE_S
        heard = time.monotonic()
        # It may go on saying new things for ever.
        while time.monotonic() < min(heard + QUIET_S, until):
            if self._hear():
                heard = time.monotonic()
        return self._latest

    def hear(self) -> Latest:
        """What it has said by now, or says within a moment."""
        self._hear()
        return self._latest

    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Those of its nodes, as they are now, and the settings of its device where one is recorded."""
        until = time.monotonic() + PATIENCE_S
        while not self._latest.value(RUN, STATUS):
            if time.monotonic() > until:
                raise ParameterError(f"no run answers at {self._address}")
            self._hear()
        if self._latest.link(time.monotonic()) == "ended":
            raise ParameterError(f"the run at {self._address} has ended")
        status = self._latest.value(RUN, STATUS)
        found: Mapping[str, Mapping[str, Any]] = status.get("parameters", {})
        device = status.get("device")
        return found if device is None else {**found, DEVICE: device["settings"]}

    def ask(self, name: str, values: Mapping[str, Any]) -> tuple[bool, str]:
        """Give a command; whether it was done, and what the run says of it."""
        self.parameters()
        client = self._commands()
        try:
            client.send(name, values)
        except WireError as error:
            raise ParameterError(str(error)) from error
        until = time.monotonic() + PATIENCE_S
        with_answer = Waiter()
        with_answer.watch(client.socket)
        while not (answers := client.receive()):
            if client.refusal is not None:
                raise ParameterError(f"the run does not understand: {client.refusal}")
            if time.monotonic() > until:
                raise ParameterError(
                    f"the run at {self._address} does not answer; whether that was done is not known"
                )
            with_answer.wait(WAIT_S)
            self._hear(0.0)
        return answers[0]

    def _commands(self) -> CommandClient:
        opening = self._latest.opening
        found = socket_of(opening.facts) if opening is not None else None
        if found is None:
            raise ParameterError(f"the run at {self._address} takes no commands")
        if self._client is None:
            endpoint, name = found
            self._client = CommandClient(self._context, endpoint, by="ctl", to=name)
        return self._client

    def _hear(self, wait_s: float = WAIT_S) -> bool:
        waiter = Waiter()
        waiter.watch(self._reader.socket)
        if wait_s and not self._reader.pending:
            waiter.wait(wait_s)
        heard = False
        for message in self._reader.receive():
            self._latest.hear(message, time.monotonic())
            self._reader.done()
            heard = True
        return heard
