"""Simulates emitters that blink, to set MOST_WRONG_PER_VISIT in nodes/dwells.py.

    python bench/calibrate_dwells.py [--runs 8] [--out bench/calibrate_dwells.tsv]

Photons of emitters with two to four states are drawn and told apart as in a run: learned, then labelled. The table has
for each setting how many bins the labels expect to be wrong for each visit of the selected state that was found, how
many visits of a millisecond or more were found for each true one, and the mean of the found dwells, in the selected
state and out of it, over that of the true ones in the same recording that lasted longer than the cutoff. "held": in how
many of the runs with a mean the truth lies within one standard error of it, or between it and the mean with missed
visits restored; medians over the runs with their spread (half of the distance of the 16 and 84 % points).
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.dwells import (
    MOST_WRONG_PER_VISIT,
    MOST_WRONG_SHARE,
    SIDES,
    Dwells,
    dwell_summary,
)
from photonstream.nodes.hidden_states import HiddenStates
from photonstream.nodes.intensity import Intensity, IntensityParameters
from photonstream.nodes.states import States, StatesParameters
from photonstream.stream.chunk import Chunk, StreamInfo
from photonstream.stream.node import Opening

SYNC_HZ, RESOLUTION_S, T0_BINS = 5e6, 0.2e-9, 15
INFO = StreamInfo("calibration", "none", "T3", 1 / SYNC_HZ, RESOLUTION_S, SYNC_HZ, 1, 2)
PERIOD_BINS = round(1 / SYNC_HZ / RESOLUTION_S)
PIECE_S = 1.0
# Exponent and limits in s where dwells follow a power law.
POWER_LAW = (1.5, 0.02, 5.0)


@dataclass(frozen=True)
class State:
    """Photons a second and lifetime (ns) of a state, and how long it lasts: a mean in s, or (alpha, s, s)."""

    rate_hz: float
    tau_ns: float
    dwell: float | tuple[float, float, float]

    def draw_s(self, rng: np.random.Generator) -> float:
        if not isinstance(self.dwell, tuple):
            return float(rng.exponential(self.dwell))
        alpha, shortest_s, longest_s = self.dwell
        low, high = shortest_s ** (1 - alpha), longest_s ** (1 - alpha)
        return float((low + (high - low) * rng.random()) ** (1 / (1 - alpha)))


@dataclass(frozen=True)
class Setting:
    """An emitter; ``jumps`` (from, to) are the odds of its next state. Without, two in turn."""

    name: str
    states: tuple[State, ...]
    jumps: tuple[tuple[float, ...], ...] = ()
    duration_s: float = 60.0
    background_hz: float = 100.0

    def odds(self) -> NDArray[np.float64]:
        odds = np.array(self.jumps or ((0, 1), (1, 0)), float)
        return odds / odds.sum(axis=1, keepdims=True)


def two(name: str, rate_hz: float, contrast: float, tau_ns: float, on: float, off: float) -> Setting:
    """An emitter of 47 ns and another state of ``contrast`` as many photons, in turn."""
    return Setting(name, (State(rate_hz, 47.0, on), State(contrast * rate_hz, tau_ns, off)))


# Rates, dwell times and switches of three recorded single emitters, by how much of the time they are bright.
RECORDED = {
    "bright 14 % of the time": (
        (State(4.5e3, 47.0, 0.36), State(1.5e3, 30.0, 0.1), State(300.0, 8.0, 0.26), State(50.0, 8.0, 2.5)),
        ((0, 26, 2, 0), (91, 0, 0, 8), (0, 0, 0, 1), (0, 5, 35, 0)),
    ),
    "bright 16 %, steps of 12 ms": (
        (
            State(4.7e3, 47.0, 0.13),
            State(2.1e3, 22.0, 0.012),
            State(600.0, 8.0, 0.096),
            State(100.0, 5.0, 0.19),
        ),
        ((0, 70, 0, 6), (19, 0, 63, 2), (0, 79, 0, 25), (4, 0, 49, 0)),
    ),
    "bright 64 %, steps of 30 ms": (
        (
            State(4.4e3, 47.0, 0.55),
            State(1.8e3, 12.0, 0.029),
            State(450.0, 6.0, 0.035),
            State(50.0, 5.0, 0.59),
        ),
        ((0, 6, 12, 1), (10, 0, 24, 0), (12, 10, 0, 6), (1, 0, 16, 0)),
    ),
}


def _settings() -> list[Setting]:
    found = []
    for kcps in (1, 2, 4, 30):
        found.append(two(f"on and off, 200 and 100 ms, {kcps} kcps", 1e3 * kcps, 0.05, 2.5, 0.2, 0.1))
    for kcps in (2, 4, 6, 8, 15, 30):
        found.append(two(f"flicker, 800 and 150 ms, {kcps} kcps", 1e3 * kcps, 0.85, 19.9, 0.8, 0.15))
    for ms, kcps in ((20, 20), (50, 10), (50, 20), (150, 10), (150, 20)):
        found.append(
            two(
                f"flicker, {ms} and {ms // 2} ms, {kcps} kcps", 1e3 * kcps, 0.85, 19.9, 1e-3 * ms, 0.5e-3 * ms
            )
        )
    for kcps in (1, 2, 3, 10, 30):
        on, off = State(1e3 * kcps, 47.0, POWER_LAW), State(0.4e3 * kcps, 10.0, POWER_LAW)
        found.append(Setting(f"power law, {kcps} kcps", (on, off)))
    for kcps in (2, 3, 4.5, 10, 30):
        found.append(two(f"dim for 30 ms every s, {kcps:g} kcps", 1e3 * kcps, 0.67, 8.0, 1.0, 0.03))
    for kcps in (1, 2, 3, 5):
        found.append(two(f"bright for 50 ms every s, {kcps} kcps", 1e3 * kcps, 0.1, 8.0, 0.05, 1.0))
    for name, (states, jumps) in RECORDED.items():
        for scale in (0.25, 0.5, 0.75, 1.0, 2.0, 4.0):
            scaled = tuple(State(scale * s.rate_hz, s.tau_ns, s.dwell) for s in states)
            title = f"four states, {name}, {4.5 * scale:.3g} kcps"
            found.append(Setting(title, scaled, jumps, 120.0, 150.0 * scale))
    return found


def draw(
    setting: Setting, rng: np.random.Generator
) -> tuple[dict[str, NDArray[np.integer]], NDArray, NDArray]:
    """Photons of a recording, when its states began, and which they were."""
    odds = setting.odds()
    begins, path, now = [0.0], [0], setting.states[0].draw_s(rng)
    while now < setting.duration_s:
        begins.append(now)
        path.append(int(rng.choice(len(setting.states), p=odds[path[-1]])))
        now += setting.states[path[-1]].draw_s(rng)
    parts = []
    for (a, b), k in zip(itertools.pairwise([*begins, setting.duration_s]), path, strict=True):
        state = setting.states[k]
        signal, flat = rng.poisson(np.array([state.rate_hz, setting.background_hz]) * (b - a))
        delay = rng.exponential(state.tau_ns * 1e-9 / RESOLUTION_S, signal).astype(np.int64) + T0_BINS
        dtime = np.concatenate([delay % PERIOD_BINS, rng.integers(0, PERIOD_BINS, flat)])
        pulse = rng.integers(
            round(a * SYNC_HZ), max(round(b * SYNC_HZ), round(a * SYNC_HZ) + 1), signal + flat
        )
        order = np.argsort(pulse)
        parts.append((pulse[order], dtime[order]))
    macrotime, dtime = (np.concatenate(each) for each in zip(*parts, strict=True))
    channel = rng.integers(0, 2, len(dtime)).astype(np.uint8)
    columns = {"macrotime": macrotime.astype(np.uint64), "dtime": dtime.astype(np.uint32), "channel": channel}
    return columns, np.array(begins), np.array(path)


class _Kept(Dwells):
    """Keeps the states of the bins, too."""

    def __init__(self, kept: list[NDArray[np.int64]]) -> None:
        super().__init__()
        self._kept = kept

    def add(self, states: NDArray[np.int64], blind: NDArray[np.bool_] | None = None) -> None:
        self._kept.append(states.copy())
        super().add(states, blind)


def label(
    columns: dict[str, NDArray[np.integer]], duration_s: float, kept: list[NDArray[np.int64]] | None = None
) -> HiddenStates | None:
    """The states of a recording as a run tells them, of each bin in ``kept``; None with too little to learn from."""
    model = None
    for _ in range(2):
        intensity = Intensity("intensity", IntensityParameters(0.01))
        states = States("states", StatesParameters(model=model))
        states.open(intensity.open(Opening(INFO, {"pulse_period_s": 1 / SYNC_HZ})))
        if kept is not None and states._hidden is not None:
            kept.clear()
            states._hidden.dwells = _Kept(kept)
        edges = np.append(np.arange(0.0, duration_s, PIECE_S), duration_s)
        for n, (a, b) in enumerate(itertools.pairwise(np.round(edges * SYNC_HZ).astype(int).tolist())):
            part = slice(*np.searchsorted(columns["macrotime"], np.array([a, b], np.uint64)))
            piece: dict[str, NDArray] = {name: array[part] for name, array in columns.items()}
            piece["blind"] = np.empty((0, 2), np.int64)
            for chunk in intensity.fold(Chunk(n, a, b, len(piece["channel"]), piece)):
                states.fold(chunk)
        for chunk in intensity.close():
            states.fold(chunk)
        states.close()
        if model is None and (model := states.choice(final=True)) is None:
            return None
    return states._hidden


@dataclass(frozen=True)
class Found:
    """One run: wrong bins a visit; visits found over true ones; mean of dwells over the truth, and whether it holds."""

    wrong: float
    visits: float
    means: tuple[float, float]
    held: tuple[float, float]


def judge(setting: Setting, rng: np.random.Generator) -> Found | None:
    columns, begins, path = draw(setting, rng)
    hidden = label(columns, setting.duration_s)
    if hidden is None or len(hidden._visits) < 2 or not hidden._visits[2:].any():
        return None
    bin_s = hidden.bin_s
    summary = dwell_summary(hidden.dwells.describe([1], bin_s))
    if summary is None:
        return None
    on = path == 0
    starts = np.flatnonzero(np.diff(on, prepend=~on[0]))
    lasted = np.diff(np.append(begins[starts], setting.duration_s))
    whole = {True: lasted[1:-1][on[starts][1:-1]], False: lasted[1:-1][~on[starts][1:-1]]}
    means, held = [], []
    for name, side in zip(SIDES, (True, False), strict=True):
        tau, shortest_s = summary[name]["tau_s"], summary[name]["shortest_s"] or 0.0
        true = whole[side][whole[side] > shortest_s]
        if tau is None or not true.size:
            means.append(np.nan)
            held.append(np.nan)
            continue
        mean = float(true.mean()) - shortest_s
        corrected = summary[name]["corrected_s"]
        ends = [tau["value"], tau["value"] if corrected is None else corrected["value"]]
        means.append(tau["value"] / mean)
        held.append(float(min(ends) - tau["stderr"] <= mean <= max(ends) + tau["stderr"]))
    visits = int(hidden._visits[1])
    true_visits = np.count_nonzero(whole[True] > 1e-3)
    return Found(
        hidden.expected_wrong([1]) / max(visits, 1),
        visits / max(true_visits, 1),
        (means[0], means[1]),
        (held[0], held[1]),
    )


def _told(values: list[float], digits: int = 2) -> str:
    known = np.array([v for v in values if np.isfinite(v)])
    if not known.size:
        return ""
    low, middle, high = np.percentile(known, (16, 50, 84))
    return f"{middle:.{digits}f} ± {0.5 * (high - low):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".tsv"))
    arguments = parser.parse_args()
    head = ["setting", "runs", "wrong bins a visit", "visits found/true"]
    head += [f"{what} {side}" for side in SIDES for what in ("mean/true", "held")]
    rows = []
    print("\t".join(head))
    for number, setting in enumerate(_settings()):
        began = time.perf_counter()
        found = [
            judge(setting, np.random.default_rng([20_261_126, number, run])) for run in range(arguments.runs)
        ]
        known = [each for each in found if each is not None]
        wrong = [each.wrong for each in known]
        cells = [setting.name, str(len(known)), _told(wrong), _told([each.visits for each in known])]
        for side in range(2):
            held = [each.held[side] for each in known if np.isfinite(each.held[side])]
            cells += [_told([each.means[side] for each in known]), f"{sum(held):.0f} of {len(held)}"]
        rows.append((float(np.median(wrong)) if wrong else np.inf, "\t".join(cells)))
        print(rows[-1][1], f"  ({time.perf_counter() - began:.0f} s)", flush=True)
    rows.sort(key=lambda row: row[0])
    lines = ["\t".join(head), *(line for _, line in rows)]
    lines.append(
        f"limit: {MOST_WRONG_PER_VISIT:g} wrong bins a visit, or {MOST_WRONG_SHARE:g} of the shorter mean visit"
    )
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
