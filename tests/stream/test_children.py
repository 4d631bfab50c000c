"""Processes that belong to another one: told of when they end, ended with it, and their folder with them."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from photonstream.stream import children as module
from photonstream.stream.children import GRACE_S, MOST_WORDS, PREFIX, Children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes as Linux tells of them")

DEADLINE_S = 20.0
# The clock of a child that does nothing but live: longer than any test.
LONG_S = 300
HOLDS = f"""
import sys, time
from pathlib import Path
from photonstream.stream.children import hold_lifeline
hold_lifeline(Path(sys.argv[1]))
Path(sys.argv[2]).write_text("ready")
time.sleep({LONG_S})
"""
# It is told, and does not care.
STUBBORN = f"""
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path(sys.argv[2]).write_text("ready")
time.sleep({LONG_S})
"""


@pytest.fixture
def home(monkeypatch):
    """Where folders of runs are made, and nothing else is; its name is short enough for sockets."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield home
    shutil.rmtree(home)


def test_where_sockets_could_have_no_names_the_folder_is_made_in_tmp(tmp_path, monkeypatch):
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    children = Children()
    assert children.folder.parent == Path("/tmp")
    children.stop()
    assert not children.folder.exists()


@pytest.fixture
def children(home):
    children = Children()
    yield children
    children.stop()


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


class Ready:
    """Where a process says that it is at work."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self):
        wait_at(self._descriptor, "it does not begin")

    def close(self):
        os.close(self._descriptor)


def wait_at(descriptor, otherwise):
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(DEADLINE_S * 1000), otherwise


def start(children, name, code):
    """Start a child and wait until it is at work; returns its process id."""
    ready = Ready(children.folder.parent / f"{name}.ready")
    children.start(name, python(code, children.folder, ready.path))
    ready.wait()
    ready.close()
    return children._processes[name].pid


def end_of(children, name):
    """Wait until ``name`` has ended, and hear what is told of it."""
    os.waitid(os.P_PID, children._processes[name].pid, os.WEXITED | os.WNOWAIT)
    (death,) = children.dead()
    return death


def gone(pid):
    """Wait until a process that is no child of this one has ended; perhaps its parent has not heard of it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        wait_at(descriptor, f"process {pid} lives on")
    finally:
        os.close(descriptor)


def test_the_folder_is_private_and_goes_at_the_end(home):
    children = Children()
    assert children.folder.parent == home
    assert children.folder.name.startswith(PREFIX)
    assert children.folder.stat().st_mode & 0o077 == 0
    (children.folder / "decay.results").touch()
    children.stop()
    assert not children.folder.exists()
    children.stop()


def test_a_death_is_told_once_with_code_and_last_words(children):
    children.start(
        "decay", python("import sys; print('first', file=sys.stderr); sys.exit('the disk is full\\n\\n')")
    )
    assert children.names == ["decay"]
    death = end_of(children, "decay")
    assert (death.name, death.code, death.last_words) == ("decay", 1, "the disk is full")
    assert death.cause == "ended with code 1: the disk is full"
    assert children.dead() == []
    assert children.names == []


def test_who_ends_without_a_word_has_no_last_words(children):
    children.start("decay", python("raise SystemExit(3)"))
    death = end_of(children, "decay")
    assert (death.code, death.last_words, death.cause) == (3, "", "ended with code 3")


def test_a_signal_is_told_as_such(children):
    os.kill(start(children, "decay", STUBBORN), signal.SIGKILL)
    death = end_of(children, "decay")
    assert (death.code, death.cause) == (-9, "ended by signal 9")


def test_of_a_long_story_only_the_end_is_read(children):
    code = "import sys; sys.stderr.buffer.write(b'x' * 5_000_000 + b'\\xff\\xc3' + b'y' * 10); sys.exit(1)"
    children.start("decay", python(code))
    words = end_of(children, "decay").last_words
    assert words.startswith("x")
    assert words.endswith("y" * 10)
    assert len(words) == MOST_WORDS


def test_a_name_lives_again_and_its_former_words_are_forgotten(children):
    children.start("decay", python("raise SystemExit('first life')"))
    assert end_of(children, "decay").last_words == "first life"
    children.start("decay", python("raise SystemExit(4)"))
    death = end_of(children, "decay")
    assert (death.code, death.last_words) == (4, "")


def test_several_deaths_are_told_together(children):
    for code in (3, 4, 5):
        children.start(f"node{code}", python(f"raise SystemExit({code})"))
    for process in children._processes.values():
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert {death.name: death.code for death in children.dead()} == {"node3": 3, "node4": 4, "node5": 5}


def test_a_command_that_is_not_there_is_said_at_once(children):
    with pytest.raises(FileNotFoundError):
        children.start("decay", ["/nonexistent/python"])
    assert children.names == []


