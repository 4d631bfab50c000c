"""When the dead are started again: waiting times, the limit, and what is forgotten. The clock is made by hand."""

import pytest

from photonstream.stream.restarts import FIRST_WAIT_S, LONGEST_WAIT_S, MOST_DEATHS, WITHIN_S, Restarts


class Clock:
    now_s = 5000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def restarts(clock):
    return Restarts(clock)


def wait_of(restarts, clock, name):
    """How long ``name`` waits, found in steps of a millisecond; the clock is then there."""
    for ms in range(2000):
        if name in restarts.due():
            return ms / 1000
        clock.now_s += 1e-3
    raise AssertionError("it is never due")


def test_each_death_makes_the_wait_twice_as_long_up_to_a_bound(restarts, clock):
    waits = []
    for _ in range(9):
        assert restarts.died("decay")
        waits.append(wait_of(restarts, clock, "decay"))
    expected = [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0]
    assert (FIRST_WAIT_S, LONGEST_WAIT_S) == (0.02, 1.0)
    assert waits == pytest.approx(expected, abs=2e-3)


def test_nobody_is_due_who_has_not_died(restarts, clock):
    assert restarts.due() == []
    clock.now_s += 1e6
    assert restarts.due() == []


def test_each_is_named_once(restarts, clock):
    restarts.died("decay")
    restarts.died("states")
    assert restarts.due() == []
    clock.now_s += FIRST_WAIT_S + 1e-6
    assert sorted(restarts.due()) == ["decay", "states"]
    clock.now_s += 100.0
    assert restarts.due() == []


def test_the_deaths_of_one_are_not_those_of_another(restarts, clock):
    for _ in range(8):
        restarts.died("decay")
        clock.now_s += LONGEST_WAIT_S
        restarts.due()
    restarts.died("states")
    restarts.died("decay")
    clock.now_s += FIRST_WAIT_S + 1e-6
    assert restarts.due() == ["states"]


def test_who_dies_too_often_cannot_live_and_is_not_due(restarts, clock):
    for _ in range(MOST_DEATHS):
        assert restarts.died("decay")
        clock.now_s += LONGEST_WAIT_S
        assert restarts.due() == ["decay"]
    assert not restarts.died("decay")
    clock.now_s += 10.0
    assert restarts.due() == []
    assert restarts.died("states")


def test_deaths_of_long_ago_are_forgotten(restarts, clock):
    for _ in range(3 * MOST_DEATHS):
        assert restarts.died("decay")
        clock.now_s += WITHIN_S / MOST_DEATHS + 0.5
        assert restarts.due() == ["decay"]


def test_the_limit_counts_the_deaths_of_the_time_before_and_no_others(restarts, clock):
    begun_s = clock.now_s
    for n in range(MOST_DEATHS):
        clock.now_s = begun_s + n
        assert restarts.died("decay")
    # The first one is just outside, the second just inside.
    clock.now_s = begun_s + WITHIN_S + 0.5
    assert restarts.died("decay")
    assert not restarts.died("decay")


def test_after_a_long_life_the_wait_is_short_again(restarts, clock):
    for _ in range(7):
        restarts.died("decay")
        clock.now_s += LONGEST_WAIT_S
        restarts.due()
    clock.now_s += WITHIN_S
    restarts.died("decay")
    assert wait_of(restarts, clock, "decay") == pytest.approx(FIRST_WAIT_S, abs=2e-3)
