"""Writes what a run found: result.json and one file a curve."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonstream.nodes.calibration_runs import with_names
from photonstream.nodes.cautions import cautions
from photonstream.nodes.delays import after_pulse, pulses_of, with_delays
from photonstream.nodes.dwells import dwell_summary, dwell_table, dwells_of_bins
from photonstream.nodes.experiment import FIELDS, as_fitted, check_experiment
from photonstream.nodes.inference.levels import level_of
from photonstream.nodes.inference.pair_report import delay_curve, report
from photonstream.nodes.inference.rows import HIDDEN_MARKOV
from photonstream.nodes.recording import describe_recording
from photonstream.nodes.tables import EXPORTS, Column, write_atomically
from photonstream.nodes.tag_source import EVENTS
from photonstream.nodes.trace import TRACE, assemble, state_tile_key
from photonstream.nodes.versions import versions
from photonstream.stream.chunk import Result
from photonstream.stream.node import LEDGER, ResultNode
from photonstream.stream.orders import Orders

SCHEMA = 1
# Nodes whose results have places of their own in result.json.
STANDARD = frozenset(
    ("source", "decode", "intensity", "states", "decay", "antibunching", "changepoint", "lifetime")
)
# Keys of what the node says.
RESULT, WRITING = "result", "writing"
# Numbers of an array that result.json takes.
MOST_ELEMENTS = 20_000
# What is learned is said with the states.
LEARNED = ("states", "model")
_OF_LEVEL = (
    *("state", "rate_hz", "rate_stderr_hz", "time_share", "mean_dtime_s", "mean_dtime_stderr_s"),
    *("dwell_s", "dwell_stderr_s", "on", "remark"),
)
# What is said of states only.
_OF_STATES = ("accuracy", "resolved", "unresolved", "model")
# Names of the curves that a run writes, in any of the formats.
_OURS = re.compile(r"(trace|decay(_ch\d+)?|flid|coincidences|dwell)\.(csv|txt|itx)")


@dataclass(frozen=True)
class ResultsParameters:
    """``out``: an existing folder, None to write nothing; ``export``: format of the curves beside the CSV.

    ``experiment``: what is known of it, as `check_experiment` takes it; repeated in result.json. ``discarded``: since
    when (``utc``) and ``why`` a person thinks nothing of the run, None where nobody said so; repeated there too.
    """

    out: str | None = None
    export: str = "csv"
    experiment: Mapping[str, Any] = field(default_factory=dict)
    discarded: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.export not in EXPORTS:
            raise ValueError(f"curves are exported as {', '.join(EXPORTS)}, not {self.export!r}")
        check_experiment(self.experiment)
        texts = {} if self.discarded is None else {key: self.discarded.get(key) for key in ("utc", "why")}
        if not all(isinstance(text, str) for text in texts.values()) or len(texts) != len(
            self.discarded or {}
        ):
            raise ValueError("discarded is none, or a utc and a why")


class Results(ResultNode[ResultsParameters]):
    """Keeps the latest results of all nodes; once they are final it writes the folder, and again when they change."""

    Parameters = ResultsParameters
    live = frozenset({"experiment", "discarded"})
    fixed = frozenset({"out"})
    needs = STANDARD - {"antibunching", "changepoint"}

    def __init__(self, name: str, parameters: ResultsParameters) -> None:
        super().__init__(name, parameters)
        self._latest: dict[tuple[str, str], Mapping[str, Any]] = {}

    def take(self, result: Result) -> None:
        self._latest[result.node, result.key] = result.value

    def snapshot(self, *, final: bool) -> Iterable[Result]:
        """``result``: the content of result.json; the final one is also written, with the curves. ``writing``: why it
        ``failed``, empty where it did not: a full disk, or a folder that is gone, is no reason to say nothing.
        """
        if not final:
            return
        summary = summarise(self._latest, self.inputs, self.name, self.orders, self._experiment())
        summary["discarded"] = plain(self.parameters.discarded)
        failed = ""
        if self.parameters.out is not None:
            try:
                write_folder(Path(self.parameters.out), summary, curves(self._latest), self.parameters.export)
            except OSError as error:
                where = self.parameters.out if error.filename is None else error.filename
                failed = f"the results could not be written: {where}: {error.strerror or error}"
        yield self.result(RESULT, summary, final=final)
        yield self.result(WRITING, {"failed": failed}, final=final)

    def _experiment(self) -> dict[str, Any]:
        """What is known of the experiment; <N> as the fit was told it, which may have changed since the beginning."""
        told = self.orders.parameters.get("lifetime", {})
        known = self.parameters.experiment
        if known:
            known = {**dict.fromkeys(FIELDS), **known}
        return as_fitted(known, told)


def write_folder(
    folder: Path, summary: Mapping[str, Any], tables: Mapping[str, list[Column]], export: str
) -> None:
    """Write the result files of a run, and take away those of an earlier one.

    result.json goes first and comes last: a folder that has one holds the files of one complete run.
    """
    for old in [folder / "result.json", folder / "report.html", *folder.iterdir()]:
        if old.name in ("result.json", "report.html") or _OURS.fullmatch(old.name):
            old.unlink(missing_ok=True)
    for title, columns in tables.items():
        for name in dict.fromkeys(("csv", export)):
            ending, text = EXPORTS[name]
            write_atomically(folder / f"{title}{ending}", text(title, columns))
    content = json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False)
    write_atomically(folder / "result.json", [content, "\n"])


Latest = Mapping[tuple[str, str], Mapping[str, Any]]


def summarise(
    latest: Latest, nodes: Iterable[str], own: str, orders: Orders, experiment: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of result.json (its fields are described in docs/schema.md).

    ``nodes`` in the ledger's order; ``own``: the node that writes it, whose parameters say nothing of the results.
    """
    trace, selection = latest["intensity", TRACE], latest["states", "selection"]
    lifetime = latest["lifetime", "fit"]
    events = latest.get(("source", EVENTS), {}).get("events", [])
    recording = describe_recording(latest["source", "recording"], latest["decode", "counts"], events)
    measured_s = recording["measured_s"]
    antibunching = _antibunching(latest, lifetime["summary"]["fit"], experiment, recording)
    levels = with_delays(latest["decay", "rows"], selection, pulses_of(lifetime["summary"]["fit"]))
    intensity = {
        "bin_s": trace["bin_s"],
        "bins": trace["bins"],
        "mean_rate_hz": recording["photons"] / measured_s if measured_s > 0 else None,
        "mean_rate_stderr_hz": math.sqrt(recording["photons"]) / measured_s if measured_s > 0 else None,
    }
    states = {
        "method": selection["method"],
        "chosen": selection["chosen"],
        "window_hz": selection["window_hz"],
        "levels": [{key: level[key] for key in _OF_LEVEL if key in level} for level in levels],
        "on_time_s": selection["on_time_s"],
        "on_photons": selection["on_photons"],
        **{key: plain(selection[key]) for key in _OF_STATES if key in selection and _used(key, selection)},
        **_contamination(selection),
        "dwell_times": dwell_summary(_dwell(latest)),
    }
    return {
        "schema": SCHEMA,
        "photonstream": versions()["photonstream"],
        "versions": versions(),
        "parameters": {
            node: {key: plain(each) for key, each in values.items() if (node, key) != LEARNED}
            for node, values in orders.parameters.items()
            if node != own
        },
        "experiment": dict(experiment),
        "recording": recording,
        "recording_events": plain(events),
        "intensity": intensity,
        "states": states,
        **lifetime["summary"],
        "calibration": with_names(lifetime["summary"]["calibration"], experiment, recording["sha256"]),
        "antibunching": antibunching,
        "warnings": cautions(lifetime["summary"], antibunching, experiment, intensity),
        "interrupted": latest["source", "recording"]["interrupted"],
        "ledger": [latest[node, LEDGER] for node in nodes if (node, LEDGER) in latest],
        "restarts": plain(orders.restarts),
        **({"nodes": others} if (others := _others(latest)) else {}),
    }


