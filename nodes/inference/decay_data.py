"""What a fit is given: the histograms of the selected photons, and how to fit them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_model import MAX_SIGMA_PER_PERIOD, Floats
from photonstream.nodes.inference.detector import AFTERPULSE_S, Detector
from photonstream.nodes.inference.irf import FWHM_PER_SIGMA, GaussianIrf, MeasuredIrf
from photonstream.nodes.inference.tail import FittedTail, TailedIrf

# Two delays after the pulse in seconds, the later one perhaps infinite.
Span = tuple[float, float]
# The response as a person may give it.
Irf = GaussianIrf | TailedIrf | FittedTail | MeasuredIrf
MAX_FIT_BINS = 4096
# More absorbed photons per pulse no experiment on one emitter has, and exp(<N>) stays a number.
MEAN_N_MOST = 20.0


@dataclass(frozen=True, eq=False)
class DecayData:
    """Counts of the selected photons by channel and dtime bin, int64 ``(channels, bins)``.

    Bin b covers ``[b, b + 1) * bin_width_s`` after the sync. ``pulse_period_s`` need not be a multiple of the bin
    width: the bin in which the period ends is fitted as the part of a bin that it is, later bins are left out and
    their photons counted in ``photons_outside``. Bins may also end before the period does. ``pulses``: laser pulses
    in the time of the selected photons, dark ones included; only the corrections for dead time and pile-up need it.
    ``channels`` numbers the rows (empty: 0, 1, ...).
    Raises ValueError for counts that are no counts, widths that are not positive, or other than as many numbers.
    """

    counts: NDArray[np.int64]
    bin_width_s: float
    pulse_period_s: float
    pulses: float | None = None
    channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or self.counts.shape[0] < 1 or self.counts.dtype.kind not in "iu":
            raise ValueError("decay counts are integers of shape (channels, bins)")
        if self.counts.size and int(self.counts.min()) < 0:
            raise ValueError("decay counts cannot be negative")
        for name in ("bin_width_s", "pulse_period_s"):
            value = getattr(self, name)
            if not (value > 0.0 and math.isfinite(value)):
                raise ValueError(f"{name} is {value}: not a positive time")
        if self.pulses is not None and not (self.pulses > 0.0 and math.isfinite(self.pulses)):
            raise ValueError(f"pulses is {self.pulses}: not a positive number")
        if len(self.numbers) != self.counts.shape[0] or len(set(self.numbers)) != len(self.numbers):
            raise ValueError(
                f"{self.counts.shape[0]} rows of decay counts cannot be channels {self.channels}"
            )

    @property
    def numbers(self) -> tuple[int, ...]:
        """The channel of each row."""
        return self.channels or tuple(range(self.counts.shape[0]))

    @property
    def bins_in_period(self) -> int:
        """Number of bins that begin before the next pulse; the last one may be cut by it."""
        return min(int(self.counts.shape[1]), math.ceil(self.pulse_period_s / self.bin_width_s - 1e-6))

    @property
    def photons(self) -> int:
        """Photons in the bins of the period, all channels."""
        return int(self.counts[:, : self.bins_in_period].sum())

    @property
    def photons_outside(self) -> int:
        """Photons in bins that begin beyond the period; they are not fitted."""
        return int(self.counts[:, self.bins_in_period :].sum())

    def edges_s(self, starts: NDArray[np.int64] | None = None) -> Floats:
        """Edges of the bins joined from ``starts`` on (None: of all bins), the last one cut at the period."""
        bins = self.bins_in_period
        edges = np.append(np.arange(bins) if starts is None else starts, bins) * self.bin_width_s
        return np.minimum(edges, self.pulse_period_s)

    def joined(self, starts: NDArray[np.int64]) -> Floats:
        """Counts of the bins joined from ``starts`` on, float64 (channels, starts)."""
        return np.add.reduceat(self.counts[:, : self.bins_in_period], starts, axis=1).astype(np.float64)

    @property
    def fit_group(self) -> int:
        """How many bins the fit joins, so that at most 4096 are left.

        The model is integrated over each bin, so joining costs little until a bin is wider than the rising edge:
        4096 bins of a 210 ns period are 51 ps wide.
        """
        return max(1, math.ceil(self.bins_in_period / MAX_FIT_BINS))

    @property
    def fit_starts(self) -> NDArray[np.int64]:
        """Where the bins of the fit begin."""
        return np.arange(0, self.bins_in_period, self.fit_group)


# Who decides how many components there are: the data, or whoever asks for so many.
AUTOMATIC = "auto"
MODELS = (AUTOMATIC, "mono", "bi")


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit.

    ``irf`` None fits a Gaussian of unknown width to each channel (sigma from a twentieth of a fitted bin to a twentieth
    of the period), `tail.FittedTail` one with a tail. ``s``: radiative rate of the biexciton over that of the exciton.
    ``quantum_yield_x``: Q_x of the physical bound tau_xx <= tau_x/(s Q_x).
    ``intervals``: profile-likelihood intervals at a cold fit. ``assumed_tau_xx_s``: the fast lifetime at which a
    single exponential is given its signed beta and upper limit (default: the mean of 45 nanocrystals in the
    source paper, 3.9 ns). ``mean_n``: photons absorbed per pulse, for eta; ``mean_n_relative_error`` its relative
    standard error (0.3 unless the nanocrystal's own power series was measured).
    ``dead_time_s``, ``pile_up``, ``afterpulsing`` and ``afterpulse_s`` are the figures of `detector.Detector`; what
    is None (false) is not corrected. ``afterpulse_s`` alone, without ``afterpulsing``, is refused.
    ``excitation_nm`` is compared with the wavelength of a measured IRF. ``model``: "auto" lets the data decide between
    one and two components, "mono" and "bi" take one or two whatever they say. ``fit_range_s``: the delays that are
    fitted, from and to, on the axis of the decay's bins (None: the whole period).
    Raises ValueError for what cannot be.
    """

    irf: Irf | None = None
    s: float = 4.0
    quantum_yield_x: float = 1.0
    intervals: bool = True
    min_photons: int = 300
    mono_bi_threshold: float | None = None
    assumed_tau_xx_s: float = 3.9e-9
    mean_n: float | None = None
    mean_n_relative_error: float = 0.3
    dead_time_s: float | None = None
    afterpulsing: float | None = None
    afterpulse_s: float | None = None
    pile_up: bool = False
    excitation_nm: float | None = None
    model: str = AUTOMATIC
    fit_range_s: Span | None = None

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"the model is one of {', '.join(MODELS)}, not {self.model!r}")
        if self.fit_range_s is not None and not 0.0 <= self.fit_range_s[0] < self.fit_range_s[1]:
            low, high = self.fit_range_s
            raise ValueError(f"the fit range must rise from 0 or more, not from {low:g} s to {high:g} s")
        if self.excitation_nm is not None and not 0.0 < self.excitation_nm < math.inf:
            raise ValueError(f"excitation_nm is {self.excitation_nm}: not a wavelength")
        if self.afterpulse_s is not None and self.afterpulsing is None:
            raise ValueError("afterpulse_s was given without afterpulsing, the probability of an afterpulse")
        _ = self.detector
        if self.min_photons < 1:
            raise ValueError(f"min_photons is {self.min_photons}: a fit needs photons")
        for name in (
            "s",
            "quantum_yield_x",
            "mono_bi_threshold",
            "assumed_tau_xx_s",
            "mean_n_relative_error",
        ):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}: not a number that can be used")
        if not self.s > 1.0:
            raise ValueError(f"s is {self.s}: the biexciton must radiate faster than the exciton")
        if not 0.0 < self.quantum_yield_x <= 1.0:
            raise ValueError(f"quantum_yield_x is {self.quantum_yield_x}: not in (0, 1]")
        if not self.assumed_tau_xx_s > 0.0:
            raise ValueError(f"assumed_tau_xx_s is {self.assumed_tau_xx_s}: not a positive time")
        if self.mean_n is not None and not 0.0 < self.mean_n <= MEAN_N_MOST:
            raise ValueError(
                f"mean_n is {self.mean_n}: photons absorbed per pulse lie above 0 and up to {MEAN_N_MOST:g}"
            )
        if not self.mean_n_relative_error >= 0.0:
            raise ValueError(f"mean_n_relative_error is {self.mean_n_relative_error}: cannot be negative")

    @property
    def irf_fitted(self) -> bool:
        """Whether the width of the response is fitted."""
        return self.irf is None or isinstance(self.irf, FittedTail)

    @property
    def detector(self) -> Detector | None:
        """The figures to correct for; None where none was given. Raises ValueError for what cannot be."""
        if self.dead_time_s is None and self.afterpulsing is None and self.pile_up is False:
            return None
        return Detector(
            dead_time_s=0.0 if self.dead_time_s is None else self.dead_time_s,
            pile_up=self.pile_up,
            afterpulsing=0.0 if self.afterpulsing is None else self.afterpulsing,
            afterpulse_s=AFTERPULSE_S if self.afterpulse_s is None else self.afterpulse_s,
        )


def max_sigma_s(period_s: float) -> float:
    """The widest Gaussian IRF that the model takes, a twentieth of the period in sigma."""
    return MAX_SIGMA_PER_PERIOD * period_s


def check_irf_width(irf: GaussianIrf, period_s: float) -> None:
    """Raise ValueError for a Gaussian IRF, or a tail of it, too wide for the period."""
    if irf.fwhm_s / FWHM_PER_SIGMA > max_sigma_s(period_s):
        raise ValueError(
            f"an IRF of {irf.fwhm_s:.3g} s full width is too wide for a pulse period of {period_s:.3g} s"
        )
    if isinstance(irf, TailedIrf) and irf.tail_s > max_sigma_s(period_s):
        raise ValueError(
            f"an IRF tail of {irf.tail_s:.3g} s is too slow for a pulse period of {period_s:.3g} s"
        )
