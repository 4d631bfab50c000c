"""eta behind an apparent beta, for a cascade of any number of excitons."""

import pytest

from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.inference.cascade_eta import Reading, cascade_behind, reading

PERIOD_S = 210.5e-9
IRF_FWHM_S = 0.1e-9


def read(eta, mean_n=0.1, **emitter):
    cascade = Cascade(46.8e-9, 3.6e-9, **emitter)
    return reading(cascade, mean_n, eta, PERIOD_S, IRF_FWHM_S, width_fitted=True)


def inverted(found, mean_n=0.1):
    return cascade_behind(found, mean_n, PERIOD_S, IRF_FWHM_S, s=4.0, quantum_yield_x=1.0, width_fitted=True)


@pytest.mark.parametrize(("max_excitons", "beta"), [(2, 0.295), (12, 0.326)])
def test_known_readings_of_the_355_nm_nanocrystal(max_excitons, beta):
    assert read(0.257, max_excitons=max_excitons).beta == pytest.approx(beta, abs=0.0015)


def test_two_levels_are_read_as_they_are():
    found = read(0.257, max_excitons=2)
    assert found.tau_x_s == pytest.approx(46.8e-9, rel=1e-4)
    assert found.tau_xx_s == pytest.approx(3.6e-9, rel=1e-4)


@pytest.mark.parametrize("eta", [-0.05, 0.0, 0.1, 0.257, 0.5])
@pytest.mark.parametrize("mean_n", [0.05, 0.1, 0.3, 0.49, 0.5, 0.7, 1.0])
def test_the_emitter_is_found_from_what_is_read(eta, mean_n):
    # The cascade's own lifetimes are not known to the inversion: it has those that the fit reads.
    found = read(eta, mean_n)
    if not 0.0 < found.beta < 1.0:
        pytest.skip("a fit claims no beta outside of 0 to 1")
    behind = inverted(found, mean_n)
    assert behind.reason == ""
    assert behind.eta == pytest.approx(eta, abs=2e-4)
    assert behind.cascade.tau_xx_s == pytest.approx(3.6e-9, rel=1e-3)


def test_what_no_cascade_makes_has_no_efficiency_but_a_reason():
    behind = inverted(Reading(0.3, 46.8e-9, 20e-9))
    assert (behind.eta, behind.cascade) == (None, None)
    assert "tau_xx cannot be above tau_x / (s Q_x) = 11.7 ns" in behind.reason
    behind = inverted(Reading(-0.1, 46.8e-9, 3.6e-9), 1.0)
    assert (behind.eta, behind.reason) == (None, "no such cascade is read as this decay")
