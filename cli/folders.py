"""The folder of a run: a new one each time, and never two runs in one."""

from __future__ import annotations

import datetime
import itertools
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from photonstream.stream.node import ParameterError

try:
    import fcntl
except ImportError:  # not on Windows, where two runs into one folder are not kept apart
    fcntl = None  # type: ignore[assignment]


def counted_up(name: str, between: str = " ") -> str:
    """The name after ``name``: NC 13 after NC 12, NC 2 after NC."""
    match = re.fullmatch(r"(.*?)(\d+)", name, re.DOTALL)
    if match is None:
        return f"{name}{between}2"
    return f"{match[1]}{int(match[2]) + 1:0{len(match[2])}d}"


def free_folder(file: Path) -> Path:
    """A folder under ``runs`` that is not there yet, named by the time and the recording."""
    stem = re.sub(r"[^\w.-]+", "_", file.stem) or "recording"
    base = f"{datetime.datetime.now().astimezone():%Y-%m-%d_%H%M%S}_{stem}"
    names = (base if k == 1 else f"{base}_{k}" for k in itertools.count(1))
    return next(folder for name in names if not (folder := Path("runs") / name).exists())


# The file in the folder of a run that is locked as long as the run lives, and holds its address.
CLAIM = ".run"
# A lock that lasts longer is a run's.
LOOKED_AT_S = 0.5


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make ``folder`` where it is missing and keep other runs out of it; raises ParameterError where one is in it."""
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ParameterError(f"{folder}: results go into a folder, and this is a file") from None
    except OSError as error:
        raise ParameterError(
            f"{folder}: no folder for the results can be made: {error.strerror}; name another one with --out"
        ) from error
    place = folder / CLAIM
    with place.open("w", encoding="utf-8") as lock:
        if not _locked(lock):
            raise ParameterError(f"{folder}: another run is writing its results there")
        try:
            yield
        finally:
            place.unlink(missing_ok=True)
            # A run that was ended before it had anything to write leaves nothing; it may be gone already.
            with suppress(FileNotFoundError):
                if made and not any(folder.iterdir()):
                    folder.rmdir()


def _locked(lock: IO[str]) -> bool:
    """Whether this run has the lock now. Who looks whether a run holds it has it too, for a moment."""
    until = time.monotonic() + LOOKED_AT_S
    while fcntl is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() >= until:
                return False
        time.sleep(0.01)
    return True


def announce(folder: Path, address: str) -> None:
    """Say in the ``folder`` of a run, which it has claimed, where it publishes."""
    (folder / CLAIM).write_text(address, encoding="utf-8")


def address_of(folder: Path) -> str | None:
    """Where the run publishes that writes into ``folder``; None where there is none, or not yet at an address."""
    try:
        with (folder / CLAIM).open("r+", encoding="utf-8") as claim:
            return claim.read().strip() or None if _held(claim) else None
    except OSError:
        return None


def _held(claim: IO[str]) -> bool:
    """Whether a run holds its claim: one that was killed does not. Where that cannot be told it does."""
    free = False
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
            free = True
    return not free


def live_runs(folder: Path = Path("runs")) -> dict[Path, str]:
    """The runs that are at work in the folders of ``folder``, with their addresses."""
    found = {place.parent: address_of(place.parent) for place in sorted(folder.glob(f"*/{CLAIM}"))}
    return {place: address for place, address in found.items() if address is not None}
