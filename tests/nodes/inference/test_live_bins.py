"""Bins of live fits: few, all of the period, and with nearly all that the recording's own bins say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.nodes.inference.candidates import SEARCH_AGAIN
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.live_bins import fine_at_edges, live_starts


@settings(max_examples=200)
@given(
    bins=st.integers(1, 5000),
    excess=st.floats(-0.5, 3.0),
    edges=st.lists(st.floats(-300.0, 300.0), min_size=1, max_size=4),
    fwhm=st.floats(0.01, 50.0),
)
def test_they_cover_every_bin_once_and_none_is_joined_at_an_edge(bins, excess, edges, fwhm):
    period = bins * (1.0 + excess) if excess > 0 else bins + excess
    starts = live_starts(bins, 1.0, period, np.array(edges), fwhm)
    assert starts[0] == 0
    widths = np.diff(starts, append=bins)
    assert widths.min() >= 1
    for edge in edges:
        since = (starts - edge) % period
        assert np.all(widths[since <= 3 * fwhm] == 1)
        # One that begins well before an edge ends before the stretch that is kept fine.
        assert np.all((since + widths <= period + 1) | (widths == 1))


def test_there_are_few():
    assert len(live_starts(2632, 80e-12, 1 / 4.75e6, np.array([3e-9, 3.2e-9]), 0.1e-9)) < 160


def test_where_the_fit_joins_bins_none_are_joined_at_an_edge():
    # 4.7 bins a joined one: five; edges in the middle, and around the end of the period.
    data = DecayData(np.ones((2, 20_000), np.int64), 0.1e-9, 1.9373e-6)
    assert data.fit_group == 5
    edges_s = np.array([300e-9, -0.4e-9])
    starts = fine_at_edges(data, data.fit_starts, edges_s, 0.1e-9)
    assert set(data.fit_starts) <= set(starts.tolist())
    begin_s, end_s = data.edges_s(starts)[:-1], data.edges_s(starts)[1:]
    assert data.joined(starts).sum() == data.counts[:, : data.bins_in_period].sum()
    fine = end_s - begin_s < 0.11e-9
    for edge_s in edges_s:
        near = np.abs(
            (begin_s - edge_s + data.pulse_period_s / 2) % data.pulse_period_s - data.pulse_period_s / 2
        )
        assert fine[near < 1.8e-9].all()
        assert not fine[(near > 3e-9) & (near < 100e-9)].any()


@pytest.mark.parametrize(
    ("tau_x_ns", "tau_xx_ns", "fwhm_ns", "t0_ns", "period_ns"),
    [
        (46.8, 3.6, 0.1, 3.0, 210.5),
        (46.8, 3.6, 0.5, 205.0, 210.5),
        (20.0, 1.5, 0.2, 100.0, 210.5),
        (3.5, 0.7, 0.1, 3.0, 210.5),
        # More bins than a final fit takes.
        (46.8, 3.6, 0.2, 10.2, 1000.0),
    ],
)
def test_they_keep_the_information_and_the_optimum(truth, tau_x_ns, tau_xx_ns, fwhm_ns, t0_ns, period_ns):
    decay = truth(
        photons=60_000,
        beta=0.3,
        tau_x_s=tau_x_ns * 1e-9,
        tau_xx_s=tau_xx_ns * 1e-9,
        fwhm_s=fwhm_ns * 1e-9,
        t0_s=t0_ns * 1e-9,
        period_s=period_ns * 1e-9,
    )
    counts = np.array([decay.draw(np.random.default_rng(seed)) for seed in (1, 2)])
    data = DecayData(counts, decay.bin_s, decay.period_s)
    options = FitOptions(intervals=False)
    whole = fit_decay(data, options)
    live = fit_decay(data, options, cold=False, start=whole.start)
    assert live.model == whole.model == "bi"
    assert live.beta.stderr == pytest.approx(whole.beta.stderr, rel=0.01)
    assert abs(live.beta.value - whole.beta.value) < 0.15 * whole.beta.stderr
    for name in ("tau_x_s", "tau_xx_s"):
        one, other = getattr(live, name), getattr(whole, name)
        assert one.stderr == pytest.approx(other.stderr, rel=0.01)
        assert abs(one.value - other.value) < 0.15 * other.stderr
    # The curves are in the recording's own bins all the same.
    np.testing.assert_allclose(live.curves.total.sum(axis=1), counts.sum(axis=1), rtol=1e-3)
    np.testing.assert_allclose(live.curves.total, whole.curves.total, rtol=0.05)


def test_the_best_optimum_is_searched_again_when_photons_have_doubled(truth):
    rng = np.random.default_rng(3)
    decay = truth(photons=20_000)
    counts = decay.draw(rng)[None]
    options = FitOptions(intervals=False)
    first = fit_decay(DecayData(counts, decay.bin_s, decay.period_s), options)
    assert first.start.searched == counts.sum()
    counts = counts + truth(photons=5_000).draw(rng)[None]
    second = fit_decay(DecayData(counts, decay.bin_s, decay.period_s), options, cold=False, start=first.start)
    assert second.start.searched == first.start.searched
    counts = counts + truth(photons=20_000).draw(rng)[None]
    third = fit_decay(DecayData(counts, decay.bin_s, decay.period_s), options, cold=False, start=second.start)
    assert third.start.searched == counts.sum() >= SEARCH_AGAIN * first.start.searched
