"""A node that knows the truth of a simulation: how well states were told, and what a perfect choice selects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.decay import dtime_axis
from photonstream.nodes.inference.rows import STATES, states_of
from photonstream.nodes.simulate.parameters import STATES as EMITTER_STATES
from photonstream.nodes.simulate.truth import truth_path
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import InputError, Opening, PhotonNode

# Labels are judged in bins of this width.
BIN_S = 1e-3
_CHANNELS = 2
_NEUTRAL = EMITTER_STATES.index("neutral")


@dataclass(frozen=True)
class ProbeParameters:
    """``truth_of``: the simulated tag file; its truth lies beside it."""

    truth_of: str


class Probe(PhotonNode[ProbeParameters]):
    """Compares the labels of ``states`` with the truth, in bins of a millisecond that hold photons.

    ``truth``: ``bins`` (2, STATES), how many bins that were mostly not neutral (0) or neutral (1) got each state;
    ``neutral`` (channels, dtime bins), the decay of the photons that came while the emitter truly was neutral, with
    ``neutral_s``, how long that was.
    """

    Parameters = ProbeParameters
    inner = frozenset({"truth"})

    def open(self, opening: Opening) -> Opening:
        info = opening.info
        at_s, self._state = _switches(Path(self.parameters.truth_of))
        self._unit_s = info.macrotime_unit_s
        self._at = np.rint(at_s / self._unit_s).astype(np.int64)
        period_s: float | None = opening.facts["pulse_period_s"]
        self._axis = dtime_axis(period_s, info.dtime_resolution_s, opening.facts["dtime_range"], join=False)
        self._decay = np.zeros((_CHANNELS, self._axis.bins), np.int64)
        self._bins = np.zeros((2, STATES), np.int64)
        self._stop = 0
        return opening

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        macrotime = chunk["macrotime"].astype(np.int64)
        state = np.repeat(states_of(chunk["label"]), np.diff(chunk["offsets"]))
        # A chunk of `states` holds whole bins of the trace, so no bin goes on in the next.
        bins, index = np.unique((macrotime * self._unit_s / BIN_S).astype(np.int64), return_inverse=True)
        found = np.zeros((len(bins), STATES), np.int64)
        np.add.at(found, (index, state), 1)
        edges = np.stack([bins, bins + 1]) * (BIN_S / self._unit_s)
        neutral = np.diff(self._neutral_ticks(edges), axis=0)[0] > 0.5 * BIN_S / self._unit_s
        np.add.at(self._bins, (neutral.astype(np.int64), found.argmax(axis=1)), 1)
        truly = self._state[np.searchsorted(self._at, macrotime, side="right") - 1] == _NEUTRAL
        dtime, channel = chunk["dtime"], chunk["channel"]
        truly &= (dtime < self._axis.limit) & (channel < _CHANNELS)
        np.add.at(self._decay, (channel[truly], dtime[truly]), 1)
        self.ledger.end("compared", chunk.events)
        self._stop = chunk.stop
        return ()

    def _neutral_ticks(self, ticks: NDArray[np.float64]) -> NDArray[np.float64]:
        """For how long the emitter was neutral before each of ``ticks``."""
        lasted = np.diff(self._at) * (self._state[:-1] == _NEUTRAL)
        before = np.concatenate([[0.0], np.cumsum(lasted)])
        index = np.searchsorted(self._at, ticks, side="right") - 1
        found: NDArray[np.float64] = before[index] + (ticks - self._at[index]) * (
            self._state[index] == _NEUTRAL
        )
        return found

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        value = {
            "bins": self._bins.copy(),
            "neutral": self._decay.copy(),
            "neutral_s": float(self._neutral_ticks(np.array([float(self._stop)]))[0]) * self._unit_s,
        }
        yield self.result("truth", value, final=final)


def _switches(tag_file: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """When the only emitter of a simulated file changed its state, in seconds, and the states entered."""
    path = truth_path(tag_file)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        states = content["states"]
        if isinstance(states, str):
            with np.load(path.with_name(states)) as arrays:
                if "start_s_1" in arrays:
                    raise InputError(f"{path}: several emitters; states are compared with those of one")
                return arrays["start_s_0"].astype(np.float64), arrays["state_0"].astype(np.int64)
        if len(states) != 1:
            raise InputError(f"{path}: {len(states)} emitters; states are compared with those of one")
        names = [EMITTER_STATES.index(name) for name in states[0]["state"]]
        return np.array(states[0]["start_s"], np.float64), np.array(names, np.int64)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path}: not the truth of a simulated recording: {error}") from error
