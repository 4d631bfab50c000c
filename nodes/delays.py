"""Delays after the pulse, wherever that stands in the period: where the period is to be cut, means and their errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.rows import HIDDEN_MARKOV, levels_of, states_of

Counts = NDArray[np.int64]
# So many widths of the response before the pulse its first photons come: 3.5 standard deviations of a Gaussian.
EARLIEST = 1.5


class Pulse(NamedTuple):
    """Where the pulse of a channel stands, and the full width at half maximum of its response (s)."""

    t0_s: float
    fwhm_s: float = 0.0


# By number of the channel.
Pulses = Mapping[int, Pulse]


def cut_before_pulse(photons: Counts) -> int:
    """Which part of the period, of equal ones with so many ``photons``, begins behind the darkest before the pulse."""
    parts = len(photons)
    brightest = int(np.argmax(photons))
    back = [(brightest - k) % parts for k in range(1, parts)]
    return (min(back, key=lambda part: int(photons[part])) + 1) % parts


def pulses_of(fit: Mapping[str, Any]) -> dict[int, Pulse]:
    """The pulse of each fitted channel, from the ``fit`` of result.json."""
    found = {}
    for name, channel in (fit.get("channels") or {}).items():
        t0_s, fwhm_s = ((channel.get(key) or {}).get("value") for key in ("t0_s", "irf_fwhm_s"))
        if t0_s is not None:
            found[int(name)] = Pulse(t0_s, fwhm_s or 0.0)
    return found


def after_pulse(edges_s: NDArray[np.float64], pulses: Pulses) -> NDArray[np.float64]:
    """Edges of delays, a period long, counted from the pulse where that is known: the middle of the channels'."""
    if not pulses:
        return edges_s
    period_s = edges_s[-1] - edges_s[0]
    first, *others = (pulse.t0_s for pulse in pulses.values())
    t0_s = first + sum(_near(other - first, period_s) for other in others) / (1 + len(others))
    begin_s = _near(edges_s[0] - t0_s, period_s)
    found: NDArray[np.float64] = edges_s - edges_s[0] + begin_s
    return found


def _near(delay_s: float, period_s: float) -> float:
    """The same delay between minus half a period and half a period."""
    return delay_s - period_s * round(delay_s / period_s)


def mean_delay(
    decay: Counts,
    channels: Sequence[int],
    resolution_s: float,
    period_s: float | None,
    pulses: Pulses,
) -> tuple[float | None, float | None]:
    """Mean delay after the pulse of a ``decay`` (channels, bins), in s, and its standard error.

    Channels whose pulse is not known are left out; where none is known, delays are those after the sync.

    The response has photons before the pulse stands there, among the last ones of the pulse before. They are counted
    from the coming pulse, but for as many as the same time before them had: those are of the pulse before.
    """
    place_s = np.arange(decay.shape[1]) * resolution_s
    # What photons that are a period later add to the sum of delays, and to that of their squares.
    later, spread = 0.0, 0.0
    if pulses and period_s:
        known = [k for k, channel in enumerate(channels) if int(channel) in pulses]
        decay, delays_s = decay[known], np.empty((len(known), decay.shape[1]))
        for row, photons_in, k in zip(delays_s, decay, known, strict=True):
            pulse = pulses[int(channels[k])]
            row[:] = (place_s + 0.5 * resolution_s - pulse.t0_s) % period_s
            early_s = min(max(EARLIEST * pulse.fwhm_s, resolution_s), period_s / 4.0)
            early = row >= period_s - early_s
            before = (row >= period_s - 2.0 * early_s) & ~early
            if before.any():
                late = float(photons_in[before].sum() * early.sum() / before.sum())
                later, spread = later + late * period_s, spread + late * period_s**2
            row[early] -= period_s
    else:
        delays_s = np.broadcast_to(place_s, decay.shape)
    photons = int(decay.sum())
    if not photons:
        return None, None
    mean_s = float((decay * delays_s).sum()) / photons
    if photons < 2:
        return mean_s, None
    spread += float((decay * (delays_s - mean_s) ** 2).sum())
    return mean_s + later / photons, math.sqrt(spread / (photons - 1) / photons)


def with_delays(
    rows: Mapping[str, Any], selection: Mapping[str, Any], pulses: Pulses
) -> list[dict[str, Any]]:
    """The levels of ``selection``, each with ``mean_dtime_s`` after the pulse and ``mean_dtime_stderr_s``.

    ``rows`` is the result of the node ``decay``. The error is the standard deviation over the root of the photons.
    """
    labels: Counts = rows["labels"]
    found = []
    for level in selection["levels"]:
        if selection["method"] == HIDDEN_MARKOV:
            of_level = states_of(labels) == level["state"]
        else:
            low, high = level["between"]
            of_level = (levels_of(labels) >= low) & (levels_of(labels) < (high or np.inf))
        decay = rows["counts"][of_level].sum(axis=0)
        mean_s, stderr_s = mean_delay(
            decay, rows["channels"], rows["resolution_s"], rows["pulse_period_s"], pulses
        )
        found.append({**level, "mean_dtime_s": mean_s, "mean_dtime_stderr_s": stderr_s})
    return found