def test_what_children_print_goes_nowhere_and_they_are_in_a_session_of_their_own(children, capfd):
    code = "import os, sys; print('hello'); sys.exit(0 if os.getsid(0) == os.getpid() else 7)"
    children.start("decay", python(code))
    assert end_of(children, "decay").code == 0
    assert capfd.readouterr().out == ""


def test_those_who_hold_their_lifeline_end_at_once_when_told(home):
    children = Children()
    pids = [start(children, name, HOLDS) for name in ("decay", "states")]
    began_s = time.monotonic()
    children.stop()
    assert time.monotonic() - began_s < GRACE_S / 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not children.folder.exists()


def test_those_who_do_not_care_are_ended_after_one_grace_for_all(home, monkeypatch):
    monkeypatch.setattr(module, "GRACE_S", 0.5)
    children = Children()
    pids = [start(children, f"node{n}", STUBBORN) for n in range(4)]
    began_s = time.monotonic()
    children.stop()
    assert 0.5 <= time.monotonic() - began_s < 1.5
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not children.folder.exists()


def test_an_interruption_while_they_end_leaves_nobody_behind(home, monkeypatch):
    children = Children()
    pid = start(children, "decay", STUBBORN)
    process = children._processes["decay"]
    waited = process.wait

    def interrupted(timeout=None):
        if timeout is not None:
            raise KeyboardInterrupt
        return waited()

    monkeypatch.setattr(process, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        children.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not children.folder.exists()


PARENT = """
import sys
from photonstream.stream.children import Children
children = Children()
for n in range(3):
    children.start(f"node{n}", [sys.executable, "-c", sys.argv[1], str(children.folder), f"{sys.argv[2]}{n}"])
print(children.folder, *(process.pid for process in children._processes.values()), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def begun(folder):
    """A process that has started three children: the process, its folder, the ids of the children, who says ready."""
    ready = [Ready(folder / f"ready{n}") for n in range(3)]
    with subprocess.Popen(
        python(PARENT, HOLDS, folder / "ready"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        place, *numbers = process.stdout.readline().split()
        pids = [int(number) for number in numbers]
        yield process, Path(place), pids, ready
        process.kill()
        # They take their folder away when they end, and nobody else does meanwhile.
        for pid in pids:
            gone(pid)
    for each in ready:
        each.close()


@pytest.fixture
def parent(home, tmp_path):
    """A process with three children that hold their lifelines: process, folder, ids of the children."""
    with begun(tmp_path) as (process, folder, pids, ready):
        for each in ready:
            each.wait()
        yield process, folder, pids


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda n: n.name)
def test_when_the_parent_is_killed_all_children_end_and_the_folder_goes(parent, number):
    process, folder, pids = parent
    assert folder.is_dir()
    process.send_signal(number)
    assert process.wait(DEADLINE_S) == -number
    for pid in pids:
        gone(pid)
    assert not folder.exists()


def test_the_death_of_one_child_cuts_no_lifeline_of_another(parent):
    """Each lifeline is held by the parent alone: a child that inherited the end of another's would keep it alive."""
    process, folder, pids = parent
    os.kill(pids[0], signal.SIGKILL)
    gone(pids[0])
    for pid in pids[1:]:
        os.kill(pid, 0)
    process.kill()
    for pid in pids[1:]:
        gone(pid)
    assert not folder.exists()


def test_children_that_are_only_just_starting_end_too(home, tmp_path):
    """They hold nothing yet when the parent dies, and find that out as soon as they would."""
    with begun(tmp_path) as (process, folder, pids, _):
        process.kill()
        for pid in pids:
            gone(pid)
    assert not folder.exists()


def test_a_folder_that_nobody_holds_is_taken_away_by_the_next_run(home):
    code = (
        "import os, signal; from photonstream.stream.children import Children; c = Children();"
        "(c.folder / 'decay.results').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run(python(code), check=False)
    (left,) = home.iterdir()
    assert (left / "decay.results").exists()
    children = Children()
    assert [path.name for path in home.iterdir()] == [children.folder.name]
    children.stop()


def test_a_folder_that_is_held_stays(parent, home):
    _, folder, _ = parent
    children = Children()
    assert folder.is_dir()
    children.stop()
    assert list(home.iterdir()) == [folder]


def test_folders_of_others_stay(home, tmp_path):
    other = home / f"{PREFIX}notes"
    other.mkdir()
    (other / "precious").touch()
    # Neither is a run that is only just making its folder, nor a file, anybody's to take.
    young = home / f"{PREFIX}young"
    young.mkdir()
    (young / "lock.new").touch()
    (home / f"{PREFIX}file").touch()
    # A link leads to what is not ours, lock or no lock.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (home / f"{PREFIX}link").symlink_to(elsewhere)
    Children().stop()
    assert (other / "precious").exists()
    assert (young / "lock.new").exists()
    assert (home / f"{PREFIX}file").exists()
    assert (elsewhere / "lock").exists()
