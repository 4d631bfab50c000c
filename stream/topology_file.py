"""Topology files: which nodes a run has, how they are joined and where they are, as TOML that a person writes.

docs/nodes.md describes the format. What it says of the nodes themselves (kinds, parameters) is checked when they are
made (`topology.build`); everything else is checked here.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any

from photonstream.stream.places import Places
from photonstream.stream.topology import NodeSpec, Topology, TopologyError

PLACEMENTS = ("inline", "threads", "processes")
# Sockets in a private folder of the run.
IPC = "ipc"
# In whose name a run publishes its own state.
TAKEN_NAMES = frozenset({"run"})
MOST_FILE_BYTES = 1 << 20
# How deep lists and tables of a parameter may be nested, and what an integer may be: what the wire can carry.
MOST_DEPTH = 16
INTEGERS = range(-(1 << 63), 1 << 63)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TCP = re.compile(r"tcp://(.+):([0-9]{1,5})")
_FILE_KEYS = ("placement", "listen", "node")
_NODE_KEYS = ("name", "kind", "inputs", "by_hand", "host", "parameters")
_WORDS = {
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    int: "an integer",
    float: "a number",
}


@dataclass(frozen=True)
class TopologyFile:
    """What a topology file says; what is not given has its default.

    ``placement`` is None where the file leaves it open. ``listen`` says where nodes that are processes listen: "ipc" (a
    private folder of the run), "ipc:///some/folder" or "tcp://HOST:PORT". Nodes in ``by_hand`` are not started by the
    run: it waits until somebody starts them. ``hosts`` are the addresses of nodes on other machines. Raises
    TopologyError for what cannot be.
    """

    topology: Topology
    placement: str | None = None
    listen: str = IPC
    by_hand: frozenset[str] = field(default_factory=frozenset)
    hosts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.topology.nodes:
            raise TopologyError("there are no nodes in it")
        for number, spec in enumerate(self.topology.nodes, 1):
            _check_name(spec.name, f"node {number}, name")
        if self.placement is not None and self.placement not in PLACEMENTS:
            raise TopologyError(f"placement: {self.placement!r:.80} is none of {', '.join(PLACEMENTS)}")
        unknown = self.by_hand - {spec.name for spec in self.topology.nodes}
        if unknown:
            raise TopologyError(f"by_hand: there is no node {min(unknown)!r}")
        if self.by_hand:
            self._check_by_hand(f"node {min(self.by_hand)!r}, by_hand")
        for name, host in self.hosts.items():
            self._check_host(name, host)
        if self.listen != IPC:
            places = self.places("")
            places.orders()
            for spec in self.topology.nodes:
                places.chunks(spec.name)
                places.results(spec.name)

    def _check_by_hand(self, where: str) -> None:
        if self.placement in ("inline", "threads"):
            raise TopologyError(
                f"{where}: a node that is started by hand is a process of its own, and the placement is "
                f'{self.placement!r}; write placement = "processes"'
            )
        if self.listen == IPC:
            raise TopologyError(
                f"{where}: whoever starts it has to know where the others listen; write "
                'listen = "ipc:///some/folder" or listen = "tcp://127.0.0.1:PORT"'
            )

    def _check_host(self, name: str, host: str) -> None:
        where = f"node {name!r}, host"
        _check_address(host, where)
        if not self.listen.startswith("tcp:"):
            raise TopologyError(
                f'{where}: nodes on several machines find each other over tcp; write listen = "tcp://HOST:PORT" with '
                "the address of the machine of the run"
            )
        if name not in self.by_hand:
            raise TopologyError(f"{where}: the run starts no node on another machine; write by_hand = true")

    def endpoints(self) -> list[str]:
        """Where nodes listen that others may reach; empty where that is a folder."""
        return self.places("").everything() if self.listen.startswith("tcp:") else []

    def places(self, run: str) -> Places:
        """Where the sockets of the run called ``run`` are. Raises TopologyError where the file does not say."""
        if self.listen == IPC:
            raise TopologyError(
                "listen: only the run itself knows its private folder; write "
                'listen = "ipc:///some/folder" or listen = "tcp://127.0.0.1:PORT"'
            )
        if self.listen.startswith("ipc:///") and "\0" not in self.listen:
            return Places.ipc(Path(self.listen.removeprefix("ipc://")), run)
        tcp = _TCP.fullmatch(self.listen)
        if tcp is None:
            raise TopologyError(
                f'listen: {self.listen!r:.80} is neither "ipc:///some/folder" nor "tcp://HOST:PORT"'
            )
        host, port = tcp[1], int(tcp[2])
        _check_address(host, "listen")
        try:
            return Places.tcp(host, port, tuple(spec.name for spec in self.topology.nodes), run, self.hosts)
        except TopologyError as error:
            raise TopologyError(f"listen: {error}") from None


def _check_address(host: str, where: str) -> None:
    """Raise TopologyError unless others can find a machine by ``host``."""
    try:
        known = not IPv4Address(host).is_unspecified
    except AddressValueError:
        known = False
    if not known:
        raise TopologyError(
            f"{where}: {host!r:.80} is no address of a machine, such as 127.0.0.1 of this one or 192.168.0.7 of one "
            "in a network"
        )


def _check_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise TopologyError(
            f"{where}: {name!r:.80} cannot be part of a file name or an address; "
            "1 to 50 of the letters a to z and A to Z, digits, _ and - can be"
        )
    if name in TAKEN_NAMES:
        raise TopologyError(f"{where}: {name!r} is what the run itself is called")


def read_topology(path: Path) -> TopologyFile:
    """Read a topology file. Raises TopologyError with the file, the place in it and the cause, and nothing else."""
    try:
        return _file_of(_parsed(path))
    except TopologyError as error:
        raise TopologyError(f"{path}: {error}") from None


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise TopologyError(f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise TopologyError(f"cannot be read: {error}") from None
    if len(content) > MOST_FILE_BYTES:
        raise TopologyError(f"is longer than {MOST_FILE_BYTES:,} bytes: no topology")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TopologyError(f"is not TOML: no UTF-8 at line {line}") from None
    except RecursionError:
        raise TopologyError("is not TOML: it is nested too deeply") from None
    # Besides its own errors tomllib passes on those of numbers and dates.
    except ValueError as error:
        raise TopologyError(f"is not TOML: {error}") from None


def _file_of(content: Mapping[str, Any]) -> TopologyFile:
    _check_keys(content, _FILE_KEYS, "")
    placement = _take(content, "placement", str, "") if "placement" in content else None
    listen = _take(content, "listen", str, "") if "listen" in content else IPC
    nodes = content.get("node", [])
    if not isinstance(nodes, list) or not all(isinstance(each, dict) for each in nodes):
        raise TopologyError("node: each node begins with a line [[node]]")
    topology = Topology(tuple(_spec(each, number) for number, each in enumerate(nodes, 1)))
    by_hand = frozenset(each["name"] for each in nodes if each.get("by_hand"))
    hosts = {each["name"]: each["host"] for each in nodes if "host" in each}
    return TopologyFile(topology, placement, listen, by_hand, hosts)


def _spec(given: Mapping[str, Any], number: int) -> NodeSpec:
    where = f"node {number}, "
    if "name" in given:
        name = _take(given, "name", str, where)
        _check_name(name, f"{where}name")
        where = f"node {number} ({name}), "
    _check_keys(given, _NODE_KEYS, where)
    for key in ("name", "kind"):
        if key not in given:
            raise TopologyError(f"{where}{key}: is missing")
    inputs = _take(given, "inputs", list, where) if "inputs" in given else []
    for each in inputs:
        if not isinstance(each, str):
            raise TopologyError(f"{where}inputs: is a list of names of nodes, and {_word(each)} is none")
    if "by_hand" in given:
        _take(given, "by_hand", bool, where)
    if "host" in given:
        _take(given, "host", str, where)
    parameters = _take(given, "parameters", dict, where) if "parameters" in given else {}
    for key, value in parameters.items():
        _check_value(value, f"{where}parameters.{key:.80}", MOST_DEPTH)
    return NodeSpec(
        _take(given, "name", str, where), _take(given, "kind", str, where), tuple(inputs), parameters
    )


def _check_keys(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            raise TopologyError(f"{where}{key!r:.80}: there is no such key (there are: {', '.join(known)})")


def _take(given: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    value = given[key]
    if not isinstance(value, kind):
        raise TopologyError(f"{where}{key}: has to be {_WORDS[kind]}, not {_word(value)}")
    return value


def _word(value: Any) -> str:
    """What ``value`` is, in a word; what TOML has besides are dates and times."""
    return _WORDS.get(type(value), "a date or time")


def _check_value(value: Any, where: str, depth: int) -> None:
    """Raise TopologyError unless ``value`` is what a parameter may be."""
    if depth < 0:
        raise TopologyError(f"{where}: is nested deeper than {MOST_DEPTH} times")
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_value(each, where, depth - 1)
    elif type(value) is int and value not in INTEGERS:
        raise TopologyError(f"{where}: an integer has at most 64 bits")
    elif type(value) not in _WORDS:
        raise TopologyError(f"{where}: cannot be {_word(value)}; write it as a text")


def dump_topology(file: TopologyFile) -> str:
    """The TOML of ``file``, which reads as the same, but for what is None in parameters: that is left out.

    Raises TopologyError for a parameter that TOML cannot hold.
    """
    listen = None if file.listen == IPC else file.listen
    parts = [_lines({"placement": file.placement, "listen": listen}, "")]
    for spec in file.topology.nodes:
        table = {
            "name": spec.name,
            "kind": spec.kind,
            "inputs": spec.inputs or None,
            "by_hand": spec.name in file.by_hand or None,
            "host": file.hosts.get(spec.name),
            "parameters": spec.parameters or None,
        }
        parts.append("[[node]]\n" + _lines(table, f"node {spec.name}, "))
    return "\n".join(part for part in parts if part)


def _lines(table: Mapping[str, Any], where: str) -> str:
    lines = []
    for key, value in table.items():
        if value is not None:
            try:
                lines.append(f"{key} = {_toml(value, MOST_DEPTH + 1)}\n")
            except TypeError as error:
                raise TopologyError(f"{where}{key}: {error}") from None
    return "".join(lines)


def _toml(value: Any, depth: int) -> str:
    """``value`` as it stands after an equals sign. Raises TypeError for what TOML cannot hold."""
    if depth < 0:
        raise TypeError(f"is nested deeper than {MOST_DEPTH} times")
    if isinstance(value, Mapping):
        pairs = [f"{_key(k)} = {_toml(v, depth - 1)}" for k, v in value.items() if v is not None]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each, depth - 1) for each in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value in INTEGERS:
        return int.__repr__(value)
    # A float of numpy is one of Python's too, but calls itself otherwise.
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, str):
        return _text(value)
    raise TypeError(f"TOML cannot hold {value!r:.80}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key has to be a text, not {key!r:.80}")
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    """``text`` in quotes: JSON's escapes are TOML's too, which wants one more."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TypeError(f"TOML cannot hold {text!r:.80}") from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
