"""A response with an exponential tail: its closed form, its gradient, and what the fit makes of it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.inference.decay_data import DecayData, FitOptions, check_irf_width
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import GaussianIrf
from photonstream.nodes.inference.joint import Joint
from photonstream.nodes.inference.likelihood import evaluate
from photonstream.nodes.inference.refit import refit_of
from photonstream.nodes.inference.systematics import systematics
from photonstream.nodes.inference.tail import FittedTail, TailedIrf, tailed_cumulative

NS = 1e-9
PERIOD_S, BINS, FINE = 210.56 * NS, 2632, 40
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
TAIL_S = 0.3 * NS


def expected(decay, t0_s=20.03 * NS):
    """Expected counts from the Fourier series of the periodic decay, each factor of it known in closed form."""
    fine_s = PERIOD_S / (BINS * FINE)
    omega = 2.0 * np.pi * np.fft.rfftfreq(BINS * FINE, fine_s)
    q = decay.photon_share_xx
    emitted = (1.0 - q) / (1.0 + 1j * omega * decay.tau_x_s) + q / (1.0 + 1j * omega * decay.tau_xx_s)
    late = (1.0 - decay.tail_share) + decay.tail_share / (1.0 + 1j * omega * decay.tail_s)
    width = np.exp(-0.5 * (omega * decay.fwhm_s / FWHM_PER_SIGMA) ** 2 - 1j * omega * t0_s)
    # Integrated over fine bins, of which 40 make one.
    within = np.sinc(0.5 * omega * fine_s / np.pi) * np.exp(0.5j * omega * fine_s)
    seen = np.fft.irfft(emitted * late * width * within, BINS * FINE).reshape(BINS, FINE).sum(axis=1)
    return decay.photons * ((1.0 - decay.background) * seen + decay.background / BINS)


def data_of(*counts):
    return DecayData(np.rint(np.array(counts)).astype(np.int64), PERIOD_S / BINS, PERIOD_S)


@pytest.mark.parametrize("tau_ns", [46.8, 3.6, 0.3, 0.1])
def test_the_closed_form_is_the_convolution(truth, tau_ns):
    decay = truth(
        photons=1, share_xx=0.0, tau_x_s=tau_ns * NS, tail_share=0.3, background=0.0, fwhm_s=0.25 * NS
    )
    edges_s = np.linspace(0.0, PERIOD_S, BINS + 1)
    ours = tailed_cumulative(
        edges_s, PERIOD_S, 20.03 * NS, tau_ns * NS, 0.25 * NS / FWHM_PER_SIGMA, 0.3, TAIL_S
    )
    np.testing.assert_allclose(np.diff(ours[0]), expected(decay), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("ratio", [12.0, 0.4, 1.003, 1.0 + 1e-5, 1.0])
def test_derivatives_equal_finite_differences(ratio):
    edges_s = np.minimum(np.arange(120) * 0.111 * NS, 13.17 * NS)

    def cumulative(place):
        t0_s, tau_s, sigma_s, share, tail_s = place
        return tailed_cumulative(edges_s, 13.17 * NS, t0_s, tau_s, sigma_s, share, tail_s)

    place = [2.0331 * NS, 0.3 * NS * ratio, 0.11 * NS, 0.2, TAIL_S]
    exact = cumulative(place)
    for which, sign in enumerate((-1.0, 1.0, 1.0, 1.0, 1.0)):
        # Wide enough to leave the band in which the two times are moved apart.
        step = (1e-3 if which in (1, 4) else 1e-5) * place[which]
        high, low = place.copy(), place.copy()
        high[which] += step
        low[which] -= step
        numeric = sign * (cumulative(high)[0] - cumulative(low)[0]) / (2.0 * step)
        tolerance = 2e-5 * np.abs(numeric).max()
        np.testing.assert_allclose(exact[which + 1], numeric, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("as_beta", [False, True])
def test_the_gradient_of_the_likelihood(as_beta):
    edges_s = np.minimum(np.arange(84) * 0.16 * NS, 13.17 * NS)
    channels = [5e4, 2.03 * NS, math.log(0.2 * NS), 900.0, 3e4, 12.9 * NS, math.log(0.3 * NS), 400.0]
    theta = np.array([math.log(3.5 * NS), math.log(0.9 * NS), 0.15, *channels, 0.2, math.log(TAIL_S)])
    counts = np.random.default_rng(2).poisson(300.0, (2, 83)).astype(np.float64)
    gradient, information = np.zeros(theta.size), np.zeros((theta.size, theta.size))

    def half_deviance(at):
        return evaluate(
            at, as_beta, False, counts, np.ones_like(counts), np.zeros_like(counts), edges_s, 13.17 * NS,
            np.zeros((2, 0)), 0.0, 4.0, gradient, information,
        )  # fmt: skip

    half_deviance(theta)
    exact, curvature = gradient.copy(), information.copy()
    assert np.array_equal(curvature, curvature.T)
    assert (
        np.linalg.eigvalsh(curvature / np.sqrt(np.outer(curvature.diagonal(), curvature.diagonal()))).min()
        > 0
    )
    for i in range(theta.size):
        step = 1e-5 * max(abs(theta[i]), 1e-3) if i not in (4, 8) else 1e-14
        high, low = theta.copy(), theta.copy()
        high[i] += step
        low[i] -= step
        numeric = (half_deviance(high) - half_deviance(low)) / (2.0 * step)
        assert exact[i] == pytest.approx(numeric, rel=2e-4, abs=1e-3)


@pytest.mark.parametrize(("share", "shift"), [(0.05, -0.005), (0.10, -0.010), (0.20, -0.019), (0.30, -0.028)])
def test_what_a_gaussian_misses_the_tail_restores(truth, share, shift):
    data = data_of(expected(truth(photons=10**8, tail_share=share)))
    plain = fit_decay(data, FitOptions(irf=GaussianIrf(0.1 * NS), intervals=False))
    assert plain.beta.value - 0.257 == pytest.approx(shift, abs=0.001)
    assert plain.irf_tail_share is None
    given = fit_decay(data, FitOptions(irf=TailedIrf(0.1 * NS, share, TAIL_S), intervals=False))
    assert given.beta.value == pytest.approx(0.257, abs=1e-4)
    assert given.irf_tail_share.value == share
    assert given.irf_tail_share.stderr is None
    assert given.reason == ""
    np.testing.assert_allclose(given.curves.total, data.counts, rtol=1e-4, atol=1.0)
    fitted = fit_decay(data, FitOptions(irf=FittedTail(), intervals=False))
    assert fitted.beta.value == pytest.approx(0.257, abs=1e-4)
    assert fitted.irf_fwhm_s.value == pytest.approx(0.1 * NS, rel=1e-3)
    assert fitted.irf_tail_share.value == pytest.approx(share, abs=1e-3)
    assert fitted.irf_tail_s.value == pytest.approx(TAIL_S, rel=1e-2)
    # Not knowing the response costs half as much again in the error of beta.
    assert 1.3 < fitted.beta.stderr / given.beta.stderr < 1.7


def test_intervals_of_a_fitted_tail_cover(truth):
    decay = truth(photons=300_000, tail_share=0.1)
    inside68 = inside95 = 0
    pulls = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        fit = fit_decay(data_of(decay.draw(rng)), FitOptions(irf=FittedTail()))
        pulls.append((fit.beta.value - 0.257) / fit.beta.stderr)
        inside68 += fit.beta.ci68[0] < 0.257 < fit.beta.ci68[1]
        inside95 += fit.beta.ci95[0] < 0.257 < fit.beta.ci95[1]
    assert 9 <= inside68 <= 22
    assert inside95 >= 20
    # Where a tail is hardly determined its bounds show: up by half a standard error at most.
    assert abs(np.mean(pulls)) < 0.5


def test_two_detectors_share_the_tail_and_a_live_fit_finds_the_same(truth):
    decay = truth(photons=200_000, tail_share=0.2)
    rng = np.random.default_rng(5)
    narrow = replace(decay, t0_s=20.3 * NS)
    wide = replace(decay, t0_s=20.6 * NS, fwhm_s=0.3 * NS)
    data = data_of(narrow.draw(rng), wide.draw(rng))
    options = FitOptions(irf=FittedTail(), intervals=False)
    whole = fit_decay(data, options)
    assert [c.irf_fwhm_s.value / NS for c in whole.channels] == pytest.approx([0.1, 0.3], abs=0.03)
    assert abs(whole.irf_tail_share.value - 0.2) < 3.5 * whole.irf_tail_share.stderr
    assert abs(whole.irf_tail_s.value - TAIL_S) < 3.5 * whole.irf_tail_s.stderr
    assert len(whole.parameters) == whole.covariance.shape[0] == 13
    assert whole.parameters[-2:] == ("irf_tail_share", "ln_irf_tail_s")
    same = data_of(narrow.draw(rng), narrow.draw(rng))
    for irf, both in ((FittedTail(), data), (TailedIrf(0.1 * NS, 0.2, TAIL_S), same)):
        options = FitOptions(irf=irf, intervals=False)
        whole = fit_decay(both, options)
        live = fit_decay(both, options, cold=False, start=whole.start)
        assert live.beta.stderr == pytest.approx(whole.beta.stderr, rel=0.01)
        assert abs(live.beta.value - whole.beta.value) < 0.15 * whole.beta.stderr


def test_without_a_tail_none_is_found(truth):
    found = [
        fit_decay(
            data_of(truth(photons=300_000).draw(np.random.default_rng(seed))), FitOptions(irf=FittedTail())
        )
        for seed in (3, 5, 9)
    ]
    for fit in found:
        assert fit.irf_tail_share.value < 3.0 * (fit.irf_tail_share.stderr or 1e-9)
        assert (fit.irf_tail_s is None) == (fit.irf_tail_share.value == 0.0)
        assert fit.beta.ci95[0] < 0.257 < fit.beta.ci95[1]
    assert {fit.irf_tail_s is None for fit in found} == {True, False}


def test_systematics_move_the_width_and_the_tail(truth):
    data = data_of(expected(truth(photons=10**7, tail_share=0.2)))
    given = FitOptions(irf=TailedIrf(0.1 * NS, 0.2, TAIL_S), intervals=False)
    betas = [
        fit_decay(data, replace(given, irf=TailedIrf(0.1 * NS, share, TAIL_S))).beta.value
        for share in (0.18, 0.22)
    ]
    parts = {p.source: p for p in systematics(data, given, fit_decay(data, given), "not asked")}
    tail = parts["tail of the instrument response"]
    assert tail.sigma == pytest.approx(abs(betas[1] - betas[0]) / 2.0, rel=0.01)
    free = FitOptions(irf=FittedTail(), intervals=False)
    fit = fit_decay(data, free)
    parts = {p.source: p for p in systematics(data, free, fit, "not asked")}
    assert 0.0 < parts["tail of the instrument response"].sigma < fit.beta.stderr
    assert 0.0 < parts["width of the instrument response"].sigma < fit.beta.stderr


def test_calibration_runs_may_have_tails(truth):
    options = FitOptions(irf=FittedTail(), intervals=False)
    control, sample = (
        data_of(expected(truth(photons=10**7, tail_share=0.1, beta=beta))) for beta in (0.229, 0.257)
    )
    run = refit_of(control, options, fit_decay(control, options))
    other = refit_of(sample, options, fit_decay(sample, options))
    joint = Joint((run, run), (0, 1), (0.5, 0.3), (0.2, None), other)
    phi = joint.start(3.5, [1.1, 0.9])
    _, gradient, information = joint.evaluate(phi)
    scale = 1.0 / np.sqrt(information.diagonal() + 1e-300)
    for k in np.flatnonzero(information.diagonal() > 0.0):
        step = np.zeros_like(phi)
        step[k] = 1e-2 * scale[k]
        slope = (joint.evaluate(phi + step)[0] - joint.evaluate(phi - step)[0]) / (2.0 * step[k])
        assert slope * scale[k] == pytest.approx(gradient[k] * scale[k], abs=1e-2, rel=1e-3)


@pytest.mark.parametrize(
    "figures", [(0.1 * NS, 0.0, NS), (0.1 * NS, 0.95, NS), (0.1 * NS, 0.1, 0.0), (0.0, 0.1, NS)]
)
def test_figures_that_cannot_be_are_refused(figures):
    with pytest.raises(ValueError, match="IRF"):
        TailedIrf(*figures)


def test_a_tail_too_slow_for_the_period_is_refused():
    with pytest.raises(ValueError, match="too slow for a pulse period"):
        check_irf_width(TailedIrf(0.1 * NS, 0.1, 20.0 * NS), PERIOD_S)


def test_a_tail_that_is_not_there_is_said_not_to_be(truth):
    options = FitOptions(irf=FittedTail(), intervals=False)
    decays = [truth(photons=30_000).draw(np.random.default_rng(seed)) for seed in range(6)]
    found = [fit_decay(data_of(decay), options) for decay in decays]
    without = [fit for fit in found if fit.irf_tail_share.value == 0.0]
    assert 0 < len(without) < len(found)
    for fit in found:
        assert ("no tail of the instrument response is found" in fit.reason) == (fit in without)
        assert (fit.irf_tail_s is None) == (fit in without)


@pytest.mark.parametrize(
    "late", [{"share_xx": 0.06}, {"share_xx": 0.08, "tail_share": 0.25, "tail_s": 0.45 * NS}]
)
def test_a_fast_component_as_fast_as_a_fitted_tail_is_not_told_from_it(truth, late):
    # As in recordings of single molecules: 2.8 ns, with a second exponential in the range of a diode's tail.
    decay = truth(
        photons=47_000, tau_x_s=2.84 * NS, tau_xx_s=0.45 * NS, background=0.045, t0_s=1.54 * NS,
        fwhm_s=0.38 * NS, period_s=13.17 * NS, bin_s=4e-12, **late,
    )  # fmt: skip
    two = []
    for seed in range(5):
        counts = decay.draw(np.random.default_rng(seed))
        fit = fit_decay(DecayData(counts[None], decay.bin_s, decay.period_s), FitOptions(irf=FittedTail()))
        two += [fit] if fit.model == "bi" else []
    assert len(two) >= 2
    for fit in two:
        assert fit.verdict == "fast component or tail"
        assert (fit.beta, fit.tau_xx_s, fit.amplitude_xx, fit.photon_share_xx) == (None,) * 4
        assert (fit.irf_tail_share, fit.irf_tail_s) == (None, None)
        assert "cannot be told from the fitted tail" in fit.irf_tail_reason
        assert fit.irf_tail_reason in fit.beta_reason
        assert fit.irf_tail_reason in fit.reason
        # With both of them nothing bounds tau_x.
        assert 0.9 * fit.tau_x_s.ci95[0] < 2.84 * NS < 1.1 * fit.tau_x_s.ci95[1]


@pytest.mark.parametrize(("photons", "share"), [(10_000, 0.0), (100_000, 0.1)])
def test_a_biexciton_is_told_from_a_tail_however_little_is_known_of_it(truth, photons, share):
    for seed in range(2):
        counts = truth(photons=photons, tail_share=share).draw(np.random.default_rng(seed))
        for intervals in (True, False):
            fit = fit_decay(data_of(counts), FitOptions(irf=FittedTail(), intervals=intervals))
            assert fit.tau_xx_s is not None
            for figure in (fit.irf_tail_share, fit.irf_tail_s):
                assert figure is None or figure.stderr is not None or fit.irf_tail_reason
                assert figure is None or figure.stderr is None or figure.stderr <= max(figure.value, 0.5)
