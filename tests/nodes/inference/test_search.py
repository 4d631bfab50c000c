"""How the best fit is sought."""

import numpy as np
import pytest

from photonstream.nodes.inference import search
from photonstream.nodes.inference.decay_data import DecayData, FitOptions


@pytest.mark.parametrize(
    ("photons", "beta", "fwhm_ns", "tau_xx_ns"),
    [(20_000, 0.0, 0.1, 3.6), (20_000, 0.05, 0.1, 3.6), (100_000, 0.1, 0.5, 3.6), (100_000, 0.3, 0.1, 9.0)],
)
def test_a_second_component_that_grows_out_of_one_is_the_best_of_many_starts(
    truth, photons, beta, fwhm_ns, tau_xx_ns
):
    decay = truth(photons=photons, beta=beta, fwhm_s=fwhm_ns * 1e-9, tau_xx_s=tau_xx_ns * 1e-9)
    options = FitOptions()
    for seed in range(8):
        counts = decay.draw(np.random.default_rng(seed))[None]
        likelihood = search.likelihood_of(DecayData(counts, decay.bin_s, decay.period_s), options, [0])
        single = search.fit_channel(likelihood, options)
        box = search.box_of(likelihood, options, single.theta)
        double_box = search.double_box(likelihood, box, single.theta, decay.fwhm_s)
        many = search.fit_double(likelihood, double_box, single)
        grown = search.add_fast(likelihood, box, double_box, single)
        assert grown.half_deviance <= single.half_deviance + 1e-9
        assert grown.half_deviance <= many.half_deviance + 0.05, seed
