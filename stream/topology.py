"""Which nodes there are and how they are joined: frozen, checked before anything starts."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import EntryPoints, entry_points
from typing import Any

from photonstream.stream.node import Node, PhotonNode, ResultNode, Source, make_parameters

NODE_GROUP = "photonstream.nodes"


class TopologyError(ValueError):
    """Nodes that cannot be joined as asked; the text says which and why."""


@dataclass(frozen=True)
class NodeSpec:
    """One node: its name, its kind (an entry point of ``photonstream.nodes``), what it reads, its parameters."""

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """Nodes in an order in which each stands after its inputs; the first one is the source."""

    nodes: tuple[NodeSpec, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for spec in self.nodes:
            if spec.name in seen:
                raise TopologyError(f"two nodes are called {spec.name!r}")
            for name in spec.inputs:
                if name not in seen:
                    raise TopologyError(f"node {spec.name!r} reads {name!r}, which does not stand before it")
            seen.add(spec.name)


@functools.cache
def registered() -> EntryPoints:
    """The kinds of nodes that the installed distributions offer; looking through them all takes a while."""
    return entry_points(group=NODE_GROUP)


def node_class(kind: str) -> type[Node[Any]]:
    """The class registered for ``kind``; raises TopologyError where there is none or it cannot be loaded."""
    found = registered()
    if kind not in found.names:
        raise TopologyError(f"no node of kind {kind!r} (known: {', '.join(sorted(found.names))})")
    try:
        cls = found[kind].load()
    except Exception as error:
        # Somebody else's module: whatever is wrong in it.
        raise TopologyError(
            f"node kind {kind!r} ({found[kind].value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Node)):
        raise TopologyError(f"node kind {kind!r} is registered as {cls!r}, which is not a node")
    return cls


def build(topology: Topology) -> dict[str, Node[Any]]:
    """Make the nodes of ``topology``, in its order.

    Raises TopologyError where a photon node has not exactly one input or a node does not read what it needs,
    ParameterError for bad parameters.
    """
    nodes: dict[str, Node[Any]] = {}
    for spec in topology.nodes:
        cls = node_class(spec.kind)
        expected = {Source: "no input", PhotonNode: "one input"}
        for base, words in expected.items():
            if issubclass(cls, base) and len(spec.inputs) != (0 if base is Source else 1):
                raise TopologyError(f"node {spec.name!r} takes {words}, not {len(spec.inputs)}")
        if issubclass(cls, PhotonNode) and isinstance(nodes[spec.inputs[0]], ResultNode):
            raise TopologyError(
                f"node {spec.name!r} wants photons, but {spec.inputs[0]!r} gives only results"
            )
        missing = cls.needs.difference(spec.inputs) if issubclass(cls, ResultNode) else ()
        if missing:
            raise TopologyError(f"node {spec.name!r} has to read {', '.join(sorted(missing))} too")
        nodes[spec.name] = cls(spec.name, make_parameters(cls.Parameters, spec.parameters, spec.name))
        nodes[spec.name].inputs = spec.inputs
    if not nodes or not isinstance(next(iter(nodes.values())), Source):
        raise TopologyError("a topology begins with its source")
    return nodes


def parameter_owners(kinds: Mapping[str, str]) -> dict[str, list[str]]:
    """For nodes given as {name: kind}: which of them have a parameter of a name."""
    owners: dict[str, list[str]] = {}
    for node, kind in kinds.items():
        for parameter in fields(node_class(kind).Parameters):
            owners.setdefault(parameter.name, []).append(node)
    return owners


def photon_edges(nodes: Mapping[str, Node[Any]]) -> list[tuple[str, str]]:
    """The (writer, reader) pairs along which photons go."""
    return [(node.inputs[0], name) for name, node in nodes.items() if isinstance(node, PhotonNode)]
