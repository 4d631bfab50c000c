"""Runs written by hand: two levels of brightness, a decay of two exponentials; as a folder, and as it goes on."""

import json
import math
import os
import queue
import threading
from pathlib import Path

import numpy as np
import pytest

from photonstream.dashboard.server import serve
from photonstream.nodes.history import ENDS
from photonstream.nodes.inference.levels import level_of, window_ranges
from photonstream.nodes.inference.rows import label_of
from photonstream.nodes.pairs import pulse_scale
from photonstream.stream.chunk import Result
from photonstream.stream.control import CommandServer
from photonstream.stream.link import LatestWriter, Waiter, new_context
from photonstream.stream.wire import Close, Open
from tests.browser import ARGUMENTS, CHROMIUM

BIN_S = 0.01


def estimate(value, stderr, *, z=1.96):
    return {
        "value": value,
        "stderr": stderr,
        "ci68": [value - stderr, value + stderr],
        "ci95": [value - z * stderr, value + z * stderr],
    }


def summary():
    """A result.json as a run of one nanocrystal writes it."""
    return {
        "schema": 1,
        "photonstream": "0.1.0",
        "versions": {
            "photonstream": "0.1.0",
            "python": "3.11.2",
            "numpy": "2.1.0",
            "machine": "Linux x86_64",
        },
        "parameters": {"source": {"path": "nc.ptu"}, "lifetime": {"irf": None, "s": 4.0}},
        "experiment": {"particle": "NC 12", "excitation_nm": 355.0, "mean_n": 0.1, "sample": None},
        "recording": {
            "path": "data/nc.ptu",
            "sha256": "ab" * 32,
            "format": "PTU 1.0.00",
            "record_type": "Generic T3",
            "mode": "T3",
            "records": 40000,
            "photons": 30300,
            "overflows": 9700,
            "overflow_wraps": 9700,
            "markers": 0,
            "syncs": 0,
            "other": 0,
            "photons_per_channel": {"0": 15000, "1": 15300},
            "duration_s": 3.0,
            "sync_rate_hz": 4.75e6,
            "sync_divider": 1,
            "dtime_resolution_s": 8e-11,
            "macrotime_unit_s": 2.1052631578e-7,
            "created": "2021-05-04T12:00:00",
            "comment": "first particle",
            "notes": ["the last record is cut"],
        },
        "intensity": {"bin_s": BIN_S, "bins": 300, "mean_rate_hz": 10100.0},
        "states": {
            "method": "window",
            "chosen": "automatic",
            "window_hz": [8000.0, None],
            "levels": [
                {
                    "rate_hz": 1000.0,
                    "rate_stderr_hz": 32.0,
                    "time_share": 1 / 3,
                    "mean_dtime_s": 2.0e-8,
                    "on": False,
                },
                {
                    "rate_hz": 15000.0,
                    "rate_stderr_hz": 87.0,
                    "time_share": 2 / 3,
                    "mean_dtime_s": 4.5e-8,
                    "on": True,
                },
            ],
            "on_time_s": 2.0,
            "on_photons": 30000,
        },
        "fit": {
            "model": "bi",
            "reason": "",
            "photons": 30000,
            "photons_outside": 0,
            "tau_x_s": estimate(46.8e-9, 0.213e-9),
            "tau_xx_s": estimate(3.61e-9, 0.124e-9),
            "amplitude_x": estimate(0.565, 0.0123),
            "amplitude_xx": estimate(0.435, 0.0123),
            "photon_share_x": estimate(0.944, 0.0031),
            "photon_share_xx": estimate(0.056, 0.0031),
            "background_share": estimate(0.0123, 0.0022),
            "irf_fwhm_s": estimate(0.105e-9, 0.011e-9),
            "likelihood_ratio": 812.5,
            "goodness": {"reduced_chi2": 1.013, "groups": 800.0},
            "s": 4.0,
            "channels": {"0": {"photons": 15000, "fitted": True, "t0_s": estimate(3.0e-9, 0.0044e-9)}},
        },
        "beta": estimate(0.27, 0.0105),
        "beta_reason": "",
        "beta_signed": None,
        "beta_upper95": None,
        "assumed_tau_xx_s": None,
        "eta": estimate(0.232, 0.014),
        "eta_model": "two levels",
        "eta_reason": "",
        "antibunching": None,
        "interrupted": False,
        "ledger": [
            {
                "node": "decode",
                "events_in": 40000,
                "events_out": 30300,
                "events_lost": 0,
                "ended": {"overflows": 9700},
                "held": 0,
                "losses": [],
            }
        ],
    }


def table(names, units, rows):
    return "\n".join([",".join(names), ",".join(units), *(",".join(map(str, row)) for row in rows)]) + "\n"


