"""When to stop: what is forecast comes true, and who stops by it keeps honest intervals."""

import math

import numpy as np
import pytest

from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.precision import Forecast, StoppingRule, forecast


def test_the_forecast_of_a_known_fit():
    fit = DecayFit("bi", "", 10_000, 0, beta=Estimate(0.25, 0.04))
    found = forecast(fit, 0.02, 2e3)
    assert (found.of, found.sigma) == ("beta", 0.04)
    # Four times the photons halve the error: three times as many are missing, at 2 kcps.
    assert found.photons_more == pytest.approx(30_000)
    assert found.time_more_s == pytest.approx(15.0)
    assert forecast(fit, 0.05, 2e3).photons_more == 0.0
    # Where nothing comes any more nobody knows when.
    assert forecast(fit, 0.02, 0.0).time_more_s is None
    assert forecast(fit, 0.05, 0.0).time_more_s == 0.0
    mono = DecayFit("mono", "", 10_000, 0, beta_signed=Estimate(-0.01, 0.02))
    assert forecast(mono, 0.02, 2e3).of == "beta_signed"
    none = forecast(
        DecayFit("none", "too few photons", 12, 0, beta_reason="no beta: too few photons"), 0.02, 2e3
    )
    assert (none.sigma, none.photons_more, none.time_more_s) == (None, None, None)
    assert none.reason == "no beta: too few photons"


def test_the_rule_is_met_by_two_fits_in_a_row_of_different_photons():
    rule = StoppingRule()
    looks = [(1000, 0.03), (2000, 0.019), (2000, 0.019), (3000, 0.021), (4000, None), (5000, 0.02)]
    for photons, sigma in looks:
        rule.look(photons, Forecast(0.02, "beta", sigma))
        assert rule.met_photons is None
    rule.look(6000, Forecast(0.02, "beta", 0.018))
    rule.look(7000, Forecast(0.02, "beta", 0.5))
    assert rule.met_photons == 6000


def test_what_is_forecast_comes_true(truth):
    decay = truth(photons=30_000)
    rng = np.random.default_rng(5)

    def fit(photons):
        counts = truth(photons=photons).draw(rng)[None]
        return fit_decay(DecayData(counts, decay.bin_s, decay.period_s), FitOptions(intervals=False))

    told = [forecast(fit(30_000), 0.01, 1.0) for _ in range(8)]
    sigmas = [forecast(fit(30_000 + int(f.photons_more)), 0.01, 1.0).sigma for f in told]
    assert np.mean(sigmas) == pytest.approx(0.01, rel=0.06)
    assert np.std(sigmas) < 0.001


def test_stopping_at_a_wanted_error_keeps_beta_honest(truth):
    """Looks at every fifth more photons, until the error is small in two looks in a row; then the final fit."""
    decay, target, runs = truth(), 0.03, 40
    rng = np.random.default_rng(11)
    z, covered68, covered95 = [], 0, 0
    for _ in range(runs):
        photons = 5_000
        counts = truth(photons=photons).draw(rng)[None]
        start, reached = None, False
        while True:
            data = DecayData(counts, decay.bin_s, decay.period_s)
            look = fit_decay(data, FitOptions(intervals=False), cold=start is None, start=start)
            start = look.start
            sigma = forecast(look, target, 1.0).sigma
            small = sigma is not None and sigma <= target
            if small and reached:
                break
            reached = small
            more = photons // 5
            counts = counts + truth(photons=more).draw(rng)[None]
            photons += more
        final = fit_decay(data, FitOptions(mono_bi_threshold=0.0)).beta
        assert final is not None
        z.append((final.value - decay.beta) / final.stderr)
        covered68 += (final.ci68[0] or 0.0) <= decay.beta <= (final.ci68[1] or 1.0)
        covered95 += (final.ci95[0] or 0.0) <= decay.beta <= (final.ci95[1] or 1.0)
    # Within three standard deviations of what a fixed number of photons gives; the bias known for this rule is -.07.
    assert abs(np.mean(z)) < 0.1 + 3.0 / math.sqrt(runs)
    assert abs(covered68 / runs - 0.683) < 3.0 * math.sqrt(0.683 * 0.317 / runs)
    assert covered95 / runs > 0.95 - 3.0 * math.sqrt(0.95 * 0.05 / runs)
    assert np.std(z, ddof=1) < 1.0 + 3.0 / math.sqrt(2.0 * runs)
