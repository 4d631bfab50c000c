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
            {"field": "lifetime-target_sigma", "text": " 1,5 "},
            ("set", {"node": "lifetime", "name": "target_sigma", "value": 0.015}),
            None,
        ),
        (
            "set",
            {"field": "lifetime-mean_n", "text": ""},
            ("set", {"node": "lifetime", "name": "mean_n", "value": None}),
            None,
        ),
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
