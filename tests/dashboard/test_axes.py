"""Ends of axes: round, around the data, and in no hurry to move."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.dashboard.axes import linear_ends, log_ends, round_above

positive = st.floats(1e-6, 1e12)


@given(positive)
def test_the_round_number_above_is_close(value):
    top = round_above(value)
    assert value * (1 - 1e-6) <= top <= 1.2001 * value
    assert round_above(top) == pytest.approx(top)


@given(positive, positive)
def test_logarithmic_ends_enclose(a, b):
    low, high = min(a, b), max(a, b)
    bottom, top = log_ends(low, high)
    assert bottom <= low * (1 + 1e-6)
    assert top >= high * (1 - 1e-6)
    assert bottom < top
    for end in (bottom, top):
        assert f"{end:.0e}"[0] in "125"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_linear_ends_enclose_and_do_not_waste(low, width):
    high = low + width
    bottom, top = linear_ends(low, high)
    # What the numbers themselves cannot hold is no error of the axis.
    rounding = 1e-6 * width + 1e-14 * abs(low)
    assert bottom <= low + rounding
    assert top >= high - rounding
    assert top - bottom <= 1.9 * (high - low) + 1e-9 * abs(low)


def test_one_value_has_an_axis_too():
    for value in (0.0, 5.0, -3.0):
        bottom, top = linear_ends(value, value)
        assert bottom < value < top
    assert math.isfinite(sum(linear_ends(1e300, 1e300)))
