"""The instrument response: a Gaussian of known width, or a measured histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_model import Floats

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
# A numbered channel with fewer photons has seen no response, only strays.
_MIN_PHOTONS = 100
# No detector for single photons is wider; what glows is.
_WIDEST_S = 2e-9
# More counts no bin can hold.
_MOST_COUNTS = 1e15
# Bins of a measured response are joined while the narrowest row still has so many in its full width.
_FINE = 24.0
# Circumstances that count as the same: wavelengths within so many nm, periods to a share, rates within a factor.
_SAME_NM = 1.0
_SAME_PERIOD = 0.01
_SAME_RATE = 10.0


@dataclass(frozen=True, slots=True)
class GaussianIrf:
    """A Gaussian of known full width at half maximum, the same for every channel."""

    fwhm_s: float

    def __post_init__(self) -> None:
        if not (self.fwhm_s > 0.0 and math.isfinite(self.fwhm_s)):
            raise ValueError(f"an IRF of {self.fwhm_s} s full width is not a width")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a response was measured; None where it is not known. ``rates_hz``: count rate by channel."""

    pulse_period_s: float | None = None
    bin_width_s: float | None = None
    excitation_nm: float | None = None
    rates_hz: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class MeasuredIrf:
    """Measured response, ``shares`` of shape (channels, bins) with rows that sum to one.

    ``channels`` numbers the rows (empty: 0, 1, ...); a single row serves every channel. ``notes`` say what was left
    out of the recording, ``taken`` how it was measured. Raises ValueError if a row is empty, not finite or does not
    sum to one, or if there are other than as many numbers.
    """

    shares: Floats
    bin_width_s: float
    channels: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    taken: Circumstances = field(default_factory=Circumstances)

    def __post_init__(self) -> None:
        if self.shares.ndim != 2 or not self.shares.size or not np.all(np.isfinite(self.shares)):
            raise ValueError("a measured IRF is a finite array (channels, bins)")
        if not np.allclose(self.shares.sum(axis=1), 1.0, atol=1e-9):
            raise ValueError(
                "each channel of a measured IRF must sum to one; use measured_irf(histogram, width)"
            )
        if not (self.bin_width_s > 0.0 and math.isfinite(self.bin_width_s)):
            raise ValueError(f"an IRF bin of {self.bin_width_s} s is not a width")
        if len(self.numbers) != self.shares.shape[0] or len(set(self.numbers)) != len(self.numbers):
            raise ValueError(f"{self.shares.shape[0]} rows of an IRF cannot be channels {self.numbers}")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The channel of each row."""
        return self.channels or tuple(range(self.shares.shape[0]))

    def serves(self, channel: int) -> bool:
        """Whether there is a response for ``channel``."""
        return self.shares.shape[0] == 1 or channel in self.numbers

    def borrowed(self, channel: int) -> bool:
        """Whether that response was recorded in another channel; text names none."""
        return self.serves(channel) and bool(self.channels) and channel not in self.channels


def measured_irf(
    histogram: NDArray[np.generic], bin_width_s: float, channels: Sequence[int] = ()
) -> MeasuredIrf:
    """An IRF from its raw histogram, (bins,) or (channels, bins): background subtracted, far bins set to zero.

    The background is the mean of the contiguous half of the range that holds the fewest counts. Bins further from
    the peak than the stretch in which a running sum exceeds that background by 3 standard deviations are zero; the
    sum is over 5 bins, or a quarter of the stretch that holds half the signal where that is more, and behind the peak
    also over up to eight times as many. With ``channels``,
    their numbers, those with fewer than 100 photons or nothing that stands out are left out, with a note, as long as
    one remains; another note says where a row is wider than any detector's. Raises ValueError where nothing stands out
    of the background.
    """
    counts = np.atleast_2d(np.asarray(histogram, dtype=np.float64))
    if counts.ndim != 2 or counts.shape[1] < 8:
        raise ValueError("an IRF histogram needs at least 8 bins a channel")
    if not np.all(np.isfinite(counts)) or np.any(counts < 0.0):
        raise ValueError("an IRF histogram holds counts: finite and not negative")
    if np.any(counts > _MOST_COUNTS):
        raise ValueError(f"an IRF histogram holds counts: {counts.max():.3g} in a bin is none")
    rows, kept, notes = [], [], []
    for c, row in zip(channels or range(counts.shape[0]), counts, strict=True):
        shares = cleaned(row)
        photons = int(row.sum())
        if channels and photons < _MIN_PHOTONS:
            notes.append(f"channel {c} of the IRF left out: {photons} photon{'s' * (photons != 1)}")
        elif shares is None:
            notes.append(f"the IRF of channel {c} does not stand out of its background")
            if not channels:
                raise ValueError(notes[-1])
        else:
            rows.append(shares)
            kept.append(int(c))
            if (width_s := fwhm_s(shares, bin_width_s)) > _WIDEST_S:
                notes.append(
                    f"the IRF of channel {c} is {1e9 * width_s:.3g} ns wide: that is the decay of something that "
                    "glows, not the response of an instrument"
                )
    if not rows:
        raise ValueError("no instrument response: " + "; ".join(notes))
    return MeasuredIrf(np.stack(rows), bin_width_s, tuple(kept) if channels else (), tuple(notes))


def running(row: Floats, window: int) -> Floats:
    """Sum of the ``window`` bins around each bin, around the end."""
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([row, row[:window]]))])
    return np.asarray(np.roll(sums[window : window + row.size] - sums[: row.size], window // 2))


def half_width(row: Floats, background: float) -> int:
    """The smallest power of two of bins that somewhere hold half the counts above ``background``."""
    wanted = 0.5 * (float(row.sum()) - row.size * background)
    width = 1
    while 2 * width < row.size and float(running(row, width).max()) - width * background < wanted:
        width *= 2
    return width


def _stands_out(sums: Floats, due: float) -> NDArray[np.bool_]:
    """Where sums of counts exceed the background ``due`` in them by 3 standard deviations."""
    return np.asarray(sums > due + 3.0 * math.sqrt(due + 1.0))


def cleaned(row: Floats) -> Floats | None:
    """The shares of one channel; None where nothing stands out of the background."""
    bins = row.size
    half = bins // 2
    background = max(0.0, float(running(row, half).min()) / half)
    window = min(max(5, half_width(row, background) // 4), bins // 2)
    peak = int(np.argmax(row))
    around = np.roll(row, bins // 2 - peak)
    before = _stands_out(running(around, window), window * background)
    if not before[bins // 2]:
        return None
    # A tail thins out: what follows a bin is asked at several lengths, none of which reaches back to the peak.
    after = before.copy()
    for length in (window, 2 * window, 4 * window, 8 * window):
        if length <= bins // 2:
            following = np.roll(running(around, length), -(length // 2))
            after |= _stands_out(following, length * background)
    first = int(np.flatnonzero(~before[: bins // 2]).max(initial=-1)) + 1
    last = bins // 2 + int(np.flatnonzero(~after[bins // 2 + 1 :]).min(initial=bins - bins // 2 - 1))
    kept = np.zeros(bins)
    kept[first : last + 1] = around[first : last + 1] - background
    return np.asarray(np.roll(kept / kept.sum(), peak - bins // 2))


def fwhm_s(shares: Floats, bin_width_s: float) -> float:
    """Full width at half maximum of one measured row (`crossings`)."""
    _, start, stop = crossings(shares)
    return (stop - start) * bin_width_s


def crossings(shares: Floats) -> tuple[float, float, float]:
    """Place of a row's peak in bins (0: the centre of bin 0), and its half-maximum crossings relative to it.

    Interpolated between bin centres. Bins much finer than the response hold few counts each: neighbours are averaged
    over an eighth of the stretch that holds half of it, which widens a Gaussian by 0.5 % at most.
    """
    smooth = max(1, half_width(shares, 0.0) // 8)
    mean = running(shares, smooth)
    highest = int(np.argmax(mean))
    around = np.roll(mean, shares.size // 2 - highest)
    top = shares.size // 2
    half = 0.5 * around[top]
    below = np.flatnonzero(around < half)
    left = int(below[below < top].max(initial=0))
    right = int(below[below > top].min(initial=shares.size - 1))
    start = left + (half - around[left]) / max(around[left + 1] - around[left], 1e-300)
    stop = right - (half - around[right]) / max(around[right - 1] - around[right], 1e-300)
    # A sum over an even number of bins is centred half a bin early.
    return highest - smooth // 2 + (smooth - 1) / 2.0, float(start - top), float(stop - top)


def shares_on_period(irf: MeasuredIrf, channels: Sequence[int], period_s: float) -> tuple[Floats, float]:
    """The IRF's rows for the channels numbered so, and the width of their bins.

    A row that goes on around its end is counted from where it begins: the range may be another period; t0 is fitted.
    Bins that begin beyond the period are cut off, and the rest normalised again. Bins far finer than the response
    are joined, which spares time: 24 to a full width shape it to 0.1 %.
    Raises ValueError if a channel has no response, or more than half of one lies beyond the period.
    """
    missing = [c for c in channels if not irf.serves(c)]
    if missing:
        raise ValueError(f"the IRF has channels {_listed(irf.numbers)}, not {_listed(missing)}")
    rows = [irf.numbers.index(c) if c in irf.numbers else 0 for c in channels]
    shares = irf.shares[rows]
    bins = min(shares.shape[1], math.ceil(period_s / irf.bin_width_s - 1e-9))
    shares = np.stack([_in_one_piece(row) for row in shares])[:, :bins]
    total = shares.sum(axis=1, keepdims=True)
    if np.any(total < 0.5):
        raise ValueError("more than half of the measured IRF lies beyond the pulse period")
    group = max(1, min(int(fwhm_s(row, 1.0) / _FINE) for row in shares))
    # Behind the last photon of the responses there is nothing to add up; as much again stands between their end and
    # their beginning, around which a width is looked for.
    end = min(bins, 2 * int(np.flatnonzero(shares.any(axis=0))[-1]) + 4)
    joined = np.add.reduceat(shares[:, :end] / total, np.arange(0, end, group), axis=1)
    return np.ascontiguousarray(joined), group * irf.bin_width_s


def stretch(row: Floats) -> tuple[int, int]:
    """The first bin of what a row holds, and how many bins that goes on for, around its end: all but the widest gap."""
    filled = np.flatnonzero(row)
    if not filled.size:
        return 0, 0
    gaps = np.diff(filled, append=filled[0] + row.size)
    widest = int(np.argmax(gaps))
    return int(filled[(widest + 1) % filled.size]), row.size + 1 - int(gaps[widest])


def _in_one_piece(row: Floats) -> Floats:
    first, length = stretch(row)
    return np.roll(row, -first) if first + length > row.size else row


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def unlike(irf: MeasuredIrf, now: Circumstances) -> list[str]:
    """What of ``now``, the circumstances of an experiment, is so unlike those of the response that it may differ.

    The wavelength (a detector's response depends on where photons are absorbed), the pulse period by more than 1 %,
    the width of the time bins, and the count rate by more than a factor of 10 (the response of a SPAD shifts with it).
    Only what is known of both is compared.
    """
    then = irf.taken
    notes = []
    if then.excitation_nm and now.excitation_nm and abs(then.excitation_nm - now.excitation_nm) > _SAME_NM:
        notes.append(
            f"the IRF was taken at {then.excitation_nm:g} nm, the excitation is {now.excitation_nm:g} nm"
        )
    if then.pulse_period_s and now.pulse_period_s:
        rates_mhz = 1e-6 / then.pulse_period_s, 1e-6 / now.pulse_period_s
        if abs(rates_mhz[0] - rates_mhz[1]) > _SAME_PERIOD * rates_mhz[1]:
            notes.append(
                f"the IRF was taken at a repetition rate of {rates_mhz[0]:.4g} MHz, this recording at "
                f"{rates_mhz[1]:.4g} MHz"
            )
    if (
        then.bin_width_s
        and now.bin_width_s
        and not math.isclose(then.bin_width_s, now.bin_width_s, rel_tol=1e-6)
    ):
        notes.append(
            f"the IRF was taken with a dtime resolution of {1e12 * then.bin_width_s:.4g} ps, this recording with "
            f"{1e12 * now.bin_width_s:.4g} ps"
        )
    for channel, rate_hz in sorted(now.rates_hz.items()):
        before_hz = then.rates_hz.get(channel)
        if before_hz and rate_hz and max(before_hz / rate_hz, rate_hz / before_hz) > _SAME_RATE:
            notes.append(
                f"the IRF of channel {channel} was taken at {before_hz:.3g} counts/s, the selected photons come at "
                f"{rate_hz:.3g} counts/s"
            )
    return notes
