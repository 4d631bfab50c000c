"""The second opinion: how well it tells nanocrystals of known truth, whatever pieces their photons come in."""

import dataclasses

import numpy as np
import pytest

from photonstream.nodes.pipeline import photon_path, standard
from photonstream.nodes.simulate import BLINKING, PRESETS, simulate
from photonstream.nodes.validate.cells import at_rate
from photonstream.nodes.validate.probe import _switches
from photonstream.stream.runner import InlineRunner
from photonstream.stream.topology import NodeSpec, Topology

BIN_S = 1e-3


def particle(folder, blinking, rate_hz=40e3, duration_s=30.0, seed=5):
    given = dataclasses.replace(
        at_rate(PRESETS["355nm"].parameters, rate_hz), blinking=blinking, duration_s=duration_s, seed=seed
    )
    path = folder / "nc.ptu"
    simulate(given, path)
    return path


def opinion(path, method="window", **parameters):
    given = {"source": {"path": str(path), **parameters.pop("source", {})}, "states": {"method": method}}
    node = NodeSpec("changepoint", "changepoint", ("states",), parameters)
    outcome = InlineRunner(Topology((*photon_path(given).nodes, node))).run()
    return outcome.results["changepoint", "second_opinion"].value


def neutral_share(path, duration_s):
    """Share of the time in which the emitter truly is neutral."""
    at_s, state = _switches(path)
    lasts = np.diff(np.append(at_s, duration_s))
    return lasts[state == 0].sum() / duration_s


def balanced_accuracy(path, value):
    """Of "neutral or not" over time, at the middle of every millisecond."""
    at_s, state = _switches(path)
    grid_s = np.arange(0.5 * BIN_S, value["covered_s"], BIN_S)
    truth = state[np.searchsorted(at_s, grid_s, side="right") - 1] == 0
    level = value["level"][np.searchsorted(value["start_s"], grid_s, side="right") - 1]
    found = value["neutral"][level]
    return 0.5 * (found[truth].mean() + (~found[~truth]).mean())


FLICKER = BLINKING["flicker"]
ON_OFF = dataclasses.replace(BLINKING["normal"], charged_share=0.0)


@pytest.mark.parametrize(
    ("blinking", "rate_hz", "least"),
    [
        (ON_OFF, 40e3, 0.998),
        (FLICKER, 40e3, 0.92),
        (dataclasses.replace(FLICKER, yield_trion=0.92), 40e3, 0.75),
        (BLINKING["fast"], 40e3, 0.96),
        (BLINKING["normal"], 10e3, 0.85),
    ],
    ids=["on-off", "flicker .85", "flicker .92", "fast", "10 kcps"],
)
def test_as_accurate_as_change_points_are_known_to_be(tmp_path, blinking, rate_hz, least):
    path = particle(tmp_path, blinking, rate_hz)
    value = opinion(path)
    assert value["reason"] == ""
    assert balanced_accuracy(path, value) > least
    assert sum(row["time_share"] for row in value["levels"]) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    return particle(tmp_path_factory.mktemp("fast"), BLINKING["fast"], duration_s=6.0)


@pytest.mark.parametrize("chunk_records", [977, 30_011])
def test_any_split_gives_the_same(fast, chunk_records):
    whole = opinion(fast, method="hmm")
    pieces = opinion(fast, method="hmm", source={"chunk_records": chunk_records})
    assert whole.keys() == pieces.keys()
    for key, value in whole.items():
        np.testing.assert_array_equal(value, pieces[key])


def test_levels_hold_all_photons_and_all_of_the_time(fast):
    value = opinion(fast)
    assert value["photons"] == value["decays"].sum()
    assert value["left_out"] == 0
    assert value["covered_s"] == pytest.approx(6.0, abs=0.01)
    assert value["neutral_s"] == pytest.approx(6.0 * neutral_share(fast, 6.0), rel=0.03)


def test_more_photons_than_are_kept_are_counted(fast):
    whole = opinion(fast)
    value = opinion(fast, most_photons=50_000)
    assert (value["photons"], value["left_out"]) == (50_000, whole["photons"] - 50_000)
    assert value["covered_s"] < 0.5 * whole["covered_s"]
    assert value["decays"].sum() == 50_000


def test_a_recording_of_one_photon_has_none(fast):
    assert opinion(fast, most_photons=1)["reason"] == "fewer than two photons"


@pytest.mark.parametrize("parameters", [{"alpha": 0.2}, {"most_photons": 0}])
def test_parameters_that_cannot_be_are_refused(fast, parameters):
    with pytest.raises(Exception, match=next(iter(parameters))):
        opinion(fast, **parameters)


def test_a_run_says_how_the_second_opinion_agrees(fast):
    outcome = InlineRunner(standard({"source": {"path": str(fast)}}, second_opinion=True)).run()
    assert not outcome.imbalances
    result = outcome.results["results", "result"].value
    second, beta = result["second_opinion"], result["beta"]
    assert second["agreement"] > 0.97
    assert second["beta"]["value"] == pytest.approx(beta["value"], abs=3 * beta["stderr"])
    assert [row["neutral"] for row in second["levels"]] == [False, True]
    # Dwells of 50 and 25 ms, in bins of 1 ms.
    times = result["states"]["dwell_times"]
    for side, truth_s in (("selected", 0.05), ("other", 0.025)):
        mean = times[side]["tau_s"]
        assert mean["value"] == pytest.approx(truth_s, abs=4 * mean["stderr"])
        assert times[side]["favoured"] == "exponential"


def test_by_a_window_the_dwells_are_those_of_the_trace(fast):
    parameters = {"source": {"path": str(fast)}, "states": {"method": "window"}}
    outcome = InlineRunner(standard(parameters)).run()
    times = outcome.results["results", "result"].value["states"]["dwell_times"]
    assert times["bin_s"] == pytest.approx(0.01, rel=1e-6)
    assert times["selected"]["dwells"] + times["other"]["dwells"] > 60
