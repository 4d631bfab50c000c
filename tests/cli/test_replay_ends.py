"""How `photonstream replay` ends otherwise: Ctrl-C, what cannot be read or written, and the exit codes."""

import errno
import json
import os
import signal
import struct
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from photonstream.cli.folders import CLAIM, claimed
from photonstream.cli.main import main
from photonstream.cli.progress import ProgressLine
from photonstream.cli.run_record import RunRecord
from photonstream.nodes.intensity import Intensity
from photonstream.nodes.sources import Replay
from photonstream.nodes.warm_up import warm_up
from photonstream.stream.threads import ThreadsRunner

REPLAY_DATA = Path(__file__).resolve().parents[2] / "replay_data"
NC_355 = REPLAY_DATA / "nc_355nm.ptu"
INTERRUPTED = REPLAY_DATA / "nc_355nm_interrupted.ptu"


@pytest.mark.parametrize("placement", ["inline", "threads"])
def test_ctrl_c_ends_with_the_results_so_far(tmp_path, monkeypatch, capsys, placement):
    shown = []

    def show(self, share, text):
        shown.append(text)
        if len(shown) == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressLine, "show", show)
    before = signal.getsignal(signal.SIGINT)
    assert (
        main(
            [
                "replay",
                "--headless",
                str(NC_355),
                "--out",
                str(tmp_path),
                "--speed",
                "5",
                "--placement",
                placement,
            ]
        )
        == 0
    )
    assert signal.getsignal(signal.SIGINT) is before
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["interrupted"] is True
    assert 0 < result["recording"]["records"] < 319_000
    assert result["recording"]["sha256"] is None or len(result["recording"]["sha256"]) == 64
    assert any("stopped after" in note for note in result["recording"]["notes"])
    assert (tmp_path / "report.html").exists()
    assert "interrupted" in capsys.readouterr().out


def test_ctrl_c_while_a_paced_replay_waits(tmp_path, monkeypatch):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 20:
            signal.raise_signal(signal.SIGINT)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr("photonstream.stream.runner.time", clock)
    arguments = ["--headless", "--placement", "inline", "--speed", "1"]
    assert main(["replay", str(NC_355), "--out", str(tmp_path), *arguments]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["interrupted"] is True
    assert result["recording"]["records"] < 319_000


def test_a_second_ctrl_c_ends_at_once(tmp_path, monkeypatch, capsys):
    def show(self, share, text):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressLine, "show", show)
    assert main(["replay", "--headless", str(NC_355), "--out", str(tmp_path)]) == 130
    assert "ended at once" in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()


def test_paced_replay_takes_the_recorded_time(tmp_path, monkeypatch):
    class Watch:
        """Stands for the clock of the run and of its source: time passes only by sleeping."""

        now = 0.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            assert seconds <= 0.05  # an end is noticed soon
            self.now += seconds

    # Photons by which kernels are loaded are none of the recording.
    warm_up()
    watch = Watch()
    monkeypatch.setattr("photonstream.stream.runner.time", watch)
    monkeypatch.setattr(Replay, "clock", watch.monotonic)
    ends = []
    fold = Intensity.fold

    def timed(self, chunk):
        ends.append((watch.now, chunk.stop))
        return fold(self, chunk)

    monkeypatch.setattr(Intensity, "fold", timed)
    file = REPLAY_DATA / "nc_355nm_interrupted.ptu"
    arguments = ["--headless", "--placement", "inline", "--speed", "10"]
    assert main(["replay", str(file), "--out", str(tmp_path), *arguments]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert watch.now == pytest.approx(result["recording"]["duration_s"] / 10, abs=2e-3)
    # Photons come when their time has come, and in small steps: what a live page shows moves smoothly.
    recorded_s = np.array([stop for _, stop in ends]) * result["recording"]["macrotime_unit_s"]
    wall_s = np.array([now for now, _ in ends])
    assert np.all(wall_s[:-1] * 10 >= recorded_s[:-1] - 1e-3)
    assert np.diff(recorded_s[10:]).max() < 2 * 0.2


def bad_files(tmp_path):
    good = NC_355.read_bytes()
    tag = good.index(b"TTResultFormat_TTTRRecType") + 40
    made = {
        "empty.ptu": b"",
        "cut.ptu": good[:400],
        "text.ptu": b"time,counts\n1,2\n",
        "kind.ptu": good[:tag] + struct.pack("<q", 0x00990399) + good[tag + 8 :],
    }
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    return made


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.ptu", "empty"),
        ("cut.ptu", "header"),
        ("text.ptu", "not a tag file"),
        ("kind.ptu", "record type"),
        ("missing.ptu", "no such file"),
        (".", "directory"),
    ],
)
@pytest.mark.parametrize("command", ["replay", "info"])
def test_unreadable_input_is_one_sentence_and_code_2(tmp_path, monkeypatch, capsys, command, name, words):
    monkeypatch.chdir(tmp_path)
    bad_files(tmp_path)
    assert main([command, name, *(["--headless"] if command == "replay" else [])]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "nonsense=1"], "nonsense"),
        (["--set", "lifetime.nonsense=1"], "no such parameter"),
        (["--set", "s=0.5"], "s is 0.5"),
        (["--mean-n", "-1"], "mean_n"),
        (["--irf", "no_such_file.txt"], "IRF"),
        (["--meta", "no_such_file.toml"], "no_such_file.toml"),
        (["--meta", os.devnull], "it says nothing of the experiment"),
        (["--bin", "1ns"], "finer than"),
        (["--bin", "1000000s"], "at most a day"),
        (["--set", "sync_channel=foo"], "sync_channel cannot be 'foo'"),
        (["--set", "chunk_records=1.5"], "chunk_records cannot be 1.5"),
        (["--set", "chunk_records=True"], "chunk_records cannot be True"),
        (["--set", "bin_s=1e999"], "bin_s cannot be inf"),
        (["--set", "states.on=(1,2,3)"], "on cannot be"),
        (["--set", "sync_rate_hz=1e300"], "sync rate"),
        (["--set", "source.path=none"], "path cannot be None"),
        (["--mean-n", "nan"], "mean_n cannot be nan"),
        (["--fit-range", "2ns:1us"], "2 ns to 1000 ns does not lie within the pulse period of 210.5 ns"),
        (["--set", "lifetime.fit_range_s=(2e-9,1e-9)"], "the fit range must rise"),
    ],
)
def test_bad_parameters_are_one_sentence_and_code_2(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["replay", "--headless", str(NC_355), *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "arguments", [["--bin", "0"], ["--on", "9:3"], ["--speed", "-2"], ["--export", "excel"]]
)
def test_bad_usage_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["replay", "--headless", str(NC_355), *arguments])
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--irf", "-1ns", "a width must be positive, not '-1ns'"),
        ("--bin", "-.5ms", "a time must be positive"),
        ("--on", "-5:5", "must rise from 0 or more"),
        ("--fit-range", "-5ns:5ns", "must rise from 0 or more"),
    ],
)
def test_a_negative_quantity_is_refused_by_its_cause(option, value, words, capsys):
    with pytest.raises(SystemExit):
        main(["replay", "--headless", str(NC_355), option, value])
    assert words in capsys.readouterr().err


