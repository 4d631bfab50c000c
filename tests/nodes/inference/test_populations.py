"""Populations as published: what was put in as efficiency per absorbed photon comes out, by the same cascade."""

import math

import numpy as np
import pytest

from photonstream.nodes.inference.cascade import Cascade, expected_decay
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_model import bin_shares
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import FWHM_PER_SIGMA, GaussianIrf

BIN_S, MEAN_N = 80e-12, 0.1
OPTIONS = FitOptions(irf=GaussianIrf(0.1e-9), mean_n=MEAN_N, mean_n_relative_error=0.0, mono_bi_threshold=0.0)


def expected(eta, tau_x_s, tau_xx_s, period_s):
    """Share of the photons in each bin: every number of excitons that a pulse can leave, 1 % background."""
    rates, amplitudes = expected_decay(Cascade(tau_x_s, tau_xx_s), MEAN_N, eta, period_s)
    bins = math.ceil(period_s / BIN_S)
    edges_s = np.minimum(np.arange(bins + 1) * BIN_S, period_s)
    photons = amplitudes / rates
    shares = sum(
        part * bin_shares(edges_s, period_s, 3e-9, 1.0 / rate, sigma_s=0.1e-9 / FWHM_PER_SIGMA)
        for part, rate in zip(photons / photons.sum(), rates, strict=True)
        if part > 1e-9
    )
    return 0.99 * shares + 0.01 * np.diff(edges_s) / period_s


@pytest.mark.parametrize(
    ("eta", "particles", "tau_x_ns", "tau_xx_ns", "rate_hz"),
    [
        (0.257, 52, 46.8, 3.6, 4.75e6),
        (0.181, 37, 46.6, 3.7, 4.75e6),
        (0.0, 12, 46.2, 3.9, 4.75e6),
        (0.0, 12, 47.1, 3.6, 5e6),
    ],
    ids=["355 nm", "366 nm", "385 nm", "640 nm"],
)
def test_the_efficiency_of_a_population_returns(eta, particles, tau_x_ns, tau_xx_ns, rate_hz):
    period_s = 1.0 / rate_hz
    shares = expected(eta, tau_x_ns * 1e-9, tau_xx_ns * 1e-9, period_s)
    rng = np.random.default_rng(355)
    found = []
    for _ in range(particles):
        data = DecayData(rng.poisson(1e5 * shares)[None], BIN_S, period_s)
        fit = fit_decay(data, OPTIONS)
        assert fit.eta is not None, fit.eta_reason
        found.append(fit.eta_models["n^2 cascade"])
    error = np.std(found, ddof=1) / math.sqrt(particles)
    assert error < 0.01
    assert abs(np.mean(found) - eta) < 3.0 * error
