"""The page's end of the command socket: what a person wants goes to the run that is shown, and to no later one."""

import time

import pytest

from photonstream.dashboard.server import RunLink
from photonstream.stream.link import Waiter, new_context

PATIENCE_S = 20


@pytest.fixture
def link(hand_run):
    context = new_context()
    made = RunLink(context, hand_run.address)
    yield made
    made.stop()
    context.term()


def poll_until(link, condition):
    waiter = Waiter()
    waiter.watch(link._reader.socket)
    until = time.monotonic() + PATIENCE_S
    while not condition():
        link.poll(time.monotonic())
        waiter.wait(0.01)
        assert time.monotonic() < until, "it did not come about"


def test_what_the_run_before_did_not_answer_is_not_said_to_the_next_one(hand_run, link):
    hand_run.status()
    poll_until(link, lambda: link.latest.value("run", "status"))
    said = []
    hand_run.deaf = True
    link.ask("next", {}, lambda *answer: said.append(answer))
    poll_until(link, lambda: link._client.waiting == 1)
    # The next run, at the same place.
    hand_run.open(1, control_name="another")
    hand_run.status()
    poll_until(link, lambda: said)
    assert said == [("The run did not answer any more. Whether that was done is not known.", False)]
    hand_run.deaf = False
    link.ask("pause", {}, lambda *answer: said.append(answer))
    poll_until(link, lambda: said[1:])
    assert said[1:] == [("The run refuses: it was meant for the run that was here before", False)]
