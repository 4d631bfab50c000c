"""Decays that look like a biexciton and are none: short periods, instrument tails, other shapes."""

import math

import numpy as np
import pytest

from photonstream.nodes.inference.claims import (
    GAUSSIAN,
    MEASURED,
    TAILED,
    leftover_warning,
    lifetime_reason,
    misfit_reason,
    open_reason,
    tail_reason,
    tail_warning,
    within_bounds,
)
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import GaussianIrf, measured_irf
from photonstream.nodes.inference.report import NARROW
from photonstream.nodes.lifetime import summarise

NS = 1e-9
PERIOD_S = 1 / 4.75e6
BIN_S = 80e-12


def histogram(times_s):
    bins = math.ceil(PERIOD_S / BIN_S)
    index = np.minimum(((times_s % PERIOD_S) / BIN_S).astype(np.int64), bins - 1)
    return DecayData(np.bincount(index, minlength=bins)[None, :], BIN_S, PERIOD_S)


def drawn(decay, seed):
    return DecayData(decay.draw(np.random.default_rng(seed))[None, :], decay.bin_s, decay.period_s)


@pytest.mark.parametrize("beta", [0.0, 0.257])
@pytest.mark.parametrize("photons", [20_000, 300_000])
@pytest.mark.parametrize("period_ns", [10.0, 12.5, 25.0])
def test_a_period_below_the_lifetime_leaves_no_beta(truth, period_ns, photons, beta):
    period_s = period_ns * NS
    for seed in range(4):
        decay = truth(photons=photons, beta=beta, period_s=period_s, t0_s=2 * NS, bin_s=period_s / 1024)
        fit = fit_decay(drawn(decay, seed), FitOptions())
        assert fit.beta is None
        assert fit.beta_signed is None
        assert fit.beta_upper95 is None
        # The lifetime is hardly ever 46.8 ns, nor the background what it is: neither is told, or hardly limited.
        if fit.model != "none":
            assert fit.reason.startswith("tau_x = ")
            assert fit.tau_x_s.ci95[0] < 46.8 * NS
            assert (fit.tau_x_s.ci95[1] or math.inf) > 46.8 * NS
        assert fit.beta_reason.startswith("no beta: ")


def test_a_short_lifetime_at_a_short_period_is_not_in_doubt(truth):
    decay = truth(tau_x_s=3.5 * NS, beta=0.0, period_s=12.5 * NS, t0_s=2 * NS, bin_s=16e-12)
    fit = fit_decay(drawn(decay, 1), FitOptions())
    assert fit.model == "mono"
    assert fit.reason == ""
    assert abs(fit.tau_x_s.value - 3.5 * NS) < 3 * fit.tau_x_s.stderr


@pytest.mark.parametrize("widths_ns", [(0.1, 1.5), (1.5, 0.1)])
@pytest.mark.parametrize("brighter", [0, 1])
def test_a_fast_component_is_judged_by_the_widest_response(truth, widths_ns, brighter):
    rng = np.random.default_rng(1)
    photons = [100_000, 100_000]
    photons[brighter] += 20_000
    rows = [truth(photons=n, fwhm_s=w * NS).draw(rng) for n, w in zip(photons, widths_ns, strict=True)]
    fit = fit_decay(DecayData(np.array(rows), truth().bin_s, truth().period_s), FitOptions())
    assert fit.irf_fwhm_s.value == pytest.approx(1.5 * NS, rel=0.05)
    assert fit.beta is None
    assert fit.beta_reason.startswith("no beta: the fast component")
    # A channel that hardly counts does not decide.
    rows[int(np.argmax(widths_ns))] = truth(photons=3_000, fwhm_s=1.5 * NS).draw(rng)
    few = fit_decay(DecayData(np.array(rows), truth().bin_s, truth().period_s), FitOptions())
    assert few.irf_fwhm_s.value == pytest.approx(0.1 * NS, rel=0.2)
    assert abs(few.beta.value - 0.257) < 3 * few.beta.stderr


