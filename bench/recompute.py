"""How long a live run takes to compute everything anew after each thing that a person may change on its page.

    python bench/recompute.py [RECORDING.ptu] [--photons 1e7]

Replays a recording (a simulated one unless it is named) at the speed at which it was made, from where so many photons
were read, and gives one command after the other while photons come in. Printed for each: the seconds until the run says
that it was done, until the first fit by the new figures that knows all photons up to the command, and how much
processor time the run took meanwhile: on a machine that others use too, that is what may be compared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from photonstream.cli.folders import address_of
from photonstream.cli.main import main as photonstream
from photonstream.cli.remote import Remote
from photonstream.dashboard.latest import RUN, STATUS, Latest

COMMAND = (sys.executable, "-P", "-m", "photonstream.cli")
LOOK_S, LONGEST_S = 0.01, 120.0
# What is changed, in this order: words, node, parameter, value.
CHANGES: tuple[tuple[str, str, str, Any], ...] = (
    ("window by hand", "states", "on", [20e3, 200e3]),
    ("window auto", "states", "on", "auto"),
    ("another state", "states", "state", 2),
    ("neutral state", "states", "state", None),
    ("one component", "lifetime", "model", "mono"),
    ("by the data", "lifetime", "model", "auto"),
    ("response 0.1 ns", "lifetime", "irf", 1e-10),
    ("response, tail fitted", "lifetime", "irf", "tail"),
    ("response from a file", "lifetime", "irf", "FILE"),
    ("response fitted", "lifetime", "irf", None),
    ("<N>", "lifetime", "mean_n", 0.1),
    ("s", "lifetime", "s", 3.5),
    ("fit range", "lifetime", "fit_range_s", [0.0, 150e-9]),
    ("whole period", "lifetime", "fit_range_s", None),
    ("bin 5 ms", "intensity", "bin_s", 0.005),
    ("bin 10 ms", "intensity", "bin_s", 0.01),
    ("states by window", "states", "method", "window"),
    ("states by hidden Markov", "states", "method", "hmm"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", nargs="?", type=Path)
    parser.add_argument("--photons", type=float, default=1e7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        recording = arguments.recording
        if recording is None:
            recording = place / "nc.ptu"
            seconds = 1.5 * arguments.photons / 65e3 + 60
            photonstream(["simulate", "355nm", "--time", f"{seconds:.0f}s", "--out", str(recording)])
        response = place / "irf.txt"
        rows = (f"{0.02 * k:.2f} {round(1e5 * 0.5 ** ((k - 100) ** 2 / 6.25))}" for k in range(200))
        response.write_text("\n".join(rows), encoding="utf-8")
        run = subprocess.Popen(
            [*COMMAND, "replay", str(recording), "--no-browser", "--speed", "1", "--out", str(place / "out")],
            stdout=subprocess.DEVNULL,
        )
        try:
            measure(run.pid, place / "out", response, arguments.photons)
        finally:
            run.terminate()
            run.wait()


def measure(pid: int, out: Path, response: Path, photons: float) -> None:
    """Give every command in turn and print how long it took."""
    while (address := address_of(out)) is None:
        time.sleep(LOOK_S)
    with Remote(address) as run:
        run.parameters()
        wait(run, lambda latest: settled(latest) and latest.value("decode", "counts").get("photons", 0) > 0)
        counts = run.latest().value("decode", "counts")
        begun_s = photons * counts["duration_s"] / counts["photons"]
        # It reads at full speed up to there, and then as photons came in.
        run.ask("seek", {"time_s": begun_s})
        wait(run, lambda latest: settled(latest) and (latest.reached_s or 0.0) > begun_s + 2.0)
        print(
            f"{run.latest().value('decode', 'counts')['photons']:,} photons, {run.latest().reached_s:.0f} s"
        )
        print(f"{'change':28}{'said done':>12}{'new result':>12}{'processor':>12}")
        for words, node, name, value in CHANGES:
            given = str(response) if value == "FILE" else value
            at_s, begin, used_s = run.latest().reached_s or 0.0, time.monotonic(), processor_s(pid)
            done, said = run.ask("set", {"node": node, "name": name, "value": given})
            asked_s = time.monotonic() - begin
            if not done:
                print(f"{words:28}  refused: {said}")
                continue
            wait(run, lambda latest, n=node, p=name, v=given: takes_hold(latest, n, p, v))
            if node == "states" and name != "method":
                # The selection is a new one; then the fit of it.
                fits = revision(run)
                wait(run, lambda latest, fits=fits: revision(run) > fits)
            wait(run, lambda latest, at_s=at_s: fitted_s(latest) >= at_s)
            took_s = time.monotonic() - begin
            print(
                f"{words:28}{asked_s:10.2f} s{took_s:10.2f} s{processor_s(pid) - used_s:10.2f} s", flush=True
            )


def processor_s(pid: int) -> float:
    """Processor time that the process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def revision(run: Remote) -> int:
    """A number that rises with every fit."""
    known = run.hear().known("lifetime", "fit")
    return -1 if known is None else known.revision


def wait(run: Remote, ready: Callable[[Latest], bool]) -> None:
    """Until what the run says is as wanted."""
    until = time.monotonic() + LONGEST_S
    while not ready(run.hear()):
        if time.monotonic() > until:
            raise SystemExit("it did not come about")


def settled(latest: Latest) -> bool:
    """Whether the run is where it is to be."""
    return latest.value(RUN, STATUS).get("catching_up") is False


def fitted_s(latest: Latest) -> float:
    """The recorded time that the fit knows of."""
    return float(latest.value("lifetime", "fit").get("recorded_s") or 0.0)


def takes_hold(latest: Latest, node: str, name: str, value: Any) -> bool:
    """Whether the run has taken this value, and fit and selection are by it as far as they say so."""
    status = latest.value(RUN, STATUS)
    if same(status.get("parameters", {}).get(node, {}).get(name), value) and settled(latest):
        return by(latest, node, name, value)
    return False


def by(latest: Latest, node: str, name: str, value: Any) -> bool:
    """Whether fit and selection say themselves that they are by this value, as far as they do."""
    summary = latest.value("lifetime", "fit").get("summary", {})
    fit, selection = summary.get("fit", {}), latest.value("states", "selection")
    says = {
        "s": fit.get("s") == value,
        "model": value == "auto" or fit.get("model") == value,
        "fit_range_s": (fit.get("fit_range_s") is None) == (value is None),
        "mean_n": summary.get("eta") is not None or not str(summary.get("eta_reason")).count("not known"),
        "on": (selection.get("chosen") == "given") == (value != "auto"),
        "state": (selection.get("chosen") == "given") == (value is not None),
        "method": selection.get("method") == value,
        "bin_s": abs(latest.bin_s - value) < 1e-5 if name == "bin_s" else True,
        "irf": (fit.get("irf_tail_share") is not None) == (value == "tail"),
    }
    return says.get(name, True)


def same(one: Any, other: Any) -> bool:
    return list(one) == list(other) if isinstance(one, list | tuple) else bool(one == other)


if __name__ == "__main__":
    main()
