"""What moves beta beside the photons' statistics: each part against the shift of a decay that has it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.inference.beta import apparent_beta, beta_from_amplitudes, eta_from_beta
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.inference.contamination import Contaminant, contaminants, foreign_shares
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import DecayFit, without_errors
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import GaussianIrf, MeasuredIrf
from photonstream.nodes.inference.own_delays import LeftOut, part_of
from photonstream.nodes.inference.rows import label_of
from photonstream.nodes.inference.selection_parts import OWN_DELAYS
from photonstream.nodes.inference.systematics import HELD, HIGHER, LEFTOVER, WEAK, systematics
from photonstream.nodes.simulate.emission import PHASES, TAG_BITS
from photonstream.nodes.simulate.parameters import Detector, SimulationParameters
from photonstream.nodes.simulate.run import Source

OPTIONS = FitOptions(irf=GaussianIrf(0.1e-9), intervals=False, mean_n=0.1)
CONTAMINATION = "other states in the selection"
IRF = "width of the instrument response"


def data_of(counts, decay):
    return DecayData(np.rint(counts).astype(np.int64)[None], decay.bin_s, decay.period_s)


def parts_of(data, options, others="not asked"):
    """The fit, and its parts of beta and eta by their source."""
    fit = fit_decay(data, options)
    parts = systematics(data, options, fit, others)
    return fit, {part.source: part for part in parts if part.quantity in ("beta", "eta")}


@pytest.fixture(scope="module")
def clean(truth):
    decay = truth(photons=10**6)
    return decay, data_of(decay.expected(), decay)


def trion(decay, quantum_yield, lifetime_s, truth):
    """Decay of the charged state in as much time: single excitons are trions, biexcitons go on as before."""
    fast, s = decay.tau_xx_s / decay.tau_x_s, decay.s
    per_pulse = 1.0 + s * decay.beta * fast
    light = replace(decay, background=0.0)
    single = replace(
        light,
        share_xx=0.0,
        tau_x_s=lifetime_s,
        photons=decay.photons * (1.0 - decay.beta) * quantum_yield / per_pulse,
    )
    double = replace(
        light,
        share_xx=truth(beta=1.0).photon_share_xx,
        photons=decay.photons * decay.beta * (1.0 + s * fast) / per_pulse,
    )
    return single.expected() + double.expected()


@pytest.mark.parametrize(("quantum_yield", "lifetime_ns"), [(0.85, 19.9), (0.45, 10.5), (0.2, 4.7)])
def test_contamination_is_found_by_doubling_it(truth, clean, quantum_yield, lifetime_ns):
    decay, _ = clean
    other = trion(decay, quantum_yield, lifetime_ns * 1e-9, truth)
    mixed = data_of(0.95 * decay.expected() + 0.05 * other, decay)
    counts = np.rint(other).astype(np.int64)[None]
    fit, parts = parts_of(mixed, OPTIONS, [Contaminant(counts, 0.05, 0.05, 0.01)])
    shift = fit.beta.value - decay.beta
    assert shift > 0.004
    assert parts[CONTAMINATION].shift == pytest.approx(shift, rel=0.1)
    assert parts[CONTAMINATION].sigma == pytest.approx(0.2 * parts[CONTAMINATION].shift)
    assert "5 % of the selected time is another state's, give or take 1 %" in parts[CONTAMINATION].how
    by_quantity = {
        part.quantity: part
        for part in systematics(mixed, OPTIONS, fit, [Contaminant(counts, 0.05, 0.05, 0.01)])
        if part.source == CONTAMINATION
    }
    assert by_quantity["beta"] == parts[CONTAMINATION]
    for name, true in (("tau_x_s", decay.tau_x_s), ("tau_xx_s", decay.tau_xx_s)):
        found = getattr(fit, name)
        # As far as the second 5 % do what the first did.
        assert by_quantity[name].shift == pytest.approx(found.value - true, rel=0.25, abs=0.2 * found.stderr)
        assert by_quantity[name].sigma == pytest.approx(0.2 * abs(by_quantity[name].shift))


def test_the_same_shift_from_the_rows_of_a_run(truth, clean):
    decay, _ = clean
    other = trion(decay, 0.45, 10.5e-9, truth)
    # 20 s neutral, of which 1 s is the trion's in truth; 4 s were found as trion.
    selected = 20.0 * (0.95 * decay.expected() + 0.05 * other)
    counts = np.rint([selected, 4.0 * other]).astype(np.int64)[:, None, :]
    rows = {"labels": label_of(np.array([7, 5]), np.array([1, 2]), np.array([1, 2])), "counts": counts}
    shares = np.zeros(8)
    shares[2] = 0.05
    selection = {
        "contamination": shares,
        "contamination_error": 0.2 * shares,
        "on_time_s": 20.0,
        "states": [{"state": 1, "time_s": 20.0}, {"state": 2, "time_s": 4.0}],
    }
    (found,) = contaminants(rows, selection)
    assert (found.part, found.share) == (pytest.approx(0.25), 0.05)
    data = DecayData(counts[0], decay.bin_s, decay.period_s)
    fit, parts = parts_of(data, OPTIONS, contaminants(rows, selection))
    assert parts[CONTAMINATION].shift == pytest.approx(fit.beta.value - decay.beta, rel=0.1)


def test_what_is_not_known_has_no_number(clean):
    _, data = clean
    unknown = {"contamination": None, "contamination_reason": "a window of rates does not say"}
    _, parts = parts_of(data, OPTIONS, contaminants({}, unknown))
    assert (parts[CONTAMINATION].shift, parts[CONTAMINATION].sigma) == (None, None)
    assert "window of rates" in parts[CONTAMINATION].how
    assert (parts["t0"].shift, parts["t0"].sigma) == (None, None)
    assert "inside the statistical error" in parts["t0"].how
    # One state that was found beside, and no photon in it.
    empty = {
        "contamination": np.eye(8)[2],
        "contamination_error": np.eye(8)[2],
        "on_time_s": 1.0,
        "states": [],
    }
    rows = {"labels": label_of(np.array([7]), np.array([1]), np.array([1])), "counts": np.ones((1, 1, 4))}
    assert "no photons of another state" in contaminants(rows, empty)


def test_bins_judged_without_their_own_photons_tell_what_the_choice_by_these_may_do(truth, clean):
    decay, data = clean
    other = trion(decay, 0.85, 19.9e-9, truth)
    fit, left_out = (
        fit_decay(data_of(c, decay), OPTIONS)
        for c in (decay.expected(), 0.9 * decay.expected() + 0.1 * other)
    )
    found = {}
    for part in (1.0, 0.25):
        rows = systematics(data, OPTIONS, fit, "not asked", LeftOut(left_out, part))
        found[part] = {each.quantity: each for each in rows if each.source == OWN_DELAYS}
        assert list(found[part]) == ["beta", "tau_x_s"]
    tau_x_s = fit.tau_x_s.value - left_out.tau_x_s.value
    assert tau_x_s > 1e-9
    assert found[1.0]["tau_x_s"].sigma == pytest.approx(tau_x_s)
    assert found[0.25]["tau_x_s"].sigma == pytest.approx(0.25 * tau_x_s)
    assert found[1.0]["beta"].sigma == pytest.approx(abs(fit.beta.value - left_out.beta.value))
    assert "25 % of the difference" in found[0.25]["beta"].how
    assert not [part for part in systematics(data, OPTIONS, fit, "not asked") if part.source == OWN_DELAYS]


def test_a_figure_depends_on_the_selection_by_its_own_error():
    def fit(beta, tau_x_ns, reason=""):
        return DecayFit(
            "bi",
            "",
            1,
            0,
            tau_x_s=Estimate(1e-9 * tau_x_ns, 0.17e-9),
            beta=None if beta is None else Estimate(beta, 0.005),
            beta_reason=reason,
        )

    # Flicker of 5 and 3 ms: beta is as good, tau_x is not.
    own = fit(0.290, 46.0)
    assert LeftOut(fit(0.2915, 44.4), 1.0).depending(own) == ["tau_x_s"]
    assert LeftOut(fit(0.2915, 46.05), 1.0).depending(own) == []
    assert LeftOut(fit(0.300, 44.4), 0.1).depending(own) == ["tau_x_s"]
    assert LeftOut(fit(None, 46.0, "no beta: why"), 1.0).depending(own) == ["beta"]
    assert LeftOut(fit(0.3, 46.0), 1.0).depending(fit(None, 46.0)) == []


def test_where_bins_tell_much_the_difference_is_not_the_fault_of_the_selection_by_them():
    """Photons of labels as found in simulated recordings; what is selected: 1 of 2 or 3 states."""
    own, left_out = np.array([1, 1, 2, 2, 3]) == 1, np.array([1, 2, 1, 2, 1]) == 1

    def others(photons):
        return (Contaminant(np.array([[100]]), photons / 100.0, 0.01),)

    # 50 and 25 ms at 34 kcps: the difference of beta is .0147, and the choice moved it by .0006.
    fast = np.array([1490987, 2124, 9000, 309835, 18420])
    assert part_of(others(1800), True, fast, own, left_out) == pytest.approx(0.057, abs=0.001)
    # 5 and 3 ms at 38 kcps: the difference of tau_x is 1.6 ns, and the choice moved it by .67.
    quick = np.array([475609, 21163, 24340, 232364, 0])
    assert part_of(others(19700), True, quick, own, left_out) == pytest.approx(0.30, abs=0.01)
    assert part_of(others(19700), False, quick, own, left_out) == 1.0
    assert part_of("not known", True, quick, own, left_out) == 1.0
    assert part_of("not known", True, quick, own, own) == 0.0


def test_shares_of_foreign_states_are_those_of_the_selected_labels():
    # Three model states, of which the first two are one; labels in rows.
    certainty = np.array([[90.0, 2.0, 8.0], [1.0, 97.0, 2.0], [5.0, 5.0, 190.0]])
    on = np.zeros(8, bool)
    on[1] = True
    shares = foreign_shares(certainty, np.array([1, 1, 2]), on)
    assert shares[2] == pytest.approx(10.0 / 200.0)
    assert shares.sum() == pytest.approx(shares[2])
    assert not foreign_shares(np.zeros((3, 3)), np.array([1, 1, 2]), on).any()


@pytest.mark.parametrize("fwhm_ns", [0.1, 0.35])
def test_a_given_width_is_taken_10_percent_either_way(truth, fwhm_ns):
    decay = truth(photons=10**6, fwhm_s=fwhm_ns * 1e-9)
    data = data_of(decay.expected(), decay)
    options = replace(OPTIONS, irf=GaussianIrf(decay.fwhm_s))
    betas = [
        fit_decay(data, replace(options, irf=GaussianIrf(f * decay.fwhm_s))).beta.value for f in (0.9, 1.1)
    ]
    _, parts = parts_of(data, options)
    assert parts[IRF].sigma == pytest.approx(abs(betas[1] - betas[0]) / 2.0, rel=0.01)
    assert "10 %" in parts[IRF].how
    # The same response as a recording of it.
    edges_s = np.arange(401) * 5e-12 - 1e-9
    bell = np.diff(np.cumsum(np.exp(-0.5 * (edges_s / (decay.fwhm_s / 2.3548)) ** 2), dtype=float))
    measured = replace(options, irf=MeasuredIrf((bell / bell.sum())[None], 5e-12))
    _, recorded = parts_of(data, measured)
    assert recorded[IRF].sigma == pytest.approx(parts[IRF].sigma, rel=0.05)


def test_a_fitted_width_is_already_in_the_statistical_error(clean):
    _, data = clean
    fit, parts = parts_of(data, replace(OPTIONS, irf=None))
    assert "already in the statistical error" in parts[IRF].how
    assert 0.0 < parts[IRF].sigma < fit.beta.stderr


def test_what_a_fit_range_holds_moves_beta_as_the_decay_after_its_edge_says(clean):
    """After the edge the model is A exp((t0 - t)/tau) exp(sigma^2/2 tau^2): t0 and width scale the two amplitudes."""
    decay, data = clean
    options = replace(OPTIONS, irf=None)
    whole = fit_decay(data, options)
    fit, parts = parts_of(data, replace(options, fit_range_s=(decay.t0_s + 1e-9, math.inf)))
    assert "t0 and response are those of the whole decay" in fit.reason
    x, xx = 1.0 / fit.tau_x_s.value, 1.0 / fit.tau_xx_s.value
    ratio = fit.amplitude_xx.value / fit.amplitude_x.value

    def by_ln_ratio(step):
        down, up = (beta_from_amplitudes(ratio * math.exp(d), 1.0 / x, 1.0 / xx) for d in (-step, step))
        return 0.5 * abs(up - down)

    t0, width = whole.channels[0].t0_s, whole.channels[0].irf_fwhm_s
    assert parts["t0"].sigma == pytest.approx(by_ln_ratio((xx - x) * t0.stderr), rel=0.02)
    sigma_s, error_s = width.value / 2.35482, width.stderr / 2.35482
    assert parts[IRF].sigma == pytest.approx(by_ln_ratio((xx**2 - x**2) * sigma_s * error_s), rel=0.05)
    assert parts["t0"].how == parts[IRF].how == HELD


def test_s_moves_beta_as_the_formula_says(clean):
    decay, data = clean
    _, parts = parts_of(data, OPTIONS)
    q, rho = decay.photon_share_xx, decay.tau_xx_s / decay.tau_x_s
    betas = [beta_from_amplitudes(q / rho / (1.0 - q), decay.tau_x_s, decay.tau_xx_s, s) for s in (3.5, 4.5)]
    assert parts["s"].sigma == pytest.approx((betas[0] - betas[1]) / 2.0, rel=1e-3)
    assert f"beta {betas[0]:.3g} at s = 3.5" in parts["s"].how


def test_the_part_of_n_is_that_of_eta(clean):
    _, data = clean
    fit, parts = parts_of(data, OPTIONS)
    by_hand = (eta_from_beta(fit.beta.value, 0.07) - eta_from_beta(fit.beta.value, 0.13)) / 2.0
    assert parts["<N>"].quantity == "eta"
    assert parts["<N>"].sigma == pytest.approx(by_hand, rel=1e-3)
    assert "<N>" not in parts_of(data, replace(OPTIONS, mean_n=None))[1]


def test_without_beta_there_are_the_parts_of_the_lifetime(truth):
    decay = truth(photons=50_000, share_xx=0.0)
    data = data_of(decay.draw(np.random.default_rng(1)), decay)
    fit, parts = parts_of(data, OPTIONS)
    assert fit.model == "mono"
    assert parts == {}
    assert {part.quantity for part in systematics(data, OPTIONS, fit, "not asked")} == {"tau_x_s"}
    assert systematics(data, OPTIONS, without_errors(fit), "not asked") == ()


def test_the_selection_moves_the_lifetime_of_a_single_component(truth):
    """3 % of the photons are of a trion of 19.9 ns; the part is what the mixture's fit is off by."""
    decay, rng = truth(photons=20_000, share_xx=0.0), np.random.default_rng(4)
    other = replace(decay, tau_x_s=19.9e-9, background=0.0)
    clean, little, again = decay.draw(rng), replace(other, photons=600).draw(rng), other.draw(rng)
    mixed = data_of(clean + little, decay)
    fit = fit_decay(mixed, OPTIONS)
    assert fit.model == "mono"
    off = fit.tau_x_s.value - fit_decay(data_of(clean, decay), OPTIONS).tau_x_s.value
    others = [Contaminant(again[None], 0.03, 0.03, 0.006)]
    elsewhere = LeftOut(replace(fit, tau_x_s=Estimate(fit.tau_x_s.value - 1e-9, 0.3e-9)), 0.5)
    rows = {part.source: part for part in systematics(mixed, OPTIONS, fit, others, elsewhere)}
    assert {part.quantity for part in rows.values()} == {"tau_x_s"}
    assert off < -0.5e-9
    assert rows[CONTAMINATION].shift == pytest.approx(off, rel=0.15)
    assert rows[CONTAMINATION].sigma == pytest.approx(0.2 * abs(rows[CONTAMINATION].shift))
    assert rows[OWN_DELAYS].sigma == pytest.approx(0.5e-9)


