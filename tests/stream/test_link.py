"""The rules of the credit link, between both ends over a network made by hand: it delays and cuts on demand.

The network keeps what ZeroMQ promises (whole messages, in order within a connection; a cut loses what is under way)
and nothing else; no clock runs but the one that the test moves. Real sockets: test_link_sockets.py.
"""

from collections import deque

import numpy as np
import pytest
import zmq
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from photonstream.stream.chunk import Result
from photonstream.stream.link import REPEAT_S, LatestWriter, LinkReader, LosslessWriter
from photonstream.stream.wire import (
    ChunkSent,
    Close,
    Error,
    GapSent,
    Hello,
    Need,
    Open,
    ResultSent,
    decode,
    encode,
)


class Wire:
    """Both directions of one connection: what was sent and has not arrived, what has arrived and was not read."""

    def __init__(self):
        self.under_way = {"up": deque(), "down": deque()}
        self.arrived = {"up": deque(), "down": deque()}


class Network:
    """A context whose one ROUTER and any number of DEALERs are joined by wires that the test moves."""

    def __init__(self):
        self.wires: dict[bytes, Wire] = {}
        self.sent: list[tuple[bytes, object]] = []

    def socket(self, kind):
        return FakeRouter(self) if kind == zmq.ROUTER else FakeDealer(self)

    def move(self, identity, way, count=None):
        """Let ``count`` messages arrive (all: None)."""
        wire = self.wires[identity]
        for _ in range(len(wire.under_way[way]) if count is None else count):
            if wire.under_way[way]:
                wire.arrived[way].append(wire.under_way[way].popleft())

    def cut(self, identity):
        """The connection breaks and is made again: what was under way is lost."""
        for queue in self.wires[identity].under_way.values():
            queue.clear()

    def data(self, identity=None):
        """Numbers of the data messages that the writer has sent (to one reader)."""
        return [
            m.number
            for to, m in self.sent
            if isinstance(m, ChunkSent | GapSent | ResultSent | Close) and identity in (None, to)
        ]


class FakeSocket:
    last_endpoint = b"ipc:fake"
    closed = False

    def __init__(self, network):
        self.network = network

    def bind(self, endpoint):
        pass

    def close(self):
        self.closed = True


class FakeFrame:
    def __init__(self, data):
        self.buffer = memoryview(data)


class FakeRouter(FakeSocket):
    def get(self, option):
        assert option == zmq.EVENTS
        return zmq.POLLIN if any(wire.arrived["up"] for wire in self.network.wires.values()) else 0

    def recv_multipart(self, flags):
        for identity, wire in self.network.wires.items():
            if wire.arrived["up"]:
                return [identity, *wire.arrived["up"].popleft()]
        raise zmq.Again

    def send_multipart(self, frames, flags, copy):
        identity, *frames = frames
        frames = [bytes(frame) for frame in frames]
        self.network.sent.append((identity, decode(frames)))
        if identity in self.network.wires:
            self.network.wires[identity].under_way["down"].append(frames)


class FakeDealer(FakeSocket):
    def connect(self, endpoint):
        self.network.wires[self.identity] = Wire()

    def close(self):
        self.closed = True
        # What it said may still arrive; nothing reaches it any more.
        self.network.wires[self.identity].arrived["down"].clear()

    def get(self, option):
        assert option == zmq.EVENTS
        return zmq.POLLIN if self.network.wires[self.identity].arrived["down"] else 0

    def recv_multipart(self, flags, copy):
        arrived = self.network.wires[self.identity].arrived["down"]
        if not arrived:
            raise zmq.Again
        return [FakeFrame(frame) for frame in arrived.popleft()]

    def send_multipart(self, frames, flags):
        self.network.wires[self.identity].under_way["up"].append([bytes(frame) for frame in frames])


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def opening(epoch=0, run="run"):
    return Open(run, epoch, "decode", "lossless", {}, {})


def chunk(n, epoch=0):
    """The nth message: its place in the producer's own order is in ``sequence``."""
    return ChunkSent(epoch, 0, n, n, n + 1, 1, {"macrotime": np.array([n], np.uint64)})


