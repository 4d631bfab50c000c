"""What a simulated file really holds: parameters, what follows from them, and what was drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.formats.records import RecordType
from photonstream.nodes.inference.cascade import biexciton_share, expected_decay
from photonstream.nodes.simulate.emission import SOURCES
from photonstream.nodes.simulate.parameters import STATES, SimulationParameters

SCHEMA = 1
# More changes of state than this go to a file of their own.
SWITCHES_IN_JSON = 2000

# Pulses at which the state of an emitter changed, and the states entered.
History = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Truth:
    """The truth about one simulated file.

    ``photons`` counts what was detected, shape (5, 2), by source (`SOURCES`) and channel. ``lost`` are
    photons that reached a detector and were not recorded, by cause. ``switches`` holds for each emitter the
    pulses at which its state changed and the states entered (indices of STATES), the first at pulse 0.
    """

    parameters: SimulationParameters
    record_type: RecordType
    records: int
    photons: NDArray[np.int64]
    lost: dict[str, int]
    switches: tuple[History, ...]

    def time_shares(self) -> dict[str, float]:
        """Share of the run, averaged over emitters, that was spent in each state."""
        pulses = self.parameters.pulses
        spent = np.zeros(len(STATES))
        for at, states in self.switches:
            spent += np.bincount(states, np.diff(at, append=pulses), len(STATES))
        return dict(zip(STATES, (spent / (pulses * len(self.switches))).tolist(), strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Everything but the switches, as JSON can hold it."""
        parameters = self.parameters
        emitter = parameters.emitter
        single = expected_decay(emitter, parameters.mean_n, parameters.cm_efficiency)
        train = expected_decay(emitter, parameters.mean_n, parameters.cm_efficiency, parameters.period_s)
        eta, mean_n = parameters.cm_efficiency, parameters.mean_n
        return {
            "schema": SCHEMA,
            "record_type": self.record_type.name,
            "mode": self.record_type.mode,
            "records": self.records,
            "duration_s": parameters.pulses * parameters.period_s,
            "pulses": parameters.pulses,
            "photons": int(self.photons.sum()),
            "photons_per_channel": {str(c): int(n) for c, n in enumerate(self.photons.sum(axis=0))},
            "photons_by_source": {source: self.photons[row].tolist() for row, source in enumerate(SOURCES)},
            "lost": self.lost,
            "time_shares": self.time_shares(),
            "biexciton_share": biexciton_share(mean_n, eta) if mean_n > 0 else None,
            "neutral_decay": {
                "rates_hz": single[0].tolist(),
                "amplitudes_hz": single[1].tolist(),
                "amplitudes_pulse_train_hz": train[1].tolist(),
            },
            "parameters": asdict(parameters),
        }

    def write(self, tag_file: Path) -> Path:
        """Write ``<tag_file>.truth.json``, and ``<tag_file>.states.npz`` where there are many switches.

        In both, times are in seconds and states are names or indices of neutral, charged, dim.
        """
        content = self.as_dict()
        period_s = self.parameters.period_s
        if sum(at.size for at, _ in self.switches) <= SWITCHES_IN_JSON:
            content["states"] = [
                {"start_s": (at * period_s).tolist(), "state": [STATES[each] for each in states]}
                for at, states in self.switches
            ]
        else:
            arrays: dict[str, Any] = {}
            for emitter, (at, states) in enumerate(self.switches):
                arrays[f"start_s_{emitter}"] = at * period_s
                arrays[f"state_{emitter}"] = states.astype(np.int8)
            states_file = states_path(tag_file)
            np.savez_compressed(states_file, **arrays)
            content["states"] = states_file.name
        path = truth_path(tag_file)
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return path


def truth_path(tag_file: Path) -> Path:
    """Where the truth about a file is."""
    return tag_file.with_name(f"{tag_file.name}.truth.json")


def states_path(tag_file: Path) -> Path:
    """Where the changes of state are when there are many."""
    return tag_file.with_name(f"{tag_file.name}.states.npz")


def switch_history(packed: Sequence[NDArray[np.int64]], pulses: int) -> History:
    """The history of one emitter before ``pulses``, from its switches as `emission.emit` packs them."""
    words = np.concatenate([np.zeros(1, np.int64), *packed])
    words = words[(words >> 2) < pulses]
    return words >> 2, words & 3
