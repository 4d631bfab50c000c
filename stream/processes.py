"""Runs a topology as one process a node, started by this one and ended with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from photonstream.stream.link import Context
from photonstream.stream.link.common import unlink
from photonstream.stream.places import Places
from photonstream.stream.runner import Outcome
from photonstream.stream.supervisor import PlacedRunner
from photonstream.stream.topology import NodeSpec, Topology
from photonstream.stream.topology_file import IPC, TopologyFile, dump_topology

# Makes the command of a node's process from the topology file and the node's name.
NodeCommand = Callable[[Path, str], Sequence[str]]


class ProcessesRunner(PlacedRunner):
    """The same run as `InlineRunner`, with the same results, as one process a node.

    ``file`` says where the nodes listen and which of them somebody starts by hand; ``command`` starts one.
    """

    def __init__(self, file: TopologyFile, *, command: NodeCommand, **options: Any) -> None:
        super().__init__(file.topology, **options)
        self._file = file
        self._command_of = command
        self._by_hand = file.by_hand

    def _needs_children(self) -> bool:
        return True

    def _places(self, run: str) -> Places:
        assert self._children is not None
        # Parameters travel with the orders; a node's process needs to know only who it is and where the others are.
        bare = Topology(tuple(NodeSpec(spec.name, spec.kind, spec.inputs) for spec in self._topology.nodes))
        listen = f"ipc://{self._children.folder}" if self._file.listen == IPC else self._file.listen
        file = TopologyFile(bare, "processes", listen, self._by_hand, self._file.hosts)
        self._place = self._children.folder / "topology.toml"
        self._place.write_text(dump_topology(file), encoding="utf-8")
        return file.places(run)

    def run(self) -> Outcome:
        try:
            return super().run()
        finally:
            # In a folder of somebody else, what a killed node has left there.
            if self._file.listen != IPC:
                places = self._file.places("")
                for name in self._nodes.keys() - self._by_hand:
                    unlink(places.chunks(name))
                    unlink(places.results(name))

    def _start(self, context: Context, places: Places) -> None:
        for name in self._nodes:
            if name not in self._by_hand:
                self._start_again(name)

    def _start_again(self, name: str) -> None:
        assert self._children is not None
        self._children.start(name, self._command_of(self._place, name))
