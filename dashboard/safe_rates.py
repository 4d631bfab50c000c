"""How fast each detector counts, beside what it may count before the numbers suffer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from photonstream.dashboard.numbers import KCPS, fixed, number, plain, with_unit

# Each detector keeps one photon a pulse. At this share of the pulses the decay is shifted by what is still below the
# errors of a good measurement (beta +.003); it is also the usual rule, O'Connor and Phillips (1984).
PILE_UP_SHARE = 0.05
# A single-photon avalanche diode with a dead time of 50 ns is blind for a twentieth of the time at this rate.
DEAD_TIME_HZ = 1e6
# Pulses that come more rarely are a trigger, no laser after which a lifetime could be measured.
LEAST_LASER_HZ = 1e3
# Rates are of so many of the newest seconds.
RECENT_S = 1.0
# So many detectors are told one by one; of more only the fastest.
MOST_NAMED = 2


def laser_rate_hz(recording: Mapping[str, Any]) -> float | None:
    """Laser pulses a second in a ``recording``, None where none are known."""
    rate_hz = number(recording.get("sync_rate_hz"))
    return rate_hz if rate_hz is not None and rate_hz >= LEAST_LASER_HZ else None


def safe_rate_hz(pulse_rate_hz: float | None) -> float:
    """The rate up to which a detector is safe: by pile-up where pulses are known, and by dead time."""
    return min(DEAD_TIME_HZ, PILE_UP_SHARE * pulse_rate_hz) if pulse_rate_hz else DEAD_TIME_HZ


def rate_words(rates_hz: Sequence[float], pulse_rate_hz: float | None) -> tuple[str, str, bool]:
    """The rates, what they may be, and whether one is too high: without a laser only what is too high is told."""
    limit_hz = safe_rate_hz(pulse_rate_hz)
    words = [fixed(rate / 1e3, 1) for rate in rates_hz[:MOST_NAMED]]
    if len(rates_hz) > MOST_NAMED:
        words = [f"at most {fixed(max(rates_hz) / 1e3, 1)}"]
    too_high = any(rate > limit_hz for rate in rates_hz)
    limit = with_unit(plain(limit_hz / 1e3, 3), KCPS)
    small = f"above safe {limit}" if too_high else f"safe below {limit}" if pulse_rate_hz else ""
    return with_unit(" · ".join(words), KCPS) if words else "–", small, too_high