@pytest.mark.parametrize("beta", [0.02, 0.049])
def test_a_fast_component_that_is_not_claimed_pulls_the_lifetime(truth, beta):
    """As at 640 nm and <N> = .1, where one component suffices for few photons: too short by what the row says."""
    decay = truth(photons=10**6, beta=beta, tau_xx_s=3.9e-9)
    data = data_of(decay.expected(), decay)
    fit = fit_decay(data, replace(OPTIONS, mono_bi_threshold=1e6))
    assert fit.model == "mono"
    off = decay.tau_x_s - fit.tau_x_s.value
    assert off > 20.0 * beta * 1e-9
    (part,) = (part for part in systematics(data, OPTIONS, fit, "not asked") if part.source == WEAK)
    assert part.quantity == "tau_x_s"
    assert part.sigma == pytest.approx(off, rel=0.1)
    assert "tau_x would be 46.8 ns" in part.how


def leftover_of(parts):
    return next(part for part in parts if part.source == LEFTOVER)


def beta_of_a_train(eta, mean_n, tau_x_s, tau_xx_s, period_s, s=4.0):
    """Apparent beta of two levels by the balance of one pulse period, written down by hand."""
    survives = math.exp(-period_s / tau_x_s)
    becomes_one = tau_x_s / (tau_x_s - tau_xx_s) * (survives - math.exp(-period_s / tau_xx_s))
    none = math.exp(-mean_n)
    one = (1.0 - eta) * mean_n * none
    two = 1.0 - none - one
    # Left before a pulse: o = survives (one (1 - o) + none o) + becomes_one (two + one o), less than 1e-20 of two.
    left = (survives * one + becomes_one * two) / (1.0 - survives * (none - one) - becomes_one * one)
    n_one, n_two = one * (1.0 - left) + none * left, two + one * left
    slow = n_one + n_two * tau_x_s / (tau_x_s - tau_xx_s)
    fast = n_two * (s - tau_x_s / (tau_x_s - tau_xx_s))
    # What is seen of the slow one in a period is the sum over all earlier pulses.
    return beta_from_amplitudes(fast / (slow * (1.0 - survives)), tau_x_s, tau_xx_s, s)


