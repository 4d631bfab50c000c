"""A part of what moves a figure beside the statistics of the photons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Systematic:
    """One ``source`` and its part of ``quantity`` (beta, eta, tau_x_s, tau_xx_s); ``how`` it was found, or why not."""

    source: str
    how: str
    shift: float | None = None
    sigma: float | None = None
    quantity: str = "beta"
