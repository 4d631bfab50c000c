"""What tests of nodes have in common."""

import numpy as np
import pytest

from tests.nodes.growing_file import Live


@pytest.fixture(scope="session")
def same():
    """Asserts that two values are equal to the last bit, whatever is nested in them."""
    return _same


def _same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            _same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            _same(x, y)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.fixture
def live(tmp_path):
    """A file that grows, followed."""
    return Live(tmp_path / "run.ptu")


@pytest.fixture(scope="module")
def quick_disk():
    """Does not wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield
