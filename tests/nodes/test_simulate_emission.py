"""Simulated photons against analytic expectations, at fixed seeds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ptufile
import pytest
from numpy.typing import NDArray
from scipy import stats

from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3
from photonstream.nodes.inference.cascade import Cascade, expected_decay
from photonstream.nodes.simulate import (
    PRESETS,
    Blinking,
    Detector,
    Dwell,
    SimulationParameters,
    Truth,
    simulate,
)

PERFECT = Detector(
    efficiency=(1.0, 1.0),
    t0_s=(0.0, 0.0),
    irf_fwhm_s=(0.0, 0.0),
    background_hz=(0.0, 0.0),
    resolution_s=20e-12,
)
QUIET = SimulationParameters(
    5e6, 0.1, 0.0, Cascade(47.1e-9, 3.6e-9), blinking=None, detector=PERFECT, duration_s=1
)
# An emitter that answers at once, to see the detectors alone.
INSTANT = replace(QUIET, repetition_rate_hz=1e7, emitter=Cascade(1e-13, 1e-14, max_excitons=1), mean_n=0.3)


class Run(NamedTuple):
    truth: Truth
    time: NDArray[np.int64]
    dtime: NDArray[np.int64]
    channel: NDArray[np.int64]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """Simulate, and read the photons back with an independent reader."""

    def simulate_and_read(parameters: SimulationParameters, mode: str = "T3", **changes: Any) -> Run:
        path = tmp_path / "nc.ptu"
        detector = replace(parameters.detector, **changes.pop("detector", {}))
        kind = GENERIC_T3 if mode == "T3" else GENERIC_T2
        truth = simulate(replace(parameters, detector=detector, **changes), path, record_type=kind)
        with ptufile.PtuFile(path) as file:
            records = file.decode_records()
        records = records[records["channel"] >= 0]
        dtime = records["dtime"].astype(np.int64) if mode == "T3" else np.zeros(0, np.int64)
        return Run(truth, records["time"].astype(np.int64), dtime, records["channel"].astype(np.int64))

    return simulate_and_read


def chi_square_p(observed: NDArray[Any], expected: NDArray[Any]) -> float:
    assert expected.min() > 20
    return float(stats.chi2.sf(np.sum((observed - expected) ** 2 / expected), expected.size))


@pytest.mark.parametrize(
    ("preset", "rate_hz", "max_excitons"),
    [("640nm", 5e6, 12), ("355nm", 4.75e6, 2), ("355nm", 4.75e6, 12), ("640nm-n0.5", 2e7, 12)],
)
def test_mean_decay_is_the_analytic_one(
    run: Callable[..., Run], preset: str, rate_hz: float, max_excitons: int
) -> None:
    source = PRESETS[preset].parameters
    emitter = replace(source.emitter, max_excitons=max_excitons)
    parameters = replace(
        source,
        repetition_rate_hz=rate_hz,
        emitter=emitter,
        blinking=None,
        detector=PERFECT,
        duration_s=2e7 / rate_hz,
    )
    # Full bins only; 1 ns wide but for the first 5 ns, where the biexciton is.
    got = run(parameters)
    period_bins = int(1 / rate_hz / 20e-12)
    edges = np.unique(np.concatenate((np.arange(0, 250, 10), np.arange(250, period_bins, 50))))
    counts = np.histogram(got.dtime + 0.5, edges)[0]
    rates, amplitudes = expected_decay(emitter, source.mean_n, source.cm_efficiency, 1 / rate_hz)
    edges_s = edges * 20e-12
    weights = amplitudes / rates / -np.expm1(-rates / rate_hz)
    expected = parameters.pulses * -np.diff(np.exp(-np.outer(edges_s, rates)) @ weights)
    assert chi_square_p(counts, expected) > 1e-3
    # The wrong number of levels, or no leftovers, would be noticed.
    other = replace(emitter, max_excitons=14 - max_excitons)
    rates, amplitudes = expected_decay(other, source.mean_n, source.cm_efficiency)
    weights = amplitudes / rates / -np.expm1(-rates / rate_hz)
    if preset != "640nm":
        wrong = parameters.pulses * -np.diff(np.exp(-np.outer(edges_s, rates)) @ weights)
        assert chi_square_p(counts, wrong) < 1e-6


def pulse_pair_ratio(got: Run) -> float:
    """Pairs of photons in both channels after the same pulse, over those after far pulses."""
    pulses = got.truth.parameters.pulses
    first, second = (
        np.bincount(got.time[got.channel == c], minlength=pulses).astype(np.float32) for c in (0, 1)
    )
    side = np.mean(
        [np.dot(first[lag:], second[:-lag]) + np.dot(first[:-lag], second[lag:]) for lag in range(20, 28)]
    )
    return float(2 * np.dot(first, second) / side)


@pytest.mark.parametrize(("period_ns", "ratio"), [(210, 0.31), (100, 0.35), (50, 0.41)])
def test_antibunching_with_residual_excitons(run: Callable[..., Run], period_ns: float, ratio: float) -> None:
    got = run(QUIET, repetition_rate_hz=1e9 / period_ns, duration_s=3.0 * period_ns / 210)
    assert pulse_pair_ratio(got) == pytest.approx(ratio, abs=0.016)


def test_carrier_multiplication_bunches(run: Callable[..., Run]) -> None:
    source = PRESETS["355nm"].parameters
    got = run(replace(source, blinking=None, detector=PERFECT, duration_s=2))
    assert pulse_pair_ratio(got) == pytest.approx(1.69, abs=0.025)


def test_two_emitters_are_a_superposition(run: Callable[..., Run]) -> None:
    got = run(QUIET, emitters=2, duration_s=1)
    assert pulse_pair_ratio(got) == pytest.approx((1 + 0.31) / 2, abs=0.02)
    assert len(got.truth.switches) == 2


def test_background_is_poisson_and_uniform(run: Callable[..., Run]) -> None:
    got = run(QUIET, mean_n=0.0, detector={"background_hz": (2e5, 1e5)})
    per_channel = np.bincount(got.channel, minlength=2)
    assert abs(per_channel[0] - 2e5) < 4 * np.sqrt(2e5)
    assert abs(per_channel[1] - 1e5) < 4 * np.sqrt(1e5)
    counts = np.bincount(got.time // 5000, minlength=1000)[:1000]
    dispersion = np.sum((counts - 300.0) ** 2 / 300.0)
    assert stats.chi2.sf(dispersion, 1000) > 1e-3
    assert stats.chi2.cdf(dispersion, 1000) > 1e-3
    delays = np.bincount(got.dtime // 500, minlength=20)
    assert chi_square_p(delays, np.full(20, 3e5 / 20)) > 1e-3


def test_beam_splitter_and_efficiencies(run: Callable[..., Run]) -> None:
    got = run(QUIET, detector={"beam_splitter": 0.3, "efficiency": (0.5, 0.9)})
    rates, amplitudes = expected_decay(QUIET.emitter, 0.1, 0.0, QUIET.period_s)
    emitted = QUIET.pulses * np.sum(amplitudes / rates)
    for channel, share in enumerate((0.7 * 0.5, 0.3 * 0.9)):
        count = np.sum(got.channel == channel)
        # Photons of one biexciton come together, so the scatter is a little above Poisson's.
        assert abs(count - emitted * share) < 5 * np.sqrt(emitted * share)


def test_response_of_each_channel(run: Callable[..., Run]) -> None:
    got = run(
        INSTANT, detector={"t0_s": (3e-9, 7.5e-9), "irf_fwhm_s": (0.35e-9, 0.1e-9), "resolution_s": 5e-12}
    )
    for channel, (t0, fwhm) in enumerate(((3e-9, 0.35e-9), (7.5e-9, 0.1e-9))):
        delays = (got.dtime[got.channel == channel] + 0.5) * 5e-12
        sigma = fwhm / 2.354820
        assert delays.mean() == pytest.approx(t0, abs=4 * sigma / np.sqrt(delays.size) + 0.2e-12)
        assert delays.std() == pytest.approx(sigma, rel=0.01)
        within_bin = np.random.default_rng(1).uniform(-2.5e-12, 2.5e-12, 20000)
        assert stats.kstest((delays[:20000] + within_bin - t0) / sigma, "norm").pvalue > 1e-3


def test_exponential_tail(run: Callable[..., Run]) -> None:
    changes = {"t0_s": (3e-9, 3e-9), "tail_share": 0.2, "tail_s": 0.5e-9, "resolution_s": 5e-12}
    got = run(INSTANT, detector=changes)
    late = (got.dtime + 0.5) * 5e-12 - 3e-9
    assert np.mean(late > 0.1e-9) == pytest.approx(0.2 * np.exp(-0.2), abs=0.002)
    assert late[late > 0.1e-9].mean() == pytest.approx(0.6e-9, rel=0.01)


@pytest.mark.parametrize(("t0_s", "dtime", "shift"), [(-5e-9, 4750, -1), (130e-9, 1500, 1)])
def test_delays_beyond_the_period_belong_to_another_pulse(
    run: Callable[..., Run], t0_s: float, dtime: int, shift: int
) -> None:
    here = run(INSTANT, detector={"t0_s": (0.5e-9, 0.5e-9)})
    away = run(INSTANT, detector={"t0_s": (t0_s, t0_s)})
    assert np.all(np.abs(away.dtime - dtime) <= 1)
    inside = (here.time + shift >= 0) & (here.time + shift < INSTANT.pulses)
    assert np.array_equal(away.time, here.time[inside] + shift)
    assert np.array_equal(away.channel, here.channel[inside])


def test_time_shares_and_exponential_dwells(run: Callable[..., Run]) -> None:
    blinking = Blinking(Dwell(2e-3), Dwell(1e-3), Dwell(0.5e-3), charged_share=0.7)
    got = run(QUIET, blinking=blinking, duration_s=10)
    mean = 2.0 + 0.7 * 1.0 + 0.3 * 0.5
    shares = got.truth.time_shares()
    assert shares["neutral"] == pytest.approx(2.0 / mean, abs=0.02)
    assert shares["charged"] == pytest.approx(0.7 / mean, abs=0.02)
    assert shares["dim"] == pytest.approx(0.15 / mean, abs=0.01)
    at, states = got.truth.switches[0]
    assert at[0] == 0
    assert states[0] == 0
    dwells_s = np.diff(at) * 2e-7
    for state, dwell_s in enumerate((2e-3, 1e-3, 0.5e-3)):
        assert stats.kstest(dwells_s[states[:-1] == state], "expon", (0, dwell_s)).pvalue > 1e-3
    assert np.all((states[1:] == 0) != (states[:-1] == 0))
    assert np.mean(states[states > 0] == 1) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_power_law_dwells(run: Callable[..., Run], alpha: float) -> None:
    dwell = Dwell(alpha=alpha, shortest_s=1e-4, longest_s=0.1)
    got = run(QUIET, blinking=Blinking(dwell, dwell, dwell), duration_s=10)
    dwells_s = np.diff(got.truth.switches[0][0]) * 2e-7
    # t^(1-alpha), or log t for alpha 1, is uniform between its ends.
    change = np.log if alpha == 1 else lambda t: t ** (1 - alpha)
    low, high = sorted((change(1e-4), change(0.1)))
    assert stats.kstest(change(dwells_s), "uniform", (low, high - low)).pvalue > 1e-3
    assert dwells_s.mean() == pytest.approx(dwell.expected_s(), rel=0.15)


def test_brightness_of_the_states(run: Callable[..., Run]) -> None:
    one_exciton = replace(QUIET, emitter=replace(QUIET.emitter, max_excitons=1))
    blinking = Blinking(
        Dwell(0.02), Dwell(0.02), Dwell(0.02), charged_share=0.5, yield_trion=0.5, yield_dim=0.1
    )
    got = run(one_exciton, blinking=blinking, duration_s=4)
    shares = got.truth.time_shares()
    neutral, charged, dim = got.truth.photons.sum(axis=1)[1:4]
    # Leftover excitons keep some neutral pulses from absorbing, which short-lived states do not know.
    refilled = 1 - (1 - 0.0952) * np.exp(-200 / 47.1)
    assert charged / shares["charged"] == pytest.approx(
        0.5 * neutral / shares["neutral"] / refilled, rel=0.03
    )
    assert dim / shares["dim"] == pytest.approx(0.1 * neutral / shares["neutral"] / refilled, rel=0.05)


def test_trion_lifetime(run: Callable[..., Run]) -> None:
    one_exciton = replace(QUIET, emitter=replace(QUIET.emitter, max_excitons=1))
    blinking = Blinking(Dwell(1e-6), Dwell(100.0), Dwell(1.0), charged_share=1.0, tau_trion_s=12e-9)
    got = run(one_exciton, blinking=blinking)
    assert np.mean((got.dtime + 0.5) * 20e-12) == pytest.approx(12e-9, rel=0.01)


def test_drift_dims_the_detected_light(run: Callable[..., Run]) -> None:
    got = run(QUIET, drift=-0.4)
    quarters = np.bincount(got.time // 1250000, minlength=4)[:4]
    assert quarters / quarters[0] == pytest.approx(np.array([0.95, 0.85, 0.75, 0.65]) / 0.95, abs=0.015)