@pytest.mark.parametrize(
    ("tau_x", "period_ns", "background", "correlation", "words"),
    [
        (Estimate(46.8 * NS, None, None, (46 * NS, 48 * NS)), 210.5, 0.6, -0.83, ""),
        (Estimate(46.8 * NS, None, None, (40 * NS, 52 * NS)), 60.0, 0.1, -0.99, ""),
        (Estimate(46.8 * NS), 40.0, 0.1, -0.99, "(40 ns) is shorter"),
        (Estimate(20 * NS, None, None, (15 * NS, None)), 25.0, 0.1, -0.99, "no upper limit at 95 %"),
        (
            Estimate(20 * NS, None, None, (15 * NS, 44 * NS)),
            25.0,
            0.1,
            -0.99,
            "an upper limit of 44 ns at 95 %",
        ),
        (Estimate(7.3 * NS, 0.5 * NS), 12.5, 0.67, -0.98, "67 % of the photons are taken for background"),
    ],
)
def test_when_the_lifetime_is_in_doubt(tau_x, period_ns, background, correlation, words):
    reason = lifetime_reason(tau_x, period_ns * NS, background, correlation) or open_reason(
        tau_x, period_ns * NS
    )
    assert words in reason
    assert bool(words) == bool(reason)


def test_excitons_left_over_are_named_with_beta(truth):
    assert leftover_warning(46.8 * NS, 200 * NS) == ""
    decay = truth(period_s=100 * NS, photons=300_000)
    fit = fit_decay(drawn(decay, 2), FitOptions())
    assert fit.beta is not None
    assert "2.1 tau_x, below 4: excitons left over" in fit.beta_reason


def test_the_tail_of_an_unknown_instrument_is_no_biexciton():
    rng = np.random.default_rng(1)
    photons = 300_000
    late = rng.random(photons) < 0.05
    jitter_s = rng.normal(0.0, 0.11 * NS, photons)
    delays_s = np.where(late, rng.exponential(1 * NS, photons), rng.exponential(47 * NS, photons))
    data = histogram(3 * NS + delays_s + jitter_s)
    fit = fit_decay(data, FitOptions())
    assert fit.model == "bi"
    assert fit.tau_xx_s.value == pytest.approx(1 * NS, rel=0.1)
    assert fit.beta is None
    assert "shorter than 5 widths of the instrument response" in fit.beta_reason
    # Knowing the width is not knowing the tail.
    assert fit_decay(data, FitOptions(irf=GaussianIrf(0.259 * NS))).beta is None


@pytest.mark.parametrize(
    ("widths", "shape", "refused", "warned"),
    [
        (2.0, GAUSSIAN, True, True),
        (4.9, GAUSSIAN, True, True),
        (8.5, GAUSSIAN, False, True),
        (36.0, GAUSSIAN, False, False),
        (1.0, MEASURED, True, True),
        (4.9, MEASURED, False, True),
        (8.5, MEASURED, False, False),
        (1.0, TAILED, True, True),
        (4.9, TAILED, False, True),
        (8.5, TAILED, False, False),
    ],
)
def test_how_far_from_the_response_a_fast_component_must_be(widths, shape, refused, warned):
    assert bool(tail_reason(widths * NS, NS, shape)) == refused
    assert bool(tail_warning(widths * NS, NS, shape)) == warned


def test_a_coarsely_measured_response_makes_no_biexciton(truth):
    # Bins as wide as the response: the model's response is flat within each, the light's is not.
    decay = truth(beta=0.0, photons=1_000_000, tail_share=0.1)
    fits = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        response = decay.histogram(rng.uniform(4 * NS, 5 * NS) + decay.jitter(100_000, rng))
        options = FitOptions(irf=measured_irf(response, decay.bin_s), intervals=False)
        fits.append(fit_decay(drawn(decay, seed), options))
    assert any(fit.model == "bi" for fit in fits)
    assert all(fit.beta is None or "own errors could add" in fit.beta_reason for fit in fits)
    assert sum(fit.beta is not None for fit in fits) <= 1


def test_the_papers_case_keeps_its_beta_without_a_word(truth):
    fit = fit_decay(drawn(truth(), 3), FitOptions())
    assert abs(fit.beta.value - 0.257) < 3 * fit.beta.stderr
    assert fit.beta_reason == ""
    assert fit.reason == ""


def test_why_there_is_no_signed_beta_is_said_of_two_components_too(truth):
    """Of 10 ns: a biexciton of the assumed 3.9 ns would be slower than 2.5 ns allow."""
    decay = truth(tau_x_s=10e-9, tau_xx_s=0.8e-9)
    fit = fit_decay(drawn(decay, 5), FitOptions(irf=GaussianIrf(decay.fwhm_s)))
    assert (fit.model, fit.beta_signed) == ("bi", None)
    said = summarise(fit, np.array([0]))["beta_signed_reason"]
    assert said.startswith("a biexciton of the assumed 3.9 ns is too slow for tau_x = ")
    assert summarise(fit_decay(drawn(truth(), 5), FitOptions()), np.array([0]))["beta_signed_reason"] == ""


