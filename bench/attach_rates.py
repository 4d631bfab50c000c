"""Whether `photonstream attach simulated` keeps up, and loses nothing without a word, from 1e4 to 2e7 records/s.

    python bench/attach_rates.py [--seconds S] [--rates 1e4,1e6,2e7]

One run at each rate, without a page, in threads. Afterwards the recording is compared with what the device had to give,
record by record: what is not there must be in a gap with exactly so many lost records. All records of the file were
decoded once, and the ledger balances. Peak memory is that of the whole command, from its children's accounts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from photonstream.cli.campaign.recording import not_whole, read_events, read_records
from photonstream.cli.campaign.results import unbalanced
from photonstream.nodes.recording_events import GAP

# Settings of the device for each rate. Beyond 1e7 records/s they are simulated beforehand, a second of them; its laser
# is faster, for at 4.75 MHz there would be four photons a pulse, and hundreds of coincidences a photon.
DEVICES: dict[str, dict[str, Any]] = {
    "1e4": {"efficiency": (0.021, 0.021)},
    "1e6": {"background_hz": (380e3, 380e3), "dead_time_s": 0.0},
    "2e7": {
        "mean_n": 0.0,
        "background_hz": (1e7, 1e7),
        "dead_time_s": 0.0,
        "repetition_rate_hz": 80e6,
        "repeat_s": 1.0,
    },
}


def measure(name: str, seconds: float, folder: Path) -> dict[str, Any]:
    """One run; what it recorded, how long it took, and what is wrong with it."""
    out = folder / name
    settings = DEVICES[name]
    command = [sys.executable, "-P", "-m", "photonstream.cli", "attach", "simulated", "--headless"]
    command += [f"--set=device.{key}={_text(value)}" for key, value in settings.items()]
    began = time.monotonic()
    quiet = subprocess.DEVNULL
    run = subprocess.Popen([*command, f"--time={seconds:g}", f"--out={out}"], stdout=quiet, stderr=quiet)
    path = None
    while run.poll() is None:
        time.sleep(0.1)
        path = path or next(out.glob("*.ptu"), None)
        # The recorder says last that it has stopped.
        recorded = path is not None and any(event.kind == "stop" for event in read_events(path))
        took_s = time.monotonic() - began
        if recorded:
            break
    run.wait()
    ended_s = time.monotonic() - began
    assert path is not None
    gaps = [event for event in read_events(path) if event.kind == GAP]
    records = len(read_records(path))
    wrong = [f"exit code {run.returncode}"] if run.returncode else []
    wrong += not_whole(path, settings, killed=False) + unbalanced(out, records)
    path.unlink()
    return {
        "asked_hz": name,
        "records": records,
        "recorded_hz": round(records / seconds),
        "gaps": len(gaps),
        "lost_records": sum(event.lost_records or 0 for event in gaps),
        "result_after_the_end_s": round(ended_s - took_s, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "load": os.getloadavg()[0],
        "wrong": wrong,
    }


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def main() -> None:
    """Measure each rate once and print what was found, a line of JSON each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rates", default=",".join(DEVICES))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in given.rates.split(","):
            print(json.dumps(measure(name, given.seconds, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
