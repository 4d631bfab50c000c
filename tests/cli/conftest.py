"""What tests of commands have in common."""

import numpy as np
import pytest

from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3


@pytest.fixture
def ended():
    """Takes processes: whatever a test leaves of them is ended."""
    started = []
    yield started.append
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def dark(tmp_path_factory):
    """A recording without a photon, for what does not depend on what is found: quickly read and drawn."""
    path = tmp_path_factory.mktemp("dark") / "dark.ptu"
    with PtuWriter(
        path, record_type=GENERIC_T3, macrotime_unit_s=2e-7, dtime_resolution_s=8e-11, sync_rate_hz=5e6
    ) as writer:
        writer.write(np.array([(1 << 31) | (63 << 25) | 1000] * 50, np.uint32))
    return path
