"""The credit link over real sockets: threads, files, tcp that is cut, and hostile company."""

import contextlib
import gc
import random
import selectors
import socket

import msgpack
import numpy as np
import pytest
import zmq

from photonstream.stream.chunk import Result
from photonstream.stream.link import LatestWriter, LinkReader, LosslessWriter
from photonstream.stream.wire import ChunkSent, Close, GapSent, Hello, Need, Open, ResultSent, decode, encode
from tests.stream.sockets import DEADLINE_S, FAR, Proxy, wait

# Far from anything that a few changed bytes make of an epoch of the examples below.
EPOCH = 70_123


@pytest.fixture(params=["inproc", "ipc", "tcp"])
def endpoint(request, tmp_path):
    return {"inproc": "inproc://link", "ipc": f"ipc://{tmp_path}/link", "tcp": "tcp://127.0.0.1:*"}[
        request.param
    ]


def opening(epoch=EPOCH, run="run"):
    return Open(run, epoch, "decode", "lossless", {"mode": "T3"}, {}, {"numpy": "2"})


def chunk(n, photons=3, epoch=EPOCH):
    macrotime = np.arange(n, n + photons, dtype=np.uint64)
    columns = {"macrotime": macrotime, "dtime": (macrotime % 4096).astype(np.uint16)}
    return ChunkSent(epoch, 0, n, n, n + 1, photons, columns)


class Consumer:
    """A reader and what it got."""

    def __init__(self, context, endpoint, name="decay", window=8):
        self.reader = LinkReader(context, endpoint, name, window)
        self.openings = []
        self.got = []

    def read(self):
        for message in self.reader.receive():
            if isinstance(message, Open):
                self.openings.append(message)
            else:
                self.got.append(message)
                self.reader.done()

    def sequences(self):
        return [message.sequence for message in self.got if isinstance(message, ChunkSent)]

    def stop(self):
        self.reader.stop()


class Producer:
    """Puts chunks 0, 1, ... ``count`` - 1 and CLOSE while there is room."""

    def __init__(self, writer, count, photons=3):
        self.writer = writer
        self.put = 0
        self.count = count
        self.photons = photons
        self.closed = False

    def step(self):
        self.writer.service()
        while self.writer.room and self.put < self.count:
            self.writer.put(chunk(self.put, self.photons, self.writer._opening.epoch))
            self.put += 1
        if self.put == self.count and not self.closed and self.writer.room:
            self.writer.put(Close(self.writer._opening.epoch, 0, "end"))
            self.closed = True

    def finished(self):
        return self.closed and self.writer.delivered


def transfer(producer, *consumers, steps=()):
    sockets = [producer.writer.socket, *(consumer.reader.socket for consumer in consumers)]
    wait(
        producer.finished, producer.step, *(consumer.read for consumer in consumers), *steps, sockets=sockets
    )


def test_chunks_arrive_whole_and_in_order(context, endpoint):
    writer = LosslessWriter(context, endpoint, ["decay", "antibunching"])
    consumers = [Consumer(context, writer.endpoint, name) for name in ("decay", "antibunching")]
    writer.open(opening())
    transfer(Producer(writer, 40, photons=20_000), *consumers)
    for consumer in consumers:
        assert consumer.openings == [opening()]
        assert consumer.sequences() == list(range(40))
        assert isinstance(consumer.got[-1], Close)
        # Looked at after everything has been read and released: the arrays are still what they were.
        gc.collect()
        for n, message in enumerate(consumer.got[:-1]):
            expected = chunk(n, 20_000)
            assert message.columns.keys() == expected.columns.keys()
            for name, column in expected.columns.items():
                assert message.columns[name].dtype == column.dtype
                assert (message.columns[name] == column).all()
            assert not message.columns["macrotime"].flags.writeable
        consumer.stop()
    writer.stop()


def test_between_threads_large_arrays_are_passed_by_reference(context):
    writer = LosslessWriter(context, "inproc://link", ["decay"])
    consumer = Consumer(context, "inproc://link")
    writer.open(opening())
    wait(lambda: writer.room, writer.service, consumer.read)
    sent = chunk(0, 100_000)
    writer.put(sent)
    wait(lambda: consumer.got, consumer.read)
    assert np.shares_memory(consumer.got[0].columns["macrotime"], sent.columns["macrotime"])
    consumer.stop()
    writer.stop()


