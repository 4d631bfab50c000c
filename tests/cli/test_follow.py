"""The command as a whole: what is followed gives what is replayed, however the file has grown."""

import dataclasses
import itertools
import json
import os
import random
import threading
from pathlib import Path

import pytest

from photonstream.cli.running import node_command
from photonstream.nodes import follow
from photonstream.nodes.follow import Follow
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.ptu_write import RECORDS_TAG, encode_tag
from photonstream.nodes.pipeline import standard
from photonstream.nodes.recording_events import COMPLETE_TAG, RecordingEvent, events_path
from photonstream.stream import runner as runner_module
from photonstream.stream.processes import ProcessesRunner
from photonstream.stream.runner import InlineRunner
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology import Topology
from photonstream.stream.topology_file import TopologyFile

REPLAY_DATA = Path(__file__).resolve().parents[2] / "replay_data"
RECORDS = 12_000
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
            most = 300 if at < bare else rng.choice([3, 1000, 10_000, 30_000])
            piece = data[at : at + rng.randint(1, most)]
            at += len(piece)
            yield None, piece
            if at >= bare and rng.random() < 0.3:
                # Never ahead of what is there, often behind it.
                yield 0, self.header(rng.randint(0, (at - bare) // 4))
        yield 0, self.header(RECORDS, complete=True)


# A step after which the file is empty.
CUT = (0, None)


def write(path, place, piece):
    with path.open("r+b" if path.exists() else "wb") as file:
        if (place, piece) == CUT:
            file.truncate()
            return
        file.seek(0, os.SEEK_END) if place is None else file.seek(place)
        file.write(piece)


class Writer:
    """The clock of the source, at which a file grows: a look at the clock is now and then a step of the writer."""

    def __init__(self, path, recording, rng):
        self._path, self._rng = path, rng
        self.steps = recording.steps(rng)
        self._lock = threading.Lock()
        self._now = 0.0

    def __call__(self):
        with self._lock:
            self._now += 0.02
            if self._rng.random() < 0.3 and (step := next(self.steps, None)) is not None:
                write(self._path, *step)
            return self._now


def line(kind, path, out, **source):
    """The standard nodes, from a source of this kind to results in ``out``."""
    out.mkdir()
    nodes = standard({"source": {"path": str(path), **source}, "results": {"out": str(out)}}).nodes
    return Topology((dataclasses.replace(nodes[0], kind=kind), *nodes[1:]))


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
            assert not InlineRunner(line("replay", path, folder / "out")).run().imbalances
            known[name, tagged] = comparable(folder / "out"), str(path)
        return known[name, tagged]

    return result


def same(folder, path, replayed):
    expected, was = replayed
    said = json.dumps(comparable(folder)).replace(str(path), was)
    assert json.loads(said) == expected


T3, T2 = "nc_355nm.ptu", "nc_355nm_t2.ptu"
PLACEMENTS = {"inline": (InlineRunner, range(4)), "threads": (ThreadsRunner, range(2))}


@pytest.fixture
def no_waiting(monkeypatch):
    """Whoever waits looks again at once: the writer's steps come with the looks, not with time."""
    for name in ("POLL_S", "CALM_POLL_S"):
        monkeypatch.setattr(follow, name, 1e-3)
    monkeypatch.setattr(runner_module.time, "sleep", lambda s: None)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", [T3, T2])
def test_following_a_growing_file_gives_what_its_replay_gives(
    tmp_path, monkeypatch, no_waiting, replayed, name, placement
):
    runner, seeds = PLACEMENTS[placement]
    for seed in seeds:
        rng = random.Random(seed)
        tagged = rng.random() < 0.5
        path, out = tmp_path / f"{seed}.ptu", tmp_path / f"out{seed}"
        events(path)
        monkeypatch.setattr(Follow, "clock", Writer(path, Recording(name, tagged=tagged), rng))
        topology = line("follow", path, out, chunk_records=rng.choice([500, 7000, 524288]))
        outcome = runner(topology, results_s=0.05 if seed == 0 else None).run()
        assert not outcome.imbalances
        assert not outcome.interrupted
        same(out, path, replayed(name, tagged))


def test_in_processes_too(tmp_path, replayed):
    path, out = tmp_path / "run.ptu", tmp_path / "out"
    recording = Recording(T3, tagged=True)
    steps = iter(list(recording.steps(random.Random(7))))
    events(path)
    written = 0

    def grow(progress):
        # The next piece comes when all of the last one was seen to be read.
        nonlocal written
        while progress.records >= written and (step := next(steps, None)) is not None:
            write(path, *step)
            written = max(0, path.stat().st_size - len(recording.header(0))) // 4

    runner = ProcessesRunner(
        TopologyFile(line("follow", path, out), "processes"),
        command=node_command,
        on_progress=grow,
        progress_s=0.0,
        results_s=0.02,
    )
    assert not runner.run().imbalances
    same(out, path, replayed(T3, True))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_recording_that_begins_anew_leaves_nothing_of_the_one_before(
    tmp_path, monkeypatch, no_waiting, replayed, placement
):
    """First another recording, which is cut in the middle, then the one that counts."""
    path, out = tmp_path / "run.ptu", tmp_path / "out"
    first, second = Recording(T2, tagged=True), Recording(T3, tagged=True)
    events(path)
    writer = Writer(path, second, random.Random(1))
    cut = len(first.header(0)) + 4 * (RECORDS // 2)
    before = [(None, (first.header(0) + first.records)[:cut]), *[(None, b"")] * 20, CUT]
    writer.steps = itertools.chain(before, writer.steps)
    monkeypatch.setattr(Follow, "clock", writer)
    outcome = PLACEMENTS[placement][0](line("follow", path, out), results_s=0.05).run()
    assert not outcome.imbalances
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    notes = result["recording"]["notes"]
    assert any("another run of data" in note for note in notes)
    assert result["parameters"]["source"]["run"] == 2
    result["recording"]["notes"] = [note for note in notes if "another run of data" not in note]
    (out / "result.json").write_text(json.dumps(result), encoding="utf-8")
    same(out, path, replayed(T3, True))
