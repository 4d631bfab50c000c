"""How far beta moves when a part of the model is left out: each part is there because it matters.

Known shifts at beta = 0.257, lifetimes of 46.8 and 3.6 ns and 1 % background, measured by simulating the experiment.
Here expected counts are fitted, so nothing is left to chance.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from photonstream.nodes.inference import search
from photonstream.nodes.inference.beta import beta_from_amplitudes, beta_from_photon_share
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_model import bin_shares
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import FWHM_PER_SIGMA, GaussianIrf
from photonstream.nodes.inference.likelihood import BACKGROUND, LN_TAU_X, LN_TAU_XX, MIX
from photonstream.nodes.inference.means import at
from photonstream.nodes.inference.scoring import maximise

PHOTONS = 1e8
KNOWN = FitOptions(irf=GaussianIrf(0.1e-9), intervals=False)


def counts(decay, t0_s=None):
    """Expected counts of one channel, scaled up and rounded."""
    edges_s = np.minimum(np.arange(decay.bins + 1) * decay.bin_s, decay.period_s)
    q, t0_s = decay.photon_share_xx, decay.t0_s if t0_s is None else t0_s

    def part(tau_s):
        return bin_shares(edges_s, decay.period_s, t0_s, tau_s, sigma_s=decay.fwhm_s / FWHM_PER_SIGMA)

    pulsed = (1.0 - q) * part(decay.tau_x_s) + q * part(decay.tau_xx_s)
    flat = np.diff(edges_s) / decay.period_s
    return np.rint(PHOTONS * ((1.0 - decay.background) * pulsed + decay.background * flat)).astype(np.int64)


def data(decay, **more):
    return DecayData(counts(decay, **more)[None], decay.bin_s, decay.period_s)


def held(data, hold):
    """beta of the best double exponential whose parameters ``hold`` {place: value} are not fitted."""
    likelihood = search.likelihood_of(data, KNOWN, [0])
    single = search.fit_channel(likelihood, KNOWN)
    box = search.box_of(likelihood, KNOWN, single.theta)
    theta, free = single.theta.copy(), box.free.copy()
    for place, value in hold.items():
        theta[place], free[place] = value, False
    box = replace(box, free=free)
    lower = np.minimum(box.lower, theta)
    box = replace(box, lower=lower, upper=np.maximum(box.upper, theta))
    single = maximise(likelihood, theta, box)
    double_box = search.double_box(likelihood, box, single.theta, 0.1e-9)
    double = search.fit_double(likelihood, double_box, single)
    rho = math.exp(double.theta[LN_TAU_XX] - double.theta[LN_TAU_X])
    return beta_from_photon_share(double.theta[MIX], rho, 4.0), double.theta


def test_with_everything_in_nothing_moves(truth):
    for period_ns in (210.5, 200.0, 100.0):
        fit = fit_decay(data(truth(period_s=period_ns * 1e-9)), KNOWN)
        assert fit.beta.value == pytest.approx(0.257, abs=2e-4)


@pytest.mark.parametrize(
    ("period_ns", "shift"), [(210.5, -0.011), (200.0, -0.014), (100.0, -0.12), (50.0, -0.35)]
)
def test_no_wrap_around(truth, period_ns, shift):
    decay = truth(period_s=period_ns * 1e-9, t0_s=0.3e-9)
    # As if the next pulse never came, at a background that is known.
    alone_s = 50e-6
    alone = DecayData(counts(decay)[None], decay.bin_s, alone_s)
    known = decay.background * PHOTONS * alone_s / decay.period_s
    beta, _ = held(alone, {at(0, BACKGROUND): known})
    assert beta / 0.257 - 1 == pytest.approx(shift, rel=0.35)


@pytest.mark.parametrize(("background", "shift"), [(0.01, 0.024), (0.03, 0.073), (0.05, 0.12)])
def test_background_ignored(truth, background, shift):
    beta, _ = held(data(truth(background=background)), {at(0, BACKGROUND): 1e-3})
    assert beta / 0.257 - 1 == pytest.approx(shift, abs=0.004)


def test_background_from_the_bins_before_the_pulse(truth):
    """They hold the tail of the pulse before."""
    decay = truth()
    here = data(decay)
    before = here.counts[0, : round((decay.t0_s - 1e-9) / decay.bin_s)].mean()
    beta, theta = held(here, {at(0, BACKGROUND): before * decay.period_s / decay.bin_s})
    assert beta / 0.257 - 1 == pytest.approx(-0.105, abs=0.015)
    assert math.exp(theta[LN_TAU_X]) == pytest.approx(42.1e-9, abs=0.3e-9)


@pytest.mark.parametrize(("fwhm_ns", "shift"), [(0.35, -0.14), (0.5, -0.22)])
def test_a_response_wider_than_assumed(truth, fwhm_ns, shift):
    fit = fit_decay(data(truth(fwhm_s=fwhm_ns * 1e-9)), KNOWN)
    ratio = fit.amplitude_xx.value / fit.amplitude_x.value
    beta = beta_from_amplitudes(ratio, fit.tau_x_s.value, fit.tau_xx_s.value)
    assert beta / 0.257 - 1 == pytest.approx(shift, abs=0.02)


@pytest.mark.parametrize(("skew_ns", "shift"), [(0.1, -0.028), (0.3, -0.16), (0.5, -0.28)])
def test_two_detectors_merged_that_are_not_at_the_same_time(truth, skew_ns, shift):
    decay = truth()
    merged = (counts(decay) + counts(decay, t0_s=decay.t0_s + skew_ns * 1e-9))[None]
    likelihood = DecayData(merged, decay.bin_s, decay.period_s)
    fit = fit_decay(likelihood, KNOWN)
    ratio = fit.amplitude_xx.value / fit.amplitude_x.value
    beta = beta_from_amplitudes(ratio, fit.tau_x_s.value, fit.tau_xx_s.value)
    assert beta / 0.257 - 1 == pytest.approx(shift, abs=0.02)


def late_beta(decay, late_s):
    """beta from amplitudes at the start of a tail that begins so late after the pulse."""
    fast, slow = decay.tau_xx_s, decay.tau_x_s
    ratio = 0.257 * (3 * slow - 4 * fast) / (slow - fast + 0.257 * fast)
    return beta_from_amplitudes(ratio * math.exp(-late_s * (1 / fast - 1 / slow)), slow, fast)


@pytest.mark.parametrize(("late_ns", "shift"), [(0.1, -0.037), (0.3, -0.086), (1.0, -0.24)])
def test_amplitudes_not_referred_back_to_the_pulse(late_ns, shift, truth):
    assert late_beta(truth(), late_ns * 1e-9) / 0.257 - 1 == pytest.approx(shift, abs=0.015)


@pytest.mark.parametrize(("fwhm_ns", "shift"), [(0.1, -0.047), (0.35, -0.105), (0.5, -0.14)])
def test_t0_put_at_the_highest_bin(fwhm_ns, shift, truth):
    decay = truth(fwhm_s=fwhm_ns * 1e-9)
    peak_s = int(np.argmax(counts(decay))) * decay.bin_s
    assert late_beta(decay, peak_s + 0.5 * decay.bin_s - decay.t0_s) / 0.257 - 1 == pytest.approx(
        shift, abs=0.03
    )


def neyman_beta(data, decay):
    """beta by least squares, each bin weighted by its own counts and empty ones left out."""
    edges_s, n = data.edges_s(), data.counts[0].astype(float)
    weight = np.where(n > 0.0, 1.0 / np.sqrt(np.maximum(n, 1.0)), 0.0)
    sigma_s = decay.fwhm_s / FWHM_PER_SIGMA

    def parts(p):
        return [
            bin_shares(edges_s, decay.period_s, p[4] * 1e-9, tau * 1e-9, sigma_s=sigma_s)
            for tau in (p[1], p[2])
        ]

    def residuals(p):
        slow, fast = parts(p)
        flat = np.diff(edges_s) / decay.period_s
        return (p[0] * ((1.0 - p[3]) * slow + p[3] * fast) + p[5] * flat - n) * weight

    photons, q = float(n.sum()), decay.photon_share_xx
    start = [0.99 * photons, 46.8, 3.6, q, decay.t0_s * 1e9, 0.01 * photons]
    found = least_squares(residuals, start, x_scale=np.abs(start)).x
    return beta_from_photon_share(found[3], found[2] / found[1], 4.0)


def test_least_squares_weighted_by_the_counts_themselves(truth):
    """Bins that by chance hold little weigh most. How much that is depends on how few photons the bins hold."""
    decay = truth(photons=100_000)
    found = []
    for seed in range(24):
        drawn = np.random.default_rng(seed).poisson(decay.expected())
        here = DecayData(drawn[None].astype(np.int64), decay.bin_s, decay.period_s)
        found.append((neyman_beta(here, decay), fit_decay(here, KNOWN).beta.value))
    neyman, likelihood = np.array(found).T
    # On the same histograms, so that most of the chance is taken away.
    moved = neyman - likelihood
    assert moved.mean() == pytest.approx(-0.011, abs=0.006)
    assert moved.mean() < -5.0 * moved.std() / math.sqrt(len(moved))
    # The best possible error at so many photons is .0105.
    assert math.sqrt(((neyman - 0.257) ** 2).mean()) > 1.2 * 0.0105
