"""The credit link for results, of which only the newest of each key counts."""

import pytest

from photonstream.stream.chunk import Result
from photonstream.stream.link import REPEAT_S, LatestWriter
from photonstream.stream.wire import Close, ResultSent
from tests.stream.hand_network import Ends, opening


def result(key, value, final=False):
    return Result("decay", key, {"value": value}, final)


def latest(*readers, window=2):
    ends = Ends(*readers, window=window, latest=True)
    ends.writer.open(opening())
    ends.rounds(3)
    return ends


def values(ends, name):
    return [(m.key, m.value["value"]) for m in ends.got[name] if isinstance(m, ResultSent)]


def test_newer_results_replace_older_ones_that_were_not_sent():
    ends = latest("page", window=1)
    for n in range(10):
        ends.writer.put(result("rows", n))
    ends.rounds(5)
    assert values(ends, "page") == [("rows", 0), ("rows", 9)]
    assert ends.writer.superseded == 8
    assert ends.writer.delivered


def test_superseding_is_counted_for_each_reader_that_never_got_it():
    ends = latest("page", "results", window=1)
    for n in range(5):
        ends.writer.put(result("rows", n))
        ends.rounds(2, "results")
    ends.rounds(4)
    assert values(ends, "results") == [("rows", n) for n in range(5)]
    assert values(ends, "page") == [("rows", 0), ("rows", 4)]
    assert ends.writer.superseded == 3


def test_nobody_there_means_nothing_is_superseded():
    ends = latest()
    for n in range(5):
        ends.writer.put(result("rows", n))
    assert ends.writer.superseded == 0
    assert ends.writer.delivered


def test_a_late_reader_gets_the_newest_of_every_key_once():
    ends = latest()
    for n in range(3):
        for key in ("rows", "trace", "fit"):
            ends.writer.put(result(key, n))
    ends.start("page", 2)
    ends.rounds(8)
    assert sorted(values(ends, "page")) == [("fit", 2), ("rows", 2), ("trace", 2)]


def test_keys_take_turns():
    ends = latest("page", window=1)
    ends.writer.put(result("slow", 0))
    for n in range(30):
        ends.writer.put(result("busy", n))
        ends.round()
        if n == 10:
            ends.writer.put(result("slow", 1))
    ends.rounds(4)
    place = values(ends, "page").index(("slow", 1))
    assert values(ends, "page")[place - 1][1] <= 12


@pytest.mark.parametrize("arrived", [0, 1, 2])
def test_after_a_cut_results_come_in_order_and_the_newest_arrives(arrived):
    ends = latest("page", window=2)
    ends.writer.put(result("rows", 0))
    ends.writer.put(result("trace", 0))
    ends.network.move(ends.identity("page"), "down", arrived)
    ends.network.cut(ends.identity("page"))
    ends.writer.put(result("rows", 1, final=True))
    ends.writer.put(result("trace", 1, final=True))
    ends.rounds(12, pass_s=REPEAT_S)
    assert values(ends, "page") == [("rows", 0), ("trace", 0), ("rows", 1), ("trace", 1)]
    assert ends.writer.delivered


def test_a_reader_that_went_away_is_forgotten_and_one_that_comes_back_gets_all_again():
    ends = latest("page", "results")
    ends.writer.put(result("rows", 0))
    ends.rounds(3)
    for n in range(100):
        ends.writer.put(result("rows", 1 + n))
        ends.round("results", pass_s=REPEAT_S)
    assert ends.writer.readers == 1
    ends.rounds(3, "results", pass_s=REPEAT_S)
    assert ends.writer.delivered
    superseded = ends.writer.superseded
    ends.writer.put(result("rows", 101))
    assert ends.writer.superseded == superseded
    ends.rounds(8, pass_s=REPEAT_S)
    assert ends.writer.readers == 2
    assert values(ends, "page")[-1] == ("rows", 101)
    order = [value for _, value in values(ends, "page")]
    assert order == sorted(order)


def test_a_reader_goes_on_with_a_restarted_writer_of_the_same_epoch():
    ends = latest("page")
    for n in range(5):
        ends.writer.put(result("rows", n))
        ends.rounds(2)
    ends.writer = LatestWriter(ends.network, "ipc:fake", clock=ends.clock)
    ends.writer.open(opening())
    ends.writer.put(result("rows", 77, final=True))
    ends.rounds(12, pass_s=REPEAT_S)
    assert values(ends, "page")[-1] == ("rows", 77)
    assert ends.writer.delivered
    assert ends.writer.readers == 1


