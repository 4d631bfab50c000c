"""Real recordings through the commands: the counts of their table, and what is known of their emitters."""

import ast
import csv
import json

import numpy as np
import pytest

from photonstream.cli.main import main
from photonstream.nodes.pipeline import photon_path
from photonstream.stream.runner import InlineRunner

FILES = [
    "fcs_picoharp_pt3/topfluorPE_2_1_1_1.pt3",
    "flim_markers_ptu/beads.ptu",
    "flim_markers_ptu/hazelnut_z1.ptu",
    "hbt_hydraharp2_ptu/200213_HH400_T3_80MHz_HBT.timeres",
    "hydraharp2_t2_ptu/hydraharp_v30_t2.ptu",
    "hydraharp_legacy/DotD_run_one60.stream",
    "hydraharp_legacy/PQ_HT3_SF-compression.ht3",
    "hydraharp_legacy/hydraharp_v10.ht2",
    "hydraharp_legacy/hydraharp_v10.ht3",
    "hydraharp_legacy/hydraharp_v20.ht2",
    "hydraharp_legacy/hydraharp_v20.ht3",
    *(f"single_emitter_picoharp_pt3/trace{k}.pt3" for k in (0, 1, 10, 2, 3, 5, 8)),
    "timeharp260n_t2_ptu/default_000.ptu",
]
# Its fits take a third of the time of all of these, and nothing is claimed of it but its counts.
COUNTED_ONLY = "hydraharp_legacy/PQ_HT3_SF-compression.ht3"


@pytest.fixture(scope="session")
def table(real_data):
    text = (real_data / "PROVENANCE.tsv").read_text(encoding="utf-8")
    return {row["file"]: row for row in csv.DictReader(text.splitlines(), delimiter="\t")}


@pytest.fixture(scope="module")
def replayed(real_data, tmp_path_factory):
    """Replays a file once; its result by name."""
    done = {}

    def replay(name):
        if name not in done:
            out = tmp_path_factory.mktemp("real")
            assert main(["replay", "--headless", str(real_data / name), "--out", str(out)]) == 0
            assert (out / "report.html").exists()
            done[name] = json.loads((out / "result.json").read_text(encoding="utf-8"))
        return done[name]

    return replay


def test_the_table_is_covered(table):
    recordings = {name for name, row in table.items() if row["photons"] and not name.endswith(".spc")}
    assert recordings == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_info_and_replay_count_what_the_table_says(name, real_data, table, replayed, capsys):
    row = table[name]
    assert main(["info", "--json", str(real_data / name)]) == 0
    info = json.loads(capsys.readouterr().out)
    shift = 1 if "PicoHarp" in row["format"] and row["mode"] == "T3" else 0
    per_channel = {str(c - shift): n for c, n in ast.literal_eval(row["photons_per_channel"]).items()}
    replays = [] if name == COUNTED_ONLY else [replayed(name)["recording"]]
    for recording in (info, *replays):
        assert recording["photons"] == int(row["photons"])
        assert recording["records"] == int(row["records"].split()[0])
        assert recording["markers"] == int(row["markers"])
        assert recording["photons_per_channel"] == per_channel
        assert recording["sha256"] == row["sha256"]
        assert recording["macrotime_unit_s"] == pytest.approx(float(row["macrotime_s"]), rel=1e-12)
        assert (recording["sync_rate_hz"] or 0) == float(row["sync_hz"])
        kinds = ("photons", "markers", "overflows", "syncs", "other")
        assert recording["records"] == sum(recording[kind] for kind in kinds)


def fit_of(replayed, name):
    result = replayed(f"single_emitter_picoharp_pt3/{name}.pt3")
    return result, result["fit"]


