"""The commands record and devices as processes of their own: killed, without a terminal, without room on the disk."""

import fcntl
import json
import os
import pty
import random
import resource
import signal
import socket
import subprocess
import sys
import termios
import threading

import numpy as np
import ptufile
import pytest

from photonstream.cli.main import main
from photonstream.nodes.drivers.simulated import SLICE_S, SimulatedSettings
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path, parse_event
from photonstream.nodes.simulate.slices import Slices

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")

PATIENCE_S = 60
COMMAND = (sys.executable, "-P", "-m", "photonstream.cli", "record")


class Recording:
    """A recording by a process of its own."""

    def __init__(self, path, *options, **how):
        self.path = path
        self.process = subprocess.Popen(
            [*COMMAND, "--out", str(path), *options],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **how},
        )

    def wait_for(self, records):
        """Until so many records are in the file."""
        waiting = threading.Event()
        for _ in range(PATIENCE_S * 100):
            if self.records >= records:
                return
            if self.process.poll() is not None:
                raise AssertionError(self.process.communicate())
            waiting.wait(0.01)
        raise AssertionError("too few records came")

    @property
    def records(self):
        try:
            file = open_tag_file(self.path)
        except TagFileError:
            return 0
        return (self.path.stat().st_size - file.data_offset) // 4

    def finish(self):
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


@pytest.fixture
def recording(tmp_path, ended):
    """Starts a recording; whatever the test leaves of it is ended."""

    def start(*options, device="simulated", **how):
        made = Recording(tmp_path / "run.ptu", device, *options, **how)
        ended(made.process)
        return made

    return start


def is_what_there_was(path, **given):
    """Whether the file holds, byte for byte, the first records that the simulator gives; its records and header."""
    file = open_tag_file(path)
    records = np.concatenate([np.empty(0, np.uint32), *file.blocks()])
    slices = Slices(SimulatedSettings(**given).simulation(), GENERIC_T3, SLICE_S)
    pieces, size = [], 0
    while size < records.size:
        pieces.append(slices.next())
        size += pieces[-1].size
    np.testing.assert_array_equal(records, np.concatenate(pieces)[: records.size])
    return file


def kinds(path):
    """Kinds of the events, without those that come by the clock."""
    events = map(parse_event, events_path(path).read_text(encoding="utf-8").splitlines())
    return [event.kind for event in events if event.kind != "status"]


def test_recorded_for_a_time(recording):
    run = recording("--time", "0.5", "--comment", "a first one", "--set", "seed=3")
    code, out, err = run.finish()
    assert (code, err) == (0, "")
    # Others read it too.
    with ptufile.PtuFile(run.path) as other:
        assert other.read_records().size == other.tags["TTResult_NumberOfRecords"] > 10_000
    file = is_what_there_was(run.path, seed=3)
    assert out.startswith(f"{run.path}: {file.records:,} records in ")
    assert out.endswith(" s, no gaps; the time of 0.5 s is over\n")
    assert file.header[COMPLETE_TAG] is True
    assert file.info.comment == "a first one"
    assert kinds(run.path) == ["start", "stop"]
    assert sorted(path.name for path in run.path.parent.iterdir()) == ["run.ptu", "run.ptu.events.jsonl"]


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_it_leaves_a_file_that_can_be_read(recording, capsys, seed):
    run = recording("--set", "background_hz=500k,500k")
    run.wait_for(random.Random(seed).randrange(1, 1_500_000))
    run.process.kill()
    run.finish()
    file = is_what_there_was(run.path, background_hz=(5e5, 5e5))
    # All that was written is there, also what the header did not count yet.
    assert file.header[COMPLETE_TAG] is False
    assert file.records == run.records > 0
    assert file.declared_records <= file.records
    assert main(["info", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == file.records
    assert main(["record", "--stop", str(run.path)]) == 2
    assert "its recorder has died" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_completes_the_file(recording, number):
    run = recording()
    run.wait_for(1000)
    run.process.send_signal(number)
    run.process.send_signal(number)
    code, out, _ = run.finish()
    assert code == 0
    assert out.endswith("no gaps; stopped as asked\n")
    assert is_what_there_was(run.path).header[COMPLETE_TAG] is True


def test_it_is_ended_from_elsewhere(recording, capsys):
    run = recording()
    run.wait_for(1000)
    assert main(["record", "--stop", str(run.path)]) == 0
    assert "the recording has ended with" in capsys.readouterr().out
    assert run.finish()[0] == 0
    assert sorted(path.name for path in run.path.parent.iterdir()) == ["run.ptu", "run.ptu.events.jsonl"]
    assert main(["record", "--stop", str(run.path)]) == 2
    assert "no recording of photonstream that still goes on" in capsys.readouterr().err


def test_a_terminal_that_is_closed_does_not_end_it(recording):
    """It leads the session of a terminal of its own, as in a window that somebody closes."""
    ours, its = pty.openpty()

    def take_terminal():
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)
        # Under nohup the tests would hand on that it is ignored.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    run = recording(
        stdin=its, stdout=its, stderr=its, text=None, start_new_session=True, preexec_fn=take_terminal
    )
    os.close(its)
    said = b""
    while b"records" not in said:
        said += os.read(ours, 4096)
    os.close(ours)
    # So long that the progress has been shown again meanwhile, to nobody.
    run.wait_for(run.records + 100_000)
    run.process.terminate()
    assert run.process.wait(PATIENCE_S) == 0
    assert is_what_there_was(run.path).header[COMPLETE_TAG] is True


