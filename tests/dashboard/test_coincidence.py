"""Antibunching on the page: numbers with their intervals, or the reason why there are none."""

from pathlib import Path

import numpy as np
import pytest

from photonstream.dashboard.coincidence import centre_ns, detail_rows, main_rows
from photonstream.dashboard.folder import Curve, RunFolder
from photonstream.dashboard.panels.coincidence import draw_coincidence

G2 = {"value": 0.31, "stderr": 0.012, "ci68": [0.298, 0.322], "ci95": [0.286, 0.334]}
WHY = "the share of the background is not known: no fit of the decay tells it"
PART = {
    "pairs_centre": 310,
    "pairs_side_mean": 1000.0,
    "g2_0": G2,
    "g2_0_corrected": None,
    "g2_0_corrected_reason": WHY,
}
FOUND = {
    "by": "pulses",
    "reason": "",
    "channels": [0, 1],
    "pairs_by_channels": [[0, 1, 20310], [0, 2, 5]],
    "centre": {
        "pulses": 2,
        "found": "dip",
        "s": {"value": 23.94e-9, "stderr": 3e-12, "ci68": None, "ci95": None},
    },
    "all": PART,
    "selected": PART,
    "late": {"late_s": 19.5e-9, "verdict": "consistent with one emitter", "reason": "", **PART},
    "yield_ratio": {"value": None, "reason": "<N> is not known"},
}


def run(section):
    return RunFolder(Path("x"), {"antibunching": section}, {})


def table(rows):
    return {row.label: (row.value.replace("\u00a0", " "), row.interval, row.remark) for row in rows}


def test_the_main_numbers_are_g2_and_the_verdict():
    rows = table(main_rows(run(FOUND)))
    # What is counted and what is corrected are two figures, and each says which it is.
    assert rows["g⁽²⁾(0), selected pairs, as counted"][:2] == ("0.310 ± 0.012", "0.286 to 0.334")
    assert "no fit of the decay tells it" in rows["g⁽²⁾(0), selected pairs, as counted"][2]
    assert len(rows) == 2
    better = {"value": 0.25, "stderr": 0.014, "ci68": [0.236, 0.264], "ci95": [0.222, 0.278]}
    selected = {**PART, "g2_0_corrected": better, "g2_0_corrected_reason": ""}
    first, second, _ = table(main_rows(run({**FOUND, "selected": selected}))).items()
    assert first == ("g⁽²⁾(0), selected pairs, without background", ("0.250 ± 0.014", "0.222 to 0.278", ""))
    assert second == ("g⁽²⁾(0), selected pairs, as counted", ("0.310 ± 0.012", "0.286 to 0.334", ""))
    assert rows["emitters, by late photons"][0] == "consistent with one emitter"


def test_without_pairs_the_reason_stands_among_the_main_numbers():
    section = {"by": None, "reason": "photons on one detector only"}
    (row,) = main_rows(run(section))
    assert (row.value, row.remark) == ("none", "photons on one detector only")
    assert list(main_rows(run(None))) == []
    assert centre_ns(run(section)) is None


def test_the_details_say_what_was_compared():
    rows = table(detail_rows(run(FOUND)))
    assert rows["detectors"] == (
        "channel 0 and channel 1",
        "",
        "of 2 pairs of channels the one with most pairs",
    )
    assert rows["centre"] == ("+2 pulses", "", "fewest pairs")
    assert rows["delay of the centre"][0] == "23.9400 ± 0.0030 ns"
    assert rows["selected pairs: centre against mean of the far side peaks"][
        0
    ] == "310 against 1 000".replace(" 0", "\u20090")
    assert rows["late pairs: g⁽²⁾(0)"][1] == "0.286 to 0.334"
    assert rows["yield of the biexciton"] == ("none", "", "<N> is not known")
    assert centre_ns(run(FOUND)) == pytest.approx(23.94)


def test_the_details_say_why_there_is_nothing():
    rows = table(detail_rows(run({"by": None, "reason": "photons on one detector only"})))
    assert rows == {"pairs": ("no g⁽²⁾(0)", "", "photons on one detector only")}
    assert list(detail_rows(run(None))) == []


def test_the_plot_loses_no_pair_when_bins_are_merged():
    rng = np.random.default_rng(1)
    n = 4000
    edges = np.linspace(-125.0, 125.0, n + 1)
    pairs = rng.poisson(2.0, n).astype(float)
    curve = Curve(
        {"delay_start": edges[:-1], "delay_stop": edges[1:], "pairs": pairs, "pairs_selected": pairs / 2}
    )
    plot = draw_coincidence(curve, 23.94, width=400, height=150)
    shown = plot.renderers[0].data_source.data
    assert len(shown["pairs"]) <= 1000
    assert shown["pairs"].sum() == pairs.sum()
    assert shown["selected"].sum() == pairs.sum() / 2
    assert (shown["left"][0], shown["right"][-1]) == (-125.0, 125.0)
