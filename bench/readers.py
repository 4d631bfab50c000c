"""Other readers, each doing decode + 10 ms trace + decay histogram as its own documentation does it fastest.

Runs under the interpreter of the reader's own environment, without this project.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import contestant
import numpy as np

BIN_S = 0.01
Facts = Mapping[str, Any]


def tttrlib(_facts: Facts) -> contestant.Work:
    """Reads the file into a TTTR object; trace and histogram are its methods."""
    import tttrlib

    def work(path: Path) -> contestant.Curves:
        photons = tttrlib.TTTR(str(path))
        trace = photons.get_intensity_trace(BIN_S)
        decay, _ = photons.get_microtime_histogram()
        return trace, decay

    return work


def ptufile(_facts: Facts) -> contestant.Work:
    """Its compiled functions on the records: a point measurement cut into pixels, and a histogram."""
    import ptufile

    def work(path: Path) -> contestant.Curves:
        with ptufile.PtuFile(path) as ptu:
            records = ptu.read_records()
            trace = ptu.decode_image(
                records=records, pixel_time=BIN_S, channel=-1, dtime=-1, dtype="uint32", keepdims=False
            )
            decay = ptu.decode_histogram(records=records)
        return trace, decay.sum(axis=0)

    return work


def ptufile_numpy(facts: Facts) -> contestant.Work:
    """Its decoded records, in which the overflows stay, with numpy."""
    import ptufile

    def work(path: Path) -> contestant.Curves:
        with ptufile.PtuFile(path) as ptu:
            events = ptu.decode_records()
        photon = events["channel"] >= 0
        return _sorted_trace(events["time"][photon], facts), np.bincount(events["dtime"][photon])

    return work


def phconvert(facts: Facts) -> contestant.Work:
    """Its arrays of photons, decoded with its numba functions, with numpy."""
    import phconvert

    def work(path: Path) -> contestant.Curves:
        times, detectors, dtimes, _, _ = phconvert.pqreader.load_ptu(str(path))
        if detectors.max() >= 64:
            photon = detectors < 64
            times, dtimes = times[photon], dtimes[photon]
        return _sorted_trace(times, facts), np.bincount(dtimes)

    return work


def _sorted_trace(times: Any, facts: Facts) -> Any:
    """Counts per bin of sorted times, the fastest way that numpy has."""
    edges = np.arange(facts["bins"] + 1, dtype=times.dtype) * times.dtype.type(facts["bin_ticks"])
    return np.diff(np.searchsorted(times, edges))


def trattoria(facts: Facts) -> contestant.Work:
    """One pass per curve and channel: a trace over all channels at once would count overflows as photons."""
    import trattoria

    def work(path: Path) -> contestant.Curves:
        ptu = trattoria.PTUFile(path)
        # It numbers the inputs from 1 and keeps 0 for the sync.
        channels = [channel + 1 for channel in facts["channels"]]
        resolution_s = facts["dtime_resolution_s"]
        traces, decays = [], []
        for c in channels:
            trace = trattoria.TimeTraceParameters(resolution=BIN_S, channel=c)
            decay = trattoria.LifetimeParameters(channel_sync=0, channel_source=c, resolution=resolution_s)
            traces.append(ptu.timetrace(trace).tt)
            decays.append(ptu.lifetime(decay).g2)
        return np.sum(traces, axis=0), np.sum(decays, axis=0)

    return work


def snapi(facts: Facts) -> contestant.Work:
    """Its measurement classes on a file device, one pass each."""
    from snAPI.Main import snAPI

    def work(path: Path) -> contestant.Curves:
        device = snAPI()
        if not device.getFileDevice(str(path)):
            raise SystemExit("snAPI does not open the file")
        device.timeTrace.setNumBins(facts["bins"])
        device.timeTrace.setHistorySize(facts["bins"] * BIN_S)
        device.timeTrace.measure(waitFinished=True)
        trace, _ = device.timeTrace.getData(normalized=False)
        device.histogram.measure(waitFinished=True)
        decay, _ = device.histogram.getData()
        return trace.sum(axis=0), decay.sum(axis=0)

    return work


def eta(facts: Facts) -> contestant.Work:
    """One recipe that fills both histograms in one pass; compiled before the clock starts."""
    from etabackend.eta import ETA

    engine = ETA()
    engine.load_recipe(_eta_recipe(facts))

    def work(path: Path) -> contestant.Curves:
        result = engine.run(engine.clips(path), group="main")
        return result["trace"], result["decay"]

    return work


def _eta_recipe(facts: Facts) -> dict[str, str]:
    """ETA counts in whole picoseconds, so the width of a bin is given in those."""
    tick_ps = int(facts["macrotime_unit_s"] * 1e12)
    resolution_ps = round(facts["dtime_resolution_s"] * 1e12)
    channels = ",".join(str(channel) for channel in facts["channels"])
    code = f"""\
HISTOGRAM(trace,({facts["bins"]},{facts["bin_ticks"] * tick_ps}))
HISTOGRAM(decay,({facts["dtime_bins"]},{resolution_ps}))
CLOCK(since_start)
CLOCK(delay)
photon--{channels}-->photon:
    since_start.stop()
    trace.record(since_start)
    delay.stop()
    delay.start(LAST_SYNC)
    decay.record(delay)
"""
    state = {"x": 0, "y": 0, "fixed": True, "initial": True}
    loop = {"source": 0, "target": 0, "text": channels}
    instruments = {
        "vi_template1": {"nodes": [{**state, "text": "photon"}], "edges": [loop], "usercode": code},
        "vi_template2": {
            "nodes": [{**state, "text": "source"}],
            "edges": [],
            "usercode": f"RFILE(tagger,[{channels}])",
        },
    }
    table = [{"id": key, "name": key, "group": "main", "info": "", "config": ""} for key in instruments]
    return {"eta_index_table": json.dumps(table), **{k: json.dumps(v) for k, v in instruments.items()}}


READERS = {
    "tttrlib": ("tttrlib", tttrlib),
    "ptufile": ("ptufile", ptufile),
    "ptufile + numpy": ("ptufile", ptufile_numpy),
    "phconvert": ("phconvert", phconvert),
    "trattoria": ("trattoria", trattoria),
    "snAPI": ("snAPI", snapi),
    "ETA": ("etabackend", eta),
}

if __name__ == "__main__":
    contestant.main(READERS, compiling=frozenset({"phconvert", "ETA"}))
