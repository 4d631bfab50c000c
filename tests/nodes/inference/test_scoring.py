"""The inverse of an information, against numpy's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.inference.scoring import inverse


def information(seed, size, spread=3.0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, 3 * size))
    scale = 10.0 ** rng.uniform(-spread, spread, size)
    return root @ root.T * np.outer(scale, scale)


@given(st.integers(0, 2**32 - 1), st.integers(1, 13))
def test_the_chosen_part_is_inverted_and_the_rest_is_zero(seed, size):
    given_ = information(seed, size)
    chosen = np.random.default_rng(seed).random(size) < 0.7
    found = inverse(given_, chosen)
    index = np.flatnonzero(chosen)
    part = np.ix_(index, index)
    assert np.count_nonzero(found) == index.size**2
    scale = np.sqrt(np.diag(given_)[index])
    product = found[part] @ given_[part] * np.outer(scale, 1.0 / scale)
    np.testing.assert_allclose(product, np.eye(index.size), atol=1e-8)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("alike", [0.0, 1e-6, 1e-8])
def test_what_is_told_only_together_has_the_error_of_that(alike):
    """Two parameters that are nearly one, by numpy's pseudo-inverse of the form that has no units."""
    one = information(5, 4)
    scale = np.sqrt(np.diag(one))
    unit = one / np.outer(scale, scale)
    both = np.zeros((5, 5))
    both[:4, :4] = unit
    both[4, :4] = both[:4, 4] = unit[3]
    both[4, 4] = 1.0
    both[3, 4] = both[4, 3] = 1.0 - alike
    found = inverse(both, np.ones(5, bool))
    expected = np.linalg.pinv(both, rcond=1e-13, hermitian=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_parameter_that_nothing_tells_has_no_error():
    given_ = information(3, 4)
    given_[2] = given_[:, 2] = 0.0
    found = inverse(given_, np.ones(4, bool))
    assert np.all(found[2] == 0.0)
    assert np.all(np.diag(found)[[0, 1, 3]] > 0.0)
