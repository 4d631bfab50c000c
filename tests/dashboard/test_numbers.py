"""Rounding as in a paper."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from photonstream.dashboard.numbers import (
    KCPS,
    NS,
    ONE,
    PERCENT,
    counted,
    decimals_of,
    estimate_text,
    interval_95,
    interval_text,
    named_quantity,
    number,
    plain,
    quantity,
)


def shown(text):
    """The text with its special blanks and minus as typed ones."""
    return text.replace("\u00a0", " ").replace("\u2009", "").replace("\u2212", "-")


@pytest.mark.parametrize(
    ("value", "stderr", "unit", "text"),
    [
        (46.8013e-9, 0.2134e-9, NS, "46.80 ± 0.21 ns"),
        (0.27, 0.0105, PERCENT, "27.0 ± 1.1 %"),
        (-0.012, 0.031, PERCENT, "-1.2 ± 3.1 %"),
        (0.0001, 0.031, PERCENT, "0.0 ± 3.1 %"),
        (-0.0001, 0.031, PERCENT, "0.0 ± 3.1 %"),
        (1.0, 0.0996, ONE, "1.00 ± 0.10"),
        (52341.0, 1234.0, ONE, "52300 ± 1200"),
        (25283.0, 50.0, KCPS, "25.283 ± 0.050 kcps"),
        (3.0, 12.0, ONE, "3 ± 12"),
    ],
)
def test_value_and_error(value, stderr, unit, text):
    assert shown(estimate_text({"value": value, "stderr": stderr}, unit)) == text


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_error_has_two_digits_and_the_value_as_many_decimals(value, stderr):
    assume(abs(value) < 1e9 * stderr)
    text = shown(estimate_text({"value": value, "stderr": stderr}))
    left, right = text.split(" ± ")
    assert len(left.partition(".")[2]) == len(right.partition(".")[2])
    assert abs(float(left) - value) <= 0.06 * stderr
    assert abs(float(right) - stderr) <= 0.06 * stderr
    # Two digits, not counting the zeros before them and those of rounding to tens behind them.
    digits = re.sub(r"\D", "", right).lstrip("0")
    assert "." not in right or len(digits) == 2


def test_error_from_the_interval_where_there_is_no_standard_error():
    text = estimate_text({"value": 5.0, "stderr": None, "ci68": [4.65, 5.25]})
    assert shown(text) == "5.00 ± 0.30"


def test_a_lopsided_interval_has_both_its_sides():
    estimate = {"value": 2.853e-9, "stderr": 0.1e-9, "ci68": [2.779e-9, 2.982e-9]}
    assert shown(estimate_text(estimate, NS)) == "2.853 +0.129/-0.074 ns"
    # An interval that a bound has cut has no side there.
    assert shown(estimate_text({**estimate, "ci68": [2.853e-9, 2.982e-9]}, NS)) == "2.85 ± 0.10 ns"


def test_a_number_without_error_says_so():
    assert shown(estimate_text({"value": 1e-10, "stderr": None}, NS)) == "0.1 ns (no error computed)"
    assert shown(estimate_text({"value": 1e-10}, NS, without_error="given")) == "0.1 ns (given)"
    assert shown(estimate_text(0.1)) == "0.1 (no error computed)"


@pytest.mark.parametrize("nothing", [None, {"value": None}, {"value": float("nan"), "stderr": 1.0}, "x", {}])
def test_no_number_is_unknown(nothing):
    assert estimate_text(nothing) == "unknown"


def test_intervals():
    estimate = {"value": 46.8, "stderr": 0.213, "ci68": None, "ci95": [46.384, 47.216]}
    assert interval_text(estimate) == "46.38 to 47.22"
    assert (
        shown(interval_text({"value": 0.01, "stderr": 0.02, "ci95": [-0.03, 0.05]}, unit=PERCENT))
        == "-3.0 to 5.0"
    )
    assert interval_text({"value": 3.0, "stderr": 0.1, "ci95": [None, 3.25]}) == "below 3.25"
    assert interval_text({"value": 3.0, "stderr": None, "ci95": [2.5, None]}) == "above 2.50"
    assert interval_text({"value": 3.0, "stderr": 0.1, "ci95": None}) == "the data set no limit"
    assert interval_text({"value": 3.0, "stderr": 0.1, "ci95": [None, None]}) == "the data set no limit"
    assert interval_text(None) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.1, "0.1"),
        (12.0, "12"),
        (4.75, "4.75"),
        (3.14159265, "3.142"),
        (123456.0, "123456"),
        (-2.5, "-2.5"),
        (100.04, "100"),
        (2.483e-5, "2.483 × 10⁻⁵"),
        (-1.5e9 - 0.5, "-1.500 × 10⁹"),
    ],
)
def test_plain(value, text):
    assert shown(plain(value)) == text


def test_small_pieces():
    assert decimals_of(0.0996) == 2
    assert decimals_of(1234.0) == -2
    assert shown(counted(1234567)) == "1234567"
    assert counted(None) == "unknown"
    assert shown(quantity(4.75e6, KCPS)) == "4750 kcps"
    assert quantity("12", KCPS) == "unknown"
    assert number(True) is None
    assert number(float("inf")) is None
    assert number(3) == 3.0
    assert named_quantity("spot_um")[0] == "spot"
    assert named_quantity("background_share") == ("background share", PERCENT)
    assert named_quantity("filters") == ("filters", ONE)


def test_an_interval_that_was_not_computed_is_about_that_of_normal_errors():
    known = {"value": 0.27, "stderr": 0.01, "ci68": [0.26, 0.28], "ci95": [0.251, 0.291]}
    assert interval_95(known, PERCENT) == "95 %: 25.1 to 29.1"
    assert interval_95({**known, "ci95": None}, PERCENT) == "95 % about 25.0 to 29.0"
    near = {"value": 0.07, "stderr": 0.052}
    assert interval_95(near, PERCENT) == "95 % about −3.2 to 17.2"
    assert interval_95(near, PERCENT, share=True) == "95 % about 0.0 to 17.2"
    assert interval_95({"value": 0.97, "stderr": 0.052}, PERCENT, share=True) == "95 % about 86.8 to 100.0"
    assert interval_95({"value": 0.27, "stderr": None}, PERCENT) == interval_95(None) == ""


def test_an_interval_is_not_rounded_by_an_error_that_says_nothing():
    assert (
        interval_text({"value": 0.45e-9, "stderr": 3.6e-6, "ci95": [None, 1.92e-9]}, unit=NS) == "below 1.9"
    )


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ([1.87, None], "above 1.87"),
        ([None, 0.0123], "below 0.0123"),
        ([1.9, 4.67], "1.9 to 4.7"),
        ([0.0, None], "above 0"),
    ],
)
def test_limits_without_a_value_are_not_rounded_away(ends, shown):
    assert interval_text({"value": None, "stderr": None, "ci95": ends}) == shown
