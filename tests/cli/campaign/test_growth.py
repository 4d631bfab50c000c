"""A recording that is copied in random pieces: the copy is never complete too early, and equal at the end."""

import numpy as np
import pytest

from photonstream.cli.campaign.growth import Growth
from photonstream.nodes.drivers.base import DeviceFacts
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.recording_events import events_path
from photonstream.nodes.recording_file import RecordingFile

PIECE = 10_000


@pytest.mark.parametrize("seed", range(3))
def test_it_grows_in_every_way_and_comes_to_the_same(tmp_path, seed):
    source, target = tmp_path / "recorded.ptu", tmp_path / "run.ptu"
    growth = Growth(source, target, seed)
    facts = DeviceFacts(GENERIC_T3, 1e-6, 1e-10, 1e6, 2, "a test", "1")
    assert not growth.step()
    file = RecordingFile(source, facts)
    sizes, counts = [], set()

    def step():
        over = growth.step()
        sizes.append(target.stat().st_size)
        try:
            copy = open_tag_file(target)
        except TagFileError:
            return over
        counts.add(copy.declared_records)
        assert copy.complete is over
        return over

    for k in range(10):
        file.say("note", f"piece {k}")
        file.write(np.arange(k * PIECE, (k + 1) * PIECE, dtype=np.uint32))
        file.settle(k)
        for _ in range(30):
            assert not step()
    file.say("stop", "It ends.")
    file.close(10.0)
    while not step():
        pass
    assert target.read_bytes() == source.read_bytes()
    assert events_path(target).read_bytes() == events_path(source).read_bytes()
    header = open_tag_file(source).data_offset
    assert sum(size < header for size in sizes) > 2
    assert {(size - header) % 4 for size in sizes if size > header} == {0, 1, 2, 3}
    assert len(counts) > 2
