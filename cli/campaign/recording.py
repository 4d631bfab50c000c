"""Whether a recording of the simulated device is whole: what the device gave is simulated again and compared.

The device is the same for the same seed. What it gave stands in its file in order, with nothing between but what the
recorder says that it put there, and what is missing is as much as the recorder says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.drivers.settings import make_settings
from photonstream.nodes.drivers.simulated import MODES, SLICE_S, SimulatedSettings
from photonstream.nodes.formats.base import BLOCK_RECORDS, count_whole_records
from photonstream.nodes.formats.ptu import PtuFormat
from photonstream.nodes.recording_events import GAP, STOP, RecordingEvent, events_path, parse_event
from photonstream.nodes.simulate.slices import Repeated, Slices

Records = NDArray[np.uint32]
# A counter wrap of the device's records: channel 63, special.
_WRAP = np.uint32((1 << 31) | (63 << 25))


class Given:
    """Everything that the device had to give, from its beginning on."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        made: SimulatedSettings = make_settings(SimulatedSettings, dict(settings), "simulated")
        slices = Slices(made.simulation(), MODES[made.mode], SLICE_S, made.channels)
        self._slices = slices if made.repeat_s is None else Repeated(slices, made.repeat_s)
        self._rest: Records = np.empty(0, np.uint32)

    def next(self, count: int) -> Records:
        """The next ``count`` records."""
        pieces, missing = [], count
        while missing > 0:
            if not self._rest.size:
                self._rest = self._slices.next()
            pieces.append(self._rest[:missing])
            self._rest = self._rest[len(pieces[-1]) :]
            missing -= len(pieces[-1])
        return np.concatenate([*pieces, np.empty(0, np.uint32)])

    def skip(self, count: int) -> None:
        """Leave out the next ``count`` records."""
        for start in range(0, count, BLOCK_RECORDS):
            self.next(min(BLOCK_RECORDS, count - start))


def read_events(path: Path) -> list[RecordingEvent]:
    """The events beside the tag file ``path``: its whole lines. Raises ValueError for one that is none."""
    place = events_path(path)
    text = place.read_text(encoding="utf-8") if place.exists() else ""
    return [parse_event(line) for line in text.split("\n")[:-1]]


def read_records(path: Path) -> Records:
    """All whole records of the tag file, whatever its header counts."""
    offset = PtuFormat().open(path).data_offset
    count = count_whole_records(path.stat().st_size, offset)
    # Recordings of a day are larger than memory; of none there is nothing to map.
    return np.memmap(path, "<u4", "r", offset, count) if count else np.empty(0, np.uint32)


def not_whole(path: Path, settings: Mapping[str, Any], *, killed: bool) -> list[str]:
    """What is wrong with the recording at ``path``, in sentences; ``killed``: its recorder was, so it has no end."""
    events, records = read_events(path), read_records(path)
    wrong = []
    if not killed:
        if not events or events[-1].kind != STOP:
            wrong.append(f"{events_path(path)} does not end with a stop")
        file = PtuFormat().open(path)
        if file.complete is not True or file.records != len(records):
            wrong.append(
                f"{path} has {len(records)} records and counts {file.records}, complete: {file.complete}"
            )
    given, at = Given(settings), 0
    gaps = sorted((event for event in events if event.kind == GAP), key=lambda event: event.record)
    for gap in gaps:
        wrong += _differ(records[at : gap.record], given, at)
        at = min(len(records), gap.record + gap.inserted_records)
        if (records[gap.record : at] & _WRAP != _WRAP).any():
            wrong.append(f"record {gap.record} and on: what was put into a gap is more than counter wraps")
        if gap.lost_records is None:
            return [*wrong, f"record {gap.record}: nobody knows how much was lost in the gap"]
        given.skip(gap.lost_records)
    return wrong + _differ(records[at:], given, at)


def _differ(records: Records, given: Given, at: int) -> list[str]:
    count = first = 0
    for start in range(0, len(records), BLOCK_RECORDS):
        block = records[start : start + BLOCK_RECORDS]
        differ = np.flatnonzero(block != given.next(len(block)))
        if differ.size and not count:
            first = at + start + int(differ[0])
        count += differ.size
    return (
        [f"{count} records are not what the device gave, the first of them number {first}"] if count else []
    )
