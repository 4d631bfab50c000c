"""A file that is followed and becomes another one: shorter, replaced, deleted, or with another header."""

import os

import numpy as np
import pytest

from photonstream.nodes.formats.base import TagFileError
from tests.nodes.growing_file import HEADER_BYTES, PERIOD_S, header, words


def test_a_file_that_became_shorter_is_another_run_of_data(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.begin()
    live.run(1.0)
    os.truncate(live.path, HEADER_BYTES + 4 * 99)
    assert live.run(0.1)
    assert live.source.renewed
    assert live.source.choice(final=True) == 2
    live.again()
    live.run(1.0)
    np.testing.assert_array_equal(live.records, words(99))
    assert not live.source.renewed
    note = "the file became shorter: it holds 99 records, 100 were read: what follows is another run of data"
    assert any(note in each for each in live.results(final=False)["progress"]["notes"])


@pytest.mark.parametrize(
    "how", ["replaced", "cut to nothing", "deleted and written anew", "overwritten in place"]
)
def test_another_recording_is_read_from_its_start(live, how):
    live.path.write_bytes(header(guid="{A}"))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    new = header(guid="{B}", period_s=2 * PERIOD_S)
    if how == "replaced":
        other = live.path.with_suffix(".new")
        other.write_bytes(new[:100])
        other.replace(live.path)
    elif how == "cut to nothing":
        os.truncate(live.path, 0)
    elif how == "deleted and written anew":
        # What is held keeps its number on the disk, so the new one has another.
        live.path.unlink()
        live.run(1.0)
        live.path.write_bytes(new[:100])
    else:
        live.patch(new)
    if how != "overwritten in place":
        assert not live.run(3.0)
        assert "waiting for the" in live.results(final=False)["progress"]["says"]
        # Not a word of the new one was taken for one of the old.
        np.testing.assert_array_equal(live.records, words(100))
        live.path.write_bytes(new) if how == "cut to nothing" else live.append(new[100:])
        live.append(words(30, 500))
    assert live.run(1.0)
    live.again()
    assert live.source.begin().info.macrotime_unit_s == 2 * PERIOD_S
    live.run(1.0)
    expected = words(100) if how == "overwritten in place" else words(30, 500)
    np.testing.assert_array_equal(live.records, expected)


@pytest.mark.parametrize("count", [100, 160], ids=["as long as it was", "longer"])
def test_a_file_that_is_cut_and_refilled_between_two_looks_is_another_run_of_data(live, count):
    """With the same header, or one that names nothing: only the records tell."""
    live.path.write_bytes(header(guid=None))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    before = live.path.stat()
    live.path.write_bytes(header(guid=None) + words(count, 500).tobytes())
    # However coarse the times of the disk are.
    os.utime(live.path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert live.run(1.0)
    # Not a word of the new one was taken for one of the old.
    np.testing.assert_array_equal(live.records, words(100))
    assert live.source.renewed
    live.again()
    live.run(1.0)
    np.testing.assert_array_equal(live.records, words(count, 500))
    notes = live.results(final=False)["progress"]["notes"]
    assert any("the last of the 100 records that were read are others" in note for note in notes)


def test_a_file_that_is_cut_and_not_written_again_ends_with_what_was_read(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.begin()
    live.run(1.0)
    os.truncate(live.path, 0)
    assert live.run(10.1)
    assert not live.source.renewed
    said = live.recording()
    assert (said["records_read"], said["complete"], said["sha256"]) == (100, False, None)
    assert any("nothing came after that" in note for note in said["notes"])
    # Whatever is there now is not what was read.
    assert not live.source.repeatable
    live.append(words(4000))
    with pytest.raises(TagFileError, match="the 100 records that were read are not there any more"):
        live.again()


def test_a_file_that_is_replaced_by_something_else_ends_with_what_was_read(live):
    live.path.write_bytes(header())
    live.append(words(100))
    live.begin()
    live.run(1.0)
    other = live.path.with_suffix(".txt")
    other.write_text("nothing that could be a recording")
    other.replace(live.path)
    assert live.run(1.0)
    assert any("no recording: not a tag file" in note for note in live.recording()["notes"])
    # The old one is still held, and can be read again.
    live.again()
    assert live.run(1.0)
    np.testing.assert_array_equal(live.records, words(100))


def test_a_deleted_file_is_read_on_and_ends_by_silence(live):
    live.path.write_bytes(header(complete=None))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    with live.path.open("ab") as writer:
        live.path.unlink()
        writer.write(words(20, 100).tobytes())
    live.run(5.0)
    assert "not there any more; no data for" in live.results(final=False)["progress"]["says"]
    assert live.run(10.0)
    np.testing.assert_array_equal(live.records, words(120))
    said = live.recording()
    assert said["complete"]
    assert any("was deleted or moved after 120 records" in note for note in said["notes"])


def test_a_header_that_changes_its_physics_at_the_end_is_read_again(live):
    live.path.write_bytes(header(complete=None))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    live.patch(header(100, complete=None, period_s=3e-6))
    assert live.run()
    assert live.source.renewed
    live.again()
    assert live.run(0.001)
    assert not live.source.renewed
    assert len(live.records) == 100
    assert live.recording()["macrotime_unit_s"] == 3e-6
    assert any("macrotime unit 1e-06 s to 3e-06 s" in note for note in live.recording()["notes"])


def test_a_header_that_changes_anything_else_at_the_end_is_taken_as_it_is(live):
    live.path.write_bytes(header(complete=None, File_Comment="abcdefg"))
    live.append(words(100))
    live.begin()
    live.run(1.0)
    live.patch(header(100, complete=None, File_Comment="gfedcba"))
    assert live.run()
    assert not live.source.renewed
    assert live.recording()["comment"] == "gfedcba"
    assert live.recording()["notes"] == []
