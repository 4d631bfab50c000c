"""Whether `photonstream attach simulated` keeps up, and loses nothing without a word, from 1e4 to 2e7 records/s.

    python bench/attach_rates.py [--seconds S] [--rates 1e4,1e6,2e7]

One run at each rate, without a page, in threads. Afterwards the recording is compared with what the device had to give,
record by record: what is not there must be in a gap with exactly so many lost records. All records of the file were
decoded once, and the ledger balances. Peak memory is that of the command, without its recorder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from photonstream.cli.campaign.recording import not_whole, read_events, read_records
from photonstream.cli.campaign.results import unbalanced
from photonstream.nodes.recording_events import GAP, STOP

# Settings of the device for each rate. Beyond 1e7 records/s a second of them is simulated beforehand, with a faster
# laser: at 4.75 MHz there would be four photons a pulse, and hundreds of coincidences a photon.
DEVICES: dict[str, dict[str, Any]] = {
    "1e4": {"efficiency": (0.021, 0.021)},
    "1e6": {"background_hz": (470e3, 470e3), "dead_time_s": 0.0},
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
    path, recorded_s, peak_mb = None, None, 0
    while run.poll() is None:
        time.sleep(0.1)
        peak_mb = max(peak_mb, resident_peak_mb(run.pid))
        path = path or next(out.glob("*.ptu"), None)
        # The recorder says last that it has stopped.
        if recorded_s is None and path is not None and any(e.kind == STOP for e in read_events(path)):
            recorded_s = time.monotonic() - began
    ended_s = time.monotonic() - began
    assert recorded_s is not None
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
        "result_after_the_end_s": round(ended_s - recorded_s, 1),
        "peak_mb": peak_mb,
        "load": os.getloadavg()[0],
        "wrong": wrong,
    }


def resident_peak_mb(pid: int) -> int:
    """The most memory that a process has had so far; 0 of one that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), 0)


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
