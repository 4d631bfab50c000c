"""Records over ZeroMQ: every one once, what is lost is counted, and no sender can break the receiver."""

import json
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zmq

from photonstream.nodes.drivers import network_zmq
from photonstream.nodes.drivers.base import Cause, DeviceError
from photonstream.nodes.drivers.network import Network, NetworkSettings
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.recorder import Recorder
from photonstream.nodes.recording_events import events_path
from photonstream.stream.keys import admit, make_keys, read_keys
from photonstream.stream.link import inlet

ATTACH = Path(__file__).resolve().parents[3] / "docs" / "attach.md"
HEADER = {
    "record_type": "Generic T3",
    "macrotime_unit_s": 4e-7,
    "dtime_resolution_s": 8e-11,
    "device": "mine",
}
DEADLINE_S = 20.0
# Sockets of the senders of a test.
OPEN = []


@pytest.fixture
def device():
    made = Network(NetworkSettings(port=0, wait_s=5.0, transport="zmq"))
    made.listen()
    yield made
    made.close()


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    while OPEN:
        OPEN.pop().close(linger=0)
    context.term()


class Sender:
    def __init__(self, context, device, name=b"sender", header=HEADER, keys=None, host="127.0.0.1"):
        self.socket = context.socket(zmq.DEALER)
        OPEN.append(self.socket)
        self.socket.routing_id = name
        self.socket.linger = 500
        if keys is not None:
            self.socket.curve_publickey, self.socket.curve_secretkey = keys.public, keys.secret
            self.socket.curve_serverkey = keys.of_host(host)
        self.socket.connect(f"tcp://{host}:{device.port}")
        if header is not None:
            self.socket.send(json.dumps(header).encode())

    def send(self, number, records):
        raw = np.asarray(records, "<u4").tobytes()
        self.socket.send_multipart([number.to_bytes(8, "little"), raw])

    def taken(self):
        """What it has heard so far of how many records were taken."""
        number = 0
        while self.socket.poll(0):
            number = json.loads(self.socket.recv())["taken"]
        return number

    def heard(self):
        assert self.socket.poll(5000)
        return json.loads(self.socket.recv())


def read(device, count, size=64):
    """``count`` records, or the fault before them."""
    buffer, pieces, have, until = np.empty(size, np.uint32), [], 0, time.monotonic() + DEADLINE_S
    while have < count:
        assert time.monotonic() < until, f"{have} of {count} records came"
        got = device.read_into(buffer)
        pieces.append(buffer[:got].copy())
        have += got
    return np.concatenate([np.empty(0, np.uint32), *pieces])


def fault_of(device):
    with pytest.raises(DeviceError) as fault:
        read(device, 1)
    return fault.value


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_every_record_once_in_any_pieces(device, context, size):
    sender, chance = Sender(context, device), random.Random(size)
    device.arm()
    records, at = np.arange(3000) * 77, 0
    while at < 3000:
        # Now and then something is sent again, as after a cut.
        start = max(0, at - chance.choice([0, 0, 0, 50]))
        at = min(3000, at + chance.randrange(0, 400))
        sender.send(start, records[start:at])
    assert np.array_equal(read(device, 3000, size), records)
    until = time.monotonic() + DEADLINE_S
    while sender.taken() != 3000:
        assert time.monotonic() < until
        assert device.read_into(np.empty(4, np.uint32)) == 0
    assert device.status().lost_records is None


def test_what_does_not_arrive_is_counted_and_the_rest_is_read(device, context):
    sender = Sender(context, device)
    facts = device.arm()
    sender.send(0, [1, 2])
    sender.send(7, [8, 9])
    sender.send(9, [10])
    assert read(device, 2).tolist() == [1, 2]
    fault = fault_of(device)
    assert (fault.cause, fault.text) == (Cause.DEVICE_GONE, "5 records of the sender did not arrive")
    device.disarm()
    assert device.arm() == facts
    assert read(device, 3).tolist() == [8, 9, 10]
    assert device.status().lost_records == 5


