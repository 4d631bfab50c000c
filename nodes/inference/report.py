"""From a fitted parameter vector to the numbers and curves that are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import ChannelFit, Components, Curves
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.estimate import GIVEN, Z95, Estimate, Interval, from_variance
from photonstream.nodes.inference.fit_range import photons_within
from photonstream.nodes.inference.irf import FWHM_PER_SIGMA, GaussianIrf, MeasuredIrf, crossings, fwhm_s
from photonstream.nodes.inference.likelihood import (
    BACKGROUND,
    LN_SIGMA,
    LN_TAIL,
    LN_TAU_X,
    LN_TAU_XX,
    MIX,
    T0,
    TAIL_SHARE,
    Likelihood,
    tail_at,
)
from photonstream.nodes.inference.means import at, model_means, response_shares
from photonstream.nodes.inference.profile import Profile
from photonstream.nodes.inference.scoring import Box
from photonstream.nodes.inference.tail import MOST_FITTED_SHARE

# Why a figure has no error, besides what goes for every estimate.
RECORDED = "as recorded"
HELD = "held by the fit range"
NARROW = "the response is narrower than the bins show"
NO_TAIL = "no tail of the instrument response is found"
_ALL = "one component is all"
# With a smaller share of the photons a channel weighs too little to ask how wide its response is.
LEAST_PHOTONS = 0.1
# Of a logarithm, so that its exponential stays a number.
_MOST_LN = 100.0


def parameter_names(channels: tuple[int, ...], *, tailed: bool) -> tuple[str, ...]:
    """Names of the parameter vector's entries, ``channels`` being the fitted ones."""
    local = ("photons", "t0_s", "ln_irf_sigma_s", "background_photons")
    shared = ("ln_tau_x_s", "ln_tau_xx_s", "photon_share_xx")
    own = tuple(f"{name}_{c}" for c in channels for name in local)
    return shared + own + (("irf_tail_share", "ln_irf_tail_s") if tailed else ())


def curves(data: DecayData, likelihood: Likelihood, channels: tuple[int, ...], theta: Floats) -> Curves:
    """The model of what is recorded, in the data's own bins; afterpulses count as background."""
    bins = data.bins_in_period
    rows = list(channels)
    edges_s = data.edges_s()
    parts = np.zeros((3, *data.counts.shape))
    # The joined bin of the fit in which each bin lies.
    joined = np.searchsorted(likelihood.edges_s, edges_s[:-1] + 0.5 * data.bin_width_s, "right") - 1
    joined = np.minimum(joined, likelihood.counts.shape[1] - 1)
    efficiency = np.take(likelihood.efficiency, joined, axis=1)
    for part, means in zip(parts, model_means(likelihood, theta, edges_s), strict=True):
        part[rows, :bins] = efficiency * means
    density = likelihood.extra / np.diff(likelihood.edges_s)
    parts[2, rows, :bins] += np.take(density, joined, axis=1) * np.diff(edges_s)
    response = np.zeros(data.counts.shape)
    for c, row in enumerate(rows):
        response[row, :bins] = response_shares(likelihood, theta, c, edges_s, data.bin_width_s)
    return Curves(parts.sum(axis=0), parts[0], parts[1], parts[2], response)


def _exponential(interval: Interval) -> Interval:
    return (
        None if interval[0] is None else math.exp(interval[0]),
        None if interval[1] is None else math.exp(interval[1]),
    )


def _lifetime(theta: Floats, errors: Floats, profiles: dict[int, Profile], index: int) -> Estimate:
    value = math.exp(float(theta[index]))
    # A curvature that leaves more than a factor of e is none; the profile may still close.
    known = from_variance(value, value * value * float(errors[index, index]), value)
    if index not in profiles:
        return known
    return replace(known, ci68=_exponential(profiles[index].ci68), ci95=_exponential(profiles[index].ci95))


