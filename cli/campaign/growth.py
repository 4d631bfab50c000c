"""A recording that reaches its reader in random pieces, as from another program or over a share.

The recorder writes to one file, and this copies it to another one, which is followed: its header in pieces, records in
pieces that end within a word, silences, and the header's counts filled in now and then and at the end.
"""

from __future__ import annotations

import random
import threading
from pathlib import Path

from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.formats.ptu import TAG, PtuFormat
from photonstream.nodes.formats.ptu_write import encode_tag
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path

# Bytes of a piece, at most: of the header, and of the records.
HEADER_PIECE, PIECES = 300, (3, 1000, 30_000, 300_000)
SHARE_OF_COUNTS = 0.05
# Between two pieces, and now and then.
PAUSE_S, SILENCE_S, SHARE_OF_SILENCES = 0.03, 2.5, 0.03


class Growth:
    """Lets ``target`` grow with the recording ``source``, by ``seed``; `start` does so until both are complete."""

    def __init__(self, source: Path, target: Path, seed: int) -> None:
        self._source, self._target = source, target
        self._chance = random.Random(seed)
        self._header = b""
        self._at = self._events_at = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Break it off, if it has not come to its end."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self.step():
            silent = self._chance.random() < SHARE_OF_SILENCES
            if self._over.wait(self._chance.uniform(0.0, SILENCE_S if silent else PAUSE_S)):
                return

    def step(self) -> bool:
        """Write one more piece; whether the copy is complete."""
        try:
            file = PtuFormat().open(self._source)
        except TagFileError:
            return False
        if not self._header:
            self._header = self._incomplete(file.data_offset)
        size = self._source.stat().st_size
        # A gap is told of before the records that stand for it.
        self._copy_events()
        if self._at < file.data_offset:
            piece = self._header[self._at :][: self._chance.randint(1, HEADER_PIECE)]
        else:
            most = min(size - self._at, self._chance.choice(PIECES))
            piece = self._read(self._source, self._at, self._chance.randint(min(1, most), most))
        self._write(self._at, piece)
        self._at += len(piece)
        if file.complete and self._at == size:
            self._copy_events()
            self._complete(file.data_offset)
            return True
        if self._at >= file.data_offset and self._chance.random() < SHARE_OF_COUNTS:
            # Its count may be ahead of what is here.
            self._write(0, self._incomplete(file.data_offset))
        return False

    def _incomplete(self, header_bytes: int) -> bytes:
        """The header as it is now, but that it says nothing of an end."""
        header = self._read(self._source, 0, header_bytes)
        tag = header.index(COMPLETE_TAG.encode())
        return header[:tag] + encode_tag(COMPLETE_TAG, False) + header[tag + TAG.size :]

    def _complete(self, header_bytes: int) -> None:
        """The header as it is at the end; that it is complete comes last."""
        self._write(0, self._incomplete(header_bytes))
        tag = self._header.index(COMPLETE_TAG.encode())
        self._write(tag, encode_tag(COMPLETE_TAG, True))

    def _copy_events(self) -> None:
        place = events_path(self._source)
        told = place.read_bytes() if place.exists() else b""
        with events_path(self._target).open("ab", buffering=0) as events:
            self._events_at += events.write(told[self._events_at :])

    @staticmethod
    def _read(path: Path, first: int, count: int) -> bytes:
        with path.open("rb") as file:
            file.seek(first)
            return file.read(count)

    def _write(self, at: int, piece: bytes) -> None:
        with self._target.open("r+b" if self._target.exists() else "wb", buffering=0) as file:
            file.seek(at)
            file.write(piece)
