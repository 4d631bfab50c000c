"""What a run is disturbed by: every kind of fault, and in which runs it can be."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from photonstream.cli.campaign.clock import set_clock
from photonstream.cli.campaign.proxy import CORRUPTED, DELAYED, DOUBLED, FINE
from photonstream.cli.campaign.scene import COMMAND, PAGE, PLACEMENTS, RECORD, SOME_RECORDS, Scene, StuckError
from photonstream.cli.campaign.strangers import molest, refusal
from photonstream.stream.link import LinkReader, new_context

PROCESSES = ("processes", "tcp")
LINKED = ("threads", *PROCESSES)
# A memory of the device that overruns when its recorder stops for so long, and one of the standard size that does not.
SMALL_FIFO, STOPPED_S = 20_000, (0.3, 1.5)
# How far a wall clock jumps: an hour of summer, years of a dead battery.
JUMPS_S = (3600.0, -3600.0, -9e8, 0.0)
# So many messages have something done to them.
SOME_MESSAGES = 25
CUTS = 3
STRANGERS = 3
FILLER = "filler"


@dataclass(frozen=True)
class Fault:
    """``do`` disturbs a run of one of ``placements``, once; ``live``: only one of attach, or none of it (None: any).

    ``last``: no other fault comes after it. ``page``, ``clock`` and ``disk`` are what the run has to have, ``grown``
    that its file grows in random pieces, ``settings`` what its device is asked for.
    """

    name: str
    text: str
    do: Callable[[Scene], None]
    placements: tuple[str, ...] = PLACEMENTS
    live: bool | None = None
    last: bool = False
    page: bool = False
    clock: bool = False
    disk: bool = False
    grown: bool = False
    settings: Mapping[str, int | str] = field(default_factory=dict)


def _kill_node(scene: Scene) -> None:
    for _ in range(scene.chance.randint(1, 3)):
        _kill_and_wait(scene, scene.chance.choice(scene.nodes()))


def _kill_and_wait(scene: Scene, name: str) -> None:
    before = scene.kill(name)
    scene.wait(lambda: scene.site.processes().get(name, before) != before, f"{name} does not come back")
    scene.wait(scene.everybody, "not all processes have come back")


def _kill_page(scene: Scene) -> None:
    _kill_and_wait(scene, PAGE)


def _kill_command(scene: Scene) -> None:
    """The recording goes on, and is followed from its start by somebody else."""
    scene.command.kill()
    scene.command.wait()
    scene.follow()
    scene.go_on()
    scene.wait(scene.everybody, "not all nodes have started")


def _kill_recorder(scene: Scene) -> None:
    scene.killed_recorder = True
    scene.kill(RECORD)


def _stop(name: str) -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        chosen = name or scene.chance.choice(scene.nodes())
        pid = scene.pid(chosen)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(scene.chance.uniform(*STOPPED_S))
        finally:
            os.kill(pid, signal.SIGCONT)

    return do


def _slow_node(scene: Scene) -> None:
    """It works a third of the time: what is before it fills up, to the file."""
    pid = scene.pid(scene.chance.choice(scene.nodes()))
    for _ in range(20):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)


def _blocked_reader(scene: Scene) -> None:
    """One takes what its window allows and never says that it has; another one connects and says nothing."""
    context = new_context()
    scene.stack.callback(context.term)
    reader = LinkReader(context, scene.address, "blocked")
    scene.stack.callback(reader.stop)
    host, port = scene.address.removeprefix("tcp://").split(":")
    scene.stack.enter_context(socket.create_connection((host, int(port))))
    scene.wait(lambda: any(True for _ in reader.receive()), "nothing is published")


def _strangers(scene: Scene) -> None:
    """They come to where the results are published, the one place that everybody may find."""
    host, port = scene.address.removeprefix("tcp://").split(":")
    place = host, int(port)
    for _ in range(STRANGERS):
        molest(place, scene.chance)
    if refusal(place) is None:
        raise StuckError(f"{host}:{port} took nonsense without a word")


def _cut(scene: Scene) -> None:
    assert scene.line is not None
    for _ in range(CUTS):
        scene.line.cut()
        time.sleep(scene.chance.uniform(0.0, 0.5))
        scene.line.way = FINE
        scene.go_on(SOME_RECORDS // 4)


def _trouble(way: str) -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        line = scene.line
        assert line is not None
        goal = line.done[way] + SOME_MESSAGES
        line.way = way
        try:
            scene.wait(lambda: line.done[way] >= goal, f"too few messages are {way}")
        finally:
            line.way = FINE

    return do


def _jump(scene: Scene) -> None:
    for offset_s in scene.chance.sample(JUMPS_S, len(JUMPS_S)):
        set_clock(scene.site.folder, offset_s)
        scene.go_on(SOME_RECORDS // 4)


def _gap(scene: Scene) -> None:
    """The device does it by itself."""
    scene.wait(scene.gaps, "there is no gap")


def _go_on(scene: Scene) -> None:
    scene.go_on(2 * SOME_RECORDS)


def _fill_disk(scene: Scene) -> None:
    """Somebody else takes all the room that there is."""
    scene.recorder_failed = True
    folder = scene.path.parent
    left = scene.chance.choice((0, 1000, 1 << 20))
    with (folder / FILLER).open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        # The recorder takes its part meanwhile.
        while (room := os.statvfs(folder)).f_bavail * room.f_bsize > left:
            filler.write(bytes(min(1 << 20, room.f_bavail * room.f_bsize - left)))


def _limit_file(scene: Scene) -> None:
    """The file may not grow beyond a place within a record."""
    scene.recorder_failed = True
    limit = scene.size() + scene.chance.randrange(4, 40_000)
    resource.prlimit(scene.pid(RECORD), resource.RLIMIT_FSIZE, (limit, limit))


_KILL, _STOP, _LINE = "kill -9", "SIGSTOP, SIGCONT", "tcp line between hosts:"

FAULTS = (
    Fault("kill-node", f"{_KILL} of nodes", _kill_node, PROCESSES),
    Fault("stop-node", f"{_STOP} of a node", _stop(""), PROCESSES),
    Fault("slow-node", "a node that works a third of the time", _slow_node, PROCESSES),
    Fault("kill-page", f"{_KILL} of the page's server", _kill_page, LINKED, live=True, page=True),
    Fault("stop-page", f"{_STOP} of the page's server", _stop(PAGE), LINKED, live=True, page=True),
    Fault("blocked-reader", "a reader of results that takes nothing", _blocked_reader, LINKED),
    Fault("strangers", "corrupt and senseless messages to the run", _strangers, LINKED),
    Fault("stop-run", f"{_STOP} of the command", _stop(COMMAND)),
    Fault("kill-run", f"{_KILL} of the command; another one follows", _kill_command),
    Fault(
        "stop-recorder",
        f"{_STOP} of the recorder",
        _stop(RECORD),
        settings={"fifo_records": SMALL_FIFO},
    ),
    Fault("kill-recorder", f"{_KILL} of the recorder", _kill_recorder, live=True, last=True),
    Fault("cut-line", f"{_LINE} cut and restored", _cut, ("tcp",)),
    Fault("delay", f"{_LINE} messages late", _trouble(DELAYED), ("tcp",)),
    Fault("double", f"{_LINE} messages twice", _trouble(DOUBLED), ("tcp",)),
    Fault("corrupt", f"{_LINE} messages with a wrong bit", _trouble(CORRUPTED), ("tcp",)),
    Fault("grown", "the file grows in random pieces", _go_on, live=False, grown=True),
    Fault("clock", "the wall clock jumps", _jump, clock=True),
    Fault("disk-full", "the disk is full", _fill_disk, live=False, last=True, disk=True),
    Fault("file-limit", "the file may not grow", _limit_file, last=True),
    Fault("overrun", "the device overruns", _gap, settings={"faults": "overrun@1s overrun@1.5s"}),
    Fault("sync-lost", "the device loses its laser", _gap, settings={"faults": "sync@1s:0.4s"}),
    Fault("device-gone", "the device is gone and comes back", _gap, settings={"faults": "gone@1s:0.7s"}),
    Fault("stall", "the device gives nothing for a while", _go_on, settings={"faults": "stall@1s:0.8s"}),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
