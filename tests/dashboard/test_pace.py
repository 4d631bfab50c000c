"""What a tab is sent at a time: all that is new, unless its browser is too slow for that."""

import pytest

from photonstream.dashboard.latest import Latest
from photonstream.dashboard.pace import FAST_S, SLOW_S, Pace
from photonstream.dashboard.updates import BEAT_S, HIDDEN_S, SECTIONS, TURNS, Updates
from photonstream.stream.wire import Open, ResultSent

IN_TURNS = {name for turn in TURNS for name in turn}


class Run:
    """A run of which everything is new at each step, and a tab that sees it."""

    def __init__(self, results_of_run, status):
        self.latest = Latest()
        self.updates = Updates(self.latest, "")
        self.pace = Pace(self.updates)
        self.seen = {}
        self._results = results_of_run
        self._status = status
        self.now_s = 0.0
        self._bins = 10
        self.open(0)

    def open(self, epoch):
        self.latest.hear(Open("r", epoch, "run", "latest", {"sync_rate_hz": 4.75e6}, {}), 0.0)
        self._epoch = epoch

    def hear(self, state="running"):
        self._bins += 1
        told = [*self._results(self._bins), ("run", "status", self._status(state=state))]
        for node, key, value in told:
            self.latest.hear(ResultSent(self._epoch, 0, node, key, False, value), 0.0)

    def send(self):
        """One update; gives the sections of the turns that were in it."""
        before = dict(self.seen)
        self.updates.news(self.seen, None, self.pace.later(self.seen))
        return {name for name in IN_TURNS if before.get(name) != self.seen.get(name)}

    def step(self, state="running"):
        self.now_s += 2.0
        self.hear(state)
        self.updates.refresh(self.now_s)
        # Each is another one than before, whatever is in it.
        for name in IN_TURNS:
            self.updates._made[name].version += 1
        return self.send()

    def slowed(self):
        for _ in TURNS:
            self.pace.drawn(SLOW_S + 0.01)
        assert self.pace.slow


@pytest.fixture
def run(results_of_run, status):
    made = Run(results_of_run, status)
    made.step()
    return made


def test_a_browser_that_keeps_up_is_sent_all_of_it(run):
    for _ in range(3):
        run.pace.drawn(FAST_S)
        assert run.step() == IN_TURNS
        assert not run.pace.slow


def test_a_slow_one_is_sent_the_trace_each_time_and_everything_else_in_turns(run):
    run.slowed()
    found = []
    for _ in TURNS:
        before = run.seen["trace"]
        found.append(run.step())
        assert run.seen["trace"] > before
    assert sorted(map(sorted, found)) == sorted(map(sorted, TURNS))


def test_once_it_is_faster_it_is_sent_more_again(run):
    run.slowed()
    sent = []
    for _ in TURNS:
        sent.append(len(run.step()))
        run.pace.drawn(0.5 * FAST_S)
    assert sent[0] < sent[-1] == len(IN_TURNS)


def test_that_little_is_drawn_quickly_is_no_sign_of_a_fast_browser(run):
    run.slowed()
    run.step()
    run.pace.drawn(0.5 * FAST_S)
    two = len(run.step())
    for _ in TURNS:
        # Nothing is new but how the run is.
        run.send()
        run.send()
        run.pace.drawn(0.01 * FAST_S)
    assert len(run.step()) <= two + 1


def test_what_a_hidden_page_draws_late_is_no_sign_of_a_slow_browser(run):
    run.pace.drawn(HIDDEN_S + 1)
    assert run.step() == IN_TURNS


@pytest.mark.parametrize("state", ["paused", "complete"])
def test_nothing_waits_for_its_turn_once_the_run_stands(run, state):
    run.slowed()
    assert len(run.step()) < len(IN_TURNS)
    assert run.step(state) == IN_TURNS


@pytest.mark.parametrize("later_s", [0.1 * BEAT_S, BEAT_S, 0.5])
def test_results_of_two_epochs_do_not_stand_beside_each_other(run, later_s):
    """Whether the next epoch comes between two beats, or so soon that no section is due but for it."""
    run.slowed()
    run.step()
    old = {name: made.of[:2] for name, made in run.updates._made.items() if name in SECTIONS}
    run.open(1)
    run.hear()
    run.updates.refresh(run.now_s + later_s)
    sent = run.send()
    new = {name: made.of[:2] for name, made in run.updates._made.items() if name in SECTIONS}
    assert len(set(new.values())) == 1
    if new == old:
        # It is not shown yet.
        assert len(sent) < len(IN_TURNS)
        run.updates.refresh(run.now_s + later_s + 3 * BEAT_S)
        run.send()
    assert run.updates.known(run.seen)
    assert all(made.of[1] == 1 for name, made in run.updates._made.items() if name in SECTIONS)
