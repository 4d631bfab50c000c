"""The exact decay of the cascade against numbers worked out by hand."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from photonstream.nodes.inference.cascade import (
    Cascade,
    biexciton_share,
    exciton_distribution,
    expected_decay,
    radiative_rates_hz,
    stationary_occupation,
    total_rates_hz,
)

NC = Cascade(46.8e-9, 3.6e-9)
TWO_LEVELS = Cascade(46.8e-9, 3.6e-9, max_excitons=2)


def apparent_beta(ratio: float, tau_x: float, tau_xx: float, s: float) -> float:
    return ratio * (tau_x - tau_xx) / (s * (tau_x - tau_xx) - tau_x - ratio * tau_xx)


def test_rates_follow_the_square_for_s_4() -> None:
    assert radiative_rates_hz(NC)[1:5] * 46.8e-9 == pytest.approx([1, 4, 9, 16])
    auger = 1 / 3.6e-9 - 4 / 46.8e-9
    assert total_rates_hz(NC)[:4] == pytest.approx([0, 1 / 46.8e-9, 1 / 3.6e-9, 9 / 46.8e-9 + 4.5 * auger])


def test_the_neutral_exciton_keeps_its_lifetime_whatever_its_yield() -> None:
    dim = Cascade(40e-9, 4e-9, quantum_yield_x=0.5)
    assert total_rates_hz(dim)[1] == pytest.approx(1 / 40e-9)
    assert radiative_rates_hz(dim)[1] == pytest.approx(0.5 / 40e-9)


@pytest.mark.parametrize(("mean_n", "share"), [(0.05, 0.025), (0.1, 0.049), (0.5, 0.229)])
def test_share_of_biexcitons_by_absorbing_twice(mean_n: float, share: float) -> None:
    assert biexciton_share(mean_n, 0.0) == pytest.approx(share, abs=6e-4)


@pytest.mark.parametrize("eta", [0.0, 0.257, 1.0])
def test_distribution_of_new_excitons(eta: float) -> None:
    pmf = exciton_distribution(0.1, eta, 12)
    assert pmf.sum() == pytest.approx(1, abs=1e-15)
    assert pmf[0] == pytest.approx(np.exp(-0.1))
    assert pmf @ np.arange(13) == pytest.approx(0.1 * (1 + eta), rel=1e-9)
    assert pmf[2:].sum() / pmf[1:].sum() == pytest.approx(biexciton_share(0.1, eta))


def test_what_does_not_fit_is_in_the_highest_level() -> None:
    assert exciton_distribution(2.0, 0.3, 2) == pytest.approx(
        [np.exp(-2), 2 * np.exp(-2) * 0.7, 1 - np.exp(-2) * 2.4]
    )


@pytest.mark.parametrize(("s", "eta"), [(4.0, 0.257), (4.0, 0.0), (3.0, 0.5)])
def test_two_levels_obey_the_formula_of_beta(s: float, eta: float) -> None:
    emitter = Cascade(46.8e-9, 3.6e-9, radiative_ratio=s, max_excitons=2)
    rates, amplitudes = expected_decay(emitter, 0.1, eta)
    assert rates == pytest.approx([1 / 46.8e-9, 1 / 3.6e-9])
    beta = apparent_beta(amplitudes[1] / amplitudes[0], 46.8, 3.6, s)
    assert beta == pytest.approx(biexciton_share(0.1, eta), rel=1e-9)


def test_the_full_cascade_reads_higher() -> None:
    _, two = expected_decay(TWO_LEVELS, 0.1, 0.257)
    _, full = expected_decay(NC, 0.1, 0.257)
    assert full[1:].sum() / full[0] > two[1] / two[0] * 1.03


def test_decay_equals_the_integrated_rate_equations() -> None:
    totals, radiative = total_rates_hz(NC), radiative_rates_hz(NC)
    start = exciton_distribution(1.0, 0.3, NC.max_excitons)
    times = np.linspace(0, 100e-9, 21)

    def change(_: float, p: np.ndarray) -> np.ndarray:
        loss = totals * p
        return np.append(loss[1:], 0.0) - loss

    solution = solve_ivp(change, (0, times[-1]), start, "LSODA", times, rtol=1e-9, atol=1e-14)
    rates, amplitudes = expected_decay(NC, 1.0, 0.3)
    assert np.exp(-np.outer(times, rates)) @ amplitudes == pytest.approx(radiative @ solution.y, rel=1e-6)


def test_a_train_of_far_pulses_is_a_single_pulse() -> None:
    _, single = expected_decay(NC, 0.1, 0.257)
    _, train = expected_decay(NC, 0.1, 0.257, period_s=2e-6)
    assert train == pytest.approx(single, rel=1e-9, abs=1e-12 * single[0])


def test_leftover_of_a_single_level() -> None:
    # One level, filled with probability p each period and surviving it with q: f = p + (1 - p) q f.
    emitter = Cascade(50e-9, 5e-9, max_excitons=1)
    p, q = 1 - np.exp(-0.5), np.exp(-1)
    occupation = stationary_occupation(emitter, exciton_distribution(0.5, 0.0, 1), 50e-9)
    assert occupation[1] == pytest.approx(p / (1 - (1 - p) * q))


def test_every_exciton_leaves_once_per_period() -> None:
    # With Q = 1 and no Auger loss every absorbed photon is emitted, whatever is left over.
    emitter = Cascade(40e-9, 10e-9, max_excitons=24)
    rates, amplitudes = expected_decay(emitter, 0.5, 0.0, period_s=30e-9)
    assert np.sum(amplitudes / rates) == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize(
    "emitter",
    [
        Cascade(46.8e-9, 20e-9),
        Cascade(-1.0, 3e-9),
        Cascade(46e-9, 3e-9, quantum_yield_x=1.2),
        Cascade(46e-9, 3e-9, max_excitons=0),
        Cascade(46e-9, 3e-9, radiative_ratio=0.5),
        Cascade(10e-9, 10e-9, radiative_ratio=1.0),
    ],
)
def test_impossible_emitters_are_refused(emitter: Cascade) -> None:
    assert emitter.problem()
    with pytest.raises(ValueError, match=r"tau|lifetimes|must"):
        expected_decay(emitter, 0.1, 0.2)