def test_empty_chunks_and_gaps_arrive(context, endpoint):
    writer = LosslessWriter(context, endpoint, ["decay"])
    consumer = Consumer(context, writer.endpoint)
    writer.open(opening())
    wait(lambda: writer.room, writer.service, consumer.read)
    writer.put(ChunkSent(EPOCH, 0, 0, 0, 500, 0, {"macrotime": np.empty(0, np.uint64)}))
    writer.put(GapSent(EPOCH, 0, 500, 900, "FIFO overrun"))
    writer.put(ChunkSent(EPOCH, 0, 1, 900, 900, 0, {}))
    wait(lambda: len(consumer.got) == 3, writer.service, consumer.read)
    empty, gap, bare = consumer.got
    assert (empty.stop, empty.columns["macrotime"].shape, empty.columns["macrotime"].dtype) == (
        500,
        (0,),
        np.uint64,
    )
    assert (gap.start, gap.stop, gap.cause) == (500, 900, "FIFO overrun")
    assert bare.columns == {}
    consumer.stop()
    writer.stop()


def test_thousands_of_small_messages_at_several_windows(context, endpoint):
    writer = LosslessWriter(context, endpoint, ["wide", "narrow"])
    consumers = [
        Consumer(context, writer.endpoint, "wide", 500),
        Consumer(context, writer.endpoint, "narrow", 20),
    ]
    writer.open(opening())
    transfer(Producer(writer, 3000), *consumers)
    for consumer in consumers:
        assert consumer.sequences() == list(range(3000))
        assert consumer.reader.refused == 0
        consumer.stop()
    assert writer.refused == 0
    writer.stop()


def test_a_reader_may_be_there_before_the_writer(context, tmp_path):
    for endpoint in ("inproc://later", f"ipc://{tmp_path}/later"):
        consumer = Consumer(context, endpoint)
        consumer.read()
        writer = LosslessWriter(context, endpoint, ["decay"])
        writer.open(opening())
        transfer(Producer(writer, 5), consumer)
        assert consumer.sequences() == list(range(5))
        consumer.stop()
        writer.stop()


def test_a_writer_may_be_replaced_at_the_same_endpoint(context, endpoint):
    writer = LosslessWriter(context, endpoint, ["decay"])
    consumer = Consumer(context, writer.endpoint)
    place = writer.endpoint
    for epoch in range(3):
        writer.open(opening(epoch))
        producer = Producer(writer, 30, photons=10_000)
        wait(lambda p=producer: p.put > 15, producer.step, consumer.read)
        writer.stop()
        writer = LosslessWriter(context, place, ["decay"])
    writer.open(opening(3))
    transfer(Producer(writer, 30), consumer)
    assert [opened.epoch for opened in consumer.openings] == [0, 1, 2, 3]
    assert [m.sequence for m in consumer.got if isinstance(m, ChunkSent) and m.epoch == 3] == list(range(30))
    consumer.stop()
    writer.stop()


def test_a_reader_may_be_replaced(context, endpoint):
    writer = LosslessWriter(context, endpoint, ["decay"])
    consumer = Consumer(context, writer.endpoint)
    writer.open(opening(0))
    producer = Producer(writer, 1000)
    wait(lambda: len(consumer.got) > 50, producer.step, consumer.read)
    consumer.stop()
    consumer = Consumer(context, writer.endpoint)
    wait(lambda: writer.behind == {"decay"}, producer.step, consumer.read)
    assert consumer.got == []
    writer.open(opening(1))
    transfer(Producer(writer, 100), consumer)
    assert consumer.sequences() == list(range(100))
    consumer.stop()
    writer.stop()


def test_the_file_of_an_ipc_endpoint_goes_and_stop_may_be_repeated(context, tmp_path):
    writer = LosslessWriter(context, f"ipc://{tmp_path}/link", ["decay"])
    assert (tmp_path / "link").exists()
    writer.stop()
    writer.stop()
    assert not (tmp_path / "link").exists()


def test_the_file_that_a_killed_writer_left_is_no_hindrance(context, tmp_path):
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "link"))
    assert (tmp_path / "link").exists()
    writer = LosslessWriter(context, f"ipc://{tmp_path}/link", ["decay"])
    consumer = Consumer(context, writer.endpoint)
    writer.open(opening())
    transfer(Producer(writer, 3), consumer)
    assert consumer.sequences() == [0, 1, 2]
    consumer.stop()
    writer.stop()