def test_the_bright_state_of_trace3_lives_3_5_ns(replayed):
    result, fit = fit_of(replayed, "trace3")
    assert result["recording"]["photons_per_channel"] == {"0": 907, "1": 184928}
    assert fit["tau_x_s"]["value"] == pytest.approx(3.5e-9, abs=0.1e-9)
    bright, *darker = result["states"]["levels"]
    assert bright["on"]
    assert not any(state["on"] for state in darker)
    # An exponential of 3.52 ns comes 3.20 ns after the pulse where a period of 13.17 ns folds it, and 3.33 with 3.5 %
    # of background, which is as late as half of the period. Dim photons come earlier.
    assert fit["channels"]["1"]["t0_s"]["value"] == pytest.approx(1.59e-9, abs=0.05e-9)
    assert bright["mean_dtime_s"] == pytest.approx(3.33e-9, abs=0.03e-9)
    assert darker[-1]["rate_hz"] < 300.0
    assert all(state["mean_dtime_s"] < 2.0e-9 for state in darker)
    assert result["beta"] is None
    assert result["beta_reason"]


@pytest.mark.parametrize("name", ["trace1", "trace10", "trace3"])
def test_a_blinking_emitter_is_selected_in_part(replayed, name):
    result, fit = fit_of(replayed, name)
    assert fit["model"] in ("mono", "bi")
    on = [level for level in result["states"]["levels"] if level["on"]]
    off = [level for level in result["states"]["levels"] if not level["on"]]
    assert len(on) == 1
    assert off
    assert on[0]["rate_hz"] > 2 * max(level["rate_hz"] for level in off)
    # States last longer than a bin of the trace. At 1 kcps too many bins are told wrongly to say how long.
    known = [level["dwell_s"] for level in (*on, *off) if level["dwell_s"] is not None]
    assert all(dwell_s > 0.01 for dwell_s in known)
    reason = result["states"]["dwell_times"]["selected"]["reason"]
    assert bool(known) == (name == "trace3") == ("not to be believed" not in reason)
    # The dark one is as dark as a person would say.
    assert on[0]["rate_hz"] > 10 * min(level["rate_hz"] for level in off)


@pytest.mark.parametrize("name", ["trace0", "trace8"])
def test_background_alone_is_no_emitter(replayed, name):
    result, fit = fit_of(replayed, name)
    assert fit["model"] == "none"
    assert "no emitter" in fit["reason"]
    assert result["beta"] is None
    assert fit["tau_x_s"] is None


def test_the_dye_and_the_80_mhz_source_have_their_tails(replayed):
    dye = replayed("fcs_picoharp_pt3/topfluorPE_2_1_1_1.pt3")
    assert dye["fit"]["tau_x_s"]["value"] == pytest.approx(4.9e-9, rel=0.06)
    # However bright it is where molecules come and go, their decay is the same: one state.
    assert len(dye["states"]["levels"]) == 1
    assert dye["fit"]["photons_outside"] == 20
    source = replayed("hbt_hydraharp2_ptu/200213_HH400_T3_80MHz_HBT.timeres")
    assert source["fit"]["tau_x_s"]["value"] == pytest.approx(0.13e-9, rel=0.05)
    # A component shorter than the fitted instrument response is no biexciton.
    assert source["beta"] is None


def test_the_histogram_of_the_80_mhz_source(real_data):
    folder = real_data / "hbt_hydraharp2_ptu"
    source = {"path": str(folder / "200213_HH400_T3_80MHz_HBT.timeres")}
    rows = InlineRunner(photon_path({"source": source})).run().results["decay", "rows"].value
    ours = rows["counts"].sum(axis=0)[0]
    with np.load(folder / "expected_200213_HH400_T3_80MHz_lifetime.npz") as expected:
        theirs = next(
            expected[key] for key in expected.files if expected[key].ndim == 1 and expected[key].sum() > 1e5
        )
    n = min(len(ours), len(theirs))
    differing = np.flatnonzero(ours[:n] != theirs[:n])
    assert differing.tolist() == [344]


@pytest.mark.parametrize(
    "name", ["hydraharp2_t2_ptu/hydraharp_v30_t2.ptu", "timeharp260n_t2_ptu/default_000.ptu"]
)
def test_t2_without_laser_pulses_has_a_trace_and_says_that_there_is_no_decay(replayed, name):
    result = replayed(name)
    assert result["intensity"]["bins"] >= 500
    assert result["fit"]["model"] == "none"
    assert "no decay" in result["fit"]["reason"]
    assert any("no laser pulses" in note for note in result["recording"]["notes"])
