"""The states of the bins in flow: learns a model of them from the recording, and labels bins by one it was given.

Bins of the trace are divided into bins of about a millisecond, and these again into fine ones, from which the model
chooses. What is learned depends on the recording alone, not on the model that labels it meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.brightness import FIRST_CHOICE_S, NO_DWELL, describe, dwell_time
from photonstream.nodes.decay import dtime_axis
from photonstream.nodes.dwells import Dwells, why_unbelieved, without_models
from photonstream.nodes.inference.contamination import JOINED, ONE_STATE, expected_shares
from photonstream.nodes.inference.gates import GATES, MOST_CLASSES
from photonstream.nodes.inference.hidden_markov import (
    FINE_BINS,
    StateModel,
    expected_accuracy,
    expected_wrong,
    label_bins,
    learn_states,
    sample_accord,
)
from photonstream.nodes.inference.rows import STATES
from photonstream.nodes.inference.sample import Block, Sample
from photonstream.nodes.kernels.hidden_markov import (
    UNSEEN,
    count_delays,
    count_gates,
    divide_bins,
)
from photonstream.stream.chunk import Chunk
from photonstream.stream.node import Opening

STATE_BIN_S = 1e-3
# A new model takes the place of another on the way only if it selects so many bins of the sample otherwise.
LEAST_CHANGE = 0.002
# On the way so much of the sample is learned from: photons wait meanwhile.
WAY_BLOCKS = 8
_CHANNELS = 256
# Bins of the trace that are divided at once.
_MOST_AT_ONCE = 1 << 16

Integers = NDArray[np.int64]


def _learned(present: StateModel | None, sample: Block, decays: Integers, seen: int) -> StateModel | None:
    """The model of ``sample``, which is ``present`` where that was learned from the same."""
    if present is not None and present.learned_from == sample.digest(decays):
        return present
    return learn_states(sample, decays, seen)


class HiddenStates:
    """States of the bins of a recording: 0 before there is a model, then 1 for the neutral state, 2, 3, ..."""

    def __init__(self, opening: Opening, model: StateModel | None) -> None:
        self.model = model
        info = opening.info
        self._bin_ticks: int = opening.facts["bin_ticks"]
        bin_s: float = opening.facts["bin_s"]
        # A trace bin holds a whole number of bins of the states, and these so many fine ones.
        self._fine = max(1, round(bin_s / STATE_BIN_S)) * max(FINE_BINS)
        self.per_bin = self._fine // (max(FINE_BINS) if model is None else model.fine)
        self.bin_s = bin_s / self.per_bin
        self._axis = dtime_axis(
            opening.facts["pulse_period_s"], info.dtime_resolution_s, MOST_CLASSES, join=True
        )
        self._decays = np.zeros((_CHANNELS, self._axis.bins), np.int64)
        self._sample = Sample(self._axis.shift, self._axis.limit)
        self._choice_bin = max(1, round(FIRST_CHOICE_S / bin_s))
        self._bins_seen = 0
        # What there was to learn from when a choice on the way was last due: sample, decays, bins.
        self._due: tuple[Block, Integers, int] | None = None
        # By state: photons, bins, visits.
        self._photons = np.zeros(STATES, np.int64)
        self._bins, self._visits = np.zeros(STATES, np.int64), np.zeros(STATES, np.int64)
        self._left_out = np.zeros(STATES, np.int64)
        self.dwells = Dwells()
        self._previous = -1
        self._missing_s: tuple[int, float] = (0, 0.0)
        if model is not None:
            # What it was learned from says nothing new when it is read again.
            while self._choice_bin <= model.seen:
                self._choice_bin *= 2
            self._filter = model.filter()
            self._table = None if model.gates is None else model.gates.table()
            self._group = 1 + np.array(model.groups, np.int64)

    def parts(self, first: int, stop: int, per_bin: int) -> int:
        """How many parts the trace bins from ``first`` on to the tick ``stop`` have, at ``per_bin`` in a whole one."""
        whole, rest = divmod(stop, self._bin_ticks)
        return (whole - first) * per_bin + -(-rest * per_bin // self._bin_ticks)

    def offsets(self, macrotime: NDArray[np.uint64], first: int, stop: int, per_bin: int) -> Integers:
        """Where the photons of each part begin, and where the last one's end."""
        found = np.empty(self.parts(first, stop, per_bin) + 1, np.int64)
        divide_bins(macrotime, first, self._bin_ticks, per_bin, found)
        return found

    @staticmethod
    def parts_of(bins: NDArray[np.bool_], parts: int, per_bin: int) -> NDArray[np.bool_]:
        """The same of each of the ``parts`` of the ``bins``; the last bin may have fewer than ``per_bin``."""
        return np.repeat(bins, per_bin)[:parts]

    def take(self, chunk: Chunk) -> tuple[Integers, Integers]:
        """Learn from the bins of a chunk; gives the states of the bins that can be labelled now, and those without
        their own photons. None of either without a model."""
        first = chunk.start // self._bin_ticks
        bins = len(chunk["counts"])
        found = []
        begin = 0
        while begin < bins:
            # A dark detector may leave hours in one chunk; and a choice is due after so many bins, whatever the chunks.
            end = min(bins, begin + _MOST_AT_ONCE, self._choice_bin - first)
            a, b = (int(chunk["offsets"][k]) for k in (begin, end))
            stop = chunk.stop if end == bins else (first + end) * self._bin_ticks
            macrotime, channel, dtime = (chunk[name][a:b] for name in ("macrotime", "channel", "dtime"))
            blind = chunk["blind"][begin:end]
            found.append(self._take(macrotime, channel, dtime, blind, first + begin, stop))
            self._bins_seen = first + end
            if self._bins_seen == self._choice_bin:
                self._due = self._sample.taken(WAY_BLOCKS), self._present_decays().copy(), self._bins_seen
                self._choice_bin *= 2
            begin = end
        own, others = zip(*found, strict=True)
        return np.concatenate(own), np.concatenate(others)

    def _take(
        self,
        macrotime: NDArray[np.uint64],
        channel: NDArray[np.uint8],
        dtime: NDArray[Any],
        blind: NDArray[np.bool_],
        first: int,
        stop: int,
    ) -> tuple[Integers, Integers]:
        offsets = self.offsets(macrotime, first, stop, self._fine)
        # Gaps hold no photons, so without their bins the others have the same.
        seen = np.append(~self.parts_of(blind, len(offsets) - 1, self._fine), True)
        self._sample.add(offsets[seen], channel, dtime)
        shift, limit = np.uint32(self._axis.shift), np.uint32(self._axis.limit)
        count_delays(channel, dtime, shift, limit, self._decays)
        if self.model is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        # The fine bins that begin a bin; the last bin may have fewer of them.
        offsets = np.append(offsets[:-1][:: self.model.fine], offsets[-1])
        if self._table is None:
            counts = np.diff(offsets)[:, None].astype(np.int32)
        else:
            counts = np.zeros((len(offsets) - 1, GATES), np.int32)
            count_gates(offsets, channel, dtime, shift, limit, self._table, counts)
        counts[self.parts_of(blind, len(counts), self.per_bin)] = UNSEEN
        return self._label(counts)

    def finish(self) -> tuple[Integers, Integers]:
        """The states of the bins that still wait: no more will come."""
        gates = 1 if self._table is None else GATES
        return self._label(np.zeros((0, gates), np.int32), last=True)

    def _label(self, counts: NDArray[np.int32], *, last: bool = False) -> tuple[Integers, Integers]:
        own, others, _ = label_bins(self._filter, counts, last=last)
        return self._group[own], self._group[others]

    def _present_decays(self) -> Integers:
        """The decays of the channels that have photons, and of those before them."""
        used = np.flatnonzero(self._decays.any(axis=1))
        return self._decays[: int(used[-1]) + 1] if used.size else self._decays[:0]

    def learned(self) -> StateModel | None:
        """The model that the whole recording asks for."""
        self._due = None
        return _learned(self.model, self._sample.taken(), self._present_decays(), self._bins_seen)

    def study(self) -> Callable[[], StateModel | None] | None:
        """What finds the model that the recording so far asks for: the present one where it would change little.

        None where there is no news to learn from. It works with copies, and holds up no photon.
        """
        if self._due is None:
            return None
        (taken, decays, seen), self._due = self._due, None
        present = self.model

        def learn() -> StateModel | None:
            model = _learned(present, taken, decays, seen)
            if model is None or present is None or model is present:
                return model
            return model if 1.0 - sample_accord(taken, present, model) > LEAST_CHANGE else present

        return learn

    def missing_s(self, stop: int) -> float:
        """By how much the last bin before the tick ``stop`` is shorter than a whole one."""
        rest = stop % self._bin_ticks * self.per_bin / self._bin_ticks
        return (math.ceil(rest) - rest) * self.bin_s

    def account(
        self,
        states: Integers,
        others: Integers,
        blind: NDArray[np.bool_],
        offsets: Integers,
        missing_s: float,
    ) -> None:
        """Add labelled bins, whose photons are ``offsets[b]:offsets[b + 1]``, to what is said of their states.

        ``others``: their states without their own photons; ``blind``: whether they lie in a gap, which is of no state.
        ``missing_s``: by how much the last one is shorter than a whole one.
        """
        np.add.at(self._photons, states, np.diff(offsets))
        self.dwells.add(states, blind)
        states, others = states[~blind], others[~blind]
        self._bins += np.bincount(states, minlength=STATES)
        self._left_out += np.bincount(others, minlength=STATES)
        entered = np.diff(states, prepend=self._previous) != 0
        self._visits += np.bincount(states[entered], minlength=STATES)
        if len(states):
            self._previous = int(states[-1])
            self._missing_s = self._previous, 0.0 if blind[-1] else missing_s

    def left_out_s(self, on: NDArray[np.bool_]) -> float:
        """Time of the states ``on`` (STATES,) when bins are judged without their own photons."""
        return float(self._left_out[on].sum()) * self.bin_s

    def describe(self, on: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """What is said of each state that occurs, with its mean dwell time; ``on`` (STATES,) are selected."""
        found = []
        unbelieved = self._why_unbelieved(np.flatnonzero(on).tolist())
        remarks = [] if self.model is None else self.model.remarks()
        for state in np.flatnonzero(self._bins).tolist():
            bins = int(self._bins[state])
            time_s = bins * self.bin_s - (self._missing_s[1] if state == self._missing_s[0] else 0.0)
            photons = int(self._photons[state])
            row = describe(photons, time_s, bins, int(self._bins.sum()), bool(on[state]))
            row |= dwell_time(time_s, int(self._visits[state])) if not unbelieved else NO_DWELL
            remark = remarks[state - 1] if 0 < state <= len(remarks) else ""
            found.append({"state": state, **row, "remark": remark})
        return found

    def dwell_times(self, on_states: Sequence[int], *, final: bool) -> dict[str, Any] | None:
        """How long visits of the selected states last (`Dwells.describe`), as far as that is to be believed."""
        times, reason = (
            self.dwells.describe(on_states, self.bin_s, final=final),
            self._why_unbelieved(on_states),
        )
        return without_models(times, reason) if times is not None and reason else times

    def _why_unbelieved(self, on_states: Sequence[int]) -> str:
        """Why nothing is to be said of how long visits last; empty where there is."""
        visits, bins = int(self._visits[on_states].sum()), int(self._bins[on_states].sum())
        shorter = min(bins, int(self._bins.sum()) - bins) / max(visits, 1)
        return why_unbelieved(self.expected_wrong(on_states), visits, shorter, self.bin_s)

    def expected_wrong(self, on_states: Sequence[int]) -> float:
        """How many bins are expected to be told wrongly whether they are of the states ``on_states``."""
        if self.model is None:
            return 0.0
        on = np.isin(self._group, on_states)
        return expected_wrong(self._filter.certainty, on) * float(self._bins.sum())

    @property
    def accuracy(self) -> float | None:
        """Balanced accuracy of "neutral or not" that the labels so far are expected to have.

        None where all is one state, so that nothing was told apart.
        """
        if self.model is None or len(set(self.model.groups)) == 1 or not self._filter.certainty.any():
            return None
        return expected_accuracy(self._filter.certainty, self._group == 1)

    def contamination(self, on: NDArray[np.bool_]) -> dict[str, Any]:
        """Expected share of the selected time (``on``, by state) that is each other state's so far, with its error.

        ``contamination`` and ``contamination_error`` (STATES,), both None with a ``contamination_reason``.
        """
        if reason := self._why_unknown(on):
            unknown = {"contamination": None, "contamination_error": None}
            return {**unknown, "contamination_reason": reason}
        assert self.model is not None
        shares, errors = expected_shares(self.model, self._filter.certainty, self._bins, self._visits, on)
        return {"contamination": shares, "contamination_error": errors, "contamination_reason": ""}

    def _why_unknown(self, on: NDArray[np.bool_]) -> str:
        """Why nothing is known of other states in the selected time; empty where something is."""
        if self.model is None:
            return "there was too little to learn states from"
        if not self._bins[on].any():
            return "nothing is selected"
        if len(set(self.model.groups)) == 1:
            return ONE_STATE
        return JOINED if self.model.joined and on[1] else ""
