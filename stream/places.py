"""Where the sockets of one run are: a name of an endpoint for each output of each node, and for the orders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photonstream.stream.topology import TopologyError

# The system's bound for the path of a unix socket, in bytes.
MOST_PATH_BYTES = 107
MOST_PORT = 65535
# A node takes one port for its chunks and one for its results.
PORTS_A_NODE = 2


@dataclass(frozen=True, slots=True)
class Places:
    """The endpoints of the run called ``run``; made by `inproc`, `ipc` or `tcp`.

    With tcp, ``port`` is the first of the run, and node k of ``nodes`` has ``port`` + 2k for its chunks and
    ``port`` + 2k + 1 for its results; the port after the last node's is for the orders. ``hosts`` are those of nodes
    that are elsewhere.
    """

    run: str
    prefix: str
    port: int | None = None
    nodes: tuple[str, ...] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def inproc(cls, run: str) -> Places:
        """Between threads of one process."""
        return cls(run, f"inproc://{run}/")

    @classmethod
    def ipc(cls, folder: Path, run: str) -> Places:
        """Between processes of one machine, as socket files in ``folder``, which has to be there."""
        return cls(run, f"ipc://{folder.absolute()}/")

    @classmethod
    def tcp(
        cls, host: str, port: int, nodes: tuple[str, ...], run: str, hosts: Mapping[str, str] | None = None
    ) -> Places:
        """Over the network, from ``port`` on. Raises TopologyError where there are not as many ports."""
        last = port + PORTS_A_NODE * len(nodes)
        if port < 1 or last > MOST_PORT:
            raise TopologyError(
                f"port {port} cannot be: {len(nodes)} nodes and the orders take the ports {port} to {last}, "
                f"and there are 1 to {MOST_PORT}"
            )
        return cls(run, f"tcp://{host}:", port, nodes, hosts or {})

    def chunks(self, node: str) -> str:
        """Endpoint of the chunks of ``node``. Raises TopologyError where there can be none."""
        return self._of(node, 0, "chunks")

    def results(self, node: str) -> str:
        """Endpoint of the results of ``node``. Raises TopologyError where there can be none."""
        return self._of(node, 1, "results")

    def orders(self) -> str:
        """Endpoint at which the run gives its orders. Raises TopologyError where there can be none."""
        if self.port is not None:
            return f"{self.prefix}{self.port + PORTS_A_NODE * len(self.nodes)}"
        return self._file("run.orders")

    def _of(self, node: str, offset: int, output: str) -> str:
        if self.port is None:
            return self._file(f"{node}.{output}")
        if node not in self.nodes:
            raise TopologyError(f"node {node!r} has no port: the nodes are {', '.join(self.nodes)}")
        prefix = f"tcp://{self.hosts[node]}:" if node in self.hosts else self.prefix
        return f"{prefix}{self.port + PORTS_A_NODE * self.nodes.index(node) + offset}"

    def everything(self) -> list[str]:
        """The endpoints of a run over tcp."""
        return [self.orders(), *(place(node) for node in self.nodes for place in (self.chunks, self.results))]

    def _file(self, name: str) -> str:
        endpoint = self.prefix + name
        path = endpoint.removeprefix("ipc://")
        taken = len(os.fsencode(path))
        if path != endpoint and taken > MOST_PATH_BYTES:
            raise TopologyError(
                f"the socket {path} cannot be made: its path has {taken} bytes, and the system takes "
                f"{MOST_PATH_BYTES}; have the nodes listen in a folder with a shorter name"
            )
        return endpoint
