"""The likelihood's gradient and information, and that the scoring never gets lost."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from photonstream.nodes.inference.likelihood import evaluate, photon_share

PERIOD_S = 13.17e-9
EDGES_S = np.minimum(np.arange(84) * 0.16e-9, PERIOD_S)
IRF = np.array([[0.1, 0.5, 0.25, 0.1, 0.05], [0.3, 0.4, 0.2, 0.1, 0.0]])
NO_IRF = np.zeros((2, 0))


IDEAL = (np.ones((2, EDGES_S.size - 1)), np.zeros((2, EDGES_S.size - 1)))
# Some photons are lost, some bins have counts of other origin.
FLAWED = (np.linspace([1.0, 0.5], [0.6, 0.9], EDGES_S.size - 1).T.copy(), np.full_like(IDEAL[1], 7.0))


def value_at(theta, counts, as_beta, irf, detectors=IDEAL):
    gradient, information = np.zeros(theta.size), np.zeros((theta.size, theta.size))
    channels = counts.shape[0]
    half = evaluate(
        theta,
        as_beta,
        False,
        counts,
        detectors[0][:channels],
        detectors[1][:channels],
        EDGES_S,
        PERIOD_S,
        irf,
        0.1e-9,
        4.0,
        gradient,
        information,
    )
    return half, gradient, information


@pytest.mark.parametrize("as_beta", [False, True])
@pytest.mark.parametrize("irf", [NO_IRF, IRF])
@pytest.mark.parametrize("detectors", [IDEAL, FLAWED])
def test_gradient_equals_finite_differences(as_beta, irf, detectors):
    channel = [5e4, 2.03e-9, math.log(0.2e-9), 900.0, 3e4, 12.9e-9, math.log(0.3e-9), 400.0]
    theta = np.array([math.log(3.5e-9), math.log(0.6e-9), 0.15, *channel])
    counts = np.random.default_rng(2).poisson(300.0, (2, EDGES_S.size - 1)).astype(np.float64)
    _, exact, _ = value_at(theta, counts, as_beta, irf, detectors)
    for i in range(theta.size):
        step = 1e-5 * max(abs(theta[i]), 1e-3) if i not in (4, 8) else 1e-14
        high, low = theta.copy(), theta.copy()
        high[i] += step
        low[i] -= step
        above = value_at(high, counts, as_beta, irf, detectors)[0]
        numeric = (above - value_at(low, counts, as_beta, irf, detectors)[0]) / (2.0 * step)
        assert exact[i] == pytest.approx(numeric, rel=2e-4, abs=1e-3)


def test_information_is_the_variance_of_the_gradient():
    theta = np.array([math.log(3.5e-9), math.log(0.6e-9), 0.15, 5e4, 2.03e-9, math.log(0.2e-9), 900.0])
    flat = np.ones((1, EDGES_S.size - 1))
    # The mean itself, from the gradient of the photon-number slots: mu = n share + B width/T is linear in both.
    means = np.zeros_like(flat)
    for b in range(means.size):
        probe = np.zeros_like(flat)
        probe[0, b] = 1.0
        zero = value_at(theta, np.zeros_like(flat), False, NO_IRF[:1])[1]
        one = value_at(theta, probe, False, NO_IRF[:1])[1]
        # gradient = sum(dmu) - dmu_b/mu_b for a single count in b; B slot: dmu_b = width/T.
        width = EDGES_S[b + 1] - EDGES_S[b]
        means[0, b] = width / PERIOD_S / (zero[6] - one[6])
    rng = np.random.default_rng(4)
    drawn = np.array(
        [value_at(theta, rng.poisson(means).astype(float), False, NO_IRF[:1])[1] for _ in range(3000)]
    )
    information = value_at(theta, means, False, NO_IRF[:1])[2]
    scale = np.sqrt(np.diag(information))
    seen = np.cov(drawn.T) / np.outer(scale, scale)
    np.testing.assert_allclose(seen, information / np.outer(scale, scale), atol=0.12)


@given(beta=st.floats(-0.3, 1.0), rho=st.floats(0.01, 0.7), s=st.floats(3.5, 6.0))
def test_photon_share_of_beta_follows_from_the_populations(beta, rho, s):
    a_x = 1.0 + beta * rho / (1.0 - rho)
    a_xx = beta * (s - 1.0 / (1.0 - rho))
    # Where the decay holds hardly a photon, shares of them have no digits.
    assume(a_x + a_xx * rho > 0.1)
    q, by_beta, by_rho = photon_share(beta, rho, s, True)
    assert q == pytest.approx(a_xx * rho / (a_x + a_xx * rho), abs=1e-12)
    step = 1e-6
    assert by_beta == pytest.approx(
        (photon_share(beta + step, rho, s, True)[0] - photon_share(beta - step, rho, s, True)[0])
        / (2 * step),
        rel=1e-6,
        abs=1e-5,
    )
    assert by_rho == pytest.approx(
        (photon_share(beta, rho + step, s, True)[0] - photon_share(beta, rho - step, s, True)[0])
        / (2 * step),
        rel=1e-6,
        abs=1e-5,
    )


def test_lost_photons_and_extra_counts_are_part_of_the_mean():
    theta = np.array([math.log(3.5e-9), math.log(0.6e-9), 0.15, 5e4, 2.03e-9, math.log(0.2e-9), 900.0])
    # Without counts half the deviance is the sum of the means.
    nothing = np.zeros((1, EDGES_S.size - 1))
    ideal = value_at(theta, nothing, False, NO_IRF[:1])[0]
    assert ideal == pytest.approx(50_900.0)
    half = (np.full_like(nothing, 0.5), np.full_like(nothing, 3.0))
    assert value_at(theta, nothing, False, NO_IRF[:1], half)[0] == pytest.approx(
        25_450.0 + 3.0 * nothing.size
    )
    _, gradient, information = value_at(theta, nothing, False, NO_IRF[:1], half)
    assert gradient[6] == pytest.approx(0.5)
    assert information[6, 6] < 0.5 * value_at(theta, nothing, False, NO_IRF[:1])[2][6, 6]


def test_a_mean_that_is_not_positive_is_infinitely_unlikely():
    theta = np.array([math.log(3.5e-9), math.log(0.3e-9), -0.9, 5e4, 2e-9, math.log(0.05e-9), 1e-3])
    counts = np.ones((1, EDGES_S.size - 1))
    assert value_at(theta, counts, False, NO_IRF[:1])[0] == math.inf
