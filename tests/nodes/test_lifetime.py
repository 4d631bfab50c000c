"""Parameters of the lifetime node."""

import pytest

from photonstream.nodes.lifetime import LifetimeParameters


@pytest.mark.parametrize("stderr", [-1.0, float("nan"), float("inf")])
def test_an_error_of_mean_n_that_cannot_be_is_refused_by_its_name(stderr):
    with pytest.raises(ValueError, match=f"^mean_n_stderr is {stderr}: "):
        LifetimeParameters(mean_n=0.1, mean_n_stderr=stderr)


def test_the_error_of_mean_n_is_30_percent_unless_it_is_given():
    assert LifetimeParameters(mean_n=0.1).options().mean_n_relative_error == 0.3
    assert LifetimeParameters(mean_n=0.1, mean_n_stderr=0.0).options().mean_n_relative_error == 0.0
    assert LifetimeParameters(
        mean_n=0.1, mean_n_stderr=0.02
    ).options().mean_n_relative_error == pytest.approx(0.2)
