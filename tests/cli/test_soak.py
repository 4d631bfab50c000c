"""The long run whose memory and latency are watched, in short."""

import re
import sys

import numpy as np
import pytest

from photonstream.cli.main import main
from photonstream.cli.soak import Series

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def watched(mb):
    rng = np.random.default_rng(1)
    at_s = np.arange(1800.0)
    return Series(at_s.tolist(), (mb(at_s) + rng.normal(0.0, 3.0, at_s.size)).tolist())


def test_the_slope_is_that_of_the_second_half():
    value, error = watched(lambda t: 200.0 + 150.0 * np.exp(-t / 60.0)).slope()
    assert abs(value) < 3.0 * error < 10.0
    value, error = watched(lambda t: 200.0 + 100.0 * t / 3600.0).slope()
    assert value == pytest.approx(100.0, abs=3.0 * error)
    assert 0.0 < error < 5.0


def test_of_a_short_time_nothing_is_said():
    short = watched(lambda t: 200.0 + 0.0 * t)
    assert Series(short.at_s[:300], short.values[:300]).slope() is None


def test_a_few_seconds_of_it(tmp_path, capsys):
    assert main(["soak", "--time", "16s", "--rate", "50k", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    for name in ("page", "recorder", "run"):
        assert f"{name}: too short to tell whether its memory is steady" in said
    for name in ("median", "99 %"):
        assert f"record to result, {name}: too short to tell whether it is steady" in said
    # The last row of the table has figures.
    assert re.search(r"\| \d+ / \d+ \|$", said, re.MULTILINE)
    assert "exit code 0" in said
    assert (tmp_path / "out" / "result.json").exists()
