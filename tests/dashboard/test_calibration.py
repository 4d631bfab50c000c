"""Calibration and systematic parts in the words of the page and of the terminal."""

import pytest

from photonstream.cli.summary import summary_table
from photonstream.dashboard.calibration import calibration_html, main_rows, warnings
from photonstream.dashboard.folder import RunFolder, read_folder
from photonstream.dashboard.report import render
from photonstream.dashboard.systematics import systematic_rows


def estimate(value, stderr=None, ci95=None):
    return {"value": value, "stderr": stderr, "ci68": None, "ci95": ci95}


CALIBRATION = {
    "reason": "",
    "runs": [
        {
            "folder": "runs/640",
            "particle": "NC 12",
            "excitation_nm": 640.0,
            "power_w": 1.4e-8,
            "given_n": estimate(0.5, 0.15),
            "photons": 100_000,
            "fast_component": True,
        }
    ],
    "power_shared": True,
    "tau_x_s": estimate(46.4e-9, 0.2e-9),
    "tau_xx_s": estimate(3.3e-9, 0.1e-9),
    "s_at_given_n": {
        "reason": "",
        "s": estimate(2.65, 0.42, [2.13, 4.67]),
        "mean_n": [estimate(0.5, 0.15)],
        "scale": estimate(1.0, 0.3),
        "beta": estimate(0.51, 0.14, [0.22, 0.78]),
        "beta_reason": "",
        "eta": None,
        "eta_reason": "no eta: <N> is not known",
        "cascade": {"run": "runs/640", "s": 2.2, "mean_n": 0.5, "eta": None},
    },
    "n_at_given_s": {
        "reason": "",
        "s": estimate(4.0),
        "mean_n": [estimate(0.256, 0.021)],
        "scale": estimate(0.512, 0.042),
        "beta": estimate(0.27, 0.0105, [0.25, 0.291]),
        "beta_reason": "",
        "eta": estimate(0.251, 0.011, [0.23, 0.272]),
        "eta_reason": "",
        "cascade": {"run": "runs/640", "s": 4.0, "mean_n": 0.229, "eta": 0.23},
    },
    "warnings": ["this run is of particle 'A', calibration runs are of 'B'"],
}
PARTS = [
    {"source": "<N>", "quantity": "eta", "shift": None, "sigma": 0.011, "how": "already in the error of eta"},
    {"source": "t0", "quantity": "beta", "shift": None, "sigma": None, "how": "free in the fit"},
    {"source": "other states", "quantity": "beta", "shift": -0.012, "sigma": None, "how": "doubled"},
    {"source": "nothing", "quantity": "beta", "shift": 0.0, "sigma": None, "how": "one state"},
]


@pytest.fixture
def run(result, write_run):
    return read_folder(write_run(result | {"calibration": CALIBRATION, "systematics": PARTS}))


def plain(text):
    return text.replace("\u00a0", " ").replace("\u2212", "-").replace("\u2009", " ")


def table(rows):
    return {row.label: (plain(row.value), plain(row.remark)) for row in rows}


def test_both_ways_stand_side_by_side_with_what_they_rest_on(run):
    rows = table(main_rows(run))
    value, remark = rows["beta, s calibrated at the given <N>"]
    assert value == "51 ± 14 %"
    assert "s = 2.65 ± 0.42 (95 %: 2.13 to 4.67), at <N> = 0.50 ± 0.15" in remark
    value, remark = rows["CM efficiency, s calibrated at the given <N>"]
    assert value == "none"
    assert "no eta: <N> is not known" in remark
    assert "by the n² cascade s = 2.2" in remark
    value, remark = rows["beta, <N> calibrated at s = 4 exactly"]
    assert value == "27.0 ± 1.1 %"
    assert "0.256 ± 0.021; 0.512 ± 0.042 of the given" in remark
    value, remark = rows["CM efficiency, <N> calibrated at s = 4 exactly"]
    assert value == "25.1 ± 1.1 %"
    assert "by the same factor" in remark
    assert "<N> = 0.229 and 23 %" in remark


def test_the_parts_have_signs_and_units(run):
    rows = table(systematic_rows(run))
    assert rows["eta: <N>"] == ("± 1.1 %", "already in the error of eta")
    assert rows["beta: t0"] == ("no number", "free in the fit")
    assert rows["beta: other states"][0] == "-1.2 %"
    assert rows["beta: nothing"][0] == "0 %"


def test_they_stand_in_the_report_and_in_the_table(run):
    page, text = render(run), summary_table(run)
    for words in ("runs/640", "Beside the statistical error", "beta, s calibrated at the given &lt;N&gt;"):
        assert words in page
    assert "14 nW" in plain(calibration_html(run))
    for words in (
        "beta, <N> calibrated at s = 4 exactly",
        "Beside the statistical error",
        "beta: other states",
    ):
        assert words in text
    assert "warning: Calibration: this run is of particle 'A'" in text
    assert warnings(run) == ["Calibration: this run is of particle 'A', calibration runs are of 'B'."]


@pytest.mark.parametrize(
    ("section", "rows"),
    [
        (None, {}),
        ({"reason": "no calibration: x"}, {"calibration": ("none", "no calibration: x")}),
        (
            {**CALIBRATION, "s_at_given_n": {"reason": "no s"}, "n_at_given_s": {"reason": "no n"}},
            {
                "beta, s calibrated at the given <N>": ("none", "no s"),
                "<N> at the given s": ("none", "no n"),
            },
        ),
    ],
)
def test_what_is_missing_is_said(tmp_path, section, rows):
    assert table(main_rows(RunFolder(tmp_path, {"calibration": section}, {}))) == rows


def test_a_run_without_either_shows_neither(result, write_run):
    run = read_folder(write_run(result))
    assert calibration_html(run) == ""
    assert warnings(run) == []
    assert list(systematic_rows(run)) == []
    assert "Beside the statistical error" not in render(run) + summary_table(run)
