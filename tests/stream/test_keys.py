"""Keys: their files, which others may neither read nor change, and who gets through by them."""

import os
import re
import select
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import zmq

from photonstream.cli.campaign.proxy import Line
from photonstream.cli.main import main
from photonstream.stream.control import CommandClient, CommandServer
from photonstream.stream.keys import KeysError, admit, keys_for, leaves_machine, make_keys, read_keys
from photonstream.stream.link import LatestWriter, LinkReader, LosslessWriter, guard, new_context
from photonstream.stream.link.guard import MOST_FAILURES
from photonstream.stream.wire import Close, Open

OUTSIDE = "tcp://192.0.2.7:5700"
DEADLINE_S = 20.0


@pytest.fixture
def machines(tmp_path):
    """Three folders of keys; the first two machines know each other, nobody knows the third, which knows all."""
    folders = {host: tmp_path / host for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4")}
    for host, folder in folders.items():
        make_keys(folder, host)
    for host in ("127.0.0.2", "127.0.0.3"):
        for of in ("127.0.0.2", "127.0.0.3"):
            admit(folders[host], folders[of] / f"{of}.public")
        admit(folders["127.0.0.4"], folders[host] / f"{host}.public")
    return folders


@pytest.fixture
def contexts():
    """Makes contexts, and ends them when the sockets of the test are closed."""
    made = []

    def make(keys=None):
        made.append(new_context(keys))
        return made[-1]

    yield make
    for each in made:
        each.term()


# Files


def test_a_pair_is_private_and_never_shown(tmp_path, capsys):
    folder = tmp_path / "keys"
    assert main(["keys", "--make", "192.168.0.7", "--keys", str(folder)]) == 0
    assert main(["keys", "--keys", str(folder)]) == 0
    keys = read_keys(folder)
    assert (folder / "192.168.0.7.secret").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    shown = "".join(capsys.readouterr())
    assert keys.public.decode() in shown
    assert keys.secret.decode() not in shown + repr(keys) + str(keys)
    assert zmq.curve_public(keys.secret) == keys.public
    assert main(["keys", "--make", "other", "--keys", str(folder)]) == 2
    assert "is there already, and a private key is never overwritten" in capsys.readouterr().err
    assert read_keys(folder) == keys


def test_what_others_could_read_or_change_is_refused(machines):
    folder = machines["127.0.0.2"]
    for name, mode, words in (
        ("127.0.0.2.secret", 0o640, "can be read by other users .*mode 0640.*chmod 600"),
        ("127.0.0.3.public", 0o666, "can be changed by other users .*chmod 644"),
        ("", 0o777, "can be changed by other users .*chmod 700"),
    ):
        before = (folder / name).stat().st_mode
        (folder / name).chmod(mode)
        with pytest.raises(KeysError, match=words):
            read_keys(folder)
        (folder / name).chmod(before)
    read_keys(folder)


def test_what_is_no_key_is_refused_and_not_shown(machines, tmp_path):
    folder, secret = machines["127.0.0.2"], machines["127.0.0.2"] / "127.0.0.2.secret"
    with pytest.raises(KeysError, match="is a private key, which stays where it is") as refused:
        admit(machines["127.0.0.3"], secret, "mine")
    with pytest.raises(KeysError, match="already with another key"):
        admit(folder, machines["127.0.0.4"] / "127.0.0.4.public", "127.0.0.3")
    for bad in ("../x", "", "a b", ".x"):
        with pytest.raises(KeysError, match="cannot be called"):
            make_keys(tmp_path / "new", bad)
    text = secret.read_text(encoding="utf-8")
    secret.write_text(text.replace('"', ""), encoding="utf-8")
    with pytest.raises(KeysError, match=r"secret is no private key of photonstream") as broken:
        read_keys(folder)
    key = text.split('"')[1]
    assert key not in str(refused.value) + str(broken.value)
    secret.write_text(text.replace(key, key[:-1] + ("a" if key[-1] != "a" else "b")), encoding="utf-8")
    with pytest.raises(KeysError, match="does not belong to the private key"):
        read_keys(folder)
    secret.unlink()
    with pytest.raises(KeysError, match="holds no private key"):
        read_keys(folder)


def test_keys_are_read_where_an_address_asks_for_them(machines, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    inside = ["ipc:///tmp/x", "inproc://x", "tcp://127.9.9.9:1", "tcp://localhost:1", "tcp://[::1]:1"]
    assert keys_for(None, inside) is None
    assert keys_for(machines["127.0.0.3"], inside).name == "127.0.0.3"
    with pytest.raises(KeysError, match=r"tcp://192.0.2.7:5700 is open to other machines, .*--make NAME"):
        keys_for(None, [*inside, OUTSIDE])
    make_keys(tmp_path / ".config" / "photonstream" / "keys", "192.0.2.7")
    assert keys_for(None, [OUTSIDE]).name == "192.0.2.7"
    for endpoint in (
        OUTSIDE,
        "tcp://*:1",
        "tcp://eth0:1",
        "tcp://127.0.0.1:1;192.0.2.7:1",
        "tcp://0.0.0.0:1",
    ):
        assert leaves_machine(endpoint)


# Sockets


@pytest.mark.parametrize(
    "make",
    [
        lambda context: LatestWriter(context, OUTSIDE),
        lambda context: LosslessWriter(context, "tcp://*:0", ["decode"]),
        lambda context: LinkReader(context, OUTSIDE, "decode"),
        lambda context: CommandServer(context, "tcp://0.0.0.0:0"),
        lambda context: CommandClient(context, OUTSIDE),
        lambda context: LatestWriter(context, "tcp:192.0.2.7:0"),
    ],
)
def test_without_keys_no_socket_leaves_this_machine(contexts, make):
    with pytest.raises(KeysError, match="which only keys allow"):
        make(contexts())


@pytest.mark.parametrize("endpoint", ["ws://127.0.0.1:0", "udp://127.0.0.1:5", "TCP://192.0.2.7:1"])
def test_what_cannot_be_protected_is_no_transport(contexts, machines, endpoint):
    for keys in (None, read_keys(machines["127.0.0.2"])):
        with pytest.raises(OSError, match=re.escape(endpoint)):
            LatestWriter(contexts(keys), endpoint)


def test_a_host_whose_key_is_not_there_is_not_called(contexts, machines):
    context = contexts(read_keys(machines["127.0.0.2"]))
    with pytest.raises(KeysError, match=r"there is no key of 192\.0\.2\.7 in .* as 192\.0\.2\.7\.public"):
        LinkReader(context, OUTSIDE, "decode")


def read(writer, reader, done):
    """Until ``done`` of what came."""
    came, until = [], time.monotonic() + DEADLINE_S
    while not done(came):
        assert time.monotonic() < until, "it neither came nor was refused"
        writer.service()
        came += list(reader.receive())
        reader.socket.poll(5)
    return came


def open_writer(context, host):
    writer = LatestWriter(context, f"tcp://{host}:0")
    writer.open(Open("run", 0, "run", "latest", {}, {}))
    writer.put(Close(0, 0, "end", 1))
    return writer


def test_with_keys_of_each_other_all_is_as_without(contexts, machines):
    writer = open_writer(contexts(read_keys(machines["127.0.0.2"])), "127.0.0.2")
    reader = LinkReader(contexts(read_keys(machines["127.0.0.3"])), writer.endpoint, "page")
    try:
        came = read(writer, reader, lambda came: len(came) == 2)
        assert [each.kind for each in came] == ["OPEN", "CLOSE"]
        assert writer.socket.get(zmq.MECHANISM) == zmq.CURVE
        assert writer.refused == 0
    finally:
        reader.stop()
        writer.stop()


@pytest.mark.parametrize(
    ("server", "client", "words"),
    [
        ("127.0.0.2", None, "takes no connection without keys"),
        (None, "127.0.0.3", "has another key .*, or uses none"),
        # Known to nobody, though it knows whom it calls.
        ("127.0.0.2", "127.0.0.4", "does not admit the key of this machine"),
        # What listens at 127.0.0.2 is another machine.
        ("127.0.0.4", "127.0.0.3", "has another key than this folder holds"),
    ],
)
def test_wrong_or_missing_keys_end_in_a_sentence(contexts, machines, server, client, words):
    writer = open_writer(contexts(server and read_keys(machines[server])), "127.0.0.2")
    reader = LinkReader(contexts(client and read_keys(machines[client])), writer.endpoint, "page")
    came = []
    try:
        with pytest.raises(KeysError, match=words):
            came = read(writer, reader, bool)
        assert came == []
        assert writer.readers == 0
        until = time.monotonic() + DEADLINE_S
        # Without keys of its own it may find only that somebody has hung up.
        while server is not None and not writer.refused:
            assert time.monotonic() < until, "nobody has counted it"
            writer.service()
            writer.socket.poll(5)
    finally:
        reader.stop()
        writer.stop()


def test_without_keys_who_hangs_up_was_not_refused(contexts):
    writer = open_writer(contexts(None), "127.0.0.1")
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", int(writer.endpoint.rpartition(":")[2]))) as connection:
            # It has been greeted, so the handshake has begun.
            assert connection.recv(1)
    reader = LinkReader(contexts(None), writer.endpoint, "page")
    try:
        read(writer, reader, lambda came: len(came) == 2)
        assert writer.refused == 0
    finally:
        reader.stop()
        writer.stop()


def test_commands_need_keys_too(contexts, machines):
    server = CommandServer(contexts(read_keys(machines["127.0.0.2"])), "tcp://127.0.0.2:0")
    endpoint = server.endpoint
    folders = {"good": "127.0.0.3", "stranger": "127.0.0.4"}
    clients = {n: CommandClient(contexts(read_keys(machines[f])), endpoint) for n, f in folders.items()}
    clients["bare"] = CommandClient(contexts(), endpoint)
    done, until = [], time.monotonic() + DEADLINE_S
    try:
        for name, client in clients.items():
            client.send(name, {})
        answers = []
        # Each of the two strangers has tried at least once.
        while not answers or server.refused < 2:
            assert time.monotonic() < until
            server.service(lambda name, values, by: (done.append(name) is None, ""))
            answers += clients["good"].receive()
            for name in ("stranger", "bare"):
                assert clients[name].receive() == []
            server.socket.poll(5)
        assert done == ["good"]
    finally:
        for client in clients.values():
            client.stop()
        server.stop()


def test_root_or_not_the_mode_is_what_counts(tmp_path):
    folder = tmp_path / "keys"
    before = os.umask(0)
    try:
        make_keys(folder, "a")
    finally:
        os.umask(before)
    assert (folder / "a.secret").stat().st_mode & 0o777 == 0o600


@contextmanager
def hanging_up(listening, linger):
    """Takes every connection to a socket and ends it without a word; gives the list of when.

    ``linger``: what is set as SO_LINGER; with (1, 0) the connection is reset.
    """
    times, over = [], threading.Event()

    def hang_up():
        while not over.is_set():
            if select.select([listening], [], [], 0.05)[0]:
                caller = listening.accept()[0]
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *linger))
                caller.close()
                times.append(time.monotonic())

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(hang_up)
        try:
            yield times
        finally:
            over.set()
        done.result()


