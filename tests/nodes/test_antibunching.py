"""Antibunching from the file to the result: a real source, simulated emitters, T2 with and without pulses."""

import math
from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.experiment import OF_FIT
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import BY_NAME, GENERIC_T2, GENERIC_T3
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.pipeline import standard
from photonstream.nodes.simulate import Detector, simulate
from photonstream.nodes.simulate.presets import PRESETS
from photonstream.stream.node import ParameterError
from photonstream.stream.runner import InlineRunner

KNOWN = {"excitation_nm": 640.0, "eg_ev": 1.58, "mean_n": 0.1}


def run(path, experiment=None, lifetime=None, **antibunching):
    parameters = {
        "source": {"path": str(path)},
        "antibunching": antibunching,
        # As whoever starts a run tells it.
        "lifetime": {key: value for key, value in (experiment or {}).items() if key in OF_FIT}
        | (lifetime or {}),
        "results": {"experiment": experiment or {}},
    }
    outcome = InlineRunner(standard(parameters)).run()
    assert outcome.imbalances == []
    return outcome


def found(outcome):
    return outcome.results["results", "result"].value["antibunching"]


def test_a_real_source_of_single_photons(real_data):
    folder = real_data / "hbt_hydraharp2_ptu"
    outcome = run(folder / "200213_HH400_T3_80MHz_HBT.timeres")
    a = found(outcome)
    assert a["centre"]["found"] == "dip"
    assert a["centre"]["pulses"] == 2
    assert a["centre"]["s"]["value"] == pytest.approx(23.95e-9, abs=0.03e-9)
    assert a["all"]["pairs_centre"] == 1
    assert a["all"]["pairs_side_mean"] == pytest.approx(368, rel=0.05)
    assert a["all"]["g2_0"]["value"] == pytest.approx(0.003, abs=0.0005)
    assert a["all"]["g2_0"]["ci95"][1] < 0.02
    # Its decay is neither one exponential nor two, so nobody knows how much of it is background.
    assert a["selected"]["g2_0_corrected"] is None
    assert "no fit of the decay tells it" in a["selected"]["g2_0_corrected_reason"]
    # Where everything is selected, what is known for one set of pairs is for the other.
    assert a["all"]["g2_0_corrected_reason"] == a["selected"]["g2_0_corrected_reason"]
    assert a["late"]["verdict"] == "not judged"
    assert "too short" in a["late"]["reason"]
    # Another program's histogram of the delays from one detector to the other, in bins of 16 ps up to 160 ns.
    expected = np.load(folder / "expected_200213_HH400_T3_80MHz_HBT.npz")["hist1"]
    pairs = outcome.results["antibunching", "pairs"].value
    edges_s = pairs["delay_start_s"] + np.arange(pairs["delays"].shape[1] + 1) * pairs["delay_bin_s"]
    delays = pairs["delays"].sum(axis=0)
    # It stops each photon at the next one of the other detector, so it finds at most as many.
    for low_ns, high_ns in ((3, 10), (16, 22.5), (22.5, 25.5), (28, 35), (40, 48)):
        theirs = expected[round(low_ns / 0.016) : round(high_ns / 0.016)].sum()
        ours = delays[(edges_s[:-1] >= low_ns * 1e-9) & (edges_s[:-1] < high_ns * 1e-9)].sum()
        assert abs(int(ours) - int(theirs)) <= 5


def test_dead_electronics_are_not_taken_for_antibunching(real_data):
    a = found(run(real_data / "fcs_picoharp_pt3" / "topfluorPE_2_1_1_1.pt3"))
    assert a["all"]["g2_0"] is None
    assert "electronics" in a["all"]["g2_0_reason"]
    assert a["late"]["verdict"] == "not judged"


def test_one_detector_gives_no_pairs(real_data):
    outcome = run(real_data / "timeharp260n_t2_ptu" / "default_000.ptu")
    assert found(outcome) == {"by": None, "reason": "photons on one detector only"}


def emitter(path, preset, *, record_type=GENERIC_T3, period_s=None, t0_s=(3e-9, 3.2e-9), **changes):
    """A steady emitter that is detected well, so that a second holds many pairs."""
    p = PRESETS[preset].parameters
    detector = Detector(efficiency=(0.5, 0.5), background_hz=(200.0, 200.0), t0_s=t0_s)
    rate_hz = p.repetition_rate_hz if period_s is None else 1 / period_s
    changes = {"duration_s": 2.0, "blinking": None, **changes}
    simulate(
        replace(p, repetition_rate_hz=rate_hz, detector=detector, **changes), path, record_type=record_type
    )
    return path


