"""Simulates single exponentials and flat backgrounds to set the thresholds in nodes/inference/select.py.

    python bench/calibrate_mono_bi.py [--runs 1000] [--out bench/calibrate_mono_bi.tsv]

Photons are drawn one by one (exponential delay, normal jitter, modulo the period, flat background), put into a
histogram and searched for one and for two exponentials exactly as a fit does. The table gives, for each setting, the
90, 95, 99 and 99.9 % points of 2 ln(L_bi/L_mono) under the null and the share of runs above the threshold; and for
flat histograms the same of 2 ln(L_decay/L_flat).
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from photonstream.nodes.inference import search, select
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.irf import FWHM_PER_SIGMA
from photonstream.nodes.inference.scoring import maximise
from photonstream.nodes.inference.tail import FittedTail

POINTS = (90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True)
class Setting:
    """One simulated experiment; ``tau_s`` None is a flat background."""

    name: str
    photons: int
    tau_s: float | None
    period_s: float = 210.5e-9
    bin_s: float = 80e-12
    fwhm_s: float = 0.1e-9
    channels: int = 1
    tail_fitted: bool = False


SETTINGS = (
    Setting("210.5 ns, tau 47 ns, 3e2 photons", 300, 47e-9),
    Setting("the same, 2 channels, 3e2 photons", 300, 47e-9, channels=2),
    Setting("210.5 ns, tau 47 ns, 1e3 photons", 1_000, 47e-9),
    Setting("the same, 2 channels, 1e3 photons", 1_000, 47e-9, channels=2),
    Setting("210.5 ns, tau 47 ns, 3e3 photons", 3_000, 47e-9),
    Setting("the same, 2 channels, 3e3 photons", 3_000, 47e-9, channels=2),
    Setting("210.5 ns, tau 47 ns, 1e4 photons", 10_000, 47e-9),
    Setting("210.5 ns, tau 47 ns, 1e5 photons", 100_000, 47e-9),
    Setting("210.5 ns, tau 47 ns, 1e6 photons", 1_000_000, 47e-9),
    Setting("the same, 2 channels, 1e5 photons", 100_000, 47e-9, channels=2),
    Setting("13.2 ns, tau 3.5 ns, 16 ps bins, IRF 0.35 ns, 1e5", 100_000, 3.5e-9, 13.17e-9, 16e-12, 0.35e-9),
    Setting("a tail fitted that is not there, 1e3 photons", 1_000, 47e-9, tail_fitted=True),
    Setting("a tail fitted that is not there, 1e4 photons", 10_000, 47e-9, tail_fitted=True),
    Setting("a tail fitted that is not there, 1e5 photons", 100_000, 47e-9, tail_fitted=True),
    Setting("flat, 210.5 ns, 1e3 photons", 1_000, None),
    Setting("flat, 210.5 ns, 1e5 photons", 100_000, None),
    Setting("flat, 13.2 ns, 4 ps bins, 1e4 photons", 10_000, None, 13.17e-9, 4e-12, 0.35e-9),
)


def histograms(setting: Setting, rng: np.random.Generator) -> DecayData:
    """Draw the photons of one run, 1 % of them background."""
    bins = math.ceil(setting.period_s / setting.bin_s)
    rows = []
    for c in range(setting.channels):
        photons = setting.photons // setting.channels
        flat = photons if setting.tau_s is None else int(rng.binomial(photons, 0.01))
        times_s = rng.random(photons) * setting.period_s
        if setting.tau_s is not None:
            t0_s = (0.095 + 0.003 * c) * setting.period_s
            times_s[flat:] = rng.exponential(setting.tau_s, photons - flat)
            times_s[flat:] += rng.normal(t0_s, setting.fwhm_s / FWHM_PER_SIGMA, photons - flat)
        index = np.floor(times_s % setting.period_s / setting.bin_s).astype(np.int64)
        rows.append(np.bincount(index, minlength=bins))
    return DecayData(np.array(rows), setting.bin_s, setting.period_s)


def statistic(setting: Setting, data: DecayData) -> float:
    """2 ln(L_bi/L_mono), or 2 ln(L_decay/L_flat) for a flat background."""
    options = FitOptions(irf=FittedTail() if setting.tail_fitted else None)
    channels = range(setting.channels)
    alone = [search.likelihood_of(data, options, [c]) for c in channels]
    fits = [search.fit_channel(likelihood, options) for likelihood in alone]
    if setting.tau_s is None:
        return 2.0 * (search.constant_half_deviance(alone[0]) - fits[0].half_deviance)
    likelihood = search.likelihood_of(data, options, channels)
    start = search.joint_start(fits)
    box = search.box_of(likelihood, options, start)
    single = maximise(likelihood, start, box)
    width_s = search.half_maximum_width_s(single.theta, 0)
    double_box = search.double_box(likelihood, box, single.theta, width_s)
    single, double = search.fit_pair(likelihood, box, double_box, single)
    return 2.0 * (single.half_deviance - double.half_deviance)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".tsv"))
    arguments = parser.parse_args()
    lines = [
        "\t".join(["setting", "runs", *(f"{p:g} %" for p in POINTS), "largest", "threshold", "share above"])
    ]
    print(lines[0])
    for number, setting in enumerate(SETTINGS):
        began = time.perf_counter()
        rng = np.random.default_rng([20_240_501, number])
        values = np.array([statistic(setting, histograms(setting, rng)) for _ in range(arguments.runs)])
        threshold = select.mono_bi_threshold(setting.photons, tail_fitted=setting.tail_fitted)
        if setting.tau_s is None:
            threshold = select.PULSED_THRESHOLD
        numbers = [*np.percentile(values, POINTS), values.max()]
        share = float(np.mean(values > threshold))
        cells = [
            setting.name,
            str(arguments.runs),
            *(f"{v:.2f}" for v in numbers),
            f"{threshold:g}",
            f"{share:.4f}",
        ]
        lines.append("\t".join(cells))
        print(lines[-1], f"  ({time.perf_counter() - began:.0f} s)", flush=True)
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
