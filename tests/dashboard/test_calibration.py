"""Calibration and systematic parts in the words of the page and of the terminal."""

import copy

import pytest

from photonstream.cli.summary import summary_table
from photonstream.dashboard.calibration import calibration_html, main_rows, warnings
from photonstream.dashboard.folder import RunFolder, read_folder
from photonstream.dashboard.report import render
from photonstream.dashboard.systematics import systematic_rows


def estimate(value, stderr=None, ci95=None):
    return {"value": value, "stderr": stderr, "ci68": None, "ci95": ci95}


MODELS = ("n<=2 closed form", "n^2 cascade")


def way(**known):
    """What one model says by one way of calibrating."""
    names = ("s", "scale", "tau_x_s", "tau_xx_s", "beta", "eta")
    empty = dict.fromkeys(names) | {"reason": "", "mean_n": [], "beta_reason": "", "eta_reason": ""}
    return empty | known


def way_at_s(mean_n, scale, tau_xx_s, eta):
    """At s = 4: beta is the same by both models."""
    return way(
        s=estimate(4.0),
        mean_n=[estimate(*mean_n)],
        scale=estimate(*scale),
        tau_xx_s=estimate(tau_xx_s, 0.1e-9),
        beta=estimate(0.27, 0.0105, [0.25, 0.291]),
        eta=estimate(*eta),
    )


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
    "s_at_given_n": {
        "range": {
            "s": {"ci95": [1.9, 4.67], "models": list(MODELS)},
            "beta": {"ci95": [0.22, 0.85], "models": list(MODELS)},
            "eta": None,
            "scale": None,
            "mean_n": [None],
        },
        "models": {
            "n<=2 closed form": way(
                s=estimate(2.65, 0.42, [2.13, 4.67]),
                mean_n=[estimate(0.5, 0.15)],
                beta=estimate(0.51, 0.14, [0.22, 0.78]),
                eta_reason="no eta: <N> is not known",
            ),
            "n^2 cascade": way(
                s=estimate(2.3, 0.4, [1.9, 4.0]),
                mean_n=[estimate(0.5, 0.15)],
                beta=estimate(0.62, 0.16, [0.3, 0.85]),
                eta_reason="no eta: <N> is not known",
            ),
        },
    },
    "n_at_given_s": {
        "range": {
            "s": None,
            "beta": {"ci95": [0.25, 0.291], "models": list(MODELS)},
            "eta": {"ci95": [0.21, 0.272], "models": list(MODELS)},
            "scale": {"ci95": [0.4, 0.59], "models": list(MODELS)},
            "mean_n": [{"ci95": [0.2, 0.297], "models": list(MODELS)}],
        },
        "models": {
            "n<=2 closed form": way_at_s(
                mean_n=(0.256, 0.021, [0.216, 0.297]),
                scale=(0.512, 0.042),
                tau_xx_s=3.3e-9,
                eta=(0.251, 0.011, [0.23, 0.272]),
            ),
            "n^2 cascade": way_at_s(
                mean_n=(0.229, 0.018, [0.2, 0.26]),
                scale=(0.458, 0.036),
                tau_xx_s=3.45e-9,
                eta=(0.23, 0.011, [0.21, 0.25]),
            ),
        },
    },
    "warnings": ["this run is of particle 'A', calibration runs are of 'B'"],
}
PARTS = [
    {"source": "<N>", "quantity": "eta", "shift": None, "sigma": 0.011, "how": "already in the error of eta"},
    {"source": "t0", "quantity": "beta", "shift": None, "sigma": None, "how": "free in the fit"},
    {"source": "other states", "quantity": "beta", "shift": -0.012, "sigma": None, "how": "doubled"},
    {"source": "n >= 3", "quantity": "tau_xx_s", "shift": -0.21e-9, "sigma": 0.06e-9, "how": "cascade"},
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
    rows = {row.label: (plain(row.value), row.interval, plain(row.remark)) for row in main_rows(run)}
    assert rows["s at the given <N>"] == (
        "2.30 to 2.65",
        "1.90 to 4.67",
        "n<=2 closed form 2.65 ± 0.42; n^2 cascade 2.30 ± 0.40",
    )
    value, interval, remark = rows["beta, s calibrated at the given <N>"]
    assert (value, interval) == ("51 to 62 %", "22 to 85")
    assert remark == "n<=2 closed form 51 ± 14 %; n^2 cascade 62 ± 16 %"
    # Both models say the same, once.
    value, _, remark = rows["CM efficiency, s calibrated at the given <N>"]
    assert (value, remark) == ("none", "no eta: <N> is not known")
    value, interval, remark = rows["<N> of runs/640 at s = 4 exactly"]
    assert (value, interval) == ("0.229 to 0.256", "0.200 to 0.297")
    value, interval, remark = rows["beta, <N> calibrated at s = 4 exactly"]
    assert (value, interval) == ("27.0 ± 1.1 %", "25.0 to 29.1")
    assert remark == "by the n<=2 closed form and the n^2 cascade"
    value, interval, remark = rows["CM efficiency, <N> calibrated at s = 4 exactly"]
    assert (value, interval) == ("23.0 to 25.1 %", "21.0 to 27.2")
    assert "by the same factor: 0.512 ± 0.042 (n<=2 closed form), 0.458 ± 0.036 (n^2 cascade)" in remark


def test_a_model_that_says_nothing_says_why(tmp_path):
    section = copy.deepcopy(CALIBRATION)
    models = section["n_at_given_s"]["models"]
    models["n^2 cascade"] = way(reason="no n^2 cascade: tau_xx cannot be above tau_x / (s Q_x)")
    rows = table(main_rows(RunFolder(tmp_path, {"calibration": section}, {})))
    value, remark = rows["CM efficiency, <N> calibrated at s = 4 exactly"]
    assert value == "25.1 ± 1.1 %"
    assert "by the n<=2 closed form" in remark
    assert remark.endswith("; no n^2 cascade: tau_xx cannot be above tau_x / (s Q_x)")


def test_where_s_is_not_determined_its_limit_stands_with_the_reason(tmp_path):
    """And so is beta at that s; eta has nothing at all."""
    section = copy.deepcopy(CALIBRATION)
    given = section["s_at_given_n"]
    for name, low in zip(MODELS, (2.13, 1.87), strict=True):
        given["models"][name] = way(
            reason="",
            s=estimate(None, None, [low, None]),
            s_reason=f"s is not determined, only that it is above {low} at 95 %: the runs set no limit",
            beta=estimate(None, None, [0.223, None]),
            beta_reason="s is not determined, so there are limits of beta alone",
            eta=estimate(None, None, [None, None]),
            eta_reason="no eta: s is not determined",
        )
    given["range"] |= {
        "s": {"ci95": [1.87, None]},
        "beta": {"ci95": [0.223, None]},
        "eta": {"ci95": [None, None]},
    }
    run = RunFolder(tmp_path, {"calibration": section}, {})
    rows = {row.label: (row.value, plain(row.interval), plain(row.remark)) for row in main_rows(run)}
    value, interval, remark = rows["s at the given <N>"]
    assert (value, interval) == ("not determined", "above 1.87")
    assert "n^2 cascade: s is not determined, only that it is above 1.87 at 95 %" in remark
    assert rows["beta, s calibrated at the given <N>"] == (
        "not determined",
        "above 22.3",
        "s is not determined, so there are limits of beta alone",
    )
    assert rows["CM efficiency, s calibrated at the given <N>"] == ("none", "", "no eta: s is not determined")
    # The other way needs no s of the runs.
    assert plain(rows["beta, <N> calibrated at s = 4 exactly"][0]) == "27.0 ± 1.1 %"
    assert "above 1.87" in plain(summary_table(run))


def test_the_parts_have_signs_and_units(run):
    rows = table(systematic_rows(run))
    assert rows["eta: <N>"] == ("± 1.1 %", "already in the error of eta")
    assert rows["beta: t0"] == ("no number", "free in the fit")
    assert rows["beta: other states"][0] == "-1.2 %"
    assert rows["beta: nothing"][0] == "0 %"
    assert rows["tau_xx: n >= 3"][0] == "-0.21 ns ± 0.06 ns"


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
            {
                **CALIBRATION,
                "s_at_given_n": {"models": dict.fromkeys(MODELS, way(reason="no s"))},
                "n_at_given_s": {"models": dict.fromkeys(MODELS, way(reason="no n"))},
            },
            {
                "s at the given <N>": ("none", "no s"),
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
