"""What the folder of a run keeps of the run itself: what was done to it, and what it takes to do it all again.

``log.jsonl`` is only ever appended to, a line at a time; ``run.toml`` holds the nodes with their parameters as they are
at present, and files that a parameter names are beside it. docs/schema.md describes both.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from photonstream.cli.progress import say
from photonstream.dashboard.deeds import LOG, NOTED
from photonstream.nodes.results import plain
from photonstream.nodes.tables import write_atomically
from photonstream.stream.commands import DISCARDED
from photonstream.stream.orders import Parameters
from photonstream.stream.runner import Progress
from photonstream.stream.topology import Topology, TopologyError, node_class
from photonstream.stream.topology_file import TopologyFile, dump_topology

NODES = "run.toml"
# Instrument responses that were files.
RESPONSES = "irf"
# No log of a run grows beyond this, and a response that is larger stays where it is.
MOST_LOG_BYTES = 16 << 20
MOST_RESPONSE_BYTES = 64 << 20


class RunRecord:
    """The log and the parameters of one run, in its ``folder``; ``nodes`` are those that it began with.

    ``words`` are those of the command line, ``notes`` those of the run that is done again. Nothing is written before
    there are parameters to `keep`. Nothing here ends a run: what cannot be written is told once on the terminal.
    """

    def __init__(
        self,
        folder: Path,
        nodes: TopologyFile,
        words: Sequence[str],
        notes: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._folder = folder
        self._nodes = nodes
        self._words = list(words)
        self._notes = notes
        self._log: BinaryIO | None = None
        self._failed = False

    @property
    def begun(self) -> bool:
        """Whether the log has its first line."""
        return self._log is not None

    def deed(self, what: str, more: Mapping[str, Any], progress: Progress | None) -> None:
        """Append a line: UTC, the recorded time that the run has reached (0 before there are photons; None where
        ``progress`` is), and what was done.
        """
        utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        time_s = None if progress is None else reached_s(progress) or 0.0
        line = {"utc": utc, "time_s": time_s, "what": what, **plain(more)}
        try:
            self._append(json.dumps(line, allow_nan=False, ensure_ascii=False).encode(errors="replace"))
        except OSError as error:
            self._fail(LOG, error)

    def _append(self, line: bytes) -> None:
        path = self._folder / LOG
        if self._log is None:
            self._log = path.open("ab", buffering=0)
            if _broken_off(path):
                line = b"\n" + line
        size = self._log.tell()
        if size > MOST_LOG_BYTES:
            return
        if size + len(line) > MOST_LOG_BYTES:
            line = json.dumps({"what": "full", "text": f"the log ends at {MOST_LOG_BYTES} bytes"}).encode()
            line += b" " * (MOST_LOG_BYTES - size)
        self._log.write(line + b"\n")

    def keep(self, parameters: Parameters | None = None) -> None:
        """Write the nodes with their ``parameters`` (None: those they began with), without what is learned or of this
        run alone.
        """
        if self._log is None:
            about = {"command": self._words, "folder": str(Path.cwd())}
            self.deed("begin", {"photonstream": version("photonstream"), **about}, None)
            for note in self._notes:
                at = {"time_s": note["time_s"], "by": "an earlier run", "noted": note["utc"]}
                self.deed(NOTED, {**at, "text": note["text"]}, None)
        if parameters is None:
            parameters = {spec.name: spec.parameters for spec in self._nodes.topology.nodes}
        specs = []
        for spec in self._nodes.topology.nodes:
            left_out = {node_class(spec.kind).learns, DISCARDED, "out"}
            given = {k: v for k, v in parameters.get(spec.name, {}).items() if k not in left_out}
            specs.append(dataclasses.replace(spec, parameters=self._beside(given)))
        try:
            write_atomically(self._folder / NODES, dump_topology(TopologyFile(Topology(tuple(specs)))))
        except (OSError, TopologyError) as error:
            self._fail(NODES, error)

    def _beside(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """``given`` with its files as they are found from the folder of the run."""
        found = dict(given)
        if isinstance(path := given.get("path"), str):
            found["path"] = self._place(Path(path))
        if given.get("calibrate"):
            found["calibrate"] = [str(Path(each).absolute()) for each in given["calibrate"]]
        if isinstance(irf := given.get("irf"), str):
            with suppress(ValueError):
                found["irf"] = self._response(Path(irf)) if Path(irf).is_file() else irf
        return found

    def _place(self, path: Path) -> str:
        """From the folder where it lies in there, so that the folder may be moved."""
        whole, folder = path.absolute(), self._folder.absolute()
        return str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)

    def _response(self, path: Path) -> str:
        """Where the response at ``path`` is kept: a copy in the folder, unless it is large."""
        copy = self._folder / RESPONSES / path.name
        try:
            if path.stat().st_size > MOST_RESPONSE_BYTES:
                return str(path.absolute())
            if not (copy.exists() and copy.stat().st_mtime_ns == path.stat().st_mtime_ns):
                copy.parent.mkdir(exist_ok=True)
                shutil.copy2(path, copy)
        except OSError as error:
            self._fail(f"{RESPONSES}/{path.name}", error)
            return str(path.absolute())
        return self._place(copy)

    def _fail(self, name: str, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            cause = error.strerror if isinstance(error, OSError) else error
            say(
                f"photonstream: {self._folder / name} cannot be written: {cause}; the run goes on", sys.stderr
            )

    def close(self) -> None:
        """The run is over."""
        if self._log is not None:
            self.deed("end", {}, None)
            self._log.close()


def reached_s(progress: Progress) -> float | None:
    """The recorded time that the photons have reached, None before there are any."""
    counts = progress.results.get(("decode", "counts"))
    return None if counts is None else counts.value["duration_s"]


def _broken_off(path: Path) -> bool:
    """Whether the last line of ``path`` has no end: who wrote it was killed."""
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return False
        file.seek(-1, 2)
        return file.read(1) != b"\n"
