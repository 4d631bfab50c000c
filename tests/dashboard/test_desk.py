"""One page acts; the others watch."""

from photonstream.dashboard.desk import Desk


def test_the_first_page_acts_until_another_one_takes_over():
    desk = Desk()
    for page in "ab":
        desk.enter(page, may_act=True)
    assert [desk.role(page) for page in "ab"] == ["acting", "watching"]
    assert desk.take_over("b")
    assert [desk.role(page) for page in "ab"] == ["watching", "acting"]


def test_when_it_goes_the_oldest_that_may_act_does():
    desk = Desk()
    desk.enter("reader", may_act=False)
    for page in "abc":
        desk.enter(page, may_act=True)
    desk.take_over("b")
    desk.leave("b")
    assert desk.role("a") == "acting"
    desk.leave("a")
    desk.leave("c")
    assert desk.role("reader") == "read-only"
    assert not desk.take_over("reader")
    desk.enter("d", may_act=True)
    assert desk.role("d") == "acting"
