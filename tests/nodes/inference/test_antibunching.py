"""g2(0) and its interval, the centre, the pulse that a photon belongs to: against chance itself and by hand."""

import numpy as np
import pytest

from photonstream.nodes.inference.antibunching import (
    Centre,
    blind,
    cascade_yield_ratio,
    corrected,
    delay_phase,
    find_centre,
    ratio,
    side_peaks,
    verdict,
    yield_ratio,
)
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.pair_peaks import own_pulse, peaks

PERIOD_S = 160e-9
STARTS_S = np.arange(16) * 10e-9


def test_ratio_and_its_error():
    found = ratio(100, 4000, 10)
    assert found.value == 0.25
    assert found.stderr == pytest.approx(0.25 * np.sqrt(1 / 100 + 1 / 4000))
    assert found.ci68 == pytest.approx((0.25 - 0.0255, 0.25 + 0.0275), abs=1.5e-3)
    assert ratio(5, 0, 10) is None


def test_no_pair_in_the_centre_still_has_an_upper_limit():
    found = ratio(0, 3680, 10)
    assert (found.value, found.stderr, found.ci95[0]) == (0.0, None, 0.0)
    # With none seen a Poisson mean is below 3.69 at 97.5 %.
    assert found.ci95[1] == pytest.approx(3.689 / 368, rel=0.01)


@pytest.mark.parametrize(("g2", "level"), [(0.03, 30), (0.5, 20), (1.7, 50)])
def test_the_intervals_hold_what_they_promise(g2, level):
    rng = np.random.default_rng(5)
    draws = [ratio(int(rng.poisson(g2 * level)), int(rng.poisson(10 * level)), 10) for _ in range(600)]
    within68 = np.mean([d.ci68[0] <= g2 <= d.ci68[1] for d in draws])
    within95 = np.mean([d.ci95[0] <= g2 <= d.ci95[1] for d in draws])
    # Exact intervals cover at least what they say, more where counts are few.
    assert 0.68 - 0.05 < within68 < 0.95
    assert within95 > 0.95 - 0.025


def test_a_dip_and_a_peak_stand_out_and_chance_does_not():
    flat = np.full(21, 40)
    assert find_centre(np.where(np.arange(21) == 12, 3, flat)) == Centre(12, "dip")
    assert find_centre(np.where(np.arange(21) == 7, 90, flat)) == Centre(7, "peak")
    assert find_centre(np.zeros(21, np.int64)) == Centre(10, "not found")
    rng = np.random.default_rng(2)
    for mean in (0.3, 5, 200):
        found = [find_centre(rng.poisson(mean, 21)) for _ in range(500)]
        assert sum(centre.found != "not found" for centre in found) <= 6
        assert all(centre.index == 10 for centre in found if centre.found == "not found")


def test_side_peaks_are_far_from_the_centre():
    assert np.flatnonzero(~side_peaks(21, 10)).tolist() == list(range(5, 16))
    assert np.flatnonzero(side_peaks(21, 17)).tolist() == list(range(12))


def test_peaks_that_lack_pairs_are_noticed():
    dead_time = np.array([344, 332, 214, 2, 0, 0, 0, 0, 0, 8, 247, 323, 326])
    assert blind(dead_time, 6).tolist() == [3, 4, 5, 7, 8, 9]
    assert not blind(np.array([50, 45, 33, 5, 31, 49, 55]), 3).size
    assert not blind(np.array([2, 0, 3, 0, 1, 2, 1]), 3).size


def test_background_dilutes():
    # Half the pairs are of two signal photons, which never come together.
    found = corrected(Estimate(0.5, 0.1, (0.4, 0.6), (0.3, 0.7)), Estimate(0.5, 0.0))
    assert found.value == pytest.approx(0.0)
    assert found.ci95 == pytest.approx((-0.4, 0.4))
    wider = corrected(Estimate(0.5, 0.1, (0.4, 0.6), (0.3, 0.7)), Estimate(0.5, 0.1))
    # d/d(rho^2) of (g - 1)/rho^2 is 2 here.
    assert wider.stderr == pytest.approx(np.hypot(0.2, 0.2))


def test_the_words_follow_the_interval():
    def with_ci95(low, high):
        return Estimate(0.5 * (low + high), None, None, (low, high))

    assert verdict(with_ci95(0.0, 0.29)) == "consistent with one emitter"
    assert verdict(with_ci95(0.31, 0.6)) == "more than one"
    assert verdict(with_ci95(0.1, 0.5)) == "too few pairs"
    assert verdict(None) == "too few pairs"


@pytest.mark.parametrize(("mean_n", "r"), [(0.1, 0.306), (0.5, 0.1), (0.02, 0.9)])
def test_yield_ratio_inverts_the_formula(mean_n, r):
    p, b = -np.expm1(-mean_n), 1 - mean_n / np.expm1(mean_n)
    g2 = 2 * b * r / (p * (1 + b * r) ** 2)
    found = yield_ratio(Estimate(g2, 0.01, (g2 - 0.01, g2 + 0.01), (g2 - 0.02, g2 + 0.02)), mean_n)
    assert found.value == pytest.approx(r)
    assert found.ci95[0] < found.ci68[0] < r < found.ci68[1] < found.ci95[1]
    assert yield_ratio(Estimate(50.0, 1.0, (49.0, 51.0), (48.0, 52.0)), mean_n) is None