def test_readers_of_what_it_says_that_have_gone_do_not_end_it(recording):
    run = recording("--time", "0.3")
    run.process.stdout.close()
    run.process.stderr.close()
    assert run.process.wait(PATIENCE_S) == 0
    assert is_what_there_was(run.path).header[COMPLETE_TAG] is True


def test_a_terminal_that_takes_nothing_does_not_hold_it_up(tmp_path, monkeypatch):
    """As after Ctrl-S: whoever writes to it waits for ever."""
    for_ever = threading.Event()

    class Stuck:
        def isatty(self):
            return True

        def write(self, text):
            for_ever.wait()

        def flush(self):
            for_ever.wait()

    monkeypatch.setattr(sys, "stdout", Stuck())
    monkeypatch.setattr(sys, "stderr", Stuck())
    monkeypatch.setattr("photonstream.cli.record.LAST_WORDS_S", 0.01)
    from photonstream.cli import record

    arguments = _arguments("simulated", "--time", "1", "--out", str(tmp_path / "run.ptu"))
    assert record.run(arguments) == 0
    for_ever.set()
    assert is_what_there_was(tmp_path / "run.ptu").header[COMPLETE_TAG] is True


def _arguments(*given):
    from photonstream.cli.main import build_parser

    return build_parser("record").parse_args(["record", *given])


def test_a_disk_without_room_ends_it_with_all_that_is_written(recording):
    """A quota of 1 MB for a file, in the middle of a record."""
    most = 1_000_003

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    run = recording("--set", "background_hz=500k,500k", preexec_fn=limit)
    code, out, err = run.finish()
    assert (code, out) == (3, "")
    assert "run.ptu cannot be written: File too large" in err
    file = is_what_there_was(run.path, background_hz=(5e5, 5e5))
    assert file.header[COMPLETE_TAG] is True
    assert file.declared_records == file.records == (most - file.data_offset) // 4
    events = [parse_event(line) for line in events_path(run.path).read_text(encoding="utf-8").splitlines()]
    gap, stop = events[-2:]
    assert (gap.kind, gap.cause, gap.record) == ("gap", "disk full", file.records)
    assert gap.lost_records > 0
    assert (stop.kind, stop.more["reason"]) == ("stop", stop.text)
    assert "File too large" in stop.text


def test_faults_are_told(recording):
    run = recording("--time", "1.0", "--set", "faults=overrun@0.2s gone@0.5s:0.1s")
    code, out, _ = run.finish()
    assert code == 0
    assert "2 gaps (events in run.ptu.events.jsonl)" in out
    assert kinds(run.path) == ["start", "gap", "gap", "stop"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["simulated", "--out", "no/where.ptu"], "there is no folder"),
        (["harp"], "there is no device 'harp'"),
        (["simulated:mode=T4"], "mode is one of T3, T2"),
        (["simulated", "--set", "bins=1"], "device simulated has no setting 'bins'"),
        (["simulated", "--set", "dead_time_s=fast"], "--set dead_time_s: 'fast' is not a time"),
        (["simulated", "--channels", "4"], "channels are 0, 1 or both"),
        ([], "name the DEVICE"),
        (["--stop", "nothing.ptu"], "there is no such file"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(options, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["record", *options]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_is_there_is_not_overwritten(tmp_path, capsys):
    path = tmp_path / "run.ptu"
    path.write_bytes(b"precious")
    assert main(["record", "simulated", "--out", str(path)]) == 2
    assert "run.ptu exists, and a recording is never overwritten" in capsys.readouterr().err
    assert path.read_bytes() == b"precious"


def test_the_order_to_stop_another_recording_is_left_alone(tmp_path):
    path, order = tmp_path / "run.ptu", tmp_path / "run.ptu.stop"
    path.write_bytes(b"precious")
    order.touch()
    assert main(["record", "simulated", "--out", str(path)]) == 2
    assert order.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_a_device_can_be_ended(recording, number):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = recording("--set", f"port={port}", "--set", "wait_s=600", device="network")
    with _connected(port):
        # It is there, and waits for what its sender has to say.
        run.process.send_signal(number)
        code, _, err = run.finish()
    assert (code, err) == (130, "photonstream: ended at once\n")
    assert not run.path.exists()


def _connected(port):
    """A connection to ``port`` as soon as somebody listens there."""
    listens = threading.Event()
    for _ in range(PATIENCE_S * 100):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            listens.wait(0.01)
    raise AssertionError("nobody listens")


def test_settings_with_units_and_without_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["--set", "dead_time_s=32ns", "--set", "background_hz=1k,2k", "--channels", "1"]
    assert main(["record", "simulated:preset=640nm,seed=7", *given, "--time", "20ms"]) == 0
    [path] = tmp_path.glob("*_simulated.ptu")
    start = json.loads(events_path(path).read_text(encoding="utf-8").splitlines()[0])
    wanted = {
        "preset": "640nm",
        "seed": 7,
        "dead_time_s": 32 * 1e-9,
        "background_hz": [1e3, 2e3],
        "channels": [1],
    }
    assert {key: start["settings"][key] for key in wanted} == wanted
    assert open_tag_file(path).header["HW_Type"] == "simulated 640nm"


def test_devices(capsys):
    assert main(["devices"]) == 0
    assert "simulated       ready           a simulated nanocrystal in real time" in capsys.readouterr().out
    assert main(["devices", "simulated"]) == 0
    assert "  fifo_records            4194304\n" in capsys.readouterr().out
    assert main(["devices", "harp"]) == 2
    assert "there is no device 'harp' (there are: " in capsys.readouterr().err
