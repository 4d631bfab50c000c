"""The command as a whole: what is followed gives what is replayed, however the file has grown."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from photonstream.cli.main import main
from photonstream.nodes import follow
from photonstream.nodes.follow import Follow
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.ptu_write import RECORDS_TAG, encode_tag
from photonstream.nodes.recording_events import COMPLETE_TAG, RecordingEvent, events_path
from photonstream.stream import runner as runner_module

REPLAY_DATA = Path(__file__).resolve().parents[2] / "replay_data"
RECORDS = 40_000
TAG_BYTES = 48
PATIENCE_S = 60


class Recording:
    """A short recording as it is when it is finished, and as its header is before that."""

    def __init__(self, name, *, tagged):
        file = open_tag_file(REPLAY_DATA / name)
        raw = (REPLAY_DATA / name).read_bytes()
        self._header, self.records = raw[: file.data_offset], raw[file.data_offset :][: 4 * RECORDS]
        self._tagged = tagged

    def header(self, count, *, complete=False):
        place = self._header.index(RECORDS_TAG.encode())
        counted = (
            self._header[:place]
            + encode_tag(RECORDS_TAG, count)
            + self._header[place + TAG_BYTES : -TAG_BYTES]
            + (encode_tag(COMPLETE_TAG, complete) if self._tagged else b"")
        )
        return counted + self._header[-TAG_BYTES:]

    def steps(self, rng):
        """What a writer does one after the other: where in the file, and which bytes (None: at its end)."""
        data = self.header(0) + self.records
        bare, at = len(data) - len(self.records), 0
        while at < len(data):
            most = 300 if at < bare else rng.choice([3, 4000, 40_000, 80_000])
            piece = data[at : at + rng.randint(1, most)]
            at += len(piece)
            yield None, piece
            if at >= bare and rng.random() < 0.3:
                # Never ahead of what is there, often behind it.
                yield 0, self.header(rng.randint(0, (at - bare) // 4))
        yield 0, self.header(RECORDS, complete=True)


def write(path, place, piece):
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(0, os.SEEK_END) if place is None else file.seek(place)
        file.write(piece)


class Writer:
    """The clock of the source, at which a file grows: a look at the clock is now and then a step of the writer."""

    def __init__(self, path, recording, rng):
        self._path, self._rng = path, rng
        self._steps = recording.steps(rng)
        self._lock = threading.Lock()
        self._now = 0.0

    def __call__(self):
        with self._lock:
            self._now += 0.02
            if self._rng.random() < 0.3 and (step := next(self._steps, None)) is not None:
                write(self._path, *step)
            return self._now


def comparable(folder):
    """The result, without what says how it was read."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    del result["parameters"]["source"], result["recording"]["path"]
    return result


def events(path):
    told = [
        RecordingEvent(0, "start", "It begins.", "2026-11-25T12:00:00Z", {"device": "a simulator"}),
        RecordingEvent(
            9000,
            "gap",
            "The FIFO ran over.",
            "2026-11-25T12:00:01Z",
            {"cause": "FIFO overrun", "lost_s": 0.1},
        ),
        RecordingEvent(RECORDS, "stop", "It ends.", "2026-11-25T12:00:09Z", {"reason": "time"}),
    ]
    text = "".join(f"{event.to_json()}\n" for event in told)
    events_path(path).write_text(text + '{"record": 3}\n{"half a li', encoding="utf-8")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """What replay says of the finished recording, by its name and whether it has our tag; each is replayed once."""
    known = {}

    def result(name, tagged):
        if (name, tagged) not in known:
            folder = tmp_path_factory.mktemp("replayed")
            path = folder / "run.ptu"
            recording = Recording(name, tagged=tagged)
            path.write_bytes(recording.header(RECORDS, complete=True) + recording.records)
            events(path)
            assert (
                main(
                    ["replay", str(path), "--headless", "--placement", "inline", "--out", str(folder / "out")]
                )
                == 0
            )
            known[name, tagged] = comparable(folder / "out"), str(path)
        return known[name, tagged]

    return result


def same(folder, path, replayed):
    expected, was = replayed
    said = json.dumps(comparable(folder)).replace(str(path), was)
    assert json.loads(said) == expected


T3, T2 = "nc_355nm.ptu", "nc_355nm_t2.ptu"


@pytest.mark.parametrize(("placement", "seeds"), [("inline", range(8)), ("threads", range(4))])
@pytest.mark.parametrize("name", [T3, T2])
def test_following_a_growing_file_gives_what_its_replay_gives(
    tmp_path, monkeypatch, replayed, name, placement, seeds
):
    monkeypatch.setattr(follow, "POLL_S", 1e-3)
    monkeypatch.setattr(follow, "CALM_POLL_S", 1e-3)
    if placement == "inline":
        monkeypatch.setattr(runner_module.time, "sleep", lambda s: None)
    for seed in seeds:
        rng = random.Random(seed)
        tagged = rng.random() < 0.5
        path, out = tmp_path / f"{seed}.ptu", tmp_path / f"out{seed}"
        events(path)
        monkeypatch.setattr(Follow, "clock", Writer(path, Recording(name, tagged=tagged), rng))
        size = f"source.chunk_records={rng.choice([500, 7000, 524288])}"
        options = ["--headless", "--placement", placement, "--set", size, "--out", str(out)]
        assert main(["follow", str(path), *options]) == 0
        same(out, path, replayed(name, tagged))
