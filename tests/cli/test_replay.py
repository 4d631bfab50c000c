"""``photonstream replay`` as a person uses it."""

import csv
import dataclasses
import errno
import json
import os
import signal
import struct
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from photonstream.cli.folders import claimed
from photonstream.cli.main import main
from photonstream.cli.progress import ProgressLine
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.intensity import Intensity
from photonstream.nodes.pipeline import kinds, standard
from photonstream.nodes.sources import Replay
from photonstream.nodes.warm_up import warm_up
from photonstream.stream.runner import InlineRunner
from photonstream.stream.threads import ThreadsRunner
from photonstream.stream.topology import node_class

REPLAY_DATA = Path(__file__).resolve().parents[2] / "replay_data"
NC_355 = REPLAY_DATA / "nc_355nm.ptu"
INTERRUPTED = REPLAY_DATA / "nc_355nm_interrupted.ptu"
VALUE = {"value", "stderr", "ci68", "ci95"}


def read_curve(path):
    names, units, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    columns = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows]).T
    return dict(zip(names, columns, strict=True)), dict(zip(names, units, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("replay") / "deep" / "folder"
    assert main(["replay", "--headless", str(NC_355), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def dark(tmp_path_factory):
    """A recording without a photon, for what does not depend on what is found: quickly read and drawn."""
    path = tmp_path_factory.mktemp("dark") / "dark.ptu"
    with PtuWriter(
        path, record_type=GENERIC_T3, macrotime_unit_s=2e-7, dtime_resolution_s=8e-11, sync_rate_hz=5e6
    ) as writer:
        writer.write(np.array([(1 << 31) | (63 << 25) | 1000] * 50, np.uint32))
    return path


def test_result_json_has_every_field_and_balances(folder):
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    manifest = json.loads((REPLAY_DATA / "manifest.json").read_text(encoding="utf-8"))
    truth = next(entry for entry in manifest["files"] if entry["file"] == NC_355.name)
    recording = result["recording"]
    assert result["schema"] == 1
    assert result["versions"]["photonstream"] == result["photonstream"]
    assert result["versions"]["numba"] == version("numba")
    assert "pytest" not in result["versions"]
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
    intensity = result["intensity"]
    assert intensity["mean_rate_stderr_hz"] == pytest.approx(
        recording["photons"] ** 0.5 / recording["duration_s"]
    )
    for level in result["states"]["levels"]:
        seconds = level["time_share"] * recording["duration_s"]
        assert level["rate_stderr_hz"] == pytest.approx((level["rate_hz"] / seconds) ** 0.5, rel=0.01)
        # Visits are whole.
        visits = (level["dwell_s"] / level["dwell_stderr_s"]) ** 2
        assert visits == pytest.approx(round(visits), rel=1e-6)
        assert visits * level["dwell_s"] == pytest.approx(seconds, rel=0.01)
        # The delays of a decay spread by about their mean.
        spread = level["mean_dtime_stderr_s"] * (level["rate_hz"] * seconds) ** 0.5
        assert 0.5 < spread / level["mean_dtime_s"] < 2.0
    others = result["other_selections"]
    assert others["tau_x_s"]["window"]["value"] == pytest.approx(result["fit"]["tau_x_s"]["value"], rel=0.05)
    assert others["reasons"] == {"left_out": "", "window": ""}
    assert (others["depends"], others["depending"]) == (False, [])
    parts = {(part["source"], part["quantity"]): part for part in result["systematics"]}
    by_delays = parts["selection by the photons' own delays", "tau_x_s"]
    assert by_delays["sigma"] < 0.5 * result["fit"]["tau_x_s"]["stderr"]
    assert parts["other states in the selection", "tau_x_s"]["shift"] < 0.0
    assert result["parameters"]["antibunching"]["late_s"] == 1.95e-8
    assert "0000000" not in json.dumps(result["parameters"])
    assert result["experiment"]["mean_n"] is None
    assert result["eta"] is None
    assert result["eta_reason"]


def test_the_curves_say_what_the_result_says(folder):
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    trace, units = read_curve(folder / "trace.csv")
    assert units["time_start"] == "s"
    assert units["rate"] == "1/s"
    assert trace["counts"].sum() == result["recording"]["photons"]
    # A bin is marked by what it mostly was, and a state may end within it.
    assert trace["counts"][trace["on"] == 1].sum() == pytest.approx(result["states"]["on_photons"], rel=0.005)
    for level in result["states"]["levels"]:
        bins = trace["state"] == level["state"]
        assert (trace["on"][bins] == level["on"]).all()
        assert np.mean(bins) == pytest.approx(level["time_share"], abs=0.01)
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


@pytest.mark.parametrize(
    ("name", "arguments", "without"),
    [
        ("nc_355nm.ptu", ["--irf", "0.1ns+10%@0.3ns", "--mean-n", "0.1"], "given"),
        ("nc_355nm.ptu", ["--fit-range", "12ns:"], "held by the fit range"),
        ("nc_355nm_t2.ptu", [], "at the end of its range"),
        ("nc_640nm.ptu", ["--set", "lifetime.model=mono"], "one component is all"),
    ],
)
def test_a_figure_without_an_error_says_why(tmp_path, name, arguments, without):
    assert (
        main(["replay", "--headless", str(REPLAY_DATA / name), "--out", str(tmp_path / "r"), *arguments]) == 0
    )
    found = list(figures(json.loads((tmp_path / "r" / "result.json").read_text())))
    bare = {place: each["reason"] for place, each in found if each["stderr"] is None}
    assert any(reason.startswith(without) for reason in bare.values())
    assert all("reason" not in each for _, each in found if each["stderr"] is not None)
    assert all(bare.values())


def figures(value, place=""):
    """Every number with its error in a result, by its place."""
    if isinstance(value, dict) and set(value) >= VALUE:
        yield place, value
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        yield from figures(member, f"{place}.{key}")


def test_the_table_shows_units_and_errors(tmp_path, capsys):
    assert main(["replay", "--headless", str(NC_355), "--out", str(tmp_path), "--mean-n", "0.1±0.01"]) == 0
    out = capsys.readouterr().out
    assert "beta (apparent, s = 4, <N> not corrected)" in out
    assert "CM efficiency per absorbed photon" in out
    assert "± " in out
    assert str(tmp_path / "report.html") in out
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["eta"]["value"] < result["beta"]["value"]
    assert result["experiment"]["mean_n_source"] == "command line"
    assert result["experiment"]["mean_n_stderr"] == 0.01
    assert "with an error of 10 %" in str(result["systematics"])


@pytest.mark.parametrize("speed", ["max", "100"])
def test_a_replay_that_ends_by_its_information_waits_for_the_fits(tmp_path, capsys, speed):
    arguments = ["--until-sigma", "0.02", "--speed", speed, "--out", str(tmp_path)]
    assert main(["replay", "--headless", str(NC_355), *arguments]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    met, fitted = result["precision"]["met_photons"], result["fit"]["photons"]
    assert result["precision"]["sigma"] <= 0.02
    # Known from the first fits on, after 2.5 s of 12 s: by then at most two steps of a fifth have been read.
    assert result["recording"]["duration_s"] < 1.2**2 * 2.5
    assert met <= fitted < 1.44 * met
    assert result["interrupted"] is True
    assert f"reached at {met:,} photons".replace(",", " ") in capsys.readouterr().out


def test_a_new_folder_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted = REPLAY_DATA / "nc_355nm_interrupted.ptu"
    for _ in range(2):
        assert main(["replay", "--headless", str(interrupted), "--headless"]) == 0
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all((f / "result.json").exists() for f in folders)
    notes = json.loads((folders[0] / "result.json").read_text(encoding="utf-8"))["recording"]["notes"]
    assert any("declares 0 records" in note for note in notes)
    assert any("less than a whole record" in note for note in notes)


def test_settings_reach_the_nodes_and_the_result(tmp_path):
    arguments = [
        "--bin",
        "20ms",
        "--on",
        "15k:",
        "--irf",
        "0.1ns",
        "--fit-range",
        "2ns:150ns",
        "--set",
        "s=3.5",
        "--set",
        "lifetime.min_photons=500",
    ]
    assert main(["replay", "--headless", str(NC_355), "--out", str(tmp_path), *arguments]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["intensity"]["bin_s"] == pytest.approx(0.02, rel=1e-5)
    assert result["states"]["chosen"] == "given"
    assert result["states"]["window_hz"][0] == pytest.approx(15e3, rel=0.06)
    assert result["fit"]["irf_fwhm_s"]["value"] == pytest.approx(0.1e-9)
    assert result["fit"]["irf_fwhm_s"]["stderr"] is None
    assert result["fit"]["s"] == 3.5
    assert result["fit"]["fit_range_s"] == pytest.approx([2e-9, 150e-9], abs=0.05e-9)
    assert result["fit"]["photons_outside"] > 0
    assert result["fit"]["photons"] + result["fit"]["photons_outside"] == result["states"]["on_photons"]
    assert result["parameters"]["lifetime"]["fit_range_s"] == pytest.approx([2e-9, 150e-9])
    report = (tmp_path / "report.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "delays 2 ns to 150 ns" in report
    assert result["parameters"]["lifetime"]["min_photons"] == 500
    assert result["parameters"]["states"]["on"] == [15000.0, None]
    # Of states that nobody selects by, nobody asks how well they are told.
    assert result["other_selections"] is None
    assert "accuracy" not in result["states"]


def test_every_parameter_of_every_node_can_be_set(tmp_path):
    """Each node of the line is reached by --set, with its own default as the value."""
    defaults = {"replay": {"path": str(INTERRUPTED)}}
    arguments = []
    for node, kind in kinds().items():
        parameters = node_class(kind).Parameters(**defaults.get(kind, {}))
        for field in dataclasses.fields(parameters):
            value = getattr(parameters, field.name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                arguments += ["--set", f"{node}.{field.name}={value}"]
    assert any("antibunching.pulses" in a for a in arguments)
    assert main(["replay", "--headless", str(INTERRUPTED), "--out", str(tmp_path), *arguments]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["parameters"]["antibunching"]["pulses"] == 10


def test_a_meta_file_describes_the_experiment(tmp_path):
    meta = tmp_path / "meta.toml"
    meta.write_text(
        'particle = "NC 7"\nexcitation_nm = 355\nmean_n = 0.1\nmean_n_stderr = 0.01\n', encoding="utf-8"
    )
    assert (
        main(["replay", "--headless", str(NC_355), "--out", str(tmp_path / "out"), "--meta", str(meta)]) == 0
    )
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["experiment"]["particle"] == "NC 7"
    assert result["experiment"]["substrate"] is None
    assert result["eta"] is not None


@pytest.mark.parametrize(
    ("given", "used", "said"),
    [
        ("0.1", (0.1, 0.01, "series"), []),
        ("0.10+-0.02", (0.1, 0.02, "command line"), []),
        (
            "0.2",
            (0.2, None, "command line"),
            ["--mean-n 0.2 is used: <N> = 0.1 in META, with its error of 0.01, is not"],
        ),
    ],
)
def test_n_of_the_command_line_keeps_the_error_of_the_same_n_in_the_file(
    dark, tmp_path, capsys, given, used, said
):
    meta = tmp_path / "meta.toml"
    meta.write_text('mean_n = 0.1\nmean_n_stderr = 0.01\nmean_n_source = "series"\n', encoding="utf-8")
    out = tmp_path / "out"
    options = ["--meta", str(meta), "--mean-n", given, "--out", str(out), "--placement", "inline"]
    assert main(["replay", "--headless", str(dark), *options]) == 0
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    keys = ("mean_n", "mean_n_stderr", "mean_n_source")
    assert tuple(result["experiment"][key] for key in keys) == used
    assert tuple(result["parameters"]["lifetime"].get(key) for key in keys[:2]) == used[:2]
    lines = capsys.readouterr().err.replace(str(meta), "META").splitlines()
    assert [line for line in lines if "mean-n" in line] == said


@pytest.mark.parametrize(
    ("placement", "chunk_records"), [("inline", 5003), ("threads", 7001), ("processes", 20011)]
)
def test_every_placement_gives_the_same_results_to_the_last_bit(folder, tmp_path, placement, chunk_records):
    """``folder`` was made in threads, with chunks of the usual size."""
    arguments = ["--placement", placement, "--set", f"chunk_records={chunk_records}", "--out", str(tmp_path)]
    assert main(["replay", "--headless", str(NC_355), *arguments]) == 0
    usual, other = (json.loads((f / "result.json").read_text(encoding="utf-8")) for f in (folder, tmp_path))
    for result in (usual, other):
        del result["parameters"]["source"]["chunk_records"]
    assert usual == other
    for name in ("trace.csv", "decay.csv", "flid.csv", "coincidences.csv"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("export", ["origin", "igor"])
def test_curves_for_other_programs(tmp_path, export):
    file = REPLAY_DATA / "nc_355nm_interrupted.ptu"
    assert main(["replay", "--headless", str(file), "--out", str(tmp_path), "--export", export]) == 0
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


def test_results_do_not_depend_on_chunks_or_on_who_looks(tmp_path):
    """The whole line, fit included: any chunk size, with or without interim results, to the last bit."""

    def result(name, **chunking):
        parameters = {"source": {"path": str(INTERRUPTED), **chunking}}
        runner = InlineRunner(standard(parameters), results_s=0.0 if name == "watched" else None)
        outcome = runner.run()
        assert outcome.results["results", "result"].value.pop("parameters")
        return {
            key: dict(r.value)
            for key, r in outcome.results.items()
            if key[1] in ("result", "rows", "trace/0")
        }

    whole = result("whole")
    for name, size in (("pieces", 7001), ("watched", 20011)):
        other = result(name, chunk_records=size)
        assert whole["results", "result"] == other["results", "result"]
        for key, field in ((("decay", "rows"), "counts"), (("intensity", "trace/0"), "counts")):
            np.testing.assert_array_equal(whole[key][field], other[key][field])


def test_a_run_at_640_nm_calibrates_another(folder, tmp_path, capsys):
    control = tmp_path / "640"
    recording = str(REPLAY_DATA / "nc_640nm.ptu")
    assert main(["replay", "--headless", recording, "--out", str(control), "--mean-n", "0.1"]) == 0
    capsys.readouterr()
    out = tmp_path / "355"
    assert main(["replay", "--headless", str(NC_355), "--out", str(out), "--calibrate", str(control)]) == 0
    assert "CM efficiency, <N> calibrated at s = 4" in capsys.readouterr().out
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    calibration = result.pop("calibration")
    assert calibration["runs"][0]["folder"] == str(control)
    # At <N> = 0.1 the cascade of the simulation reads as 7 % more than the closed form of two levels.
    for model, true in (("n<=2 closed form", 0.107), ("n^2 cascade", 0.1)):
        low, high = calibration["n_at_given_s"]["models"][model]["mean_n"][0]["ci95"]
        assert low < true < high
    assert result["parameters"]["lifetime"].pop("calibrate") == [str(control)]
    # Everything else is as without a calibration.
    plain = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert plain.pop("calibration") is None
    assert plain["parameters"]["lifetime"].pop("calibrate") == []
    assert [part["source"] for part in plain["systematics"]][:2] == [
        "width of the instrument response",
        "t0",
    ]
    assert {key: result[key] for key in plain} == plain
    assert main(["replay", "--headless", str(NC_355), "--calibrate", str(tmp_path), "--out", str(out)]) == 2
    assert f"{tmp_path}: not the result folder of a finished run" in capsys.readouterr().err


def test_a_second_opinion_where_it_is_asked_for(tmp_path, folder, capsys):
    assert "second_opinion" not in json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert main(["replay", "--headless", str(INTERRUPTED), "--out", str(tmp_path), "--second-opinion"]) == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["second_opinion"]["photons"] == result["recording"]["photons"]
    assert result["states"]["dwell_times"]["selected"]["dwells"] >= 0
    assert (tmp_path / "dwell.csv").exists()
    assert "change points of the intensity" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_second_opinion_is_for_the_standard_nodes(tmp_path, capsys):
    own = tmp_path / "own.toml"
    own.write_text("", encoding="utf-8")
    arguments = ["replay", "--headless", str(INTERRUPTED), "--second-opinion", "--topology", str(own)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert f"name a node of the kind changepoint in {own}" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="nobody can make a folder in /proc")
def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(capsys):
    assert main(["replay", str(NC_355), "--headless", "--out", "/proc/results"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("photonstream: /proc/results: no folder for the results can be made")
    assert "--out" in said
