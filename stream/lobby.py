"""Before a run can begin: whoever watches is told what its source waits for, and may end it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from photonstream.stream.chunk import Result
from photonstream.stream.control import CommandServer
from photonstream.stream.hub import HUB
from photonstream.stream.link import LatestWriter, Waiter
from photonstream.stream.loop import STATUS
from photonstream.stream.orders import Parameters
from photonstream.stream.wire import Open


class Lobby:
    """Speaks at the address of a run in its place; nothing is known yet of any recording.

    ``stop_asked`` when somebody wants the end.
    """

    def __init__(self, public: LatestWriter, control: CommandServer, parameters: Parameters) -> None:
        self.stop_asked = False
        self._public = public
        self._control = control
        self._parameters = parameters
        self._says: str | None = None
        self._refused = 0
        self._waiter = Waiter()
        for socket in (public.socket, control.socket):
            self._waiter.watch(socket)
        versions = {"photonstream": version("photonstream")}
        # The run itself takes this one's place with a name of its own.
        name = secrets.token_hex(8)
        public.open(Open(name, 0, HUB, "latest", {}, control.facts, versions, parameters=parameters))

    def wait(self, says: str, seconds: float) -> None:
        """For so long, unless somebody says something; ``says``: what the source waits for."""
        refused = self._public.refused + self._control.refused
        if (says, refused) != (self._says, self._refused):
            self._says, self._refused = says, refused
            self._public.put(Result(HUB, STATUS, waiting_status(says, self._parameters, refused)))
        self._waiter.wait(seconds)
        self._control.service(self._command)
        self._public.service()

    def _command(self, name: str, values: Mapping[str, Any], by: str) -> tuple[bool, str]:
        if name == "stop":
            self.stop_asked = True
        if name in ("hello", "stop"):
            return True, ""
        return False, f"there is no recording yet: {self._says}"


def waiting_status(says: str, parameters: Parameters, refused: int = 0) -> dict[str, Any]:
    """How a run is that cannot begin."""
    return {
        "epoch": 0,
        "state": "waiting",
        "says": says,
        "clocked": False,
        "catching_up": False,
        "place_s": None,
        "lag_s": None,
        "speed": None,
        "restarts": [],
        "refused": refused,
        "waiting_for": [],
        "problems": [],
        "parameters": parameters,
    }
