"""What a measured instrument response is like: where it peaks, how wide it is, its tail, further peaks, background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_model import Floats
from photonstream.nodes.inference.irf import FWHM_PER_SIGMA, cleaned, crossings, running

# The tail begins so many full widths behind the peak: 3 standard deviations of a Gaussian, which has 0.13 % there.
TAIL_FWHM = 3.0 / FWHM_PER_SIGMA
_BOOTSTRAPS = 100
_SEED = 1
# A further peak lies beyond so many full widths, stands out of the valley before it by so many standard deviations,
# and has at least this share of the main peak's height.
_APART_FWHM = 1.5
_PEAK_SIGMAS = 8.0
_LEAST_HEIGHT = 0.005
_MOST_PEAKS = 3
_LEAST_OUTSIDE = 8
# The peak is the place of a bin: variance of what lies anywhere in it. So is a width, whose ends lie within bins.
_IN_BIN = 1.0 / 12.0


@dataclass(frozen=True, slots=True)
class FurtherPeak:
    """A peak beside the main one: its delay after it, on the shorter way round, and its height as a share of it."""

    delay_s: float
    height: float


@dataclass(frozen=True, slots=True)
class Response:
    """One detector's response. Standard errors are from a Poisson bootstrap (fixed seed), those of peak and width with
    the bin; None where not to be had.

    ``tail_share``: share of the response later than 1.27 full widths behind its peak. ``skew``: third standardised
    moment. ``signal``: photons above background; ``background``: background photons per bin, with its error.
    """

    photons: int
    signal: float
    peak_s: float
    peak_stderr_s: float | None
    fwhm_s: float
    fwhm_stderr_s: float | None
    tail_share: float
    tail_stderr: float | None
    skew: float
    skew_stderr: float | None
    background: float | None
    background_stderr: float | None
    further: tuple[FurtherPeak, ...]
    start: float
    stop: float


def measure(counts: NDArray[np.generic], bin_width_s: float) -> Response | None:
    """The figures of one detector's histogram, (bins,), which is taken as one period; None where nothing stands out.

    ``start`` and ``stop`` are the half-maximum crossings in seconds, relative to the peak.
    """
    row = np.asarray(counts, dtype=np.float64)
    shares = cleaned(row)
    if shares is None:
        return None
    peak, start, stop = crossings(shares)
    figures = _figures(shares, peak, start, stop)
    further = _further_peaks(row, peak, stop - start)
    outside = shares == 0.0
    for delay, _ in further:
        outside[_around(row.size, peak + delay, 2.0 * (stop - start))] = False
    bins = int(np.count_nonzero(outside))
    background = float(row[outside].sum()) / bins if bins >= _LEAST_OUTSIDE else None
    inside = ~outside & (shares != 0.0)
    signal = float(row[inside].sum()) - (background or 0.0) * int(np.count_nonzero(inside))
    errors = _bootstrap(row, peak)
    return Response(
        photons=int(row.sum()),
        signal=signal,
        peak_s=(peak + 0.5) % row.size * bin_width_s,
        peak_stderr_s=None if errors is None else math.sqrt(errors[0] ** 2 + _IN_BIN) * bin_width_s,
        fwhm_s=figures[0] * bin_width_s,
        fwhm_stderr_s=None if errors is None else math.sqrt(errors[1] ** 2 + _IN_BIN) * bin_width_s,
        tail_share=figures[1],
        tail_stderr=None if errors is None else errors[2],
        skew=figures[2],
        skew_stderr=None if errors is None else errors[3],
        background=background,
        background_stderr=None if background is None else math.sqrt(max(background * bins, 1.0)) / bins,
        further=tuple(FurtherPeak(delay * bin_width_s, height) for delay, height in further),
        start=start * bin_width_s,
        stop=stop * bin_width_s,
    )


def _figures(shares: Floats, peak: float, start: float, stop: float) -> tuple[float, float, float]:
    """Full width in bins, share of the tail, skew; times run from half the range before the peak to half behind."""
    bins = shares.size
    place = (np.arange(bins) - peak + bins / 2.0) % bins - bins / 2.0
    width = stop - start
    # The bin in which the tail begins counts in part.
    behind = np.clip(place + 0.5 - TAIL_FWHM * width, 0.0, 1.0)
    mean = float(shares @ place)
    variance = float(shares @ (place - mean) ** 2)
    third = float(shares @ (place - mean) ** 3)
    return width, float(shares @ behind), third / variance**1.5 if variance > 0.0 else 0.0


def _bootstrap(row: Floats, peak: float) -> Floats | None:
    """Standard deviations of peak, width, tail and skew over histograms with other Poisson counts.

    None where less than half of these show a response.
    """
    generator = np.random.default_rng(_SEED)
    found = []
    for _ in range(_BOOTSTRAPS):
        shares = cleaned(generator.poisson(row).astype(np.float64))
        if shares is not None:
            place, start, stop = crossings(shares)
            moved = (place - peak + row.size / 2.0) % row.size
            found.append((moved, *_figures(shares, place, start, stop)))
    return np.std(found, axis=0, ddof=1) if len(found) > _BOOTSTRAPS // 2 else None


def _around(bins: int, centre: float, reach: float) -> NDArray[np.bool_]:
    """Which of ``bins`` bins in a circle lie within ``reach`` of ``centre``."""
    away = (np.arange(bins) - centre + bins / 2.0) % bins - bins / 2.0
    return np.asarray(np.abs(away) <= reach)


def _further_peaks(row: Floats, peak: float, width: float) -> list[tuple[float, float]]:
    """Delays in bins and relative heights of further peaks, highest first.

    A peak stands out of the deepest valley between it and the main peak, so a tail that only falls has none.
    """
    bins, top = row.size, row.size // 2
    window = max(1, min(round(width), bins // 8))
    sums = np.roll(running(row, window), top - round(peak))
    free = np.abs(np.arange(bins) - top) > max(_APART_FWHM * width, window)
    valley = np.concatenate(
        [np.minimum.accumulate(sums[: top + 1][::-1])[::-1], np.minimum.accumulate(sums[top:])[1:]]
    )
    main = sums[top] - float(valley.min())
    found: list[tuple[float, float]] = []
    while len(found) < _MOST_PEAKS and free.any():
        excess = np.where(free, sums - valley, -np.inf)
        at = int(np.argmax(excess))
        height = float(excess[at])
        noise = math.sqrt(float(sums[at] + valley[at]) + 1.0)
        if height < max(_LEAST_HEIGHT * main, _PEAK_SIGMAS * noise):
            break
        found.append((float(at - top), height / main))
        free &= ~_around(bins, at, max(_APART_FWHM * width, 2.0 * window))
    return found