def test_an_endpoint_that_cannot_be_had_leaves_no_socket(context, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            LosslessWriter(context, f"tcp://127.0.0.1:{taken.getsockname()[1]}", ["decay"])
        with pytest.raises(OSError, match="nonsense"):
            LinkReader(context, "nonsense://x", "decay")


def test_writing_to_readers_that_are_gone_raises_nothing(context, endpoint):
    writer = LosslessWriter(context, endpoint, ["decay"])
    results = LatestWriter(context, endpoint.replace("link", "results"))
    consumers = [Consumer(context, writer.endpoint), Consumer(context, results.endpoint)]
    for each in (writer, results):
        each.open(opening())
    wait(
        lambda: writer.room and consumers[1].openings,
        writer.service,
        results.service,
        *(c.read for c in consumers),
    )
    for consumer in consumers:
        consumer.stop()
    for n in range(100):
        writer.put(chunk(n, 50_000))
        results.put(Result("decay", "rows", {"counts": np.arange(50_000)}))
        writer.service()
        results.service()
    assert writer.room == 0
    writer.stop()
    results.stop()


@pytest.mark.parametrize("seed", range(3))
def test_a_connection_that_is_cut_again_and_again_loses_nothing(context, seed):
    writer = LosslessWriter(context, "tcp://127.0.0.1:*", ["decay"])
    pick = random.Random(seed)
    # In the handshake, in the middle of a chunk, after a few of them.
    limits = [pick.choice([20, 300, 5_000, 200_000, 900_000]) + pick.randrange(5_000) for _ in range(6)]
    proxy = Proxy(writer.endpoint, [(FAR, down) for down in (1_000_000, *limits[1:])])
    consumer = Consumer(context, proxy.endpoint)
    writer.open(opening())
    transfer(Producer(writer, 60, photons=20_000), consumer)
    assert proxy.connections >= 3
    assert consumer.sequences() == list(range(60))
    assert all(
        (m.columns["macrotime"] == chunk(n, 20_000).columns["macrotime"]).all()
        for n, m in enumerate(consumer.got[:-1])
    )
    assert not writer.behind
    consumer.stop()
    writer.stop()
    proxy.stop()


def test_results_survive_cuts(context):
    writer = LatestWriter(context, "tcp://127.0.0.1:*")
    proxy = Proxy(writer.endpoint, [(FAR, down) for down in (300_000, 100, 400_000)])
    consumer = Consumer(context, proxy.endpoint, "page")
    writer.open(opening())
    put = 0

    def step():
        nonlocal put
        writer.service()
        if put < 200:
            put += 1
            writer.put(Result("decay", f"rows{put % 3}", {"n": put, "counts": np.arange(10_000)}, put > 197))

    def newest():
        return {m.key: m.value["n"] for m in consumer.got if isinstance(m, ResultSent)}

    wait(
        lambda: set(newest().values()) == {198, 199, 200},
        step,
        consumer.read,
        sockets=[writer.socket, consumer.reader.socket],
        wake_ms=5,
    )
    wait(lambda: writer.delivered, writer.service, consumer.read)
    assert proxy.connections >= 3
    for key in ("rows0", "rows1", "rows2"):
        seen = [m.value["n"] for m in consumer.got if m.key == key]
        assert seen == sorted(set(seen))
    consumer.stop()
    writer.stop()
    proxy.stop()


def test_a_line_that_dies_in_silence_is_noticed(context, monkeypatch):
    monkeypatch.setattr("photonstream.stream.link.common.SILENT_S", 0.5)
    writer = LosslessWriter(context, "tcp://127.0.0.1:*", ["decay"])
    proxy = Proxy(writer.endpoint)
    consumer = Consumer(context, proxy.endpoint)
    writer.open(opening())
    producer = Producer(writer, 400)
    wait(lambda: len(consumer.got) > 100, producer.step, consumer.read)
    proxy.hush.set()
    transfer(producer, consumer)
    assert proxy.connections >= 2
    assert consumer.sequences() == list(range(400))
    consumer.stop()
    writer.stop()
    proxy.stop()


GOLDEN = [
    Hello(1, "decay"),
    opening(3),
    chunk(5, epoch=4),
    GapSent(2, 4, 100, 200, "FIFO overrun"),
    ResultSent(0, 1, "decay", "rows", True, {"counts": np.arange(6).reshape(2, 3), "note": None}),
    Need(0, 17, 33),
    Need(EPOCH, 1, (1 << 64) - 1),
    Close(0, 9, "end of the recording"),
]


def hostile(pick):
    """Noise, or a message with a few bytes changed, cut or doubled."""
    if pick.random() < 0.2:
        return [pick.randbytes(pick.randrange(60)) for _ in range(pick.randrange(1, 5))]
    if pick.random() < 0.02:
        return [b"x" * 900_000] * 2
    if pick.random() < 0.02:
        return [b"x"] * 400
    frames = [bytearray(bytes(frame)) for frame in encode(pick.choice(GOLDEN))]
    for _ in range(pick.randrange(3)):
        frame = pick.choice(frames)
        if frame and pick.random() < 0.7:
            frame[pick.randrange(len(frame))] = pick.randrange(256)
        elif frame and pick.random() < 0.5:
            del frame[pick.randrange(len(frame)) :]
        else:
            frames.append(bytearray(frame))
    return [bytes(frame) for frame in frames]


def names_our_reader(frames):
    """Whoever says the name of our reader is our reader: only keys could tell (and then nobody could say so)."""
    return b"HELLO" in frames[0] and b"decay" in frames[0]


def test_hostile_company_at_the_writer_is_refused_and_the_transfer_goes_on(context, endpoint):
    writer = LosslessWriter(context, endpoint, ["decay"])
    consumer = Consumer(context, writer.endpoint)
    strangers = [context.socket(zmq.DEALER) for _ in range(3)]
    for stranger in strangers:
        stranger.linger = 0
        stranger.connect(writer.endpoint)
    writer.open(opening())
    pick = random.Random(1)
    said = 0

    def speak():
        nonlocal said
        for stranger in strangers:
            for _ in range(5):
                frames = hostile(pick)
                if names_our_reader(frames):
                    continue
                with contextlib.suppress(zmq.Again):
                    stranger.send_multipart(frames, zmq.NOBLOCK)
                    said += 1

    transfer(Producer(writer, 300, photons=1000), consumer, steps=[speak])
    assert consumer.sequences() == list(range(300))
    wait(lambda: writer.refused >= said // 2, writer.service)
    assert said > 200
    # Whoever was refused is told why.
    wait(lambda: any(s.poll(0) for s in strangers), writer.service)
    told = next(s for s in strangers if s.poll(0)).recv_multipart()
    assert decode(told).kind == "ERROR"
    for stranger in strangers:
        stranger.close()
    consumer.stop()
    writer.stop()


def test_frames_beyond_all_measure_end_only_the_connection_they_came_by(context):
    writer = LosslessWriter(context, "tcp://127.0.0.1:*", ["decay"])
    consumer = Consumer(context, writer.endpoint)
    stranger = context.socket(zmq.DEALER)
    stranger.linger = 0
    stranger.connect(writer.endpoint)
    writer.open(opening())
    stranger.send(b"x" * (8 << 20))
    raw = socket.create_connection(("127.0.0.1", int(writer.endpoint.rpartition(":")[2])))
    raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
    transfer(Producer(writer, 50), consumer)
    assert consumer.sequences() == list(range(50))
    raw.close()
    stranger.close()
    consumer.stop()
    writer.stop()


def test_a_hostile_word_at_the_reader_is_refused_and_the_transfer_goes_on(context, endpoint):
    """What no reader says, replays of earlier epochs, and noise, all by way of the writer's own socket."""
    writer = LosslessWriter(context, endpoint, ["decay"])
    consumer = Consumer(context, writer.endpoint)
    writer.open(opening())
    # Before it knows the run, any OPEN is the first one.
    wait(lambda: consumer.openings, writer.service, consumer.read)
    pick = random.Random(2)
    identity = consumer.reader.socket.identity

    def speak():
        for _ in range(5):
            frames = hostile(pick)
            # A changed OPEN may be a perfectly good one of another run.
            if b"OPEN" not in frames[0]:
                writer.socket.send_multipart([identity, *frames], zmq.NOBLOCK)
        writer.socket.send_multipart([identity, *encode(opening(3))], zmq.NOBLOCK)

    transfer(Producer(writer, 300, photons=1000), consumer, steps=[speak])
    assert consumer.sequences() == list(range(300))
    assert consumer.openings == [opening()]
    assert consumer.reader.refused > 50
    consumer.stop()
    writer.stop()


def test_a_reader_of_another_version_is_told_so(context):
    writer = LosslessWriter(context, "inproc://link", ["decay"])
    writer.open(opening())
    other = context.socket(zmq.DEALER)
    other.linger = 0
    other.connect("inproc://link")
    other.send(msgpack.packb({"v": 2, "kind": "HELLO", "protocol": 2, "reader": "decay"}))
    writer.service()
    assert "protocol 2 is not spoken here, only 1" in decode(other.recv_multipart()).text
    assert writer.refused == 1
    other.close()
    writer.stop()


def test_an_event_loop_of_its_own_is_told_of_every_message(context, endpoint):
    writer = LatestWriter(context, endpoint)
    consumer = Consumer(context, writer.endpoint)
    selector = selectors.DefaultSelector()
    told = selector.register(consumer.reader.descriptor, selectors.EVENT_READ)
    # The writer says the next thing when it hears that the last one has come.
    selector.register(int(writer.socket.fileno()), selectors.EVENT_READ)
    writer.open(opening())
    wait(lambda: consumer.openings, writer.service, consumer.read)
    for n in range(50):
        while consumer.reader.pending:
            consumer.read()
        writer.put(Result("n", "k", {"n": n}, False))
        writer.service()
        # Only what the descriptor tells, and what is pending by then, is looked at.
        while len(consumer.got) <= n:
            ready = [] if consumer.reader.pending else selector.select(DEADLINE_S)
            assert ready or consumer.reader.pending, "nothing was told"
            if consumer.reader.pending or any(key is told for key, _ in ready):
                consumer.read()
            writer.service()
    assert [message.value["n"] for message in consumer.got] == list(range(50))
    selector.close()
    writer.stop()
    consumer.reader.stop()
