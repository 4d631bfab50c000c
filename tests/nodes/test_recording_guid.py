"""The events beside a recording are believed only where they are of that recording."""

import json

import numpy as np
import pytest

from photonstream.cli.main import main
from photonstream.nodes.event_log import EventLog
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import events_path

GUID = "{12345678-1234-1234-1234-123456789012}"
OTHER = "{87654321-1234-1234-1234-123456789012}"


def log(path, lines, guid=GUID):
    text = "".join(json.dumps({"record": 0, "text": "t", "utc": "u", **line}) + "\n" for line in lines)
    events_path(path).write_text(text, encoding="utf-8")
    made = EventLog(path, GENERIC_T3, 4e-7, lambda first, count: np.empty(0, np.uint32), guid)
    made.finish(10)
    return made


START = {"kind": "start", "guid": GUID}
GAP = {"kind": "gap", "lost_records": 5, "lost_s": 0.5}


@pytest.mark.parametrize(
    ("start", "guid"),
    [
        (START, GUID),
        (START, GUID.lower()),
        (START, None),
        (START, ""),
        ({"kind": "start"}, GUID),
        ({"kind": "start", "guid": 7}, GUID),
        ({"kind": "note"}, GUID),
    ],
)
def test_events_of_this_recording_and_of_none_are_believed(tmp_path, start, guid):
    made = log(tmp_path / "a.ptu", [start, GAP], guid)
    assert made.notes == []
    assert made.gaps(10).lost_records == 5


def test_events_of_another_recording_are_left_out_and_that_is_said(tmp_path):
    made = log(tmp_path / "a.ptu", [GAP, {**START, "guid": OTHER}, GAP, {"kind": "status"}])
    [note] = made.notes
    assert note.startswith(f"{tmp_path / 'a.ptu.events.jsonl'}: not read, as it is of another recording")
    assert OTHER in note
    assert GUID in note
    value = made.value(10)
    assert (made.gaps(10).count, value["events"], value["counts"], value["status"]) == (0, [], {}, None)
    # Nobody waits for a recorder's last word from a file that is not its own.
    assert made.stopped
    with events_path(tmp_path / "a.ptu").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"record": 0, "kind": "gap", "text": "", "utc": ""}) + "\n")
    made.finish(10)
    assert (made.gaps(10).count, len(made.notes)) == (0, 1)


def test_the_right_events_in_the_place_of_wrong_ones_are_read(tmp_path):
    made = log(tmp_path / "a.ptu", [{**START, "guid": OTHER}, GAP])
    line = json.dumps({"record": 0, "kind": "gap", "text": "", "utc": "", "lost_records": 3})
    (tmp_path / "new").write_text(line + "\n", encoding="utf-8")
    (tmp_path / "new").replace(events_path(tmp_path / "a.ptu"))
    made.finish(10)
    assert (made.gaps(10).lost_records, made.notes) == (3, [])


def test_a_recorder_writes_one_identifier_into_both_and_replay_heeds_it(tmp_path):
    path = tmp_path / "a.ptu"
    assert main(["record", "simulated", "--time", "0.1s", "--out", str(path), "--quiet"]) == 0
    guid = open_tag_file(path).header["File_GUID"]
    first, *others = events_path(path).read_text(encoding="utf-8").splitlines()
    assert json.loads(first)["guid"] == guid
    assert len(guid) == len(OTHER)
    events_path(path).write_text("\n".join([first.replace(guid, OTHER), *others]) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["replay", str(path), "--headless", "--placement", "inline", "--out", str(out)]) == 0
    recording = json.loads((out / "result.json").read_text(encoding="utf-8"))["recording"]
    assert [note for note in recording["notes"] if "another recording" in note and OTHER in note]
