"""The standard line of nodes, as topologies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photonstream.stream.topology import NodeSpec, Topology

# The photon path: each node reads the one before it.
PHOTON_PATH = ("source", "decode", "intensity", "states", "decay")
# Where photons end beside the path: each reads a node of it.
BRANCHES = {"antibunching": "states"}
# A branch that is there only where it is asked for, and what reads it.
SECOND_OPINION = {"changepoint": "states"}
# What reads results only, and whose.
READERS = {
    "lifetime": ("states", "decay"),
    "results": ("source", "decode", "intensity", "states", "decay", "antibunching", "lifetime"),
}
# Kinds of sources that read a tag file: all, and as it grows.
SOURCES = ("replay", "follow")
_KINDS = {"source": SOURCES[0]}


def kinds() -> dict[str, str]:
    """Kind of each node of the standard line, by its name."""
    return {name: _KINDS.get(name, name) for name in (*PHOTON_PATH, *BRANCHES, *READERS)}


def photon_path(parameters: Mapping[str, Mapping[str, Any]], *, last: str = PHOTON_PATH[-1]) -> Topology:
    """Source to ``last``, with the parameters of each node by its name."""
    names = PHOTON_PATH[: PHOTON_PATH.index(last) + 1]
    return Topology(
        tuple(
            NodeSpec(name, kinds()[name], names[k - 1 : k] if k else (), parameters.get(name, {}))
            for k, name in enumerate(names)
        )
    )


def branches(parameters: Mapping[str, Mapping[str, Any]]) -> tuple[NodeSpec, ...]:
    """The nodes beside the whole path, with the parameters of each by its name."""
    return tuple(NodeSpec(n, kinds()[n], (reads,), parameters.get(n, {})) for n, reads in BRANCHES.items())


def standard(parameters: Mapping[str, Mapping[str, Any]], *, second_opinion: bool = False) -> Topology:
    """The whole line: tag file to result folder; with ``second_opinion`` also the change points."""
    more = tuple(SECOND_OPINION) if second_opinion else ()
    extra = (NodeSpec(n, n, (reads,), parameters.get(n, {})) for n, reads in SECOND_OPINION.items() if more)
    readers = (
        NodeSpec(n, kinds()[n], (*inputs, *more), parameters.get(n, {})) for n, inputs in READERS.items()
    )
    return Topology((*photon_path(parameters).nodes, *branches(parameters), *extra, *readers))
