"""The command as a whole: what is followed gives what is replayed, however the file has grown."""

import argparse
import dataclasses
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from photonstream.cli.main import main
from photonstream.cli.quantities import idle_timeout
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
# A writer may say nothing for so long, and be silent again soon.
SILENCE_S = 9.0
IDLE_S = 100.0


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
        counts = rng.choice([0.0, 0.3])
        while at < len(data):
            most = 300 if at < bare else rng.choice([3, 1000, 10_000, 30_000])
            piece = data[at : at + rng.randint(1, most)]
            at += len(piece)
            yield None, piece
            if at >= bare and rng.random() < counts:
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
    """The clock of the source, at which a file grows: a look at the clock is now and then a step of the writer, and
    now and then a silence.
    """

    def __init__(self, path, recording, rng):
        self._path, self._rng = path, rng
        self.steps = recording.steps(rng)
        self._lock = threading.Lock()
        self._now = 0.0

    def __call__(self):
        with self._lock:
            self._now += SILENCE_S if self._rng.random() < 0.02 else 0.02
            if self._rng.random() < 0.3 and (step := next(self.steps, None)) is not None:
                write(self._path, *step)
            return self._now


def line(kind, path, out, **source):
    """The standard nodes, from a source of this kind to results in ``out``."""
    out.mkdir()
    if kind == "follow":
        source = {"idle_timeout_s": IDLE_S, **source}
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
PLACEMENTS = {"inline": (InlineRunner, range(2)), "threads": (ThreadsRunner, range(2))}


@pytest.fixture
def no_waiting(monkeypatch):
    """Whoever waits looks again at once: the writer's steps come with the looks, not with time."""
    for name in ("CHUNK_S", "POLL_S", "CALM_POLL_S"):
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


@pytest.mark.parametrize("seed", range(4))
def test_the_command_on_a_file_that_grows_in_random_pieces(tmp_path, monkeypatch, no_waiting, seed):
    rng = random.Random(f"pieces {seed}")
    name, tagged, placement = rng.choice([T3, T2]), seed % 2 == 0, ["inline", "threads"][seed % 3 == 0]
    path, out, again = tmp_path / "run.ptu", tmp_path / "out", tmp_path / "again"
    writer = Writer(path, Recording(name, tagged=tagged), rng)
    steps = list(writer.steps)
    assert any(place is None and len(piece) % 4 for place, piece in steps)
    writer.steps = iter(steps)
    monkeypatch.setattr(Follow, "clock", writer)
    how = ["--headless", "--placement", placement]
    assert main(["follow", str(path), *how, f"--idle-timeout={IDLE_S:g}", "--out", str(out)]) == 0
    assert next(writer.steps, None) is None
    assert main(["replay", str(path), "--headless", "--placement", "inline", "--out", str(again)]) == 0
    assert comparable(out) == comparable(again)
    assert (out / "trace.csv").read_bytes() == (again / "trace.csv").read_bytes()


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


@pytest.mark.parametrize(
    "rest",
    [b"", b"no recording at all " * 20_000, "header"],
    ids=["nothing", "something else", "half a header"],
)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_what_was_read_stays_where_nothing_that_can_be_read_takes_its_place(
    tmp_path, monkeypatch, no_waiting, placement, rest
):
    path, out = tmp_path / "run.ptu", tmp_path / "out"
    recording = Recording(T3, tagged=True)
    writer = Writer(path, recording, random.Random(1))
    whole = recording.header(0) + recording.records
    if rest == "header":
        rest = whole[:300]
    waits = [(None, b"")] * 20
    writer.steps = iter([(None, whole), *waits, CUT, *waits, (None, rest), *waits])
    monkeypatch.setattr(Follow, "clock", writer)
    outcome = PLACEMENTS[placement][0](line("follow", path, out), results_s=0.05).run()
    assert not outcome.imbalances
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    said = result["recording"]
    assert (said["records"], said["sha256"]) == (RECORDS, None)
    assert result["fit"]["tau_x_s"] is not None
    assert any("became shorter" in note for note in said["notes"])