def _contamination(selection: Mapping[str, Any]) -> dict[str, Any]:
    """How much of the selected time is other states', with the error of that, or why that is not known."""
    shares, errors = selection["contamination"], selection["contamination_error"]
    return {
        "contamination": None if shares is None else float(shares.sum()),
        "contamination_stderr": None if errors is None else float(np.hypot.reduce(errors)),
        "contamination_reason": selection["contamination_reason"],
    }


def _used(key: str, selection: Mapping[str, Any]) -> bool:
    """Whether what is said of states goes with the selection: with a window nobody asks how well they are told."""
    return key == "model" or selection["method"] == HIDDEN_MARKOV


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: tuples and arrays are lists, what is no number or an open end is null.

    Of an array that is too large for such a file only its type and shape are said.
    """
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        large = f"an array of {value.dtype}, {' x '.join(map(str, value.shape))}, not written"
        return plain(value.tolist()) if value.size <= MOST_ELEMENTS else large
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _others(latest: Latest) -> dict[str, Any]:
    """The results of nodes that are not of the standard line, by node and key."""
    found: dict[str, dict[str, Any]] = {}
    for (node, key), value in latest.items():
        if node not in STANDARD and key != LEDGER:
            found.setdefault(node, {})[key] = plain(value)
    return found


def curves(latest: Latest) -> dict[str, list[Column]]:
    """Every curve of the run by the name of its file."""
    tables = {
        "trace": _trace(latest),
        **_decays(latest),
        "flid": _flid(latest["states", "flid"], latest["lifetime", "fit"]["summary"]["fit"]),
    }
    return tables | _coincidences(latest) | dwell_table(_dwell(latest))


def _antibunching(
    latest: Latest, fit: Mapping[str, Any], experiment: Mapping[str, Any], recording: Mapping[str, Any]
) -> dict[str, Any] | None:
    pairs = latest.get(("antibunching", "pairs"))
    selection = latest["states", "selection"]
    return None if pairs is None else report(pairs, selection, fit, experiment, recording)


def _coincidences(latest: Latest) -> dict[str, list[Column]]:
    pairs = latest.get(("antibunching", "pairs"))
    if pairs is None or pairs["by"] is None:
        return {}
    edges_s, everything, selected = delay_curve(pairs, latest["states", "selection"])
    columns = [
        Column("delay_start", "ns", 1e9 * edges_s[:-1]),
        Column("delay_stop", "ns", 1e9 * edges_s[1:]),
        Column("pairs", "pairs", everything),
        Column("pairs_selected", "pairs", selected),
    ]
    return {"coincidences": columns}


def _dwell(latest: Latest) -> Mapping[str, Any] | None:
    """Dwell times in the selected state; of a window they are those of the bins of the trace."""
    selection = latest["states", "selection"]
    if selection["method"] == HIDDEN_MARKOV:
        found = latest.get(("states", "dwell"))
        return None if found is None else found["times"]
    trace = _assembled(latest)
    on = _on(selection, trace["counts"].sum(axis=1, dtype=np.int64))
    return dwells_of_bins(on, trace["unseen"], trace["bin_s"])


def _assembled(latest: Latest) -> dict[str, Any]:
    return assemble({key: value for (node, key), value in latest.items() if node == "intensity"})


def _trace(latest: Latest) -> list[Column]:
    trace = _assembled(latest)
    selection = latest["states", "selection"]
    counts: NDArray[np.uint32] = trace["counts"]
    total = counts.sum(axis=1, dtype=np.int64)
    start_s = np.arange(len(counts)) * trace["bin_s"]
    stop_s = np.minimum(start_s + trace["bin_s"], trace["end_s"])
    width_s = np.maximum(stop_s - start_s, np.finfo(float).tiny)
    states = _states(latest) if selection["method"] == HIDDEN_MARKOV else None
    on = _on(selection, total) if states is None else selection["on_states"][states]
    on &= ~trace["unseen"]
    return [
        Column("time_start", "s", start_s),
        Column("time_stop", "s", stop_s),
        Column("counts", "counts", total),
        Column("counts_error", "counts", np.sqrt(total)),
        Column("rate", "1/s", total / width_s),
        *(Column(f"counts_ch{c}", "counts", counts[:, c]) for c in range(counts.shape[1])),
        Column("on", "", on.astype(np.int64)),
        *([] if states is None else [Column("state", "", states)]),
        *([Column("gap", "", trace["unseen"].astype(np.int64))] if trace["unseen"].any() else []),
    ]


def _on(selection: Mapping[str, Any], total: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which bins of the trace a window of rates selects, by their counts."""
    on: NDArray[np.bool_] = selection["on_levels"][level_of(total)]
    return on


