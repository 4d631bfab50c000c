"""The folder of a run: a new one each time, and never two runs in one."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from photonstream.stream.node import ParameterError

try:
    import fcntl
except ImportError:  # not on Windows, where two runs into one folder are not kept apart
    fcntl = None  # type: ignore[assignment]


def free_folder(file: Path) -> Path:
    """A folder under ``runs`` that is not there yet, named by the time and the recording."""
    stem = re.sub(r"[^\w.-]+", "_", file.stem) or "recording"
    base = f"{datetime.datetime.now().astimezone():%Y-%m-%d_%H%M%S}_{stem}"
    names = (base if k == 1 else f"{base}_{k}" for k in itertools.count(1))
    return next(folder for name in names if not (folder := Path("runs") / name).exists())


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
    place = folder / ".run"
    with place.open("w", encoding="utf-8") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ParameterError(f"{folder}: another run is writing its results there") from None
        try:
            yield
        finally:
            place.unlink(missing_ok=True)
            # A run that was ended before it had anything to write leaves nothing.
            if made and not any(folder.iterdir()):
                folder.rmdir()
