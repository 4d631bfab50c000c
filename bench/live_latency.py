"""How late the results of a live run are at 1e5 records/s, by its own stamps and from outside, and what it costs.

    python bench/live_latency.py [--seconds S] [--placement threads|processes] [--attach] [--dark]

The real command follows a file that this program writes in pieces, every 5 ms those records that are due, or attaches
the simulated device (``--dark``: one that sees nothing, and gives counter wraps alone). A reader at the run's public
address makes it a run that is watched. By its stamps: what the run says of its last minute. From outside (follow only):
for every millisecond of photons the time from the write that held the last of them to the first published decay that
counts as many photons; it holds the wait for the next result, too. CPU is that of each process over the second half,
from /proc; then of 10 s in which nothing is written (follow only).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from tags import write_tags
from watch import Watch

from photonstream.nodes.formats import open_tag_file

RATE_HZ = 1e5
WRITE_S, IDLE_S, WARM_S = 0.005, 10.0, 8.0
TICKS = os.sysconf("SC_CLK_TCK")


class Reader(Watch):
    """When the decay counted how many photons, and what the run says of itself."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.arrivals: list[tuple[float, int]] = []
        self.status: dict[str, Any] = {}
        self.pids: dict[str, int] = {}

    def note(self, now: float, what: tuple[str, str], value: Any) -> None:
        if what == ("lifetime", "decay"):
            self.arrivals.append((now, int(value["all"].sum())))
        elif what == ("run", "status"):
            self.status = dict(value)
        elif what[1] == "status":
            self.pids[what[0]] = value["pid"]


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def shares(pids: dict[str, int], seconds: float) -> dict[str, float]:
    """CPU of each process over the next ``seconds``, in percent of one core."""
    before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
    time.sleep(seconds)
    lasted_s = time.monotonic() - began
    return {name: round(100 * (cpu_s(pid) - before[name]) / lasted_s, 1) for name, pid in pids.items()}


class Writer(threading.Thread):
    """Appends the records of ``source`` to ``path`` as they are due, and keeps when each of them was written."""

    def __init__(self, source: Path, path: Path, seconds: float) -> None:
        super().__init__(daemon=True)
        self.writes: list[tuple[float, int]] = []
        self._seconds = seconds
        self._offset = open_tag_file(source).data_offset
        self._bytes = source.read_bytes()
        # Photons among the first records: the highest bit marks overflows.
        words = np.frombuffer(self._bytes, "<u4", offset=self._offset)
        self._photons = np.append(0, np.cumsum(words >> 31 == 0))
        self._path = path

    def run(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            file.write(self._bytes[: self._offset])
            began, given = time.monotonic(), 0
            while (now := time.monotonic()) < began + self._seconds:
                due = int((now - began) * RATE_HZ)
                file.write(self._bytes[self._offset + 4 * given : self._offset + 4 * due])
                given = due
                self.writes.append((time.monotonic(), int(self._photons[given])))
                time.sleep(WRITE_S)


def outside_ms(writer: Writer, arrivals: list[tuple[float, int]]) -> list[float]:
    """Median and 99th percentile in ms."""
    written, counted = np.array(writer.writes), np.array(arrivals).reshape(-1, 2)
    reached = np.maximum.accumulate(counted[:, 1])
    step = RATE_HZ * 1e-3
    photons = np.arange(WARM_S * RATE_HZ, min(written[-1, 1] * 0.98, reached[-1]), step)
    late = counted[np.searchsorted(reached, photons), 0] - written[np.searchsorted(written[:, 1], photons), 0]
    return [round(1e3 * float(x), 1) for x in np.percentile(late, [50, 99])]


def main() -> None:
    """Measure once and print what was found, as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--placement", choices=("threads", "processes"), default="threads")
    parser.add_argument("--attach", action="store_true")
    parser.add_argument("--dark", action="store_true")
    given = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        whole, path = Path(folder) / "whole.ptu", Path(folder) / "run.ptu"
        command = [sys.executable, "-P", "-m", "photonstream.cli"]
        if given.attach or given.dark:
            light = ("mean_n=0", "background_hz=0,0") if given.dark else ("efficiency=0.17,0.17",)
            device = [f"--set=device.{setting}" for setting in light]
            command += ["attach", "simulated", *device, "--time", f"{given.seconds:g}"]
        else:
            write_tags(whole, round(RATE_HZ * given.seconds), mean_hz=RATE_HZ)
            command += ["follow", str(path), "--idle-timeout", "60"]
        command += ["--headless", "--placement", given.placement, "--address", address]
        run = subprocess.Popen([*command, "--out", f"{folder}/out"], stdout=subprocess.DEVNULL)
        reader, writer = Reader(address), None
        reader.start()
        try:
            if not (given.attach or given.dark):
                time.sleep(3.0)
                writer = Writer(whole, path, given.seconds)
                writer.start()
            time.sleep(given.seconds / 2)
            pids = {"command": run.pid, **({} if given.placement == "threads" else reader.pids)}
            found: dict[str, Any] = {"cpu_percent": shares(pids, given.seconds / 2 - 3.0)}
            found["stamps"], found["load"] = reader.status.get("latency"), os.getloadavg()
            if writer is not None:
                writer.join()
                time.sleep(3.0)
                found["outside_ms"] = outside_ms(writer, reader.arrivals)
                found["idle_percent"] = shares(pids, IDLE_S)
        finally:
            run.terminate()
            run.wait(60)
            reader.end.set()
            reader.join()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