def test_what_comes_after_a_loss_at_the_very_end_is_not_taken_and_the_sender_hears_it(
    device, context, tmp_path
):
    sender = Sender(context, device)
    sender.send(0, np.arange(100))

    def ask():
        if sender.taken() < 100:
            return False
        # On its way when the recording ends.
        sender.send(140, np.arange(60))
        assert device._way._inlet.wait(DEADLINE_S)
        return True

    assert not Recorder(device, tmp_path / "run.ptu", asked=ask).run().failed
    [gap] = [
        event
        for line in events_path(tmp_path / "run.ptu").read_text().splitlines()
        if (event := json.loads(line))["kind"] == "gap"
    ]
    assert (gap["record"], gap["lost_records"]) == (100, 40)
    assert open_tag_file(tmp_path / "run.ptu").records == 100
    while "error" not in (said := sender.heard()):
        pass
    assert said["taken"] == 100


def test_a_sender_that_is_gone_and_another_that_comes(device, context):
    first = Sender(context, device)
    device.arm()
    first.send(0, [1, 2])
    other = Sender(context, device, b"other")
    assert read(device, 2).tolist() == [1, 2]
    with pytest.raises(AssertionError):
        # Nothing comes, and nothing is wrong: the second is refused as long as the first is there.
        read_until_refused(device, other)
    first.socket.close()
    fault = fault_of(device)
    assert (fault.cause, fault.text) == (Cause.DEVICE_GONE, "the program that sends the records is gone")
    other.socket.send(json.dumps(HEADER | {"lost_records": 4}).encode())
    device.arm()
    other.send(0, [3])
    assert read(device, 1).tolist() == [3]
    assert device.status().lost_records == 4


def read_until_refused(device, other):
    until = time.monotonic() + DEADLINE_S
    while not other.socket.poll(5):
        assert time.monotonic() < until
        assert device.read_into(np.empty(4, np.uint32)) == 0
    raise AssertionError(other.heard()["error"])


def test_a_cut_that_heals_with_nothing_lost_is_nothing(device, context):
    sender = Sender(context, device)
    device.arm()
    sender.send(0, [1])
    assert read(device, 1).tolist() == [1]
    again = Sender(context, device, header=None)
    again.send(1, [2])
    assert read(device, 1).tolist() == [2]
    sender.socket.close()


def test_a_sender_that_begins_anew_is_a_gap(device, context):
    sender = Sender(context, device)
    device.arm()
    sender.send(0, [1])
    sender.socket.send(json.dumps(HEADER).encode())
    sender.send(0, [2])
    assert read(device, 1).tolist() == [1]
    assert fault_of(device).text == "the program that sends the records began anew"
    device.arm()
    assert read(device, 1).tolist() == [2]


@pytest.mark.parametrize(
    "frames",
    [
        [b"1234567", b"1234"],
        [bytes(8), b"123"],
        [bytes(8), b"1234", b"1234"],
        [b"\xff" * 8, b"1234"],
        [(1).to_bytes(8, "little"), bytes((4 << 20) + 4)],
    ],
)
def test_nonsense_ends_the_senders_turn_and_no_more(device, context, frames):
    sender = Sender(context, device)
    device.arm()
    sender.send(0, [1])
    sender.socket.send_multipart(frames)
    assert read(device, 1).tolist() == [1]
    assert fault_of(device).cause is Cause.DRIVER_ERROR
    sender.send(1, [2])
    sender.socket.send(json.dumps(HEADER).encode())
    sender.send(0, [3])
    device.arm()
    assert read(device, 1).tolist() == [3]
    assert "refused" in device.status().warnings[0]


ENDLESS = json.dumps(HEADER | {"macrotime_unit_s": 10**4000}).encode()


@pytest.mark.parametrize(
    "header", [b"\xff\xfe", b"[]", b"{", b"[" * 60_000, b'{"record_type": 3}', b"", ENDLESS]
)
def test_a_header_that_is_none_is_refused_and_the_sender_waited_for(device, context, header):
    sender = Sender(context, device, header=None)
    sender.socket.send(header)
    sender.socket.send(json.dumps(HEADER).encode())
    device.arm()
    assert "no header" in sender.heard()["error"]
    assert device.status().warnings == ("1 message was refused",)


