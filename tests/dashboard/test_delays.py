"""Words for how late a run was."""

import pytest

from photonstream.dashboard.delays import delay_words, delays_of, health_phrase


def figures(median_s, p99_s):
    return {"count": 10, "median_s": median_s, "p99_s": p99_s}


def value(median_s, p99_s):
    """The last minute was half as late as the whole run."""
    return {"minute": figures(median_s / 2, p99_s / 2), "run": figures(median_s, p99_s)}


LATENCY = {
    "clock": "here",
    "taken": {"decode": value(0.0054, 0.0112), "decay": value(0.02, 0.05), "states": value(1, 1)},
    "published": {"lifetime": value(0.06, 2.3)},
}


def test_every_place_of_the_way_in_its_order():
    assert delay_words(delays_of(LATENCY, value(0.17, 0.28))) == (
        "record to decoded 5.4 ms (99 %: 11 ms), histogram 20 ms (99 %: 50 ms), result 60 ms (99 %: 2.3 s), "
        "page 170 ms (99 %: 280 ms)"
    )


def test_the_line_of_health_speaks_of_the_page_in_the_last_minute():
    delays = delays_of(LATENCY, value(0.17, 0.28))
    assert health_phrase(delays, running=True) == "record to page 85 ms (99 %: 140 ms)"
    assert health_phrase(delays, running=False) == ""


def test_without_a_page_it_speaks_of_the_result():
    delays = delays_of(LATENCY, {"minute": None, "run": None})
    assert health_phrase(delays, running=True) == "record to result 30 ms (99 %: 1.1 s)"


@pytest.mark.parametrize(
    "latency", [None, {}, {"taken": None, "published": 3}, {"taken": {"decode": "late"}}]
)
def test_where_nothing_was_measured_nothing_is_said(latency):
    assert delays_of(latency) == {}
    assert delay_words({}) == health_phrase({}, running=True) == ""
