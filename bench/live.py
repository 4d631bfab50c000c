"""What a live run costs: a fit beside scipy and iminuit, the state of a bin beside hmmlearn, on the same data.

Prints tables. Wants iminuit and hmmlearn for their rows: pip install iminuit hmmlearn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from statistics import median

import numpy as np
from fits import PERIOD_S, decay
from numpy.typing import NDArray
from scipy.optimize import minimize

from photonstream.nodes.inference import search
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.hidden_markov import label_bins
from photonstream.nodes.inference.likelihood import Likelihood, differentiate
from photonstream.nodes.inference.scoring import Box
from photonstream.nodes.kernels.hidden_markov import new_filter

STEP, UPDATES = 4_000, 80
# Each is timed so often, and the shortest counts: the machines are shared.
REPEATS = 3
BINS_OF_STATES = 200_000


def updates(model: str) -> list[DecayData]:
    """A decay that grows by 4,000 photons at a time."""
    total: NDArray[np.int64] | None = None
    found = []
    for seed in range(UPDATES):
        part = decay(STEP, seed)
        counts = part.counts if model == "bi" else mono(STEP, seed, part.counts.shape[1])
        total = counts if total is None else total + counts
        found.append(DecayData(total.copy(), part.bin_width_s, PERIOD_S))
    return found[5:]


def mono(photons: int, seed: int, bins: int) -> NDArray[np.int64]:
    """Two detectors' histograms of one exponential."""
    rng = np.random.default_rng(seed)
    delay_s = (3e-9 + rng.normal(0.0, 40e-12, photons) + rng.exponential(46.8e-9, photons)) % PERIOD_S
    at = np.minimum((delay_s * (bins / PERIOD_S)).astype(np.int64), bins - 1)
    return np.bincount(rng.integers(0, 2, photons) * bins + at, minlength=2 * bins).reshape(2, bins)


def live(data: list[DecayData], mean_n: float | None = None, *, invert: bool = False) -> list[float]:
    """Seconds of each update: both models, beta, errors, tests and curves; ``invert``: the cascade each time."""
    options = FitOptions(mean_n=mean_n)
    took, start = [], fit_decay(data[0], replace(options, intervals=False)).start
    for each in data[1:]:
        if invert and start is not None:
            start = replace(start, shift=None)
        work = partial(fit_decay, each, options, cold=False, start=start)
        took.append(timed(work))
        start = work().start
    return took


@dataclass
class Objective:
    """Half the deviance of the double exponential in all bins, and its gradient, of the free parameters.

    In steps of comparable size, without which both of the others take far longer.
    """

    likelihood: Likelihood
    optimum: NDArray[np.float64]
    free: NDArray[np.int64]
    scale: NDArray[np.float64]

    def __call__(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = self.optimum.copy()
        theta[self.free] = np.asarray(x) * self.scale
        gradient, information = np.zeros(theta.size), np.zeros((theta.size, theta.size))
        found = differentiate(self.likelihood, theta, gradient, information)
        return found, gradient[self.free] * self.scale


def by_scipy(objective: Objective, begin: NDArray[np.float64], box: Box) -> None:
    """Descend with L-BFGS-B."""
    low, high = (bound[objective.free] / objective.scale for bound in (box.lower, box.upper))
    minimize(objective, begin, jac=True, method="L-BFGS-B", bounds=list(zip(low, high, strict=True)))


def by_minuit(objective: Objective, begin: NDArray[np.float64], box: Box) -> None:
    """Descend with MIGRAD."""
    from iminuit import Minuit

    m = Minuit(lambda x: objective(x)[0], begin, grad=lambda x: objective(x)[1])
    m.errordef = 0.5
    m.migrad()


def others(data: list[DecayData]) -> dict[str, list[float]]:
    """Seconds of scipy's and iminuit's fit of one model, with our likelihood and gradient, from a warm start."""
    ways = {"scipy L-BFGS-B": by_scipy}
    if find_spec("iminuit") is not None:
        ways["iminuit"] = by_minuit
    took: dict[str, list[float]] = {name: [] for name in ways}
    options = FitOptions(intervals=False)
    for before, now in zip(data[:-1:8], data[1::8], strict=False):
        start = fit_decay(before, options).start
        assert start is not None
        likelihood = search.likelihood_of(now, options, [0, 1])
        box = search.double_box(
            likelihood, search.box_of(likelihood, options, start.single), start.single, 1e-10
        )
        free = np.flatnonzero(box.free)
        size = np.abs(start.double[free])
        scale = np.where(size < 1e-6, 1e-11, np.maximum(size, 1e-3))
        objective = Objective(likelihood, start.double, free, scale)
        for name, way in ways.items():
            took[name].append(timed(partial(way, objective, start.double[free] / scale, box)))
    return took


def timed(work: Callable[[], object]) -> float:
    """Seconds of the shortest call."""
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


RATES = np.array([[5.0, 6.0, 10.0, 9.0], [6.0, 5.0, 4.0, 2.0], [1.0, 0.5, 0.2, 0.1]])
SWITCH = np.full((3, 3), 0.005) + 0.985 * np.eye(3)


def states() -> dict[str, float]:
    """Seconds a bin to tell its state among three by four gates.

    Ours with a lag of ten bins, learning in flow; hmmlearn's posteriors of the whole recording with known parameters,
    and one round of its learning.
    """
    rng = np.random.default_rng(1)
    path = np.repeat(rng.integers(0, 3, BINS_OF_STATES // 100), 100)
    counts = rng.poisson(RATES[path]).astype(np.int32)

    def ours() -> None:
        f = new_filter(RATES, SWITCH, np.full(3, 1 / 3), 10, 2000.0, 100.0, 10_000.0)
        label_bins(f, counts, last=True)

    ours()
    took = {"photonstream, online": timed(ours)}
    if find_spec("hmmlearn") is not None:
        from hmmlearn.hmm import PoissonHMM

        other = PoissonHMM(3, init_params="", n_iter=1, tol=-math.inf)
        other.startprob_, other.transmat_, other.lambdas_ = np.full(3, 1 / 3), SWITCH, RATES.copy()
        took["hmmlearn PoissonHMM, posteriors of all bins"] = timed(lambda: other.predict_proba(counts))
        took["the same, one round of learning"] = timed(lambda: other.fit(counts))
    return {name: seconds / len(counts) for name, seconds in took.items()}


def main() -> None:
    """Print the table."""
    rows = []
    for model in ("bi", "mono"):
        data = updates(model)
        live(data[:10])
        took = live(data)
        rows.append((f"live fit, {model}: both models, beta", took))
        if model == "bi":
            rows.append(("the same with <N>: eta by both models", live(data, 0.1)))
            rows.append(("the same, the cascade inverted each time", live(data, 0.1, invert=True)))
            rows += [(f"{name}, one model, gradient", times) for name, times in others(data).items()]
    first = median(rows[0][1])
    print("| fit of two detectors of 2,600 bins | median ms | worst ms | beside the live fit |")
    print("|---|--:|--:|--:|")
    for name, took in rows:
        print(f"| {name} | {1e3 * median(took):.1f} | {1e3 * max(took):.1f} | {median(took) / first:.1f} |")
    per_bin = states()
    print("\n| state of a bin, three states by four gates | us | beside ours |\n|---|--:|--:|")
    for name, seconds in per_bin.items():
        print(f"| {name} | {1e6 * seconds:.2f} | {seconds / per_bin['photonstream, online']:.1f} |")


if __name__ == "__main__":
    main()
