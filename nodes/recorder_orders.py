"""What others ask of a recorder, by files beside its recording: to end, and to write down a person's note.

A recorder listens to nobody: it looks once a second whether such a file is there. So whoever asks needs no more than to
reach the folder, and nothing that asks can hold it up.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path, parse_event

NOTE_ENDING = ".note"
# A longer file is no note.
MOST_NOTE_BYTES = 1 << 14


@dataclass(frozen=True)
class Note:
    """What a person said at ``utc``, when ``record`` records had been read."""

    text: str
    utc: str
    record: int


def stop_order(path: Path) -> Path:
    """A file beside the recording at ``path`` that asks its recorder to end."""
    return path.with_name(f"{path.name}.stop")


def goes_on(path: Path) -> bool:
    """Whether a recorder of ours is at work on the recording at ``path``, as far as can be told from here."""
    try:
        complete = open_tag_file(path).header.get(COMPLETE_TAG)
    except (OSError, TagFileError):
        return False
    return complete is False and may_live(path)


def may_live(path: Path) -> bool:
    """Whether the recorder of ``path`` is there, as far as can be told from here."""
    try:
        with events_path(path).open(encoding="utf-8") as lines:
            start = parse_event(lines.readline())
    except (OSError, ValueError):
        return True
    pid = start.more.get("pid")
    # To ask after a process would end it on Windows.
    if start.more.get("host") != platform.node() or type(pid) is not int or sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def leave_note(path: Path, note: Note) -> None:
    """Ask the recorder of ``path`` to write ``note`` among its events. Raises OSError."""
    name = f"{path.name}.{time.time_ns():020d}-{secrets.token_hex(4)}"
    place = path.with_name(f"{name}{NOTE_ENDING}")
    # Never half a note.
    new = path.with_name(f"{name}.new")
    new.write_text(json.dumps(asdict(note)), encoding="utf-8")
    new.replace(place)


def take_notes(path: Path) -> Iterator[Note]:
    """The notes that were left for the recorder of ``path``, the first one first; their files are gone then.

    What is no note stays where it is.
    """
    places = [
        place for place in path.parent.glob(f"*{NOTE_ENDING}") if place.name.startswith(f"{path.name}.")
    ]
    for place in sorted(places):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if place.stat().st_size > MOST_NOTE_BYTES:
                continue
            given = json.loads(place.read_text(encoding="utf-8"))
            note = Note(str(given["text"]), str(given["utc"]), int(given["record"]))
            place.unlink()
            yield note
