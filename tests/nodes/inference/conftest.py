"""Decays drawn photon by photon: exponential delay plus normal jitter, modulo the period."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from photonstream.nodes.inference.cascade import Cascade, expected_decay

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True)
class Truth:
    photons: int = 100_000
    beta: float = 0.257
    tau_x_s: float = 46.8e-9
    tau_xx_s: float = 3.6e-9
    s: float = 4.0
    share_xx: float | None = None
    background: float = 0.01
    t0_s: float = 20.03e-9
    fwhm_s: float = 0.1e-9
    tail_share: float = 0.0
    tail_s: float = 0.3e-9
    period_s: float = 210.5e-9
    bin_s: float = 80e-12

    @property
    def photon_share_xx(self) -> float:
        """From the populations: beta decays of the biexciton at radiative rate s, one exciton decay each."""
        if self.share_xx is not None:
            return self.share_xx
        a_x = 1.0 + self.beta * self.tau_xx_s / (self.tau_x_s - self.tau_xx_s)
        a_xx = self.beta * (self.s - self.tau_x_s / (self.tau_x_s - self.tau_xx_s))
        return a_xx * self.tau_xx_s / (a_x * self.tau_x_s + a_xx * self.tau_xx_s)

    @property
    def bins(self) -> int:
        return math.ceil(self.period_s / self.bin_s)

    def jitter(self, photons: int, rng: np.random.Generator) -> np.ndarray:
        late = rng.random(photons) < self.tail_share
        gauss = rng.normal(0.0, self.fwhm_s / FWHM_PER_SIGMA, photons)
        return gauss + np.where(late, rng.exponential(self.tail_s, photons), 0.0)

    def histogram(self, times_s: np.ndarray) -> np.ndarray:
        index = np.floor(times_s % self.period_s / self.bin_s).astype(np.int64)
        return np.bincount(np.minimum(index, self.bins - 1), minlength=self.bins)

    def expected(self) -> np.ndarray:
        """Expected counts in each bin, by summing the exponentials of a fine grid of instrument delays."""
        offsets = np.linspace(-6.0, 6.0, 601)
        weights = np.exp(-0.5 * offsets**2)
        edges_s = np.minimum(np.arange(self.bins + 1) * self.bin_s, self.period_s)
        total = np.zeros(self.bins)
        q = self.photon_share_xx
        for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
            u = edges_s - self.t0_s - offset * self.fwhm_s / FWHM_PER_SIGMA
            turns = np.floor(u / self.period_s)
            within = u - turns * self.period_s
            for share, tau_s in ((1.0 - q, self.tau_x_s), (q, self.tau_xx_s)):
                full = -math.expm1(-self.period_s / tau_s)
                total += weight * share * np.diff(turns - np.expm1(-within / tau_s) / full)
        flat = np.diff(edges_s) / self.period_s
        return self.photons * ((1.0 - self.background) * total + self.background * flat)

    def expected_of(self, cascade: Cascade, mean_n: float, eta: float) -> np.ndarray:
        """Expected counts where any number of excitons decays, each step by an exponential of its own."""
        rates_hz, amplitudes_hz = expected_decay(cascade, mean_n, eta, self.period_s)
        photons = amplitudes_hz / rates_hz
        total = np.zeros(self.bins)
        for rate_hz, share in zip(rates_hz, photons / photons.sum(), strict=True):
            if share > 1e-7:
                total += share * replace(self, share_xx=0.0, tau_x_s=1.0 / rate_hz).expected()
        return total

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        photons = int(rng.poisson(self.photons))
        flat = int(rng.binomial(photons, self.background))
        signal = photons - flat
        tau_s = np.where(rng.random(signal) < self.photon_share_xx, self.tau_xx_s, self.tau_x_s)
        delays_s = rng.exponential(1.0, signal) * tau_s + self.t0_s + self.jitter(signal, rng)
        return self.histogram(np.concatenate([delays_s, rng.random(flat) * self.period_s]))


@pytest.fixture(scope="session")
def truth() -> Callable[..., Truth]:
    """Makes the description of a simulated decay; the defaults are the 355 nm nanocrystal."""
    return Truth
