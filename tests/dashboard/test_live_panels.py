"""What the panels of the live page show, from results with known content."""

import numpy as np
import pytest

from photonstream.dashboard.latest import Latest
from photonstream.dashboard.live_dwell import dwell_view
from photonstream.dashboard.live_pairs import pairs_view
from photonstream.dashboard.live_panels import (
    decay_view,
    flid_view,
    histogram_view,
    history_view,
)
from photonstream.dashboard.live_trace import TRACE_COLUMNS, trace_view
from photonstream.stream.wire import Open, ResultSent


class Run:
    """A `Latest` that was told results."""

    def __init__(self, results):
        self.latest = Latest()
        self.latest.hear(Open("r", 0, "run", "latest", {}, {}), 0.0)
        for result in results:
            self.say(*result)

    def say(self, node, key, value, *, final=False):
        self.latest.hear(ResultSent(0, 0, node, key, final, value), 0.0)


@pytest.fixture
def run(results_of_run):
    return Run(results_of_run())


def test_before_anything_every_panel_says_so():
    latest = Latest()
    for view in (trace_view, histogram_view, flid_view, decay_view, history_view):
        said = [words for words in view(latest)["say"].values() if words]
        assert len(said) == 1, view
    assert decay_view(latest)["say"]["decay"] == "No fit yet."


def test_at_the_end_of_a_run_no_panel_has_something_to_come():
    run = Run([])
    for node, key in (
        ("intensity", "trace"),
        ("states", "selection"),
        ("antibunching", "pairs"),
        ("lifetime", "fit"),
        ("lifetime", "history"),
    ):
        run.say(node, key, {}, final=True)
    views = (trace_view, histogram_view, flid_view, decay_view, history_view, pairs_view, dwell_view)
    assert [next(filter(None, view(run.latest)["say"].values())) for view in views] == [
        "No bin of the trace.",
        "No bins.",
        "No bins.",
        "No fit.",
        "No fit.",
        "No pairs.",
        "No complete dwells.",
    ]


def test_the_trace_shows_rates_and_selection(run):
    update = trace_view(run.latest)
    values = update["data"]["trace_values"]
    assert len(values["left"]) == 300
    assert values["low"][0] == pytest.approx(1.0)
    assert values["high"][60] == pytest.approx(15.0)
    assert (values["selected"][0], values["selected"][60]) == (0, 100)
    assert update["ranges"]["time"] == (0.0, pytest.approx(3.2))
    assert update["ranges"]["rates"][1] == pytest.approx(16.0)


def test_a_long_trace_has_no_more_columns_than_the_screen(results_of_run):
    update = trace_view(Run(results_of_run(60_000)).latest)
    values = update["data"]["trace_values"]
    assert 0.8 * TRACE_COLUMNS < len(values["left"]) <= TRACE_COLUMNS
    # 50 dark bins in 150: every column of 50 or more bins holds both.
    assert set(np.round(values["low"], 6)) <= {1.0, 15.0}
    assert values["right"][-1] == pytest.approx(600.0)


def test_the_axis_of_time_stays_until_the_trace_passes_it(results_of_run):
    ends = [trace_view(Run(results_of_run(n)).latest)["ranges"]["time"][1] for n in range(100, 1000, 7)]
    assert all(end >= 0.01 * n for end, n in zip(ends, range(100, 1000, 7), strict=True))
    assert len(set(ends)) < 20


def test_the_decay_sums_the_channels_that_were_fitted(run, results_of_run):
    value = dict(next(v for n, k, v in results_of_run() if (n, k) == ("lifetime", "decay")))
    model = {name: part.copy() for name, part in value["model"].items()}
    for part in model.values():
        part[1] = 0
    run.say("lifetime", "decay", value | {"model": model})
    update = decay_view(run.latest)
    columns = update["data"]["decay"]
    assert np.nansum(columns["selected"]) == value["selected"][0].sum()
    assert np.nansum(columns["everything"]) == value["all"][0].sum()
    np.testing.assert_allclose(columns["fit"], model["total"][0])
    assert update["say"] == {"decay": "", "residuals": ""}
    assert update["models"]["legend fast"] == {"visible": True}
    assert update["models"]["counts axis"] == {"axis_label": "Counts per 420 ps"}
    assert update["ranges"]["delay"] == (0.0, pytest.approx(210.0))


def test_a_decay_without_a_fit_says_why_where_the_residuals_would_be(run, results_of_run):
    value = next(v for n, k, v in results_of_run() if (n, k) == ("lifetime", "decay"))
    run.say("lifetime", "decay", value | {"model": None})
    run.say(
        "lifetime", "fit", {"summary": {"fit": {"model": "none", "reason": "no emitter: all is background"}}}
    )
    update = decay_view(run.latest)
    assert update["say"] == {"decay": "", "residuals": "No fit: no emitter."}
    assert np.isnan(update["data"]["decay"]["fit"]).all()
    assert update["models"]["legend fit"] == {"visible": False}
    assert np.nansum(update["data"]["decay"]["selected"]) == value["selected"].sum()


def test_a_logarithmic_axis_spans_two_decades_or_more(run):
    low, high = decay_view(run.latest)["ranges"]["counts"]
    assert high / low > 100
    assert decay_view(Latest())["ranges"]["counts"][1] > 0


def test_the_history_has_a_band_where_there_is_an_estimate(run):
    update = history_view(run.latest)
    beta = update["data"]["beta"]
    assert np.isnan(beta["value"][:5]).all()
    assert beta["value"][5:] == pytest.approx(27.0)
    (xs,), (ys,) = update["data"]["beta_band"]["xs"], update["data"]["beta_band"]["ys"]
    assert len(xs) == len(ys) == 2 * 35
    assert xs[0] == xs[-1] == pytest.approx(beta["photons"][5])
    assert min(ys) == pytest.approx(27.0 - 6.0 * np.sqrt(1000 / beta["photons"][5]))
    low, high = update["ranges"]["beta"]
    assert low < 27 < high
    assert update["ranges"]["photons"] == (pytest.approx(1000), pytest.approx(50000))
    assert set(update["say"].values()) == {""}


def test_a_quantity_without_an_estimate_says_so(run, results_of_run):
    value = dict(next(v for n, k, v in results_of_run() if (n, k) == ("lifetime", "history")))
    nothing = np.full(40, np.nan)
    run.say("lifetime", "history", value | {"beta": nothing, "beta_low": nothing, "beta_high": nothing})
    update = history_view(run.latest)
    assert update["say"]["beta"] == "none so far"
    assert update["say"]["tau_x_s"] == ""
    assert "beta" not in update["ranges"]
    run.say("lifetime", "history", run.latest.value("lifetime", "history"), final=True)
    assert history_view(run.latest)["say"]["beta"] == "none"


def test_the_map_has_the_cells_with_bins(run):
    update = flid_view(run.latest)
    cells = update["data"]["flid"]
    assert sorted(cells["bins"]) == [100, 200]
    bright = int(np.argmax(cells["bins"]))
    # Level 48 begins at 144 counts in 10 ms.
    assert cells["low"][bright] == pytest.approx(14.4)
    # From the pulse, which the fit puts there.
    assert cells["mean_dtime_start"][bright] == pytest.approx(27 * 210 / 128 - 3.0)
    assert update["models"]["flid colours"]["high"] >= 200
