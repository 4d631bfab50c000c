"""A run on two machines, which are loopback addresses or network namespaces here: the same result as in one thread."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from photonstream.cli.main import main
from photonstream.stream.keys import admit, make_keys

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "replay_data" / "nc_355nm_interrupted.ptu"
COMMAND = [sys.executable, "-P", "-m", "photonstream.cli"]
HERE, THERE = "127.0.0.2", "127.0.0.3"
# Where no machine has ever heard of these addresses: two ends of a cable.
NEAR, FAR = "10.77.0.1", "10.77.0.2"
# The machines of the example in docs/nodes.md.
EXAMPLE = "192.168.0.7", "192.168.0.8"


def make_machines(folder, here, there):
    """The folders of keys of two machines that know each other."""
    folders = [folder / here, folder / there]
    for each, name in zip(folders, (here, there), strict=True):
        make_keys(each, name)
    admit(folders[0], folders[1] / f"{there}.public")
    admit(folders[1], folders[0] / f"{here}.public")
    return folders


def write_topology(path, here, there, port):
    """The standard line with two nodes elsewhere: one of the photon path, one that reads results."""
    text = (ROOT / "docs" / "standard.toml").read_text(encoding="utf-8")
    for name in ("decay", "lifetime"):
        text = text.replace(f'name = "{name}"\n', f'name = "{name}"\nby_hand = true\nhost = "{there}"\n')
    assert text.count("by_hand") == 2
    path.write_text(f'placement = "processes"\nlisten = "tcp://{here}:{port}"\n{text}', encoding="utf-8")


def ended(process, seconds=120):
    """Its exit code, and the lines of its standard error but for progress."""
    _, err = process.communicate(timeout=seconds)
    lines = err.replace("\r", "\n").splitlines()
    return process.returncode, [line for line in lines if line.startswith("photonstream:")]


@pytest.fixture
def start():
    """Starts a command, perhaps ``within`` a namespace; what is left of them at the end is ended."""
    started = []

    def start_one(*words, within=(), **where):
        command = [*within, *COMMAND, *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, **pipes, **where))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def result(folder):
    value = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    del value["parameters"]
    return value, (folder / "trace.csv").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("inline") / "out"
    assert main(["replay", str(FILE), "--headless", "--placement", "inline", "--out", str(out)]) == 0
    return result(out)


def test_a_run_on_two_machines_gives_the_same(start, tmp_path, undisturbed):
    near, far = make_machines(tmp_path, HERE, THERE)
    write_topology(tmp_path / "lab.toml", HERE, THERE, 23_100)
    nodes = [start("node", tmp_path / "lab.toml", n, "--keys", far) for n in ("decay", "lifetime")]
    replay = ("replay", FILE, "--headless", "--topology", tmp_path / "lab.toml", "--keys", near)
    run = start(*replay, "--out", tmp_path / "out")
    assert ended(run) == (0, [])
    assert [ended(node) for node in nodes] == [(0, []), (0, [])]
    assert result(tmp_path / "out") == undisturbed


@pytest.mark.parametrize(
    ("wrong", "port", "words"),
    [
        ("missing", 23_120, r"takes no connection without keys"),
        ("stranger", 23_140, r"does not admit the key of this machine"),
        ("impostor", 23_160, r"has another key than this folder holds of that host"),
    ],
)
def test_wrong_keys_are_said_and_end_it(start, tmp_path, wrong, port, words):
    """At ports of its own: nodes of a run that was killed hold theirs for a moment longer."""
    near, far = make_machines(tmp_path, HERE, THERE)
    write_topology(tmp_path / "lab.toml", HERE, THERE, port)
    keys = ["--keys", str(far)]
    if wrong == "missing":
        keys = []
    elif wrong == "stranger":
        far.rename(tmp_path / "old")
        make_keys(far, THERE)
        admit(far, near / f"{HERE}.public")
    else:
        # The folder holds somebody else's key under the address of the run.
        (far / f"{HERE}.public").unlink()
        make_keys(tmp_path / "other", HERE)
        admit(far, tmp_path / "other" / f"{HERE}.public")
    replay = ("replay", FILE, "--headless", "--topology", tmp_path / "lab.toml", "--keys", near)
    start(*replay, "--out", tmp_path / "out")
    node = start("node", tmp_path / "lab.toml", "decay", *keys)
    # The run may hear first that the two do not know each other, and end; the node says it all the same.
    code, [err] = ended(node)
    assert code == 2
    assert re.search(words, err)


def test_off_loopback_nothing_begins_without_keys(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_topology(tmp_path / "lab.toml", NEAR, FAR, 23_180)
    topology = str(tmp_path / "lab.toml")
    for words in (
        ["replay", str(FILE), "--headless", "--topology", topology, "--out", str(tmp_path / "out")],
        [
            "replay",
            str(FILE),
            "--headless",
            "--address",
            f"tcp://{NEAR}:5700",
            "--out",
            str(tmp_path / "out"),
        ],
        ["node", topology, "decay"],
        ["dashboard", f"tcp://{NEAR}:5700", "--no-browser"],
    ):
        assert main(words) == 2
        assert f"tcp://{NEAR}:" in (err := capsys.readouterr().err)
        assert "is open to other machines, which needs keys" in err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def namespaces(tmp_path):
    """Two network namespaces with a cable between them, as prefixes of commands."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if unshare is None or ip is None:
        pytest.skip("no unshare, or no ip, to make network namespaces with")
    holders = [
        subprocess.Popen(
            [unshare, "-rn", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(1)
    ]
    first = holders[0]
    try:
        if first.stdout.readline() != b"ready\n":
            pytest.skip("network namespaces are not allowed here")
        within = ["nsenter", "-t", str(first.pid), "-U", "--preserve-credentials", "-n"]
        second = subprocess.Popen(
            [*within, unshare, "-n", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        holders.append(second)
        if second.stdout.readline() != b"ready\n":
            pytest.skip("network namespaces are not allowed here")
        inner = ["nsenter", "-t", str(second.pid), "-U", "--preserve-credentials", "-n"]
        for words in (
            [
                *within,
                ip,
                "link",
                "add",
                "near",
                "type",
                "veth",
                "peer",
                "name",
                "far",
                "netns",
                str(second.pid),
            ],
            [*within, ip, "addr", "add", f"{NEAR}/24", "dev", "near"],
            [*within, ip, "addr", "add", f"{EXAMPLE[0]}/24", "dev", "near"],
            [*within, ip, "link", "set", "near", "up"],
            [*within, ip, "link", "set", "lo", "up"],
            [*inner, ip, "addr", "add", f"{FAR}/24", "dev", "far"],
            [*inner, ip, "addr", "add", f"{EXAMPLE[1]}/24", "dev", "far"],
            [*inner, ip, "link", "set", "far", "up"],
            [*inner, ip, "link", "set", "lo", "up"],
        ):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no cable between namespaces here: {done.stderr.strip()}")
        yield within, inner
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_a_run_in_two_network_namespaces_gives_the_same(start, tmp_path, undisturbed, namespaces):
    within, inner = namespaces
    near, far = make_machines(tmp_path, NEAR, FAR)
    write_topology(tmp_path / "lab.toml", NEAR, FAR, 23_200)
    replay = ("replay", FILE, "--headless", "--topology", tmp_path / "lab.toml", "--keys", near)
    address = f"tcp://{NEAR}:5700"
    run = start(*replay, "--address", address, "--out", tmp_path / "out", within=within)
    # The run waits for its nodes; a page of somebody who is not admitted, or has no keys, is refused meanwhile.
    stranger = tmp_path / "stranger"
    make_keys(stranger, "stranger")
    admit(stranger, near / f"{NEAR}.public")
    page = start("dashboard", address, "--no-browser", "--keys", stranger, within=inner)
    code, [err] = ended(page)
    assert code == 2
    assert f"{address} does not admit the key of this machine" in err
    node_words = [("node", tmp_path / "lab.toml", n, "--keys", far) for n in ("decay", "lifetime")]
    nodes = [start(*words, within=inner) for words in node_words]
    assert ended(run) == (0, [])
    assert [ended(node) for node in nodes] == [(0, []), (0, [])]
    assert result(tmp_path / "out") == undisturbed


class Machine:
    """One of the two of the example: its home, where its commands are typed, and its network."""

    def __init__(self, home, within):
        self.home, self.within = home, within
        home.mkdir()
        # Kernels are compiled once for all.
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        self.where = {"cwd": home, "env": os.environ | {"HOME": str(home), "XDG_CACHE_HOME": cache}}


def commands(block):
    """The commands of a block of the docs, each with the machine where it is typed."""
    host = None
    for line in block.splitlines():
        if on := re.match(r"on ([\d.]+): ", line):
            host, line = on[1], line[on.end() :]
        yield host, line.split()


def copied(words, machines, here):
    """As scp does it: a place without a host is here, and one that begins nowhere is in the home of its host."""
    places = []
    for word in words[1:]:
        host, colon, path = word.rpartition(":")
        home = machines[host].home if colon else here.home
        places.append(home / path.removeprefix("~/"))
    shutil.copy(*places)


def test_the_example_of_the_docs_is_what_it_says(start, tmp_path, undisturbed, namespaces):
    text = (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8").partition("## Across machines")[2]
    keys, lab, run = re.findall(r"```(?:toml)?\n(.*?)```", text, re.DOTALL)[:3]
    machines = {
        host: Machine(tmp_path / host, within) for host, within in zip(EXAMPLE, namespaces, strict=True)
    }
    for host, words in commands(keys):
        if words[0] == "scp":
            copied(words, machines, machines[host])
        else:
            done = start(*words[1:], within=machines[host].within, **machines[host].where)
            assert ended(done) == (0, [])
    before, node = lab.split("[[node]]\n")
    standard = (ROOT / "docs" / "standard.toml").read_text(encoding="utf-8")
    further = [line for line in node.splitlines(True) if line.startswith(("by_hand", "host"))]
    plain = "".join(line for line in node.splitlines(True) if line not in further)
    assert standard.count(plain) == 1
    for machine in machines.values():
        (machine.home / "lab.toml").write_text(before + standard.replace(plain, node), encoding="utf-8")
    shutil.copy(FILE, machines[EXAMPLE[0]].home / "nc.ptu")
    (_, replay), (_, lifetime), (_, dashboard) = commands(run)
    hosts = [host for host, _ in commands(run)]
    assert hosts == [EXAMPLE[0], EXAMPLE[1], EXAMPLE[1]]
    near, far = machines[EXAMPLE[0]], machines[EXAMPLE[1]]
    replayed = start(*replay[1:], "--out", "out", within=near.within, **near.where)
    # The run waits for its node: so long the page is sure to come to something.
    page = start(*dashboard[1:], "--no-browser", within=far.within, **far.where)
    assert re.match(r"page: http://127\.0\.0\.1:\d+/", page.stdout.readline())
    by_hand = start(*lifetime[1:], within=far.within, **far.where)
    assert ended(replayed) == (0, [])
    assert ended(by_hand) == (0, [])
    (found, trace), (expected, expected_trace) = result(near.home / "out"), undisturbed
    assert found.pop("recording") | {"path": str(FILE)} == expected["recording"]
    assert found == {key: value for key, value in expected.items() if key != "recording"}
    assert trace == expected_trace
    page.send_signal(signal.SIGINT)
    assert ended(page) == (0, [])
