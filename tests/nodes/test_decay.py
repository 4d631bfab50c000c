"""The decay's rows on the way: told again where a photon came, and only there, for a fit follows each time."""

import numpy as np
import pytest

from photonstream.nodes.decay import Decay, DecayParameters
from photonstream.stream.chunk import Chunk, StreamInfo
from photonstream.stream.node import Opening


@pytest.fixture
def decay():
    made = Decay("decay", DecayParameters())
    made.open(
        Opening(
            StreamInfo("made", "here", "T3", 2e-7, 1e-9, 5e6, 1, 1),
            {"pulse_period_s": 2e-7, "dtime_range": 1 << 15},
        )
    )
    return made


def one_bin(sequence, photons):
    """The chunk of one bin with so many photons of channel 0."""
    columns = {
        "macrotime": np.full(photons, 10 * sequence, np.uint64),
        "dtime": np.full(photons, 5, np.uint16),
        "channel": np.zeros(photons, np.uint8),
        "label": np.array([4 * photons], np.int64),
        "offsets": np.array([0, photons], np.int64),
        "counts": np.array([[photons]], np.int64),
        "timed": np.array([photons], np.int64),
    }
    return Chunk(sequence, 10 * sequence, 10 * sequence + 10, photons, columns)


def test_rows_are_told_again_where_a_photon_came_and_at_the_end(decay):
    told = []
    for sequence, photons in enumerate([0, 0, 2, 0, 0, 1, 0]):
        list(decay.fold(one_bin(sequence, photons)))
        told.append([result.value["counts"].sum() for result in decay.snapshot(final=False)])
    assert told == [[0], [], [2], [], [], [3], []]
    [final] = decay.snapshot(final=True)
    assert final.final
    assert final.value["counts"].sum() == 3
