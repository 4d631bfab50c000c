"""Kinds of simulated measurements: their truth, their physical limit, and what cannot be simulated."""

import math

import pytest

from photonstream.nodes.simulate.presets import BLINKING
from photonstream.nodes.validate.cells import Cell, at_rate, grid, neutral_rate_hz
from photonstream.stream.node import ParameterError


@pytest.mark.parametrize(("beta", "limit"), [(0.05, 2.66), (0.181, 3.03), (0.257, 3.32), (0.273, 3.37)])
def test_the_limit_is_the_known_cramer_rao_bound(beta, limit):
    # Known for one detector and excitons that are all gone before the next pulse.
    assert Cell(beta, 1e5).limit() == pytest.approx(limit, rel=0.03)
    assert math.isnan(Cell(0.0, 1e5).limit())


def test_the_truth_holds_excitons_left_over_from_the_pulse_before():
    assert Cell(0.0, 1e4).truth == 0.0
    assert 0.257 < Cell(0.257, 1e4).truth < 0.260


def test_a_measurement_is_as_long_as_its_photons_need():
    steady = Cell(0.257, 3e4, rate_hz=30e3, background=0.0).parameters(7)
    assert (steady.seed, steady.duration_s) == (7, pytest.approx(1.0))
    assert neutral_rate_hz(steady) == pytest.approx(30e3)
    fast = BLINKING["fast"]
    share = fast.dwell_neutral.mean_s / (fast.dwell_neutral.mean_s + fast.dwell_charged.mean_s)
    blinking = Cell(0.257, 3e4, "fast", rate_hz=30e3, background=0.0).parameters(7)
    assert blinking.duration_s == pytest.approx(1.0 / share)


def test_what_little_beta_there_is_comes_of_pairs_of_absorbed_photons():
    cell = Cell(0.02, 1e4)
    assert cell.mean_n == pytest.approx(0.04, rel=0.01)
    assert cell.parameters(1).cm_efficiency == 0.0
    assert cell.truth == pytest.approx(0.02, rel=0.03)
    assert Cell(0.257, 1e4).mean_n == Cell(0.0, 1e4).mean_n == 0.1


def test_the_mean_rate_is_the_same_whatever_the_drift():
    drifting = Cell(0.257, 3e4, rate_hz=30e3, background=0.0, drift=-0.5).parameters(7)
    assert (drifting.drift, drifting.duration_s) == (-0.5, pytest.approx(1.0))
    assert neutral_rate_hz(drifting) == pytest.approx(40e3)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Cell(1.2, 1e4), "it is a share, from 0 to 1"),
        (Cell(-0.1, 1e4), "it is a share, from 0 to 1"),
        (Cell(0.2, 1e4, drift=-1.0), "leaves nothing to measure"),
        (Cell(0.2, 1e4, "often"), "no blinking 'often'"),
        (Cell(0.2, -1.0), "photons of a cell must be positive"),
        (Cell(0.2, 1e4, rate_hz=1e7), "more than the emitter makes"),
    ],
)
def test_what_cannot_be_simulated_is_refused(cell, words):
    with pytest.raises(ParameterError, match=words):
        cell.parameters(1)


def test_a_grid_is_every_combination():
    cells = grid([0.0, 0.257], [1e4], ["none", "fast"], [1e-10], [0.01], [3e4])
    assert [(cell.beta, cell.blinking) for cell in cells] == [
        (0.0, "none"),
        (0.0, "fast"),
        (0.257, "none"),
        (0.257, "fast"),
    ]
    with pytest.raises(ParameterError):
        grid([1.2], [1e4], ["none"], [1e-10], [0.01], [3e4])


def test_a_rate_is_that_of_the_neutral_state():
    assert neutral_rate_hz(at_rate(Cell(0.3, 1e4).parameters(1), 12e3)) == pytest.approx(12e3)
