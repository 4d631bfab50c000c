"""The best single and double exponential of one particle's decay, before one of them is chosen.

They are searched from several starts or, while photons come in, from the last ones; then refitted with what the
detectors did and to the part of the period that is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference import claims, corrections, fit_range, report, search, select
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.decay_fit import FitStart
from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.detector import Detector
from photonstream.nodes.inference.goodness import goodness
from photonstream.nodes.inference.irf import Circumstances, MeasuredIrf, unlike
from photonstream.nodes.inference.likelihood import LN_TAU_XX, MIX, T0, Likelihood
from photonstream.nodes.inference.live_bins import fine_at_edges, live_starts
from photonstream.nodes.inference.means import at, recorded_means
from photonstream.nodes.inference.scoring import Box, Optimum, covariance, maximise

_MIN_CHANNEL_PHOTONS = 100
# Photons over those of the last search from several starts at which a live fit searches again.
SEARCH_AGAIN = 2
# A double exponential with a smaller share of fast photons is no place to start from.
_NO_SHARE = 1e-3


@dataclass(frozen=True, eq=False)
class Candidates:
    """The likelihood of the rows that show a pulsed decay, and its best single and double exponential.

    ``whole``: the likelihood of all bins, where the fit is of a part of them; ``caution``: what to mind of beta then.
    """

    rows: tuple[int, ...]
    likelihood: Likelihood
    single: Optimum
    single_box: Box
    double: Optimum
    double_box: Box
    # Of how many photons the optimum was searched from several starts.
    searched: int
    whole: Likelihood | None = None
    caution: str = ""

    @property
    def ratio(self) -> float:
        return max(0.0, 2.0 * (self.single.half_deviance - self.double.half_deviance))


def search_all(data: DecayData, options: FitOptions) -> tuple[Candidates | None, list[str]]:
    """Fit each channel alone, keep those with a pulsed decay, fit them together; notes say what was left out."""
    found: list[Optimum] = []
    rows: list[int] = []
    notes: list[str] = []
    head = "too few photons in any one channel: "
    within = fit_range.photons_within(data, options).tolist()
    for row, photons in enumerate(data.counts[:, : data.bins_in_period].sum(axis=1).tolist()):
        number = data.numbers[row]
        if photons < _MIN_CHANNEL_PHOTONS:
            if photons:
                notes.append(f"channel {number} left out: {photons} photon{'s' * (photons != 1)}")
            continue
        if within[row] < _MIN_CHANNEL_PHOTONS:
            few = f"{within[row]} photon{'s' * (within[row] != 1)} in the fit range"
            notes.append(f"channel {number} left out: {few}, {_MIN_CHANNEL_PHOTONS} needed")
            continue
        if isinstance(options.irf, MeasuredIrf) and not options.irf.serves(number):
            head = "no channel can be fitted: "
            notes.append(f"channel {number} left out: the recording of the IRF has no response of it")
            continue
        likelihood = search.likelihood_of(data, options, [row])
        fit = search.fit_channel(likelihood, options)
        gain = 2.0 * (search.constant_half_deviance(likelihood) - fit.half_deviance)
        flat = select.flat_reason(gain, photons)
        if flat:
            head = select.NO_EMITTER
            notes.append(f"channel {number} left out: {flat}")
        else:
            found.append(fit)
            rows.append(row)
    notes += _irf_notes(data, options, rows)
    if not found:
        return None, [head + "; ".join(notes)]
    likelihood = search.likelihood_of(data, options, rows)
    begin = search.joint_start(found)
    box = search.box_of(likelihood, options, begin)
    single = maximise(likelihood, begin, box)
    double_box = search.double_box(
        likelihood, box, single.theta, report.irf_fwhm_s(options, likelihood, single.theta)
    )
    single, double = search.fit_pair(likelihood, box, double_box, single)
    found_of_all = Candidates(tuple(rows), likelihood, single, box, double, double_box, data.photons)
    return _narrowed(_unjoined(data, options, found_of_all)), notes


def _unjoined(data: DecayData, options: FitOptions, fits: Candidates) -> Candidates:
    """The same models fitted in bins that are not joined at the rising edges, where others are."""
    starts = bins_of_fit(data, options, fits.rows, fits.single.theta, fits.double.theta)
    if starts.size == data.fit_starts.size:
        return fits
    likelihood = search.likelihood_of(data, options, fits.rows, starts)
    box = search.box_of(likelihood, options, fits.single.theta)
    single = maximise(likelihood, fits.single.theta, box)
    double_box = search.double_box(
        likelihood, box, single.theta, report.irf_fwhm_s(options, likelihood, single.theta)
    )
    single, double = search.fit_pair(likelihood, box, double_box, single)
    return replace(
        fits, likelihood=likelihood, single=single, single_box=box, double=double, double_box=double_box
    )


def bins_of_fit(
    data: DecayData, options: FitOptions, rows: tuple[int, ...], single: Floats, double: Floats
) -> NDArray[np.int64]:
    """Where the bins of a final fit begin, given what is known of both models of these ``rows``.

    Afterpulses are worked out in equal bins, so with them joined ones stay.
    """
    if data.fit_group == 1 or options.afterpulsing:
        return data.fit_starts
    whole = search.likelihood_of(data, options, rows, np.zeros(1, np.int64))
    return fine_at_edges(data, data.fit_starts, *_edges(options, whole, single, double))


def _edges(
    options: FitOptions, likelihood: Likelihood, single: Floats, double: Floats
) -> tuple[Floats, float]:
    """Where the decay of each row rises, and the full width of the response with its tail (s)."""
    edges_s = np.array([single[at(row, T0)] for row in range(likelihood.counts.shape[0])])
    if likelihood.irf.size:
        edges_s += np.argmax(likelihood.irf, axis=1) * likelihood.irf_bin_s
    return edges_s, report.irf_fwhm_s(options, likelihood, single) + report.tail_s(likelihood, double)


def from_last(data: DecayData, options: FitOptions, start: FitStart) -> Candidates | None:
    """Fit from an earlier result, in bins that are wide where they may be; None where that leads nowhere.

    One that starts where the last one ended misses the best optimum now and then: whenever the photons have become
    twice as many, it is searched from several starts.
    """
    rows = tuple(data.numbers.index(c) for c in start.channels)
    likelihood = search.likelihood_of(data, options, rows, _live_bins(data, options, rows, start))
    if np.any(fit_range.cut(likelihood, data, options).counts.sum(axis=1) < _MIN_CHANNEL_PHOTONS):
        return None
    begin = search.rescaled(start.single, likelihood)
    box = search.box_of(likelihood, options, begin)
    single = maximise(likelihood, begin, box)
    if not math.isfinite(single.half_deviance):
        return None
    fwhm_s = report.irf_fwhm_s(options, likelihood, single.theta)
    double_box = search.double_box(likelihood, box, single.theta, fwhm_s)
    if data.photons >= SEARCH_AGAIN * start.searched:
        single, double = search.fit_pair(likelihood, box, double_box, single)
        return _narrowed(Candidates(rows, likelihood, single, box, double, double_box, data.photons))
    if start.double[MIX] > _NO_SHARE:
        double = maximise(likelihood, search.rescaled(start.double, likelihood), double_box)
    else:
        double = search.add_fast(likelihood, box, double_box, single)
    if not math.isfinite(double.half_deviance):
        return None
    fits = Candidates(rows, likelihood, single, box, double, double_box, start.searched)
    return _narrowed(fits, anew=False)


def _narrowed(fits: Candidates, *, anew: bool = True) -> Candidates:
    """Both models with a response as narrow as the data want it."""
    single, single_box = search.narrowed(fits.likelihood, fits.single, fits.single_box, anew=anew)
    double, double_box = search.narrowed(fits.likelihood, fits.double, fits.double_box, anew=anew)
    return replace(fits, single=single, single_box=single_box, double=double, double_box=double_box)


def within_range(data: DecayData, options: FitOptions, fits: Candidates) -> tuple[Candidates, list[str]]:
    """Refit the bins of the fit range, from the fit of all of them; notes say what that cannot tell."""
    likelihood = fit_range.cut(fits.likelihood, data, options)
    single_box, held = fit_range.hold(likelihood, fits.double.theta, fits.single_box)
    double_box, _ = fit_range.hold(likelihood, fits.double.theta, fits.double_box)
    # What is held is the same for both, so that one of them holds the other.
    single = np.where(single_box.free, fits.single.theta, fits.double.theta)
    single[[LN_TAU_XX, MIX]] = fits.single.theta[[LN_TAU_XX, MIX]]
    notes, caution = [], ""
    if held:
        means = recorded_means(fits.likelihood, fits.double.theta)
        free = int(np.count_nonzero(covariance(fits.double, fits.double_box).diagonal()))
        caution = claims.held_warning(select.misfit(goodness(fits.likelihood.counts, means, free))[1])
        channels = ", ".join(str(data.numbers[fits.rows[c]]) for c in held)
        notes = [
            f"channel {channels}: the fit range leaves out the rising edge, so t0 and response are those of the whole "
            "decay, without an error"
        ]
    part = replace(
        fits,
        likelihood=likelihood,
        single_box=single_box,
        single=replace(fits.single, theta=single),
        double_box=double_box,
        whole=fits.likelihood,
        caution=caution,
    )
    return _again(part), notes


def as_recorded(data: DecayData, options: FitOptions, fits: Candidates, detector: Detector) -> Candidates:
    """Refit with what the detectors did, until the decay and the corrections that rest on it agree."""
    for _ in range(corrections.MOST_REFITS):
        likelihood = corrections.corrected(fits.likelihood, fits.double.theta, data, options, detector)
        moved = float(np.max(np.abs(likelihood.efficiency - fits.likelihood.efficiency)))
        fits = _again(replace(fits, likelihood=likelihood))
        if moved <= corrections.SETTLED:
            break
    return fits


def _again(fits: Candidates) -> Candidates:
    """The same models fitted to another likelihood, from the optima of the last one."""
    likelihood = fits.likelihood
    single = maximise(likelihood, fits.single.theta, fits.single_box)
    double = min(
        maximise(likelihood, fits.double.theta, fits.double_box),
        search.fit_double(likelihood, fits.double_box, single),
        key=lambda optimum: optimum.half_deviance,
    )
    return replace(fits, single=single, double=double)


def _live_bins(
    data: DecayData, options: FitOptions, rows: tuple[int, ...], start: FitStart
) -> NDArray[np.int64]:
    """Where the bins of a live fit begin: as those of a final one where what the detectors do is to be worked out."""
    if options.detector is not None:
        return bins_of_fit(data, options, rows, start.single, start.double)
    bin_s, period_s = data.bin_width_s * data.fit_group, data.pulse_period_s
    whole = search.likelihood_of(data, options, rows, np.zeros(1, np.int64))
    edges_s, fwhm_s = _edges(options, whole, start.single, start.double)
    starts = live_starts(math.ceil(data.bins_in_period / data.fit_group), bin_s, period_s, edges_s, fwhm_s)
    starts *= data.fit_group
    if options.fit_range_s is not None:
        # The range begins and ends where it does in a final fit.
        bins = fit_range.bins_of(data.edges_s(data.fit_starts), options.fit_range_s)
        ends = np.array([bins.start, bins.stop]) * data.fit_group
        starts = np.union1d(starts, ends[ends < data.bins_in_period])
    if data.fit_group > 1:
        return fine_at_edges(data, starts, edges_s, fwhm_s)
    return starts


def _irf_notes(data: DecayData, options: FitOptions, rows: list[int]) -> list[str]:
    """What is to be said of a measured IRF: what of it was left out, and who is fitted with another's response."""
    if not isinstance(options.irf, MeasuredIrf):
        return []
    irf = options.irf
    borrowed = [data.numbers[row] for row in rows if irf.borrowed(data.numbers[row])]
    rates_hz = {}
    if data.pulses is not None:
        on_time_s = data.pulses * data.pulse_period_s
        rates_hz = {data.numbers[row]: float(data.counts[row].sum()) / on_time_s for row in rows}
    now = Circumstances(data.pulse_period_s, data.bin_width_s, options.excitation_nm, rates_hz)
    return [
        *irf.notes,
        *unlike(irf, now),
        *(f"channel {c} is fitted with the response of channel {irf.numbers[0]}" for c in borrowed),
    ]
