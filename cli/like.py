"""What an earlier run was told, from its folder alone, so that a recording can be read in the same way again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonstream.cli.run_record import NODES
from photonstream.dashboard.deeds import notes_said
from photonstream.nodes.experiment import FIELDS
from photonstream.nodes.pipeline import SOURCES
from photonstream.nodes.recording_events import NOTE
from photonstream.nodes.sources import ReplayParameters
from photonstream.stream.node import ParameterError
from photonstream.stream.topology import NodeSpec, Topology
from photonstream.stream.topology_file import TopologyFile, read_topology

# Of a source, what belongs to one reading alone.
_OF_ONE_READING = frozenset({"path", "speed", "records"})


@dataclass(frozen=True)
class Earlier:
    """The ``nodes`` of an earlier run with their parameters as they were at its end, and what it read.

    ``experiment`` has all fields; ``sha256`` of the recording where it was read whole, ``records`` where it was not;
    ``notes`` of persons that do not stand beside the recording, as `notes_said` gives them.
    """

    nodes: TopologyFile
    experiment: Mapping[str, Any]
    recording: Path | None
    sha256: str | None
    records: int | None
    notes: tuple[Mapping[str, Any], ...] = ()

    def check(self) -> Path:
        """Where its recording is. Raises ParameterError where that is not there, or another one by now."""
        path = self.recording
        if path is None or not path.is_file():
            raise ParameterError(f"the recording of that run is not at {path}: name the FILE")
        if self.sha256 is not None and _sha256(path) != self.sha256:
            raise ParameterError(
                f"{path} is not what that run read: it has another checksum (to read it all the same, name it as FILE)"
            )
        return path


def read_earlier(folder: Path) -> Earlier:
    """What the run of ``folder`` was told. Raises ParameterError, or TopologyError for a damaged run.toml.

    A run that was killed has no result: then nothing is known of what it read but where that was.
    """
    place = folder / NODES
    if not place.is_file():
        raise ParameterError(f"{folder}: no {NODES} in it, so this is no run that can be repeated")
    specs = read_topology(place).topology.nodes
    source = specs[0].parameters.get("path")
    results = next((spec.parameters for spec in specs if spec.name == "results"), {})
    given: Mapping[str, Any] = results.get("experiment", {})
    nodes = TopologyFile(Topology(tuple(_found(spec, folder) for spec in specs)))
    result = _result(folder / "result.json")
    recording = result.get("recording", {})
    events = result.get("recording_events") or ()
    beside = {event.get("text") for event in events if event.get("kind") == NOTE}
    return Earlier(
        nodes,
        {key: given.get(key) for key in FIELDS},
        folder / source if isinstance(source, str) else None,
        recording.get("sha256"),
        recording.get("records") if result.get("interrupted") else None,
        tuple(note for note in notes_said(folder) if note["text"] not in beside),
    )


def _found(spec: NodeSpec, folder: Path) -> NodeSpec:
    """``spec`` with the files of its parameters as they are found from here."""
    given = dict(spec.parameters)
    if isinstance(irf := given.get("irf"), str) and (folder / irf).is_file():
        given["irf"] = str(folder / irf)
    if spec.kind in SOURCES:
        known = {field.name for field in dataclasses.fields(ReplayParameters)} - _OF_ONE_READING
        given = {key: value for key, value in given.items() if key in known}
    return dataclasses.replace(spec, parameters=given)


def _result(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ParameterError(f"{path}: not valid JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
