"""Records over a TCP connection: every one once in any pieces, a sender that is gone, one that sends something else."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from photonstream.nodes.drivers import network_tcp
from photonstream.nodes.drivers.base import Cause, DeviceError
from photonstream.nodes.drivers.network import Network, NetworkSettings
from photonstream.nodes.formats.records import GENERIC_T3

HEADER = {
    "record_type": "Generic T3",
    "macrotime_unit_s": 4e-7,
    "dtime_resolution_s": 8e-11,
    "device": "mine",
}
ATTACH = Path(__file__).resolve().parents[3] / "docs" / "attach.md"
# Descriptors of a process begin at 0: with so many files open, what is opened next has a larger one.
BEYOND = 1024
MANY_OPEN = f"""
import os, resource, socket
import numpy as np
from photonstream.nodes.drivers.network import Network, NetworkSettings

resource.setrlimit(resource.RLIMIT_NOFILE, (2 * {BEYOND}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
while os.dup(0) < {BEYOND}:
    pass
device = Network(NetworkSettings(port=0))
device.listen()
with socket.create_connection(("127.0.0.1", device.port)) as sender:
    assert sender.fileno() > {BEYOND}
    sender.sendall(b'''{json.dumps(HEADER)}''' + b"\\n" + bytes([7, 0, 0, 0]))
    device.arm()
    buffer = np.empty(4, np.uint32)
    while not (count := device.read_into(buffer)):
        pass
print(buffer[:count])
"""


@pytest.fixture
def device():
    made = Network(NetworkSettings(port=0, wait_s=0.2))
    made.listen()
    yield made
    made.close()


def connect(device, header=HEADER, more=b""):
    sender = socket.create_connection(("127.0.0.1", device.port))
    sender.sendall(json.dumps(header).encode() + b"\n" + more)
    return sender


def read(device, count, size=64):
    """``count`` records, which may be on their way still."""
    buffer, pieces, have = np.empty(size, np.uint32), [], 0
    for _ in range(100_000):
        if have >= count:
            break
        got = device.read_into(buffer)
        pieces.append(buffer[:got].copy())
        have += got
    return np.concatenate([np.empty(0, np.uint32), *pieces])


@pytest.mark.parametrize("step", [1, 3, 4, 1001])
def test_every_record_once_in_any_pieces(device, step):
    records = np.arange(1, 1001, dtype="<u4") * 77
    sent = records.tobytes()
    with connect(device, more=sent[:6]) as sender:
        facts = device.arm()
        buffer, pieces = np.empty(7, np.uint32), []
        for at in range(6, len(sent), step):
            sender.sendall(sent[at : at + step])
            pieces.append(buffer[: device.read_into(buffer)].copy())
        pieces.append(read(device, 1000 - sum(map(len, pieces))))
        assert np.array_equal(np.concatenate(pieces), records)
        assert device.read_into(np.empty(9, np.uint32)) == 0
    assert (facts.record_type, facts.macrotime_unit_s, facts.device) == (GENERIC_T3, 4e-7, "mine")


def test_a_sender_that_is_gone_and_comes_again_says_what_it_lost(device):
    with connect(device, more=b"\1\0\0\0\2\0") as sender:
        device.arm()
        sender.shutdown(socket.SHUT_WR)
        assert read(device, 1).tolist() == [1]
        with pytest.raises(DeviceError, match="has closed the connection") as fault:
            read(device, 1)
    assert fault.value.cause is Cause.DEVICE_GONE
    with pytest.raises(DeviceError, match=r"no program has connected to 127\.0\.0\.1:"):
        device.arm()
    with connect(device, HEADER | {"lost_records": 41}, b"\5\0\0\0"):
        device.arm()
        assert device.status().lost_records == 41
        assert read(device, 1).tolist() == [5]


def test_what_has_arrived_can_be_read_after_the_end(device):
    with connect(device, more=b"\7\0\0\0"):
        device.arm()
        device.disarm()
        assert read(device, 1).tolist() == [7]
    assert device.read_into(np.empty(4, np.uint32)) == 0


def test_a_sender_that_goes_on_is_done_after_the_end_all_the_same(device):
    with connect(device) as sender:
        device.arm()
        sender.setblocking(False)
        buffer, taken = np.empty(1 << 20, np.uint32), 0
        device.disarm()
        for _ in range(100_000):
            with contextlib.suppress(BlockingIOError, ConnectionError):
                sender.sendall(bytes(1 << 16))
            got = device.read_into(buffer)
            taken += got
            if not got and taken:
                break
        else:
            raise AssertionError("it was never done")


def test_half_a_character_of_a_sender_is_replaced(device):
    with connect(device, HEADER | {"device": "a\ud800b", "serial": "1\0002"}):
        facts = device.arm()
    assert (facts.device, facts.serial) == ("a?b", "1 2")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"record_type": "Harp"}, "record_type is one of"),
        (HEADER | {"macrotime_unit_s": 0}, "macrotime_unit_s is a number above 0"),
        (HEADER | {"macrotime_unit_s": 10**4000}, "macrotime_unit_s is a number above 0"),
        (HEADER | {"macrotime_unit_s": 1e-320}, "macrotime_unit_s lies from 1e-15 to 10 s"),
        (HEADER | {"dtime_resolution_s": 1e9}, "dtime_resolution_s lies from 1e-15 to 10 s"),
        (HEADER | {"sync_rate_hz": 10**4000}, "sync_rate_hz is a number above 0"),
        # More than a header of a tag file holds.
        (HEADER | {"sync_rate_hz": 1e19}, "sync_rate_hz lies from 0.001 to 1e"),
        (HEADER | {"sync_rate_hz": 1e-300}, "sync_rate_hz lies from 0.001 to 1e"),
        (HEADER | {"lost_records": -1}, "lost_records is a count"),
        (HEADER | {"lost_records": 10**4000}, "lost_records is a count"),
        ([], "no JSON object"),
        (HEADER | {"record_type": ["Generic T3"]}, "record_type is one of"),
        (HEADER | {"channels": 1e30}, "channels is a number from 1 to 64"),
        (HEADER | {"channels": 0}, "channels is a number from 1 to 64"),
    ],
)
def test_a_header_that_is_none_is_refused(device, header, words):
    with connect(device, header), pytest.raises(DeviceError, match=words):
        device.arm()


ENDLESS = json.dumps(HEADER | {"macrotime_unit_s": 10**4000}).encode() + b"\n"


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\1\n", b"x" * 70_000, b"{", ENDLESS]
)
def test_a_stray_connection_is_counted_and_the_sender_waited_for(said):
    device = Network(NetworkSettings(port=0))
    device.listen()
    with socket.create_connection(("127.0.0.1", device.port)) as stray, contextlib.suppress(OSError):
        stray.sendall(said)
    with connect(device, more=b"\7\0\0\0"):
        assert device.arm().device == "mine"
        assert read(device, 1).tolist() == [7]
        [warning] = device.status().warnings
    device.close()
    assert warning.startswith("1 connection was none of a sender; the last one: ")


def test_a_connection_that_says_nothing_keeps_nobody_waiting(device):
    with socket.create_connection(("127.0.0.1", device.port)), connect(device, more=b"\7\0\0\0"):
        device.arm()
        assert read(device, 1).tolist() == [7]
    assert "another program was heard first" in device.status().warnings[0]


def test_any_number_that_says_nothing_keeps_no_sender_out(device):
    with contextlib.ExitStack() as stack:
        # More than are heard at a time; the sender comes last.
        for _ in range(40):
            stack.enter_context(socket.create_connection(("127.0.0.1", device.port)))
        stack.enter_context(connect(device, more=b"\7\0\0\0"))
        device.arm()
    assert read(device, 1).tolist() == [7]
    assert re.match("40 connections were none of a sender", device.status().warnings[0])


def test_who_is_closed_and_comes_again_keeps_no_sender_out_that_comes_back(device):
    with connect(device):
        device.arm()
    with pytest.raises(DeviceError, match="has closed the connection"):
        read(device, 1)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            for _ in range(40):
                stack.enter_context(socket.create_connection(("127.0.0.1", device.port)))
            with pytest.raises(DeviceError, match="it said no header, and others came"):
                device.arm()
        stack.enter_context(connect(device, more=b"\5\0\0\0"))
        device.arm()
    assert read(device, 1).tolist() == [5]


def test_who_came_just_before_the_time_was_over_is_heard(device, monkeypatch):
    """However late the driver looks."""
    moments = iter([0.0])
    monkeypatch.setattr(network_tcp.time, "monotonic", lambda: next(moments, 1e6))
    with connect(device, more=b"\7\0\0\0"):
        device.arm()
    assert read(device, 1).tolist() == [7]


@pytest.mark.skipif(sys.platform == "win32", reason="no bound on descriptors")
@pytest.mark.parametrize("silent", [0, 1])
def test_where_no_descriptor_is_free_it_waits_for_one(device, monkeypatch, silent):
    import resource

    bound = resource.getrlimit(resource.RLIMIT_NOFILE)
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            resource.setrlimit(resource.RLIMIT_NOFILE, bound)

    monkeypatch.setattr(network_tcp.time, "sleep", wait)
    with contextlib.ExitStack() as stack:
        for _ in range(silent):
            stack.enter_context(socket.create_connection(("127.0.0.1", device.port)))
        with pytest.raises(DeviceError) if silent else contextlib.nullcontext():
            # Whoever is silent has a descriptor already.
            if silent:
                device._way._known = True
                device.arm()
        stack.enter_context(connect(device, more=b"\7\0\0\0"))
        free = os.dup(0)
        os.close(free)
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, bound)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, bound[1]))
        device.arm()
    assert len(waits) == (0 if silent else 2)
    assert read(device, 1).tolist() == [7]


@pytest.mark.skipif(sys.platform == "win32", reason="no bound on descriptors")
def test_a_process_with_many_files_open_hears_its_sender():
    import resource

    if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2 * BEYOND:
        pytest.skip("this user may not open so many files")
    done = subprocess.run([sys.executable, "-c", MANY_OPEN], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[7]\n", "")


def test_while_it_waits_for_its_sender_to_come_back_strangers_do_not_end_it(device):
    with connect(device):
        device.arm()
    with pytest.raises(DeviceError, match="has closed the connection"):
        read(device, 1)
    with socket.create_connection(("127.0.0.1", device.port)) as stray:
        stray.sendall(b"nonsense\n")
        with pytest.raises(DeviceError, match="what it says is no header"):
            device.arm()
        with connect(device, more=b"\5\0\0\0"):
            device.arm()
            assert read(device, 1).tolist() == [5]


def test_it_listens_on_this_machine_only():
    with pytest.raises(ValueError, match="not a loopback address"):
        NetworkSettings(host="0.0.0.0")


def test_the_client_of_the_docs_sends_what_it_says(device, tmp_path):
    [client] = re.findall(
        r"```python\n(import json\nimport socket.*?)```", ATTACH.read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "client.py").write_text(client.replace("5565", str(device.port)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "client.py"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    device.arm()
    # 1000 photons until pulse 100,000, which is after 97 wraps.
    records = read(device, 1097)
    assert ((records < 1 << 31).sum(), (records >= 1 << 31).sum()) == (1000, 97)
    assert (97 * 1024 + int(records[-1] & 1023), int(records[-1]) >> 10) == (100_000, 20)
