"""Where gates are placed, and the background that a decay is thought to have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.inference.gates import (
    FEWEST_PHOTONS,
    GATE_SHARES,
    GATES,
    NO_GATE,
    Gates,
    background_share,
    gates_of,
    place_gates,
)

CLASSES, PERIOD_NS = 1000, 210.0


def decay(photons, t0, tau_ns=47.0, background=0.0):
    """Expected counts of an exponential that is repeated every period, rounded."""
    delay_ns = (np.arange(CLASSES) - t0) % CLASSES * PERIOD_NS / CLASSES
    shape = np.exp(-delay_ns / tau_ns)
    shape = (1 - background) * shape / shape.sum() + background / CLASSES
    return np.round(photons * shape).astype(np.int64)


def test_gates_follow_the_decay_of_each_channel_from_its_own_t0():
    gates = place_gates(np.array([decay(1e6, 15), decay(2e6, 990, tau_ns=20.0), np.zeros(CLASSES, int)]))
    assert gates.t0 == {0: 15, 1: 990}
    for channel, tau_ns in ((0, 47.0), (1, 20.0)):
        # Of an exponential, exp(-t/tau) is left after t; the period is long enough for that to hold.
        expected_ns = -tau_ns * np.log1p(-np.array(GATE_SHARES) * (1 - np.exp(-PERIOD_NS / tau_ns)))
        np.testing.assert_allclose(
            np.array(gates.edges[channel]) * PERIOD_NS / CLASSES, expected_ns, atol=0.3
        )
    table = gates.table()
    assert (table[2:] == NO_GATE).all()
    assert table[0, 15] == 0
    assert table[0, 14] == GATES - 1
    assert table[1, 989] == GATES - 1
    for channel in (0, 1):
        counts = decay(1e6, gates.t0[channel], (47.0, 20.0)[channel])
        shares = np.bincount(table[channel], counts) / counts.sum()
        np.testing.assert_allclose(np.cumsum(shares)[:-1], GATE_SHARES, atol=0.01)


@given(st.integers(0, CLASSES - 1), st.integers(0, 1000))
def test_gates_turn_with_the_delay_of_the_cable(turn, seed):
    counts = np.random.default_rng(seed).poisson(decay(20_000, 100))
    here, there = place_gates(counts[None]), place_gates(np.roll(counts, turn)[None])
    assert there.t0[0] == (here.t0[0] + turn) % CLASSES
    assert there.edges == here.edges


def test_a_channel_of_few_photons_has_no_gates():
    assert place_gates(np.full((1, CLASSES), 0)) is None
    few = np.zeros((2, CLASSES), int)
    few[0, 7], few[1, 9] = FEWEST_PHOTONS - 1, FEWEST_PHOTONS
    assert place_gates(few).t0.keys() == {1}
    assert place_gates(np.full((1, GATES - 1), 1000)) is None


def test_a_constant_background_falls_into_gates_by_their_widths():
    gates = place_gates(np.array([decay(1e6, 15), decay(1e6, 500, tau_ns=20.0)]))
    one, other = gates.widths({0: 1, 1: 0}), gates.widths({0: 0, 1: 5})
    assert one.sum() == pytest.approx(1)
    table = gates.table()
    np.testing.assert_allclose(one, np.bincount(table[0], minlength=GATES) / CLASSES)
    np.testing.assert_allclose(gates.widths({0: 30, 1: 10}), 0.75 * one + 0.25 * other)


@pytest.mark.parametrize("background", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("tau_ns", [20.0, 47.0])
def test_the_background_of_an_exponential_is_found(background, tau_ns):
    assert background_share(decay(1e8, 0, tau_ns, background)) == pytest.approx(background, abs=2e-3)


@given(st.lists(st.integers(0, 20), max_size=60))
def test_the_background_of_anything_is_a_share(counts):
    assert 0.0 <= background_share(np.array(counts, np.int64)) <= 1.0


def test_gates_travel_as_a_parameter():
    gates = place_gates(np.array([decay(1e6, 15), decay(1e6, 500)]))
    assert gates_of(gates.as_dict()) == gates


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 0},
        {"classes": 10**6},
        {"channels": [0, 300]},
        {"t0": [1]},
        {"edges": [[1, 2, 3], [1, 2]]},
        {"edges": [[1, 2, 3], [3, 2, 1]]},
        {"edges": [[1, 2, 3], [1, 2, 2000]]},
        {"edges": [[1, 2, 3], [-1, 2, 3]]},
    ],
)
def test_gates_that_cannot_be_are_refused(wrong):
    good = Gates(CLASSES, {0: 1, 1: 2}, {0: (1, 2, 3), 1: (4, 5, 6)}).as_dict()
    gates_of(good)
    with pytest.raises(ValueError, match=r"gates|zip"):
        gates_of({**good, **wrong})
