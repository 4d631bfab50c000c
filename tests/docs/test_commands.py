"""Every command that the docs show is run: as it stands there, or for a shorter time; or it is excused, with a reason.

What ends by itself is run here. What stays until Ctrl-C, and what it takes beside it, are processes of their own: they
begin with the first test and are waited for by theirs.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from photonstream.cli.folders import live_runs
from photonstream.cli.main import main
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from tests.docs.shown import ROOT, all_commands, toml_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")

PATIENCE_S = 120
COMMAND = (sys.executable, "-P", "-m", "photonstream.cli")
# How commands begin that are not run here, and why.
EXCUSED = {
    "python3 -m venv": "makes the environment; .ci/run does it on a clean machine",
    "pip install": "installs from elsewhere; .ci/run does it",
    "python -m pytest": "these tests would run themselves; .ci/run does it",
    "photonstream attach swabian": "needs a Time Tagger and its maker's package",
}
# Two machines: tests/stream/test_across_machines.py types what is typed there, in two network namespaces.
ELSEWHERE = {"192.168.0.7", "192.168.0.8"}
# What would take minutes is told to be short; of an option that is given twice the last one counts.
SHORTER = {
    # Over before any begins: tests/cli/test_faults.py has the runs.
    "faults": ("--time", "1ns"),
    "record": ("--time", "1s"),
    "simulate": ("--time", "1s"),
    "soak": ("--time", "2s"),
    "validate": ("--count", "1", "--photons", "1e4", "--jobs", "1"),
}
# So do these end that would serve a page until Ctrl-C; one of each kind serves it.
HEADLESS = {
    "attach": ("--headless", "--time", "1s"),
    "follow": ("--headless", "--idle-timeout", "1"),
    "replay": ("--headless",),
}
# What is at work while a command is typed that is about it.
REPLAY = ("replay", "recording.ptu", "--headless", "--speed", "1")
ATTACH = ("attach", "simulated", "--headless")
RECORD = ("record", "simulated", "--out", "FILE")


def excuse(shown):
    return next((start for start in EXCUSED if shown.name.startswith(start)), None)


RUN = [each for each in all_commands() if excuse(each) is None and each.host not in ELSEWHERE]
# Of a run that waits for a node by hand both commands are typed for the test of the node.
BY_HAND = {each.toml for each in RUN if each.words[1] == "node"}
WAITING = {each.toml: each for each in RUN if each.words[1] == "replay" and each.toml in BY_HAND}
PAGES = [
    next(each for each in RUN if each.words[1] == name and "--headless" not in each.words)
    for name in HEADLESS
]


def in_company(shown):
    """Whether it takes a process of its own: it stays, or something else is at work meanwhile."""
    words = shown.words[1:]
    return shown in PAGES or words[0] in ("ctl", "soak") or bool(shown.toml) or "FILE" in words


ALONE = [each for each in RUN if not in_company(each)]
COMPANY = [each for each in RUN if in_company(each) and each not in WAITING.values()]


def test_every_command_is_one_of_this_program_or_excused():
    assert [each.name for each in RUN if each.words[0] != "photonstream"] == []


def test_no_excuse_is_left_over():
    everything = all_commands()
    assert {excuse(each) for each in everything} - {None} == set(EXCUSED)
    assert {each.host for each in everything} - {""} == ELSEWHERE


def in_short(words):
    """The words of a command so that it ends soon."""
    if words[0] == "validate":
        # One nanocrystal: the first of each list.
        words = [
            "validate",
            "--beta",
            "0.257",
            "--blinking",
            "none",
            *(word.split(",")[0] for word in words[1:]),
        ]
    headless = () if "--headless" in words else HEADLESS.get(words[0], ())
    return [*words, *headless, *SHORTER.get(words[0], ())]


def topology(toml):
    """The topology that a page shows a part of: what stands before its node, the standard line, and the node."""
    before, _, node = toml.partition("[[node]]")
    standard = (ROOT / "docs" / "standard.toml").read_text(encoding="utf-8")
    return f"{before}{standard}\n[[node]]{node}"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The files that the docs speak of: two seconds of a nanocrystal, of a scatterer and of the dark, and a run."""
    folder = tmp_path_factory.mktemp("prepared")
    where = pytest.MonkeyPatch()
    where.chdir(folder)
    simulate = ["simulate", "--time", "2s"]
    assert main([*simulate, "355nm", "--out", "recording.ptu"]) == 0
    for copy in ("run.ptu", "nc.ptu", "uv.ptu"):
        shutil.copy("recording.ptu", copy)
    scatterer = ["--blinking", "none", "--set", "tau_xx_s=2e-12", "--set", "tau_x_s=1e-11"]
    assert main([*simulate, "640nm", "--out", "scatter.ptu", *scatterer]) == 0
    shutil.copy("scatter.ptu", "irf.ptu")
    assert main([*simulate, "640nm", "--out", "dark.ptu", "--set", "efficiency=0,0"]) == 0
    replay = ["replay", "--headless", "--set", "lifetime.excitation_nm=640"]
    for name, preset, mean_n in (("low", "640nm", "0.1"), ("high", "640nm-n0.5", "0.5")):
        assert main([*simulate, preset, "--out", f"{name}.ptu"]) == 0
        assert main([*replay, f"{name}.ptu", "--mean-n", mean_n, "--out", f"runs/{name}"]) == 0
    assert main(["replay", "recording.ptu", "--headless", "--out", "runs/X"]) == 0
    (folder / "replay_data").mkdir()
    shutil.copy("recording.ptu", "replay_data/nc_355nm.ptu")
    [experiment] = toml_of("schema.md")
    (folder / "experiment.toml").write_text(experiment, encoding="utf-8")
    where.undo()
    return folder