@pytest.mark.parametrize("periods", [3.0, 4.5, 6.0])
def test_leftovers_are_those_of_the_balance_of_a_period(truth, periods):
    eta, mean_n, tau_x_s, tau_xx_s = 0.257, 0.1, 46.8e-9, 3.6e-9
    period_s = periods * tau_x_s
    single, train = (
        beta_of_a_train(eta, mean_n, tau_x_s, tau_xx_s, each) for each in (40.0 * tau_x_s, period_s)
    )
    assert single == pytest.approx(apparent_beta(eta, mean_n), rel=1e-9)
    decay = truth(photons=10**7, beta=train, period_s=period_s)
    data = data_of(decay.expected(), decay)
    fit = fit_decay(data, OPTIONS)
    part = leftover_of(systematics(data, OPTIONS, fit, "not asked"))
    assert (part.quantity, part.shift) == ("beta", pytest.approx(train - single, rel=0.02))
    # The share of the pulses that find an exciton, to first order.
    assert part.shift == pytest.approx((1.0 - math.exp(-mean_n)) * math.exp(-periods), rel=0.12)
    # Twice as many photons in a pulse find twice as many excitons.
    assert part.sigma == pytest.approx(0.3 * part.shift, rel=0.15)
    unknown = leftover_of(systematics(data, replace(OPTIONS, mean_n=None), fit, "not asked"))
    assert (unknown.shift, unknown.sigma) == (None, None)
    assert "<N> is not known" in unknown.how