# A writer of another program: header in two parts, then records a few at a time, and the last byte of a word late.
WRITER = """
import sys, time
data, header = open(sys.argv[1], "rb").read(), int(sys.argv[3])
with open(sys.argv[2], "wb", buffering=0) as file:
    file.write(data[: header // 2])
    for at in range(header // 2, len(data), 20001):
        time.sleep(0.05)
        file.write(data[at : at + 20001])
"""


def test_the_command_follows_a_real_writer(tmp_path):
    recording = Recording(T3, tagged=True)
    whole, path, out = tmp_path / "whole.ptu", tmp_path / "run.ptu", tmp_path / "out"
    whole.write_bytes(recording.header(RECORDS, complete=True) + recording.records)
    command = [
        sys.executable,
        "-P",
        "-m",
        "photonstream.cli",
        "follow",
        str(path),
        "--headless",
        "--out",
        str(out),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        header = str(len(recording.header(0)))
        events(path)
        # It says what it waits for; only then does the file begin.
        assert any(f"waiting for {path}" in said for said in follower.stderr)
        subprocess.run([sys.executable, "-c", WRITER, str(whole), str(path), header], check=True)
        output, errors = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, errors
    assert "beta" in output
    assert "gap at" in errors
    again = tmp_path / "again"
    assert main(["replay", str(path), "--headless", "--placement", "inline", "--out", str(again)]) == 0
    assert comparable(out) == comparable(again)
    assert "Events of the recording" in (out / "report.html").read_text(encoding="utf-8")


def test_ctrl_c_while_it_waits_is_no_result(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []

    def awaits(self):
        # As a second look after Ctrl-C.
        if asked:
            signal.raise_signal(signal.SIGINT)
        asked.append(True)
        return "waiting for run.ptu"

    monkeypatch.setattr(Follow, "awaits", awaits)
    assert main(["follow", "run.ptu", "--headless", "--placement", "inline"]) == 130
    assert "ended while waiting for run.ptu: there is no result" in capsys.readouterr().err
    assert not any((tmp_path / "runs").iterdir()) if (tmp_path / "runs").exists() else True


def test_ctrl_c_ends_with_a_full_result_of_what_was_read(tmp_path, monkeypatch, no_waiting):
    recording, path, out = Recording(T3, tagged=True), tmp_path / "run.ptu", tmp_path / "out"
    path.write_bytes(recording.header(0) + recording.records[: 4 * 9000])
    looks = itertools.count()

    def clock():
        now = next(looks)
        if now == 50:
            signal.raise_signal(signal.SIGINT)
        return 0.01 * now

    monkeypatch.setattr(Follow, "clock", staticmethod(clock))
    options = ["--headless", "--placement", "inline", "--out", str(out)]
    assert main(["follow", str(path), *options]) == 0
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["recording"]["records"] == 9000
    assert result["interrupted"]
    assert result["recording"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result["fit"]["model"] == "bi"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"time,counts\n1,2\n", "not a tag file"),
        (None, "this is a directory"),
        (b"PQTTTR", "nothing has come for 0.05 s"),
    ],
)
def test_what_cannot_be_followed_is_one_sentence_and_code_2(tmp_path, monkeypatch, capsys, content, words):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.ptu"
    path.mkdir() if content is None else path.write_bytes(content)
    assert main(["follow", "run.ptu", "--headless", "--idle-timeout", "0.05"]) == 2
    captured = capsys.readouterr()
    assert words in captured.err.splitlines()[-1]
    assert captured.err.splitlines()[-1].startswith("photonstream: run.ptu: ")
    assert captured.out == ""


@pytest.mark.parametrize(("text", "seconds"), [("10", 10.0), ("1min", 60.0), ("0", None), ("none", None)])
def test_the_idle_timeout_as_one_types_it(text, seconds):
    assert idle_timeout(text) == seconds


@pytest.mark.parametrize("text", ["-1", "soon", "nan"])
def test_what_is_no_idle_timeout(text):
    with pytest.raises(argparse.ArgumentTypeError):
        idle_timeout(text)
