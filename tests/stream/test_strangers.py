"""A real run whose every socket is open to strangers: it refuses, counts, and goes on to the same results."""

import json
import os
import random
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zmq

from photonstream.cli.main import main
from photonstream.stream.link import LinkReader, new_context
from photonstream.stream.wire import (
    Answer,
    ChunkSent,
    Close,
    Command,
    Error,
    GapSent,
    Hello,
    Need,
    Open,
    ResultSent,
    decode,
    encode,
)

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "replay_data" / "nc_355nm_interrupted.ptu"
NODES = 8
COLUMN = {"macrotime": np.arange(5, dtype=np.uint64)}
GOLDEN = (
    Hello(1, "nobody"),
    Hello(2, "decode"),
    Open("run", 3, "decode", "lossless", {"mode": "T3"}, {}),
    ChunkSent(0, 0, 0, 0, 10, 5, COLUMN),
    GapSent(0, 0, 0, 10, "cut"),
    ResultSent(0, 0, "decode", "counts", True, {"photons": 7}),
    Need(0, 0, 8),
    Need(0, 10**9, 8),
    Need(99, 0, 4000),
    Close(0, 0, "end", 1),
    Error("no"),
    Command(7, "nonsense", {}),
    Answer(1, True, ""),
)


def free_ports(count):
    """The first of ``count`` neighbouring ports that are free now; another process looks from elsewhere on."""
    for first in range(21_000 + 97 * (os.getpid() % 200), 60_000, 97):
        taken = []
        try:
            for port in range(first, first + count):
                taken.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        finally:
            for each in taken:
                each.close()
        return first
    raise AssertionError("no free ports")


def mutated(chance, message):
    """The frames of ``message`` with something wrong in them."""
    frames = [bytes(frame) for frame in encode(message)]
    how = chance.randrange(6)
    if how == 0:
        place = chance.randrange(len(frames[0]))
        frames[0] = frames[0][:place] + bytes([chance.randrange(256)]) + frames[0][place + 1 :]
    elif how == 1:
        frames[0] = frames[0][: chance.randrange(len(frames[0]))]
    elif how == 2:
        frames = frames[1:] or [b""]
    elif how == 3:
        frames.append(chance.randbytes(chance.randrange(2000)))
    elif how == 4:
        frames = [chance.randbytes(chance.randrange(3000)) for _ in range(chance.randrange(1, 5))]
    else:
        frames[0] += b"\0" * chance.randrange(1, 2_000_000)
    return frames


class Stranger:
    """Speaks to one endpoint in every wrong way; ``answers`` are the ERRORs that it got."""

    def __init__(self, context, endpoint, seed):
        self.chance = random.Random(seed)
        self.endpoint = endpoint
        self.answers = []
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def molest(self, times):
        host, port = self.endpoint.removeprefix("tcp://").split(":")
        for _ in range(times):
            for message in GOLDEN:
                self.say([bytes(frame) for frame in encode(message)])
                self.say(mutated(self.chance, message))
            with socket.create_connection((host, int(port)), 5) as raw:
                raw.sendall(self.chance.randbytes(64))
            with socket.create_connection((host, int(port)), 5) as raw:
                # Half of a greeting.
                raw.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3")
            self.hear()

    def say(self, frames):
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            self.hear()

    def hear(self):
        while self.socket.poll(0):
            message = decode(self.socket.recv_multipart())
            if isinstance(message, Error):
                self.answers.append(message.text)


@pytest.fixture
def context():
    context = new_context()
    yield context
    context.destroy(linger=0)


@pytest.mark.parametrize("placement", ["threads", "processes"])
def test_strangers_at_every_socket_change_nothing(context, tmp_path, placement):
    base = free_ports(2 * NODES + 1)
    topology = tmp_path / "open.toml"
    standard = (ROOT / "docs" / "standard.toml").read_text(encoding="utf-8")
    topology.write_text(
        f'placement = "{placement}"\nlisten = "tcp://127.0.0.1:{base}"\n{standard}', encoding="utf-8"
    )
    out, quiet = tmp_path / "out", tmp_path / "quiet"
    command = [sys.executable, "-P", "-m", "photonstream.cli", "replay", str(FILE), "--headless"]
    run = subprocess.Popen(
        [*command, "--topology", str(topology), "--speed", "0.5", "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = re.search(r"tcp://\S+", run.stderr.readline())[0]
        reader, strangers = LinkReader(context, address, "watching"), []
        status, control, reached = {}, None, 0

        def look():
            nonlocal status, control, reached
            for message in reader.receive():
                if isinstance(message, Open):
                    control = message.facts["control"]
                    continue
                if (message_is_status := isinstance(message, ResultSent)) and message.key == "status":
                    status = message.value if message.node == "run" else status
                elif message_is_status and (message.node, message.key) == ("decode", "counts"):
                    reached = message.value["photons"]
                reader.done()

        while not (reached and control):
            reader.socket.poll(200)
            look()
        # The last two nodes give results only; the port after all of them is that of the orders.
        ports = [*range(2 * NODES - 4), 2 * NODES - 3, 2 * NODES - 1, 2 * NODES]
        nodes = [f"tcp://127.0.0.1:{base + k}" for k in ports]
        endpoints = [address, control, *(nodes if placement == "processes" else [])]
        strangers += [Stranger(context, endpoint, k) for k, endpoint in enumerate(endpoints)]
        for _ in range(3):
            for stranger in strangers:
                stranger.molest(4)
                look()
        while not status.get("refused", 0) > 100:
            reader.socket.poll(200)
            look()
            assert run.poll() is None
        for stranger in strangers:
            look()
            # What was too large has cut the connection, and what was under way with it.
            stranger.say([b"nonsense"])
            stranger.socket.poll(5000)
            stranger.hear()
            assert stranger.answers, f"{stranger.endpoint} took everything without a word"
        assert status["epoch"] == 0
        _, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
    finally:
        if run.poll() is None:
            run.kill()
        run.communicate()
        reader.stop()
        for stranger in strangers:
            stranger.socket.close()
    assert main(["replay", str(FILE), "--headless", "--placement", "inline", "--out", str(quiet)]) == 0
    results = [json.loads((f / "result.json").read_text(encoding="utf-8")) for f in (out, quiet)]
    for result in results:
        del result["parameters"]
    assert results[0] == results[1]
    assert (out / "trace.csv").read_bytes() == (quiet / "trace.csv").read_bytes()
