"""Result folders as calibration runs: read back as they were fitted, and refused by their name where they cannot be."""

import json
from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.calibration_runs import CalibrationRuns, with_names
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import GaussianIrf
from photonstream.stream.node import ParameterError

PERIOD_S, BIN_S, BINS = 200e-9, 0.25e-9, 800
OPTIONS = FitOptions(irf=GaussianIrf(0.5e-9))


def decay(share_xx, photons, seed):
    """Counts (2 channels, bins) of 46 and 3.3 ns, the second channel 1 ns later and with half as many photons."""
    rng = np.random.default_rng(seed)
    rows = []
    for n, t0_s in ((photons, 5e-9), (photons // 2, 6e-9)):
        tau_s = np.where(rng.random(n) < share_xx, 3.3e-9, 46e-9)
        delay_s = t0_s + rng.normal(0.0, 0.5e-9 / 2.3548, n) + rng.exponential(1.0, n) * tau_s
        rows.append(np.bincount((delay_s % PERIOD_S / BIN_S).astype(int), minlength=BINS))
    return np.array(rows, np.int64)


@pytest.fixture
def write(tmp_path):
    """Writes a run's folder: ``write(name, counts, summary parts...)``; a part that is None is left out."""

    def write(name="r640", counts=None, **parts):
        folder = tmp_path / name
        folder.mkdir()
        counts = decay(0.03, 60_000, 1) if counts is None else counts
        fit = {
            "model": "bi",
            "reason": "",
            "pulse_period_s": PERIOD_S,
            "tau_x_s": {"value": 46e-9},
            "channels": {str(c): {"photons": int(row.sum())} for c, row in enumerate(counts)},
        }
        summary = {
            "schema": 1,
            "parameters": {"lifetime": {"irf": 0.5e-9, "mean_n": 0.5}},
            "experiment": {"particle": "NC 12", "excitation_nm": 640, "mean_n": 0.5, "mean_n_stderr": 0.05},
            "states": {"on_time_s": 3.0},
            "fit": fit,
        }
        for key, value in parts.items():
            summary[key] = {**summary.get(key, {}), **value}
        (folder / "result.json").write_text(json.dumps(summary), encoding="utf-8")
        edges = np.arange(BINS + 1) * 1e9 * BIN_S
        for c, row in enumerate(counts):
            lines = [f"{a:.10g},{b:.10g},{n},0" for a, b, n in zip(edges, edges[1:], row, strict=False)]
            text = "\n".join(["time_start,time_stop,counts,counts_error", "ns,ns,counts,counts", *lines])
            (folder / f"decay_ch{c}.csv").write_text(text + "\n", encoding="utf-8")
        return folder

    return write


def sample(**options):
    data = DecayData(decay(0.06, 60_000, 2), BIN_S, PERIOD_S)
    options = replace(OPTIONS, intervals=False, **options)
    return data, options, fit_decay(data, options)


def test_a_folder_calibrates_as_its_photons_do(write):
    folder = write()
    found = CalibrationRuns([str(folder)]).summary(*sample(mean_n=0.1))
    assert found["reason"] == ""
    (run,) = found["runs"]
    assert (run["folder"], run["particle"], run["photons"]) == (str(folder), "NC 12", 90_000)
    assert run["fast_component"] is True
    assert (run["given_n"]["value"], run["given_n"]["stderr"]) == (0.5, pytest.approx(0.05))
    # The run's own fit, of both channels, each with its own t0.
    own = fit_decay(DecayData(decay(0.03, 60_000, 1), BIN_S, PERIOD_S), OPTIONS)
    (by_n, by_s) = (found[way]["models"]["n<=2 closed form"] for way in ("s_at_given_n", "n_at_given_s"))
    assert by_s["tau_x_s"]["value"] == pytest.approx(own.tau_x_s.value, rel=1e-4)
    assert by_s["tau_xx_s"]["value"] == pytest.approx(own.tau_xx_s.value, rel=1e-3)
    biexcitons = 1.0 - (mean := by_s["mean_n"][0]["value"]) / np.expm1(mean)
    assert biexcitons == pytest.approx(own.beta.value, rel=1e-3)
    assert by_n["beta"]["ci95"][0] < by_n["beta"]["value"]
    assert by_n["eta"]["stderr"] > 0.0
    # Three and more excitons: fewer photons make as much, and the range holds both.
    cascade = found["n_at_given_s"]["models"]["n^2 cascade"]["mean_n"][0]
    assert cascade["value"] < mean
    assert found["n_at_given_s"]["range"]["mean_n"][0] == {
        "ci95": [cascade["ci95"][0], by_s["mean_n"][0]["ci95"][1]],
        "models": ["n<=2 closed form", "n^2 cascade"],
    }
    assert json.dumps(found, allow_nan=False)


def test_without_folders_there_is_no_calibration():
    assert CalibrationRuns(()).summary(*sample()) is None


def test_without_a_fit_the_reason_is_said(write):
    _, options, fit = sample()
    none = replace(fit, model="none", reason="too few photons", start=None)
    found = CalibrationRuns([str(write())]).summary("no photons", options, none)
    assert found == {"reason": "no calibration: too few photons"}


def test_an_error_of_n_that_is_not_given_is_30_percent(write):
    folder = write(experiment={"mean_n_stderr": None})
    (run,) = CalibrationRuns([str(folder)]).summary(*sample())["runs"]
    assert run["given_n"]["stderr"] == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            {"fit": {"model": "none", "reason": "too few photons: 3"}},
            "no decay to calibrate with: too few photons: 3",
        ),
        ({"fit": {"pulse_period_s": None}}, "does not say the pulse period"),
        ({"fit": {"pulse_period_s": 150e-9}}, "150 ns is shorter than 4 tau_x = 184 ns"),
        (
            {"experiment": {"eg_ev": 1.62, "excitation_nm": 355}},
            "2.16 gaps of 1.62 eV and can multiply carriers",
        ),
        ({"experiment": {"mean_n": 1e4}}, "its <N> of 10000 is above 20"),
        ({"fit": {"channels": {"0": {}, "5": {}}}}, "decay_ch5.csv: cannot be read: No such file"),
        ({"parameters": {"lifetime": {"irf": "gone.ptu"}}}, "the instrument response of this run: "),
        ({"parameters": {"lifetime": {"colour": 1}}}, "its parameters of the lifetime node"),
    ],
)
def test_what_cannot_calibrate_is_refused_by_its_folder(write, parts, words):
    folder = write(**parts)
    with pytest.raises(ParameterError) as caught:
        CalibrationRuns([str(folder)])
    assert str(caught.value).startswith(str(folder))
    assert words in str(caught.value)


