"""What the processes of a run are, by their command lines. Linux only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from photonstream.cli.running import COMMAND


def all_pids() -> Iterator[int]:
    """The process ids of this machine."""
    return (int(place.name) for place in Path("/proc").glob("[0-9]*"))


def what_it_does(pid: int) -> str | None:
    """``node NAME``, ``dashboard`` or ``record``; None of any other process, or one that has ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return None
    what = words[words.index(COMMAND[-1]) + 1 :] if COMMAND[-1] in words else []
    # Just before it becomes what it is to be, a child still has the words of its parent.
    if not what or what[0] not in ("node", "dashboard", "record"):
        return None
    return f"node {what[2]}" if what[0] == "node" else what[0]


def parent_of(pid: int) -> int | None:
    """The process that has started it; None of one that has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
