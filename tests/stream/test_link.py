"""The rules of the credit link, over a network made by hand: credit, what is kept, and cuts."""

import pytest

from photonstream.stream.link import REPEAT_S
from photonstream.stream.wire import ChunkSent, Close, GapSent, Need, Open
from tests.stream.hand_network import Ends, answers, chunk, opened, opening


def test_nothing_may_be_put_before_every_reader_has_given_credit():
    ends = Ends("decay", "antibunching")
    assert ends.writer.room == 0
    ends.writer.open(opening())
    assert ends.writer.room == 0
    ends.rounds(3, "decay")
    assert ends.writer.room == 0
    ends.rounds(3)
    assert ends.writer.room == 4
    assert ends.writer.delivered


def test_credit_bounds_what_is_sent_and_done_gives_more():
    ends = opened("decay")
    for n in range(6):
        ends.writer.put(chunk(n))
    assert ends.writer.room == 0
    ends.rounds(3, done=False)
    assert ends.sequences("decay") == [0, 1, 2, 3]
    assert not ends.writer.delivered
    for _ in range(4):
        ends.readers["decay"].done()
    ends.rounds(3)
    assert ends.sequences("decay") == [0, 1, 2, 3, 4, 5]


def test_the_slowest_of_two_readers_sets_the_pace_and_both_get_all():
    ends = opened("decay", "antibunching")
    put = 0
    for turn in range(200):
        if ends.writer.room:
            ends.writer.put(chunk(put))
            put += 1
        ends.round("decay", *["antibunching"] * (turn % 5 == 0))
        assert put - len(ends.got["antibunching"]) <= 2 * 4
    ends.rounds(4)
    assert ends.sequences("decay") == ends.sequences("antibunching") == list(range(put))
    # Two and more rounds of its own per message would be far fewer.
    assert put > 60


def test_close_is_the_last_message_and_is_acknowledged_at_once():
    ends = opened("decay")
    ends.writer.put(chunk(0))
    ends.writer.put(GapSent(0, 99, 1, 5, "FIFO overrun"))
    ends.writer.put(Close(0, 99, "end of the recording"))
    ends.round()
    assert [(type(m), m.number) for m in ends.got["decay"]] == [(ChunkSent, 0), (GapSent, 1), (Close, 2)]
    assert not ends.writer.delivered
    ends.round()
    assert ends.writer.delivered


def test_a_stream_without_readers_keeps_nothing():
    ends = Ends()
    ends.writer.open(opening())
    kept = []
    for n in range(100):
        assert ends.writer.room
        ends.writer.put(chunk(n))
        kept.append(len(ends.writer._kept))
    assert ends.writer.delivered
    assert max(kept) == 0


def test_what_all_have_acknowledged_is_released():
    ends = opened("decay", "antibunching")
    for n in range(4):
        ends.writer.put(chunk(n))
    ends.rounds(4, "decay")
    assert len(ends.writer._kept) == 4
    ends.rounds(4)
    ends.rounds(4, pass_s=REPEAT_S)
    assert len(ends.writer._kept) == 0


def test_a_slow_connection_carries_no_message_twice_however_often_need_is_repeated():
    ends = opened("decay", window=8)
    for n in range(16):
        ends.writer.put(chunk(n))
    me = ends.identity("decay")
    # Eight large messages crawl: one arrives in ten seconds, while NEED is repeated and arrives at once.
    for _ in range(40):
        for _ in range(50):
            ends.clock.now_s += REPEAT_S
            ends.read("decay")
            ends.network.move(me, "up")
            ends.writer.service()
        ends.network.move(me, "down", 1)
    ends.rounds(6, pass_s=REPEAT_S)
    assert ends.sequences("decay") == list(range(16))
    assert ends.network.data() == list(range(16))
    # The question whether something was lost is a small message, but there are not hundreds of them on the way.
    assert len(answers(ends, Open)) < 50 * 40


@pytest.mark.parametrize("arrived", [0, 1, 3, 4])
def test_a_cut_costs_what_was_under_way_and_nothing_else(arrived):
    ends = opened("decay")
    for n in range(8):
        ends.writer.put(chunk(n))
    me = ends.identity("decay")
    ends.network.move(me, "down", arrived)
    ends.network.cut(me)
    ends.rounds(8, pass_s=REPEAT_S)
    assert ends.sequences("decay") == list(range(8))
    # What was sent between the cut and its discovery is lost as well: never more than the window.
    assert 8 + (4 - arrived) <= len(ends.network.data()) <= 8 + 4


def test_the_question_and_its_answer_may_be_lost_too():
    ends = opened("decay")
    for n in range(8):
        ends.writer.put(chunk(n))
    me = ends.identity("decay")
    ends.network.cut(me)
    for _ in range(5):
        ends.clock.now_s += REPEAT_S
        ends.read("decay")
        ends.network.move(me, "up")
        ends.writer.service()
        ends.network.cut(me)
    ends.rounds(3, pass_s=REPEAT_S)
    ends.network.cut(me)
    ends.rounds(8, pass_s=REPEAT_S)
    assert ends.sequences("decay") == list(range(8))


def test_the_answer_to_the_question_does_not_wait_for_the_next_repetition():
    ends = opened("decay")
    ends.writer.put(chunk(0))
    ends.network.cut(ends.identity("decay"))
    while not answers(ends, Open)[-1].mark:
        ends.round(pass_s=REPEAT_S / 2)
    ends.rounds(2)
    assert ends.sequences("decay") == [0]


def test_credit_that_was_given_is_not_taken_back():
    ends = opened("decay")
    ends.say("decay", Need(0, 0, 2))
    ends.rounds(2)
    assert ends.writer.room == 4


def test_what_a_reader_says_to_have_after_going_back_is_not_sent_again():
    ends = opened("decay", "antibunching")
    for n in range(4):
        ends.writer.put(chunk(n))
    ends.rounds(2, "decay")
    me = ends.identity("decay")
    assert ends.network.data(me) == [0, 1, 2, 3]
    ends.say("decay", Need(0, 1, 5))
    ends.say("decay", Need(0, 4, 8))
    ends.rounds(2, "decay")
    assert ends.network.data(me) == [0, 1, 2, 3]


def test_a_need_that_crosses_a_message_raises_no_doubt():
    ends = opened("decay")
    ends.clock.now_s += 1.0
    ends.read("decay")
    ends.writer.put(chunk(0))
    ends.round()
    ends.writer.put(chunk(1))
    ends.round()
    assert ends.sequences("decay") == [0, 1]
    assert len(answers(ends, Open)) == 1
