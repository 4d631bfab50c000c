"""A run that is told what to do from elsewhere: it obeys or says why not, keeps what was done, and can be repeated."""

import json
import re
import signal
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from photonstream.cli.ctl import COMMANDS
from photonstream.cli.folders import address_of
from photonstream.cli.main import main
from photonstream.dashboard.deeds import notes_said

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")

PATIENCE_S = 120
RECORDING = Path(__file__).resolve().parents[2] / "replay_data" / "nc_355nm.ptu"


class Running:
    """A paced replay in a process of its own."""

    def __init__(self, out, *options):
        self.out = out
        command = [sys.executable, "-P", "-m", "photonstream.cli", "replay", str(RECORDING), "--headless"]
        self.process = subprocess.Popen(
            [*command, "--out", str(out), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.wait_for(lambda: address_of(out))

    def wait_for(self, condition):
        waiting = threading.Event()
        for _ in range(PATIENCE_S * 20):
            if found := condition():
                return found
            waiting.wait(0.05)
        raise AssertionError("it did not come about")

    def log(self, what=None):
        lines = (self.out / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [line for line in map(json.loads, lines) if what in (None, line["what"])]

    def finish(self):
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, err
        return out, result(self.out)


def result(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def counted(status):
    """Whether ``status`` knows of photons."""
    return re.search(r"^photons +[1-9]", status, re.MULTILINE)


def comparable(found):
    """All but where it was written, how fast it was read, and what became of the run."""
    parameters = {node: given for node, given in found["parameters"].items() if node != "source"}
    return {**found, "parameters": parameters, "discarded": None, "restarts": None}


@pytest.fixture
def start(tmp_path, ended):
    def make(*options):
        made = Running(tmp_path / "out", *options)
        ended(made.process)
        return made

    return make


def test_what_a_run_was_told_is_in_its_folder_and_is_done_again_from_that(
    start, tmp_path, capsys, monkeypatch
):
    irf = tmp_path / "irf.txt"
    irf.write_text(
        "\n".join(f"{0.05 * k:.2f} {round(1e5 * 0.5 ** ((k - 20) ** 2 / 9))}" for k in range(60)),
        encoding="utf-8",
    )
    run = start("--speed", "2", "--set", "source.chunk_records=4000")
    run.wait_for(lambda: main(["ctl", str(run.out), "status"]) == 0 and counted(capsys.readouterr().out))
    for words in (
        ["pause"],
        ["set", "lifetime.s=3.5", "lifetime.min_photons=200"],
        ["bin", "5ms"],
        ["states", "window"],
        ["on", "15k:90k"],
        ["irf", str(irf)],
        ["mean-n", "0.1+-0.02"],
        ["fit-range", "2ns:"],
        ["meta", "particle=NC 12", "power_w=2e-9", "excitation_nm=355"],
        ["note", "laser realigned"],
        ["discard", "drifted away"],
        ["speed", "max"],
        ["resume"],
    ):
        assert main(["ctl", str(run.out), *words]) == 0
        assert capsys.readouterr().out.startswith(f"{words[0]}: done")
    _, found = run.finish()
    assert found["discarded"]["why"] == "drifted away"
    assert found["parameters"]["states"]["on"] == [15e3, 90e3]
    assert found["parameters"]["lifetime"]["fit_range_s"] == [2e-9, None]
    assert found["fit"]["fit_range_s"][0] == pytest.approx(2e-9, abs=0.05e-9)
    told = {"s": 3.5, "mean_n": 0.1, "mean_n_stderr": 0.02, "min_photons": 200, "excitation_nm": 355}
    assert told.items() <= found["parameters"]["lifetime"].items()
    assert found["experiment"]["particle"] == "NC 12"
    assert found["experiment"]["mean_n"] == 0.1
    nodes = tomllib.loads((run.out / "run.toml").read_text(encoding="utf-8"))["node"]
    [kept] = [node["parameters"]["experiment"] for node in nodes if node["name"] == "results"]
    assert (kept["mean_n"], kept["mean_n_stderr"]) == (0.1, 0.02)
    # Beside what is learned meanwhile.
    whys = [line["why"] for line in run.log("epoch") if line["why"] != "learned"]
    assert whys[:2] == ["a command", "a command"]
    commands = run.log("command")
    assert all(line["done"] and line["by"] == "ctl" for line in commands)
    assert {"name": "note", "values": {"text": "laser realigned"}} in [
        {key: line[key] for key in ("name", "values")} for line in commands
    ]
    assert [line["what"] for line in run.log() if line["what"] in ("begin", "complete", "end")] == [
        "begin",
        "complete",
        "end",
    ]

    # The response that was used is in the folder; nothing else than the folder and the recording is looked at.
    irf.unlink()
    monkeypatch.chdir(tmp_path)
    assert main(["replay", "--like", "out", "--headless", "--placement", "inline", "--out", "again"]) == 0
    again = result(tmp_path / "again")
    assert again["parameters"]["lifetime"].pop("irf") == "out/irf/irf.txt"
    assert found["parameters"]["lifetime"].pop("irf") == str(irf)
    assert comparable(again) == comparable(found)
    for curve in ("trace.csv", "decay.csv", "flid.csv"):
        assert (tmp_path / "again" / curve).read_bytes() == (run.out / curve).read_bytes()
    assert again["beta_signed"] is not None
    # What was noted is found again at its time, in the log and on the trace of the report, also in what comes of that.
    third = tmp_path / "third"
    assert main(["replay", "--like", "again", "--headless", "--out", str(third)]) == 0
    [said] = [line for line in commands if line["name"] == "note"]
    for folder in (tmp_path / "again", third):
        [note] = notes_said(folder)
        assert note == {"time_s": said["time_s"], "utc": said["utc"], "text": "laser realigned"}
        assert 0 < note["time_s"] < found["recording"]["duration_s"]
        report = (folder / "report.html").read_text(encoding="utf-8")
        assert "note laser realigned" in report
        assert "violet: notes" in report
    # Of another recording it was never said.
    assert main(["replay", str(RECORDING), "--like", "out", "--headless", "--out", "other"]) == 0
    assert notes_said(tmp_path / "other") == []
    # What comes of that can be done again as well.
    assert (tmp_path / "again" / "irf" / "irf.txt").exists()


def test_a_run_that_was_ended_is_repeated_as_far_as_it_came(start, tmp_path, capsys):
    run = start("--speed", "1", "--states", "window")
    run.wait_for(lambda: main(["ctl", str(run.out), "status"]) == 0 and "photons" in capsys.readouterr().out)
    assert main(["ctl", str(run.out), "stop"]) == 0
    _, found = run.finish()
    assert found["interrupted"]
    assert main(["replay", "--like", str(run.out), "--headless", "--out", str(tmp_path / "again")]) == 0
    assert comparable(result(tmp_path / "again")) == comparable(found)
    assert found["recording"]["records"] > 0


def test_what_a_run_refuses_it_refuses_with_its_reason(start, capsys, tmp_path, monkeypatch):
    run = start("--speed", "1")
    for words, reason in (
        (["set", "lifetime.s=-1"], "the biexciton must radiate faster"),
        (["set", "states.method=nonsense"], "the method is one of"),
        (["bin", "1ps"], "finer than this recording's macrotime unit"),
        (["set", "source.path=other.ptu"], "does not change on the way"),
        (["set", "lifetime.nothing=1"], "there is no such parameter"),
        (["irf", "nowhere.ptu"], "nowhere.ptu"),
        (["note", "  "], "a note is a text"),
        (["discard", "x" * 1001], "1001 characters"),
        (["seek", "backwards"], "is not a time"),
        (["pause", "now"], "pause takes no value"),
        (["meta", "colour=red"], "FIELD=VALUE"),
        (["next"], "only where a device is recorded"),
        (["dance"], "there is no command 'dance'"),
    ):
        assert main(["ctl", str(run.out), *words]) == 2, words
        said = capsys.readouterr()
        assert reason in said.err, words
        assert not said.out
    assert not any(line["done"] for line in run.log("command"))
    assert "a command" not in [line["why"] for line in run.log("epoch")]
    # Without a name it is the one that is at work under runs/.
    monkeypatch.chdir(tmp_path)
    assert main(["ctl", "stop"]) == 2
    assert "no runs are at work under runs/" in capsys.readouterr().err
    (tmp_path / "runs").symlink_to(tmp_path)
    assert main(["ctl", "stop"]) == 0
    run.finish()
    assert main(["ctl", str(run.out), "stop"]) == 2
    assert "no run is at work there" in capsys.readouterr().err


def test_what_was_done_outlives_a_kill(start, tmp_path):
    run = start("--speed", "1")
    assert main(["ctl", str(run.out), "set", "lifetime.s=3.5"]) == 0
    assert main(["ctl", str(run.out), "note", "before the end"]) == 0
    run.process.send_signal(signal.SIGKILL)
    run.process.communicate(timeout=PATIENCE_S)
    assert [line["name"] for line in run.log("command")] == ["set", "note"]
    assert address_of(run.out) is None
    assert main(["replay", "--like", str(run.out), "--headless", "--out", str(tmp_path / "again")]) == 0
    assert result(tmp_path / "again")["fit"]["s"] == 3.5


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("other", "another checksum"),
        ("gone", "name the FILE"),
        ("nothing", "no run.toml"),
        ("no folder", "no run.toml"),
    ],
)
def test_what_cannot_be_repeated_is_one_sentence(tmp_path, capsys, damage, words):
    recording = tmp_path / "nc.ptu"
    recording.write_bytes(RECORDING.read_bytes())
    out, again = tmp_path / "out", tmp_path / "again"
    how = ("--headless", "--placement", "inline", "--out")
    assert main(["replay", str(recording), "--states", "window", *how, str(out)]) == 0
    if damage == "other":
        recording.write_bytes(RECORDING.read_bytes()[:-400])
    elif damage == "gone":
        recording.unlink()
    elif damage == "nothing":
        (out / "run.toml").unlink()
    capsys.readouterr()
    like = tmp_path / "none" if damage == "no folder" else out
    assert main(["replay", "--like", str(like), *how, str(again)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not again.exists()
    if damage == "gone":
        # Another recording is read in the same way where it is named.
        assert main(["replay", str(RECORDING), "--like", str(out), *how, str(again)]) == 0
        assert result(again)["states"]["method"] == "window"


def test_every_command_is_told_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["ctl", "--help"])
    said = capsys.readouterr().out
    assert all(f"\n  {name}" in said or f", {name}" in said for name in COMMANDS)
