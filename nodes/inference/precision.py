"""When to stop: what is still to be measured until beta is known to a wanted standard error.

Information grows with the photons of the selected state as long as their mixture stays: sigma^2 times the photons is
constant, and the Fisher information of the present fit says what it is. So n photons with sigma become
n (sigma/target)^2, and time is photons over the rate at which they come now, dark times included.

Whoever looks again and again and ends when sigma is small enough ends by the information, not by the value of beta:
the final figure keeps its coverage (tests/nodes/inference/test_precision.py), which it would not if one waited for a
beta that one likes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import plain_number

TARGET_SIGMA = 0.02


@dataclass(frozen=True)
class Forecast:
    """``sigma``: present standard error of ``of`` ("beta", or "beta_signed" where one component suffices).

    ``photons_more`` and ``time_more_s``: what is missing to ``target_sigma``, 0 where it is reached. Where there is no
    sigma the three are None and ``reason`` says why.
    """

    target_sigma: float
    of: str
    sigma: float | None = None
    photons_more: float | None = None
    time_more_s: float | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As result.json has it."""
        return {
            "target_sigma": self.target_sigma,
            "of": self.of,
            "sigma": plain_number(self.sigma),
            "photons_more": plain_number(self.photons_more),
            "time_more_s": plain_number(self.time_more_s),
            "reason": self.reason,
        }


class StoppingRule:
    """Two fits in a row, of different photons, that know beta to the wanted standard error."""

    def __init__(self) -> None:
        # Photons of the second of them; None as long as the rule is not met.
        self.met_photons: int | None = None
        self._reached, self._photons = False, 0

    def look(self, photons: int, now: Forecast) -> None:
        """Take what a fit of so many ``photons`` forecasts."""
        if photons == self._photons or self.met_photons is not None:
            return
        reached = now.sigma is not None and now.sigma <= now.target_sigma
        if reached and self._reached:
            self.met_photons = photons
        self._reached, self._photons = reached, photons


def forecast(fit: DecayFit, target_sigma: float, rate_hz: float) -> Forecast:
    """What ``fit`` still needs where its photons come at ``rate_hz`` now. Errors are absolute, of beta."""
    of = "beta_signed" if fit.model == "mono" else "beta"
    estimate = fit.beta_signed if fit.model == "mono" else fit.beta
    if estimate is None or not estimate.stderr or not math.isfinite(estimate.stderr):
        return Forecast(target_sigma, of, reason=fit.beta_reason or fit.reason)
    more = max(0.0, fit.photons * ((estimate.stderr / target_sigma) ** 2 - 1.0))
    time_s = more / rate_hz if rate_hz > 0.0 else None if more else 0.0
    return Forecast(target_sigma, of, estimate.stderr, more, time_s)
