"""s and <N> from runs without carrier multiplication: the paper's figures, simulated truth, coverage, refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.inference.beta import apparent_beta
from photonstream.nodes.inference.calibration import calibrate
from photonstream.nodes.inference.calibration_cascade import solve, with_cascade
from photonstream.nodes.inference.calibration_data import CalibrationRun, Sample
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.inference.cascade_eta import reading
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import GaussianIrf
from photonstream.nodes.inference.joint import Joint
from photonstream.nodes.inference.refit import refit_of

OPTIONS = FitOptions(irf=GaussianIrf(0.1e-9), intervals=False)
NS = 1e-9


def fitted(counts, decay, options=OPTIONS, start=None):
    data = DecayData(np.rint(counts).astype(np.int64)[None], decay.bin_s, decay.period_s)
    fit = fit_decay(data, options, cold=start is None, start=start)
    return fit, refit_of(data, options, fit)


def run_of(counts, decay, mean_n=None, relative=0.3, start=None, **known):
    fit, refit = fitted(counts, decay, start=start)
    return CalibrationRun("run", refit, fit.model == "bi", mean_n, relative, **known)


def sample_of(counts, decay, start=None, **options):
    options = replace(OPTIONS, **options)
    fit, refit = fitted(counts, decay, options, start)
    return Sample(refit, fit, options)


def shown(truth, amplitude_share, tau_x_ns, tau_xx_ns, **other):
    """A decay of so much amplitude in the fast component, as papers print it."""
    fast, slow = amplitude_share * tau_xx_ns, (1.0 - amplitude_share) * tau_x_ns
    lifetimes = {"tau_x_s": tau_x_ns * NS, "tau_xx_s": tau_xx_ns * NS}
    return truth(share_xx=fast / (fast + slow), **lifetimes, **other)


@pytest.fixture(scope="module")
def paper(truth):
    """The 640 nm control and the 355 nm run of the same nanocrystal as they are printed, without noise."""
    control = shown(truth, 0.262, 46.4, 3.3, photons=10**7, period_s=200 * NS)
    ultraviolet = shown(truth, 0.435, 46.8, 3.6, photons=10**7)
    run = run_of(control.expected(), control, 0.5)
    return run, sample_of(ultraviolet.expected(), ultraviolet, mean_n=0.1)


def test_the_papers_control_does_not_close(paper):
    run, sample = paper
    alone = fit_decay(DecayData(run.refit.likelihood.counts.astype(np.int64), 80e-12, 200 * NS), OPTIONS)
    assert alone.beta.value == pytest.approx(0.123, abs=0.001)
    found = calibrate([run], sample)
    by_n, by_s = found.s_at_given_n, found.n_at_given_s
    assert by_n.s.value == pytest.approx(2.65, abs=0.01)
    assert by_n.beta.value == pytest.approx(0.51, abs=0.003)
    assert by_s.mean_n[0].value == pytest.approx(0.26, abs=0.005)
    assert by_s.beta.value == pytest.approx(0.270, abs=0.001)
    # 30 % on <N> is much, and far from symmetric.
    assert by_n.s.ci95[1] - by_n.s.value > 2.5 * (by_n.s.value - by_n.s.ci95[0])
    assert by_n.beta.ci95[0] < 0.27 < by_n.beta.ci95[1]


def test_the_error_of_the_given_n_is_carried_into_beta(paper):
    run, sample = paper
    betas = []
    for mean_n in (0.49, 0.5, 0.51):
        exact = calibrate([replace(run, mean_n=mean_n, mean_n_relative_error=0.0)], sample).s_at_given_n
        betas.append(exact.beta)
    # By moving <N> itself: the slope, and with it the part of an error of 10 %.
    slope = (betas[2].value - betas[0].value) / 0.02
    carried = calibrate([replace(run, mean_n_relative_error=0.1)], sample).s_at_given_n.beta
    assert carried.value == pytest.approx(betas[1].value, abs=1e-6)
    assert carried.stderr == pytest.approx(math.hypot(0.1 * 0.5 * slope, betas[1].stderr), rel=0.02)


def test_eta_goes_by_the_factor_of_the_calibrated_n(paper):
    run, sample = paper
    way = calibrate([run], sample).n_at_given_s
    assert way.scale.value == pytest.approx(way.mean_n[0].value / 0.5, rel=1e-6)
    wanted = apparent_beta(way.eta.value, 0.1 * way.scale.value)
    assert wanted == pytest.approx(way.beta.value, abs=1e-9)


def test_the_gradient_is_that_of_the_deviance(truth):
    decay = truth(photons=20_000, beta=0.25)
    run = run_of(decay.draw(np.random.default_rng(1)), decay)
    joint = Joint((run.refit, run.refit), (0, 1), (0.5, 0.3), (0.2, None), run.refit)
    phi = joint.start(3.5, [1.1, 0.9])
    _, gradient, information = joint.evaluate(phi)
    scale = 1.0 / np.sqrt(information.diagonal() + 1e-300)
    for k in np.flatnonzero(information.diagonal() > 0.0):
        step = np.zeros_like(phi)
        step[k] = 1e-3 * scale[k]
        slope = (joint.evaluate(phi + step)[0] - joint.evaluate(phi - step)[0]) / (2.0 * step[k])
        assert slope * scale[k] == pytest.approx(gradient[k] * scale[k], abs=2e-4)


TRUE_S, TRUE_N = 2.8, 0.5


@pytest.fixture(scope="module")
def simulated(truth):
    """48 particles with s = 2.8: <N> is given with an error of 10 %, drawn anew for each."""
    found = []
    control = truth(
        photons=100_000,
        beta=apparent_beta(0.0, TRUE_N),
        s=TRUE_S,
        tau_x_s=46.4 * NS,
        tau_xx_s=3.3 * NS,
        period_s=200 * NS,
    )
    ultraviolet = truth(photons=100_000, beta=0.4, s=TRUE_S)
    starts = [fitted(decay.expected(), decay)[0].start for decay in (control, ultraviolet)]
    for seed in range(48):
        rng = np.random.default_rng(seed)
        # A given value n with the relative error e: the true one is n (1 + e z).
        given = TRUE_N / (1.0 + 0.1 * rng.standard_normal())
        run = run_of(control.draw(rng), control, given, 0.1, starts[0])
        sample = sample_of(ultraviolet.draw(rng), ultraviolet, starts[1], s=TRUE_S)
        found.append(calibrate([run], sample))
    return found


@pytest.mark.parametrize(("name", "true"), [("s", TRUE_S), ("beta", 0.4)])
def test_intervals_at_the_given_n_cover_the_truth(simulated, name, true):
    for level, share in (("ci68", 0.683), ("ci95", 0.95)):
        inside = 0
        for found in simulated:
            low, high = getattr(getattr(found.s_at_given_n, name), level)
            inside += low <= true and (high is None or true <= high)
        sigma = math.sqrt(share * (1.0 - share) / len(simulated))
        assert inside / len(simulated) == pytest.approx(share, abs=3.0 * sigma)


def test_n_at_the_given_s_is_unbiased_and_covered(simulated):
    means = [found.n_at_given_s.mean_n[0] for found in simulated]
    values, errors = (np.array([getattr(mean, k) for mean in means]) for k in ("value", "stderr"))
    pulls = (values - TRUE_N) / errors
    assert abs(pulls.mean()) < 3.0 / math.sqrt(len(pulls))
    assert 0.75 < pulls.std() < 1.25
    inside = np.mean([mean.ci68[0] <= TRUE_N <= mean.ci68[1] for mean in means])
    assert inside == pytest.approx(0.683, abs=3.0 * math.sqrt(0.683 * 0.317 / len(means)))


def series(truth, powers, alpha, s=4.0):
    """Noiseless runs of a power series, <N> = alpha * power."""
    runs = []
    for power in powers:
        decay = truth(photons=10**6, beta=apparent_beta(0.0, alpha * power), s=s, period_s=200 * NS)
        runs.append((decay.expected(), decay, alpha * power))
    return runs


def test_a_power_series_has_one_alpha(truth, paper):
    _, sample = paper
    parts = series(truth, (2e-9, 6e-9, 12e-9), 5e7)
    powers = [n / 5e7 for _, _, n in parts]
    # <N> of the first alone is known, and wrongly: 0.13 for 0.1.
    runs = [
        run_of(counts, decay, 0.13 if k == 0 else None, power_w=power, excitation_nm=640.0)
        for k, ((counts, decay, _), power) in enumerate(zip(parts, powers, strict=True))
    ]
    found = calibrate(runs, sample)
    assert found.warnings[:-1] == ()
    for mean, (_, _, true) in zip(found.n_at_given_s.mean_n, parts, strict=True):
        assert mean.value == pytest.approx(true, rel=1e-3)
    assert found.n_at_given_s.scale.value == pytest.approx(1.0 / 1.3, rel=1e-3)
    ratios = [mean.value / power for mean, power in zip(found.s_at_given_n.mean_n, powers, strict=True)]
    assert ratios == pytest.approx([ratios[0]] * 3)
    # Runs whose powers are not those of their decays do not go together, which is said.
    wrong = [*runs[:2], replace(runs[2], power_w=3e-9)]
    assert "do not share lifetimes and <N> in proportion to the power" in calibrate(wrong, sample).warnings[0]
    # Without a power each run has its own <N>.
    own = calibrate([*runs[:2], replace(runs[2], power_w=None)], sample).n_at_given_s
    assert own.mean_n[2].value == pytest.approx(0.6, rel=1e-3)


def test_errors_of_n_are_common_to_the_runs_of_one_nanocrystal(truth, paper):
    _, sample = paper
    (counts, decay, true), *_ = series(truth, (10e-9,), 5e7)
    one = run_of(counts, decay, true, 0.2)
    alone, twice = calibrate([one], sample).s_at_given_n, calibrate([one, one], sample).s_at_given_n
    # A second run halves what the photons leave open, and nothing of what <N> does.
    assert twice.s.stderr == pytest.approx(alone.s.stderr, rel=0.02)
    assert alone.s.stderr > 0.5


def test_more_photons_a_pulse_than_two_levels_can_count_are_noticed(truth, paper):
    _, sample = paper
    for mean_n in (1.2, 15.0):
        decay = truth(photons=10**6, beta=min(0.9, apparent_beta(0.0, mean_n)), period_s=200 * NS)
        found = calibrate([run_of(decay.expected(), decay, mean_n)], sample)
        assert f"<N> = {max(mean_n, found.n_at_given_s.mean_n[0].value):.3g}" in found.warnings[-1]
        assert "counts only two" in found.warnings[-1]


def test_without_n_there_is_no_s_but_n(paper):
    run, sample = paper
    found = calibrate([replace(run, mean_n=None)], sample)
    assert "<N> of none of the runs is known" in found.s_at_given_n.reason
    assert found.n_at_given_s.mean_n[0].value == pytest.approx(0.256, abs=0.001)
    assert found.n_at_given_s.scale is None


def test_runs_without_a_fast_component_calibrate_nothing(truth, paper):
    _, sample = paper
    decay = truth(photons=50_000, share_xx=0.0)
    found = calibrate([run_of(decay.draw(np.random.default_rng(3)), decay, 0.1)], sample)
    assert "none of the runs shows a fast component" in found.s_at_given_n.reason
    assert found.n_at_given_s.reason == found.s_at_given_n.reason


def test_a_sample_with_one_component_has_s_but_no_beta(truth, paper):
    run, _ = paper
    decay = truth(photons=50_000, share_xx=0.0)
    way = calibrate([run], sample_of(decay.draw(np.random.default_rng(3)), decay)).s_at_given_n
    assert way.s is not None
    assert (way.beta, way.beta_reason) == (None, "no beta: one component suffices")


def test_an_s_that_the_given_n_excludes_is_noticed(paper):
    run, sample = paper
    *_, warning = calibrate([replace(run, mean_n_relative_error=0.1)], sample).warnings
    assert warning == "s = 4 and the given <N> exclude each other at 95 %: the runs put s at 2.65"


def test_another_nanocrystal_is_noticed(paper):
    run, sample = paper
    (warning,) = calibrate([run], sample).warnings
    assert "differ in tau_x 46.8 and 46.4 ns, tau_xx 3.6 and 3.3 ns" in warning


@pytest.mark.parametrize("solve_s", [True, False])
def test_the_cascade_is_found_that_reads_as_the_run(paper, truth, solve_s):
    read = reading(Cascade(46.4 * NS, 3.3 * NS), 0.5, 0.0, 200 * NS, 0.1 * NS, width_fitted=True)
    decay = truth(
        photons=10**7, beta=read.beta, tau_x_s=read.tau_x_s, tau_xx_s=read.tau_xx_s, period_s=200 * NS
    )
    run = run_of(decay.expected(), decay, 0.5)
    start = (4.7, 0.5) if solve_s else (4.0, 0.63)
    assert solve(run, *start, 1.0, solve_s=solve_s) == pytest.approx((4.0, 0.5), rel=2e-3)
    _, sample = paper
    found = with_cascade(calibrate([run], sample), (run,), sample)
    assert found.s_at_given_n.s.value == pytest.approx(4.7, abs=0.1)
    assert found.s_at_given_n.cascade.s == pytest.approx(4.0, abs=0.01)
    assert found.n_at_given_s.cascade.mean_n == pytest.approx(0.5, abs=0.002)
