"""A device recorded and followed: the recorder outlives whoever follows, and the results are those of its file."""

import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from photonstream.cli.attach import Recording, _for_next
from photonstream.cli.folders import address_of, counted_up
from photonstream.cli.main import main
from photonstream.cli.remote import Remote
from photonstream.dashboard.deeds import notes_said
from photonstream.nodes.drivers.base import DeviceFacts
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path, parse_event
from photonstream.nodes.recording_file import RecordingFile
from photonstream.stream.control import GONE, CommandClient, socket_of
from photonstream.stream.link import new_context
from photonstream.stream.supervisor import ANYWHERE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")

PATIENCE_S = 180
COMMAND = (sys.executable, "-P", "-m", "photonstream.cli", "attach", "simulated")


def result_of(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


class Attached:
    """A run of attach, with its folder of results."""

    def __init__(self, out, *options, headless=True, **how):
        self.out = out
        page = ["--headless"] if headless else []
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(
            [*COMMAND, *page, "--placement", "threads", "--out", str(out), *options], **streams | how
        )

    def wait_for(self, condition):
        waiting = threading.Event()
        for _ in range(PATIENCE_S * 50):
            if found := condition():
                return found
            waiting.wait(0.02)
        raise AssertionError("it did not come about")

    @property
    def path(self):
        """The tag file, once it is there."""
        return self.wait_for(lambda: next(self.out.glob("*_simulated.ptu"), None))

    def records(self):
        try:
            return open_tag_file(self.path).records
        except TagFileError:
            return 0

    def events(self):
        lines = events_path(self.path).read_text(encoding="utf-8").splitlines()
        return [parse_event(line) for line in lines]

    @property
    def recorder(self):
        """Process id of the recorder."""
        return self.wait_for(lambda: events_path(self.path).exists() and self.events())[0].more["pid"]

    def finish(self):
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err

    def result(self):
        return result_of(self.out)


@pytest.fixture
def attach(tmp_path, ended):
    """Starts attach; whatever the test leaves of it and of its recorder is ended."""

    def start(*options, **how):
        made = Attached(tmp_path / "out", *options, **how)
        ended(made.process)
        return made

    yield start
    for path in tmp_path.glob("out*/*.ptu"):
        if open_tag_file(path).header[COMPLETE_TAG] is False:
            main(["record", "--stop", str(path)])


def test_for_a_time_with_faults(attach):
    run = attach(
        "--time", "2.2", "--set", "device.faults=overrun@0.5s gone@1s:0.2s", "--set", "lifetime.s=3.5"
    )
    code, out, err = run.finish()
    assert code == 0, err
    assert "beta (apparent, s = 3.5" in out
    result = run.result()
    [source] = [line for line in result["ledger"] if line["node"] == "source"]
    assert source["gaps"]["count"] == 2
    # What the device did not see is in no rate, and no dark bin.
    recording, states = result["recording"], result["states"]
    assert recording["duration_s"] - recording["measured_s"] == pytest.approx(
        source["gaps"]["lost_s"], abs=0.02
    )
    assert recording["measured_s"] < recording["duration_s"] - 0.2
    assert result["intensity"]["mean_rate_hz"] == pytest.approx(
        recording["photons"] / recording["measured_s"]
    )
    shares = [level["time_share"] for level in states["levels"] if level["on"]]
    assert states["on_time_s"] / recording["measured_s"] == pytest.approx(sum(shares), abs=0.02)
    trace = np.genfromtxt(run.out / "trace.csv", delimiter=",", names=True, skip_header=0)[1:]
    assert trace["gap"].sum() * 0.01 == pytest.approx(
        recording["duration_s"] - recording["measured_s"], abs=0.05
    )
    assert open_tag_file(run.path).header[COMPLETE_TAG] is True
    assert not run.path.with_name(f"{run.path.name}.recorder.log").exists()


def test_kernels_are_compiled_before_the_device_is_armed_and_ctrl_c_ends_that(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("photonstream.cli.preparation.kernels_are_kept", lambda: False)
    monkeypatch.setattr("photonstream.nodes.warm_up.warm_up", lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(subprocess, "Popen", None)
    assert main(["attach", "simulated", "--headless", "--out", str(tmp_path / "out")]) == 130
    assert "preparing (first time only)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_thread_is_not_given_an_address(tmp_path, capsys):
    words = ["attach", "simulated", "--headless", "--placement", "inline", "--out", str(tmp_path / "out")]
    for more in (["--address", "tcp://127.0.0.1:5710"], ["--keys", str(tmp_path)]):
        assert main([*words, *more]) == 2
        assert "one thread has no address" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_ctrl_c_while_the_device_is_armed_is_answered_once(tmp_path, monkeypatch, capfd):
    def interrupt(_wait_s):
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)

    # It is slept only until the recording is there.
    monkeypatch.setattr("photonstream.cli.attach.time", SimpleNamespace(sleep=interrupt))
    assert main(["attach", "simulated", "--headless", "--out", str(tmp_path / "out")]) == 130
    err = capfd.readouterr().err
    assert "ended at once" in err
    assert "ending the recording" not in err
    assert not list(tmp_path.rglob("*.ptu"))


def test_ctrl_c_ends_the_recording_and_then_the_run(attach):
    run = attach()
    run.wait_for(lambda: run.records() > 20_000)
    run.process.send_signal(signal.SIGINT)
    code, _, err = run.finish()
    assert code == 0, err
    assert "ending the recording" in err
    file = open_tag_file(run.path)
    assert file.header[COMPLETE_TAG] is True
    assert run.result()["recording"]["records"] == file.records
    assert not run.result()["interrupted"]
    assert run.events()[-1].text == "stopped as asked"


def test_a_note_goes_beside_the_recording_and_the_replay_shows_it(attach, capsys, tmp_path):
    run = attach()
    run.wait_for(lambda: run.records() > 20_000)
    run.wait_for(lambda: address_of(run.out))
    assert main(["ctl", str(run.out), "note", "laser realigned"]) == 0
    assert f"its recorder writes it into {events_path(run.path).name}" in capsys.readouterr().out
    run.wait_for(lambda: any(event.kind == "note" for event in run.events()))
    assert main(["ctl", str(run.out), "stop"]) == 0
    code, _, err = run.finish()
    assert code == 0, err
    recording = run.path.read_bytes(), events_path(run.path).read_bytes()
    # The recording is ended, and read to its end.
    assert not run.result()["interrupted"]
    notes = [event for event in run.result()["recording_events"] if event["kind"] == "note"]
    assert [note["text"] for note in notes] == ["laser realigned"]
    assert 0 < notes[0]["record"] <= run.result()["recording"]["records"]
    assert notes[0]["time_s"] > 0
    again = tmp_path / "again"
    assert main(["replay", "--like", str(run.out), "--headless", "--out", str(again)]) == 0
    replayed = json.loads((again / "result.json").read_text(encoding="utf-8"))
    assert [event for event in replayed["recording_events"] if event["kind"] == "note"] == notes
    # Those stand beside the recording, and not in the log of the replay a second time.
    assert notes_said(again) == []
    assert replayed["fit"] == run.result()["fit"]
    assert recording == (run.path.read_bytes(), events_path(run.path).read_bytes())


def control_of(address):
    """Endpoint and name of the command socket of the run at ``address``."""
    with Remote(address) as remote:
        remote.parameters()
        return socket_of(remote.latest().opening.facts)


def say_again(address, control, name):
    """What the run at ``address`` says to a command that was meant for another one."""
    endpoint, _ = control_of(address)
    context = new_context()
    client = CommandClient(context, endpoint, to=control[1])
    client.send(name, {})
    for _ in range(PATIENCE_S * 50):
        if answers := client.receive():
            break
        client.socket.poll(20)
    client.stop()
    context.term()
    return answers


def test_the_next_particle_follows_at_the_same_address_as_told_in_the_end(attach, tmp_path, capsys):
    meta = tmp_path / "meta.toml"
    meta.write_text('particle = "NC 12"\nsample = "FAPbI3"\n', encoding="utf-8")
    run = attach("--meta", str(meta), "--set", "lifetime.s=3.9")
    address = run.wait_for(lambda: address_of(run.out))
    run.wait_for(lambda: run.records() > 5000)
    assert main(["ctl", address, "set", "lifetime.s=3.5"]) == 0
    first = control_of(address)
    assert main(["ctl", address, "next"]) == 0
    second = tmp_path / "out_2"
    assert run.wait_for(lambda: address_of(second)) == address
    # Its answer may have been lost with the first run.
    assert say_again(address, first, "next") == [(False, GONE)]
    assert main(["ctl", str(second), "stop"]) == 0
    code, _, err = run.finish()
    assert code == 0, err
    results = [result_of(folder) for folder in (run.out, second)]
    assert [found["experiment"]["particle"] for found in results] == ["NC 12", "NC 13"]
    assert [found["experiment"]["sample"] for found in results] == ["FAPbI3", "FAPbI3"]
    assert [found["parameters"]["lifetime"]["s"] for found in results] == [3.5, 3.5]
    assert not any(found["interrupted"] for found in results)
    recordings = [Path(found["recording"]["path"]) for found in results]
    assert [path.parent for path in recordings] == [run.out, second]
    assert all(open_tag_file(path).header[COMPLETE_TAG] is True for path in recordings)


def test_settings_of_the_device_are_changed_for_the_next_particle_and_repeated(attach, tmp_path, capsys):
    run = attach("--channels", "1", "--set", "device.background_hz=500,300")
    address = run.wait_for(lambda: address_of(run.out))
    run.wait_for(lambda: run.records() > 5000)
    assert main(["ctl", address, "set", "device.mode=T4"]) == 2
    assert "the run refuses: device simulated: mode is one of T3, T2, not 'T4'" in capsys.readouterr().err
    assert main(["ctl", address, "set", "device.dead_time_s=25ns", "device.seed=7"]) == 0
    said = "the next recording is armed with dead_time_s = 2.5e-08, seed = 7; this one goes on as it is"
    assert said in capsys.readouterr().out
    assert main(["ctl", address, "status"]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "device.seed 7 from the next recording on (now 1)" in table
    assert "device.background_hz 500, 300 device" in table
    assert main(["ctl", address, "next"]) == 0
    second, third, replayed = (tmp_path / name for name in ("out_2", "out_3", "replayed"))
    run.wait_for(lambda: address_of(second))
    assert main(["ctl", str(second), "stop"]) == 0
    code, _, err = run.finish()
    assert code == 0, err
    again = [
        "attach",
        "simulated",
        "--headless",
        "--like",
        str(second),
        "--time",
        "0.3s",
        "--out",
        str(third),
    ]
    assert main([*again, "--set", "device.seed=8"]) == 0
    assert main(["replay", "--like", str(second), "--headless", "--out", str(replayed)]) == 0
    armed = [result_of(each)["parameters"]["source"]["device"] for each in (run.out, second, third, replayed)]
    assert {device["name"] for device in armed} == {"simulated"}
    names = ("seed", "dead_time_s", "background_hz", "channels")
    told = [[device["settings"][name] for name in names] for device in armed]
    assert told[0] == [1, None, [500.0, 300.0], [1]]
    assert told[1] == told[3] == [7, pytest.approx(25e-9), [500.0, 300.0], [1]]
    assert told[2] == [8, *told[1][1:]]
    # So it is by the recorder's own word.
    start = result_of(second)["recording_events"][0]
    assert [start["settings"][name] for name in names] == told[1]


def test_with_a_page_it_stays_after_a_stop_until_a_second_one(attach, tmp_path, capsys):
    run = attach("--no-browser", headless=False)
    address = run.wait_for(lambda: address_of(run.out))
    run.wait_for(lambda: run.records() > 5000)
    assert main(["ctl", address, "stop"]) == 0
    assert "stop: done; the recording ends; the page stays until next particle" in capsys.readouterr().out
    run.wait_for((run.out / "report.html").exists)
    # Its recorder has ended, and no other one has begun.
    run.wait_for(lambda: not Path(f"/proc/{run.recorder}").exists())
    assert open_tag_file(run.path).header[COMPLETE_TAG] is True
    assert main(["ctl", address, "discard", "drifted away"]) == 0
    assert run.process.poll() is None
    assert main(["ctl", address, "stop"]) == 0
    code, out, err = run.finish()
    assert code == 0, err
    assert "the page stays until Ctrl-C; next particle" in out
    assert run.result()["discarded"]["why"] == "drifted away"
    assert list(tmp_path.glob("*/*.ptu")) == [run.path]


def test_ctrl_c_while_the_next_particle_was_asked_for_is_the_end(attach):
    run = attach()
    address = run.wait_for(lambda: address_of(run.out))
    run.wait_for(lambda: run.records() > 5000)
    assert main(["ctl", address, "next"]) == 0
    run.process.send_signal(signal.SIGINT)
    # Where the first run was over by then the next one has nothing to keep.
    code, _, err = run.finish()
    assert code in (0, 130), err


def test_a_recorder_that_has_completed_its_file_is_left_to_end_by_itself(tmp_path, monkeypatch):
    path = tmp_path / "whole.ptu"
    assert main(["record", "simulated", "--time", "50ms", "--quiet", "--out", str(path)]) == 0
    ending = (sys.executable, "-c", "import threading; threading.Event().wait(1)")
    monkeypatch.setattr("photonstream.cli.attach.COMMAND", ending)
    recording = Recording(path, [])
    recording.start()
    recording.stop()
    recording.wait()
    assert (recording.code, recording.last_words()) == (0, "")


def test_the_next_particle_follows_one_whose_recorder_died(attach, tmp_path):
    run = attach("--set", "device.seed=2")
    address = run.wait_for(lambda: address_of(run.out))
    run.wait_for(lambda: run.records() > 5000)
    # It is stopped, so that the run cannot have ended before it is told.
    os.kill(run.recorder, signal.SIGSTOP)
    assert main(["ctl", address, "next"]) == 0
    os.kill(run.recorder, signal.SIGKILL)
    second = tmp_path / "out_2"
    assert run.wait_for(lambda: address_of(second)) == address
    assert main(["ctl", str(second), "stop"]) == 0
    code, _, err = run.finish()
    # Something had failed.
    assert code == 3
    assert "the recorder died (code -9)" in err
    first, other = (result_of(folder) for folder in (run.out, second))
    assert any("has not completed it" in note for note in first["recording"]["notes"])
    assert other["recording"]["notes"] == []


@pytest.mark.parametrize("asked", [False, True])
def test_an_address_that_nobody_asked_for_may_be_another_one_for_the_next_particle(tmp_path, capsys, asked):
    before = tcp(5) if asked else ANYWHERE, 6 if asked else 0
    arguments = Namespace(out=tmp_path, address=before[0], or_elsewhere=False, port=before[1], any_port=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        first = SimpleNamespace(address=tcp(5), page_port=port)
        following = _for_next(arguments, first, None, named=True)
        assert (following.address, following.or_elsewhere) == (tcp(5), not asked)
        assert (following.port, following.any_port) == ((port, False) if asked else (0, True))
        assert ("the page gets another address" in capsys.readouterr().err) != asked
        # So for all that follow.
        again = _for_next(following, first, None, named=True)
    assert (again.or_elsewhere, again.any_port) == (not asked, not asked)


def tcp(port):
    return f"tcp://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("name", "following"), [("NC 12", "NC 13"), ("NC", "NC 2"), ("a09", "a10"), ("", " 2"), ("3 b", "3 b 2")]
)
def test_names_are_counted_up(name, following):
    assert counted_up(name) == following


def test_a_folder_with_the_results_of_another_recording_is_left_alone(attach, tmp_path):
    for name in ("out", "out_2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(name, encoding="utf-8")
    code, _, err = attach("--time", "0.3").finish()
    assert code == 0, err
    assert (
        f"{tmp_path / 'out'} has the results of a recording, so this one goes into {tmp_path / 'out_3'}"
        in err
    )
    assert [(tmp_path / name / "result.json").read_text(encoding="utf-8") for name in ("out", "out_2")] == [
        "out",
        "out_2",
    ]
    assert result_of(tmp_path / "out_3")["ledger"]
    assert not [*(tmp_path / "out").glob("*.ptu")]


def test_killed_it_leaves_the_recorder_which_is_followed_and_ended_from_elsewhere(attach, tmp_path):
    run = attach()
    run.wait_for(lambda: run.records() > 5000)
    run.process.kill()
    run.finish()
    path, before = run.path, run.records()
    follower = subprocess.Popen(
        [*COMMAND[:-2], "follow", str(path), "--headless", "--out", str(tmp_path / "followed")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    run.wait_for(lambda: run.records() > before + 50_000)
    assert main(["record", "--stop", str(path)]) == 0
    _, err = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, err
    result = json.loads((tmp_path / "followed" / "result.json").read_text(encoding="utf-8"))
    assert result["recording"]["records"] == open_tag_file(path).records
    assert run.events()[-1].kind == "stop"


def test_a_recorder_that_is_killed_ends_the_run_with_all_that_it_wrote(attach):
    run = attach()
    run.wait_for(lambda: run.records() > 20_000)
    os.kill(run.recorder, signal.SIGKILL)
    code, _, err = run.finish()
    assert code == 3
    assert "the recorder died (code -9)" in err
    file = open_tag_file(run.path)
    assert run.result()["recording"]["records"] == file.records
    assert not file.header[COMPLETE_TAG]
    end = run.events()[-1]
    assert (end.kind, end.record, end.text) == ("stop", file.records, "the recorder died (code -9)")


def test_of_a_recorder_that_was_killed_attach_says_what_follow_and_replay_say(attach, tmp_path):
    run = attach("--set", "device.faults=overrun@0.3s")
    run.wait_for(lambda: run.records() > 40_000)
    os.kill(run.recorder, signal.SIGKILL)
    code, _, err = run.finish()
    assert code == 3, err
    said = [run.result()]
    for way in (["replay"], ["follow", "--idle-timeout=none"]):
        out = tmp_path / way[0]
        assert main([*way, str(run.path), "--headless", "--placement", "inline", "--out", str(out)]) == 0
        said.append(json.loads((out / "result.json").read_text(encoding="utf-8")))
    assert any("its recorder has not completed it" in note for note in said[0]["recording"]["notes"])
    for each in said:
        del each["parameters"]["source"]
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize(
    ("complete", "how", "failed"),
    [
        (True, "kill -TERM $$", False),
        (False, "kill -TERM $$", True),
        (True, "exit 3", True),
        (True, "exit 0", False),
    ],
)
def test_a_recorder_that_is_ended_when_its_file_is_complete_has_not_failed(tmp_path, complete, how, failed):
    """It ends by itself when its time is over, and may be told to at that moment."""
    recording = Recording(tmp_path / "run.ptu", [])
    recording._command = ["sh", "-c", how]
    recording.start()
    recording.wait()
    facts = DeviceFacts(GENERIC_T3, 1e-6, 1e-10, 1e6, 2, "none")
    file = RecordingFile(recording.path, facts)
    begun = recording.path.read_bytes()
    file.close(1.0)
    if not complete:
        recording.path.write_bytes(begun)
    assert recording.failed == failed
    recording.last_words()


def test_a_folder_that_is_moved_takes_the_whole_recording_with_it(attach, tmp_path):
    run = attach("--time", "3")
    run.wait_for(lambda: run.records() > 20_000)
    run.out.rename(tmp_path / "moved")
    code, out, err = run.finish()
    assert code == 3, err
    assert "is not there any more, deleted or moved; what is open is read on" in err
    assert f"the results could not be written: {run.out}: No such file or directory" in err
    assert "Traceback" not in err
    file = open_tag_file(next((tmp_path / "moved").glob("*_simulated.ptu")))
    assert file.header[COMPLETE_TAG] is True
    assert f"the file was deleted or moved after {file.records:,} records" in " ".join(out.split())
    assert "beta" in out


def test_a_folder_that_is_deleted_ends_the_recording_and_the_run(attach):
    run = attach()
    run.wait_for(lambda: run.records() > 20_000)
    shutil.rmtree(run.out)
    code, out, err = run.finish()
    assert code == 3, err
    assert "was deleted, and what was recorded with it" in err
    assert "the results could not be written" in err
    assert "Traceback" not in err
    assert "beta" in out


def test_a_terminal_that_is_closed_ends_the_run_and_not_the_recording(attach):
    ours, its = pty.openpty()

    def take_terminal():
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)
        # Under nohup the tests would hand on that it is ignored.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    run = attach(
        stdin=its, stdout=its, stderr=its, text=None, start_new_session=True, preexec_fn=take_terminal
    )
    os.close(its)
    said = b""
    while b"to watch it" not in said:
        said += os.read(ours, 4096)
    run.wait_for(lambda: run.records() > 20_000)
    os.close(ours)
    assert run.process.wait(PATIENCE_S) == 0
    read = run.result()["recording"]["records"]
    run.wait_for(lambda: run.records() > read + 50_000)
    assert Path(f"/proc/{run.recorder}").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "device.mode=T4"], "mode is one of T3, T2"),
        (["--set", "device.bins=4"], "device simulated has no setting 'bins'"),
        (["--set", "lifetime.nothing=4"], "there is no such parameter"),
        (["--set", "device.faults=sync@0s"], "the device cannot be armed"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence_and_leaves_nothing(tmp_path, capfd, options, words):
    out = tmp_path / "out"
    assert main(["attach", "simulated", "--headless", "--out", str(out), *options]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert words in said.err
    assert "Traceback" not in said.err
    assert not out.exists()
