"""What a tab is sent at a time: all that is new, unless its browser is too slow for that."""

import pytest

from photonstream.dashboard.latest import Latest
from photonstream.dashboard.pace import FAST_S, SLOW_S, Pace
from photonstream.dashboard.updates import HIDDEN_S, TURNS, Updates
from photonstream.stream.wire import Open, ResultSent

IN_TURNS = {name for turn in TURNS for name in turn}


class Run:
    """A run of which everything is new at each step, and a tab that sees it."""

    def __init__(self, results_of_run):
        self.latest = Latest()
        self.updates = Updates(self.latest, "")
        self.pace = Pace(self.updates)
        self.seen = {}
        self._results = results_of_run
        self._now_s = 0.0
        self._bins = 10
        self.open(0)

    def open(self, epoch):
        self.latest.hear(Open("r", epoch, "run", "latest", {"sync_rate_hz": 4.75e6}, {}), 0.0)
        self._epoch = epoch

    def step(self, trace=True):
        """One update; gives the sections of the turns that were in it."""
        self._now_s += 2.0
        self._bins += trace
        for node, key, value in self._results(self._bins):
            self.latest.hear(ResultSent(self._epoch, 0, node, key, False, value), 0.0)
        self.updates.refresh(self._now_s)
        # Each is another one than before, whatever is in it.
        for name in IN_TURNS:
            self.updates._made[name].version += 1
        before = dict(self.seen)
        self.updates.news(self.seen, None, self.pace.later(self.seen))
        return {name for name in IN_TURNS if before.get(name) != self.seen.get(name)}


@pytest.fixture
def run(results_of_run):
    made = Run(results_of_run)
    made.step()
    return made


def slowed(run, times):
    for _ in range(times):
        run.pace.drawn(SLOW_S + 0.01)


def test_a_browser_that_keeps_up_is_sent_all_of_it(run):
    for _ in range(3):
        run.pace.drawn(FAST_S)
        assert run.step() == IN_TURNS
        assert not run.pace.slow


def test_a_slow_one_is_sent_the_trace_each_time_and_everything_else_in_turns(run):
    slowed(run, 20)
    assert run.pace.slow
    found = []
    for _ in TURNS:
        before = run.seen["trace"]
        found.append(run.step())
        assert run.seen["trace"] > before
    assert sorted(map(sorted, found)) == sorted(map(sorted, TURNS))


def test_once_it_is_faster_it_is_sent_more_again(run):
    slowed(run, 20)
    sent = []
    for _ in TURNS:
        sent.append(len(run.step()))
        run.pace.drawn(0.5 * FAST_S)
    assert sent[0] < sent[-1] == len(IN_TURNS)


def test_what_a_hidden_page_draws_late_is_no_sign_of_a_slow_browser(run):
    run.pace.drawn(HIDDEN_S + 1)
    assert run.step() == IN_TURNS


def test_nothing_waits_for_its_turn_once_the_trace_stands(run):
    slowed(run, 20)
    assert len(run.step()) < len(IN_TURNS)
    assert run.step(trace=False) == IN_TURNS


def test_results_of_two_epochs_do_not_stand_beside_each_other(run):
    slowed(run, 20)
    run.open(1)
    assert run.step() == IN_TURNS
    assert len(run.step()) < len(IN_TURNS)