def test_a_folder_that_is_none_is_refused(tmp_path, write):
    with pytest.raises(ParameterError, match="not the result folder of a finished run"):
        CalibrationRuns([str(tmp_path / "nothing")])
    folder = write()
    with pytest.raises(ParameterError, match="was given twice"):
        CalibrationRuns([str(folder), f"{folder}/."])
    (folder / "decay_ch0.csv").write_text("rate,bins\n1/s,bins\n1,2\n", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"decay_ch0.csv: not a decay: its columns are rate, bins"):
        CalibrationRuns([str(folder)])
    (folder / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"result.json: not valid JSON"):
        CalibrationRuns([str(folder)])


@pytest.mark.parametrize(
    ("own", "others", "words"),
    [
        ("NC 12", ["NC 12", None], None),
        ("NC 12", ["NC 13"], "this run is of particle 'NC 12', calibration runs are of 'NC 13'"),
        (None, ["NC 13"], None),
        (None, ["NC 13", "NC 14"], "the calibration runs are of different particles: 'NC 13', 'NC 14'"),
    ],
)
def test_names_of_other_particles_are_a_warning(own, others, words):
    runs = [{"particle": name, "folder": "640", "excitation_nm": 640.0, "sha256": "aa"} for name in others]
    section = {"reason": "", "runs": runs, "warnings": ["first"]}
    found = with_names(section, {"particle": own})
    assert found["warnings"] == ["first", *([words] if words else [])]
    assert with_names(None, {"particle": own}) is None


def test_a_run_of_unknown_wavelength_is_a_warning():
    runs = [
        {"particle": None, "folder": name, "excitation_nm": nm, "sha256": None}
        for name, nm in (("a", None), ("b", 640.0))
    ]
    (warning,) = with_names({"runs": runs, "warnings": []}, {})["warnings"]
    assert warning.startswith("nothing says at which wavelength a was excited")


def test_a_run_of_the_recording_itself_is_a_warning():
    runs = [
        {"particle": None, "folder": name, "excitation_nm": 640.0, "sha256": name[0]} for name in ("a1", "b1")
    ]
    section = {"runs": runs, "warnings": []}
    (warning,) = with_names(section, {}, "a")["warnings"]
    assert warning == "a1 is of the very recording that it calibrates, so it says nothing new"
    # A recording that was not read to its end has no checksum.
    runs[0]["sha256"] = None
    assert with_names(section, {}, None)["warnings"] == []
