"""The fit on recordings of single emitters: PicoHarp T3 at 76 MHz, 4 ps bins, background in channel 0."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay

ROOT = Path(os.environ.get("PHOTONSTREAM_DATA", Path(__file__).parents[4] / "shared" / "data"))
FOLDER = ROOT / "single_emitter_picoharp_pt3"
TRACES = ("trace0", "trace1", "trace10", "trace2", "trace3", "trace5", "trace8")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the recordings are not on this machine")


def read(name):
    """Time in seconds, channel and dtime bin of each photon; the time-tagging header stands at byte 692."""
    content = (FOLDER / f"{name}.pt3").read_bytes()
    fields = struct.unpack_from("<9i", content, 692)
    sync_rate_hz, records, extra = fields[3], fields[7], fields[8]
    words = np.frombuffer(content, "<u4", count=records, offset=728 + 4 * extra)
    channel, dtime, nsync = words >> 28, (words >> 16) & 0xFFF, words & 0xFFFF
    wraps = np.cumsum((channel == 15) & (dtime == 0), dtype=np.int64)
    photon = channel != 15
    times_s = (wraps * 65536 + nsync)[photon] / sync_rate_hz
    return times_s, channel[photon].astype(int) - 1, dtime[photon].astype(int), 1.0 / sync_rate_hz


def decay(name, at_least=0):
    """Histograms of the photons in 10 ms bins with ``at_least`` counts."""
    times_s, channel, dtime, period_s = read(name)
    bins = (times_s / 0.01).astype(int)
    chosen = np.bincount(bins)[bins] >= at_least
    counts = np.array([np.bincount(dtime[chosen & (channel == c)], minlength=4096) for c in (0, 1)])
    return DecayData(counts, 4e-12, period_s)


def test_the_bright_state_of_a_blinking_emitter():
    data = decay("trace3", at_least=35)
    fit = fit_decay(data, FitOptions())
    assert fit.model == "mono"
    assert 3.4e-9 < fit.tau_x_s.value < 3.6e-9
    assert fit.tau_x_s.stderr < 0.05e-9
    assert "channel 0 left out: no pulsed emission" in fit.reason
    assert fit.beta is None
    # A tail fit that knows neither IRF nor t0: mean delay of the photons 2 ns and more after the edge, cut at 11 ns.
    tail = data.counts[1, 900:2750].astype(float)
    delays_s = (np.arange(tail.size) + 0.5) * 4e-12
    level = fit.background_share.value * fit.photons / data.bins_in_period
    mean_s = ((tail - level) * delays_s).sum() / (tail - level).sum()
    taus_s = np.linspace(2e-9, 6e-9, 4001)
    cut_s = tail.size * 4e-12
    means_s = taus_s - cut_s / np.expm1(cut_s / taus_s)
    assert fit.tau_x_s.value == pytest.approx(np.interp(mean_s, means_s, taus_s), rel=0.05)


def test_the_whole_trace_holds_a_dim_state_too():
    everything, bright = decay("trace3"), decay("trace3", at_least=35)
    assert everything.counts.sum(axis=1).tolist() == [907, 184_928]
    fit = fit_decay(everything, FitOptions())
    assert fit.model == "bi"
    assert fit.beta is None
    assert fit.photons - fit_decay(bright, FitOptions()).photons > 10_000


@pytest.mark.parametrize("name", ["trace0", "trace8"])
def test_background_is_no_emitter(name):
    fit = fit_decay(decay(name), FitOptions())
    assert fit.model == "none"
    assert "instrument" in fit.reason
    assert fit.beta is None


@pytest.mark.parametrize("name", TRACES)
def test_no_beta_where_the_fast_component_is_the_instruments(name):
    fit = fit_decay(decay(name), FitOptions())
    assert fit.beta is None
    assert fit.beta_reason
    assert fit.photons_outside + fit.photons == decay(name).counts.sum()
