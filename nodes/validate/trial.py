"""One simulated nanocrystal through the pipeline: what was measured of it, and what is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.refit import beta_of, refit_of
from photonstream.nodes.inference.rows import selected
from photonstream.nodes.pipeline import READERS, photon_path
from photonstream.nodes.simulate import simulate
from photonstream.nodes.simulate.parameters import SimulationParameters
from photonstream.stream.chunk import Result
from photonstream.stream.runner import InlineRunner
from photonstream.stream.topology import NodeSpec, Topology


@dataclass(frozen=True)
class Trial:
    """One nanocrystal.

    ``bins`` of 1 ms, (2, 2): how many were truly not neutral (0) or neutral (1), and taken for that. ``states``: how
    many were told apart. ``beta``: as the pipeline gives it, None with its ``reason``; ``beta_two``: of two components
    by the likelihood alone, whatever may be claimed, from the same photons; ``beta_true``: the same from the photons of
    the true neutral state; ``beta_window``: by the window of the rule. ``selected``: photons selected, out of
    ``photons``. ``upper95``: limit where one component suffices.
    """

    photons: int
    selected: int
    bins: tuple[tuple[int, int], tuple[int, int]]
    states: int
    resolved: bool
    model: str
    reason: str
    beta: Estimate | None
    beta_two: Estimate | None
    beta_true: Estimate | None
    beta_left_out: Estimate | None
    beta_window: Estimate | None
    upper95: float | None
    likelihood_ratio: float | None

    @property
    def accuracy(self) -> float:
        """Balanced accuracy of "neutral or not" per bin; 1 where it never left that state and all was selected."""
        return balanced_accuracy(np.array(self.bins))

    @property
    def shift_sigma(self) -> float | None:
        """By how many standard errors the selection moves beta from that of a perfect one."""
        if self.beta_two is None or self.beta_true is None or not self.beta_true.stderr:
            return None
        return (self.beta_two.value - self.beta_true.value) / self.beta_true.stderr


def run_trial(
    parameters: SimulationParameters, folder: Path, lifetime: Mapping[str, Any] | None = None
) -> Trial:
    """Simulate a nanocrystal into ``folder`` and measure it; ``lifetime``: parameters of that node."""
    path = folder / f"nc_{parameters.seed}.ptu"
    simulate(parameters, path)
    given = {"source": {"path": str(path)}, "probe": {"truth_of": str(path)}, "lifetime": lifetime or {}}
    path_nodes = photon_path(given).nodes
    nodes = (
        *path_nodes,
        NodeSpec("probe", "probe", ("states",), given["probe"]),
        NodeSpec("lifetime", "lifetime", READERS["lifetime"], given["lifetime"]),
    )
    results = InlineRunner(Topology(nodes)).run().results
    for file in folder.glob(f"{path.name}*"):
        file.unlink()
    return _judge(results)


def _judge(results: Mapping[tuple[str, str], Result]) -> Trial:
    rows, selection = results["decay", "rows"].value, results["states", "selection"].value
    truth, summary = results["probe", "truth"].value, results["lifetime", "fit"].value["summary"]

    def two(counts: NDArray[np.int64], on_time_s: float) -> tuple[Estimate | None, float | None]:
        channels = tuple(rows["channels"].tolist())
        period_s = rows["pulse_period_s"]
        data = DecayData(counts, rows["resolution_s"], period_s, on_time_s / period_s, channels)
        options = FitOptions(intervals=False)
        fit = fit_decay(data, options)
        if fit.start is None:
            return None, None
        return beta_of(refit_of(data, options, fit), options.s), fit.likelihood_ratio

    on = selected(selection, rows["labels"])
    counts = rows["counts"][on].sum(axis=0)
    beta_two, likelihood_ratio = two(counts, selection["on_time_s"])
    beta_true, _ = two(truth["neutral"][rows["channels"]], truth["neutral_s"])
    others = summary.get("other_selections") or {}
    return Trial(
        photons=int(rows["counts"].sum()),
        selected=int(counts.sum()),
        bins=_told(truth["bins"], selection["on_states"]),
        states=len({row["state"] for row in selection.get("states", [])}),
        resolved=selection.get("resolved") is not False,
        model=summary["fit"]["model"],
        reason=summary["beta_reason"] or summary["fit"]["reason"],
        beta=_estimate(summary["beta"]),
        beta_two=beta_two,
        beta_true=beta_true,
        beta_left_out=_estimate(others.get("left_out")),
        beta_window=_estimate(others.get("window")),
        upper95=summary["beta_upper95"],
        likelihood_ratio=likelihood_ratio,
    )


def _estimate(value: Mapping[str, Any] | None) -> Estimate | None:
    if value is None:
        return None
    low68, high68 = value["ci68"] or (None, None)
    low95, high95 = value["ci95"] or (None, None)
    return Estimate(value["value"], value["stderr"], (low68, high68), (low95, high95))


def _told(bins: NDArray[np.int64], on_states: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]]:
    """`Trial.bins` from how many bins (not neutral, neutral) got each state."""
    taken = [[int(row[~on_states].sum()), int(row[on_states].sum())] for row in bins]
    return (taken[0][0], taken[0][1]), (taken[1][0], taken[1][1])


def balanced_accuracy(bins: NDArray[np.int64]) -> float:
    """Mean share of the bins taken for what they are, from counts (truth, taken for); of the truths that there are."""
    shares = [row[k] / row.sum() for k, row in enumerate(bins) if row.sum()]
    return float(np.mean(shares)) if shares else 1.0
