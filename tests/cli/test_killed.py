"""Runs whose processes are killed, and commands that are ended: what comes out, and that nothing is left behind."""

import fcntl
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
from pathlib import Path

import pytest

from photonstream.cli.main import main
from photonstream.stream.topology import NodeSpec, Topology
from photonstream.stream.topology_file import TopologyFile, dump_topology, read_topology

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found through /proc")

REPLAY_DATA = Path(__file__).resolve().parents[2] / "replay_data"
INTERRUPTED = REPLAY_DATA / "nc_355nm_interrupted.ptu"
CURVES = ("trace.csv", "decay.csv", "flid.csv", "coincidences.csv")
STANDARD = REPLAY_DATA.parent / "docs" / "standard.toml"
NODES = ("source", "decode", "intensity", "states", "decay", "antibunching", "lifetime", "results")
# Starting processes is most of what these tests cost: where the result is not looked at, three nodes will do.
FEW = ("source", "decode", "intensity")
PATIENCE_S = 60


def line(names, *more):
    """The standard line with these nodes alone, and ``more``."""
    nodes = read_topology(STANDARD).topology.nodes
    cut = [
        NodeSpec(node.name, node.kind, tuple(each for each in node.inputs if each in names))
        for node in nodes
        if node.name in names
    ]
    return Topology((*cut, *more))


class Command:
    """A replay as a process of its own, with a temporary folder of its own."""

    def __init__(self, tmp_path, *options, file=INTERRUPTED, headless=True, terminal=None, preexec_fn=None):
        # The names of sockets are short.
        self.temporary = Path(tempfile.mkdtemp(prefix="killed-", dir="/tmp"))
        self.out = tmp_path / "out"
        head = ["--headless"] if headless else ["--no-browser"]
        command = [sys.executable, "-P", "-m", "photonstream.cli", "replay", str(file), *head]
        self.process = subprocess.Popen(
            [*command, "--out", str(self.out), *options],
            env=os.environ | {"TMPDIR": str(self.temporary)},
            stdin=terminal,
            stdout=terminal or subprocess.PIPE,
            stderr=terminal or subprocess.PIPE,
            text=True,
            start_new_session=terminal is not None,
            preexec_fn=preexec_fn,
        )

    def children(self):
        """Process ids of the nodes and of the page, by name."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
                words = (place / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if int(parent) == self.process.pid and state != "Z" and "photonstream.cli" in words:
                what = words[words.index("photonstream.cli") + 1 :]
                # Just before it becomes what it is to be, a child still has the words of its parent.
                if what[0] in ("node", "dashboard"):
                    found[what[2] if what[0] == "node" else what[0]] = int(place.name)
        return found

    def wait_for(self, condition):
        """Until ``condition`` holds; the run goes on meanwhile. Gives what it came to."""
        waiting = threading.Event()
        for _ in range(PATIENCE_S * 50):
            if found := condition():
                return found
            if self.process.poll() is not None:
                raise AssertionError(self.process.stderr.read())
            waiting.wait(0.02)
        raise AssertionError("it did not come about")

    def finish(self):
        """Until it has ended: exit code and what it said last."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err

    def nothing_is_left(self, children=()):
        """No process, no folder with sockets."""
        self.gone(children)
        assert list(self.temporary.iterdir()) == []

    def gone(self, children):
        waiting = threading.Event()
        for _ in range(PATIENCE_S * 50):
            alive = any(Path(f"/proc/{pid}").exists() for pid in children)
            if not alive and not list(self.temporary.iterdir()):
                return
            waiting.wait(0.02)
        raise AssertionError("a child or its folder is still there")


