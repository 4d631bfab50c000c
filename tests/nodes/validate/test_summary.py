"""What is said of many nanocrystals: from made-up trials with known errors."""

import math

import numpy as np
import pytest

from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.validate.cells import Cell
from photonstream.nodes.validate.summary import summarise
from photonstream.nodes.validate.trial import Trial

CELL = Cell(0.257, 1e5)


def trial(value, stderr, *, model="bi", beta=True, upper95=None, bins=((100, 0), (0, 900)), true=None):
    estimate = Estimate(
        value, stderr, (value - stderr, value + stderr), (value - 1.96 * stderr, value + 1.96 * stderr)
    )
    return Trial(
        photons=110_000,
        selected=100_000,
        bins=bins,
        states=2,
        resolved=True,
        model=model,
        reason="" if beta else "no beta: one component suffices; and more",
        beta=estimate if beta else None,
        beta_two=estimate,
        beta_true=Estimate(value if true is None else true, stderr),
        beta_left_out=None,
        beta_window=None,
        upper95=upper95,
        likelihood_ratio=100.0,
    )


def test_bias_coverage_and_variance_of_normal_errors():
    rng, sigma, truth = np.random.default_rng(4), CELL.limit() / math.sqrt(1e5), CELL.truth
    found = summarise(
        CELL, [trial(truth + sigma * (0.5 + 2.0 * z), 2.0 * sigma) for z in rng.normal(size=2000)]
    )
    assert found.sigma == pytest.approx(sigma)
    assert abs(found.bias[0] - 0.5) < 3 * found.bias[1]
    assert found.bias[1] == pytest.approx(2.0 / math.sqrt(2000), rel=0.05)
    assert abs(found.variance[0] - 4.0) < 3 * found.variance[1]
    # A bias of a quarter of the error: 66.6 and 94.3 %.
    assert abs(found.coverage68[0] - 0.666) < 3 * found.coverage68[1]
    assert abs(found.coverage95[0] - 0.943) < 3 * found.coverage95[1]
    assert (found.bi[0], found.given[0], found.reason) == (1.0, 1.0, "")


def test_shares_of_claims_and_reasons():
    trials = [trial(0.0, 0.01, model="mono", beta=False, upper95=0.02) for _ in range(9)] + [trial(0.0, 0.01)]
    found = summarise(Cell(0.0, 1e5), trials)
    assert found.bi[0] == found.given[0] == pytest.approx(0.1)
    assert found.upper[0] == 1.0
    assert found.reason == "no beta: one component suffices"
    # At 0 intervals are cut: nothing is said of them.
    assert all(math.isnan(x) for x in (found.sigma, *found.bias, *found.coverage68, *found.variance))
    plain = found.as_dict()
    assert plain["bias"] == {"value": None, "error": None}
    assert plain["cell"]["photons"] == 1e5


def test_none_of_ten_is_not_exactly_none():
    trials = [trial(0.257, 0.01, model="mono", beta=False) for _ in range(10)]
    value, error = summarise(CELL, trials).bi
    assert value == 0.0
    assert 0.05 < error < 0.12


def test_the_shift_is_a_root_mean_square():
    found = summarise(CELL, [trial(0.257, 0.01, true=0.257 + d) for d in (0.003, -0.003, 0.004, -0.004)])
    assert found.shift[0] == pytest.approx(math.sqrt((0.09 + 0.16) / 2))
    assert summarise(CELL, [trial(0.257, 0.01)]).shift[0] != found.shift[0]


def test_accuracy_is_of_all_bins_together():
    """One that was dark for two bins, both missed, is no half of the truth."""
    found = summarise(
        CELL,
        [trial(0.257, 0.01, bins=((190, 10), (2, 798))), trial(0.257, 0.01, bins=((0, 2), (0, 998)))],
    )
    assert found.accuracy[0] == pytest.approx(0.5 * (190 / 202 + 1796 / 1798))
    assert 0.0 < found.accuracy[1] < 0.3
    # Without a dark bin there is only the other share.
    assert summarise(CELL, [trial(0.257, 0.01, bins=((0, 0), (100, 900)))] * 3).accuracy == pytest.approx(
        (0.9, 0.0)
    )
