"""eta behind an apparent beta, for a cascade of any number of excitons."""

from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.inference import eta as eta_module
from photonstream.nodes.inference.cascade import Cascade
from photonstream.nodes.inference.cascade_eta import CASCADE, Reading, cascade_behind, reading
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import GaussianIrf

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


def test_a_live_fit_takes_the_shift_of_the_cascade_over_until_photons_are_twice_as_many(truth, monkeypatch):
    """What is given after the end is inverted from its own reading, to the last bit."""
    inversions = []

    def counted(*given, **named):
        inversions.append(given)
        return cascade_behind(*given, **named)

    monkeypatch.setattr(eta_module, "cascade_behind", counted)
    decay = truth(photons=20_000)
    rng = np.random.default_rng(7)
    options = FitOptions(irf=GaussianIrf(0.1e-9), intervals=False, mean_n=0.1)
    counts, start = decay.draw(rng), None
    for update in range(1, 11):
        data = DecayData(counts[None], decay.bin_s, decay.period_s)
        fit = fit_decay(data, options, cold=False, start=start)
        if update == 10:
            break
        start = fit.start
        counts = counts + decay.draw(rng)
    # At one, two, four and eight times the photons, or at one, three and six.
    found = len(inversions)
    assert found in (3, 4)
    own = fit_decay(data, options, cold=False, start=replace(start, shift=None))
    assert len(inversions) == found + 1
    assert fit.eta == own.eta
    assert fit.eta_models[CASCADE] == pytest.approx(own.eta_models[CASCADE], abs=0.1 * fit.eta.stderr)
    # Another <N> is another shift.
    other = fit_decay(data, replace(options, mean_n=0.3), cold=False, start=start)
    assert len(inversions) == found + 2
    assert other.eta_models[CASCADE] < fit.eta_models[CASCADE] - 0.05
    cold = fit_decay(data, options, start=start)
    alone = fit_decay(data, options)
    assert cold.eta_models == alone.eta_models
    assert len(inversions) == found + 4
