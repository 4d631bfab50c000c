"""What is done to a run, told to whoever keeps a log of it: each thing once, and before anybody else hears of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from photonstream.stream.helm import Helm
from photonstream.stream.hub import Hub
from photonstream.stream.orders import Parameters
from photonstream.stream.runner import Progress

OnDeed = Callable[[str, Mapping[str, Any], Progress], None]
OnParameters = Callable[[Parameters], None]


class Deeds:
    """Tells ``on_deed`` what is done, and ``on_parameters`` those of all nodes whenever they change (`Watch`)."""

    def __init__(
        self, helm: Helm, hub: Hub, on_deed: OnDeed | None, on_parameters: OnParameters | None
    ) -> None:
        self._helm = helm
        self._hub = hub
        self._on_deed = on_deed
        self._on_parameters = on_parameters
        self._parameters: Parameters | None = None
        self._epoch = self._restarts = 0

    def tell(self, what: str, **more: Any) -> None:
        """``what`` was done, in a word, and more of it."""
        if self._on_deed is not None:
            self._on_deed(what, more, Progress(self._hub.shown))

    def look(self) -> None:
        """Tell of restarts, of an epoch that has begun, and of parameters that have changed since the last look."""
        orders = self._helm.orders
        for restart in orders.restarts[self._restarts :]:
            self.tell("restart", **restart)
        self._restarts = len(orders.restarts)
        if orders.epoch != self._epoch:
            self._epoch = orders.epoch
            self.tell("epoch", epoch=orders.epoch, why=self._helm.why)
        if orders.parameters is not self._parameters:
            self._parameters = orders.parameters
            if self._on_parameters is not None:
                self._on_parameters(orders.parameters)
