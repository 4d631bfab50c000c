"""The grid of a validation: kinds of nanocrystals and measurements, each with its truth and its physical limit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from photonstream.nodes.inference.beta import apparent_beta, beta_from_amplitudes, eta_from_beta
from photonstream.nodes.inference.cascade import Cascade, expected_decay
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_model import bin_shares
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.irf import FWHM_PER_SIGMA
from photonstream.nodes.inference.refit import beta_of, refit_of
from photonstream.nodes.simulate.parameters import Detector, SimulationParameters
from photonstream.nodes.simulate.presets import BLINKING
from photonstream.stream.node import ParameterError

TAU_X_S, TAU_XX_S = 46.8e-9, 3.6e-9
REPETITION_HZ, MEAN_N = 4.75e6, 0.1
# So many photons tell the limit itself without noise.
_MANY = 1e9
# What a beta is called that the claim of two components is judged by: more than so many of its standard errors.
CLEAR_SIGMA = 5.0


@dataclass(frozen=True)
class Cell:
    """One kind of measurement.

    ``beta``: share of the excited pulses that hold a biexciton, in the two-level world where the formula of beta is
    exact; ``photons`` of the neutral state on average; ``background``: as a share of that state's rate ``rate_hz``,
    which is its mean where the brightness changes by ``drift`` of its first value until the end.
    """

    beta: float
    photons: float
    blinking: str = "none"
    irf_fwhm_s: float = 0.1e-9
    background: float = 0.01
    rate_hz: float = 30e3
    drift: float = 0.0

    def parameters(self, seed: int) -> SimulationParameters:
        """The simulation of one nanocrystal. Raises ParameterError for what cannot be."""
        if self.blinking not in BLINKING:
            raise ParameterError(f"there is no blinking {self.blinking!r}; there are {', '.join(BLINKING)}")
        for name in ("photons", "rate_hz", "irf_fwhm_s"):
            if not (getattr(self, name) > 0.0 and math.isfinite(getattr(self, name))):
                raise ParameterError(f"{name} of a cell must be positive, not {getattr(self, name):g}")
        if not -1.0 < self.drift < math.inf:
            raise ParameterError(f"a drift of {self.drift:g} leaves nothing to measure: it must be above -1")
        blinking = BLINKING[self.blinking]
        flat_hz = 0.5 * self.background * self.rate_hz
        found = SimulationParameters(
            REPETITION_HZ,
            self.mean_n,
            self._cm_efficiency(),
            self._emitter(),
            blinking,
            Detector(irf_fwhm_s=(self.irf_fwhm_s, self.irf_fwhm_s), background_hz=(flat_hz, flat_hz)),
            seed=seed,
        )
        neutral = 1.0
        if blinking is not None:
            on_s = blinking.dwell_neutral.expected_s()
            share = blinking.charged_share
            off_s = (
                share * blinking.dwell_charged.expected_s() + (1 - share) * blinking.dwell_dim.expected_s()
            )
            neutral = on_s / (on_s + off_s)
        duration_s = self.photons / (self.rate_hz * (1.0 + self.background) * neutral)
        first_hz = self.rate_hz / (1.0 + 0.5 * self.drift)
        return replace(at_rate(found, first_hz), duration_s=duration_s, drift=self.drift)

    @property
    def mean_n(self) -> float:
        """Photons absorbed per pulse: as usual, or where their pairs alone make a larger beta, so many that they do."""
        if self.beta <= 0.0 or self.beta >= apparent_beta(0.0, MEAN_N):
            return MEAN_N
        found: float = brentq(lambda n: apparent_beta(0.0, n) - self.beta, 1e-9, MEAN_N)
        return found

    def _emitter(self) -> Cascade:
        return Cascade(TAU_X_S, TAU_XX_S, max_excitons=2 if self.beta > 0.0 else 1)

    def _cm_efficiency(self) -> float:
        if self.beta == 0.0:
            return 0.0
        if not 0.0 <= self.beta <= 1.0:
            raise ParameterError(f"a beta of {self.beta:g} cannot be simulated: it is a share, from 0 to 1")
        return max(0.0, eta_from_beta(self.beta, self.mean_n))

    @property
    def truth(self) -> float:
        """beta that the decay truly shows: excitons left over from earlier pulses included."""
        if self.beta == 0.0:
            return 0.0
        _, (a_x, a_xx) = expected_decay(
            self._emitter(), self.mean_n, self._cm_efficiency(), 1.0 / REPETITION_HZ
        )
        return beta_from_amplitudes(float(a_xx / a_x), TAU_X_S, TAU_XX_S)

    def limit(self) -> float:
        """Cramér-Rao bound of beta for one photon: over the root of the photons it is that of a measurement.

        Of the model that is fitted: both lifetimes, beta, and of each of two equal channels photons, background, t0 and
        width. NaN where beta is 0: the second component is not there.
        """
        if self.beta == 0.0:
            return math.nan
        rates, amplitudes = expected_decay(
            self._emitter(), self.mean_n, self._cm_efficiency(), 1.0 / REPETITION_HZ
        )
        parts = amplitudes / rates
        detector = self.parameters(1).detector
        bin_s, period_s = 80e-12, 1.0 / REPETITION_HZ
        edges_s = np.minimum(np.arange(math.ceil(period_s / bin_s) + 1) * bin_s, period_s)
        counts = np.empty((2, edges_s.size - 1))
        for channel, t0_s in enumerate(detector.t0_s):
            sigma_s = self.irf_fwhm_s / FWHM_PER_SIGMA
            shares = sum(
                part / parts.sum() * bin_shares(edges_s, period_s, t0_s, 1.0 / float(rate), sigma_s=sigma_s)
                for part, rate in zip(parts, rates, strict=True)
            )
            flat = self.background / (1.0 + self.background)
            counts[channel] = 0.5 * _MANY * ((1.0 - flat) * shares + flat * np.diff(edges_s) / period_s)
        data = DecayData(np.rint(counts).astype(np.int64), bin_s, period_s)
        options = FitOptions(intervals=False)
        fit = fit_decay(data, options)
        stderr = None
        if fit.start is not None:
            # Whatever may be claimed: with a wide response nothing is, and the limit is there all the same.
            stderr = beta_of(refit_of(data, options, fit), options.s, intervals=False).stderr
        if stderr is None:
            raise ParameterError(f"{self}: there is nothing to validate: {fit.beta_reason}")
        return stderr * math.sqrt(_MANY)

    def __str__(self) -> str:
        return (
            f"beta {self.beta:g}, {self.photons:g} photons at {self.rate_hz / 1e3:g} kcps, blinking {self.blinking}, "
            f"IRF {self.irf_fwhm_s * 1e9:g} ns, background {100 * self.background:g} %"
            + (f", drift {100 * self.drift:+g} %" if self.drift else "")
        )


def grid(
    betas: Sequence[float],
    photons: Sequence[float],
    blinking: Sequence[str],
    irf_fwhm_s: Sequence[float],
    background: Sequence[float],
    rate_hz: Sequence[float],
    drift: Sequence[float] = (0.0,),
) -> list[Cell]:
    """Every combination, each checked. Raises ParameterError for one that cannot be."""
    cells = [
        Cell(*each)
        for each in itertools.product(betas, photons, blinking, irf_fwhm_s, background, rate_hz, drift)
    ]
    for cell in cells:
        cell.parameters(1)
        cell.limit()
    return cells


def seeds(count: int, first: int = 1) -> Iterable[int]:
    """Seeds of the nanocrystals of a cell."""
    return range(first, first + count)


def neutral_rate_hz(parameters: SimulationParameters) -> float:
    """Rate of detected photons of the neutral state, without background."""
    rates, amplitudes = expected_decay(
        parameters.emitter, parameters.mean_n, parameters.cm_efficiency, parameters.period_s
    )
    photons = float((amplitudes / rates).sum())
    arms = parameters.detector.beam_splitter
    efficiency = (1.0 - arms) * parameters.detector.efficiency[0] + arms * parameters.detector.efficiency[1]
    return photons * parameters.repetition_rate_hz * efficiency


def at_rate(parameters: SimulationParameters, rate_hz: float) -> SimulationParameters:
    """The same with detectors so efficient that the neutral state gives ``rate_hz``.

    Raises ParameterError for more photons than the emitter makes.
    """
    perfect = replace(parameters.detector, efficiency=(1.0, 1.0))
    most_hz = neutral_rate_hz(replace(parameters, detector=perfect))
    each = rate_hz / most_hz
    if each > 1.0:
        raise ParameterError(f"a rate of {rate_hz:g} 1/s is more than the emitter makes ({most_hz:.3g} 1/s)")
    return replace(parameters, detector=replace(parameters.detector, efficiency=(each, each)))
