"""The fit against decays of known truth: bound, bias, coverage, choice of model, refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.eta import model_range
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import GaussianIrf, measured_irf
from photonstream.nodes.lifetime import summarise

KNOWN_IRF = FitOptions(irf=GaussianIrf(0.1e-9))


def drawn(decay, seed, channels=1):
    rng = np.random.default_rng(seed)
    return DecayData(np.array([decay.draw(rng) for _ in range(channels)]), decay.bin_s, decay.period_s)


@pytest.mark.parametrize(
    ("beta", "tau_x_ns", "tau_xx_ns", "photons", "sigma"),
    [
        (0.05, 47.1, 3.6, 10_000, 0.0266),
        (0.05, 47.1, 3.6, 1_000_000, 0.0027),
        (0.181, 46.6, 3.7, 100_000, 0.0096),
        (0.257, 46.8, 3.6, 10_000, 0.0332),
        (0.257, 46.8, 3.6, 100_000, 0.0105),
        (0.257, 46.8, 3.6, 1_000_000, 0.0033),
        (0.273, 46.8, 3.6, 30_000, 0.0195),
    ],
)
def test_standard_error_is_the_cramer_rao_bound(truth, beta, tau_x_ns, tau_xx_ns, photons, sigma):
    decay = truth(beta=beta, tau_x_s=tau_x_ns * 1e-9, tau_xx_s=tau_xx_ns * 1e-9, photons=photons)
    # Expectations scaled up and rounded stand in for the expectation itself.
    scale = 100
    counts = np.rint(decay.expected() * scale).astype(np.int64)[None, :]
    options = replace(KNOWN_IRF, intervals=False)
    fit = fit_decay(DecayData(counts, decay.bin_s, decay.period_s), options)
    assert fit.beta is not None
    assert fit.beta.value == pytest.approx(beta, abs=0.002)
    assert fit.beta.stderr * math.sqrt(scale) == pytest.approx(sigma, rel=0.03)


@pytest.fixture(scope="module")
def many(truth):
    """100 fits of 1e5 photons of the 355 nm nanocrystal with a known IRF."""
    return [fit_decay(drawn(truth(), seed), KNOWN_IRF) for seed in range(100)]


def test_beta_is_unbiased_and_reaches_the_bound(many):
    values = np.array([fit.beta.value for fit in many])
    errors = np.array([fit.beta.stderr for fit in many])
    assert abs(values.mean() - 0.257) < 3.0 * 0.0105 / 10.0
    assert 0.75 < values.std() / 0.0105 < 1.25
    assert np.median(errors) == pytest.approx(0.0105, rel=0.1)


@pytest.mark.parametrize(("name", "value"), [("beta", 0.257), ("tau_x_s", 46.8e-9), ("tau_xx_s", 3.6e-9)])
def test_profile_intervals_cover(many, name, value):
    found = [getattr(fit, name) for fit in many]
    inside68 = sum(e.ci68[0] < value < e.ci68[1] for e in found)
    inside95 = sum(e.ci95[0] < value < e.ci95[1] for e in found)
    assert 54 <= inside68 <= 82
    assert inside95 >= 89
    assert inside95 > inside68


def test_a_good_fit_is_called_good(many):
    assert {fit.model for fit in many} == {"bi"}
    assert sum(bool(fit.reason) for fit in many) <= 5
    assert abs(np.mean([fit.goodness["z"] for fit in many])) < 0.4


def test_shares_belong_together(many):
    fit = many[0]
    assert fit.amplitude_x.value + fit.amplitude_xx.value == pytest.approx(1.0)
    assert fit.photon_share_x.value + fit.photon_share_xx.value == pytest.approx(1.0)
    ratio = fit.amplitude_xx.value / fit.amplitude_x.value * fit.tau_xx_s.value / fit.tau_x_s.value
    assert fit.photon_share_xx.value == pytest.approx(ratio / (1.0 + ratio))
    assert fit.photon_share_xx.value == pytest.approx(0.053, abs=0.01)
    values = [f.amplitude_xx.value for f in many]
    assert np.median([f.amplitude_xx.stderr for f in many]) == pytest.approx(np.std(values), rel=0.3)
    backgrounds = [f.background_share.value for f in many]
    assert np.mean(backgrounds) == pytest.approx(0.01, abs=0.001)
    assert np.median([f.background_share.stderr for f in many]) == pytest.approx(np.std(backgrounds), rel=0.3)


def test_curves_add_up_to_the_photons(many):
    curves = many[0].curves
    np.testing.assert_allclose(curves.total, curves.x + curves.xx + curves.background)
    assert curves.total.sum() == pytest.approx(many[0].photons, rel=1e-6)


def test_the_response_is_what_comes_with_the_pulse(many, truth):
    data, response = drawn(truth(), 0), many[0].curves.response[0]
    assert response.sum() == pytest.approx(1.0)
    centres_s = (np.arange(response.size) + 0.5) * data.bin_width_s
    assert centres_s @ response == pytest.approx(many[0].channels[0].t0_s.value, abs=0.1 * data.bin_width_s)


def test_one_exponential_is_called_two_in_about_one_of_a_hundred(truth):
    decay = truth(beta=0.0, tau_x_s=47e-9, photons=20_000)
    options = FitOptions(intervals=False)
    models = [fit_decay(drawn(decay, 1000 + seed), options).model for seed in range(200)]
    assert models.count("bi") <= 7
    assert models.count("none") == 0


def test_a_single_exponential_has_a_signed_beta_and_an_upper_limit(truth):
    decay = truth(beta=0.0, tau_x_s=47e-9, photons=30_000)
    fits = [fit_decay(drawn(decay, 2000 + seed), FitOptions()) for seed in range(40)]
    mono = [fit for fit in fits if fit.model == "mono"]
    assert len(mono) >= 38
    assert all(fit.beta is None and "one component" in fit.beta_reason for fit in mono)
    assert all(fit.assumed_tau_xx_s == 3.9e-9 for fit in mono)
    signed = np.array([fit.beta_signed.value for fit in mono])
    assert 8 <= np.count_nonzero(signed < 0.0) <= 32
    assert abs(signed.mean()) < 3.0 * signed.std() / math.sqrt(len(mono))
    limits = np.array([fit.beta_upper95 for fit in mono])
    assert np.all(limits > np.maximum(signed, 0.0))
    assert np.median(limits) < 0.06
    assert np.mean([fit.beta_signed.ci95[0] < 0.0 < fit.beta_signed.ci95[1] for fit in mono]) > 0.85


def test_the_upper_limit_is_above_the_truth_in_95_percent(truth):
    decay = truth(beta=0.02, tau_xx_s=3.9e-9, photons=10_000)
    options = FitOptions(mono_bi_threshold=1e9)
    limits = [fit_decay(drawn(decay, 3000 + seed), options).beta_upper95 for seed in range(60)]
    assert 52 <= sum(limit > 0.02 for limit in limits) <= 60


@pytest.mark.parametrize(
    ("beta", "photons", "verdict"),
    [
        (0.0, 500, "not enough photons yet"),
        (0.0, 30_000, "mono"),
        (0.257, 500, "not enough photons yet"),
        (0.257, 30_000, "bi"),
    ],
)
@pytest.mark.parametrize("intervals", [True, False])
def test_one_component_is_a_finding_only_once_a_second_would_have_been_seen(
    truth, beta, photons, verdict, intervals
):
    decay = truth(beta=beta, photons=photons)
    fit = fit_decay(drawn(decay, 11), FitOptions(intervals=intervals))
    assert fit.verdict == verdict
    assert ("not enough photons to exclude" in fit.beta_reason) is (verdict == "not enough photons yet")


def test_two_detectors_with_a_skew(truth):
    first, second = truth(photons=200_000), truth(photons=200_000, t0_s=20.53e-9, fwhm_s=0.2e-9)
    rng = np.random.default_rng(11)
    counts = np.array([first.draw(rng), second.draw(rng)])
    fit = fit_decay(DecayData(counts, first.bin_s, first.period_s), FitOptions())
    assert abs(fit.beta.value - 0.257) < 3.0 * fit.beta.stderr
    assert fit.channels[1].t0_s.value - fit.channels[0].t0_s.value == pytest.approx(0.5e-9, abs=0.03e-9)
    assert fit.channels[1].irf_fwhm_s.value == pytest.approx(0.2e-9, abs=0.04e-9)
    merged = fit_decay(DecayData(counts.sum(axis=0, keepdims=True), first.bin_s, first.period_s), KNOWN_IRF)
    assert merged.beta_signed.value < fit.beta.value - 5.0 * fit.beta.stderr
    assert merged.beta is None
    assert "so the misfit may have made it" in merged.beta_reason


def test_a_short_period_is_no_bias_of_the_fit(truth):
    decay = truth(period_s=50e-9, t0_s=4e-9, photons=1_000_000)
    fit = fit_decay(drawn(decay, 12), FitOptions())
    assert abs(fit.beta.value - 0.257) < 3.0 * fit.beta.stderr


def test_an_irf_tail_is_followed_by_a_measured_irf(truth):
    decay = truth(tail_share=0.3, photons=1_000_000)
    rng = np.random.default_rng(13)
    response = decay.histogram(5e-9 + decay.jitter(2_000_000, rng))
    data = DecayData(decay.draw(rng)[None, :], decay.bin_s, decay.period_s)
    with_irf = fit_decay(data, FitOptions(irf=measured_irf(response, decay.bin_s)))
    without = fit_decay(data, FitOptions())
    assert abs(with_irf.beta.value - 0.257) < 3.0 * with_irf.beta.stderr
    assert without.beta.value < 0.257 - 4.0 * without.beta.stderr
    assert with_irf.channels[0].t0_s.value == pytest.approx(decay.t0_s, abs=0.02e-9)
    assert without.model == "bi"


def test_bins_may_end_before_the_period(truth):
    decay = truth(photons=400_000)
    data = drawn(decay, 14)
    part = DecayData(data.counts[:, :1500], decay.bin_s, decay.period_s)
    fit = fit_decay(part, KNOWN_IRF)
    assert fit.photons == int(data.counts[:, :1500].sum())
    assert abs(fit.beta.value - 0.257) < 3.0 * fit.beta.stderr
    assert abs(fit.tau_x_s.value - 46.8e-9) < 3.0 * fit.tau_x_s.stderr


def test_bins_beyond_the_period_are_left_out_and_counted(truth):
    decay = truth()
    data = drawn(decay, 15)
    longer = np.pad(data.counts, ((0, 0), (0, 100)), constant_values=7)
    fit = fit_decay(DecayData(longer, decay.bin_s, decay.period_s), KNOWN_IRF)
    same = fit_decay(data, KNOWN_IRF)
    assert fit.photons_outside == 700
    assert fit.photons == same.photons
    assert fit.beta == same.beta
    assert fit.curves.total.shape == longer.shape


def test_many_bins_are_joined_without_loss(truth):
    decay = truth(bin_s=8e-12, photons=100_000)
    data = drawn(decay, 16)
    assert data.counts.shape[1] > 26_000
    fit = fit_decay(data, KNOWN_IRF)
    assert fit.beta.stderr == pytest.approx(0.0105, rel=0.15)
    assert abs(fit.beta.value - 0.257) < 3.0 * fit.beta.stderr
    assert fit.curves.total.shape == data.counts.shape


def test_a_cold_fit_depends_on_the_data_alone(truth):
    data = drawn(truth(), 17)
    first, second = fit_decay(data, FitOptions()), fit_decay(data, FitOptions())
    assert first.beta == second.beta
    assert first.goodness == second.goodness
    np.testing.assert_array_equal(first.curves.total, second.curves.total)
    np.testing.assert_array_equal(first.start.double, second.start.double)


def test_a_warm_fit_finds_the_cold_optimum(truth):
    decay = truth(photons=30_000)
    earlier, later = drawn(decay, 18), drawn(decay, 19)
    start = fit_decay(earlier, FitOptions()).start
    grown = DecayData(earlier.counts + later.counts, decay.bin_s, decay.period_s)
    warm, cold = fit_decay(grown, FitOptions(), cold=False, start=start), fit_decay(grown, FitOptions())
    # In wider bins, so not to the last digit.
    assert warm.beta.value == pytest.approx(cold.beta.value, abs=0.1 * cold.beta.stderr)
    assert warm.beta.stderr == pytest.approx(cold.beta.stderr, rel=0.01)
    assert warm.beta.ci68 is None
    assert warm.likelihood_ratio == pytest.approx(cold.likelihood_ratio, rel=0.02)


def test_a_slow_fast_component_is_no_biexciton(truth):
    decay = truth(tau_x_s=47e-9, tau_xx_s=19.9e-9, share_xx=0.2, photons=1_000_000)
    fit = fit_decay(drawn(decay, 20), FitOptions())
    assert fit.model == "bi"
    assert fit.beta is None
    assert "tau_x/(s Q_x)" in fit.beta_reason
    assert fit.tau_xx_s.ci95[0] < 19.9e-9 < fit.tau_xx_s.ci95[1]


def test_too_few_photons():
    fit = fit_decay(DecayData(np.full((1, 100), 2, dtype=np.int64), 1e-9, 100e-9), FitOptions())
    assert (fit.model, fit.beta) == ("none", None)
    assert fit.reason == "too few photons: 200, 300 needed"
    assert fit.verdict == "not enough photons yet"
    assert fit_decay(DecayData(np.zeros((2, 0), dtype=np.int64), 1e-9, 100e-9), FitOptions()).model == "none"


def test_too_few_photons_in_each_channel():
    data = DecayData(np.full((4, 90), 1, dtype=np.int64), 1e-9, 90e-9)
    fit = fit_decay(data, FitOptions())
    assert fit.reason.startswith("too few photons in any one channel: channel 0 left out: 90 photons; ")


def test_flat_background_is_no_emitter(truth):
    for seed in range(20):
        fit = fit_decay(drawn(truth(background=1.0, photons=5_000), 4000 + seed, channels=2), FitOptions())
        assert fit.model == "none"
        assert fit.reason.startswith("no emitter: channel 0 left out: no pulsed emission")
        assert fit.eta_reason == f"no eta: {fit.reason}"


def test_a_dark_channel_is_left_out(truth):
    decay, dark = truth(), truth(background=1.0, photons=900)
    rng = np.random.default_rng(21)
    counts = np.array([dark.draw(rng), decay.draw(rng)])
    fit = fit_decay(DecayData(counts, decay.bin_s, decay.period_s), KNOWN_IRF)
    alone = fit_decay(DecayData(counts[1:], decay.bin_s, decay.period_s), KNOWN_IRF)
    assert fit.beta == alone.beta
    assert "channel 0 left out: no pulsed emission" in fit.reason
    assert [channel.used for channel in fit.channels] == [False, True]


def test_scattered_light_is_no_emitter(truth):
    scatter = truth(tau_x_s=1e-14, beta=0.0, photons=20_000, background=0.2)
    tailed = replace(scatter, tail_share=0.3)
    for decay in (scatter, tailed):
        fit = fit_decay(drawn(decay, 22), FitOptions())
        assert fit.model == "none"
        assert fit.reason.startswith("no emitter: ")
        assert "instrument" in fit.reason
    fit = fit_decay(drawn(scatter, 23), KNOWN_IRF)
    assert fit.model == "none"
    assert fit.reason.startswith("no emitter: ")


def test_what_no_two_exponentials_describe_is_refused(truth):
    decay = truth(photons=200_000)
    rng = np.random.default_rng(24)
    late = rng.normal(120e-9, 8e-9, 100_000)
    data = DecayData((decay.draw(rng) + decay.histogram(late))[None, :], decay.bin_s, decay.period_s)
    fit = fit_decay(data, FitOptions())
    assert fit.model == "none"
    assert "nothing fits" in fit.reason
    assert fit.goodness["misplaced_share"] > 0.1


def test_a_slightly_wrong_irf_is_a_warning(truth):
    decay = truth(photons=2_000_000, tail_share=0.3)
    fit = fit_decay(drawn(decay, 25), KNOWN_IRF)
    assert fit.model == "bi"
    assert "misses the data beyond chance" in fit.reason
    assert fit.goodness["misplaced_share"] < 0.02
    # It moves beta by more than its error, and beta says so.
    assert fit.beta.value < 0.257 - 5.0 * fit.beta.stderr
    assert "misses the data beyond chance" in fit.beta_reason
    assert "the error of beta does not hold that" in fit.beta_reason


@pytest.mark.parametrize(
    "counts", [np.ones(5, dtype=np.int64), np.ones((1, 5)), -np.ones((1, 5), dtype=np.int64)]
)
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match="decay counts"):
        DecayData(counts, 1e-9, 1e-8)


@pytest.mark.parametrize(
    "name", ["s", "quantum_yield_x", "assumed_tau_xx_s", "mean_n", "mean_n_relative_error"]
)
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, -1.0])
def test_figures_that_are_no_numbers_are_refused_by_their_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name} is {value}: [^.;]*$"):
        FitOptions(**{name: value})


@pytest.mark.parametrize("mean_n", [0.0, 20.5, 709.0, 1000.0])
def test_mean_n_beyond_any_experiment_is_refused(mean_n):
    with pytest.raises(ValueError, match="above 0 and up to 20"):
        FitOptions(mean_n=mean_n)


@pytest.mark.parametrize("mean_n", [1e-300, 1e-9, 1.01, 3.0, 20.0])
def test_every_mean_n_that_is_taken_gives_a_sensible_eta_or_a_reason(truth, mean_n):
    fit = fit_decay(drawn(truth(), 26), FitOptions(mean_n=mean_n))
    if mean_n > 1.0:
        assert fit.eta is None
        assert fit.eta_models == {}
        assert f"<N> = {mean_n:g} is above 1" in fit.eta_reason
    else:
        # Without a second absorbed photon beta is the efficiency, by any model.
        assert fit.eta.value == pytest.approx(fit.beta.value)
        assert fit.eta.stderr == pytest.approx(fit.beta.stderr)
        assert fit.eta_models["n^2 cascade"] == pytest.approx(fit.beta.value, abs=0.03)


def test_channels_go_by_their_numbers(truth):
    decay = truth(photons=30_000)
    rng = np.random.default_rng(27)
    stray = np.eye(1, decay.bins, 300, dtype=np.int64)[0]
    counts = np.array([stray, decay.draw(rng), decay.draw(rng)])
    fit = fit_decay(DecayData(counts, decay.bin_s, decay.period_s, channels=(0, 3, 7)), KNOWN_IRF)
    assert fit.reason == "channel 0 left out: 1 photon"
    assert fit.start.channels == (3, 7)
    assert "t0_s_7" in fit.parameters
    # A later look at the same channels, one more among them, goes on from there.
    more = np.insert(counts, 1, stray, axis=0)
    data = DecayData(more, decay.bin_s, decay.period_s, channels=(0, 1, 3, 7))
    warm = fit_decay(data, KNOWN_IRF, cold=False, start=fit.start)
    assert warm.beta.value == pytest.approx(fit.beta.value, abs=1e-4)
    assert [channel.used for channel in warm.channels] == [False, False, True, True]
    with pytest.raises(ValueError, match="cannot be channels"):
        DecayData(counts, decay.bin_s, decay.period_s, channels=(0, 3))


def test_the_range_of_eta_needs_two_models_and_ends_where_eta_does():
    eta = Estimate(0.98, 0.01, ci95=(0.96, 1.0))
    assert model_range(eta, {"one": 0.98, "other": None}) is None
    assert model_range(eta, {"one": 0.98, "other": 0.99}) == ((0.98, 0.99), (0.96, 1.0))
    # While a run goes on there is no interval yet.
    assert model_range(Estimate(0.5, 0.1), {"one": 0.5, "other": 0.3})[1] == pytest.approx(
        (0.104, 0.696), abs=1e-4
    )
    assert model_range(Estimate(0.5, ci95=(None, 0.9)), {"one": 0.5, "other": 0.3})[1] == (None, 0.9)


def test_eta_comes_with_its_model(truth):
    fit = fit_decay(drawn(truth(), 26), FitOptions(mean_n=0.1))
    assert fit.eta.value == pytest.approx(1 - (1 - fit.beta.value) * math.expm1(0.1) / 0.1)
    assert "two levels" in fit.eta_model
    assert fit.eta_models["n<=2 closed form"] == fit.eta.value
    # Three and more excitons read as more multiplication than there is.
    assert fit.eta.value - 0.05 < fit.eta_models["n^2 cascade"] < fit.eta.value - 0.02
    ends, (low, high) = model_range(fit.eta, fit.eta_models)
    assert ends == (fit.eta_models["n^2 cascade"], fit.eta.value)
    assert (low, high) == (pytest.approx(fit.eta.ci95[0] + ends[0] - ends[1]), fit.eta.ci95[1])
    summary = summarise(fit, np.array([0]))
    assert summary["eta_range"] == {"value": list(ends), "ci95": [low, high]}
    unknown = fit_decay(drawn(truth(), 26), FitOptions())
    assert unknown.eta_models == {}
    assert summarise(unknown, np.array([0]))["eta_range"] is None
    assert "give it with --mean-n" in unknown.eta_reason


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    bins=st.integers(1, 400),
    per_bin=st.floats(0.0, 500.0),
    spikes=st.integers(0, 5),
    cut=st.floats(0.3, 1.3),
)
def test_any_histogram_gets_an_answer(seed, bins, per_bin, spikes, cut):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(per_bin * rng.random((2, bins)))
    for _ in range(spikes):
        counts[rng.integers(2), rng.integers(bins)] += rng.integers(100_000)
    fit = fit_decay(DecayData(counts, 1e-10, max(bins * cut, 0.5) * 1e-10), FitOptions(mean_n=0.1))
    assert fit.model in ("mono", "bi", "none")
    assert fit.reason or fit.model != "none"
    assert fit.beta is not None or len(fit.beta_reason) > len("no beta: ")
    assert fit.eta is not None or len(fit.eta_reason) > len("no eta: ")
    if fit.model != "none":
        assert math.isfinite(fit.tau_x_s.value)
        assert np.all(np.isfinite(fit.curves.total))
        assert np.all(np.isfinite(fit.covariance))


@pytest.mark.parametrize(("photons", "t0_s"), [(300_000, 3.2e-9), (10**6, 3.0e-9)])
def test_a_response_far_narrower_than_a_bin_leaves_beta_where_it_is(truth, photons, t0_s):
    """Its width is fitted, and the pulse stands in a bin or between two."""
    decay = truth(photons=photons, t0_s=t0_s, bin_s=0.5e-9)
    betas = [fit_decay(drawn(decay, 700 + seed), FitOptions(intervals=False)).beta for seed in range(16)]
    pulls = np.array([(beta.value - decay.beta) / beta.stderr for beta in betas])
    assert abs(pulls.mean()) < 3.0 / math.sqrt(len(pulls))
    assert math.sqrt(np.mean(pulls**2)) < 1.6


def test_where_in_a_joined_bin_the_pulse_stands_is_of_no_matter(truth):
    decays = [
        truth(photons=10**6, fwhm_s=0.05e-9, bin_s=32e-12, period_s=2e-6, t0_s=t0_s)
        for t0_s in (10.00e-9, 10.24e-9)
    ]
    assert drawn(decays[0], 0).fit_group == 16
    for seed in range(4):
        # The same photons, some later.
        one, other = (
            fit_decay(drawn(decay, 700 + seed), FitOptions(intervals=False)).beta for decay in decays
        )
        assert abs(other.value - one.value) < 0.1 * one.stderr


@pytest.mark.parametrize(("beta", "asked"), [(0.257, "mono"), (0.0, "bi"), (0.257, "bi")])
def test_a_model_that_is_asked_for_is_fitted_whatever_the_data_say(truth, beta, asked):
    data = drawn(truth(photons=30_000, beta=beta), 3)
    free, fit = fit_decay(data, FitOptions()), fit_decay(data, FitOptions(model=asked))
    assert fit.model == asked
    assert (fit.tau_xx_s is None) == (asked == "mono")
    assert "the data did not decide" in fit.reason
    assert "asked for" not in free.reason
    assert fit.likelihood_ratio == pytest.approx(free.likelihood_ratio, rel=1e-6, abs=1e-6)
    with pytest.raises(ValueError, match="one of auto, mono, bi"):
        FitOptions(model="tri")


@pytest.mark.parametrize(
    ("bin_s", "fwhm_s", "photons"), [(80e-12, 20e-12, 300_000), (512e-12, 100e-12, 10**6)], ids=str
)
def test_a_width_that_the_bins_do_not_show_has_no_error_and_leaves_that_of_beta_alone(
    truth, bin_s, fwhm_s, photons
):
    pulls, errors, told = [], [], []
    for seed in range(16):
        rng = np.random.default_rng(900 + seed)
        t0_s = 3e-9 + rng.random() * bin_s
        # The pulses of two detectors, each somewhere in a bin.
        decays = [
            truth(photons=photons / 2, t0_s=t0_s + late_s, bin_s=bin_s, fwhm_s=fwhm_s)
            for late_s in (0.0, 0.37e-9)
        ]
        counts = np.array([decay.draw(rng) for decay in decays])
        fit = fit_decay(DecayData(counts, bin_s, decays[0].period_s), FitOptions())
        pulls.append((fit.beta.value - decays[0].beta) / fit.beta.stderr)
        errors.append(fit.beta.stderr)
        assert None not in fit.beta.ci68
        for channel in fit.channels:
            width = channel.irf_fwhm_s
            told.append(width.stderr is not None)
            assert told[-1] or (width.ci95 is None and "narrower than the bins" in width.reason)
            assert width.ci95 is None or width.ci95[0] > 0.0
    assert abs(np.mean(pulls)) < 3.0 / math.sqrt(len(pulls))
    assert math.sqrt(np.mean(np.square(pulls))) < 1.6
    assert max(errors) < 1.15 * np.median(errors)
    # A width of 5 % of the channels is told though there is none to be seen.
    assert np.mean(told) < 0.25


def test_a_fit_range_and_detector_figures_leave_long_periods_their_bins(truth):
    # One with more bins than a fit takes, and a fast component that is two of the joined ones.
    decay = truth(photons=10**6, tau_xx_s=1.2e-9, bin_s=32e-12, period_s=2e-6)
    data = replace(drawn(decay, 5), pulses=1e9)
    plain = fit_decay(data, FitOptions(intervals=False))
    asked = [{"fit_range_s": (0.0, 1.9e-6)}, {"dead_time_s": 1e-12}]
    for more in asked:
        fit = fit_decay(data, FitOptions(intervals=False, **more))
        assert abs(fit.beta.value - plain.beta.value) < 0.15 * plain.beta.stderr
        assert fit.beta.stderr == pytest.approx(plain.beta.stderr, rel=0.02)
