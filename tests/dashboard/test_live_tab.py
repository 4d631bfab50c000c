"""One tab without a browser: it gets an update only when it has drawn the last one."""

import re

import numpy as np
import pytest
from bokeh.document import Document

from photonstream.dashboard.app import LIFE_S, Tab
from photonstream.dashboard.desk import Desk
from photonstream.dashboard.latest import Latest
from photonstream.dashboard.pace import SLOW_S
from photonstream.dashboard.updates import BEAT_S, Updates
from photonstream.dashboard.wishes import WishError
from photonstream.stream.latency import CLOCK
from photonstream.stream.wire import Open, ResultSent


@pytest.fixture
def updates():
    return Updates(Latest(), "tcp://somewhere")


class Page:
    """A tab with what its browser would say, and what was asked for."""

    def __init__(self, updates):
        self.asked = []
        self.woken = 0
        self.refuse = False
        self.document = Document()
        desk = Desk()
        self.tab = Tab(self.document, updates, self._ask, self._woken, desk)
        desk.enter(self.tab, may_act=True)
        self._exchange = self.document.roots[0]
        self._count = 0

    def _ask(self, name, values, tell):
        if name == "forbidden" or self.refuse:
            raise WishError("no")
        if name == "broken":
            raise RuntimeError("oh")
        self.asked.append((name, values))
        tell("heard", True)

    def _woken(self):
        self.woken += 1

    def say(self, kind, value, **more):
        self._count += 1
        self._exchange.said = {"kind": kind, "value": value, "number": self._count, **more}

    @property
    def shown(self):
        return self._exchange.shown


@pytest.fixture
def page(updates):
    return Page(updates)


def test_nothing_is_sent_before_the_page_is_ready(page, updates):
    updates.refresh(0.0)
    page.tab.send()
    assert page.tab.sent == 0
    page.say("ready", 0)
    page.tab.send()
    assert page.tab.sent == 1
    assert isinstance(page.shown, bytes)


def test_the_next_update_waits_for_the_page(page, updates):
    page.say("ready", 0)
    updates.refresh(0.0)
    page.tab.send()
    for k in range(1, 5):
        updates.wish = (1000.0 * k, None)
        updates.refresh(10.0 * k)
        page.tab.send()
    assert page.tab.sent == 1
    page.say("ready", 1)
    page.tab.send()
    assert page.tab.sent == 2
    # An old answer is none.
    updates.wish = (9000.0, None)
    updates.refresh(60.0)
    page.say("ready", 1)
    page.tab.send()
    assert page.tab.sent == 2


def test_whatever_a_page_says_wakes_the_server(page):
    page.say("ready", 0)
    page.say("view", "nonsense")
    assert page.woken == 2


def test_without_news_nothing_is_sent(page, updates):
    page.say("ready", 0)
    updates.refresh(0.0)
    page.tab.send()
    page.say("ready", 1)
    page.tab.send()
    assert page.tab.sent == 1
    page.tab.tell("something")
    page.tab.send()
    assert page.tab.sent == 2


def test_without_news_a_page_that_is_ready_gets_a_sign_of_life_now_and_then(page, updates, monkeypatch):
    now = 50 * 10**9
    monkeypatch.setattr("photonstream.dashboard.app.stamp_now", lambda: now)
    page.say("ready", 0)
    updates.refresh(0.0)
    page.tab.send()
    now += round(1e9 * LIFE_S)
    page.tab.send()
    # Not before it has drawn the last one, whatever the time.
    assert page.tab.sent == 1
    page.say("ready", 1)
    page.tab.send()
    assert page.tab.sent == 2
    assert page.shown[8:] == b'{"tab": {"number": 2, "heard": 0, "role": "acting"}}'
    page.say("ready", 2)
    now += round(1e9 * LIFE_S) - 1
    page.tab.send()
    assert page.tab.sent == 2
    now += 1
    page.tab.send()
    assert page.tab.sent == 3
    # Nothing is late because of it.
    assert updates.latency.value(now)["run"] is None


def test_wishes_get_through_and_what_is_said_to_them_comes_back(page, updates):
    page.say("ready", 0)
    page.say("wish", {"name": "pause", "values": {}, "number": 1})
    assert page.asked == [("pause", {})]
    updates.refresh(0.0)
    page.tab.send()
    assert b'"heard": 1' in page.shown
    assert b'"notice": "heard"' in page.shown


def test_what_is_refused_goes_back_to_its_field_and_the_page_is_told_again_what_holds(page, updates):
    page.say("ready", 0)
    updates.refresh(0.0)
    page.tab.send()
    page.say("ready", 1)
    page.refuse = True
    page.say("wish", {"name": "note", "values": {"text": 'moved "it"'}, "number": 1})
    page.tab.send()
    assert b'"back": ["note", "moved \\"it\\""]' in page.shown
    assert all(part in page.shown for part in (b'"speed":', b'"fields":', b'"window":'))
    page.say("ready", 2)
    # Once.
    page.tab.tell("something")
    page.tab.send()
    assert b"back" not in page.shown