@pytest.mark.parametrize("linger", [(0, 0), (1, 0)], ids=["ended", "reset"])
def test_a_tunnel_to_where_nobody_listens_yet_is_waited_for(contexts, linger):
    """It takes connections and hangs up; only who has greeted and hangs up can have other keys."""
    reader = None
    writer = open_writer(contexts(), "127.0.0.2")
    try:
        with socket.create_server(("127.0.0.3", 0)) as tunnel:
            place = tunnel.getsockname()[:2]
            reader = LinkReader(contexts(), f"tcp://{place[0]}:{place[1]}", "page")
            until = time.monotonic() + DEADLINE_S
            with hanging_up(tunnel, linger) as hung_up:
                while len(hung_up) < 3 * MOST_FAILURES:
                    assert time.monotonic() < until
                    assert list(reader.receive()) == []
                    reader.socket.poll(5)
        target = writer.endpoint.removeprefix("tcp://").rpartition(":")
        line = Line({place: (target[0], int(target[2]))}, 1)
        try:
            came = read(writer, reader, lambda came: len(came) == 2)
            assert [each.kind for each in came] == ["OPEN", "CLOSE"]
        finally:
            line.stop()
    finally:
        if reader is not None:
            reader.stop()
        writer.stop()


def test_who_was_refused_by_somebody_that_then_dies_hears_so(contexts, machines, monkeypatch):
    """A run that does not know a node may end by that after one try, and then nobody is there."""
    monkeypatch.setattr(guard, "LONGEST_S", 0.5)
    writer = open_writer(contexts(read_keys(machines["127.0.0.2"])), "127.0.0.2")
    reader = LinkReader(contexts(), writer.endpoint, "page")
    until = time.monotonic() + DEADLINE_S
    try:
        with pytest.raises(KeysError, match="takes no connection without keys"):
            hear_until(reader, writer, until)
    finally:
        reader.stop()
        writer.stop()


def hear_until(reader, writer, until):
    """Hear what comes; the writer is gone as soon as it has refused somebody."""
    while not writer.refused:
        assert time.monotonic() < until
        writer.service()
        assert list(reader.receive()) == []
    writer.stop()
    while time.monotonic() < until:
        assert list(reader.receive()) == []
        reader.socket.poll(5)
