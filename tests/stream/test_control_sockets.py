"""The command socket over real sockets, some of which are cut and some hostile."""

import random
import socket
import time

import msgpack
import pytest
import zmq

from photonstream.stream import control
from photonstream.stream.control import CommandClient, CommandServer
from photonstream.stream.wire import Error, Need, decode, encode
from tests.stream.command_line import Deeds
from tests.stream.sockets import DEADLINE_S, FAR, Proxy, wait


@pytest.fixture(params=["ipc", "tcp"])
def endpoint(request, tmp_path):
    return {"ipc": f"ipc://{tmp_path}/run", "tcp": "tcp://127.0.0.1:*"}[request.param]


class Page:
    def __init__(self, context, endpoint):
        self.client = CommandClient(context, endpoint)
        self.answers = []

    def hear(self):
        self.answers += self.client.receive()


def test_commands_of_several_pages_over_sockets(context, endpoint):
    server, deeds = CommandServer(context, endpoint), Deeds()
    pages = [Page(context, server.endpoint) for _ in range(5)]
    for n in range(20):
        for k, page in enumerate(pages):
            page.client.send(f"{k}.{n}", {})
    wait(
        lambda: all(len(page.answers) == 20 for page in pages),
        lambda: server.service(deeds),
        *(page.hear for page in pages),
        sockets=[server.socket, *(page.client.socket for page in pages)],
    )
    assert len(deeds.done) == 100
    for k, page in enumerate(pages):
        mine = [f"{k}.{n}" for n in range(20)]
        assert [name for name in deeds.names if name.startswith(f"{k}.")] == mine
        assert [text.partition(": ")[2] for _, text in page.answers] == mine
        page.client.stop()
    server.stop()


def test_a_page_may_be_there_before_the_run_and_outlive_it(context, endpoint, monkeypatch):
    monkeypatch.setattr(control, "REPEAT_S", 0.0)
    place = endpoint
    if endpoint.startswith("tcp"):
        with socket.create_server(("127.0.0.1", 0)) as free:
            place = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    page, deeds = Page(context, place), []
    page.client.send("first", {})
    for _ in range(50):
        page.hear()
    for n, name in enumerate(["first", "second", "third"]):
        if n:
            page.client.send(name, {})
        page.hear()
        server = again(context, place)
        deeds.append(Deeds())
        wait(
            lambda n=n: len(page.answers) == n + 1,
            lambda s=server: s.service(deeds[-1]),
            page.hear,
            sockets=[server.socket, page.client.socket],
        )
        server.stop()
    assert [each.names for each in deeds] == [["first"], ["second"], ["third"]]
    assert page.client.refused == 0
    page.client.stop()


def test_a_run_at_the_place_of_another_does_not_do_again_what_that_one_has_done(
    context, tmp_path, monkeypatch
):
    """As after `next`, whose answer may be lost with the run that has carried it out."""
    monkeypatch.setattr(control, "REPEAT_S", 0.0)
    server, deeds = CommandServer(context, f"ipc://{tmp_path}/run"), Deeds()
    client = CommandClient(context, server.endpoint, to=server.name)
    client.send("next", {})
    wait(lambda: deeds.done, lambda: server.service(deeds), sockets=[server.socket])
    server.stop()
    server, answers = again(context, server.endpoint), []
    # What was answered before is lost.
    while client.socket.poll(0):
        client.socket.recv_multipart()
    wait(
        lambda: answers,
        lambda: server.service(deeds),
        lambda: answers.extend(client.receive()),
        sockets=[server.socket, client.socket],
    )
    assert answers == [(False, control.GONE)]
    assert deeds.names == ["next"]
    client.stop()
    server.stop()


def again(context, place):
    """A server at a place where one may just be going: ZeroMQ closes the listener in its own thread."""
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            return CommandServer(context, place)
        except OSError:
            assert time.monotonic() < end


