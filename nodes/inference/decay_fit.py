"""What a fit gives back."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.estimate import Estimate

Model = Literal["mono", "bi", "none"]
# What may be said of the decay: with "mono" and "bi" that the data decide it.
Verdict = Literal["mono", "bi", "fast component or tail", "not enough photons yet", "does not fit", "none"]
TOO_FEW: Verdict = "not enough photons yet"
MISFIT: Verdict = "does not fit"
OF_A_MISFIT = "of a model that does not fit"
OR_TAIL: Verdict = "fast component or tail"


@dataclass(frozen=True, slots=True)
class Components:
    """One or two exponentials; amplitudes are shares of the intensity at t0. The fast one is None with one."""

    tau_x_s: Estimate
    tau_xx_s: Estimate | None
    amplitude_x: Estimate
    amplitude_xx: Estimate | None
    photon_share_x: Estimate
    photon_share_xx: Estimate | None


@dataclass(frozen=True, slots=True)
class ChannelFit:
    """One channel: photons in its bins, and when it was fitted (``used``) its own parameters.

    ``t0_s``: the delay of the middle of the response to the pulse, at half of its maximum, from 0 to the period.
    """

    photons: int
    used: bool
    t0_s: Estimate | None = None
    irf_fwhm_s: Estimate | None = None
    background_share: Estimate | None = None


@dataclass(frozen=True, eq=False)
class Curves:
    """The fitted means in counts per dtime bin, each (channels, bins of the data); zero where nothing was fitted.

    ``total = x + xx + background``. ``response``: the instrument's, as the share of each bin of what comes with the
    pulse.
    """

    total: Floats
    x: Floats
    xx: Floats
    background: Floats
    response: Floats


@dataclass(frozen=True, slots=True)
class CascadeShift:
    """``eta`` of the n^2 cascade less that of the closed form, found at this ``mean_n`` and ``s``; None and why."""

    mean_n: float
    s: float
    eta: float | None
    reason: str


@dataclass(frozen=True, eq=False)
class FitStart:
    """Where a later fit of more photons of the same channels may start.

    ``searched``: of how many photons the best optimum was last searched from several starts; ``shift``: of eta since.
    """

    channels: tuple[int, ...]
    single: Floats
    double: Floats
    searched: int
    shift: CascadeShift | None = None


@dataclass(frozen=True, eq=False)
class DecayFit:
    """The decay of the selected photons.

    ``amplitude_x + amplitude_xx = 1``: shares of the intensity at t0, A_x exp(-t/tau_x) + A_xx exp(-t/tau_xx);
    ``photon_share_x + photon_share_xx = 1``: shares of the photons without background. With model "mono" the slow
    component is everything and the fast one ``None``; with "none" there are no parameters and ``reason`` says why.
    With "mono" and "bi" ``reason`` carries warnings, or nothing.

    ``verdict`` says what the data decide. "not enough photons yet": one component suffices, but a beta of
    ``select.TELLING_BETA`` would not have been seen, or there were too few photons to fit at all; "does not fit": the
    best model misses so much that its components mean nothing (they are still given where they were found, without
    errors); "fast
    component or tail": the fast one may be the tail of the instrument response. Where that is fitted and cannot be told
    from it, ``tau_xx_s``, the shares and both figures of the tail are None, and ``reason`` says so.

    ``likelihood_ratio`` is 2 ln(L_bi/L_mono); ``goodness`` is described at ``goodness.goodness``. ``irf_fwhm_s`` is
    the widest of the channels with a tenth of the photons, of its Gaussian where the response has a tail;
    ``irf_tail_share`` and ``irf_tail_s`` are that tail's, None without one (no time where the share is 0), and
    ``irf_tail_reason`` says why either has no value or no error. ``parameters`` names the rows of ``covariance``, the
    inverse Fisher information (ln of seconds, shares, photons, seconds); one at a bound, or not free, has zeros.

    ``fit_range_s``: where the fitted bins begin and end, None where they are those of the whole period. ``photons`` are
    those in it, ``photons_outside`` all others.

    ``corrections`` names the detector figures that were put into the model (`corrections.describe`); the curves are of
    what is recorded, everything else of the photons before the detector.

    ``beta`` is apparent (s assumed, <N> not corrected) and given with model "bi" inside its domain where the fast
    component cannot be something else (`claims`), its intervals cut at 1; ``beta_reason`` says why there is none, or
    what to mind about it; ``fast_reason`` says why the fast component is not called a biexciton's whatever s may be.
    ``beta_signed`` is beta with tau_xx held at ``assumed_tau_xx_s``, negative values included (``beta_signed_reason``:
    why there is none), and with model "mono" ``beta_upper95`` its one-sided 95 % upper limit, counted from 0 where the
    best value is negative. ``eta`` is corrected for <N> by ``eta_model``; ``eta_models`` has its value by
    that and (after a cold fit with intervals) other models by name, None where a model cannot make this decay, and
    then ``eta_models_reason`` says why.
    """

    model: Model
    reason: str
    photons: int
    photons_outside: int
    fit_range_s: tuple[float, float] | None = None
    tau_x_s: Estimate | None = None
    tau_xx_s: Estimate | None = None
    amplitude_x: Estimate | None = None
    amplitude_xx: Estimate | None = None
    photon_share_x: Estimate | None = None
    photon_share_xx: Estimate | None = None
    background_share: Estimate | None = None
    irf_fwhm_s: Estimate | None = None
    irf_tail_share: Estimate | None = None
    irf_tail_s: Estimate | None = None
    irf_tail_reason: str = ""
    verdict: Verdict = "none"
    channels: tuple[ChannelFit, ...] = ()
    likelihood_ratio: float | None = None
    goodness: dict[str, float | None] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    covariance: Floats | None = None
    s: float = 4.0
    corrections: dict[str, Any] | None = None
    beta: Estimate | None = None
    beta_reason: str = ""
    fast_reason: str = ""
    beta_signed: Estimate | None = None
    beta_signed_reason: str = ""
    beta_upper95: float | None = None
    assumed_tau_xx_s: float | None = None
    eta: Estimate | None = None
    eta_model: str = ""
    eta_reason: str = ""
    eta_models: dict[str, float | None] = field(default_factory=dict)
    eta_models_reason: str = ""
    curves: Curves | None = None
    start: FitStart | None = None


def without_errors(fit: DecayFit) -> DecayFit:
    """The fit of a model that does not describe the data: its errors would be those of a wrong description."""
    return replace(fit, **_bare(fit), channels=tuple(replace(each, **_bare(each)) for each in fit.channels))


def _bare(part: DecayFit | ChannelFit) -> dict[str, Any]:
    """Its estimates by their names, with values alone; those that have no error of their own keep the reason."""
    estimates = ((each.name, getattr(part, each.name)) for each in fields(part))
    return {
        name: Estimate(value.value, reason=value.reason or OF_A_MISFIT)
        for name, value in estimates
        if isinstance(value, Estimate)
    }
