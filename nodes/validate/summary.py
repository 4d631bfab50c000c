"""What many nanocrystals of one cell say of the numbers: bias, coverage, variance against the limit, wrong claims.

Every figure has its Monte-Carlo error, so that a reader can tell a defect from bad luck.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.estimate import Estimate, Interval, plain_number
from photonstream.nodes.validate.cells import CLEAR_SIGMA, Cell
from photonstream.nodes.validate.trial import Trial, balanced_accuracy

Figure = tuple[float, float]
_NONE: Figure = (math.nan, math.nan)


@dataclass(frozen=True)
class Summary:
    """One cell. Figures are pairs: value, Monte-Carlo error (NaN where there is none).

    Of the two-component fit by its likelihood alone, of the ``two`` nanocrystals in which a decay was seen at all
    (where fewer than ``count``, they are of a selection): ``bias`` of beta in standard errors (Cramér-Rao),
    ``coverage68``, ``coverage95``, ``variance`` over the Cramér-Rao bound, and ``shift``, root mean square shift of
    beta by the selection, in standard errors; they are NaN where beta lies within CLEAR_SIGMA of 0, where two lifetimes
    are hardly told.

    Of the pipeline's own answer: ``bi``, the share called bi-exponential (at beta 0 the false positives); ``given``,
    the share with a beta; ``upper``, the share of upper limits above the truth; ``accuracy`` of the states per
    millisecond, balanced, over all bins; ``reason``, the most frequent one for no beta.
    """

    cell: Cell
    count: int
    two: int
    sigma: float
    bias: Figure
    coverage68: Figure
    coverage95: Figure
    variance: Figure
    bi: Figure
    given: Figure
    upper: Figure
    accuracy: Figure
    shift: Figure
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it; NaN is null."""
        found: dict[str, Any] = {"cell": asdict(self.cell), "truth": self.cell.truth}
        for name, value in asdict(self).items():
            if isinstance(value, tuple):
                found[name] = {"value": plain_number(value[0]), "error": plain_number(value[1])}
            elif isinstance(value, float):
                found[name] = plain_number(value)
            elif name != "cell":
                found[name] = value
        return found


def summarise(cell: Cell, trials: Sequence[Trial]) -> Summary:
    """The figures of a cell from its nanocrystals, at least one."""
    truth, limit = cell.truth, cell.limit()
    sigma = limit / math.sqrt(np.mean([trial.selected for trial in trials]))
    clear = truth > CLEAR_SIGMA * sigma
    two = [(t.beta_two, limit / math.sqrt(t.selected)) for t in trials if t.beta_two is not None]
    z = np.array([(beta.value - truth) / each for beta, each in two]) if clear else np.empty(0)
    limits = [t.upper95 for t in trials if t.upper95 is not None]
    shifts = np.array([t.shift_sigma for t in trials if t.shift_sigma is not None])
    reasons = Counter(trial.reason.split(";")[0] for trial in trials if trial.beta is None)
    return Summary(
        cell,
        len(trials),
        len(two),
        sigma,
        _mean(z),
        _covered([beta for beta, _ in two], truth, 68) if clear else _NONE,
        _covered([beta for beta, _ in two], truth, 95) if clear else _NONE,
        _variance(z),
        _share([trial.model == "bi" for trial in trials]),
        _share([trial.beta is not None for trial in trials]),
        _share([limit95 > truth for limit95 in limits]),
        _accuracy(np.array([trial.bins for trial in trials])),
        _mean_square(shifts) if clear else _NONE,
        reasons.most_common(1)[0][0] if reasons else "",
    )


def _mean(values: NDArray[np.float64]) -> Figure:
    if values.size < 2:
        return _NONE if not values.size else (float(values[0]), math.nan)
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size))


def _variance(z: NDArray[np.float64]) -> Figure:
    if z.size < 3:
        return _NONE
    value = float(z.var(ddof=1))
    return value, value * math.sqrt(2.0 / (z.size - 1))


def _accuracy(bins: NDArray[np.int64]) -> Figure:
    """Of all bins of all nanocrystals, one with few dark bins says little; its error by leaving each out in turn."""
    whole, n = bins.sum(axis=0), len(bins)
    value = balanced_accuracy(whole)
    if n < 2:
        return value, math.nan
    without = np.array([balanced_accuracy(whole - each) for each in bins])
    return value, float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def _mean_square(values: NDArray[np.float64]) -> Figure:
    if values.size < 2:
        return _NONE
    square, error = _mean(values**2)
    root = math.sqrt(square)
    return root, 0.5 * error / max(root, 1e-12)


def _share(found: Sequence[bool]) -> Figure:
    """A share; its error as if one more had been found and one more not, so that 0 of n is not exact."""
    n = len(found)
    if not n:
        return _NONE
    wide = (sum(found) + 1.0) / (n + 2.0)
    return sum(found) / n, math.sqrt(wide * (1.0 - wide) / n)


def _covered(estimates: Sequence[Estimate], truth: float, level: int) -> Figure:
    return _share([_inside(e.ci68 if level == 68 else e.ci95, truth) for e in estimates])


def _inside(interval: Interval | None, value: float) -> bool:
    """A side that does not close holds everything beyond."""
    low, high = interval or (math.nan, math.nan)
    return (low is None or low <= value) and (high is None or value <= high)
