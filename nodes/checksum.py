"""Checksum of a file, computed beside whoever reads it."""

from __future__ import annotations

import hashlib
import sys
import threading
from typing import BinaryIO

_BLOCK_BYTES = 1 << 22


class Checksum:
    """SHA-256 of a file that is open, in a thread of its own from `start` on (hashing releases the interpreter).

    ``file`` is read from its beginning, and by nobody else meanwhile; of one that may grow, the first ``size`` bytes.
    """

    def __init__(self, file: BinaryIO, size: int | None = None) -> None:
        self._file = file
        self._size = size
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._digest: str | None = None

    def start(self) -> None:
        """Begin, where it is not known already."""
        if self._digest is not None:
            return
        self._cancelled.clear()
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def cancel(self) -> str | None:
        """End the thread; the checksum where it was there already."""
        self._cancelled.set()
        self._join()
        return self._digest

    def finish(self) -> str | None:
        """The checksum, however long it takes; None where the file cannot be read."""
        self._join()
        if self._digest is None:
            self._cancelled.clear()
            self._run()
        return self._digest

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        digest = hashlib.sha256()
        left = sys.maxsize if self._size is None else self._size
        try:
            self._file.seek(0)
            while block := self._file.read(min(_BLOCK_BYTES, left)):
                left -= len(block)
                if self._cancelled.is_set():
                    return
                digest.update(block)
        except OSError:
            # The reader of the records meets the same fault and names it; here there is just no checksum.
            return
        self._digest = digest.hexdigest()