def test_a_new_epoch_forgets_the_results_of_the_old_one():
    ends = latest("page", window=1)
    ends.writer.put(result("rows", 0))
    ends.writer.put(result("trace", 0))
    ends.writer.open(opening(1))
    ends.writer.put(result("rows", 10))
    ends.rounds(6)
    assert [(m.epoch, m.key) for m in ends.got["page"]] == [(0, "rows"), (1, "rows")]


def test_close_comes_after_the_newest_of_every_key_also_for_a_late_reader():
    ends = latest("page", window=1)
    ends.writer.put(result("rows", 0))
    ends.writer.put(result("rows", 1, final=True))
    ends.writer.put(result("trace", 0, final=True))
    ends.writer.put(Close(0, 0, "end"))
    assert ends.writer.outstanding == 4
    ends.rounds(10)
    ends.start("late", 1)
    ends.rounds(10)
    assert [type(m) for m in ends.got["page"]] == [ResultSent] * 3 + [Close]
    assert [type(m) for m in ends.got["late"]] == [ResultSent] * 2 + [Close]
    assert ends.writer.outstanding == 0


def test_a_result_takes_back_a_close_that_nobody_has_had():
    ends = latest("page", window=1)
    ends.writer.put(result("rows", 0))
    ends.writer.put(Close(0, 0, "end", 1))
    # It is due, behind the one that is under way.
    ends.writer.put(result("trace", 1))
    ends.rounds(8)
    assert [type(m) for m in ends.got["page"]] == [ResultSent] * 2
    ends.start("late", 1)
    ends.rounds(8)
    assert [type(m) for m in ends.got["late"]] == [ResultSent] * 2
    ends.writer.put(Close(0, 0, "end", 2))
    ends.rounds(4)
    for name in ("page", "late"):
        assert [(type(m), m.number) for m in ends.got[name]][2:] == [(Close, 2)]
        assert ends.got[name][-1].version == 2
    assert ends.writer.delivered


@pytest.mark.parametrize("arrived", [True, False])
def test_a_result_takes_back_a_close_that_was_sent_already(arrived):
    """Whoever has it hears the result after it; whoever has not yet hears both, and the last word is the same."""
    ends = latest("page", window=4)
    ends.writer.put(result("rows", 0, final=True))
    ends.writer.put(Close(0, 0, "end", 1))
    if arrived:
        ends.rounds(4)
        assert isinstance(ends.got["page"][-1], Close)
    else:
        ends.network.cut(ends.identity("page"))
    ends.writer.put(result("rows", 1, final=True))
    ends.rounds(8, pass_s=REPEAT_S)
    assert [(type(m), m.number) for m in ends.got["page"]] == [(ResultSent, 0), (Close, 1), (ResultSent, 2)]
    assert values(ends, "page")[-1] == ("rows", 1)
    ends.start("late", 4)
    ends.rounds(4)
    assert values(ends, "late") == [("rows", 1)]
    assert not any(isinstance(m, Close) for m in ends.got["late"])
    ends.writer.put(Close(0, 0, "end", 2))
    ends.rounds(4)
    assert all(ends.got[name][-1].version == 2 for name in ("page", "late"))
    assert ends.writer.delivered


def test_a_close_that_is_put_again_replaces_one_that_is_due():
    ends = latest("page", window=1)
    ends.writer.put(result("rows", 0))
    for version in (1, 2, 3):
        ends.writer.put(Close(0, 0, "end", version))
    ends.rounds(8)
    assert [m.version for m in ends.got["page"][1:]] == [3]


def test_what_was_put_last_comes_last():
    ends = latest("page", window=1)
    for key in ("a", "b", "c", "d"):
        ends.writer.put(result(key, 0))
    # "a" is under way, the others are due; "b" and then "run" are put anew.
    ends.writer.put(result("b", 1))
    ends.start("late", 10)
    ends.rounds(12)
    assert values(ends, "page") == [("a", 0), ("c", 0), ("d", 0), ("b", 1)]
    assert values(ends, "late") == [("a", 0), ("c", 0), ("d", 0), ("b", 1)]


def test_a_result_that_cannot_be_sent_is_said_to_who_puts_it():
    ends = latest("page")
    with pytest.raises(ValueError, match="not sent"):
        ends.writer.put(result("rows", object()))
    ends.writer.put(result("rows", 1))
    ends.rounds(3)
    assert values(ends, "page") == [("rows", 1)]


def test_the_number_of_readers_is_bounded(monkeypatch):
    monkeypatch.setattr("photonstream.stream.link.writers.MOST_READERS", 2)
    ends = latest("a", "b")
    ends.start("c")
    ends.rounds(2)
    assert ends.writer.readers == 2
    assert "2 readers already" in ends.readers["c"].refusal
