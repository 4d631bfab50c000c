"""The nodes of a run on two hosts, both of them loopback addresses, with a line between that can go wrong.

Each host sees the other one under an address of the line, so that nothing gets from one to the other but through it.
"""

from __future__ import annotations

import socket
from pathlib import Path

from photonstream.cli.campaign.proxy import Address, Line
from photonstream.nodes.pipeline import standard
from photonstream.stream.topology_file import TopologyFile, dump_topology

# The host of the run, that of the other nodes, and how each of the two sees the other one.
RUN, OTHER, RUN_SEEN, OTHER_SEEN = "127.0.0.1", "127.0.0.4", "127.0.0.3", "127.0.0.2"
# So that every kind of link leads from one host to the other: photons, results, orders.
ELSEWHERE = ("decode", "states", "lifetime")


def two_hosts(folder: Path, seed: int) -> tuple[Path, Path, Line]:
    """Topology files for the run and for the nodes that are `ELSEWHERE`, and the line between the hosts."""
    topology = standard({})
    names = [spec.name for spec in topology.nodes]
    port = _free_port(2 * len(names) + 1)
    files = []
    for name, own, host in (("run.toml", RUN, OTHER_SEEN), ("elsewhere.toml", RUN_SEEN, OTHER)):
        file = TopologyFile(
            topology,
            "processes",
            f"tcp://{own}:{port}",
            frozenset(ELSEWHERE),
            dict.fromkeys(ELSEWHERE, host),
        )
        files.append(folder / name)
        files[-1].write_text(dump_topology(file), encoding="utf-8")
    routes: dict[Address, Address] = {}
    for number, name in enumerate([*names, "orders"]):
        there = (OTHER_SEEN, OTHER) if name in ELSEWHERE else (RUN_SEEN, RUN)
        for each in (port + 2 * number, port + 2 * number + 1)[: 1 if name == "orders" else 2]:
            routes[there[0], each] = there[1], each
    return files[0], files[1], Line(routes, seed)


def _free_port(count: int) -> int:
    """The first of ``count`` neighbouring ports that are free on all of the hosts."""
    for first in range(20_000, 32_000, count):
        taken = []
        try:
            for port in range(first, first + count):
                taken += [socket.create_server((host, port)) for host in (RUN, OTHER, RUN_SEEN, OTHER_SEEN)]
        except OSError:
            continue
        finally:
            for each in taken:
                each.close()
        return first
    raise OSError(f"there are no {count} free ports in a row")