@pytest.fixture
def command(tmp_path, ended):
    """Starts a command; whatever the test leaves of it is ended."""
    folders = []

    def start(*options, **how):
        made = Command(tmp_path, *options, **how)
        ended(made.process)
        folders.append(made.temporary)
        return made

    yield start
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def topology(tmp_path):
    """The file of a line of some nodes."""

    def write(names, *more, **where):
        path = tmp_path / "line.toml"
        path.write_text(dump_topology(TopologyFile(line(names, *more), **where)), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The result folder of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert main(["replay", str(INTERRUPTED), "--headless", "--placement", "inline", "--out", str(out)]) == 0
    return out


def same_science(out, undisturbed):
    ours, theirs = (json.loads((f / "result.json").read_text(encoding="utf-8")) for f in (out, undisturbed))
    restarts = ours.pop("restarts")
    assert theirs.pop("restarts") == []
    for result in (ours, theirs):
        del result["parameters"]["source"]["speed"]
    assert ours == theirs
    for name in CURVES:
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()
    return restarts


@pytest.mark.parametrize("all_at_once", [False, True])
def test_killed_nodes_change_nothing_but_the_list_of_restarts(command, undisturbed, all_at_once):
    """Any node, in any order, while it starts and later, some of them again and again; or first all of them."""
    chance = random.Random(all_at_once)
    run = command("--placement", "processes", "--speed", "1")
    killed, seen = [], set()
    if all_at_once:
        alive = run.wait_for(lambda: found if len(found := run.children()) == len(NODES) else None)
        for name, pid in alive.items():
            os.kill(pid, signal.SIGKILL)
            killed.append(name)
            seen.add(pid)
    for _ in range(3 if all_at_once else 6):
        # The first of a new set of lives: it may still be starting.
        alive = run.wait_for(lambda: {n: p for n, p in run.children().items() if p not in seen})
        name = chance.choice(sorted(alive))
        seen.add(alive[name])
        os.kill(alive[name], signal.SIGKILL)
        killed.append(name)
    code, _, err = run.finish()
    assert code == 0, err
    restarts = same_science(run.out, undisturbed)
    assert sorted(note["node"] for note in restarts) == sorted(killed)
    assert all(note["cause"] == "ended by signal 9" for note in restarts)
    run.nothing_is_left(seen)


BAD = """
import os, signal
from dataclasses import dataclass
from photonstream.stream.node import InputError, PhotonNode


@dataclass(frozen=True)
class Parameters:
    how: str = "killed"


class Bad(PhotonNode[Parameters]):
    Parameters = Parameters

    def fold(self, chunk):
        if self.parameters.how == "raises":
            raise ZeroDivisionError("in the middle")
        if self.parameters.how == "input":
            raise InputError("what the recording holds cannot be")
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("killed", 3, "node bad cannot live"),
        ("raises", 3, "node bad cannot go on: ZeroDivisionError: in the middle"),
        ("input", 2, "what the recording holds cannot be"),
    ],
)
def test_a_node_that_cannot_live_ends_the_run_with_a_sentence(
    command, topology, tmp_path, monkeypatch, how, code, words
):
    package = tmp_path / "package"
    info = package / "bad-1.dist-info"
    info.mkdir(parents=True)
    (package / "bad.py").write_text(BAD, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[photonstream.nodes]\nbad = bad:Bad\n", encoding="utf-8")
    file = topology(("source", "decode"), NodeSpec("bad", "bad", ("decode",), {"how": how}))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]))
    run = command("--placement", "processes", "--topology", file)
    ended, out, err = run.finish()
    assert ended == code, err
    assert words in err
    assert "Traceback" not in err
    assert out == ""
    assert not (run.out / "result.json").exists()
    run.nothing_is_left()


INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL


@pytest.mark.parametrize(
    ("placement", "headless", "signals", "code"),
    [
        ("processes", False, (INT,), 0),
        ("processes", False, (TERM,), 0),
        ("processes", False, (INT, INT), 130),
        ("processes", False, (KILL,), -KILL),
        ("processes", True, (INT,), 0),
        ("processes", True, (KILL,), -KILL),
        ("threads", False, (INT,), 0),
        ("threads", False, (INT, INT), 130),
        ("threads", False, (KILL,), -KILL),
        ("threads", True, (TERM,), 0),
        ("threads", True, (INT, INT), 130),
    ],
)
def test_nothing_is_left_behind_after_any_end(command, topology, placement, headless, signals, code):
    names = NODES if code == 0 and (headless or placement == "threads") else FEW
    how = ("--placement", placement, "--topology", topology(names), "--speed", "0.05")
    run = command(*how, headless=headless)
    expected = (len(names) if placement == "processes" else 0) + (not headless)
    wait = (lambda: found if len(found := run.children()) == expected else None) if expected else None
    children = run.wait_for(wait) if wait else {}
    if headless:
        assert "to watch it" in run.process.stderr.readline()
    else:
        assert run.process.stdout.readline().startswith("page: http://127.0.0.1:")
    first, *others = signals
    run.process.send_signal(first)
    for each in others:
        # The same signal twice is one, if the first has not been taken yet.
        assert any("again ends at once" in line for line in iter(run.process.stderr.readline, ""))
        run.process.send_signal(each)
    ended, _, err = run.finish()
    assert ended == code, err
    assert (run.out / "result.json").exists() == (code == 0 and names == NODES)
    run.nothing_is_left(children.values())


@pytest.mark.parametrize("headless", [True, False])
def test_a_terminal_that_is_closed_ends_the_run_with_what_was_read(tmp_path, command, headless):
    """The command leads the session of a terminal of its own, as in a window that somebody closes."""
    ours, its = pty.openpty()

    def take_terminal():
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)
        # Under nohup the tests would hand on that it is ignored.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    run = command("--speed", "0.05", headless=headless, terminal=its, preexec_fn=take_terminal)
    os.close(its)
    said = b""
    while (b"to watch it" if headless else b"page: http") not in said:
        said += os.read(ours, 4096)
    children = run.children()
    assert len(children) == (not headless)
    os.close(ours)
    assert run.process.wait(PATIENCE_S) == 0
    assert json.loads((run.out / "result.json").read_text(encoding="utf-8"))["interrupted"]
    assert (run.out / "report.html").exists()
    run.nothing_is_left(children.values())


def test_a_page_that_is_killed_is_there_again_at_its_address_and_disturbs_nobody(command, undisturbed):
    run = command("--speed", "1", headless=False)
    url = run.process.stdout.readline().removeprefix("page: ").strip()
    port = url.rstrip("/").rpartition(":")[2]
    first = run.children()["dashboard"]
    os.kill(first, signal.SIGKILL)
    # It may be seen for another moment.
    again = run.wait_for(lambda: next(iter({run.children().get("dashboard")} - {None, first}), None))
    words = Path(f"/proc/{again}/cmdline").read_bytes().decode().split("\0")
    assert words[words.index("--port") + 1] == port
    lines = iter(run.process.stdout.readline, "")
    assert any("stays until Ctrl-C" in line for line in lines)
    run.process.send_signal(signal.SIGINT)
    code, _, err = run.finish()
    assert code == 0, err
    assert [note["node"] for note in same_science(run.out, undisturbed)] in (["page"], [])
    run.nothing_is_left([first, again])


def test_a_page_that_is_ended_on_the_way_does_not_say_that_it_stays(command):
    run = command("--speed", "0.05", headless=False)
    assert run.process.stdout.readline().startswith("page: ")
    run.process.send_signal(signal.SIGINT)
    code, out, err = run.finish()
    assert code == 0, err
    assert "report.html" in out
    assert "stays until" not in out


@pytest.fixture
def shared_folder(tmp_path, topology):
    """A folder of the user for the sockets of nodes, and the file of a line with it, in which some may be by hand."""
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    return sockets, lambda names, *by_hand: topology(
        names, placement="processes", listen=f"ipc://{sockets}", by_hand=frozenset(by_hand)
    )


def test_two_runs_cannot_have_their_sockets_in_one_folder(command, shared_folder, tmp_path):
    sockets, line_there = shared_folder
    file = line_there(FEW)
    first = command("--topology", file, "--speed", "1")
    assert re.match(r"to watch it", first.process.stderr.readline())
    first.wait_for(lambda: all((sockets / f"{name}.results").exists() for name in FEW))
    # However long the second one takes, the first one is not over.
    first.process.send_signal(signal.SIGSTOP)
    code, _, err = command("--topology", file, "--out", str(tmp_path / "second")).finish()
    first.process.send_signal(signal.SIGCONT)
    assert code != 0
    assert re.fullmatch(rf"photonstream: .*{re.escape(str(sockets))}/run.orders.*[Ii]n use.*\n", err)
    code, _, err = first.finish()
    assert code == 0, err
    first.nothing_is_left()
    assert list(sockets.iterdir()) == []


def test_a_command_that_is_killed_leaves_no_sockets_in_a_folder_of_the_user(command, shared_folder):
    sockets, line_there = shared_folder
    run = command("--topology", line_there(FEW), "--speed", "0.05")
    run.wait_for(lambda: all((sockets / f"{name}.results").exists() for name in FEW))
    children = run.children()
    run.process.kill()
    run.process.communicate()
    run.nothing_is_left(children.values())
    assert list(sockets.iterdir()) == []


def test_the_same_node_twice_by_hand(command, undisturbed, shared_folder):
    sockets, line_there = shared_folder
    file = line_there(NODES, "decay")
    run = command("--topology", file, "--speed", "1")
    node = [sys.executable, "-P", "-m", "photonstream.cli", "node", file, "decay"]
    first = subprocess.Popen(node, stderr=subprocess.PIPE)
    run.wait_for(lambda: (sockets / "decay.results").exists())
    second = subprocess.run(node, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False, text=True)
    assert second.returncode != 0
    assert re.fullmatch(r"photonstream: .*/decay\.results.*[Ii]n use.*\n", second.stderr)
    code, _, err = run.finish()
    assert code == 0, err
    assert first.communicate(timeout=PATIENCE_S) == (None, b"")
    assert same_science(run.out, undisturbed) == []
    run.nothing_is_left()
    assert list(sockets.iterdir()) == []


def test_a_node_by_hand(command, undisturbed, shared_folder):
    """The run waits for it, and takes it in again after it was killed and started once more."""
    sockets, line_there = shared_folder
    file = line_there(NODES, "decay")
    run = command("--topology", file, "--speed", "1")
    assert run.wait_for(lambda: len(run.children()) == len(NODES) - 1)
    node = [sys.executable, "-P", "-m", "photonstream.cli", "node", file, "decay"]
    first = subprocess.Popen(node, stderr=subprocess.PIPE)
    assert re.match(r"to watch it", run.process.stderr.readline())
    run.wait_for(lambda: (sockets / "decay.chunks").exists())
    first.kill()
    first.communicate()
    second = subprocess.Popen(node, stderr=subprocess.PIPE)
    code, _, err = run.finish()
    assert code == 0, err
    assert second.communicate(timeout=PATIENCE_S) == (None, b"")
    assert second.returncode == 0
    same_science(run.out, undisturbed)
    run.nothing_is_left()
    assert list(sockets.iterdir()) == []


# Ctrl-C while the module that is named is looked for, as it may come in the first moments of any command.
EARLY = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[-1]:
            sys.argv.pop()
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv[1:1] = ["info", "nothing.ptu"]
runpy.run_module("photonstream.cli", run_name="__main__", alter_sys=True)
"""


def interrupted_early(moment, disposition):
    """``disposition``: what is done at SIGINT where the command is started, which it inherits."""
    return subprocess.run(
        [sys.executable, "-P", "-c", EARLY, moment],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        preexec_fn=lambda: signal.signal(signal.SIGINT, disposition),
    )


@pytest.mark.parametrize("moment", ["photonstream.cli.main", "argparse", "numba", "photonstream.cli.info"])
def test_ctrl_c_in_the_first_moments_ends_with_a_word(moment):
    done = interrupted_early(moment, signal.SIG_DFL)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "photonstream: ended at once\n")


def test_where_ctrl_c_is_ignored_it_stays_so():
    done = interrupted_early("argparse", signal.SIG_IGN)
    assert done.returncode == 2
    assert "there is no such file" in done.stderr
