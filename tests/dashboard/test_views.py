"""Curves in the units and with the number of points that the panels draw."""

import numpy as np
import pytest

from photonstream.dashboard.folder import Curve
from photonstream.dashboard.panels.decay import unfitted_sides
from photonstream.dashboard.panels.trace import trace_key
from photonstream.dashboard.views import envelope, rate_histogram, view_decay, view_trace


def trace_of(counts, on, *, bin_s=0.01, last_s=None, **more):
    start = np.arange(len(counts)) * bin_s
    stop = start + bin_s
    if last_s is not None:
        stop[-1] = start[-1] + last_s
    counts = np.asarray(counts, float)
    columns = {"time_start": start, "time_stop": stop, "counts": counts, "rate": counts / (stop - start)}
    return view_trace(Curve({**columns, "on": np.asarray(on, float), **more}))


def test_trace_in_kcps_with_its_last_short_bin():
    trace = trace_of([10, 20, 9], [0, 1, 0], last_s=0.001)
    np.testing.assert_allclose(trace.rate_kcps, [1, 2, 9])
    np.testing.assert_allclose(trace.edges_s, [0, 0.01, 0.02, 0.021])
    assert trace.on.tolist() == [False, True, False]
    # The short bin's rate is mostly noise: it does not set the axis.
    assert trace.highest_kcps == 2.0


def test_envelope_marks_selected_bins_by_column():
    shown = envelope(trace_of([1, 5, 30, 40, 2, 3], [0, 0, 1, 1, 0, 0]), 3)
    np.testing.assert_allclose(shown.low, [0.1, 3.0, 0.2])
    np.testing.assert_allclose(shown.high, [0.5, 4.0, 0.3])
    np.testing.assert_allclose(shown.on_low, [np.nan, 3.0, np.nan])
    np.testing.assert_array_equal(shown.on_share, [0, 1, 0])
    np.testing.assert_allclose(shown.edges_s, [0, 0.02, 0.04, 0.06])


def test_envelope_tells_states_that_are_not_selected():
    states = np.array([2, 3, 1, 1, 0, 2, np.nan, 0])
    trace = trace_of([1, 5, 30, 40, 2, 3, 7, 7], [0, 0, 1, 1, 0, 0, 0, 0], state=states)
    assert (trace.selected_states, trace.other_states) == ([1], [2, 3])
    shown = envelope(trace, 4)
    assert set(shown.others) == {2, 3}
    np.testing.assert_allclose(shown.others[2][0], [0.1, np.nan, 0.3, np.nan])
    np.testing.assert_allclose(shown.others[3][1], [0.5, np.nan, np.nan, np.nan])
    assert envelope(trace_of([1, 5], [0, 1]), 2).others == {}
    assert trace_key([1], [2, 3]).count("<i ") == 4
    assert "state 3" in trace_key([1], [2, 3])
    assert "state" not in trace_key([1], [])


def test_bins_in_a_gap_are_not_dark():
    trace = trace_of([10, 0, 0, 0, 20], [1, 0, 0, 0, 1], gap=np.array([0, 1, 1, 0, 0]))
    np.testing.assert_allclose(trace.rate_kcps, [1, np.nan, np.nan, 0, 2])
    assert rate_histogram(trace).bins.sum() == 3
    np.testing.assert_allclose(envelope(trace, 5).low, [1, np.nan, np.nan, 0, 2])


def test_histogram_counts_every_whole_bin_once():
    counts = np.random.default_rng(1).poisson(150, 2000)
    on = counts > 150
    trace = trace_of(np.append(counts, 3), np.append(on, False), last_s=0.001)
    histogram = rate_histogram(trace)
    assert histogram.bins.sum() == 2000
    assert histogram.on_bins.sum() == on.sum()
    assert (histogram.on_bins <= histogram.bins).all()
    # 190-odd counts in at most 90 classes: three counts each, one count being 0.1 kcps.
    np.testing.assert_allclose(np.diff(histogram.edges_kcps) / 0.1, 3)


def test_nothing_at_all():
    trace = view_trace(Curve())
    assert trace.highest_kcps == 0.0
    assert rate_histogram(trace).bins.size == 0
    assert envelope(trace, 100).low.size == 0
    decay = view_decay(Curve())
    assert decay.photons == 0
    assert decay.model == {}


def decay_curve(bins):
    edges = np.linspace(0, 100, bins + 1)
    fit = 50 * np.exp(-edges[:-1] / 20) + 1
    counts = np.random.default_rng(2).poisson(fit).astype(float)
    columns = {
        "time_start": edges[:-1],
        "time_stop": edges[1:],
        "counts": counts,
        "counts_all_states": counts + 1,
    }
    return Curve({**columns, "fit": fit, "background": np.ones(bins)})


def test_decay_of_few_bins_is_shown_as_it_is():
    curve = decay_curve(400)
    decay = view_decay(curve)
    assert decay.merged == 1
    np.testing.assert_array_equal(decay.selected, curve["counts"])
    np.testing.assert_allclose(decay.residual, (curve["counts"] - curve["fit"]) / np.sqrt(curve["fit"]))


def test_decay_of_many_bins_is_summed_and_loses_nothing():
    curve = decay_curve(4097)
    decay = view_decay(curve, 2000)
    assert decay.merged == 3
    assert len(decay.selected) == 1366
    assert decay.selected.sum() == curve["counts"].sum()
    assert decay.everything.sum() == curve["counts_all_states"].sum()
    np.testing.assert_allclose(decay.model["fit"].sum(), curve["fit"].sum())
    assert decay.edges_ns[-1] == 100.0
    np.testing.assert_allclose(decay.bin_ns, 3 * 100 / 4097)
    # Joining bins of Poisson counts leaves the residuals at unit width.
    assert 0.9 < decay.residual.std() < 1.1


def test_outside_the_fitted_delays_there_are_no_residuals():
    decay = view_decay(decay_curve(400), fitted_s=[10e-9, 60e-9])
    assert decay.fitted_ns == pytest.approx((10.0, 60.0))
    shown = np.flatnonzero(np.isfinite(decay.residual))
    assert (shown[0], shown[-1]) == (40, 239)
    sides = unfitted_sides(decay)
    assert sides["before"] == {"visible": True, "left": 0.0, "right": pytest.approx(10.0)}
    assert sides["after"] == {"visible": True, "left": pytest.approx(60.0), "right": 100.0}
    assert not any(side["visible"] for side in unfitted_sides(view_decay(decay_curve(400))).values())


def test_a_fit_of_empty_cells_is_none():
    curve = decay_curve(10)
    columns = {**curve.columns, "fit": np.full(10, np.nan)}
    assert view_decay(Curve(columns)).model == {}
