"""What a browser says, as a command; nothing else gets through."""

import math

import pytest

from photonstream.dashboard.wishes import WishError, command_of


@pytest.mark.parametrize(
    ("name", "values", "command", "window"),
    [
        ("pause", {}, ("pause", {}), None),
        ("resume", {"extra": 1}, ("resume", {}), None),
        ("seek", {"time_s": 3}, ("seek", {"time_s": 3.0}), None),
        ("speed", {"speed": 2.5}, ("speed", {"speed": 2.5}), None),
        ("speed", {"speed": None}, ("speed", {"speed": None}), None),
        (
            "window",
            {"kcps": [12.5, 60]},
            ("set", {"node": "states", "name": "on", "value": [12500.0, 60000.0]}),
            (12500.0, 60000.0),
        ),
        (
            "window",
            {"kcps": [12.5, None]},
            ("set", {"node": "states", "name": "on", "value": [12500.0, math.inf]}),
            (12500.0, None),
        ),
        ("stop", {}, ("stop", {}), None),
        (
            "set",
            {"field": "lifetime-target_sigma", "text": " 0,015 "},
            ("set", {"node": "lifetime", "name": "target_sigma", "value": 0.015}),
            None,
        ),
        (
            "set",
            {"field": "lifetime-dead_time_s", "text": ""},
            ("set", {"node": "lifetime", "name": "dead_time_s", "value": None}),
            None,
        ),
        (
            "set",
            {"field": "device-dead_time_s", "text": "25ns"},
            ("set", {"node": "device", "name": "dead_time_s", "value": "25ns"}),
            None,
        ),
        ("note", {"text": " realigned "}, ("note", {"text": "realigned"}), None),
        ("discard", {"why": "drifted"}, ("discard", {"why": "drifted"}), None),
        ("keep", {}, ("keep", {}), None),
        ("next", {}, ("next", {}), None),
        ("window", {"kcps": "auto"}, ("set", {"node": "states", "name": "on", "value": "auto"}), "auto"),
    ],
)
def test_commands(name, values, command, window):
    assert command_of(name, values) == (command, window)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("set", {"field": "source-path", "text": "/etc/passwd"}),
        ("set", {"field": "lifetime-s", "text": "four"}),
        ("set", {"field": "states-method", "text": "guess"}),
        ("set", {"field": "lifetime-s", "text": None}),
        ("set", {"node": "source", "name": "path", "value": "/etc/passwd"}),
        (None, None),
        ("note", {"text": "  "}),
        ("discard", {}),
        ("set", {"field": "results-power_w", "text": "much"}),
        ("seek", {}),
        ("seek", {"time_s": "soon"}),
        ("seek", {"time_s": math.nan}),
        ("seek", {"time_s": True}),
        ("speed", {"speed": math.inf}),
        ("window", {"kcps": [5]}),
        ("window", {"kcps": [5, 4]}),
        ("window", {"kcps": [-1, None]}),
        ("window", {"kcps": "all"}),
        ("window", "nonsense"),
    ],
)
def test_what_is_no_wish(name, values):
    with pytest.raises(WishError):
        command_of(name, values)


def test_a_field_of_the_experiment_goes_to_the_fit_too_and_names_no_other():
    (name, values), _ = command_of("set", {"field": "lifetime-mean_n", "text": "0.1"})
    assert name == "set"
    assert values == {
        "together": [
            {"node": "results", "name": "experiment", "field": "mean_n", "value": 0.1},
            {"node": "lifetime", "name": "mean_n", "value": 0.1},
        ]
    }
    (_, power), _ = command_of("set", {"field": "results-power_w", "text": "2"})
    assert power == {
        "node": "results",
        "name": "experiment",
        "field": "power_w",
        "value": pytest.approx(2e-9),
    }