def components(theta: Floats, errors: Floats, profiles: dict[int, Profile], *, double: bool) -> Components:
    """Lifetimes, amplitude shares at t0 and photon shares."""
    tau_x = _lifetime(theta, errors, profiles, LN_TAU_X)
    if not double:
        whole = Estimate(1.0, reason=_ALL)
        return Components(tau_x, None, whole, None, whole, None)
    tau_xx = _lifetime(theta, errors, profiles, LN_TAU_XX)
    q = float(theta[MIX])
    fast, slow = q * tau_x.value, (1.0 - q) * tau_xx.value
    amplitude = fast / (fast + slow)
    slopes = np.zeros(theta.size)
    slopes[LN_TAU_X], slopes[LN_TAU_XX] = amplitude * (1.0 - amplitude), -amplitude * (1.0 - amplitude)
    slopes[MIX] = tau_x.value * tau_xx.value / (fast + slow) ** 2
    amplitudes, shares = float(slopes @ errors @ slopes), float(errors[MIX, MIX])
    return Components(
        tau_x,
        tau_xx,
        from_variance(1.0 - amplitude, amplitudes, 1.0),
        from_variance(amplitude, amplitudes, 1.0),
        from_variance(1.0 - q, shares, 1.0),
        from_variance(q, shares, 1.0),
    )


def background_share(
    likelihood: Likelihood, theta: Floats, errors: Floats, channel: int | None = None
) -> Estimate:
    """Share of the fitted counts that the flat background explains, of one channel or of all."""
    chosen = range(likelihood.counts.shape[0]) if channel is None else [channel]
    covered = float(likelihood.edges_s[-1] - likelihood.edges_s[0]) / likelihood.period_s
    scale = covered / float(likelihood.counts[list(chosen)].sum())
    index = [at(c, BACKGROUND) for c in chosen]
    variance = float(errors[np.ix_(index, index)].sum())
    return from_variance(scale * float(theta[index].sum()), scale * scale * variance)


def _fwhm_s(options: FitOptions, likelihood: Likelihood, theta: Floats, channel: int) -> float:
    if isinstance(options.irf, GaussianIrf):
        return options.irf.fwhm_s
    if isinstance(options.irf, MeasuredIrf):
        return fwhm_s(likelihood.irf[channel], likelihood.irf_bin_s)
    return FWHM_PER_SIGMA * math.exp(float(theta[at(channel, LN_SIGMA)]))


def _fwhm(
    options: FitOptions, likelihood: Likelihood, theta: Floats, errors: Floats, box: Box, channel: int
) -> Estimate:
    value, index = _fwhm_s(options, likelihood, theta, channel), at(channel, LN_SIGMA)
    if isinstance(options.irf, GaussianIrf):
        return Estimate(value, reason=GIVEN)
    if isinstance(options.irf, MeasuredIrf):
        return Estimate(value, reason=RECORDED)
    if not box.free[index]:
        return Estimate(value, reason=HELD)
    if box.untold(index):
        return Estimate(value, reason=NARROW)
    found = from_variance(value, value * value * float(errors[index, index]))
    if found.stderr is None:
        return found
    # Its logarithm is what the curvature tells of.
    spread = found.stderr / value
    ends = [(value * math.exp(-z * spread), value * math.exp(z * spread)) for z in (1.0, Z95)]
    return replace(found, ci68=ends[0], ci95=ends[1])


def _widest(options: FitOptions, likelihood: Likelihood, theta: Floats) -> int:
    """The fitted channel of the widest response, of those with a tenth of the photons.

    What is claimed of a fast component is judged by it: photons of a wide response are in every figure, whichever
    detector has more of them.
    """
    photons = likelihood.counts.sum(axis=1)
    widths_s = [_fwhm_s(options, likelihood, theta, channel) for channel in range(photons.size)]
    return int(np.argmax(np.where(photons >= LEAST_PHOTONS * photons.sum(), widths_s, 0.0)))


def widest_fwhm(
    options: FitOptions, likelihood: Likelihood, theta: Floats, errors: Floats, box: Box
) -> Estimate:
    """Full width at half maximum of the widest IRF (of channels with a tenth of the photons), without its tail."""
    return _fwhm(options, likelihood, theta, errors, box, _widest(options, likelihood, theta))


def irf_fwhm_s(options: FitOptions, likelihood: Likelihood, theta: Floats) -> float:
    """The same, without its error."""
    return _fwhm_s(options, likelihood, theta, _widest(options, likelihood, theta))


