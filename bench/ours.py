"""This project's own stages, each run by `run` as a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import contestant
import numpy as np

from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.kernels.decode import EventArrays, decode_into, new_carry, watermark_ticks
from photonstream.nodes.pipeline import photon_path, standard
from photonstream.nodes.trace import assemble
from photonstream.stream.runner import InlineRunner, Outcome
from photonstream.stream.threads import ThreadsRunner

BIN_S = 0.01
BLOCK_RECORDS = 1 << 18


def decode(_facts: Mapping[str, Any]) -> contestant.Work:
    """Blocks of the file through the decode kernel, into the same arrays again and again."""

    def work(path: Path) -> None:
        file = open_tag_file(path)
        carry = new_carry()
        out = EventArrays.allocate(file.record_type, BLOCK_RECORDS)
        for block in file.blocks(BLOCK_RECORDS):
            decode_into(block, file.record_type, carry, out)

    return work


def path(_facts: Mapping[str, Any]) -> contestant.Work:
    """The photon path: decode, trace, levels, decay histograms by level and channel, ledger, checksum."""

    def work(path: Path) -> contestant.Curves:
        return _curves(InlineRunner(photon_path(_parameters(path))).run())

    return work


def _whole(place: type[InlineRunner | ThreadsRunner], pulses: int) -> contestant.Prepare:
    def prepare(_facts: Mapping[str, Any]) -> contestant.Work:
        def work(path: Path) -> contestant.Curves:
            out = Path("results")
            out.mkdir(exist_ok=True)
            parameters = {
                **_parameters(path),
                "results": {"out": str(out)},
                "antibunching": {"pulses": pulses},
            }
            return _curves(place(standard(parameters)).run())

        return work

    return prepare


def _parameters(path: Path) -> dict[str, dict[str, Any]]:
    return {"source": {"path": str(path)}, "intensity": {"bin_s": BIN_S}}


def _curves(outcome: Outcome) -> contestant.Curves:
    if outcome.imbalances:
        raise SystemExit(f"the ledger does not balance: {outcome.imbalances}")
    trace = assemble(
        {key: result.value for (node, key), result in outcome.results.items() if node == "intensity"}
    )
    rows = outcome.results["decay", "rows"].value["counts"]
    return trace["counts"].sum(axis=1), rows.sum(axis=(0, 1))


def facts(path: Path) -> dict[str, Any]:
    """What the contestants are told of the file, and how many photons they have to find."""
    file = open_tag_file(path)
    if file.info.mode != "T3" or file.info.pulse_period_s is None:
        raise SystemExit(f"{path}: the comparison needs a T3 recording")
    carry = new_carry()
    out = EventArrays.allocate(file.record_type, BLOCK_RECORDS)
    photons = 0
    channels: set[int] = set()
    for block in file.blocks(BLOCK_RECORDS):
        n, _ = decode_into(block, file.record_type, carry, out)
        photons += n
        channels.update(np.unique(out.channel[:n]).tolist())
    bin_ticks = round(BIN_S / file.info.macrotime_unit_s)
    return {
        "photons": photons,
        "records": file.records,
        "record_type": file.record_type.name,
        "channels": sorted(channels),
        "bin_ticks": bin_ticks,
        "bins": -(-watermark_ticks(carry) // bin_ticks),
        "macrotime_unit_s": file.info.macrotime_unit_s,
        "dtime_resolution_s": file.info.dtime_resolution_s,
        "dtime_bins": round(file.info.pulse_period_s / file.info.dtime_resolution_s) + 1,
    }


# The readers look at no coincidences, so a comparison with them leaves these out; the others are all that a run does.
STAGES: dict[str, tuple[str, contestant.Prepare]] = {
    "decode": ("photonstream", decode),
    "path": ("photonstream", path),
    "pipeline": ("photonstream", _whole(InlineRunner, pulses=0)),
    "everything": ("photonstream", _whole(InlineRunner, pulses=10)),
    "threads": ("photonstream", _whole(ThreadsRunner, pulses=10)),
}

if __name__ == "__main__":
    if sys.argv[1] == "facts":
        Path("report.json").write_text(json.dumps(facts(Path(sys.argv[2]))))
    else:
        contestant.main(STAGES, compiling=frozenset(STAGES))
