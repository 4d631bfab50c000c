"""A part of the decay is fitted as if there were no more of it: bound, bias, refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.inference.beta import beta_from_amplitudes
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import TOO_FEW
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.fit_range import check_span
from photonstream.nodes.inference.irf import GaussianIrf
from photonstream.nodes.inference.refit import refit_of
from photonstream.nodes.inference.systematics import systematics

KNOWN_IRF = FitOptions(irf=GaussianIrf(0.1e-9), intervals=False)
WITH_EDGE, BEHIND_EDGE = (10e-9, 120e-9), (21e-9, 180e-9)
FITS = 100


def drawn(decay, seed, channels=1):
    rng = np.random.default_rng(seed)
    return DecayData(np.array([decay.draw(rng) for _ in range(channels)]), decay.bin_s, decay.period_s)


def bound(decay, span_s, *, t0_known):
    """Standard errors of beta and tau_x: the Cramér-Rao bound from differences of the expected counts in the range."""
    edges_s = np.minimum(np.arange(decay.bins + 1) * decay.bin_s, decay.period_s)
    inside = (edges_s[:-1] > span_s[0] - 0.5 * decay.bin_s) & (edges_s[1:] < span_s[1] + 0.5 * decay.bin_s)
    steps = {"beta": 1e-3, "tau_x_s": 1e-11, "tau_xx_s": 1e-11, "photons": 100, "background": 1e-4}
    if not t0_known:
        steps["t0_s"] = 1e-12
    slopes = []
    for name, step in steps.items():
        low, high = (replace(decay, **{name: getattr(decay, name) + s}) for s in (-step, step))
        slopes.append((high.expected() - low.expected())[inside] / (2 * step))
    slopes = np.array(slopes)
    scale = np.sqrt(np.sum(slopes**2 / decay.expected()[inside], axis=1))
    unit = slopes / scale[:, None]
    errors = np.sqrt(np.diag(np.linalg.inv((unit / decay.expected()[inside]) @ unit.T))) / scale
    return errors[0], errors[1]


@pytest.fixture(scope="module", params=[WITH_EDGE, BEHIND_EDGE], ids=["with the edge", "behind the edge"])
def many(request, truth):
    """Fits of 2e5 photons of the 355 nm nanocrystal in a range, and that range."""
    decay = truth(photons=200_000)
    options = replace(KNOWN_IRF, fit_range_s=request.param)
    return decay, request.param, [fit_decay(drawn(decay, seed), options) for seed in range(FITS)]


def test_a_shorter_range_is_unbiased_and_reaches_its_own_bound(many):
    decay, span_s, fits = many
    sigmas = bound(decay, span_s, t0_known=span_s == BEHIND_EDGE)
    for name, value, sigma in (("beta", 0.257, sigmas[0]), ("tau_x_s", 46.8e-9, sigmas[1])):
        found = np.array([getattr(fit, name).value for fit in fits])
        assert abs(found.mean() - value) < 3.0 * sigma / math.sqrt(FITS), name
        assert 0.78 < found.std() / sigma < 1.22, name
        assert np.median([getattr(fit, name).stderr for fit in fits]) == pytest.approx(sigma, rel=0.1), name
    assert abs(np.mean([fit.goodness["z"] for fit in fits])) < 0.4


def test_what_lies_behind_the_edge_cannot_tell_t0_and_says_so(many):
    _, span_s, fits = many
    behind = span_s == BEHIND_EDGE
    for fit in fits:
        assert ("leaves out the rising edge" in fit.reason) == behind
        t0 = fit.channels[0].t0_s
        assert (t0.stderr is None) == behind
        assert t0.value == pytest.approx(20.03e-9, abs=20e-12)


def test_photons_are_those_of_the_range_and_the_range_is_of_whole_bins(truth):
    data = drawn(truth(), 1, channels=2)
    fit = fit_decay(data, replace(KNOWN_IRF, fit_range_s=(9.99e-9, 120.03e-9)))
    first, stop = round(fit.fit_range_s[0] / data.bin_width_s), round(fit.fit_range_s[1] / data.bin_width_s)
    assert (first, stop) == (125, 1500)
    assert fit.photons == data.counts[:, first:stop].sum()
    assert fit.photons + fit.photons_outside == data.counts.sum()
    assert [channel.photons for channel in fit.channels] == data.counts[:, first:stop].sum(axis=1).tolist()
    # The curves go on outside, where they tell what was left out.
    assert (fit.curves.total > 0.0).all()


def test_what_was_left_out_does_not_matter(truth):
    """A reflection of 2 % of the photons, 130 ns after the pulse, pulls at the fit of the whole period alone."""
    decay = truth(photons=1_000_000)
    data = drawn(decay, 5)
    counts = data.counts.copy()
    counts[0, 1875:1950] += np.random.default_rng(6).poisson(20_000 / 75, 75)
    data = replace(data, counts=counts)
    whole, part = (
        fit_decay(data, replace(KNOWN_IRF, fit_range_s=span_s)) for span_s in (None, (0.0, 145e-9))
    )
    assert whole.goodness["z"] > 10.0
    assert abs(part.goodness["z"]) < 4.0
    assert abs(part.beta.value - 0.257) < 4.0 * part.beta.stderr


@pytest.mark.parametrize("detector", [{}, {"dead_time_s": 80e-9, "afterpulsing": 0.02}])
def test_the_whole_period_as_a_range_is_the_whole_period(truth, detector):
    data = replace(drawn(truth(), 2), pulses=1e7)
    options = replace(KNOWN_IRF, **detector)
    whole = fit_decay(data, options)
    part = fit_decay(data, replace(options, fit_range_s=(0.0, math.inf)))
    for name in ("beta", "tau_x_s", "tau_xx_s", "background_share"):
        one, other = getattr(whole, name), getattr(part, name)
        assert other.value == pytest.approx(one.value, abs=1e-3 * one.stderr)
        assert other.stderr == pytest.approx(one.stderr, rel=1e-3)
    assert part.photons == whole.photons


def test_a_live_fit_is_of_the_same_range(truth):
    decay = truth(photons=300_000)
    options = replace(KNOWN_IRF, fit_range_s=WITH_EDGE)
    data = drawn(decay, 8)
    start = fit_decay(drawn(truth(photons=200_000), 9), options).start
    live, final = fit_decay(data, options, cold=False, start=start), fit_decay(data, options)
    assert live.photons == final.photons
    assert live.fit_range_s == final.fit_range_s
    assert abs(live.beta.value - final.beta.value) < 0.2 * final.beta.stderr
    assert live.beta.stderr == pytest.approx(final.beta.stderr, rel=0.03)


@pytest.mark.parametrize("span_s", [WITH_EDGE, BEHIND_EDGE])
def test_the_likelihood_behind_a_fit_is_that_of_the_range(truth, span_s):
    data, options = drawn(truth(), 3), replace(KNOWN_IRF, fit_range_s=span_s)
    fit = fit_decay(data, options)
    refit = refit_of(data, options, fit)
    assert math.exp(refit.optimum.theta[0]) == pytest.approx(fit.tau_x_s.value, rel=1e-5)
    assert ("t0 and response are held" in fit.beta_reason) == (span_s == BEHIND_EDGE)
    told = {part.source: part.how.split()[0] for part in systematics(data, options, fit, "not asked")}
    assert told["t0"] == ("held" if span_s == BEHIND_EDGE else "free")
    assert 2.0 * refit.optimum.half_deviance == pytest.approx(fit.goodness["deviance"], rel=1e-6)


def test_t0_behind_the_edge_moves_beta_by_its_error_in_the_whole_decay(truth):
    data = drawn(truth(photons=400_000), 3, channels=2)
    options = replace(KNOWN_IRF, fit_range_s=BEHIND_EDGE)
    fit, whole = fit_decay(data, options), fit_decay(data, KNOWN_IRF)
    (part,) = (part for part in systematics(data, options, fit, "not asked") if part.source == "t0")
    # The amplitudes of both channels are those at t0: what lies behind it says the ratio there for each t0.
    tau_x_s, tau_xx_s = fit.tau_x_s.value, fit.tau_xx_s.value
    ratio = fit.amplitude_xx.value / fit.amplitude_x.value
    steps_s = [0.5 * channel.t0_s.stderr for channel in whole.channels]
    moved = [
        beta_from_amplitudes(ratio * math.exp(step_s * (1.0 / tau_xx_s - 1.0 / tau_x_s)), tau_x_s, tau_xx_s)
        - fit.beta.value
        for step_s in steps_s
    ]
    assert part.shift is None
    # With the lifetimes free a decay that is a little steeper takes up some of it.
    assert part.sigma == pytest.approx(math.hypot(*moved), rel=0.2)


def test_a_channel_that_is_dim_in_the_range_is_left_out_and_the_others_are_fitted(truth):
    data = drawn(truth(photons=200_000), 3, channels=2)
    # Channel 1 has photons enough, nearly all of them before the range.
    counts = data.counts.copy()
    counts[1] = 0
    counts[1, 240:300] = 20
    data = replace(data, counts=counts)
    options = replace(KNOWN_IRF, fit_range_s=(30e-9, 200e-9))
    fit, alone = fit_decay(data, options), fit_decay(replace(data, counts=counts[:1]), options)
    assert "channel 1 left out: 0 photons in the fit range, 100 needed" in fit.reason
    assert [channel.used for channel in fit.channels] == [True, False]
    assert fit.tau_x_s.value == pytest.approx(alone.tau_x_s.value, rel=1e-9)
    assert fit.beta == alone.beta
    # Also where an earlier fit, of the whole decay, had it.
    start = fit_decay(drawn(truth(photons=200_000), 3, channels=2), options).start
    live = fit_decay(data, options, cold=False, start=start)
    assert [channel.used for channel in live.channels] == [True, False]


def test_what_cannot_be_fitted_is_refused_with_the_reason(truth):
    data = drawn(truth(photons=50_000), 4)
    narrow = fit_decay(data, replace(KNOWN_IRF, fit_range_s=(20e-9, 21e-9)))
    assert narrow.model == "none"
    assert narrow.reason == "the fit range of 20 ns to 21 ns holds 13 bins of the decay, and 16 are needed"
    few = fit_decay(drawn(truth(photons=500), 4), replace(KNOWN_IRF, fit_range_s=(150e-9, math.inf)))
    assert few.verdict == TOO_FEW
    assert few.reason.startswith("too few photons in the fit range: ")
    with pytest.raises(ValueError, match="must rise"):
        FitOptions(fit_range_s=(2e-9, 1e-9))
    for span_s in ((250e-9, math.inf), (2e-9, 300e-9)):
        with pytest.raises(ValueError, match="does not lie within the pulse period of 210"):
            check_span(span_s, 210.5e-9)
    check_span((2e-9, math.inf), 210.5e-9)
