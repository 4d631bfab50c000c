"""Tag files: what kind a file is, told from its content and never from its name."""

from __future__ import annotations

import logging
import os
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from photonstream.nodes.formats.base import (
    HeaderCutShortError,
    TagFile,
    TagFileError,
    TagFormat,
    Verdict,
    open_raw,
    without_reserved,
)

GROUP = "photonstream.formats"

# Any kind of file is told by far fewer bytes.
_HEAD_BYTES = 65536
_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PQHISTO", "a PicoQuant histogram (PHU), which holds no records"),
    (b"PQ", "another kind of PicoQuant file"),
    (b"TimeHarp 200", "a TimeHarp 200 file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF document"),
)

_log = logging.getLogger(__name__)


def open_tag_file(path: str | os.PathLike[str]) -> TagFile:
    """Open a tag file of any registered kind and read its header.

    Raises TagFileError with file, byte and cause. A format is anything that somebody installed, so whatever
    one raises before it has recognised the file must not stop the others.
    """
    place = Path(path)
    head = _read_head(place)
    if not head:
        raise HeaderCutShortError(place, None, "the file is empty")
    if not head.strip(b"\0"):
        cause = f"nothing but zeros in the first {len(head):,} bytes: space that was reserved and not filled"
        raise HeaderCutShortError(place, 0, cause)
    formats, failed = load_formats()
    failures = list(failed)
    if not formats:
        failures.append(f"no format is registered in {GROUP!r}, so photonstream is not installed completely")
    undecided = []
    for kind in formats:
        try:
            verdict = kind.sniff(head)
        except Exception as error:
            failures.append(f"the format {kind!r} could not look at the file: {error}")
            _log.warning(failures[-1])
            continue
        if verdict is Verdict.YES:
            return without_reserved(kind.open(place))
        if verdict is Verdict.MORE:
            undecided.append(kind.name)
    if undecided and len(head) < _HEAD_BYTES:
        cause = f"the file ends before its kind can be told; it may be {' or '.join(undecided)}"
        raise HeaderCutShortError(place, len(head), cause)
    cause = f"not a tag file that can be read here: it looks like {describe(head)}"
    raise TagFileError(place, 0, "; ".join([cause, *failures]))


@cache
def load_formats() -> tuple[tuple[TagFormat, ...], tuple[str, ...]]:
    """The registered formats, by name, and a sentence for each that could not be loaded.

    Looked for once: that takes longer than reading a header, and a file that grows is opened twice a second.
    """
    formats: list[TagFormat] = []
    failures: list[str] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            formats.append(entry.load()())
        except Exception as error:
            failures.append(f"the format {entry.name!r} ({entry.value}) could not be loaded: {error}")
            _log.warning(failures[-1])
    return tuple(formats), tuple(failures)


def describe(head: bytes) -> str:
    """What kind of file begins with these bytes, in a few words."""
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    start = head[:256]
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in start):
        return f"text, {start[:24].decode('ascii')!r}"
    return f"binary data starting with {start[:8].hex(' ')}"


def _read_head(path: Path) -> bytes:
    with open_raw(path) as file:
        try:
            return file.read(_HEAD_BYTES)
        except OSError as error:
            raise TagFileError(path, 0, f"cannot be read: {error}") from error