class Ends:
    """A writer, its readers, the network between them and the clock of all."""

    def __init__(self, *readers, window=4, latest=False):
        self.network = Network()
        self.clock = Clock()
        self.writer = (
            LatestWriter(self.network, "ipc:fake", clock=self.clock)
            if latest
            else LosslessWriter(self.network, "ipc:fake", readers, clock=self.clock)
        )
        self.readers = {}
        self.got = {}
        for name in readers:
            self.start(name, window)

    def start(self, name, window=4):
        self.readers[name] = LinkReader(self.network, "ipc:fake", name, window, clock=self.clock)
        self.got[name] = []
        return self.readers[name]

    def identity(self, name):
        return self.readers[name].socket.identity

    def read(self, name, done=True):
        """Take what has arrived; data messages are kept in ``got``."""
        for message in self.readers[name].receive():
            if not isinstance(message, Open):
                self.got[name].append(message)
                if done:
                    self.readers[name].done()

    def round(self, *names, pass_s=0.0, done=True):
        """Everything under way arrives, once around."""
        for identity in self.network.wires:
            self.network.move(identity, "up")
        self.writer.service()
        for identity in self.network.wires:
            self.network.move(identity, "down")
        for name in names or self.readers:
            self.read(name, done)
        self.clock.now_s += pass_s

    def rounds(self, count, *names, **how):
        for _ in range(count):
            self.round(*names, **how)

    def say(self, name, message):
        """Something that the reader's own code would not say."""
        self.network.wires[self.identity(name)].under_way["up"].append([bytes(f) for f in encode(message)])

    def sequences(self, name):
        return [message.sequence for message in self.got[name]]


def opened(*readers, window=4):
    ends = Ends(*readers, window=window)
    ends.writer.open(opening())
    ends.rounds(3)
    return ends


def answers(ends, kind=Error):
    return [message for _, message in ends.network.sent if isinstance(message, kind)]


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


@pytest.mark.parametrize(
    "need",
    [
        Need(0, 1, 5),
        Need(0, 4, 3),
        Need(0, 3, 5),
        Need(0, 2, 2 + (1 << 13)),
        Need(0, 2, (1 << 64) - 1),
        Need(0, (1 << 64) - 1, (1 << 64) - 1),
    ],
)
def test_absurd_needs_are_refused_or_do_no_harm(need):
    ends = opened("decay")
    ends.writer.put(chunk(0))
    ends.writer.put(chunk(1))
    ends.rounds(2)
    ends.say("decay", need)
    ends.rounds(3, pass_s=REPEAT_S)
    for n in range(2, 4):
        ends.writer.put(chunk(n))
    ends.rounds(6, pass_s=REPEAT_S)
    if need.next < 2:
        # It went back to what is gone: only a new epoch helps.
        assert ends.writer.behind == {"decay"}
    else:
        assert ends.sequences("decay") == [0, 1, 2, 3]
        assert ends.writer.refused == 1
        assert "NEED" in answers(ends)[0].text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Hello(1, "mallory"), "no reader"),
        (Hello(1, "m" * 1000), "too long"),
        (Hello(2, "decay"), "protocol 2"),
        (Need(0, 0, 4), "HELLO comes first"),
        (chunk(0), "CHUNK is nothing"),
        (opening(9), "OPEN is nothing"),
    ],
)
def test_strangers_are_refused_with_a_reason_and_counted(message, words):
    ends = opened("decay")
    ends.network.wires[b"stranger"] = Wire()
    ends.network.wires[b"stranger"].under_way["up"].append(encode(message))
    ends.round()
    assert ends.writer.refused == 1
    assert words in answers(ends)[0].text
    ends.writer.put(chunk(0))
    ends.round()
    assert ends.sequences("decay") == [0]


def test_a_reader_knows_why_it_is_refused_and_does_not_answer_in_a_tight_circle():
    ends = opened("decay")
    stranger = ends.start("mallory")
    ends.rounds(100, pass_s=REPEAT_S / 20)
    assert "no reader" in stranger.refusal
    assert 4 <= ends.writer.refused <= 7


def test_a_flood_does_not_keep_either_end_from_its_work():
    ends = opened("decay")
    ends.network.wires[b"stranger"] = Wire()
    ends.network.wires[b"stranger"].arrived["up"].extend([[b"noise"]] * 5000)
    ends.network.wires[ends.identity("decay")].arrived["down"].extend([[b"noise"]] * 5000)
    ends.round()
    assert 0 < ends.writer.refused < 5000
    assert 0 < ends.readers["decay"].refused < 5000
    assert "not msgpack" in ends.readers["decay"].refusal
    ends.writer.put(chunk(0))
    ends.rounds(8)
    assert ends.sequences("decay") == [0]


