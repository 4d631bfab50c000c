"""Words about the states that were selected from."""

from pathlib import Path

import pytest

from photonstream.dashboard.facts import selection_text, states_table
from photonstream.dashboard.folder import RunFolder


def level(state, remark="", dwell_s=0.1, dwell_stderr_s=None):
    dwell = {"dwell_s": dwell_s, "dwell_stderr_s": dwell_stderr_s}
    return {"state": state, "rate_hz": 1e4, "on": state == 1, "remark": remark, **dwell}


def run(*levels, **states):
    return RunFolder(Path("x"), {"states": {"method": "hmm", "levels": list(levels), **states}}, {})


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([level(1), level(2)], "the neutral one of 2 states"),
        (
            [level(1), level(2), level(3, "bursts")],
            "the neutral one of 2 states (1 more may be no state)",
        ),
        (
            [level(1), level(2, "between"), level(3, "bursts")],
            "the neutral state (2 more may be no states)",
        ),
    ],
)
def test_states_that_may_be_none_are_not_counted(levels, words):
    assert selection_text(run(*levels)) == words


def test_what_is_not_used_has_no_accuracy():
    two = [level(1), level(2)]
    assert "expected accuracy" in states_table(run(*two, accuracy=0.98))
    assert "expected accuracy" not in states_table(run(*two, accuracy=0.98, method="window"))
    assert "expected accuracy" not in states_table(run(level(1), accuracy=1.0))


def test_a_single_visit_is_cut_by_the_ends_of_the_recording():
    html = states_table(run(level(1, dwell_s=5.0), level(2, dwell_s=0.0123, dwell_stderr_s=0.0011)))
    assert "at least 5\u00a0s" in html
    assert "12.3\u00a0±\u00a01.1\u00a0ms" in html


def test_a_mean_dwell_that_is_not_believed_is_missing_with_the_reason():
    times = {"selected": {"reason": "mistakes made them"}}
    html = states_table(run(level(1, dwell_s=None), level(2, dwell_s=None), dwell_times=times))
    assert "No mean dwell: mistakes made them." in html


def test_the_contamination_has_its_error_or_the_reason_why_it_is_not_known():
    two = [level(1), level(2)]
    html = states_table(run(*two, contamination=0.0085, contamination_stderr=0.0012))
    assert "0.85\u00a0±\u00a00.12\u00a0%" in html
    html = states_table(run(level(1), contamination=None, contamination_reason="one state was found"))
    assert "time of other states in the selected one" in html
    assert "one state was found" in html
    assert "time of other states" not in states_table(
        run(*two, method="window", contamination=None, contamination_reason="a window")
    )