@pytest.fixture(scope="module")
def environment(outsider, outside_device):
    """The packages that docs/nodes.md and docs/drivers.md show are installed; there is no screen for a browser."""
    both = os.pathsep.join(each["PYTHONPATH"] for each in (outsider.environment, outside_device))
    found = os.environ | {"PYTHONPATH": both}
    for screen in ("DISPLAY", "WAYLAND_DISPLAY"):
        found.pop(screen, None)
    return found


def place(prepared, folder, shown):
    """A folder for one command, with the files but for that which the command is to make."""
    shutil.copytree(prepared, folder, copy_function=os.link)
    if "--out" in shown.words:
        made = folder / shown.words[shown.words.index("--out") + 1]
        if made.is_dir():
            shutil.rmtree(made)
        made.unlink(missing_ok=True)
    if shown.toml:
        (folder / "mine.toml").write_text(topology(shown.toml), encoding="utf-8")
    return folder


@pytest.mark.parametrize("shown", ALONE, ids=lambda each: each.name)
def test_a_command_that_ends_by_itself(shown, prepared, environment, tmp_path, monkeypatch):
    monkeypatch.chdir(place(prepared, tmp_path / "here", shown))
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    for folder in environment["PYTHONPATH"].split(os.pathsep):
        monkeypatch.syspath_prepend(folder)
    before = set((tmp_path / "here" / "runs").iterdir())
    assert main(in_short(shown.words[1:])) == 0
    if shown.words[1] in HEADLESS:
        [new] = set((tmp_path / "here" / "runs").iterdir()) - before
        assert (new / "report.html").exists()


def wait_for(condition):
    waiting = threading.Event()
    for _ in range(PATIENCE_S * 50):
        if found := condition():
            return found
        waiting.wait(0.02)
    raise AssertionError("it did not come about")


class Shell:
    """Types commands in a folder; what is left of them at the end is ended."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment
        self.started = []

    def start(self, *words):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        where = {"cwd": self.folder, "env": self.environment}
        self.started.append(subprocess.Popen([*COMMAND, *words], **pipes, **where))
        return self.started[-1]

    @property
    def runs(self):
        """The folders of the runs that are at work."""
        return set(live_runs(self.folder / "runs"))

    def alive(self, process):
        return process.poll() is None

    def finish(self, process, begun=""):
        """It ends well; ``begun`` is what was read of its words already."""
        said, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, begun + said

    def interrupt(self, process, begun=""):
        process.send_signal(signal.SIGINT)
        self.finish(process, begun)

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def page_of(process):
    """What a command says until it has a page, which is fetched."""
    said = ""
    for line in process.stdout:
        said += line
        if at := re.match(r"page: (http\S+)", line):
            with urllib.request.urlopen(at[1], timeout=PATIENCE_S) as page:
                assert b"photonstream" in page.read()
            return said
    raise AssertionError(said)


def is_recording(path):
    try:
        return open_tag_file(path).records > 0
    except TagFileError:
        return False


def tell(shell, words):
    """Type ``words`` at a run that is at work; of "next" the run that follows is ended."""
    of_device = words[1] == "next" or words[-1].startswith("device.")
    run = shell.start(*(ATTACH if of_device else REPLAY))
    at_work = [wait_for(lambda: shell.runs or not shell.alive(run))]
    shell.finish(shell.start(*words))
    if words[1] == "next":
        wait_for(lambda: (shell.runs and shell.runs != at_work[0]) or not shell.alive(run))
    shell.interrupt(run)


def about_a_recording(shell, words):
    """Type ``words`` that are about a recording, FILE, which goes on; where they do not end it, it ends then."""
    recorder = shell.start(*RECORD)
    wait_for(lambda: is_recording(shell.folder / "FILE") or not shell.alive(recorder))
    process = shell.start(*words, *(("--headless",) if words[0] in HEADLESS else ()))
    if words[0] in HEADLESS:
        wait_for(lambda: shell.runs or not shell.alive(process))
        shell.interrupt(recorder)
    else:
        shell.finish(recorder)
    shell.finish(process)


def type_it(shown, folder, environment):
    """Run one command in company; raises AssertionError where it, or what is beside it, does not end well."""
    shell, words = Shell(folder, environment), shown.words[1:]
    try:
        if words[0] == "ctl":
            tell(shell, words)
        elif "FILE" in words:
            about_a_recording(shell, words)
        elif shown.toml in WAITING:
            run, node = (shell.start(*each.words[1:]) for each in (WAITING[shown.toml], shown))
            shell.interrupt(run, page_of(run))
            shell.finish(node)
        elif shown in PAGES:
            process = shell.start(*words)
            shell.interrupt(process, page_of(process))
        else:
            shell.finish(shell.start(*in_short(words)))
    finally:
        shell.end()


@pytest.fixture(scope="module")
def typed(prepared, environment, tmp_path_factory):
    """What becomes of each command, as far as it is known by now; as many at a time as there are cores."""
    folder = tmp_path_factory.mktemp("company")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            each: pool.submit(type_it, each, place(prepared, folder / str(k), each), environment)
            for k, each in enumerate(COMPANY)
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize("shown", COMPANY, ids=lambda each: each.name)
def test_a_command_in_company(shown, typed):
    typed[shown].result()
