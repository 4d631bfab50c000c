"""The credit link under any interleaving of what its ends and the network may do."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from photonstream.stream.link import REPEAT_S
from photonstream.stream.wire import Close
from tests.stream.hand_network import Ends, chunk, opening


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