def test_leftovers_are_those_of_the_simulator(truth):
    """Photon by photon: pulses that find an exciton make biexcitons of it, three lifetimes after the last one."""
    tau_x_s, tau_xx_s, mean_n, period_s = 46.8e-9, 3.6e-9, 0.5, 140e-9
    perfect = Detector(efficiency=(1.0, 1.0), background_hz=(0.0, 0.0))
    emitter = Cascade(tau_x_s, tau_xx_s, max_excitons=2)
    simulated = SimulationParameters(
        1.0 / period_s, mean_n, 0.0, emitter, None, perfect, duration_s=1.0, seed=3
    )
    events, _ = Source(simulated).until(simulated.pulses)
    phase = (events >> TAG_BITS) & (PHASES - 1)
    bin_s, channel = 80e-12, events & 1
    index = (phase * (period_s / bin_s / PHASES)).astype(np.int64)
    data = DecayData(
        np.stack([np.bincount(index[channel == c], minlength=1750) for c in (0, 1)]), bin_s, period_s
    )
    options = replace(OPTIONS, mean_n=mean_n)
    fit = fit_decay(data, options)
    part = leftover_of(systematics(data, options, fit, "not asked"))
    found = fit.beta.value - apparent_beta(0.0, mean_n)
    assert found > 5.0 * fit.beta.stderr
    assert abs(part.shift - found) < 3.0 * fit.beta.stderr