@pytest.mark.parametrize("leftover", [0.0014, 0.05])
def test_excitons_that_were_left_over_are_no_yield(leftover):
    """Of a pulse that absorbs once a share finds an exciton: by hand, and the cascade where more than two are rare."""
    mean_n, r = 0.02, 0.3
    p, b = -np.expm1(-mean_n), 1 - (1 - leftover) * mean_n / np.expm1(mean_n)
    g2 = 2 * b * r / (p * (1 + b * r) ** 2)
    estimate = Estimate(g2, 0.01, (g2 - 0.01, g2 + 0.01), (g2 - 0.02, g2 + 0.02))
    assert yield_ratio(estimate, mean_n, leftover).value == pytest.approx(r)
    assert yield_ratio(estimate, mean_n).value > (1 + 0.8 * leftover / mean_n) * r
    assert cascade_yield_ratio(g2, mean_n, 4.0, leftover) == pytest.approx(r, rel=0.01)


def test_the_phase_of_repeating_peaks():
    rng = np.random.default_rng(3)
    delays_s = rng.integers(-5, 5, 20_000) * PERIOD_S + rng.laplace(-13e-9, 8e-9, 20_000)
    counts = np.histogram(delays_s, np.arange(-1000, 1001) * 1e-9)[0]
    found = delay_phase(counts, -1e-6, 1e-9, PERIOD_S)
    assert abs(found.value + 13e-9) < 4 * found.stderr
    assert found.stderr < 0.3e-9
    flat = rng.multinomial(500, np.full(2000, 1 / 2000))
    assert delay_phase(flat, -1e-6, 1e-9, PERIOD_S) is None


def decay(peak, tail=5):
    """Photons by class of a pulse in class ``peak`` whose decay runs ``tail`` classes on, into the next period."""
    photons = np.zeros(16, np.int64)
    photons[(peak + np.arange(tail + 1)) % 16] = 1000 >> np.arange(tail + 1)
    return photons


def test_photons_keep_or_change_their_pulse_by_where_the_decay_begins():
    early = own_pulse(decay(0), STARTS_S, PERIOD_S)
    assert early.shift.tolist() == [0] * 16
    # A pulse in class 13: classes 0 to 2 are the tail of the pulse before.
    assert own_pulse(decay(13), STARTS_S, PERIOD_S).shift.tolist() == [-1] * 13 + [0] * 3
    # Rarest just before a pulse that stands at the very end of the period, whose photons spill over it.
    late = decay(15)
    late[0] = 2000
    assert own_pulse(late, STARTS_S, PERIOD_S).shift.tolist() == [0] * 15 + [1]


@pytest.mark.parametrize("t0_ns", [0.1, 3.0, 100.0, 145.0, 149.5, 151.0, 155.0, 158.0, 159.9])
def test_late_classes_are_late_wherever_the_pulse_stands(t0_ns):
    """A decay of 46.8 ns, its photons by class; late are all but the one with the pulse, and the first after it."""
    after_ns = np.arange(0.0, PERIOD_S * 1e9, 0.01)
    places = np.floor((t0_ns + after_ns) % (PERIOD_S * 1e9) / (PERIOD_S * 1e9) * 16.0).astype(int) % 16
    photons = np.bincount(places, 1e3 * np.exp(-after_ns / 46.8), 16).astype(np.int64)
    late = own_pulse(photons, STARTS_S, PERIOD_S).late(t0_ns * 1e-9, 19.5e-9)
    starts_after_ns = (STARTS_S * 1e9 - t0_ns) % (PERIOD_S * 1e9)
    truly = (starts_after_ns >= 19.5) & (starts_after_ns <= PERIOD_S * 1e9 * 15 / 16)
    assert late.tolist() == truly.tolist()


def test_pairs_of_one_pulse_meet_at_separation_zero_wherever_the_pulse_stands():
    # The photon of the higher channel came after the next sync: counted at +1, but of the same pulse.
    classes = np.zeros((7, 16, 16), np.int64)
    classes[3 + 1, 14, 1] = 5
    classes[3 + 0, 14, 15] = 7
    classes[3 - 2, 0, 14] = 2
    own = own_pulse(decay(13), STARTS_S, PERIOD_S)
    # The last pair is one at -1; the outermost separation at either side is not complete and left out.
    assert peaks(classes, own, own).tolist() == [0, 2, 12, 0, 0]
    early_on_low = peaks(classes, own, own, np.arange(16) < 13, None)
    assert early_on_low.tolist() == [0, 2, 0, 0, 0]


def test_late_classes_count_from_the_pulse():
    own = own_pulse(decay(13), STARTS_S, PERIOD_S)
    late = own.late(131e-9, 40e-9)
    # 131 + 40 = 171 ns, 11 into the next period: classes 2 (20 ns) to 12.
    assert np.flatnonzero(late).tolist() == list(range(2, 13))
    assert not own.late(131e-9, 150e-9).any()
