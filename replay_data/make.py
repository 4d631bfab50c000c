"""Makes the tag files of this folder and their manifest: ``python replay_data/make.py [FOLDER]``.

Each file comes from the command that the manifest names, so anyone can make it alone; the same versions give
the same bytes. The interrupted one is cut afterwards, as a power failure would leave it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from photonstream.cli import simulate
from photonstream.nodes.formats.ptu import TAG, PtuFormat
from photonstream.nodes.formats.ptu_write import ELAPSED_TAG, RECORDS_TAG
from photonstream.nodes.simulate.truth import truth_path

# Efficiencies are below the preset's: blinking needs seconds of time, and the files should stay small.
# The T2 file has a slow laser and the largest sync divider of such devices, or pulses would be nearly all of it.
COMMANDS = {
    "nc_355nm.ptu": "355nm --time 12s --seed 11 --set efficiency=0.05",
    "nc_640nm.ptu": "640nm --time 10s --seed 2 --set efficiency=0.05",
    "nc_355nm_t2.ptu": "355nm --mode T2 --time 3s --seed 7 --set repetition_rate_hz=1MHz --set sync_divider=16",
    "nc_355nm_interrupted.ptu": "355nm --device hydraharp2 --time 4s --seed 2 --set efficiency=0.05",
}
ABOUT = {
    "nc_355nm.ptu": "one nanocrystal with carrier multiplication that blinks",
    "nc_640nm.ptu": "one nanocrystal without carrier multiplication that blinks",
    "nc_355nm_t2.ptu": "as nc_355nm.ptu in T2 mode at 1 MHz, every 16th laser pulse a record",
    "nc_355nm_interrupted.ptu": "as nc_355nm.ptu by a HydraHarp: the header says 0 records, the last one is cut",
}
CUT_AFTER_S = 3.0
TRUTH_KEYS = ("photons", "photons_per_channel", "records", "duration_s", "time_shares", "biexciton_share")
PARAMETER_KEYS = ("mean_n", "cm_efficiency", "repetition_rate_hz", "seed")
EMITTER_KEYS = ("tau_x_s", "tau_xx_s", "radiative_ratio", "quantum_yield_x", "max_excitons")


def make(folder: Path) -> dict[str, Any]:
    """Make every file and return the manifest."""
    parser = argparse.ArgumentParser()
    simulate.add_parser(parser.add_subparsers())
    files = []
    for name, options in COMMANDS.items():
        (folder / name).unlink(missing_ok=True)
        arguments = parser.parse_args(["simulate", *shlex.split(options), "--out", str(folder / name)])
        arguments.run(arguments)
        truth = json.loads(truth_path(folder / name).read_text(encoding="utf-8"))
        known = {key: truth[key] for key in TRUTH_KEYS}
        known |= {key: truth["parameters"][key] for key in PARAMETER_KEYS}
        known |= {key: truth["parameters"]["emitter"][key] for key in EMITTER_KEYS}
        if "interrupted" in name:
            # What was to follow is not in the file, so neither is the truth about it.
            truth_path(folder / name).unlink()
            known = known | interrupt(folder / name)
            del known["time_shares"]
        content = (folder / name).read_bytes()
        files.append(
            {
                "file": name,
                "about": ABOUT[name],
                "command": f"photonstream simulate {options} --out {name}",
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "truth": known,
            }
        )
    return {"files": files}


def interrupt(path: Path) -> dict[str, Any]:
    """Leave the file as if the recorder had died after CUT_AFTER_S, and say what is still in it."""
    tag_file = PtuFormat().open(path)
    words = np.concatenate(list(tag_file.blocks()))
    special = words >> 31 == 1
    wraps = np.where(special, words & 1023, 0).cumsum()
    syncs = wraps * 1024 + np.where(special, 0, words & 1023)
    kept = int(np.searchsorted(syncs * tag_file.info.macrotime_unit_s, CUT_AFTER_S))
    content = bytearray(path.read_bytes()[: tag_file.data_offset + kept * 4 + 2])
    for tag in (RECORDS_TAG, ELAPSED_TAG):
        value = content.index(tag.encode()) + TAG.size - 8
        content[value : value + 8] = bytes(8)
    path.write_bytes(content)
    channels = (words[:kept][~special[:kept]] >> 25) & 63
    return {
        "photons": int(channels.size),
        "photons_per_channel": {str(channel): int((channels == channel).sum()) for channel in (0, 1)},
        "records": kept,
        "duration_s": float(syncs[kept - 1] * tag_file.info.macrotime_unit_s),
    }


def main() -> None:
    """Make the files and the manifest in the folder given, by default the one of this script."""
    parser = argparse.ArgumentParser(description="Makes the tag files of replay_data and their manifest.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    manifest = make(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