def trace_csv():
    """300 bins: 100 of 10 counts, 200 of 150 selected ones."""
    counts = [10 if (k // 50) % 3 == 0 else 150 for k in range(300)]
    rows = [
        (k * BIN_S, (k + 1) * BIN_S, n, n**0.5, n / BIN_S, n // 2, n - n // 2, int(n > 80))
        for k, n in enumerate(counts)
    ]
    names = ("time_start", "time_stop", "counts", "counts_error", "rate", "counts_ch0", "counts_ch1", "on")
    return table(names, ("s", "s", "counts", "counts", "1/s", "counts", "counts", ""), rows)


def decay_csv(bins=500):
    edges = np.linspace(0.0, 210.0, bins + 1)
    time = edges[:-1]
    exciton, fast, background = 80 * np.exp(-time / 46.8), 60 * np.exp(-time / 3.6), np.full(bins, 0.4)
    fit = exciton + fast + background
    counts = np.random.default_rng(5).poisson(fit)
    residual = (counts - fit) / np.sqrt(fit)
    columns = (time, edges[1:], counts, np.sqrt(counts), counts + 7, fit, residual, exciton, fast, background)
    names = "time_start,time_stop,counts,counts_error,counts_all_states,fit,residual,exciton,fast,background"
    units = "ns,ns,counts,counts,counts,counts,sigma,counts,counts,counts"
    return table(names.split(","), units.split(","), zip(*columns, strict=True))


def flid_csv():
    names = ("rate_start", "rate_stop", "mean_dtime_start", "mean_dtime_stop", "bins")
    rows = [(14000, 16000, 44, 46, 200), (900, 1100, 18, 20, 90), (900, 1100, 20, 22, 10)]
    return table(names, ("1/s", "1/s", "ns", "ns", "bins"), rows)


@pytest.fixture
def result():
    """The content of result.json, to be changed by a test."""
    return summary()


@pytest.fixture
def write_run(tmp_path):
    """Writes a folder: ``write_run(result, leave_out=(...), **texts)``, with the text of a CSV by its name."""

    def write(result, *, leave_out=(), **texts) -> Path:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        files = {"trace": trace_csv(), "decay": decay_csv(), "flid": flid_csv()} | texts
        for name, content in files.items():
            if name not in leave_out:
                (folder / f"{name}.csv").write_text(content, encoding="utf-8")
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def browser():
    """A real browser."""
    if CHROMIUM is None and not os.environ.get("PHOTONSTREAM_REQUIRE_BROWSER"):
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


# A run as it goes on: what its nodes say, one (node, key) at a time.

TILE_BINS = 16384
# Counts of a dark and of a bright bin.
DARK, BRIGHT = 10, 150


def trace_counts(bins):
    """50 dark bins, then 100 bright ones, again and again."""
    return np.where((np.arange(bins) // 50) % 3 == 0, DARK, BRIGHT)


def trace_results(bins):
    """The trace in tiles, its counts on two channels."""
    counts = trace_counts(bins)
    for k, first in enumerate(range(0, bins, TILE_BINS)):
        part = counts[first : first + TILE_BINS]
        value = {
            "bin_s": BIN_S,
            "first": first,
            "bins": len(part),
            "counts": np.stack([part // 2, part - part // 2], axis=1).astype(np.uint32),
            "end_s": (first + len(part)) * BIN_S,
        }
        yield "intensity", f"trace/{k}", value
    yield "intensity", "trace", {"bin_s": BIN_S, "bins": bins, "end_s": bins * BIN_S, "tiles": k + 1}


def selection(on, bins):
    """What `states` says for the window ``on`` ("auto", or two rates in Hz): the bright bins, or those in it."""
    levels = int(level_of(np.array(BRIGHT))) + 1
    if on == "auto":
        low, high = 80.0, math.inf
    else:
        low, high = (rate * BIN_S for rate in on)
    on_levels = np.zeros(levels, bool)
    for part in window_ranges(low, high, levels):
        on_levels[part.low : part.high] = part.on
    counts = trace_counts(bins)
    chosen = counts[(counts >= low) & (counts <= high)]
    window = [8000.0, None] if on == "auto" else [on[0], None if math.isinf(on[1]) else on[1]]
    return {
        "method": "window",
        "chosen": "automatic" if on == "auto" else "given",
        "window_hz": window if on_levels.any() else None,
        "on_levels": on_levels,
        "levels": [],
        "on_time_s": len(chosen) * BIN_S,
        "on_photons": int(chosen.sum()),
        "bins": bins,
    }


def decay_result(bins=500):
    """The decay of two channels with its model, as `lifetime` gives it."""
    time = np.linspace(0.0, 210.0, bins, endpoint=False)
    shape = {"x": 40 * np.exp(-time / 46.8), "xx": 30 * np.exp(-time / 3.6), "background": np.full(bins, 0.2)}
    model = {name: np.stack([part, part]) for name, part in shape.items()}
    model["total"] = sum(model.values())
    selected = np.random.default_rng(5).poisson(model["total"])
    return {
        "selected": selected,
        "all": selected + 3,
        "channels": np.array([0, 1]),
        "model": model,
        "resolution_s": 0.42e-9,
        "pulse_period_s": 210e-9,
    }


def history_result(fits=40):
    """Estimates that settle: beta at 27 %, its band narrowing."""
    photons = np.geomspace(1000, 30000, fits)
    value = {"photons": photons}
    for name, at, width in (("tau_x_s", 46.8e-9, 2e-9), ("tau_xx_s", 3.6e-9, 4e-10), ("beta", 0.27, 0.06)):
        error = width * np.sqrt(1000 / photons)
        columns = (np.full(fits, at), at - error, at + error, at - 2 * error, at + 2 * error, error)
        value |= {name + end: column for end, column in zip(ENDS, columns, strict=True)}
    # The first fits gave no beta.
    for end in ENDS:
        value["beta" + end][:5] = np.nan
    return value


def pairs_result(levels, centre=4, side=400):
    """Pairs of the brightest level as `antibunching` gives them: each peak beside the centre has ``side``.

    Both photons came with 46.8 ns after pulses at 3 ns.
    """
    scale = pulse_scale(10, 210e-9, 0.42e-9)
    starts_s = scale.class_starts_s
    edges_s = np.append(starts_s, 210e-9)
    shape = np.diff(1 - np.exp(-np.maximum(edges_s - 3e-9, 0) / 46.8e-9))
    peak = np.outer(shape, shape) / shape.sum() ** 2
    counts = np.where(np.arange(scale.separations) == 10, centre, side)
    classes = np.random.default_rng(3).poisson(counts[:, None, None] * peak)
    delays = np.zeros((1, scale.bins), np.int64)
    centres = np.round((np.arange(21) - 10) * 210e-9 / scale.bin_s - scale.start_s / scale.bin_s)
    delays[0, np.clip(centres, 0, scale.bins - 1).astype(int)] = counts
    return {
        "by": "pulses",
        "reason": "",
        "channels": [0, 1],
        "totals": [[0, 1, int(counts.sum())]],
        "period_s": 210e-9,
        "offset_pulses": None,
        "offset_s": None,
        "late_s": 19.5e-9,
        "delay_start_s": scale.start_s,
        "delay_bin_s": scale.bin_s,
        "class_starts_s": starts_s,
        "labels": label_of(np.array([levels - 1]), 0, 0),
        "classes": classes[None],
        "delays": delays,
    }


def status_value(**changes):
    """What the run says of itself."""
    return {
        "epoch": 0,
        "state": "running",
        "catching_up": False,
        "place_s": None,
        "lag_s": None,
        "speed": None,
        "restarts": [],
        "refused": 0,
        "waiting_for": [],
        "parameters": {"source": {"path": "data/nc.ptu"}, "states": {"on": "auto"}},
    } | changes


def run_results(summary, bins=300, on="auto"):
    """Everything that a run says, in the order in which it does."""
    flid = np.zeros((49, 128), np.int64)
    flid[12, 12], flid[48, 27] = 100, 200
    edges_hz = np.ceil(np.arange(50) ** 2 / 16) / BIN_S
    line = {"events_lost": 0, "ended": {}, "held": 0, "losses": []}
    fit = {key: value for key, value in summary.items() if key == "fit" or key.startswith(("beta", "eta"))}
    channels = fit["fit"].get("channels", {})
    if channels:
        fit["fit"] = {**fit["fit"], "channels": {**channels, "1": channels["0"]}}
    levels = int(level_of(np.array(BRIGHT))) + 1
    return [
        ("source", "progress", {"records": 20000, "total": 40000, "time_s": bins * BIN_S}),
        ("decode", "counts", {"photons": int(trace_counts(bins).sum()), "duration_s": bins * BIN_S}),
        *trace_results(bins),
        ("states", "selection", selection(on, bins)),
        (
            "states",
            "flid",
            {"counts": flid, "rate_edges_hz": edges_hz, "dtime_edges_s": np.arange(129) * 210e-9 / 128},
        ),
        ("lifetime", "fit", {"summary": {**fit, "assumed_tau_xx_s": None}, "headline": ""}),
        ("lifetime", "decay", decay_result()),
        ("lifetime", "history", history_result()),
        ("antibunching", "pairs", pairs_result(levels)),
        (
            "source",
            "status",
            {
                "ledger": {"node": "source", "events_in": 20000, "events_out": 20000, **line},
                "shares": {"busy": 0.25},
            },
        ),
        (
            "decode",
            "status",
            {
                "ledger": {"node": "decode", "events_in": 20000, "events_out": 15150, **line},
                "shares": {"busy": 0.5},
            },
        ),
        ("run", "status", status_value()),
    ]


class HandRun:
    """A run that says what a test wants, at an address of its own, and writes down the commands that it gets.

    A window that is asked for is taken up as a run does: new parameters, new selection. ``refusal`` is what it answers
    instead of yes; while it is ``deaf`` it answers nothing.
    """

    def __init__(self):
        self.refusal = None
        self.deaf = False
        self.commands = queue.Queue()
        # The window that was asked for last.
        self.window = None
        self.bins = 300
        self._status = status_value()
        self._jobs = queue.SimpleQueue()
        self._ready = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _work(self):
        context = new_context()
        self._writer = LatestWriter(context, "tcp://127.0.0.1:0")
        control = CommandServer(context, "tcp://127.0.0.1:0")
        self.address, self._facts = self._writer.endpoint, control.facts
        self._open(0)
        self._ready.set()
        waiter = Waiter()
        waiter.watch(self._writer.socket)
        waiter.watch(control.socket)
        while not self._end.is_set():
            waiter.wait(0.005)
            while not self._jobs.empty():
                self._jobs.get()()
            if not self.deaf:
                control.service(self._command)
            self._writer.service()
        control.stop()
        self._writer.stop()
        context.term()

    def _do(self, job):
        done = threading.Event()

        def work():
            job()
            done.set()

        self._jobs.put(work)
        assert done.wait(10)

    def _open(self, epoch, **facts):
        info = {"created": "2021-05-04T12:00:00", "comment": "", "sync_rate_hz": 4.75e6}
        self._writer.open(Open("run-1", epoch, "run", "latest", info, self._facts | facts))

    def _put(self, node, key, value, final=False):
        if (node, key) == ("run", "status"):
            self._status = value
        self._writer.put(Result(node, key, value, final))

    def _command(self, name, values, by):
        self.commands.put((name, dict(values)))
        if self.refusal is not None:
            return False, self.refusal
        if name == "set" and values["name"] == "on":
            self.window = values["value"]
            parameters = {**self._status["parameters"], "states": {"on": values["value"]}}
            self._put("states", "selection", selection(values["value"], self.bins))
            self._put("run", "status", {**self._status, "parameters": parameters})
        return True, ""

    def put(self, node, key, value, final=False):
        """Publish one result."""
        self._do(lambda: self._put(node, key, value, final))

    def status(self, **changes):
        """Say how the run is."""
        self.put("run", "status", self._status | changes)

    def say_all(self, results):
        """Publish ``results``, such as `run_results` makes."""
        self._do(lambda: [self._put(*result) for result in results])

    def open(self, epoch, **facts):
        """Begin a public epoch, with other ``facts``."""
        self._do(lambda: self._open(epoch, **facts))

    def close(self):
        """Say that this was all."""
        self._do(lambda: self._writer.put(Close(0, 0, "end")))

    def command(self):
        """The next command that is more than a sign of life."""
        while True:
            name, values = self.commands.get(timeout=10)
            if name != "hello":
                return name, values

    def stop(self):
        """Be gone, without a word."""
        self._end.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def hand_run():
    """A run that says what a test wants; nothing so far."""
    run = HandRun()
    yield run
    run.stop()


@pytest.fixture
def going_run(hand_run, result):
    """A run of one nanocrystal, read to the half."""
    hand_run.say_all(run_results(result))
    return hand_run


@pytest.fixture
def results_of_run(result):
    """What a run says, as a function of the number of bins: (node, key, value) in order."""
    return lambda bins=300: run_results(result, bins)


@pytest.fixture
def status():
    """What the run says of itself, with changes."""
    return status_value


@pytest.fixture
def serve_page():
    """Serves the page of the run at an address: gives its URL, and a function that ends it."""
    ends = []

    def begin(address, port=0, links=None, going=None, **options):
        """``links`` takes the read-only link too; the server stands still while the event ``going`` is not set."""
        ready, end = queue.SimpleQueue(), threading.Event()

        def ended():
            if going is not None:
                going.wait()
            return end.is_set()

        def on_ready(found):
            acting, watching = found[0]
            if links is not None:
                links.append(watching)
            ready.put(acting)

        thread = threading.Thread(
            target=serve, args=(address, port, on_ready, ended), kwargs=options, daemon=True
        )
        thread.start()

        def stop():
            end.set()
            if going is not None:
                going.set()
            thread.join(10)
            assert not thread.is_alive()

        ends.append(stop)
        return ready.get(timeout=20), stop

    yield begin
    for stop in ends:
        stop()
