"""The rate model's formulas against the paper's figures, their domains, and the correction for <N>."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.inference.beta import (
    amplitude_ratio,
    apparent_beta,
    beta_from_amplitudes,
    beta_from_photon_share,
    domain_reason,
    eta_estimate,
    eta_from_beta,
    poisson_factor,
    poisson_factor_slope,
)
from photonstream.nodes.inference.estimate import Estimate

NS = 1e-9


def ratio_of(share: float) -> float:
    return share / (1.0 - share)


def test_the_papers_printed_numbers_give_27_0_percent():
    assert beta_from_amplitudes(ratio_of(0.435), 46.8 * NS, 3.6 * NS) == pytest.approx(0.270, abs=5e-4)


def test_rounding_of_the_printed_numbers_allows_26_9_to_27_1():
    values = [
        beta_from_amplitudes(ratio_of(f), tau_x * NS, tau_xx * NS)
        for f in (0.4345, 0.4355)
        for tau_x in (46.75, 46.85)
        for tau_xx in (3.55, 3.65)
    ]
    assert (min(values), max(values)) == (pytest.approx(0.269, abs=6e-4), pytest.approx(0.271, abs=6e-4))


@pytest.mark.parametrize(("s", "beta"), [(3.0, 0.416), (3.5, 0.327), (4.0, 0.270), (4.5, 0.230)])
def test_beta_depends_steeply_on_s(s, beta):
    assert beta_from_amplitudes(ratio_of(0.435), 46.8 * NS, 3.6 * NS, s) == pytest.approx(beta, abs=6e-4)


def test_the_papers_own_form_for_s_4():
    a_xx, a_x, x, xx = 0.3, 0.7, 46.8 * NS, 3.6 * NS
    wanted = a_xx * (x - xx) / (a_x * (3 * x - 4 * xx) - a_xx * xx)
    assert beta_from_amplitudes(a_xx / a_x, x, xx) == pytest.approx(wanted, rel=1e-12)


@given(beta=st.floats(-0.3, 1.0), fast=st.floats(0.005, 0.7), s=st.floats(3.4, 6.0))
def test_amplitudes_and_beta_are_inverse(beta, fast, s):
    ratio = amplitude_ratio(beta, 1.0, fast, s)
    assert beta_from_amplitudes(ratio, 1.0, fast, s) == pytest.approx(beta, abs=1e-9)
    share = ratio * fast / (1.0 + ratio * fast)
    assert beta_from_photon_share(share, fast, s) == pytest.approx(beta, abs=1e-9)


def test_full_multiplication_reaches_the_largest_ratio():
    assert amplitude_ratio(1.0, 46.8, 3.6) == pytest.approx(4.0 - 1.0 - 4.0 * 3.6 / 46.8)


def test_lifetimes_too_close_are_refused():
    with pytest.raises(ValueError, match="not above"):
        beta_from_amplitudes(0.1, 40.0, 30.0)
    with pytest.raises(ValueError, match="beyond any beta"):
        beta_from_amplitudes(80.0, 46.8, 3.6)


@pytest.mark.parametrize(
    ("ratio", "tau_x_ns", "tau_xx_ns", "quantum_yield", "words"),
    [
        (0.5, 46.8, 3.6, 1.0, ""),
        (2.6, 46.8, 3.6, 1.0, ""),
        (2.7, 46.8, 3.6, 1.0, "s - 1 - s tau_xx/tau_x = 2.69"),
        (0.5, 47.0, 19.9, 1.0, "tau_x/(s Q_x) = 11.8 ns (by 8.1 ns, 4.1 standard errors)"),
        (0.5, 47.0, 19.9, 0.5, ""),
        (0.5, 47.0, 40.0, 1.0, "(s - 1)/s tau_x = 35.3 ns (by 4.7 ns)"),
    ],
)
def test_domain(ratio, tau_x_ns, tau_xx_ns, quantum_yield, words):
    tau_x, tau_xx = Estimate(tau_x_ns * NS), Estimate(tau_xx_ns * NS, 2.0 * NS)
    reason = domain_reason(ratio, tau_x, tau_xx, 4.0, quantum_yield)
    assert words in reason
    assert bool(reason) == bool(words)


@pytest.mark.parametrize(("mean_n", "wanted"), [(0.05, 0.025), (0.1, 0.049), (0.5, 0.229)])
def test_poisson_absorption_alone_makes_biexcitons(mean_n, wanted):
    assert apparent_beta(0.0, mean_n) == pytest.approx(wanted, abs=5e-4)


def test_apparent_beta_of_the_355_nm_preset():
    assert apparent_beta(0.257, 0.1) == pytest.approx(1 - 0.743 * 0.1 / math.expm1(0.1))
    assert apparent_beta(0.257, 0.1) == pytest.approx(0.2935, abs=5e-4)


@given(eta=st.floats(-0.2, 1.0), mean_n=st.floats(1e-3, 3.0))
def test_eta_and_apparent_beta_are_inverse(eta, mean_n):
    assert eta_from_beta(apparent_beta(eta, mean_n), mean_n) == pytest.approx(eta, abs=1e-10)


def test_eta_carries_both_errors():
    beta = Estimate(0.27, 0.0105, (0.2595, 0.2806), (0.25, None))
    eta, model, reason = eta_estimate(beta, 0.1, 0.3, 210.5 * NS, 46.8 * NS)
    assert eta is not None
    assert reason == ""
    assert "two levels" in model
    assert eta.value == pytest.approx(1 - 0.73 * math.expm1(0.1) / 0.1)
    # The same by moving each input by one standard error.
    moved_beta = eta_from_beta(0.27 + 0.0105, 0.1) - eta.value
    moved_n = (eta_from_beta(0.27, 0.13) - eta_from_beta(0.27, 0.07)) / 2.0
    assert eta.stderr == pytest.approx(math.hypot(moved_beta, moved_n), rel=2e-3)
    assert eta.ci68 is not None
    assert eta.ci95 is not None
    assert eta.ci68[0] < eta.value < eta.ci68[1]
    assert eta.ci95[1] is None
    assert eta.value - eta.ci95[0] > 1.9 * (eta.value - eta.ci68[0])


def test_eta_needs_four_lifetimes_between_pulses():
    eta, _, reason = eta_estimate(Estimate(0.27, 0.01), 0.1, 0.3, 180 * NS, 46.8 * NS)
    assert eta is None
    assert "180 ns is shorter than 4 tau_x = 187.2 ns" in reason


@given(mean_n=st.floats(1e-300, 5.0))
def test_the_slope_of_the_poisson_factor_is_its_derivative(mean_n):
    # (e^N - 1)/N is the mean of e^(uN) over u from 0 to 1, and its slope that of u e^(uN).
    u, weight = np.polynomial.legendre.leggauss(30)
    u = 0.5 * (u + 1.0)
    assert poisson_factor(mean_n) == pytest.approx(0.5 * weight @ np.exp(u * mean_n), rel=1e-12)
    assert poisson_factor_slope(mean_n) == pytest.approx(0.5 * weight @ (u * np.exp(u * mean_n)), rel=1e-9)


def test_eta_of_many_photons_per_pulse_is_not_given():
    eta, _, reason = eta_estimate(Estimate(0.27, 0.01), 1.5, 0.3, 210.5 * NS, 46.8 * NS)
    assert eta is None
    assert "<N> = 1.5 is above 1" in reason


def test_eta_that_is_no_probability_is_not_given():
    eta, _, reason = eta_estimate(Estimate(0.03, 0.01), 0.9, 0.05, 210.5 * NS, 46.8 * NS)
    assert eta is None
    assert "an apparent beta of 0.383, the decay shows 0.03" in reason
    # With an error that reaches back into the range it is only uncertain.
    eta, _, _ = eta_estimate(Estimate(0.03, 0.01), 0.9, 0.9, 210.5 * NS, 46.8 * NS)
    assert eta is not None


def test_the_interval_of_eta_ends_at_1():
    beta = Estimate(0.9, 0.05, (0.85, 0.95), (0.8, 1.0))
    eta, _, _ = eta_estimate(beta, 0.5, 0.9, 210.5 * NS, 46.8 * NS)
    assert eta is not None
    assert eta.ci95 is not None
    assert eta.ci95[1] == 1.0