def test_bins_longer_than_the_recording_are_said(tmp_path, capsys):
    assert main(["replay", "--headless", str(INTERRUPTED), "--out", str(tmp_path), "--bin", "1h"]) == 0
    assert "the trace is a single bin: bins of 3600 s" in " ".join(capsys.readouterr().out.split())


def test_an_unbalanced_ledger_is_code_3(tmp_path, dark, monkeypatch, capsys):
    run = ThreadsRunner.run

    def unbalanced(self):
        outcome = run(self)
        outcome.imbalances.append("decode: 3 events in, but 2 accounted for")
        return outcome

    monkeypatch.setattr(ThreadsRunner, "run", unbalanced)
    assert main(["replay", "--headless", str(dark), "--out", str(tmp_path)]) == 3
    assert "does not balance" in capsys.readouterr().err


def test_a_node_that_breaks_is_code_3_and_named(tmp_path, monkeypatch, capsys):
    def broken(self, chunk):
        raise ZeroDivisionError("in the middle")

    monkeypatch.setattr(Intensity, "fold", broken)
    assert main(["replay", "--headless", str(INTERRUPTED), "--out", str(tmp_path)]) == 3
    err = capsys.readouterr().err
    assert "node intensity cannot go on" in err
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_who_looks_at_a_folder_keeps_no_run_out_of_it(tmp_path):
    import fcntl

    place = tmp_path / CLAIM
    place.touch()
    looking = place.open(encoding="utf-8")
    fcntl.flock(looking, fcntl.LOCK_SH)
    leaving = threading.Timer(0.05, looking.close)
    leaving.start()
    with claimed(tmp_path):
        assert place.exists()
    leaving.join()


