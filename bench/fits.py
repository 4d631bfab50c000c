"""How long a fit takes: a final one from cold, and one of a live run that starts where the last one ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay

BINS, PERIOD_S = 2600, 210.5e-9
TAU_X_S, TAU_XX_S, AMPLITUDE_XX = 46.8e-9, 3.6e-9, 0.435
T0_S, SIGMA_S = 3e-9, 40e-12
PHOTONS, BACKGROUND = 200_000, 0.01
REPEATS = 15


def decay(photons: int, seed: int) -> DecayData:
    """Two detectors' histograms of a biexponential decay, drawn photon by photon."""
    rng = np.random.default_rng(seed)
    fast = AMPLITUDE_XX * TAU_XX_S
    share = fast / (fast + (1 - AMPLITUDE_XX) * TAU_X_S)
    tau_s = np.where(rng.random(photons) < share, TAU_XX_S, TAU_X_S)
    delay_s = T0_S + rng.normal(0.0, SIGMA_S, photons) + rng.exponential(tau_s)
    dark = rng.random(photons) < BACKGROUND
    delay_s = np.where(dark, rng.uniform(0.0, PERIOD_S, photons), delay_s) % PERIOD_S
    bins = np.minimum((delay_s * (BINS / PERIOD_S)).astype(np.int64), BINS - 1)
    counts = np.bincount(rng.integers(0, 2, photons) * BINS + bins, minlength=2 * BINS)
    return DecayData(counts.reshape(2, BINS), PERIOD_S / BINS, PERIOD_S)


def timed(work: Callable[[], object]) -> float:
    """Median seconds of a call, once warm."""
    work()
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return median(took)


def main() -> None:
    """Leave report.json."""
    first, later = decay(PHOTONS, 1), decay(PHOTONS + PHOTONS // 20, 2)
    options = FitOptions()
    start = fit_decay(first, options).start
    if start is None:
        raise SystemExit("the fit of the benchmark's own decay failed")
    report = {
        "bins": 2 * BINS,
        "photons": PHOTONS,
        "cold_s": timed(lambda: fit_decay(first, options)),
        "warm_s": timed(lambda: fit_decay(later, options, cold=False, start=start)),
    }
    Path("report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
