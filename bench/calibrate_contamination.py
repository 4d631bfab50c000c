"""Simulates emitters that blink, to see how true the expected share of other states in the selected time is.

    python bench/calibrate_contamination.py [--runs 20] [--out bench/calibrate_contamination.tsv]

Photons are drawn and told apart as in a run: learned, then labelled (`calibrate_dwells`). The table has for each
setting the true share of the selected time that was another state's, the expected one (medians over the runs), and the
root mean square of their difference in units of the error that is told with it; "too many": in how many runs more
states were learned than there are.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from calibrate_dwells import Setting, State, draw, label, two
from numpy.typing import NDArray

from photonstream.nodes.inference.rows import STATES

SETTINGS = [
    Setting(
        "states alike: 12 and 11 kcps, 47 and 22 ns, 100 and 50 ms",
        (State(12e3, 47.0, 0.1), State(11e3, 22.0, 0.05)),
    ),
    two("flicker, 4 kcps, 800 and 150 ms", 4e3, 0.85, 19.9, 0.8, 0.15),
    two("flicker, 20 kcps, 50 and 25 ms", 20e3, 0.85, 19.9, 0.05, 0.025),
    two("dim for 30 ms every s, 4.5 kcps", 4.5e3, 0.67, 8.0, 1.0, 0.03),
    two("on and off, 1 kcps, 200 and 100 ms", 1e3, 0.05, 2.5, 0.2, 0.1),
    two("on and off, 10 kcps, 200 and 100 ms", 10e3, 0.05, 2.5, 0.2, 0.1),
    two("on and off, 50 kcps, 200 and 100 ms", 50e3, 0.05, 2.5, 0.2, 0.1),
    two("flicker, 50 kcps, 150 and 75 ms", 50e3, 0.85, 19.9, 0.15, 0.075),
]


def true_share(
    labels: NDArray[np.int64], bin_s: float, begins: NDArray[np.float64], path: NDArray[np.int64]
) -> float:
    """Share of the time of the bins labelled 1 in which the emitter was not in its first state."""
    on = path == 0
    ends = np.append(begins[1:], max(begins[-1], len(labels) * bin_s) + bin_s)
    known_s = np.append(0.0, np.cumsum(np.where(on, ends - begins, 0.0)))
    edges = np.interp(np.arange(len(labels) + 1) * bin_s, np.append(begins, ends[-1]), known_s)
    chosen = labels == 1
    return 1.0 - float(np.diff(edges)[chosen].sum()) / (chosen.sum() * bin_s)


def judge(setting: Setting, rng: np.random.Generator) -> tuple[float, float, float, bool] | str:
    """True share, expected one, its error, and whether a state too many was learned; or why nothing is known."""
    columns, begins, path = draw(setting, rng)
    labels: list[NDArray[np.int64]] = []
    hidden = label(columns, setting.duration_s, labels)
    if hidden is None or hidden.model is None:
        return "no states"
    on = np.zeros(STATES, bool)
    on[1] = True
    told = hidden.contamination(on)
    if told["contamination"] is None:
        return str(told["contamination_reason"])
    share, error = float(told["contamination"].sum()), float(np.hypot.reduce(told["contamination_error"]))
    true = true_share(np.concatenate(labels), hidden.bin_s, begins, path)
    return true, share, error, len(set(hidden.model.groups)) > len(setting.states)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".tsv"))
    arguments = parser.parse_args()
    lines = [
        "\t".join(
            ["setting", "runs", "true", "expected", "root mean square in errors", "too many", "not known"]
        )
    ]
    print(lines[0])
    for number, setting in enumerate(SETTINGS):
        began = time.perf_counter()
        runs = [
            judge(setting, np.random.default_rng([20_261_127, number, run])) for run in range(arguments.runs)
        ]
        known = [each for each in runs if not isinstance(each, str)]
        true, expected, errors, many = (
            (np.array(each) for each in zip(*known, strict=True)) if known else [np.empty(0)] * 4
        )
        square = float(np.sqrt(np.mean(((true - expected) / errors) ** 2))) if known else np.nan
        cells = [
            setting.name,
            str(len(runs)),
            f"{np.median(true):.4f}",
            f"{np.median(expected):.4f}",
            f"{square:.2f}",
        ]
        cells += [f"{many.sum():.0f}", str(len(runs) - len(known))]
        lines.append("\t".join(cells))
        print(lines[-1], f"  ({time.perf_counter() - began:.0f} s)", flush=True)
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
