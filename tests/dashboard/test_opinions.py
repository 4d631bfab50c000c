"""Words of the report on dwell times and on other selections."""

import re
from pathlib import Path

import numpy as np

from photonstream.dashboard.folder import Curve, RunFolder
from photonstream.dashboard.opinions import dwell_table, second_opinion_rows, selections_table
from photonstream.dashboard.panels.dwell import draw_dwell, dwell_columns

V = {"value": 0.257, "stderr": 0.01, "ci68": [0.247, 0.267], "ci95": [0.237, 0.277]}
TAU = {"value": 46.8e-9, "stderr": 0.21e-9}
SECOND = {
    "alpha": 0.05,
    "photons": 1000,
    "left_out": 0,
    "reason": "",
    "covered_s": 30.0,
    "change_points": 61,
    "unsure_s": 0.0004,
    "levels": [
        {"rate_hz": 2.4e3, "time_share": 0.1, "mean_dtime_s": None, "dwell_s": 0.1, "neutral": False},
        {"rate_hz": 40e3, "time_share": 0.9, "mean_dtime_s": 45e-9, "dwell_s": 0.8, "neutral": True},
    ],
    "beta": V,
    "beta_reason": "",
    "agreement": 0.993,
}
FEW = {
    "dwells": 3,
    "cut": 2,
    "tau_s": None,
    "alpha": None,
    "difference": None,
    "favoured": None,
    "reason": "too few",
}
MANY = {
    "dwells": 40,
    "cut": 0,
    "tau_s": {"value": 0.05, "stderr": 0.008},
    "alpha": {"value": 1.33, "stderr": 0.05},
    "difference": 23.9,
    "favoured": "exponential",
    "reason": "",
    "corrected_s": {"value": 0.049, "stderr": 0.0078},
    "corrected_reason": "",
}


def run(**summary):
    return RunFolder(Path("x"), summary, {})


def cells(html):
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall("<td.*?</td>", html)]


def test_dwell_times_with_units_and_errors_or_the_reason():
    times = {"bin_s": 0.001, "selected": MANY, "other": FEW}
    html = dwell_table(run(states={"dwell_times": times}))
    nb = "\u00a0"
    favoured = "exponential, ahead by 23.9"
    assert cells(html)[:6] == [
        "selected",
        "40 + 0",
        f"50.0{nb}±{nb}8.0{nb}ms",
        f"49.0{nb}±{nb}7.8{nb}ms",
        f"1.330{nb}±{nb}0.050",
        favoured,
    ]
    assert cells(html)[6:] == ["not selected", "3 + 2", "–", "–", "–", "–"]
    assert "Too few." in html
    assert f"bins of 1{nb}ms" in html


def test_nothing_is_said_where_nothing_is_known():
    assert dwell_table(run()) == dwell_table(run(states={"dwell_times": None})) == ""
    assert selections_table(run()) == ""


def test_every_selection_that_was_tried_has_its_beta():
    others = {"left_out": V, "window": None, "depends": True, "shift": 0.01}
    others |= {
        "tau_x_s": {"left_out": TAU, "window": TAU},
        "reasons": {"left_out": "", "window": "tau is 0.9 ns"},
    }
    html = selections_table(run(other_selections=others, second_opinion=SECOND, beta=V))
    table = [cells(html)[k : k + 4] for k in range(0, 16, 4)]
    tau = "46.80\u00a0±\u00a00.21\u00a0ns"
    assert table[0][0] == "as selected"
    assert (table[1][1], table[1][3]) == (tau, "depends on the selection")
    assert table[2] == ["window of rates", tau, "none", "tau is 0.9 ns"]
    assert table[3][0] == "change points of the intensity"
    assert table[3][3] == "agrees 99.3\u00a0% of the time"
    apart = selections_table(
        run(other_selections=others, second_opinion={**SECOND, "agreement": 0.31}, beta=V)
    )
    assert "of other photons" in cells(apart)[15]
    # Levels, the brightest first.
    assert cells(html)[16] == "neutral"
    # A reason that differs in its figures only is not told again.
    same = run(other_selections=others, beta_reason="tau is 0.8 ns")
    assert cells(selections_table(same))[11] == "for the same reason"
    assert "61 change points" in html
    assert "later photons" not in html


def test_photons_that_were_not_kept_are_said():
    html = selections_table(run(second_opinion={**SECOND, "left_out": 12345}))
    assert "12\u2009345 later photons were not kept" in html


def test_a_second_opinion_that_could_not_be_says_why():
    reason = "fewer than two photons"
    table = cells(selections_table(run(second_opinion={"reason": reason, "photons": 1})))
    assert table == ["change points of the intensity", "–", "none", reason]


def curve(**changes):
    columns = {
        "selected": [1.0, 1.0, 0.0],
        "time_start": [0.0015, 0.0025, 0.0015],
        "time_stop": [0.0025, 0.0045, 0.0025],
        "dwells": [6.0, 2.0, 0.0],
        "exponential": [5.0, 3.0, np.nan],
        "power_law": [6.0, 2.0, np.nan],
        **changes,
    }
    return Curve({name: np.array(values) for name, values in columns.items()})


def test_densities_are_dwells_a_second_as_shares_of_their_side():
    columns = dwell_columns(curve(), 1.0)
    np.testing.assert_allclose(columns["density"], [750.0, 125.0])
    assert (columns["density"] * (columns["stop"] - columns["start"])).sum() == 1.0
    np.testing.assert_allclose(columns["exponential"], [625.0, 187.5])
    assert len(dwell_columns(curve(), 0.0)["density"]) == 0


def test_the_panel_is_drawn_with_and_without_dwells():
    full = draw_dwell(curve(), width=300, height=200)
    assert full.x_range.start < 0.0015 < 0.0045 < full.x_range.end
    assert "(s)" in full.xaxis.axis_label.text
    assert draw_dwell(curve(dwells=[0.0, 0.0, 0.0]), width=300, height=200).xaxis.axis_label.text


def test_the_terminal_has_the_second_opinion_in_a_row():
    (row,) = second_opinion_rows(run(second_opinion={**SECOND, "tau_x_s": TAU}))
    assert row.label == "second opinion: change points of the intensity"
    assert row.value.replace("\u00a0", " ") == "τₓ 46.80 ± 0.21 ns, beta 25.7 ± 1.0 %"
    assert row.remark.replace("\u00a0", " ") == "agrees 99.3 % of the time"
    (row,) = second_opinion_rows(run(second_opinion={"reason": "no photons"}))
    assert (row.value, row.remark) == ("none", "no photons")
    assert list(second_opinion_rows(run())) == []
    unfit = run(second_opinion={**SECOND, "tau_x_s": TAU, "beta": None}, fit={"verdict": "does not fit"})
    (row,) = second_opinion_rows(unfit)
    assert "±" not in row.value
    assert "of a model that does not fit" in row.remark
