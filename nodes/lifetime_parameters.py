"""What the lifetime node may be told."""

from __future__ import annotations

from dataclasses import dataclass

from photonstream.nodes.experiment import check_wavelength
from photonstream.nodes.inference.decay_data import AUTOMATIC, MEAN_N_MOST, FitOptions
from photonstream.nodes.inference.precision import TARGET_SIGMA

# How uncertain <N> is where nobody measured it on this nanocrystal (PHYSICS: take 30 %).
MEAN_N_RELATIVE_ERROR = 0.3
# Where rates only add up it is 4; ten times as much is no biexciton any more.
S_MOST = 50.0


@dataclass(frozen=True)
class LifetimeParameters:
    """``irf``: full width in seconds, with a tail (such as "0.1ns+10%@0.3ns"), "tail" to fit one, or file; None fits
    a Gaussian. ``mean_n``: photons absorbed per pulse.

    ``s``: radiative rate of the biexciton over that of the exciton; ``quantum_yield_x`` enters the physical bound
    on tau_xx; ``assumed_tau_xx_s`` is the fast lifetime of the limit that a single exponential gets;
    ``min_photons``: with fewer there is no fit. ``dead_time_s``, ``pile_up`` (each channel keeps one photon per sync),
    ``afterpulsing`` (probability) and ``afterpulse_s`` (mean wait after the dead time, 50 ns where it is not given)
    are figures of the detectors; what is not given is not corrected. ``calibrate``: result folders of runs of the same
    nanocrystal without carrier multiplication, for s and <N> (`calibration_runs`). ``target_sigma``: standard error of
    beta up to which it is told what is still missing; ``until_target``: the run ends when it is reached
    (`StoppingRule`). ``excitation_nm`` is compared with that of a stored IRF.
    ``model``: "auto" lets the data decide between one and two components; "mono" and "bi" take what is asked for.
    ``fit_range_s``: the delays after the laser pulse that are fitted, from and to; None: the whole period.
    """

    irf: str | float | None = None
    mean_n: float | None = None
    mean_n_stderr: float | None = None
    s: float = 4.0
    quantum_yield_x: float = 1.0
    assumed_tau_xx_s: float = 3.9e-9
    min_photons: int = 300
    dead_time_s: float | None = None
    pile_up: bool = False
    afterpulsing: float | None = None
    afterpulse_s: float | None = None
    calibrate: tuple[str, ...] = ()
    target_sigma: float = TARGET_SIGMA
    until_target: bool = False
    excitation_nm: float | None = None
    model: str = AUTOMATIC
    fit_range_s: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self.options()
        if self.s > S_MOST:
            raise ValueError(
                f"s is {self.s:g}: the biexciton radiates at most {S_MOST:g} times as fast as the exciton"
            )
        if self.excitation_nm is not None:
            check_wavelength("excitation_nm", self.excitation_nm)
        if not 0.0 < self.target_sigma < 1.0:
            raise ValueError(
                f"target_sigma is {self.target_sigma}: a standard error of beta lies between 0 and 1"
            )

    def options(self) -> FitOptions:
        """What the fit is told, but for the IRF. Raises ValueError for what cannot be."""
        relative = MEAN_N_RELATIVE_ERROR
        if self.mean_n_stderr is not None:
            if not 0.0 <= self.mean_n_stderr <= MEAN_N_MOST:
                raise ValueError(
                    f"mean_n_stderr is {self.mean_n_stderr}: an error of <N> lies between 0 and {MEAN_N_MOST:g}"
                )
            if self.mean_n is not None and self.mean_n > 0.0:
                relative = self.mean_n_stderr / self.mean_n
        return FitOptions(
            s=self.s,
            quantum_yield_x=self.quantum_yield_x,
            assumed_tau_xx_s=self.assumed_tau_xx_s,
            min_photons=self.min_photons,
            mean_n=self.mean_n,
            mean_n_relative_error=relative,
            dead_time_s=self.dead_time_s,
            pile_up=self.pile_up,
            afterpulsing=self.afterpulsing,
            afterpulse_s=self.afterpulse_s,
            excitation_nm=self.excitation_nm,
            model=self.model,
            fit_range_s=self.fit_range_s,
        )