@dataclass(frozen=True, slots=True)
class TailFigures:
    """Share and time of the response's tail, no time where the share is 0; ``reason``: why one has no error or value.

    ``longest_s``: the upper 95 % limit of its time, that of its range where the data set none.
    """

    share: Estimate | None
    time_s: Estimate | None
    reason: str
    longest_s: float


def tail_figures(likelihood: Likelihood, theta: Floats, errors: Floats, box: Box) -> TailFigures | None:
    """What is known of the response's tail; None for a response without one."""
    tail = tail_at(theta, likelihood.counts.shape[0])
    if tail is None:
        return None
    share, time = tail + TAIL_SHARE, tail + LN_TAIL
    found, tail_s = float(theta[share]), math.exp(float(theta[time]))
    if not box.free[share]:
        given = Estimate(found, reason=GIVEN), Estimate(tail_s, reason=GIVEN)
        return TailFigures(*given, GIVEN, tail_s)
    range_s = math.exp(float(box.upper[time]))
    if found <= 0.0:
        return TailFigures(Estimate(0.0, reason=NO_TAIL), None, NO_TAIL, range_s)
    spread = float(errors[time, time])
    reach = math.exp(min(Z95 * math.sqrt(spread), _MOST_LN)) if spread > 0.0 else math.inf
    known = (
        from_variance(found, float(errors[share, share]), MOST_FITTED_SHARE),
        from_variance(tail_s, tail_s * tail_s * spread, tail_s),
    )
    unsure = [name for name, each in zip(("share", "time"), known, strict=True) if each.stderr is None]
    why = f"the data do not determine the {' and the '.join(unsure)} of the response's tail" if unsure else ""
    return TailFigures(*known, why, min(tail_s * reach, range_s))


def tail_s(likelihood: Likelihood, theta: Floats) -> float:
    """The time of the response's tail, 0 without one."""
    tail = tail_at(theta, likelihood.counts.shape[0])
    return 0.0 if tail is None or theta[tail + TAIL_SHARE] <= 0.0 else math.exp(float(theta[tail + LN_TAIL]))


def _peak_s(options: FitOptions, likelihood: Likelihood, channel: int) -> float:
    """The middle of the response of a pulse at 0, at half of its maximum; a measured one has its own axis."""
    if not isinstance(options.irf, MeasuredIrf):
        return 0.0
    peak, start, stop = crossings(likelihood.irf[channel])
    return (peak + 0.5 * (start + stop) + 0.5) * likelihood.irf_bin_s


def _t0(t0_s: float, options: FitOptions, errors: Floats, box: Box, channel: int) -> Estimate:
    index, width = at(channel, T0), at(channel, LN_SIGMA)
    if not box.free[index]:
        return Estimate(t0_s, reason=HELD)
    if options.irf_fitted and box.free[width] and (box.untold(width) or not errors[width, width] > 0.0):
        # The curvature does not know of the widths that the data allow beside it: simulated, it is a third too small.
        return Estimate(t0_s, reason=NARROW)
    return from_variance(t0_s, float(errors[index, index]))


def unfitted_channels(data: DecayData, options: FitOptions) -> tuple[ChannelFit, ...]:
    """Every channel with its photons and nothing else."""
    return tuple(ChannelFit(n, used=False) for n in photons_within(data, options).tolist())


def channel_fits(
    data: DecayData,
    options: FitOptions,
    likelihood: Likelihood,
    channels: tuple[int, ...],
    theta: Floats,
    errors: Floats,
    box: Box,
) -> tuple[ChannelFit, ...]:
    """Every channel, the fitted ones with their parameters."""
    out = list(unfitted_channels(data, options))
    period_s = likelihood.period_s
    for row, c in enumerate(channels):
        t0_s = (float(theta[at(row, T0)]) + _peak_s(options, likelihood, row)) % period_s
        out[c] = ChannelFit(
            out[c].photons,
            used=True,
            t0_s=_t0(t0_s, options, errors, box, row),
            irf_fwhm_s=_fwhm(options, likelihood, theta, errors, box, row),
            background_share=background_share(likelihood, theta, errors, row),
        )
    return tuple(out)