def _states(latest: Latest) -> NDArray[np.uint32]:
    """In which state each bin of the trace mostly was; 0 where nobody knows."""
    tiles = [
        latest["states", state_tile_key(k)]["states"] for k in range(latest["intensity", TRACE]["tiles"])
    ]
    states: NDArray[np.uint32] = np.concatenate([*tiles, np.empty(0, np.uint32)])
    return states


def _decays(latest: Latest) -> dict[str, list[Column]]:
    """``decay`` (selected photons with the fit), and the same for each channel that has photons.

    ``decay`` sums the channels that were fitted, so that data and fit are of the same photons; all of them where
    there is no fit.
    """
    decay = latest["lifetime", "decay"]
    selected: NDArray[np.int64] = decay["selected"]
    everything: NDArray[np.int64] = decay["all"]
    model: Mapping[str, NDArray[np.float64]] | None = decay["model"]
    edges_ns = np.arange(selected.shape[1] + 1) * decay["resolution_s"] * 1e9
    edges_ns[-1] = min(edges_ns[-1], (decay["pulse_period_s"] or np.inf) * 1e9)

    def table(channels: list[int]) -> list[Column]:
        counts = selected[channels].sum(axis=0)
        columns = [
            Column("time_start", "ns", edges_ns[:-1]),
            Column("time_stop", "ns", edges_ns[1:]),
            Column("counts", "counts", counts),
            Column("counts_error", "counts", np.sqrt(counts)),
            Column("counts_all_states", "counts", everything[channels].sum(axis=0)),
        ]
        if model is not None and model["total"][channels].any():
            fit = model["total"][channels].sum(axis=0)
            residual = np.divide(counts - fit, np.sqrt(fit), out=np.full(len(fit), np.nan), where=fit > 0)
            columns += [Column("fit", "counts", fit), Column("residual", "sigma", residual)]
            for key, name in (("x", "exciton"), ("xx", "fast"), ("background", "background")):
                columns.append(Column(name, "counts", model[key][channels].sum(axis=0)))
        return columns

    with_photons = [c for c in range(len(selected)) if everything[c].any()]
    fitted = [c for c in with_photons if model is not None and model["total"][c].any()]
    tables = {"decay": table(fitted or with_photons)}
    if len(with_photons) > 1:
        tables |= {f"decay_ch{decay['channels'][c]}": table([c]) for c in with_photons}
    return tables


def _flid(flid: Mapping[str, Any], fit: Mapping[str, Any]) -> list[Column]:
    """Fluorescence lifetime-intensity distribution: bins of the trace by rate and mean dtime, where there are any.

    Delays are those after the pulse of the ``fit``, or after the sync where that is not known.
    """
    counts: NDArray[np.int64] = flid["counts"]
    rate, dtime_ns = flid["rate_edges_hz"], after_pulse(flid["dtime_edges_s"], pulses_of(fit)) * 1e9
    i, j = np.nonzero(counts)
    return [
        Column("rate_start", "1/s", rate[i]),
        Column("rate_stop", "1/s", rate[i + 1]),
        Column("mean_dtime_start", "ns", dtime_ns[j]),
        Column("mean_dtime_stop", "ns", dtime_ns[j + 1]),
        Column("bins", "bins", counts[i, j]),
    ]
