"""Any file: told by content, or refused with one clear sentence."""

import logging
import os
import struct
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from photonstream.nodes import formats
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import HeaderCutShortError, TagFile, TagFileError, Verdict
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.stream.chunk import StreamInfo


def tag(name, kind, value):
    return struct.pack("<32siI", name, -1, kind) + value


PTU = (
    b"PQTTTR\0\0001.0.00\0\0"
    + tag(b"TTResultFormat_TTTRRecType", 0x10000008, struct.pack("<q", 0x00010307))
    + tag(b"MeasDesc_GlobalResolution", 0x20000008, struct.pack("<d", 2e-7))
    + tag(b"MeasDesc_Resolution", 0x20000008, struct.pack("<d", 1e-11))
    + tag(b"Header_End", 0xFFFF0008, bytes(8))
)


class OwnFormat:
    """What a third party may add: four bytes of magic, then records."""

    name = "own"

    def sniff(self, head: bytes) -> Verdict:
        return Verdict.YES if head.startswith(b"OWN!") else Verdict.NO

    def open(self, path: Path) -> TagFile:
        info = StreamInfo("own", GENERIC_T3.name, "T3", 1e-7, 1e-11, 1e7, 1, 2)
        return TagFile(path, info, GENERIC_T3, (), {}, 4, None, 0)


@pytest.fixture
def registered(monkeypatch):
    def register(*entries):
        monkeypatch.setattr(formats, "entry_points", lambda group: entries)
        formats.load_formats.cache_clear()

    yield register
    formats.load_formats.cache_clear()


@pytest.fixture
def also_registered(registered):
    return lambda *extra: registered(*formats.entry_points(group=formats.GROUP), *extra)


@pytest.mark.parametrize("name", ["a.ptu", "a.timeres", "a.spc", "no_ending"])
def test_the_name_says_nothing(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(PTU)
    assert open_tag_file(path).info.record_type == "Generic T3"
    assert open_tag_file(str(path)).path == path


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "the file is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        (b"PQHISTO\0" + PTU[8:], r"histogram \(PHU\)"),
        (b"PQCHECK\0", "another kind of PicoQuant file"),
        (b"TimeHarp 200\0\0\0\0", "TimeHarp 200"),
        (b"time,counts\n1,2\n", "text, 'time,counts"),
        (bytes(range(200, 250)), "binary data starting with c8 c9"),
    ],
)
def test_other_files_are_named(tmp_path, content, cause):
    path = tmp_path / "file.ptu"
    path.write_bytes(content)
    with pytest.raises(TagFileError, match=cause) as caught:
        open_tag_file(path)
    assert caught.value.offset == (0 if content else None)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(TagFileError, match=r"none.ptu: there is no such file$"):
        open_tag_file(tmp_path / "none.ptu")
    with pytest.raises(TagFileError, match="this is a directory"):
        open_tag_file(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TagFileError, match="not a regular file"):
        open_tag_file(tmp_path / "pipe")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path):
    path = tmp_path / "secret.ptu"
    path.write_bytes(PTU)
    path.chmod(0)
    with pytest.raises(TagFileError, match="no permission"):
        open_tag_file(path)


def test_cut_anywhere_in_its_header_it_is_cut_short(tmp_path):
    path = tmp_path / "cut.ptu"
    for length in [*range(1, 20), 64, 65, len(PTU) - 1]:
        path.write_bytes(PTU[:length])
        with pytest.raises(HeaderCutShortError):
            open_tag_file(path)


def test_a_format_from_elsewhere(tmp_path, also_registered, monkeypatch):
    also_registered(EntryPoint("own", f"{__name__}:OwnFormat", formats.GROUP))
    monkeypatch.setattr(EntryPoint, "load", _load_own(EntryPoint.load))
    (tmp_path / "own").write_bytes(b"OWN!1234")
    assert open_tag_file(tmp_path / "own").info.format == "own"


def _load_own(load):
    return lambda entry: OwnFormat if entry.name == "own" else load(entry)


def test_a_format_that_fails_at_a_look_stops_no_other(tmp_path, also_registered, monkeypatch):
    also_registered(EntryPoint("own", f"{__name__}:OwnFormat", formats.GROUP))
    monkeypatch.setattr(EntryPoint, "load", _load_own(EntryPoint.load))
    monkeypatch.setattr(OwnFormat, "sniff", lambda self, head: head[10**6])
    (tmp_path / "a").write_bytes(PTU)
    assert open_tag_file(tmp_path / "a").info.mode == "T3"
    (tmp_path / "b").write_bytes(b"something else")
    with pytest.raises(TagFileError, match="could not look at the file: index out of range"):
        open_tag_file(tmp_path / "b")


def test_a_broken_format_stops_no_other_and_is_reported(tmp_path, also_registered, caplog):
    also_registered(EntryPoint("broken", "no_such_module_anywhere:Format", formats.GROUP))
    (tmp_path / "a").write_bytes(PTU)
    with caplog.at_level(logging.WARNING):
        assert open_tag_file(tmp_path / "a").info.mode == "T3"
    assert "broken" in caplog.text
    (tmp_path / "b").write_bytes(b"something else")
    with pytest.raises(TagFileError, match=r"'broken' .*could not be loaded: .*no_such_module_anywhere"):
        open_tag_file(tmp_path / "b")


def test_without_any_format_the_installation_is_blamed(tmp_path, registered):
    registered()
    (tmp_path / "a").write_bytes(PTU)
    with pytest.raises(TagFileError, match="not installed completely"):
        open_tag_file(tmp_path / "a")


def test_what_is_installed_is_looked_for_once(tmp_path, also_registered, monkeypatch):
    also_registered()
    (tmp_path / "a").write_bytes(PTU)
    open_tag_file(tmp_path / "a")
    monkeypatch.setattr(formats, "entry_points", None)
    assert open_tag_file(tmp_path / "a").info.mode == "T3"
