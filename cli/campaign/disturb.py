"""One disturbed run: it is started, disturbed, ended, and looked at."""

from __future__ import annotations

import errno
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from photonstream.cli.campaign.faults import FILLER, Fault
from photonstream.cli.campaign.recording import not_whole, read_records
from photonstream.cli.campaign.results import other_results, replay, unbalanced
from photonstream.cli.campaign.scene import SOME_RECORDS, Scene, StuckError
from photonstream.cli.campaign.site import Site

# A recorder ends when 64 MB are left.
DISK_MB = 80


@dataclass(frozen=True)
class Found:
    """What was wrong with one run, in sentences; ``folder`` is there where something was."""

    faults: tuple[str, ...]
    placement: str
    live: bool
    wrong: tuple[str, ...]
    folder: Path


def disturb(
    faults: Sequence[Fault], placement: str, parent: Path, seed: int, *, live: bool | None = None
) -> Found:
    """One run with ``faults``, one after the other, and what has to be true of it afterwards.

    ``live`` is for the faults to say, or else for ``seed``. Everything is below ``parent``, and taken away again where
    nothing was wrong.
    """
    chance = random.Random(seed)
    drawn = chance.random() < 0.5 if live is None else live
    live = next((fault.live for fault in faults if fault.live is not None), drawn)
    settings: dict[str, int | str] = {"seed": chance.randrange(1, 1 << 20)}
    for fault in faults:
        settings |= fault.settings
    site = Site(parent, clock=any(fault.clock for fault in faults))
    page = any(fault.page for fault in faults)
    wrong: list[str] = ["it was broken off"]
    try:
        with (
            small_disk(site.folder)
            if any(fault.disk for fault in faults)
            else nullcontext(site.folder) as disk
        ):
            scene = Scene(
                site,
                placement,
                live=live,
                page=page,
                settings=settings,
                disk=disk,
                chance=chance,
                grown=any(fault.grown for fault in faults),
            )
            try:
                wrong = _play(scene, faults)
                # What cannot be ended in order cannot be looked at either.
                wrong = wrong or _look(scene)
                wrong += site.left()
            finally:
                site.end()
                scene.stop()
    finally:
        if not wrong:
            shutil.rmtree(site.folder)
    return Found(tuple(fault.name for fault in faults), placement, live, tuple(wrong), site.folder)


def _play(scene: Scene, faults: Sequence[Fault]) -> list[str]:
    try:
        scene.start()
        for fault in faults:
            scene.go_on(scene.chance.randrange(SOME_RECORDS))
            fault.do(scene)
            if not fault.last:
                scene.go_on()
        return scene.finish()
    except (StuckError, ConnectionError) as error:
        # Whoever listens no more has died.
        return [str(error)]


def _look(scene: Scene) -> list[str]:
    """What is wrong with the recording and its results."""
    wrong = not_whole(scene.path, scene.settings, killed=scene.killed_recorder)
    replayed = scene.site.folder / "replayed"
    wrong += replay(scene.path, replayed)
    for folder in (scene.out, replayed):
        if not (folder / "result.json").exists():
            return [*wrong, f"there is no {folder / 'result.json'}"]
    return [
        *wrong,
        *other_results(scene.out, replayed),
        *unbalanced(scene.out, len(read_records(scene.path))),
    ]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own, of `DISK_MB`, that belongs to ``folder``; its files are there when it is gone.

    Raises OSError where nobody may mount one.
    """
    disk = folder / "disk"
    disk.mkdir()
    _system("mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk))
    try:
        yield disk
    finally:
        (disk / FILLER).unlink(missing_ok=True)
        shutil.copytree(disk, folder / "of the disk")
        # Somebody may still hold a file open that was only read.
        _system("umount", "--lazy", str(disk))


def _system(*command: str) -> None:
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise OSError(errno.EPERM, ended.stderr.strip())
