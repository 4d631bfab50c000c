"""A finished run's folder, written by hand: two levels of brightness, a decay of two exponentials."""

import json
from pathlib import Path

import numpy as np
import pytest

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
                {"rate_hz": 1000.0, "time_share": 1 / 3, "mean_dtime_s": 2.0e-8, "on": False},
                {"rate_hz": 15000.0, "time_share": 2 / 3, "mean_dtime_s": 4.5e-8, "on": True},
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
