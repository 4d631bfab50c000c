"""What a person gives on the command line, as the nodes of a run with their parameters."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from photonstream.cli.quantities import reader_of
from photonstream.nodes.pipeline import SOURCES, standard
from photonstream.stream.node import ParameterError
from photonstream.stream.topology import Topology, TopologyError, parameter_owners
from photonstream.stream.topology_file import TopologyFile, read_topology


def build_nodes(
    arguments: argparse.Namespace,
    experiment: dict[str, Any],
    out: Path,
    kind: str,
    given: Mapping[str, Any],
    base: TopologyFile | None = None,
) -> TopologyFile:
    """The nodes of a run; what the command line says goes before what the topology file says.

    ``kind`` of the source, unless the topology file names one of another package, and the parameters ``given`` to it.
    ``base``: nodes to take instead of the standard ones, with their parameters.
    ``experiment`` is given the <N> and the wavelength that are used. Raises TopologyError for a bad topology file,
    ParameterError for an option whose node is not there.
    """
    if arguments.topology is not None and arguments.second_opinion:
        raise ParameterError(
            f"--second-opinion is for the standard nodes; name a node of the kind changepoint in {arguments.topology}"
        )
    if base is not None and (arguments.topology is not None or arguments.second_opinion):
        raise ParameterError(
            "--like takes the nodes of that run: --topology and --second-opinion are not for it"
        )
    file = base or TopologyFile(standard({}, second_opinion=arguments.second_opinion))
    if arguments.topology is not None:
        file = read_topology(arguments.topology)
    first, *others = file.topology.nodes
    nodes = (dataclasses.replace(first, kind=kind) if first.kind in SOURCES else first, *others)
    source = first.name
    parameters: dict[str, dict[str, Any]] = {spec.name: dict(spec.parameters) for spec in nodes}
    options = {
        "--bin": (("intensity", "bin_s"), arguments.bin),
        "--on": (("states", "on"), arguments.on),
        "--irf": (("lifetime", "irf"), arguments.irf),
        "--fit-range": (("lifetime", "fit_range_s"), arguments.fit_range),
        "--states": (("states", "method"), arguments.states),
        "--until-sigma": (("lifetime", "target_sigma"), arguments.until_sigma),
        "--calibrate": (("lifetime", "calibrate"), arguments.calibrate),
        "--export": (("results", "export"), arguments.export),
    }
    parameters[source] |= {"path": str(arguments.file), **given}
    for option, ((node, name), value) in options.items():
        if value is not None:
            _of(parameters, node, option, arguments.topology)[name] = value
    if arguments.until_sigma is not None:
        parameters["lifetime"]["until_target"] = True
    if arguments.mean_n is not None:
        mean_n, stderr = arguments.mean_n
        experiment |= _mean_n(mean_n, stderr, experiment, arguments.meta or "the run of --like")
    if experiment["mean_n"] is not None:
        lifetime = _of(parameters, "lifetime", "<N>", arguments.topology)
        lifetime |= {name: experiment[name] for name in ("mean_n", "mean_n_stderr")}
    if experiment["excitation_nm"] is not None and "lifetime" in parameters:
        parameters["lifetime"]["excitation_nm"] = experiment["excitation_nm"]
    owners = parameter_owners({spec.name: spec.kind for spec in nodes})
    for key, text in arguments.set:
        node, name = owner(key, owners)
        parameters[node][name] = value_of(name, text)
    if "lifetime" in parameters:
        for name in ("mean_n", "mean_n_stderr", "excitation_nm"):
            experiment[name] = parameters["lifetime"].get(name)
    if "results" in parameters:
        parameters["results"] |= {"experiment": experiment, "out": str(out)}
    specs = (dataclasses.replace(spec, parameters=parameters[spec.name]) for spec in nodes)
    return dataclasses.replace(file, topology=Topology(tuple(specs)))


def _mean_n(mean_n: float, stderr: float | None, known: Mapping[str, Any], place: str) -> dict[str, Any]:
    """<N> as the command line gives it: the same as is ``known`` keeps the error of that, unless another is given.

    That another <N> is known, from ``place``, is said, for its error goes with it.
    """
    other, error = known["mean_n"], known["mean_n_stderr"]
    if other is not None and math.isclose(mean_n, other, rel_tol=1e-9):
        if stderr is None:
            return {}
    elif other is not None:
        of_it = "no error" if error is None else f"its error of {error:g}"
        print(
            f"--mean-n {mean_n:g} is used: <N> = {other:g} in {place}, with {of_it}, is not", file=sys.stderr
        )
    return {"mean_n": mean_n, "mean_n_stderr": stderr, "mean_n_source": "command line"}


@contextmanager
def of_file(topology: Path | None) -> Iterator[None]:
    """Whatever is wrong with the nodes is said with the name of the file that they are from."""
    try:
        yield
    except TopologyError as error:
        if topology is None or str(error).startswith(str(topology)):
            raise
        raise TopologyError(f"{topology}: {error}") from error


def _of(
    parameters: dict[str, dict[str, Any]], node: str, option: str, topology: Path | None
) -> dict[str, Any]:
    if node not in parameters:
        raise ParameterError(f"{option} is for the node {node!r}, which {topology} does not have")
    return parameters[node]


def owner(key: str, owners: Mapping[str, list[str]], word: str = "--set") -> tuple[str, str]:
    """Node and parameter that ``key`` (NODE.PARAMETER, or a PARAMETER that only one node has) names.

    ``word``: how it was asked for. Raises ParameterError where there is no such parameter, or more than one.
    """
    node, dot, name = key.rpartition(".")
    if dot:
        if node not in owners.get(name, ()):
            everything = sorted(f"{n}.{p}" for p, nodes in owners.items() for n in nodes)
            known = [each for each in everything if each.startswith(f"{node}.")] or everything
            raise ParameterError(f"{word} {key}: there is no such parameter (there are: {', '.join(known)})")
        return node, name
    found = owners.get(name, [])
    if len(found) != 1:
        known = sorted(f"{n}.{p}" for p, nodes in owners.items() for n in nodes)
        raise ParameterError(f"{word} {key}: name it as one of {', '.join(known)}")
    return found[0], name


def value_of(name: str, text: str) -> Any:
    """What ``text`` says of the parameter ``name``, whose end is its unit: a time or rate may have another, as 80ns."""
    value = literal(text)
    read = reader_of(name)
    if isinstance(value, str) and read is not None:
        with suppress(argparse.ArgumentTypeError):
            return read(text)
    return value


def literal(text: str) -> Any:
    """A number, true, false or none where the text is one; else the text."""
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
