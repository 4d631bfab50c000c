"""eta behind an apparent beta, for a cascade of any number of excitons."""

import pytest

from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.inference.cascade_eta import Reading, eta_of_cascade, reading

PERIOD_S = 210.5e-9
IRF_FWHM_S = 0.1e-9


def read(eta, mean_n=0.1, **emitter):
    cascade = Cascade(46.8e-9, 3.6e-9, **emitter)
    return reading(cascade, mean_n, eta, PERIOD_S, IRF_FWHM_S, width_fitted=True)


def inverted(found, mean_n=0.1):
    return eta_of_cascade(found, mean_n, PERIOD_S, IRF_FWHM_S, s=4.0, quantum_yield_x=1.0, width_fitted=True)


@pytest.mark.parametrize(("max_excitons", "beta"), [(2, 0.295), (12, 0.326)])
def test_known_readings_of_the_355_nm_nanocrystal(max_excitons, beta):
    assert read(0.257, max_excitons=max_excitons).beta == pytest.approx(beta, abs=0.0015)


def test_two_levels_are_read_as_they_are():
    found = read(0.257, max_excitons=2)
    assert found.tau_x_s == pytest.approx(46.8e-9, rel=1e-4)
    assert found.tau_xx_s == pytest.approx(3.6e-9, rel=1e-4)


@pytest.mark.parametrize("eta", [-0.05, 0.0, 0.1, 0.257, 0.5])
@pytest.mark.parametrize("mean_n", [0.05, 0.1, 0.3])
def test_the_efficiency_is_found_from_what_is_read(eta, mean_n):
    # The cascade's own lifetimes are not known to the inversion: it has those that the fit reads.
    assert inverted(read(eta, mean_n), mean_n) == pytest.approx(eta, abs=2e-4)


def test_what_no_cascade_makes_has_no_efficiency():
    assert inverted(Reading(0.9, 46.8e-9, 3.6e-9), 1.0) is None
    assert inverted(Reading(0.3, 46.8e-9, 20e-9)) is None
