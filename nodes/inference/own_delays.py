"""What choosing bins by their own photons may have done to beta and tau_x, by the same bins judged without them.

A bin that its own delays put into the neutral state has delays that look neutral. One that is judged by its neighbours
alone has not, but more of those are of another state. Where bins tell little, both are wrong, to either side of the
truth; where they tell much the second one alone is, and the difference says little of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.contamination import Contaminant
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import Estimate

# What may have moved by more standard errors depends on the selection.
MOST_SHIFT = 0.5
JUDGED = ("beta", "tau_x_s")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """``fit``: of the bins judged without their own photons. ``part``: how much of what it says otherwise may be the
    fault of the selection with them, from 0 (nothing is chosen by them) to 1."""

    fit: DecayFit
    part: float

    def shift(self, fit: DecayFit, name: str) -> float | None:
        """By how much a figure of `JUDGED` is more without the bins' own photons than in ``fit``; None: not known."""
        own, other = _estimate(fit, name), _estimate(self.fit, name)
        return None if own is None or other is None else other.value - own.value

    def sigma(self, fit: DecayFit, name: str) -> float | None:
        """How far the selection by the photons' own delays may have moved a figure of ``fit``."""
        shift = self.shift(fit, name)
        return None if shift is None else self.part * abs(shift)

    def depending(self, fit: DecayFit) -> list[str]:
        """The figures of ``fit`` that depend on the selection, as far as they have errors."""
        return [name for name in JUDGED if self._depends(fit, name)]

    def _depends(self, fit: DecayFit, name: str) -> bool:
        own = _estimate(fit, name)
        if own is None or not own.stderr:
            return False
        sigma = self.sigma(fit, name)
        return sigma is None or sigma > MOST_SHIFT * own.stderr

    def words(self, name: str) -> str:
        """How the part of a figure was found."""
        if _estimate(self.fit, name) is None:
            return f"bins judged without their own photons: {self.fit.beta_reason or self.fit.reason}"
        how = "difference to what bins that are judged without their own photons give"
        if self.part == 1.0:
            return f"the {how}; how much of it is the fault of which selection is not known"
        return (
            f"{100.0 * self.part:.2g} % of the {how}: of the photons that one of both selections has wrongly so many "
            "are expected in this one; other states in the selection have their part in it"
        )


def _estimate(fit: DecayFit, name: str) -> Estimate | None:
    return fit.beta if name == "beta" else fit.tau_x_s


def part_of(
    others: Sequence[Contaminant] | str,
    resolved: bool | None,
    photons: NDArray[np.int64],
    own: NDArray[np.bool_],
    left_out: NDArray[np.bool_],
) -> float:
    """How much of the difference of both selections may be the fault of ``own``, that with the bins' own photons.

    ``photons`` of each label, ``own`` and ``left_out``: which labels are selected. Errors in proportion to the photons
    that are told wrongly, to opposite sides: those of the ``others`` that are expected in the own selection, over these
    and what the two tell otherwise. The whole where others are not known, or the states are not ``resolved``, so that
    nobody can rely on them.
    """
    apart = float(photons[own != left_out].sum())
    if not apart:
        return 0.0
    if isinstance(others, str) or not resolved:
        return 1.0
    wrong = sum(other.part * float(other.counts.sum()) for other in others)
    return wrong / (wrong + apart)
