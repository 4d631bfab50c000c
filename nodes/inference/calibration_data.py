"""What a calibration is given and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from photonstream.nodes.inference.cascade_eta import CASCADE, TWO_LEVELS
from photonstream.nodes.inference.decay_data import FitOptions
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.refit import Refit


@dataclass(frozen=True, eq=False)
class CalibrationRun:
    """A run without carrier multiplication: its fit alone, and what is known of its excitation (None: nothing).

    ``fast``: whether its decay shows a second component. ``mean_n_relative_error`` is that of ``mean_n``.
    ``irf_fwhm_s`` of its instrument response, and whether the fit found that (``width_fitted``).
    """

    name: str
    refit: Refit
    fast: bool
    mean_n: float | None = None
    mean_n_relative_error: float = 0.3
    power_w: float | None = None
    excitation_nm: float | None = None
    irf_fwhm_s: float = 0.1e-9
    width_fitted: bool = True


@dataclass(frozen=True, eq=False)
class Sample:
    """The run whose beta is wanted: its final fit, made with ``options``, and the likelihood behind it."""

    refit: Refit
    fit: DecayFit
    options: FitOptions


@dataclass(frozen=True, slots=True)
class Way:
    """What one way of calibrating says by one model, or the ``reason`` why it says nothing.

    ``mean_n`` of each run, None where it is not determined; ``scale``: fitted over given <N>, None where none was
    given; the lifetimes are common to the runs. A ``s`` that is not determined has limits alone, and ``s_reason`` says
    why. ``beta`` and ``eta`` are of the sample, each with the reason where
    there is none, or what to mind.
    """

    reason: str = ""
    s: Estimate | None = None
    s_reason: str = ""
    mean_n: tuple[Estimate | None, ...] = ()
    scale: Estimate | None = None
    tau_x_s: Estimate | None = None
    tau_xx_s: Estimate | None = None
    beta: Estimate | None = None
    beta_reason: str = ""
    eta: Estimate | None = None
    eta_reason: str = ""


@dataclass(frozen=True, slots=True)
class Models:
    """What one way of calibrating says by the two-level closed form and by the n^2 cascade."""

    closed: Way
    cascade: Way

    @property
    def by_name(self) -> dict[str, Way]:
        return {TWO_LEVELS: self.closed, CASCADE: self.cascade}


@dataclass(frozen=True, slots=True)
class Calibration:
    """Both ways by both models, and what to mind about them."""

    s_at_given_n: Models
    n_at_given_s: Models
    warnings: tuple[str, ...] = ()


def power_shared(runs: Sequence[CalibrationRun]) -> bool:
    """Whether <N> goes with the power through all runs: it is known of each, and they are of one wavelength."""
    return all(run.power_w for run in runs) and len({run.excitation_nm for run in runs}) == 1
