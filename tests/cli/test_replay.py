"""``photonstream replay`` as a person uses it."""

import csv
import json
import signal
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from photonstream.cli import replay
from photonstream.cli.main import main
from photonstream.cli.progress import ProgressLine

REPLAY_DATA = Path(__file__).resolve().parents[2] / "replay_data"
NC_355 = REPLAY_DATA / "nc_355nm.ptu"
VALUE = {"value", "stderr", "ci68", "ci95"}


def read_curve(path):
    names, units, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    columns = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows]).T
    return dict(zip(names, columns, strict=True)), dict(zip(names, units, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("replay") / "deep" / "folder"
    assert main(["replay", str(NC_355), "--headless", "--out", str(out)]) == 0
    return out


def test_result_json_has_every_field_and_balances(folder):
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    manifest = json.loads((REPLAY_DATA / "manifest.json").read_text(encoding="utf-8"))
    truth = next(entry for entry in manifest["files"] if entry["file"] == NC_355.name)
    recording = result["recording"]
    assert result["schema"] == 1
    assert recording["sha256"] == truth["sha256"]
    assert recording["records"] == truth["truth"]["records"]
    assert recording["photons_per_channel"] == truth["truth"]["photons_per_channel"]
    assert recording["records"] == sum(
        recording[kind] for kind in ("photons", "markers", "overflows", "syncs", "other")
    )
    assert recording["duration_s"] == pytest.approx(12.0, abs=1e-3)
    for node in result["ledger"]:
        assert node["held"] == 0
        assert node["events_in"] == node["events_out"] + node["events_lost"] + sum(node["ended"].values())
    assert set(result["fit"]["tau_x_s"]) == set(result["beta"]) == VALUE
    assert result["experiment"]["mean_n"] is None
    assert result["eta"] is None
    assert result["eta_reason"]


def test_the_curves_say_what_the_result_says(folder):
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    trace, units = read_curve(folder / "trace.csv")
    assert units["time_start"] == "s"
    assert units["rate"] == "1/s"
    assert trace["counts"].sum() == result["recording"]["photons"]
    assert trace["counts"][trace["on"] == 1].sum() == result["states"]["on_photons"]
    np.testing.assert_array_equal(trace["counts"], trace["counts_ch0"] + trace["counts_ch1"])
    np.testing.assert_array_equal(trace["time_start"][1:], trace["time_stop"][:-1])
    decay, units = read_curve(folder / "decay.csv")
    assert units["time_start"] == "ns"
    assert decay["counts"].sum() == result["fit"]["photons"]
    assert decay["counts_all_states"].sum() <= result["recording"]["photons"]
    np.testing.assert_allclose(
        decay["fit"], decay["exciton"] + decay["fast"] + decay["background"], rtol=1e-6
    )
    assert decay["fit"].sum() == pytest.approx(decay["counts"].sum(), rel=1e-3)
    # A fit that describes the data leaves residuals of unit variance where there are enough counts.
    many = decay["fit"] > 20
    assert np.std(decay["residual"][many]) == pytest.approx(1.0, abs=0.1)
    assert (folder / "report.html").stat().st_size > 1000


def test_the_shipped_nanocrystal_gives_its_lifetimes(folder):
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    for key, truth_s in (("tau_x_s", 46.8e-9), ("tau_xx_s", 3.6e-9)):
        estimate = result["fit"][key]
        assert abs(estimate["value"] - truth_s) < 4 * estimate["stderr"]
        low, high = estimate["ci95"]
        assert low < estimate["value"] < high
    assert result["fit"]["model"] == "bi"


def test_the_table_shows_units_and_errors(tmp_path, capsys):
    assert main(["replay", str(NC_355), "--out", str(tmp_path), "--mean-n", "0.1"]) == 0
    out = capsys.readouterr().out
    assert "beta (apparent, s = 4, <N> not corrected)" in out
    assert "CM efficiency per absorbed photon" in out
    assert "± " in out
    assert str(tmp_path / "report.html") in out
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["eta"]["value"] < result["beta"]["value"]
    assert result["experiment"]["mean_n_source"] == "command line"


def test_a_new_folder_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted = REPLAY_DATA / "nc_355nm_interrupted.ptu"
    for _ in range(2):
        assert main(["replay", str(interrupted), "--headless"]) == 0
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all((f / "result.json").exists() for f in folders)
    notes = json.loads((folders[0] / "result.json").read_text(encoding="utf-8"))["recording"]["notes"]
    assert any("declares 0 records" in note for note in notes)
    assert any("not a whole record" in note for note in notes)


def test_settings_reach_the_nodes_and_the_result(tmp_path):
    arguments = [
        "--bin",
        "20ms",
        "--on",
        "15k:",
        "--irf",
        "0.1ns",
        "--set",
        "s=3.5",
        "--set",
        "lifetime.min_photons=500",
    ]
    assert main(["replay", str(NC_355), "--out", str(tmp_path), *arguments]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["intensity"]["bin_s"] == pytest.approx(0.02, rel=1e-5)
    assert result["states"]["chosen"] == "given"
    assert result["states"]["window_hz"][0] == pytest.approx(15e3, rel=0.06)
    assert result["fit"]["irf_fwhm_s"]["value"] == pytest.approx(0.1e-9)
    assert result["fit"]["irf_fwhm_s"]["stderr"] is None
    assert result["fit"]["s"] == 3.5
    assert result["parameters"]["lifetime"]["min_photons"] == 500
    assert result["parameters"]["states"]["on"] == [15000.0, None]


def test_a_meta_file_describes_the_experiment(tmp_path):
    meta = tmp_path / "meta.toml"
    meta.write_text(
        'particle = "NC 7"\nexcitation_nm = 355\nmean_n = 0.1\nmean_n_stderr = 0.01\n', encoding="utf-8"
    )
    assert main(["replay", str(NC_355), "--out", str(tmp_path / "out"), "--meta", str(meta)]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["experiment"]["particle"] == "NC 7"
    assert result["experiment"]["substrate"] is None
    assert result["eta"] is not None


@pytest.mark.parametrize("export", ["origin", "igor"])
def test_curves_for_other_programs(tmp_path, export):
    file = REPLAY_DATA / "nc_355nm_interrupted.ptu"
    assert main(["replay", str(file), "--out", str(tmp_path), "--export", export]) == 0
    assert (tmp_path / "decay.csv").exists()
    if export == "origin":
        names, units, first, *_ = (tmp_path / "decay.txt").read_text(encoding="utf-8").splitlines()
        assert names.split("\t")[:3] == ["time_start", "time_stop", "counts"]
        assert units.split("\t")[0] == "ns"
        assert float(first.split("\t")[0]) == 0.0
    else:
        lines = (tmp_path / "decay.itx").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "IGOR"
        assert lines[1].startswith("WAVES/D decay_time_start, decay_time_stop, decay_counts")
        assert lines[2] == "BEGIN"
        assert 'X SetScale d 0,0,"ns", decay_time_start' in lines
        rows = lines[3 : lines.index("END")]
        assert len({row.count("\t") for row in rows}) == 1


def test_ctrl_c_ends_with_the_results_so_far(tmp_path, monkeypatch, capsys):
    shown = []

    def show(self, share, text):
        shown.append(text)
        if len(shown) == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressLine, "show", show)
    before = signal.getsignal(signal.SIGINT)
    assert main(["replay", str(NC_355), "--out", str(tmp_path), "--speed", "5"]) == 0
    assert signal.getsignal(signal.SIGINT) is before
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["interrupted"] is True
    assert 0 < result["recording"]["records"] < 319_000
    assert result["recording"]["sha256"] is None or len(result["recording"]["sha256"]) == 64
    assert any("stopped after" in note for note in result["recording"]["notes"])
    assert (tmp_path / "report.html").exists()
    assert "interrupted" in capsys.readouterr().out


def test_a_second_ctrl_c_ends_at_once(tmp_path, monkeypatch, capsys):
    def show(self, share, text):
        if text.startswith("warming"):
            return
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressLine, "show", show)
    assert main(["replay", str(NC_355), "--out", str(tmp_path)]) == 130
    assert "no results" in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()


def test_paced_replay_takes_the_recorded_time(tmp_path, monkeypatch):
    waited = []

    class Watch:
        """Stands for the clock of the source and for its event: time passes only by waiting."""

        now = 0.0

        def monotonic(self):
            return self.now

        def wait(self, timeout):
            waited.append(timeout)
            self.now += timeout
            return False

        def is_set(self):
            return False

    watch = Watch()
    monkeypatch.setattr("photonstream.nodes.sources.time", watch)
    monkeypatch.setattr("photonstream.stream.node.threading", SimpleNamespace(Event=lambda: watch))
    file = REPLAY_DATA / "nc_355nm_interrupted.ptu"
    assert main(["replay", str(file), "--out", str(tmp_path), "--speed", "10"]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert sum(waited) == pytest.approx(result["recording"]["duration_s"] / 10, rel=1e-3)
    # No chunk is a long stretch of the recording: what a live page shows moves smoothly.
    assert max(waited[10:]) < 3 * 0.02


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
    assert main([command, name]) == 2
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
        (["--bin", "1ns"], "finer than"),
    ],
)
def test_bad_parameters_are_one_sentence_and_code_2(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["replay", str(NC_355), *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("result.json"))


@pytest.mark.parametrize(
    "arguments", [["--bin", "0"], ["--on", "9:3"], ["--speed", "-2"], ["--export", "excel"]]
)
def test_bad_usage_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(NC_355), *arguments])
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_an_unbalanced_ledger_is_code_3(tmp_path, monkeypatch, capsys):
    run = replay.run_interruptibly

    def unbalanced(runner):
        outcome = run(runner)
        outcome.imbalances.append("decode: 3 events in, but 2 accounted for")
        return outcome

    monkeypatch.setattr(replay, "run_interruptibly", unbalanced)
    file = REPLAY_DATA / "nc_355nm_interrupted.ptu"
    assert main(["replay", str(file), "--out", str(tmp_path)]) == 3
    assert "does not balance" in capsys.readouterr().err
