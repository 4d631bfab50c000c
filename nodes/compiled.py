"""Where compiled kernels are kept: a folder of their own for each state of the source.

numba keeps a kernel's machine code until the file changes that defines it; when a function that it calls changes
in another file, the old code goes on being used without a word. So the folder's name carries a hash over the
source of all kernels: after an update everything is compiled afresh. ``NUMBA_CACHE_DIR`` overrules this.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import numba

# numba's settings are made at run time, which its types do not tell.
config: Any = numba.config

_NODES = Path(__file__).parent
_FOLDERS = ("kernels", "inference", "simulate")


def source_hash() -> str:
    """Hash over the names and texts of every module that may hold a kernel."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _FOLDERS for path in (_NODES / folder).rglob("*.py")):
        digest.update(path.relative_to(_NODES).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def user_cache() -> Path:
    """The folder in which this system keeps what can be made again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _mark() -> Path | None:
    """The file that says that all kernels of this installation lie in the folder; None where none are kept."""
    if not config.CACHE_DIR:
        return None
    # numba keeps code by the place of its source, too.
    what = f"{source_hash()} {_NODES} {sys.version} {numba.__version__}"
    return Path(config.CACHE_DIR) / f"all-{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def kernels_are_kept() -> bool:
    """Whether all compiled kernels lie in the folder, so that no photon need wait for the compiler."""
    mark = _mark()
    return mark is not None and mark.exists()


def all_are_kept() -> None:
    """Note that all kernels have been compiled; where nothing can be kept, nothing is."""
    if (mark := _mark()) is not None:
        with suppress(OSError):
            mark.touch()


def own_temporary() -> Path:
    """A folder for temporary files that is this user's alone. Raises OSError where it is, or could be, another's.

    Machine code that somebody else may write would be run as this user.
    """
    user = os.getuid() if hasattr(os, "getuid") else None
    folder = Path(tempfile.gettempdir()) / ("photonstream" if user is None else f"photonstream-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if user is not None and (not S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o022):
        raise PermissionError(f"{folder} is not this user's alone")
    return folder


def keep_kernels() -> None:
    """Point numba at a folder that can be written; where there is none, numba finds a place by itself as ever."""
    if config.CACHE_DIR:
        return
    for root in (user_cache, own_temporary):
        try:
            folder = root() / "photonstream" / f"kernels-{source_hash()}"
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            continue
        if os.access(folder, os.W_OK):
            config.CACHE_DIR = str(folder)
            return