def test_a_refusal_is_taken_back_by_what_is_done_of_the_same_and_said_again_if_it_comes_again(page, updates):
    page.say("ready", 0)
    about = ("set", "lifetime-s")
    notices = []
    for words, of in (
        ("no", about),
        ("", ("set", "intensity-bin_s")),
        ("", about),
        ("no", about),
        ("no", about),
        ("", about),
    ):
        page.tab.tell(words, of)
        page.tab.send()
        found = re.search(rb'"notice": "(.*?)"', page.shown)
        notices.append(found and found[1])
        page.say("ready", page.tab.sent)
        updates.wish = (1000.0 * len(notices), None)
        updates.refresh(10.0 * len(notices))
        page.tab.send()
        page.say("ready", page.tab.sent)
    assert notices == [b"no", None, b"", b"no", b"no", b""]


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("wish", {"name": "forbidden", "values": {}, "number": 1}, b"Not done: no."),
        ("wish", {"name": "broken", "values": {}, "number": 1}, b"RuntimeError: oh"),
        ("wish", {"no": "number"}, b"KeyError"),
        ("view", "nonsense", b"ValueError"),
    ],
)
def test_what_goes_wrong_is_told_at_the_tab(page, updates, kind, value, words):
    page.say("ready", 0)
    page.say(kind, value)
    updates.refresh(0.0)
    page.tab.send()
    assert words in page.shown


def test_nonsense_from_a_browser_is_no_matter(page):
    for said in (None, "text", 7, {"kind": "unknown"}, {"kind": "ready", "value": "x"}):
        page._exchange.said = said
    assert not page.tab.ready


def test_a_page_hears_what_holds_after_a_wish_even_if_nothing_changed(page, updates):
    page.say("ready", 0)
    updates.refresh(0.0)
    page.tab.send()
    page.say("ready", 1)
    page.say("wish", {"name": "window", "values": {}, "number": 1})
    page.tab.send()
    assert b'"window"' in page.shown
    assert b'"state"' not in page.shown


def stamped(updates, stamp, *, clock=CLOCK):
    """The run has published a tile whose newest photon has this stamp."""
    latest = updates.latest
    tile = {
        "first": 0,
        "counts": np.full((5, 1), stamp % 97, np.uint32),
        "bin_s": 0.01,
        "bins": 5,
        "end_s": 0.05,
    }
    latest.hear(ResultSent(0, 0, "intensity", "trace/0", False, tile, stamp), 0.0)
    latest.hear(ResultSent(0, 0, "run", "status", False, {"latency": {"clock": clock}}), 0.0)


@pytest.mark.parametrize(("clock", "noted"), [(CLOCK, 1), ("another machine", 0)])
def test_how_late_a_page_is_is_known_when_its_browser_has_drawn(page, updates, monkeypatch, clock, noted):
    now = 50 * 10**9
    monkeypatch.setattr("photonstream.dashboard.app.stamp_now", lambda: now)
    updates.latest.hear(Open("r", 0, "run", "latest", {}, {}), 0.0)
    for number, stamp in enumerate((45 * 10**9, now - 80 * 10**6, now - 30 * 10**9)):
        stamped(updates, stamp, clock=clock)
        updates.refresh(float(number))
        page.say("ready", number)
        page.tab.send()
        assert page.tab.sent == number + 1
        # What a tab is sent first was there before it was.
        assert (updates.latency.value(now)["run"] is None) or number == 2
    found = updates.latency.value(now)["run"]
    assert (found["count"] if found else 0) == noted
    if found:
        assert found["median_s"] == pytest.approx(0.08, rel=0.03)


def test_a_page_that_nobody_sees_does_not_count(updates):
    updates.drawn(5 * 10**9, 16 * 10**9)
    updates.drawn(None, 16 * 10**9)
    assert updates.latency.value(16 * 10**9)["run"] is None
    updates.drawn(7 * 10**9, 16 * 10**9)
    assert updates.latency.value(16 * 10**9)["run"]["count"] == 1


def test_a_slow_browser_is_given_its_next_part_at_the_next_beat(page, updates, monkeypatch):
    now = 50 * 10**9
    monkeypatch.setattr("photonstream.dashboard.app.stamp_now", lambda: now)
    updates.refresh(0.0)
    page.say("ready", 0)

    def given():
        updates._made["status"].version += 1
        before = page.tab.sent
        page.tab.send()
        return page.tab.sent - before

    for number in range(1, 4):
        assert given()
        now += round(1e9 * BEAT_S)
        page.say("ready", number, took_s=1.5 * SLOW_S)
    # It is slow by now, be it that it draws this one at once; nonsense is no time.
    assert given()
    page.say("ready", 4, took_s="soon")
    assert not given()
    now += round(1e9 * BEAT_S)
    assert given()
