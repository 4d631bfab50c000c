"""``photonstream replay`` as a person uses it."""

import csv
import dataclasses
import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from photonstream.cli import running
from photonstream.cli.main import main
from photonstream.nodes.pipeline import kinds, standard
from photonstream.stream.runner import InlineRunner
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
        ("nc_355nm_t2.ptu", [], "the response is narrower than the bins show"),
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
def test_a_replay_that_ends_by_its_information_waits_for_the_fits(tmp_path, monkeypatch, capsys, speed):
    # Also where the machine stands still for longer than a fit may take.
    monkeypatch.setattr(running, "LONGEST_FIT_S", math.inf)
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
