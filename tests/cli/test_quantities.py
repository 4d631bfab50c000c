"""Numbers with units as people type them."""

import argparse
import math

import pytest

from photonstream.cli.parameters import value_of
from photonstream.cli.quantities import (
    address,
    channels,
    duration,
    fit_range,
    irf,
    mean_n,
    port,
    rate,
    setting,
    speed,
    standard_error,
    states_method,
    window,
    with_prefix,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10ms", 0.01),
        ("0.01", 0.01),
        ("10 ms", 0.01),
        ("5us", 5e-6),
        ("80ps", 8e-11),
        ("2min", 120.0),
        ("1e-3s", 1e-3),
    ],
)
def test_durations(text, seconds):
    assert duration(text) == pytest.approx(seconds, rel=1e-12)


def test_change_points_are_no_method_but_a_second_opinion():
    assert states_method("hmm") == "hmm"
    with pytest.raises(argparse.ArgumentTypeError, match=r"select nothing; .* of --second-opinion"):
        states_method("changepoint")
    with pytest.raises(argparse.ArgumentTypeError, match=r"the method is one of hmm, window, not 'guess'$"):
        states_method("guess")


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("20k:80k", (2e4, 8e4)),
        ("20k:", (2e4, math.inf)),
        (":80 kcps", (0.0, 8e4)),
        ("100:2e3", (100.0, 2000.0)),
    ],
)
def test_windows(text, limits):
    assert window(text) == pytest.approx(limits)
    assert window("auto") == "auto"


@pytest.mark.parametrize(
    ("text", "limits"),
    [("2ns:150ns", (2e-9, 150e-9)), (":0.15us", (0.0, 150e-9)), ("500ps:", (5e-10, math.inf))],
)
def test_ranges_of_delays(text, limits):
    assert fit_range(text) == pytest.approx(limits)


@pytest.mark.parametrize("text", ["2ns", "2:150", "9ns:3ns", "a:b", "-1ns:3ns"])
def test_what_is_no_range_of_delays(text):
    with pytest.raises(argparse.ArgumentTypeError):
        fit_range(text)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("0.1ns", 1e-10),
        ("100 ps", 1e-10),
        ("irf.ptu", "irf.ptu"),
        ("3 dots", "3 dots"),
        ("0.1ns+10%@0.3ns", "0.1ns+10%@0.3ns"),
        ("tail", "tail"),
    ],
)
def test_an_irf_is_a_width_with_its_unit_or_a_file(text, given):
    assert irf(text) == (pytest.approx(given) if isinstance(given, float) else given)


def test_a_mean_number_of_photons_may_have_its_error():
    assert mean_n("0.1") == (0.1, None)
    assert mean_n("0.10±0.02") == mean_n("0.10+-0.02") == (0.1, 0.02)
    assert mean_n("0.1 ± 2e-2") == (0.1, 0.02)


def test_rates_speeds_and_settings():
    assert rate("4.75MHz") == pytest.approx(4.75e6)
    assert speed("max") == float("inf")
    assert speed("0.5") == 0.5
    assert (port("0"), port("65535")) == (0, 65535)
    for text in ("tcp://127.0.0.1:65535", "tcp://192.168.0.7:5000", "tcp://localhost:5000", "ipc:///tmp/run"):
        assert address(text) == text
    assert channels("3,0,3") == (0, 3)
    assert setting("lifetime.s = 3.5") == ("lifetime.s", "3.5")


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (duration, "ten"),
        (duration, "-1s"),
        (duration, "0"),
        (duration, "3 parsec"),
        (duration, "nan"),
        (duration, "1e400s"),
        (mean_n, "few"),
        (mean_n, "0.1±"),
        (window, "20k"),
        (window, "80k:20k"),
        (window, "a:b"),
        (window, "-5:20"),
        (speed, "nan"),
        (speed, "inf"),
        (speed, "fast"),
        (speed, "0"),
        (speed, "1e-300"),
        (speed, "1e308"),
        (port, "-1"),
        (port, "65536"),
        (port, "80x"),
        (address, "tcp://127.0.0.1:65536"),
        (address, "tcp://0.0.0.0:5000"),
        (address, "tcp://*:5000"),
        (address, "tcp://127.0.0.1:0;10.0.0.1:5000"),
        (address, "inproc://x"),
        (address, "ipc://"),
        (address, "somewhere"),
        (channels, ""),
        (channels, "0,"),
        (channels, "-1"),
        (setting, "s"),
        (setting, "=3"),
    ],
)
def test_what_is_no_quantity_is_refused(parse, text):
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.6e-9, "3.6 ns"), (0.0, "0 s"), (2.105e-7, "210 ns"), (4.75e6, "4.75 Ms"), (1e-16, "0.0001 ps")],
)
def test_prefixes(value, text):
    assert with_prefix(value, "s") == text


@pytest.mark.parametrize("text", ["0", "-1", "5", "nan", "soon"])
def test_a_standard_error_lies_between_0_and_1(text):
    assert standard_error("0.02") == 0.02
    with pytest.raises(argparse.ArgumentTypeError, match="no standard error of beta"):
        standard_error(text)


@pytest.mark.parametrize("text", ["-1ns", "0 ps"])
def test_a_width_is_positive(text):
    with pytest.raises(argparse.ArgumentTypeError, match="a width must be positive"):
        irf(text)


def test_an_irf_without_a_unit_is_no_width(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(argparse.ArgumentTypeError, match="without a unit"):
        irf("0.1")
    (tmp_path / "0.1").touch()
    assert irf("0.1") == "0.1"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("dead_time_s", "80ns", 80e-9),
        ("lifetime.dead_time_s", "25 ns", 25e-9),
        ("afterpulse_s", "5e-8", 5e-8),
        ("dead_time_s", "none", None),
        ("dead_time_s", "soon", "soon"),
        ("sync_rate_hz", "5MHz", 5e6),
        ("afterpulsing", "0.01", 0.01),
        ("method", "window", "window"),
    ],
)
def test_a_parameter_whose_name_ends_in_its_unit_may_have_another(name, text, value):
    assert value_of(name, text) == (pytest.approx(value) if isinstance(value, float) else value)
