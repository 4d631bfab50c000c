"""The credit link when a reader or the writer begins again, or a new epoch does."""

import pytest

from photonstream.stream.link import REPEAT_S, LinkReader, LosslessWriter
from photonstream.stream.wire import ChunkSent, Hello, Need, encode
from tests.stream.hand_network import Ends, chunk, opened, opening


def test_a_restarted_reader_reads_from_the_start_while_everything_is_kept():
    ends = opened("decay")
    for n in range(4):
        ends.writer.put(chunk(n))
    ends.start("decay")
    ends.rounds(5)
    assert ends.sequences("decay") == [0, 1, 2, 3]
    assert not ends.writer.behind


def test_a_restarted_reader_that_comes_too_late_needs_a_new_epoch():
    ends = opened("decay")
    for n in range(4):
        ends.writer.put(chunk(n))
    ends.rounds(3)
    # Its window alone would leave room.
    ends.start("decay", 9)
    ends.rounds(5, pass_s=REPEAT_S)
    assert ends.writer.behind == {"decay"}
    assert ends.writer.room == 0
    assert not ends.writer.delivered
    assert ends.got["decay"] == []
    ends.writer.open(opening(1))
    assert not ends.writer.behind
    ends.rounds(3)
    ends.writer.put(chunk(0, epoch=1))
    ends.rounds(3)
    assert [(m.epoch, m.sequence) for m in ends.got["decay"]] == [(1, 0)]
    assert ends.writer.refused == 0


def test_a_reader_that_keeps_its_identity_when_it_is_restarted_is_noticed():
    ends = opened("decay")
    for n in range(4):
        ends.writer.put(chunk(n))
    ends.rounds(3)
    ends.say("decay", Hello(1, "decay"))
    ends.say("decay", Need(0, 0, 4))
    ends.rounds(2)
    assert ends.writer.behind == {"decay"}


def test_a_late_word_of_the_former_reader_does_not_shut_out_the_new_one():
    ends = opened("decay")
    former = ends.identity("decay")
    ends.start("decay")
    ends.rounds(3)
    ends.network.wires[former].under_way["up"].append(encode(Hello(1, "decay")))
    ends.rounds(8, pass_s=REPEAT_S)
    ends.writer.put(chunk(0))
    ends.rounds(3)
    assert ends.sequences("decay") == [0]


def test_a_new_epoch_is_not_mixed_with_the_old_one():
    ends = opened("decay")
    for n in range(4):
        ends.writer.put(chunk(n))
    # The messages of epoch 0 are under way when epoch 1 begins.
    ends.writer.open(opening(1))
    ends.writer.put(chunk(0, epoch=1))
    ends.rounds(4)
    assert [(m.epoch, m.sequence) for m in ends.got["decay"]] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    assert ends.readers["decay"].opening.epoch == 1


def test_the_opening_of_an_epoch_may_be_lost():
    ends = opened("decay")
    ends.writer.open(opening(1))
    ends.network.cut(ends.identity("decay"))
    ends.rounds(4, pass_s=REPEAT_S)
    assert ends.readers["decay"].opening.epoch == 1
    assert ends.writer.room == 4


def test_done_for_messages_of_an_ended_epoch_gives_no_credit_in_the_next():
    ends = opened("decay")
    for n in range(4):
        ends.writer.put(chunk(n))
    ends.rounds(2, done=False)
    ends.writer.open(opening(1))
    ends.rounds(2)
    for _ in range(4):
        ends.readers["decay"].done()
    ends.rounds(2)
    assert ends.writer.room == 4


def test_an_epoch_only_follows_an_earlier_one_of_its_run():
    ends = opened("decay")
    for epoch in (0, -1):
        with pytest.raises(ValueError, match="cannot follow"):
            ends.writer.open(opening(epoch))
    ends.writer.open(opening(0, run="another"))
    ends.rounds(3)
    ends.writer.put(chunk(0))
    ends.rounds(2)
    assert isinstance(ends.got["decay"][-1], ChunkSent)
    assert ends.readers["decay"].opening.run == "another"


def test_what_cannot_be_put_is_said_at_once():
    ends = Ends("decay")
    with pytest.raises(ValueError, match="before an epoch"):
        ends.writer.put(chunk(0))
    ends.writer.open(opening(3))
    with pytest.raises(ValueError, match="epoch 0 in epoch 3"):
        ends.writer.put(chunk(0))
    with pytest.raises(ValueError, match="window"):
        LinkReader(ends.network, "ipc:fake", "decay", 0)


def restart_writer(ends, opens):
    """The writer dies: what it had sent is lost, and a new one knows nobody."""
    for identity in ends.network.wires:
        ends.network.cut(identity)
    ends.writer = LosslessWriter(ends.network, "ipc:fake", list(ends.readers), clock=ends.clock)
    ends.writer.open(opens)


@pytest.mark.parametrize("opens", [opening(1), opening(0, run="another"), opening(7, run="another")])
def test_a_restarted_writer_with_a_new_run_or_epoch_is_read_from_its_start(opens):
    ends = opened("decay")
    for n in range(4):
        ends.writer.put(chunk(n))
    ends.rounds(2)
    restart_writer(ends, opens)
    ends.rounds(6, pass_s=REPEAT_S)
    ends.got["decay"].clear()
    assert ends.readers["decay"].opening == opens
    for n in range(3):
        ends.writer.put(chunk(n, epoch=opens.epoch))
    ends.rounds(3)
    assert ends.sequences("decay") == [0, 1, 2]


@pytest.mark.parametrize("produced", [0, 2, 6])
def test_a_restarted_writer_in_the_same_epoch_never_goes_on_as_if_nothing_had_been(produced):
    ends = opened("decay")
    for n in range(4):
        ends.writer.put(chunk(n))
    ends.rounds(3)
    restart_writer(ends, opening())
    for n in range(produced):
        ends.writer.put(chunk(100 + n))
    ends.rounds(8, pass_s=REPEAT_S)
    assert ends.sequences("decay") == [0, 1, 2, 3]
    assert ends.writer.behind == {"decay"}
    ends.writer.open(opening(1))
    ends.writer.put(chunk(0, epoch=1))
    ends.rounds(3)
    assert ends.sequences("decay") == [0, 1, 2, 3, 0]


def test_openings_of_earlier_epochs_are_ignored():
    ends = Ends("decay")
    ends.writer.open(opening(5))
    ends.rounds(3)
    stale = encode(opening(4))
    ends.network.wires[ends.identity("decay")].under_way["down"].append(stale)
    ends.rounds(2)
    assert ends.readers["decay"].opening.epoch == 5