def test_a_folder_holds_one_run(tmp_path, dark):
    assert main(["replay", "--headless", str(NC_355), "--out", str(tmp_path), "--export", "igor"]) == 0
    (tmp_path / "my_notes.txt").write_text("keep me", encoding="utf-8")
    assert (tmp_path / "decay.itx").exists()
    assert main(["replay", "--headless", str(dark), "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["recording"]["photons"] == 0
    assert result["fit"]["model"] == "none"
    assert result["fit"]["reason"]
    names = {path.name for path in tmp_path.iterdir()}
    assert not {name for name in names if name.endswith(".itx") or "_ch" in name}
    assert {"my_notes.txt", "report.html", "trace.csv"} <= names


@pytest.mark.parametrize("placement", ["inline", "threads"])
def test_results_that_cannot_be_written_are_printed_all_the_same(tmp_path, monkeypatch, capsys, placement):
    def fail(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("photonstream.nodes.results.write_atomically", fail)
    out = tmp_path / "out"
    arguments = ["--headless", "--placement", placement, "--out", str(out)]
    assert main(["replay", str(NC_355), *arguments]) == 3
    said = capsys.readouterr()
    assert "beta" in said.out
    assert f"the results could not be written: {out / 'trace.csv'}: No space left on device" in said.err


def test_two_runs_do_not_write_into_one_folder(tmp_path, dark, capsys):
    with claimed(tmp_path):
        assert main(["replay", "--headless", str(dark), "--out", str(tmp_path)]) == 2
    assert "another run" in capsys.readouterr().err
    assert main(["replay", "--headless", str(dark), "--out", str(tmp_path)]) == 0


def test_a_recording_that_is_cut_while_it_is_read_keeps_what_was_read(tmp_path, monkeypatch):
    file = tmp_path / "cut.ptu"
    file.write_bytes(NC_355.read_bytes())
    fold = Intensity.fold
    seen = []

    def cut(self, chunk):
        seen.append(chunk)
        if len(seen) == 3:
            os.truncate(file, 400_000)
        return fold(self, chunk)

    monkeypatch.setattr(Intensity, "fold", cut)
    arguments = ["--placement", "inline", "--out", str(tmp_path / "out"), "--set", "chunk_records=20000"]
    assert main(["replay", "--headless", str(file), *arguments]) == 0
    recording = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["recording"]
    assert 60_000 <= recording["records"] < 319_000
    assert any("it held 319139 when it was opened" in note for note in recording["notes"])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not take such names")
def test_a_file_name_that_is_not_unicode(tmp_path, dark):
    file = os.fsencode(tmp_path) + b"/caf\xe9.ptu"
    with open(file, "wb") as copy:  # noqa: PTH123
        copy.write(dark.read_bytes())
    assert main(["replay", "--headless", os.fsdecode(file), "--out", str(tmp_path / "out")]) == 0
    assert (
        "caf"
        in json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["recording"]["path"]
    )
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_is_no_error(tmp_path, dark, monkeypatch, closed):
    monkeypatch.setattr(sys, closed, None)
    assert main(["replay", "--headless", str(dark), "--out", str(tmp_path)]) == 0
    getattr(sys, closed).close()


@pytest.mark.parametrize(
    "content",
    [
        "power_w = nan",
        "power_w = inf",
        "mean_n = -1.0",
        "power_w = 1" + "0" * 400,
        "experiment = 3",
        "experiment = [1]",
        "particle = 7",
        "colour = 'red'",
        "a = " + "[" * 3000,
        "not toml",
    ],
)
def test_a_bad_meta_file_is_one_sentence_and_code_2(tmp_path, capsys, content):
    meta = tmp_path / "meta.toml"
    meta.write_text(content, encoding="utf-8")
    out = tmp_path / "out"
    assert main(["replay", "--headless", str(INTERRUPTED), "--out", str(out), "--meta", str(meta)]) == 2
    err = capsys.readouterr().err
    assert str(meta) in err
    assert len(err.splitlines()) == 1
    assert not out.exists()


def test_what_a_run_in_one_thread_was_told_is_kept_while_it_goes_on(tmp_path, monkeypatch):
    out, kept = tmp_path / "out", []
    keep = RunRecord.keep
    monkeypatch.setattr(
        RunRecord, "keep", lambda record: (kept.append((out / "result.json").exists()), keep(record))
    )
    words = ["replay", str(NC_355), "--headless", "--placement", "inline", "--out", str(out)]
    assert main(words) == 0
    assert kept == [False]
    assert (out / "run.toml").exists()


def test_a_report_that_cannot_be_drawn_is_told_at_once_and_the_page_stays(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"

    def draw(_folder):
        # Whatever a person does at the page goes on: here they end it, a little later.
        threading.Thread(target=main, args=(["ctl", str(out), "stop"],)).start()
        raise RuntimeError("no such font")

    monkeypatch.setattr("photonstream.dashboard.report.write_report", draw)
    assert main(["replay", str(NC_355), "--no-browser", "--out", str(out)]) == 3
    said = capsys.readouterr()
    assert "the report could not be written: RuntimeError: no such font" in said.err
    assert "the page stays until Ctrl-C" in said.out
    assert (out / "result.json").exists()


def test_a_run_with_a_page_is_answered_while_its_report_is_drawn(tmp_path, monkeypatch, capsys):
    out, told = tmp_path / "out", []

    def draw(folder):
        told.extend(main(["ctl", str(folder), *words]) for words in (["note", "meanwhile"], ["stop"]))
        return folder / "report.html"

    monkeypatch.setattr("photonstream.dashboard.report.write_report", draw)
    assert main(["replay", str(NC_355), "--no-browser", "--out", str(out)]) == 0
    assert told == [0, 0]
    assert "meanwhile" in (out / "log.jsonl").read_text(encoding="utf-8")