def test_strangers_do_not_keep_the_records_of_the_sender_waiting(device, context, monkeypatch):
    """However many messages of theirs there are, one reading takes so many and gives what it has."""
    monkeypatch.setattr(network_zmq, "MOST_AT_ONCE", 5)
    sender, stranger = Sender(context, device), Sender(context, device, b"stranger", header=None)
    device.arm()
    for number in range(40):
        stranger.send(number, [1])
    sender.send(0, [7])
    buffer, readings = np.empty(8, np.uint32), 0
    until = time.monotonic() + DEADLINE_S
    while not device.status().warnings or not device.status().warnings[0].startswith("40 "):
        assert time.monotonic() < until
        before = device.status().warnings
        assert device.read_into(buffer) in (0, 1)
        readings += device.status().warnings != before
    assert readings >= 8


def test_what_was_refused_is_told_where_no_sender_comes(context):
    device = Network(NetworkSettings(port=0, wait_s=0.5, transport="zmq"))
    device.listen()
    Sender(context, device, header=None).socket.send(b"[]")
    with pytest.raises(DeviceError, match="what records it sends; the last one that was refused: no header"):
        device.arm()
    device.close()


def test_what_comes_while_nobody_reads_is_bounded_and_what_is_too_much_is_counted(
    device, context, monkeypatch
):
    sender = Sender(context, device)
    device.arm()
    monkeypatch.setattr(inlet, "MOST_HEARD", 100_000)
    for number in range(0, 10_000, 100):
        sender.send(number, np.arange(number, number + 100))
    inlet_of = device._way._inlet
    until = time.monotonic() + DEADLINE_S
    while inlet_of.dropped + inlet_of.waiting_bytes // (inlet.KEPT_BYTES + 408) < 100:
        assert time.monotonic() < until
        inlet_of.wait(0.01)
    kept = 100 * (100 - inlet_of.dropped)
    assert 0 < kept < 10_000
    assert np.array_equal(read(device, kept), np.arange(kept))
    sender.send(10_000, [7])
    assert fault_of(device).text == f"{10_000 - kept} records of the sender did not arrive"
    device.arm()
    assert read(device, 1).tolist() == [7]
    assert device.status().lost_records == 10_000 - kept
    assert f"{100 - kept // 100} messages were dropped" in device.status().warnings[0]


def test_what_had_come_when_it_is_stopped_is_read_and_what_was_too_much_is_counted(
    device, context, monkeypatch
):
    sender = Sender(context, device)
    device.arm()
    monkeypatch.setattr(inlet, "MOST_HEARD", 5000 * (inlet.KEPT_BYTES + 12))
    for number in range(6000):
        sender.send(number, [number])
    inlet_of = device._way._inlet
    until = time.monotonic() + DEADLINE_S
    while inlet_of.heard < 5000 or inlet_of.dropped < 1000:
        assert time.monotonic() < until
        inlet_of.wait(0.01)
    device.disarm()
    # Not of this recording any more.
    sender.send(6000, [6000])
    assert np.array_equal(read(device, 5000), np.arange(5000))
    assert fault_of(device).text == "1000 records of the sender did not arrive"
    assert device.status().lost_records == 1000
    assert device.read_into(np.empty(64, np.uint32)) == 0


def test_strangers_do_not_end_what_is_read_after_the_end(device, context):
    sender, stranger = Sender(context, device), Sender(context, device, b"stranger", header=None)
    device.arm()
    for number in range(100):
        stranger.send(number, [1])
        sender.send(number, [number])
    until = time.monotonic() + DEADLINE_S
    while device._way._inlet.heard < 100:
        assert time.monotonic() < until
    device.disarm()
    assert np.array_equal(read(device, 100), np.arange(100))