def test_no_carrier_multiplication_one_emitter(tmp_path):
    a = found(run(emitter(tmp_path / "x.ptu", "640nm", period_s=210e-9, duration_s=4.0), KNOWN))
    assert a["centre"]["pulses"] == 0
    assert a["centre"]["found"] == "dip"
    g2 = a["selected"]["g2_0_corrected"]
    assert g2["value"] == pytest.approx(0.31, abs=0.02)
    assert a["late"]["g2_0"]["value"] < 0.03
    assert a["late"]["verdict"] == "consistent with one emitter"
    # s tau_xx/tau_x is the truth of the simulator; the formula leaves out three and more excitons, 3 % here, and holds
    # those that were left over, as much again.
    true, found_yield = 4 * 3.6 / 47.1, a["yield_ratio"]["value"]
    assert found_yield["value"] == pytest.approx(true, abs=0.03)
    models = a["yield_ratio"]["models"]
    assert models["n<=2 closed form"] == found_yield["value"]
    assert models["n^2 cascade"] == pytest.approx(true, abs=2.0 * found_yield["stderr"])
    assert models["n^2 cascade"] == pytest.approx(0.975 * found_yield["value"], rel=0.01)


def test_one_emitter_stays_one_wherever_its_pulse_stands_and_whatever_response_is_given(tmp_path):
    t0_s = (50e-9, 50.4e-9)
    path = emitter(tmp_path / "x.ptu", "355nm", period_s=210e-9, t0_s=t0_s)
    # Its own axis begins elsewhere.
    time_ns = np.arange(0.0, 20.0, 0.016)
    counts = np.round(1e4 * np.exp(-0.5 * ((time_ns - 5.0) / 0.0425) ** 2) + 1.0)
    text = "\n".join(f"{t:.3f} {n:.0f}" for t, n in zip(time_ns, counts, strict=True))
    (tmp_path / "irf.txt").write_text(text, encoding="utf-8")
    found_late = []
    for irf in (None, str(tmp_path / "irf.txt")):
        result = run(path, KNOWN, lifetime={"irf": irf}).results["results", "result"].value
        for channel, at_s in enumerate(t0_s):
            assert result["fit"]["channels"][str(channel)]["t0_s"]["value"] == pytest.approx(at_s, abs=0.1e-9)
        found_late.append(result["antibunching"]["late"])
    fitted, given = found_late
    assert fitted["verdict"] == given["verdict"] == "consistent with one emitter"
    assert fitted["peaks"] == given["peaks"]


def test_photons_are_late_after_five_lifetimes_of_the_biexciton(tmp_path):
    slow = Cascade(60e-9, 12e-9)
    path = emitter(tmp_path / "x.ptu", "355nm", period_s=333e-9, emitter=slow, duration_s=4.0)
    late = found(run(path, KNOWN))["late"]
    assert late["late_s"] == pytest.approx(60e-9, rel=0.1)
    assert late["verdict"] == "consistent with one emitter"


def test_the_yield_of_many_photons_a_pulse_needs_three_excitons(tmp_path):
    """At <N> = 0.5 the formula of two levels is wrong by more than its error, the cascade is not."""
    known = KNOWN | {"mean_n": 0.5, "mean_n_stderr": 0.01}
    section = found(run(emitter(tmp_path / "x.ptu", "640nm-n0.5", period_s=210e-9), known))["yield_ratio"]
    true, error = 4 * 3.3 / 46.4, section["value"]["stderr"]
    assert section["models"]["n<=2 closed form"] - true > 3.0 * error
    assert section["models"]["n^2 cascade"] == pytest.approx(true, abs=2.5 * error)


def test_the_error_of_n_is_in_the_yield(tmp_path):
    path = emitter(tmp_path / "x.ptu", "640nm-n0.5", period_s=210e-9)
    given = KNOWN | {"mean_n": 0.5}
    exact, rough, unsaid = (
        found(run(path, given | more))["yield_ratio"]["value"]["stderr"]
        for more in ({"mean_n_stderr": 1e-6}, {"mean_n_stderr": 0.15}, {})
    )
    # Twice absorbed pulses and excited ones rise alike, so that <N> nearly cancels: by hand .324 becomes .323 at .65.
    assert unsaid == rough
    assert math.sqrt(rough**2 - exact**2) == pytest.approx(0.001, abs=0.0002)


@pytest.mark.parametrize(("period_s", "expected"), [(100e-9, 0.35), (50e-9, 0.41)])
def test_excitons_left_over_raise_g2(tmp_path, period_s, expected):
    # At small <N> three excitons at once, which raise it further, are rare.
    a = found(
        run(emitter(tmp_path / "x.ptu", "640nm", period_s=period_s, mean_n=0.04, duration_s=3.0), KNOWN)
    )
    g2 = a["selected"]["g2_0"]
    assert g2["value"] == pytest.approx(expected, abs=0.02 + 2 * g2["stderr"])
    assert a["yield_ratio"]["value"] is None
    assert "four exciton lifetimes" in a["yield_ratio"]["reason"]


@pytest.mark.parametrize("record_type", [GENERIC_T3, GENERIC_T2])
def test_carrier_multiplication_bunches_and_late_photons_still_count_one(tmp_path, record_type):
    a = found(
        run(emitter(tmp_path / "x.ptu", "355nm", record_type=record_type), KNOWN | {"excitation_nm": 355.0})
    )
    assert a["by"] == "pulses"
    assert a["centre"]["found"] == "peak"
    assert a["centre"]["pulses"] == 0
    g2 = a["all"]["g2_0"]
    assert g2["value"] == pytest.approx(1.69, abs=0.03 + 2 * g2["stderr"])
    assert a["late"]["g2_0"]["value"] == pytest.approx(0.035, abs=0.03)
    assert a["late"]["verdict"] == "consistent with one emitter"
    assert "carrier multiplication" in a["yield_ratio"]["reason"]


