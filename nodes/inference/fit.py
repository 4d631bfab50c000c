"""The fit of one particle's decay: which model, its parameters, beta."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from photonstream.nodes.inference import report, search, select
from photonstream.nodes.inference.beta_fit import BetaResult, fit_beta, signed_beta
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import ChannelFit, DecayFit, FitStart
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.goodness import goodness
from photonstream.nodes.inference.likelihood import (
    LN_TAU_X,
    LN_TAU_XX,
    MIX,
    Box,
    Likelihood,
    Optimum,
    covariance,
    maximise,
)
from photonstream.nodes.inference.profile import Profile, profile

_MIN_CHANNEL_PHOTONS = 100
_RESTARTS = 3


@dataclass(frozen=True, eq=False)
class _Fits:
    """The likelihood of the channels that show a pulsed decay, and its best single and double exponential."""

    channels: tuple[int, ...]
    likelihood: Likelihood
    single: Optimum
    single_box: Box
    double: Optimum
    double_box: Box

    @property
    def ratio(self) -> float:
        return max(0.0, 2.0 * (self.single.half_deviance - self.double.half_deviance))


def fit_decay(data: DecayData, options: FitOptions, *, cold: bool = True, start: FitStart | None = None) -> DecayFit:
    """Fit a single and a double exponential to ``data`` and choose.

    A cold fit searches from several starts and gives profile-likelihood intervals (``options.intervals``). With
    ``cold`` false the search begins at ``start`` alone, an earlier ``DecayFit.start`` of the same channels, and
    errors come from the Fisher information only; without a usable ``start`` it searches all the same.
    Deterministic: a cold result depends on ``data`` and ``options`` alone.
    Raises ValueError for an IRF that does not fit the data.
    """
    if data.photons < options.min_photons:
        return _none(data, options, f"too few photons: {data.photons}, {options.min_photons} needed")
    fits, notes = (None, [])
    if not cold and start is not None and max(start.channels) < data.counts.shape[0]:
        fits = _warm(data, options, start)
    if fits is None:
        fits, notes = _search(data, options)
    if fits is None:
        return _none(data, options, "; ".join(notes))
    return _choose(data, options, fits, notes, with_intervals=cold and options.intervals)


def _search(data: DecayData, options: FitOptions) -> tuple[_Fits | None, list[str]]:
    """Fit each channel alone, keep those with a pulsed decay, fit them together; notes say what was left out."""
    found, channels, notes = [], [], []
    for c, photons in enumerate(data.counts[:, : data.bins_in_period].sum(axis=1).tolist()):
        if photons < _MIN_CHANNEL_PHOTONS:
            if photons:
                notes.append(f"channel {c} left out: {photons} photons")
            continue
        likelihood = search.likelihood_of(data, options, [c])
        fit = search.fit_channel(likelihood, options)
        gain = 2.0 * (search.constant_half_deviance(likelihood) - fit.half_deviance)
        flat = select.flat_reason(gain, photons)
        if flat:
            notes.append(f"channel {c} left out: {flat}")
        else:
            found.append(fit)
            channels.append(c)
    if not found:
        return None, notes
    likelihood = search.likelihood_of(data, options, channels)
    begin = search.joint_start(found)
    box = search.box_of(likelihood, options, begin)
    single = maximise(likelihood, begin, box)
    double_box = search.double_box(likelihood, box, single.theta, _fwhm_s(options, likelihood, single.theta))
    double = search.fit_double(likelihood, double_box, single)
    return _Fits(tuple(channels), likelihood, single, box, double, double_box), notes


def _warm(data: DecayData, options: FitOptions, start: FitStart) -> _Fits | None:
    likelihood = search.likelihood_of(data, options, start.channels)
    if np.any(likelihood.counts.sum(axis=1) < _MIN_CHANNEL_PHOTONS):
        return None
    box = search.box_of(likelihood, options, start.single)
    single = maximise(likelihood, report.with_photons(start.single, likelihood), box)
    double_box = search.double_box(likelihood, box, single.theta, _fwhm_s(options, likelihood, single.theta))
    double = maximise(likelihood, report.with_photons(start.double, likelihood), double_box)
    if not (math.isfinite(single.half_deviance) and math.isfinite(double.half_deviance)):
        return None
    return _Fits(start.channels, likelihood, single, box, double, double_box)
