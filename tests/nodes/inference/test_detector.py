"""What detectors do, by hand: windows, losses of independent and of one emitter's photons, afterpulses."""

import numpy as np
import pytest

from photonstream.nodes.inference.detector import (
    Detector,
    Emission,
    afterpulses,
    emitter_efficiency,
    independent_efficiency,
    pair_window_s,
    recorded_before,
)

EDGES_S = np.arange(5) * 1e-9
PERIOD_S = 4e-9
PER_PULSE = np.array([0.1, 0.2, 0.0, 0.4])


def test_counts_per_pulse_up_to_a_time_run_on_over_the_periods():
    times_s = np.array([0.0, 0.5e-9, 1.5e-9, 4e-9, 4.5e-9, 8e-9, -0.5e-9, -4e-9])
    expected = [0.0, 0.05, 0.2, 0.7, 0.75, 1.4, -0.2, -0.7]
    np.testing.assert_allclose(recorded_before(PER_PULSE, EDGES_S, PERIOD_S, times_s), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("detector", "lost"),
    [
        # All that came since the sync, and half of the photon's own bin.
        (Detector(pile_up=True), [0.05, 0.2, 0.3, 0.5]),
        # One bin back: half of the bin before and half of the own; the first one reaches into the last period.
        (Detector(dead_time_s=1e-9), [0.2 + 0.05, 0.05 + 0.1, 0.1, 0.2]),
        # Two periods more: twice 0.7.
        (Detector(dead_time_s=9e-9), [1.65, 1.55, 1.5, 1.6]),
        # Both: whichever reaches further back.
        (Detector(dead_time_s=1e-9, pile_up=True), [0.25, 0.2, 0.3, 0.5]),
        (Detector(), [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_a_photon_is_lost_if_its_window_holds_another(detector, lost):
    found = independent_efficiency(detector, PER_PULSE, EDGES_S, PERIOD_S)
    np.testing.assert_allclose(found, 1.0 - np.array(lost), atol=1e-12)


def test_one_photon_per_sync_of_poisson_light_is_undone_at_any_brightness():
    edges_s = np.linspace(0.0, 100e-9, 2001)
    middle_s = 0.5 * (edges_s[1:] + edges_s[:-1])
    due = np.exp(-middle_s / 20e-9)
    due *= 2.0 / due.sum()
    # The first of a Poisson number of photons: nothing before it, something in the bin.
    before = np.cumsum(due) - due
    recorded = np.exp(-before) * -np.expm1(-due)
    efficiency = independent_efficiency(Detector(pile_up=True), recorded, edges_s, 100e-9)
    np.testing.assert_allclose(recorded / efficiency, due, rtol=2e-4)


def test_a_steady_light_loses_what_a_dead_time_takes():
    # Rate measured with a dead time that lost photons do not prolong: true/(1 + true * dead time).
    rate_hz, dead_time_s = 5e6, 130e-9
    edges_s = np.linspace(0.0, 100e-9, 101)
    recorded_hz = rate_hz / (1.0 + rate_hz * dead_time_s)
    per_pulse = np.full(100, recorded_hz * 1e-9)
    found = independent_efficiency(Detector(dead_time_s=dead_time_s), per_pulse, edges_s, 100e-9)
    np.testing.assert_allclose(recorded_hz / found, rate_hz, rtol=1e-12)


def emission(**changes):
    nothing = np.zeros(4)
    parts = {"own": PER_PULSE, "other": nothing, "pulse_s": 0.0, "pairs": nothing, "pairs_late": nothing}
    return Emission(**{**parts, **changes})


def test_one_photon_at_a_time_is_never_lost_to_its_own_pulse():
    detector = Detector(pile_up=True)
    independent = independent_efficiency(detector, PER_PULSE, EDGES_S, PERIOD_S)
    found = emitter_efficiency(detector, emission(), PER_PULSE, independent, EDGES_S, PERIOD_S)
    # The empty bin has no photon to lose and takes what independence says.
    np.testing.assert_allclose(found, [1.0, 1.0, independent[2], 1.0])


def test_the_second_photon_of_a_pulse_is_lost_within_the_window():
    detector = Detector(pile_up=True)
    independent = independent_efficiency(detector, PER_PULSE, EDGES_S, PERIOD_S)
    pairs, late = np.array([0.0, 0.05, 0.0, 0.08]), np.array([0.0, 0.0, 0.0, 0.04])
    given = emission(pairs=pairs, pairs_late=late)
    found = emitter_efficiency(detector, given, PER_PULSE, independent, EDGES_S, PERIOD_S)
    np.testing.assert_allclose(found[[0, 1, 3]], [1.0, 0.75, 0.9])


def test_the_last_photon_of_the_pulse_before_hides_the_first_of_this_one():
    detector = Detector(dead_time_s=1e-9)
    independent = independent_efficiency(detector, PER_PULSE, EDGES_S, PERIOD_S)
    found = emitter_efficiency(detector, emission(), PER_PULSE, independent, EDGES_S, PERIOD_S)
    np.testing.assert_allclose(found[[0, 1, 3]], [0.8, 1.0, 1.0])
    # With the pulse in the second bin, the counts before it are of the pulse before.
    late = emission(pulse_s=1e-9)
    found = emitter_efficiency(detector, late, PER_PULSE, independent, EDGES_S, PERIOD_S)
    np.testing.assert_allclose(found[[1, 3]], [0.95, 1.0])


def test_background_hides_an_emitters_photons_and_they_hide_it():
    detector = Detector(pile_up=True)
    own, other = np.array([0.2, 0.0, 0.1, 0.0]), np.array([0.0, 0.1, 0.0, 0.1])
    independent = independent_efficiency(detector, own + other, EDGES_S, PERIOD_S)
    found = emitter_efficiency(
        detector, emission(own=own, other=other), own + other, independent, EDGES_S, PERIOD_S
    )
    np.testing.assert_allclose(found, [1.0, 0.75, 1.0 - 0.1 * 0.75, 1.0 - 0.2 - 0.1 - 0.1 - 0.05])


@pytest.mark.parametrize(
    ("detector", "pulse_ns", "window_ns"),
    [
        (Detector(dead_time_s=25e-9), 3.0, 25.0),
        (Detector(pile_up=True), 3.0, 97.0),
        (Detector(pile_up=True), 103.0, 97.0),
        (Detector(dead_time_s=250e-9, pile_up=True), 3.0, 250.0),
    ],
)
def test_the_window_behind_a_first_photon(detector, pulse_ns, window_ns):
    assert pair_window_s(detector, pulse_ns * 1e-9, 100e-9) == pytest.approx(window_ns * 1e-9)


FINE_S = np.linspace(0.0, 100e-9, 1001)


def peak(at, counts=1000.0):
    row = np.zeros(1000)
    row[at] = counts
    return row


def test_afterpulses_follow_after_the_dead_time():
    detector = Detector(dead_time_s=20e-9, afterpulsing=0.05, afterpulse_s=10e-9)
    extra = afterpulses(detector, peak(100), np.ones(1000), FINE_S, 100e-9)
    assert extra.sum() == pytest.approx(50.0)
    assert extra[:100].max() < 0.1
    assert np.argmax(extra) in (300, 301)
    # Between 30 and 40 ns comes 1 - 1/e of them, between 40 and 50 ns that less by 1/e.
    assert extra[300:400].sum() == pytest.approx(50.0 * (1 - np.exp(-1)), rel=0.01)
    assert extra[400:500].sum() == pytest.approx(50.0 * (1 - np.exp(-1)) * np.exp(-1), rel=0.01)


def test_slow_afterpulses_are_flat_and_late_ones_wrap():
    slow = Detector(dead_time_s=20e-9, afterpulsing=0.05, afterpulse_s=10e-6)
    np.testing.assert_allclose(afterpulses(slow, peak(100), np.ones(1000), FINE_S, 100e-9), 0.05, rtol=0.01)
    late = Detector(dead_time_s=350e-9, afterpulsing=0.05, afterpulse_s=1e-9)
    extra = afterpulses(late, peak(100), np.ones(1000), FINE_S, 100e-9)
    assert extra[600:650].sum() == pytest.approx(50.0, rel=0.01)


def test_with_one_photon_per_sync_an_afterpulse_needs_another_period():
    detector = Detector(afterpulsing=0.05, afterpulse_s=40e-9, pile_up=True)
    extra = afterpulses(detector, peak(500), np.ones(1000), FINE_S, 100e-9)
    # Of the 50 those that wait for longer than the rest of the period, half of it, are left.
    assert extra.sum() == pytest.approx(50.0 * np.exp(-49.95 / 40.0), rel=1e-3)
    assert extra[0] == pytest.approx(extra[500] * np.exp(50.0 / 40.0), rel=1e-2)
    blind = afterpulses(detector, peak(500), np.full(1000, 0.5), FINE_S, 100e-9)
    np.testing.assert_allclose(blind, 0.5 * extra)


def test_no_photons_have_no_afterpulses():
    detector = Detector(afterpulsing=0.05)
    assert not afterpulses(detector, np.zeros(1000), np.ones(1000), FINE_S, 100e-9).any()


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"dead_time_s": -1e-9}, "dead_time_s is -1e-09"),
        ({"dead_time_s": float("nan")}, "dead_time_s is nan"),
        ({"dead_time_s": 25.0}, "not from 0 to 1 ms"),
        ({"dead_time_s": "25ns"}, "dead_time_s is '25ns': not a number"),
        ({"dead_time_s": True}, "dead_time_s is True: not a number"),
        ({"pile_up": 1}, "pile_up is 1"),
        ({"pile_up": "yes"}, "true or false"),
        ({"afterpulsing": 5}, "not a probability"),
        ({"afterpulsing": 0.01, "afterpulse_s": 0.0}, "afterpulse_s is 0.0"),
    ],
)
def test_figures_that_cannot_be_are_refused(figures, words):
    with pytest.raises(ValueError, match=words):
        Detector(**figures)