class AnyInterleaving(RuleBasedStateMachine):
    """Two readers; puts, reads, arrivals, cuts, restarts and the clock in any order.

    A consumer sees 0, 1, 2, ... of the present epoch, without gap or repetition, or is named in ``behind``.
    """

    names = st.sampled_from(["decay", "antibunching"])

    def __init__(self):
        super().__init__()
        self.ends = Ends("decay", "antibunching", window=3)
        self.epoch = 0
        self.put_in_epoch = 0
        self.cuts = self.starts = 0
        self.undone = dict.fromkeys(self.ends.readers, 0)
        self.ends.writer.open(opening(0))

    @rule(count=st.integers(1, 4))
    def put(self, count):
        for _ in range(min(count, self.ends.writer.room)):
            self.ends.writer.put(chunk(self.put_in_epoch, self.epoch))
            self.put_in_epoch += 1

    @rule()
    def service(self):
        self.ends.writer.service()

    @rule(name=names, way=st.sampled_from(["up", "down"]), count=st.integers(1, 6))
    def arrive(self, name, way, count):
        self.ends.network.move(self.ends.identity(name), way, count)

    @rule(name=names)
    def receive(self, name):
        before = len(self.ends.got[name])
        self.ends.read(name, done=False)
        self.undone[name] += len(self.ends.got[name]) - before

    @rule(name=names, count=st.integers(1, 3))
    def done(self, name, count):
        for _ in range(min(count, self.undone[name])):
            self.ends.readers[name].done()
            self.undone[name] -= 1

    @rule(tenths=st.integers(1, 4))
    def time_passes(self, tenths):
        self.ends.clock.now_s += tenths / 10

    @rule(name=names)
    def cut(self, name):
        self.ends.network.cut(self.ends.identity(name))
        self.cuts += 1

    @rule(name=names)
    def restart(self, name):
        self.ends.readers[name].stop()
        self.ends.start(name, 3)
        self.undone[name] = 0
        self.starts += 1

    @precondition(lambda self: self.ends.writer.behind)
    @rule()
    def new_epoch(self):
        self.epoch += 1
        self.put_in_epoch = 0
        self.ends.writer.open(opening(self.epoch))

    @invariant()
    def in_order_without_gap_or_repetition(self):
        for got in self.ends.got.values():
            epochs = [m.epoch for m in got]
            assert epochs == sorted(epochs)
            for epoch in set(epochs):
                sequences = [m.sequence for m in got if m.epoch == epoch]
                assert sequences == list(range(len(sequences)))

    @invariant()
    def what_is_kept_is_bounded_by_credit(self):
        assert len(self.ends.writer._kept) <= 2 * 3

    @invariant()
    def nothing_is_sent_twice_without_a_cut(self):
        if self.cuts == 0 and self.starts == 0:
            for name in self.ends.readers:
                numbers = self.ends.network.data(self.ends.identity(name))
                assert numbers == list(range(len(numbers)))

    def teardown(self):
        """Left alone, it gets through: to the end of this epoch, or of the one that is needed."""
        self.drain()
        if self.ends.writer.behind:
            self.new_epoch()
            self.put(4)
            self.drain()
        assert not self.ends.writer.behind
        self.put(4)
        self.ends.writer.put(Close(self.epoch, 0, "end"))
        self.drain()
        assert self.ends.writer.delivered
        for got in self.ends.got.values():
            assert isinstance(got[-1], Close)
            assert [m.number for m in got if m.epoch == self.epoch] == list(range(self.put_in_epoch + 1))

    def drain(self):
        for name, undone in self.undone.items():
            for _ in range(undone):
                self.ends.readers[name].done()
            self.undone[name] = 0
        self.ends.rounds(12, pass_s=REPEAT_S)


class WithoutCuts(AnyInterleaving):
    """The same on a network that is only slow."""

    cut = None
    restart = None


AnyInterleaving.TestCase.settings = settings(max_examples=150, stateful_step_count=60)
WithoutCuts.TestCase.settings = settings(max_examples=80, stateful_step_count=60)
TestAnyInterleaving = AnyInterleaving.TestCase
TestWithoutCuts = WithoutCuts.TestCase


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
