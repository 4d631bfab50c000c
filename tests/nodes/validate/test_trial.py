"""States and beta of simulated nanocrystals through the pipeline, beside what a perfect choice of photons gives.

A short version of what `photonstream validate` measures; limits are those the method is known to reach.
"""

from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.inference.rows import HIDDEN_MARKOV
from photonstream.nodes.pipeline import photon_path
from photonstream.nodes.simulate import PRESETS, simulate
from photonstream.nodes.simulate.parameters import Blinking, Dwell
from photonstream.nodes.simulate.presets import BLINKING
from photonstream.nodes.validate.cells import at_rate
from photonstream.nodes.validate.trial import run_trial
from photonstream.stream.node import InputError
from photonstream.stream.runner import InlineRunner
from photonstream.stream.topology import NodeSpec, Topology


def flicker(**settings):
    settings = {"tau_trion_s": 19.9e-9, "yield_trion": 0.85, **settings}
    return Blinking(dwell_neutral=Dwell(0.4), dwell_charged=Dwell(0.15), charged_share=1.0, **settings)


def hot_carrier(**settings):
    return Blinking(dwell_dim=Dwell(0.15), charged_share=0.0, tau_dim_s=None, yield_dim=1.0, **settings)


def measured(folder, blinking, *, rate_hz=30e3, **settings):
    parameters = replace(
        PRESETS["355nm"].parameters, **{"blinking": blinking, "duration_s": 15.0, "seed": 1, **settings}
    )
    return run_trial(at_rate(parameters, rate_hz), folder)


@pytest.mark.parametrize(
    ("blinking", "settings", "least"),
    [
        (Blinking(charged_share=0.0), {}, 0.995),
        (BLINKING["power-law"], {}, 0.995),
        (flicker(), {}, 0.995),
        (flicker(yield_trion=0.92), {}, 0.995),
        (BLINKING["fast"], {}, 0.98),
        (flicker(), {"rate_hz": 10e3}, 0.99),
        (flicker(), {"drift": -0.3}, 0.995),
        (flicker(), {"drift": -0.5}, 0.995),
        (hot_carrier(dim_exciton_survival=0.4), {}, 0.995),
        (hot_carrier(dim_exciton_survival=0.8), {}, 0.9),
    ],
    ids=[
        "on-off",
        "power-law",
        "flicker-85",
        "flicker-92",
        "fast",
        "10k",
        "drift",
        "bleach",
        "hot-4",
        "hot-8",
    ],
)
def test_the_neutral_state_is_told_and_beta_stays_where_it_is(tmp_path, blinking, settings, least):
    trial = measured(tmp_path, blinking, **settings)
    assert trial.accuracy > least
    assert trial.states > 1
    # It knows whether it is as good as that.
    assert trial.resolved is (least > 0.97)
    assert abs(trial.shift_sigma) < 0.5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("drift", "duration_s"), [(0.0, 15.0), (-0.3, 20.0), (-0.1, 20.0), (-0.05, 3.0)], ids=str
)
def test_where_nothing_blinks_nothing_is_selected(tmp_path, drift, duration_s):
    """Brightness that drifts is one state: photons would be selected by their own delays."""
    trial = measured(tmp_path, None, drift=drift, duration_s=duration_s)
    assert trial.states == 1
    assert trial.selected == trial.photons
    assert trial.shift_sigma == pytest.approx(0.0, abs=1e-6)


def test_photons_lost_before_multiplication_leave_the_same_decay(tmp_path):
    trial = measured(tmp_path, hot_carrier(dim_photon_survival=0.5))
    assert abs(trial.shift_sigma) < 0.5


@pytest.mark.parametrize(("share", "resolved", "least"), [(0.8, True, 0.97), (0.9, False, 0.7)])
def test_a_trion_nearly_as_slow_is_told_up_to_a_point(tmp_path, share, resolved, least):
    blinking = flicker(tau_trion_s=share * 46.8e-9, yield_trion=share)
    trial = measured(tmp_path, blinking, duration_s=30.0)
    assert trial.resolved is resolved
    assert trial.accuracy > least
    assert abs(trial.shift_sigma) < 0.5


def test_the_probe_knows_the_truth(tmp_path):
    path = tmp_path / "nc.ptu"
    parameters = at_rate(replace(PRESETS["355nm"].parameters, blinking=flicker(), duration_s=3.0), 30e3)
    truth = simulate(parameters, path)
    given = {"source": {"path": str(path), "chunk_records": 5000}, "states": {"method": "window"}}
    nodes = (*photon_path(given).nodes, NodeSpec("probe", "probe", ("states",), {"truth_of": str(path)}))
    outcome = InlineRunner(Topology(nodes)).run()
    value = outcome.results["probe", "truth"].value
    share = truth.time_shares()["neutral"]
    assert value["neutral_s"] == pytest.approx(3.0 * share, abs=1e-4)
    # By the window no bin has a state; nearly every millisecond has photons.
    assert value["bins"][:, 1:].sum() == 0
    assert value["bins"][1, 0] == pytest.approx(3000 * share, abs=15)
    # Photons of the neutral emitter, and the background that came meanwhile; few come after the state has changed.
    emitted = truth.photons[1].sum()
    dark = truth.photons[0].sum() * share
    assert value["neutral"].sum() == pytest.approx(emitted + dark, abs=5 * np.sqrt(dark) + 20)
    assert outcome.imbalances == []


def test_the_probe_wants_a_simulated_recording(tmp_path):
    path = tmp_path / "nc.ptu"
    simulate(replace(PRESETS["355nm"].parameters, duration_s=0.1), path)
    (tmp_path / "nc.ptu.truth.json").unlink()
    given = {"source": {"path": str(path)}, "states": {"method": HIDDEN_MARKOV}}
    nodes = (*photon_path(given).nodes, NodeSpec("probe", "probe", ("states",), {"truth_of": str(path)}))
    with pytest.raises(InputError, match="not the truth of a simulated recording"):
        InlineRunner(Topology(nodes)).run()