@pytest.mark.parametrize(("preset", "late"), [("355nm", 0.518), ("640nm", 0.515)])
def test_two_emitters(tmp_path, preset, late):
    a = found(run(emitter(tmp_path / "x.ptu", preset, emitters=2, period_s=210e-9), KNOWN))
    g2 = a["late"]["g2_0"]
    assert abs(g2["value"] - late) < 0.02 + 3 * g2["stderr"]
    assert a["late"]["verdict"] == "more than one"
    assert a["yield_ratio"]["value"] is None
    assert "one emitter" in a["yield_ratio"]["reason"]


def test_the_place_of_the_pulse_in_the_period_does_not_matter(tmp_path):
    # The decay runs over the end of the period: its tail is counted to the next sync, at each detector elsewhere.
    moved = {"t0_s": (150e-9, 100e-9), "period_s": 210e-9}
    a = found(run(emitter(tmp_path / "x.ptu", "640nm", **moved), KNOWN))
    assert a["centre"]["pulses"] == 0
    assert a["centre"]["s"]["value"] == pytest.approx(-50e-9, abs=1e-9)
    g2 = a["selected"]["g2_0"]
    assert g2["value"] == pytest.approx(0.31, abs=0.02 + 2 * g2["stderr"])
    assert a["late"]["verdict"] == "consistent with one emitter"


def test_a_given_offset_is_taken_and_one_beyond_the_pairs_is_refused(tmp_path):
    path = emitter(tmp_path / "x.ptu", "640nm", duration_s=0.5)
    a = found(run(path, offset_pulses=3))
    assert (a["centre"]["pulses"], a["centre"]["found"]) == (3, "given")
    assert found(run(path, offset_s=-420e-9))["centre"]["pulses"] == -2
    assert "outside" in found(run(path, offset_s=5e-6))["reason"]
    with pytest.raises(ParameterError, match="offset"):
        run(path, offset_pulses=10)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mean_n": 1e-9}, "<N> from"),
        ({"mean_n": 1e-300}, "<N> from"),
        ({"mean_n": None}, "<N>"),
        ({"eg_ev": None}, "eg_ev"),
    ],
)
def test_the_yield_needs_what_its_formula_needs(tmp_path, change, reason):
    a = found(run(emitter(tmp_path / "x.ptu", "640nm", period_s=210e-9, duration_s=1.0), KNOWN | change))
    assert a["yield_ratio"]["value"] is None
    assert reason in a["yield_ratio"]["reason"]


def test_counting_can_be_switched_off(tmp_path):
    a = found(run(emitter(tmp_path / "x.ptu", "640nm", duration_s=0.1), pulses=0))
    assert a == {"by": None, "reason": "pairs were not counted (pulses = 0)"}


def test_t2_without_pulses_has_rates_accidentals_and_g2(tmp_path):
    # Two independent detectors, but no pair closer than 20 ns: a dip of known width in a flat level.
    rng = np.random.default_rng(7)
    kind, unit_s = BY_NAME["HydraHarp v2 T2"], 1e-9
    ticks = 20_000_000
    a, b = (np.flatnonzero(rng.random(ticks) < 0.01) for _ in range(2))
    b = b[
        np.min(np.abs(b[:, None] - a[np.searchsorted(a, b)[:, None].clip(1, len(a) - 1) - [1, 0]]), axis=1)
        >= 20
    ]
    time = np.concatenate([a, b])
    order = np.argsort(time, kind="stable")
    time, channel = time[order], np.repeat([0, 1], [len(a), len(b)])[order]
    records = channel.astype(np.uint32) << 25 | time.astype(np.uint32)
    path = tmp_path / "x.ptu"
    writing = {"macrotime_unit_s": unit_s, "dtime_resolution_s": unit_s, "sync_rate_hz": None}
    with PtuWriter(path, record_type=kind, **writing) as writer:
        writer.write(records)
    found_here = found(run(path, window_s=400e-9, bins=80))
    assert found_here["by"] == "time"
    assert found_here["bin_s"] == pytest.approx(10e-9)
    rates = [len(a) / time[-1] / unit_s, len(b) / time[-1] / unit_s]
    assert found_here["rates_hz"] == pytest.approx(rates)
    accidental = rates[0] * rates[1] * 10e-9 * time[-1] * unit_s
    assert found_here["accidental_pairs_per_bin"] == pytest.approx(accidental)
    assert found_here["all"]["pairs_centre"] == 0
    assert found_here["all"]["pairs_side_mean"] == pytest.approx(2 * accidental, rel=0.03)
    assert found_here["all"]["g2_0"]["ci95"][1] < 0.001
