"""Which photons belong to the selected state: labels every photon, chooses, and says what is known of the states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.brightness import Brightness
from photonstream.nodes.hidden_states import STATE_BIN_S, HiddenStates
from photonstream.nodes.inference.contamination import ONE_STATE
from photonstream.nodes.inference.hidden_markov import StateModel, model_of
from photonstream.nodes.inference.rows import HIDDEN_MARKOV, STATES, WINDOW, label_of, method_of
from photonstream.nodes.kernels.hidden_markov import divide_bins
from photonstream.nodes.recent import Recent
from photonstream.nodes.trace import FineTiles, Tiles, state_tile_key
from photonstream.stream.chunk import Chunk, Result
from photonstream.stream.node import Opening, PhotonNode

NO_CONTAMINATION = {
    "contamination": None,
    "contamination_error": None,
    "contamination_reason": "a window of rates does not say how sure it is of its bins",
}
# Dwell times are told after so much more recorded time.
DWELLS_S = 1.0
# Columns of a chunk that have one entry a bin of the trace.
_BY_BIN = ("counts", "timed", "blind")


@dataclass(frozen=True)
class StatesParameters:
    """``method``: "hmm" (hidden Markov) or "window". ``on``: "auto", or the window of rates (low, high) in photons per
    second whose bins are selected, whatever the method. ``state``: the state to select instead of the neutral one.

    ``model`` is learned: the model of the states by which bins are labelled.
    """

    method: str = HIDDEN_MARKOV
    on: str | tuple[float, float] = "auto"
    state: int | None = None
    model: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        method_of(self.method)
        if isinstance(self.on, str):
            if self.on != "auto":
                raise ValueError(f"the on window is 'auto' or two rates, not {self.on!r}")
        elif not 0 <= self.on[0] < self.on[1]:
            raise ValueError(
                f"the on window must rise from 0 or more, not from {self.on[0]:g} to {self.on[1]:g}"
            )
        if self.state is not None and not 1 <= self.state < STATES:
            raise ValueError(f"states are numbered from 1 to {STATES - 1}; there is no state {self.state}")
        if self.model is not None:
            model_of(self.model)


class States(PhotonNode[StatesParameters]):
    """Labels each photon with the level of its bin and with its state (`rows`), and selects by one of them.

    The labels hold everything that a person may choose while the run goes on, so a choice only adds up other rows.
    With method "hmm" photons wait for the bins that follow theirs, LAG_BINS of them. Column added: ``label``, one for
    each piece of the photons between the ``offsets``, which are new here.
    """

    Parameters = StatesParameters
    live = frozenset({"on", "state"})
    learns = "model"

    def open(self, opening: Opening) -> Opening:
        self._bin_ticks: int = opening.facts["bin_ticks"]
        self._brightness = Brightness(opening)
        given = self.parameters.model
        self._hidden: HiddenStates | None = None
        if self.parameters.method == HIDDEN_MARKOV:
            self._hidden = HiddenStates(opening, None if given is None else model_of(given))
        self._sequence = 0
        self._bins_out = 0
        self._stop = 0
        # What waits for its labels: photons, bins of the trace with their levels, and states found so far.
        self._held: dict[str, NDArray[Any]] = {}
        self._own, self._others = np.empty(0, np.int64), np.empty(0, np.int64)
        self._tiles = Tiles()
        self._shown = 0
        bin_s: float = opening.facts["bin_s"]
        self._recent = Recent(bin_s)
        per_bin = min(max(1, round(bin_s / STATE_BIN_S)), self._bin_ticks)
        self._fine = FineTiles(per_bin if self._hidden is None else self._hidden.per_bin, bin_s)
        self._fine_shown = 0
        # The bins of the trace, and the selected states, of which dwell times were told last; and after how many more
        # they are told again while it goes on: to fit their laws is most of what this node would do otherwise.
        self._dwells_told: tuple[int, list[int]] = (0, [])
        self._dwells_every = math.ceil(DWELLS_S / bin_s)
        return opening

    def fold(self, chunk: Chunk) -> Iterable[Chunk]:
        level = self._brightness.add(chunk)
        hidden = self._hidden
        if hidden is None:
            self._count_fine(chunk)
            return [self._without_states(chunk, level)]
        own, others = hidden.take(chunk)
        if hidden.model is None:
            first = chunk.start // self._bin_ticks
            offsets = hidden.offsets(chunk["macrotime"], first, chunk.stop, hidden.per_bin)
            unknown = np.zeros(len(offsets) - 1, np.int64)
            blind = hidden.parts_of(chunk["blind"], len(unknown), hidden.per_bin)
            hidden.account(unknown, unknown, blind, offsets, hidden.missing_s(chunk.stop))
            self._fine.add(np.diff(offsets), unknown)
            self._tiles.add(np.zeros((len(level), 1), np.uint32))
            return [self._without_states(chunk, level)]
        self._stop = chunk.stop
        self._hold(chunk, level, own, others)
        return self._ready(len(self._own) // hidden.per_bin)

    def _without_states(self, chunk: Chunk, level: NDArray[np.int64]) -> Chunk:
        """The chunk labelled by the levels of its bins alone."""
        unknown = np.zeros(len(level), np.int64)
        label = label_of(level, unknown, unknown)
        photons = np.diff(chunk["offsets"])
        self._recent.add(label, photons, np.arange(len(level)), len(level))
        columns = {**chunk.columns, "label": label}
        return Chunk(chunk.sequence, chunk.start, chunk.stop, chunk.events, columns)

    def _count_fine(self, chunk: Chunk) -> None:
        per_bin, ticks = self._fine.per_bin, self._bin_ticks
        first, parts = chunk.start // ticks, -(-(chunk.stop - chunk.start) * per_bin // ticks)
        offsets = np.empty(parts + 1, np.int64)
        divide_bins(chunk["macrotime"], first, ticks, per_bin, offsets)
        self._fine.add(np.diff(offsets), np.zeros(parts, np.int64))

    def close(self) -> Iterable[Chunk]:
        hidden = self._hidden
        if hidden is None or hidden.model is None or not self._held:
            return ()
        own, others = hidden.finish()
        self._own, self._others = np.append(self._own, own), np.append(self._others, others)
        return self._ready(len(self._held["level"]))

    def _hold(
        self,
        chunk: Chunk,
        level: NDArray[np.int64],
        own: NDArray[np.int64],
        others: NDArray[np.int64],
    ) -> None:
        columns = {name: array for name, array in chunk.columns.items() if name != "offsets"}
        columns["level"] = level
        if self._held:
            width = max(self._held["counts"].shape[1], columns["counts"].shape[1])
            for each in (self._held, columns):
                each["counts"] = np.pad(each["counts"], ((0, 0), (0, width - each["counts"].shape[1])))
            columns = {name: np.concatenate([self._held[name], columns[name]]) for name in columns}
        self._held = columns
        self._own, self._others = np.append(self._own, own), np.append(self._others, others)

    def _ready(self, bins: int) -> list[Chunk]:
        """The first ``bins`` bins of the trace that wait, labelled."""
        hidden = self._hidden
        assert hidden is not None
        if not bins:
            return []
        start = self._bins_out * self._bin_ticks
        stop = min((self._bins_out + bins) * self._bin_ticks, self._stop)
        photons = int(np.searchsorted(self._held["macrotime"], np.uint64(stop)))
        offsets = hidden.offsets(self._held["macrotime"][:photons], self._bins_out, stop, hidden.per_bin)
        pieces = len(offsets) - 1
        blind = hidden.parts_of(self._held["blind"][:bins], pieces, hidden.per_bin)
        # What the emitter was in while nobody looked is not known.
        own, others = (np.where(blind, 0, states[:pieces]) for states in (self._own, self._others))
        hidden.account(own, others, blind, offsets, hidden.missing_s(stop))
        self._fine.add(np.diff(offsets), own)
        in_bin = np.arange(pieces) // hidden.per_bin
        self._tiles.add(_most(own, in_bin, bins)[:, None])
        label = label_of(self._held["level"][in_bin], own, others)
        self._recent.add(label, np.diff(offsets), in_bin, bins)
        # Neighbours with the same label are one piece.
        begins = np.flatnonzero(np.diff(label, prepend=-1))
        columns = {
            name: array[:bins] if name in _BY_BIN else array[:photons]
            for name, array in self._held.items()
            if name != "level"
        }
        columns |= {"offsets": np.append(offsets[begins], photons), "label": label[begins]}
        out = Chunk(self._sequence, start, stop, photons, columns)
        self._sequence += 1
        self._bins_out += bins
        by_bin = (*_BY_BIN, "level")
        self._held = {
            name: (array[bins:] if name in by_bin else array[photons:]).copy()
            for name, array in self._held.items()
        }
        self._own, self._others = self._own[pieces:], self._others[pieces:]
        return [out]

    def choice(self, *, final: bool) -> Mapping[str, Any] | None:
        if not final:
            study = self.study()
            return self.parameters.model if study is None else study()
        return self.parameters.model if self._hidden is None else _as_parameter(self._hidden.learned())

    def study(self) -> Callable[[], Mapping[str, Any] | None] | None:
        study = None if self._hidden is None else self._hidden.study()
        return None if study is None else lambda: _as_parameter(study())

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``selection``: what is selected (`rows.selected`), the levels or states with rates and shares;
        ``flid``: the map; ``dwell``: how long the selected state lasts (`Dwells.describe`), by states only;
        ``states/K``: the state in which each bin of the trace mostly was, in tiles like the trace's;
        ``fine/K``: photons and state of each bin of the states (`FineTiles`).
        """
        yield self.result("selection", self._selection(final=final), final=final)
        yield self.result("flid", self._brightness.flid(), final=final)
        if (hidden := self._hidden) is not None:
            on_states = np.flatnonzero(self._on_states(final=final)).tolist()
            told_bins, told_of = self._dwells_told
            if final or on_states != told_of or self._tiles.bins - told_bins >= self._dwells_every:
                self._dwells_told = self._tiles.bins, on_states
                yield self.result("dwell", {"times": hidden.dwell_times(on_states, final=final)}, final=final)
        for tile in self._tiles.touched(0 if final else self._shown):
            first, states = self._tiles.tile(tile)
            yield self.result(state_tile_key(tile), {"first": first, "states": states[:, 0]}, final=final)
        self._shown = self._tiles.bins
        if self._fine.per_bin > 1:
            for key, value in self._fine.results(0 if final else self._fine_shown):
                yield self.result(key, value, final=final)
            self._fine_shown = self._fine.bins

    def _selection(self, *, final: bool) -> dict[str, Any]:
        on = self.parameters.on
        by_window = not isinstance(on, str) or self._hidden is None
        window = self._brightness.selection(None if isinstance(on, str) else on, final=final)
        on_states = self._on_states(final=final)
        selection = {**window, "method": WINDOW, "on_states": on_states, **NO_CONTAMINATION}
        hidden = self._hidden
        if hidden is not None:
            selection["states"] = hidden.describe(on_states)
            model = hidden.model
            selection["accuracy"] = hidden.accuracy
            # Nothing is known of how well states are told where there is one, or too little to learn from.
            one = selection["accuracy"] is None
            selection["resolved"] = None if model is None or one else model.resolved
            selection["unresolved"] = "" if model is None else ONE_STATE if one else model.unresolved
            selection["model"] = self.parameters.model
            if not by_window:
                selection |= hidden.contamination(on_states)
                chosen = "automatic" if self.parameters.state is None else "given"
                selection |= {"method": HIDDEN_MARKOV, "chosen": chosen, "levels": selection["states"]}
                selection |= {"window_hz": None, "rule_window_hz": window["window_hz"]}
                rule_s = sum(row["time_s"] for row in window["levels"] if row["on"])
                selection |= {"rule_time_s": rule_s, "left_out_time_s": hidden.left_out_s(on_states)}
        rows = [row for row in selection["levels"] if row["on"]]
        selection["on_time_s"] = sum(row["time_s"] for row in rows)
        selection["recorded_s"] = sum(row["time_s"] for row in selection["levels"])
        selection["on_photons"] = sum(row["photons"] for row in rows)
        selection["bins"] = sum(row["bins"] for row in selection["levels"])
        return selection | self._recent.describe(selection)

    def _on_states(self, *, final: bool) -> NDArray[np.bool_]:
        on = np.zeros(STATES, bool)
        if self._hidden is not None and self._hidden.model is None:
            # Where there was too little to learn from, nothing can be left out; before that nothing is known yet.
            on[0] = final
        else:
            on[self.parameters.state or 1] = True
        return on


def _as_parameter(model: StateModel | None) -> Mapping[str, Any] | None:
    return None if model is None else model.as_dict()


def _most(states: NDArray[np.int64], in_bin: NDArray[np.int64], bins: int) -> NDArray[np.uint32]:
    """The state that most pieces of each bin have."""
    counts = np.bincount(in_bin * STATES + states, minlength=bins * STATES).reshape(bins, STATES)
    most: NDArray[np.uint32] = counts.argmax(axis=1).astype(np.uint32)
    return most