def test_a_recording_with_a_loss_says_where_and_how_much(device, context, tmp_path):
    sender = Sender(context, device)
    sender.send(0, np.arange(100))
    sender.send(140, np.arange(100))
    recorder = Recorder(device, tmp_path / "run.ptu", asked=lambda: sender.taken() == 240)
    recorded = recorder.run()
    assert not recorded.failed
    events = [json.loads(line) for line in events_path(tmp_path / "run.ptu").read_text().splitlines()]
    [gap] = [event for event in events if event["kind"] == "gap"]
    assert (gap["record"], gap["lost_records"]) == (100, 40)
    written = np.concatenate(list(open_tag_file(tmp_path / "run.ptu").blocks()))
    inserted = gap["inserted_records"]
    assert np.array_equal(np.delete(written, slice(100, 100 + inserted)), np.tile(np.arange(100), 2))


def test_from_another_machine_with_keys_and_not_without(context, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    make_keys(here, "127.0.0.2")
    make_keys(there, "laptop")
    admit(here, there / "laptop.public")
    admit(there, here / "127.0.0.2.public")
    device = Network(NetworkSettings(host="127.0.0.2", port=0, wait_s=5.0, transport="zmq", keys=str(here)))
    try:
        device.listen()
        bare = Sender(context, device, b"bare", host="127.0.0.2")
        good = Sender(
            context, device, header=HEADER | {"device": "far"}, keys=read_keys(there), host="127.0.0.2"
        )
        assert device.arm().device == "far"
        good.send(0, [5])
        assert read(device, 1).tolist() == [5]
        assert not bare.socket.poll(0)
        until = time.monotonic() + DEADLINE_S
        while not device.status().warnings:
            assert time.monotonic() < until, "nobody says that one was not let in"
        assert re.fullmatch(
            r"(1 connection was|\d+ connections were) refused: keys missing, wrong or not admitted",
            *device.status().warnings,
        )
    finally:
        device.close()


def test_without_keys_nobody_is_said_to_lack_them(device):
    # The greeting of ZeroMQ, and then no version of it.
    said = b"\xff" + bytes(8) + b"\x7f" + b"nonsense" * 20
    for count in ("1 connection was", "2 connections were"):
        with socket.create_connection(("127.0.0.1", device.port)) as stray:
            stray.sendall(said)
            until = time.monotonic() + DEADLINE_S
            while not device.status().warnings or not device.status().warnings[0].startswith(count):
                assert time.monotonic() < until
    words = "closed that did not speak ZeroMQ, or wanted keys, which are not used here"
    assert device.status().warnings == (f"2 connections were {words}",)


def test_the_largest_message_is_taken(device, context):
    sender = Sender(context, device)
    device.arm()
    sender.send(0, np.arange(1 << 20))
    assert np.array_equal(read(device, 1 << 20, 1 << 20), np.arange(1 << 20))


def test_off_loopback_it_does_not_listen_without_keys(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for host in ("0.0.0.0", "192.0.2.7", "::"):
        device = Network(NetworkSettings(host=host, transport="zmq"))
        with pytest.raises(DeviceError, match="is open to other machines, which needs keys"):
            device.arm()
        device.close()
    with pytest.raises(ValueError, match="plain tcp is not protected"):
        NetworkSettings(host="0.0.0.0")
    with pytest.raises(ValueError, match="transport is tcp or zmq"):
        NetworkSettings(transport="udp")


def test_the_client_of_the_docs_sends_what_it_says(device, tmp_path):
    text = ATTACH.read_text(encoding="utf-8")
    [client] = re.findall(r"```python\n(import json\nimport secrets.*?)```", text, re.DOTALL)
    (tmp_path / "client.py").write_text(client.replace("5565", str(device.port)), encoding="utf-8")
    process = subprocess.Popen([sys.executable, tmp_path / "client.py"], stderr=subprocess.PIPE, text=True)
    try:
        device.arm()
        records = read(device, 1097)
        until = time.monotonic() + DEADLINE_S
        while process.poll() is None:
            assert time.monotonic() < until
            device.read_into(np.empty(4, np.uint32))
    finally:
        process.kill()
        _, err = process.communicate()
    assert err == ""
    assert ((records < 1 << 31).sum(), (records >= 1 << 31).sum()) == (1000, 97)
    assert (97 * 1024 + int(records[-1] & 1023), int(records[-1]) >> 10) == (100_000, 20)