def test_of_all_repetitions_while_nobody_is_there_only_a_few_are_kept(context, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "REPEAT_S", 0.0)
    page = Page(context, f"ipc://{tmp_path}/run")
    page.client.send("pause", {})
    for _ in range(500):
        page.hear()
    server, heard = CommandServer(context, f"ipc://{tmp_path}/run"), 0
    assert server.socket.poll(DEADLINE_S * 1000)
    while server.socket.poll(100):
        server.socket.recv_multipart()
        heard += 1
    assert 1 <= heard <= 20
    page.client.stop()
    server.stop()


def test_the_file_of_an_ipc_endpoint_goes_and_stop_may_be_repeated(context, tmp_path):
    server = CommandServer(context, f"ipc://{tmp_path}/run")
    assert (tmp_path / "run").exists()
    server.stop()
    server.stop()
    assert not (tmp_path / "run").exists()


def test_an_endpoint_that_cannot_be_had_leaves_no_socket(context):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            CommandServer(context, f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(OSError, match="nonsense"):
            CommandClient(context, "nonsense://x")


# In the middle of a command, or between a command and its answer; a large one is sent in pieces.
@pytest.mark.parametrize(("characters", "most"), [(10, 700), (50_000, 120_000)])
@pytest.mark.parametrize("seed", range(3))
def test_a_line_that_is_cut_again_and_again_doubles_and_loses_no_command(
    context, seed, characters, most, monkeypatch
):
    monkeypatch.setattr(control, "REPEAT_S", 0.02)
    pick = random.Random(seed)
    limits = [
        pick.choice([(pick.randrange(200, most), FAR), (FAR, pick.randrange(200, 700))]) for _ in range(6)
    ]
    server, deeds = CommandServer(context, "tcp://127.0.0.1:*"), Deeds()
    proxy = Proxy(server.endpoint, limits)
    page = Page(context, proxy.endpoint)
    for n in range(60):
        page.client.send(f"{n}", {"value": characters * "x"})
    wait(
        lambda: len(page.answers) == 60,
        lambda: server.service(deeds),
        page.hear,
        sockets=[server.socket, page.client.socket],
    )
    assert proxy.connections >= 4
    assert deeds.names == [f"{n}" for n in range(60)]
    assert page.answers == [(True, f"{n + 1}: {n}") for n in range(60)]
    page.client.stop()
    server.stop()
    proxy.stop()


def test_hostile_company_at_the_socket_hinders_nobody(context):
    server, deeds = CommandServer(context, "tcp://127.0.0.1:*"), Deeds()
    page = Page(context, server.endpoint)
    stranger = context.socket(zmq.DEALER)
    stranger.linger = 0
    stranger.connect(server.endpoint)
    other = msgpack.packb({"v": 2, "kind": "COMMAND", "number": 1, "name": "stop", "values": {}})
    refused = [[b""], [b"noise", b"noise"], [b"x"] * 400, [other], encode(Need(0, 1, 2)), [b"\x93" * 5000]]
    refused.append([b"x" * (2 << 20)])
    for frames in refused:
        stranger.send_multipart(frames)
    # Beyond all measure: this ends the connection by which it comes, and nothing else.
    rude = context.socket(zmq.DEALER)
    rude.linger = 0
    rude.connect(server.endpoint)
    rude.send(b"x" * (9 << 20))
    raw = socket.create_connection(("127.0.0.1", int(server.endpoint.rpartition(":")[2])))
    raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
    page.client.send("pause", {})
    wait(
        lambda: page.answers and server.refused == len(refused),
        lambda: server.service(deeds),
        page.hear,
        sockets=[server.socket, page.client.socket],
    )
    assert deeds.names == ["pause"]
    told = []
    wait(
        lambda: len(told) == len(refused),
        lambda: told.extend([decode(stranger.recv_multipart())] if stranger.poll(0) else []),
        sockets=[stranger],
    )
    assert all(isinstance(each, Error) for each in told)
    raw.close()
    rude.close()
    stranger.close()
    page.client.stop()
    server.stop()
