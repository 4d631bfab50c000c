"""The error of a mean delay, by hand."""

import numpy as np
import pytest

from photonstream.nodes.delay_errors import with_delay_errors
from photonstream.nodes.inference.rows import label_of

ROWS = {
    "labels": np.array([int(label_of(9, 1, 1)), int(label_of(9, 2, 2)), int(label_of(12, 1, 2))]),
    # Of state 1, over two channels: 2 photons in bin 0 and 2 in bin 4.
    "counts": np.array(
        [[[1, 0, 0, 0, 1], [0, 0, 0, 0, 1]], [[0, 1, 0, 0, 0], [0] * 5], [[1, 0, 0, 0, 0], [0] * 5]]
    ),
    "resolution_s": 1e-9,
}


def test_the_error_is_the_spread_over_the_root_of_the_photons():
    levels = [{"state": 1, "on": True}, {"state": 2, "on": False}]
    one, other = with_delay_errors(ROWS, {"method": "hmm", "levels": levels})
    # Two bins off the mean each: variance 16/3 of four photons.
    assert one["mean_dtime_stderr_s"] == pytest.approx((16 / 3 / 4) ** 0.5 * 1e-9)
    # A single photon has no spread.
    assert other == {"state": 2, "on": False, "mean_dtime_stderr_s": None}


def test_two_levels_beside_a_window_cannot_be_told_apart():
    on = np.zeros(13, bool)
    on[9] = True
    selection = {"method": "window", "on_levels": on, "levels": [{"on": False}, {"on": True}, {"on": False}]}
    below, inside, above = (level["mean_dtime_stderr_s"] for level in with_delay_errors(ROWS, selection))
    assert (below, above) == (None, None)
    # Bins 0, 1, 4 and 4.
    assert inside == pytest.approx((np.var([0, 1, 4, 4], ddof=1) / 4) ** 0.5 * 1e-9)