@pytest.mark.parametrize("photons", [50_000, 1_000_000])
def test_a_stretched_exponential_has_no_beta(photons):
    rng = np.random.default_rng(4)
    delays_s = 47 * NS * rng.exponential(1.0, photons) ** (1 / 0.7) + rng.normal(0.0, 0.04 * NS, photons)
    fit = fit_decay(histogram(3 * NS + delays_s), FitOptions())
    assert fit.beta is None
    assert "misses the data beyond chance" in fit.beta_reason
    assert fit.beta_upper95 is None
    assert fit.verdict == "does not fit"
    # What is given of it are numbers that describe nothing, and so has no errors, wherever it is told.
    summary = summarise(fit, np.array([0]))
    told = [summary["beta_signed"], *summary["fit"].values(), *summary["fit"]["channels"]["0"].values()]
    estimates = [value for value in told if isinstance(value, dict) and "ci95" in value]
    assert len(estimates) == 12
    for value in estimates:
        assert value["value"] is not None
        assert (value["stderr"], value["ci68"], value["ci95"]) == (None, None, None)
        # What had none before, such as a background of nothing, says that.
        assert value["reason"] in ("of a model that does not fit", "at the end of its range", NARROW)
    assert summary["beta_signed"]["reason"] == "of a model that does not fit"


def test_a_misfit_is_judged_by_the_fast_component():
    assert misfit_reason("", 0.5, 0.05) == ""
    assert misfit_reason("it misses", 0.008, 0.05) == ""
    assert "5 % of the photons, so the misfit may have made it" in misfit_reason("it misses", 0.02, 0.05)


def test_an_instrument_of_a_million_photons_keeps_beta(truth):
    decay = truth(photons=1_000_000, tail_share=0.1)
    rng = np.random.default_rng(5)
    response = decay.histogram(5 * NS + decay.jitter(1_000_000, rng))
    fit = fit_decay(drawn(decay, 6), FitOptions(irf=measured_irf(response, decay.bin_s)))
    assert abs(fit.beta.value - 0.257) < 3 * fit.beta.stderr
    assert fit.beta_reason == ""


def test_the_interval_of_beta_ends_at_1(truth):
    found = [fit_decay(drawn(truth(beta=0.97), seed), FitOptions()) for seed in range(6)]
    claimed = [fit for fit in found if fit.beta is not None]
    assert claimed
    for fit in claimed:
        assert fit.beta.ci95[1] <= 1.0
        assert ("ends at 1" in fit.beta_reason) == (fit.beta.ci95[1] == 1.0)
    assert any(fit.beta.ci95[1] == 1.0 for fit in claimed)
    assert all("more than one biexciton" in fit.beta_reason for fit in found if fit.beta is None)


def test_a_beta_that_nothing_limits_is_none():
    assert within_bounds(Estimate(0.7, 2.0, (None, 0.9), (None, None)))[0] is None
    assert within_bounds(Estimate(1.02, 0.1, (0.9, 1.1), (0.8, 1.2)))[0] is None
    half, note = within_bounds(Estimate(0.7, 0.2, (0.5, 0.9), (0.3, None)))
    assert half is not None
    assert half.ci95 == (0.3, None)
    assert note == ""


def test_the_upper_limit_is_at_most_1(truth):
    decay = truth(beta=0.9, photons=400)
    limits = [
        fit_decay(drawn(decay, seed), FitOptions(mono_bi_threshold=1e9)).beta_upper95 for seed in range(12)
    ]
    assert max(limit for limit in limits if limit is not None) == 1.0


def test_one_component_that_is_asked_for_of_two_does_not_fit(truth):
    data = drawn(truth(photons=100_000), 3)
    fit = fit_decay(data, FitOptions(irf=GaussianIrf(0.1e-9), model="mono"))
    assert (fit.model, fit.verdict) == ("mono", "does not fit")
    assert "one component is not enough: two fit better than chance allows" in fit.reason
    assert fit.beta_reason.startswith("no beta: one component is not enough")
    assert (fit.tau_x_s.stderr, fit.beta_upper95) == (None, None)
    # Where there is one it does, asked for or not.
    alone = drawn(truth(photons=100_000, share_xx=0.0), 3)
    for model in ("mono", "auto"):
        fit = fit_decay(alone, FitOptions(irf=GaussianIrf(0.1e-9), model=model))
        assert fit.verdict == "mono"
        assert fit.tau_x_s.stderr is not None
