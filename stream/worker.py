"""The work of one node: the right loop for it, until the run is over."""

from __future__ import annotations

from collections.abc import Callable

from photonstream.stream.link import Context
from photonstream.stream.loop import Loop
from photonstream.stream.node import PhotonNode, Source, blame
from photonstream.stream.photon_loop import PhotonLoop, SourceLoop
from photonstream.stream.places import Places
from photonstream.stream.result_loop import ResultLoop
from photonstream.stream.topology import Topology, TopologyError, node_class


def work(
    context: Context,
    topology: Topology,
    name: str,
    places: Places,
    finish: Callable[[], bool] = lambda: False,
) -> None:
    """Run node ``name`` at its links until its run is over or ``finish`` says so.

    Raises TopologyError where there is no such node, and what goes wrong in it.
    """
    spec = next((spec for spec in topology.nodes if spec.name == name), None)
    if spec is None:
        names = ", ".join(spec.name for spec in topology.nodes)
        raise TopologyError(f"there is no node {name!r} (there are: {names})")
    readers = [
        other.name
        for other in topology.nodes
        if name in other.inputs and issubclass(node_class(other.kind), PhotonNode)
    ]
    cls = node_class(spec.kind)
    loop: Loop
    if issubclass(cls, Source):
        loop = SourceLoop(context, spec, places, readers)
    elif issubclass(cls, PhotonNode):
        loop = PhotonLoop(context, spec, places, readers)
    else:
        loop = ResultLoop(context, spec, places)
    with blame(name):
        loop.run(finish)