def test_three_and_more_excitons_shift_what_is_read_of_a_cascade(truth, clean):
    """Against the decay of a cascade: beta 0.326 in place of 0.295, tau_xx 3.4 in place of 3.6 ns."""
    decay, _ = clean
    counts = decay.expected_of(Cascade(46.8e-9, 3.6e-9), 0.1, 0.257)
    fit = fit_decay(data_of(counts, decay), OPTIONS)
    by_quantity = {
        part.quantity: part
        for part in systematics(data_of(counts, decay), OPTIONS, fit, "not asked")
        if part.source == HIGHER
    }
    beta, tau_x, tau_xx = (by_quantity[name] for name in ("beta", "tau_x_s", "tau_xx_s"))
    leftover = leftover_of(systematics(data_of(counts, decay), OPTIONS, fit, "not asked"))
    # Both together are what the decay shows more than two levels and a single pulse: neither is in the other.
    assert beta.shift + leftover.shift == pytest.approx(fit.beta.value - apparent_beta(0.257, 0.1), abs=1e-4)
    assert tau_x.shift == pytest.approx(fit.tau_x_s.value - 46.8e-9, abs=0.02e-9)
    assert tau_x.shift < -0.05e-9
    assert tau_xx.shift == pytest.approx(fit.tau_xx_s.value - 3.6e-9, abs=0.01e-9)
    assert (beta.shift, tau_xx.shift) == pytest.approx((0.031, -0.2e-9), rel=0.15)
    # The third exciton comes with <N>, so 30 % on that is about as much of the shift.
    assert beta.sigma == pytest.approx(0.3 * beta.shift, rel=0.3)
    unknown = systematics(data_of(counts, decay), replace(OPTIONS, mean_n=None), fit, "not asked")
    for part in unknown:
        if part.source == HIGHER:
            assert (part.shift, part.sigma) == (None, None)
            assert "<N> is not known" in part.how
    assert sum(part.source == HIGHER for part in unknown) == 3
