"""The lifetime node: its parameters, fits while a run goes on, and their history."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonstream.nodes.history import History
from photonstream.nodes.inference.decay_fit import DecayFit
from photonstream.nodes.inference.estimate import Estimate
from photonstream.nodes.inference.rows import label_of
from photonstream.nodes.kernels.waits import BINS, wait_edges_s
from photonstream.nodes.lifetime import Lifetime
from photonstream.nodes.lifetime_parameters import LifetimeParameters
from photonstream.stream.chunk import Result, StreamInfo
from photonstream.stream.node import Opening, ParameterError, make_parameters


@pytest.mark.parametrize("stderr", [-1.0, float("nan"), float("inf")])
def test_an_error_of_mean_n_that_cannot_be_is_refused_by_its_name(stderr):
    with pytest.raises(ValueError, match=f"^mean_n_stderr is {stderr}: "):
        LifetimeParameters(mean_n=0.1, mean_n_stderr=stderr)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"s": 1e15}, r"s is 1e\+15: the biexciton radiates at most 50 times as fast as the exciton"),
        ({"s": 50.1}, "s is 50.1: "),
        ({"s": 1.0}, "s is 1.0: "),
        ({"excitation_nm": 1e15}, r"excitation_nm is 1e\+15: a wavelength lies between 100 and 20000 nm"),
        ({"excitation_nm": 99.0}, "excitation_nm is 99: "),
    ],
)
def test_figures_that_no_experiment_has_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        LifetimeParameters(**given)


def test_figures_at_the_limits_are_taken():
    for limits in ({"s": 1.01}, {"s": 50.0}, {"excitation_nm": 100.0}, {"excitation_nm": 20e3}):
        LifetimeParameters(**limits)


def test_the_error_of_mean_n_is_30_percent_unless_it_is_given():
    assert LifetimeParameters(mean_n=0.1).options().mean_n_relative_error == 0.3
    assert LifetimeParameters(mean_n=0.1, mean_n_stderr=0.0).options().mean_n_relative_error == 0.0
    assert LifetimeParameters(
        mean_n=0.1, mean_n_stderr=0.02
    ).options().mean_n_relative_error == pytest.approx(0.2)


PERIOD_S, BIN_S = 200e-9, 1e-9
OPENING = Opening(
    StreamInfo("test", "none", "T3", PERIOD_S, BIN_S, 1 / PERIOD_S, 1, 1), {"pulse_period_s": PERIOD_S}
)


def decays(photons, seed=1):
    """Counts (levels, 1 channel, bins): level 0 dark background, levels 1 and 2 of 20 ns, so many photons a level."""
    rng = np.random.default_rng(seed)
    rows = []
    for n, flat in ((photons, True), (photons, False), (photons, False)):
        delay_s = (
            rng.uniform(0, PERIOD_S, n) if flat else rng.normal(9e-9, 1.5e-9, n) + rng.exponential(20e-9, n)
        )
        rows.append(np.bincount((delay_s % PERIOD_S / BIN_S).astype(int), minlength=200))
    return np.array(rows, np.int64)[:, None, :]


def rows(counts, levels, beyond=None):
    value = {
        "labels": label_of(np.array(levels, np.int64), 0, 0),
        "channels": np.array([0]),
        "counts": counts,
        "beyond": np.zeros(counts.shape[:2], np.int64) if beyond is None else beyond,
        "resolution_s": BIN_S,
        "pulse_period_s": PERIOD_S,
        "waits": np.zeros((1, BINS + 1), np.int64),
        "wait_edges_s": wait_edges_s(),
    }
    return Result("decay", "rows", value)


def selection(on_levels, on_time_s=1.0, chosen="automatic", window_hz=(3e3, None)):
    on = np.array(on_levels, bool)
    value = {
        "method": "window",
        "contamination": None,
        "contamination_reason": "a window of rates",
        "on_levels": on,
        "on_time_s": on_time_s,
        "recorded_s": 2.0,
        "on_photons": 2000,
        "recent_s": 2.0,
        "recent_photons": 2000,
        "chosen": chosen,
        "window_hz": list(window_hz),
    }
    return Result("states", "selection", value)


def node(**parameters):
    lifetime = Lifetime("lifetime", LifetimeParameters(**parameters))
    lifetime.open(OPENING)
    return lifetime


def look(lifetime, *, final=False):
    results = list(lifetime.snapshot(final=final))
    assert all(result.final is final for result in results)
    return {result.key: result.value for result in results}


def fed(counts, **parameters):
    lifetime = node(**parameters)
    lifetime.take(rows(counts, [0, 1, 2]))
    lifetime.take(selection([False, True, True]))
    return lifetime


@pytest.mark.parametrize(
    ("on", "photons"), [([True], 6000), ([False], 0), ([], 0), ([False, True], 4000), ([True, False], 2000)]
)
def test_interim_results_come_whatever_the_selection_knows(on, photons):
    lifetime = node()
    lifetime.take(rows(decays(2000), [0, 1, 2]))
    lifetime.take(selection(on, on_time_s=0.0))
    assert look(lifetime)["decay"]["selected"].sum() == photons


def test_nothing_comes_before_both_inputs_do():
    lifetime = node()
    assert look(lifetime) == {}
    lifetime.take(rows(decays(10), [0, 1, 2]))
    assert look(lifetime) == {}
    lifetime.take(rows(np.zeros((0, 0, 200), np.int64), []))
    lifetime.take(selection([True], on_time_s=0.0))
    assert look(lifetime)["fit"]["summary"]["fit"]["reason"] == "no photons"


def test_detector_figures_that_the_photons_contradict_are_a_reason_and_no_end():
    # 4000 photons in 0.2 ms, of 1000 pulses: blind for most of them.
    lifetime = fed(decays(2000), dead_time_s=80e-9)
    lifetime.take(selection([False, True, True], on_time_s=2e-4))
    for final in (False, True):
        fit = look(lifetime, final=final)["fit"]["summary"]["fit"]
        assert "blind" in fit["reason"]
        assert (fit["model"], fit["photons"]) == ("none", 4000)
    lifetime.take(selection([False, True, True], on_time_s=10.0))
    assert look(lifetime)["fit"]["summary"]["fit"]["tau_x_s"]["value"] == pytest.approx(20e-9, rel=0.1)


def test_every_parameter_is_live_and_takes_hold_at_once():
    assert Lifetime.live | Lifetime.fixed == set(LifetimeParameters.__dataclass_fields__)
    assert Lifetime.fixed == {"calibrate"}
    lifetime, fresh = fed(decays(3000)), fed(decays(3000), s=3.0, mean_n=0.1, irf=1e-9)
    assert look(lifetime)["fit"]["summary"]["fit"]["irf_fwhm_s"]["stderr"] is not None
    lifetime.change(LifetimeParameters(s=3.0, mean_n=0.1, irf=1e-9))
    interim = look(lifetime)["fit"]
    # A fit by other figures does not start from one by the old ones.
    assert interim == look(fresh)["fit"]
    assert interim["summary"]["fit"]["irf_fwhm_s"] == {
        "value": 1e-9,
        "stderr": None,
        "ci68": None,
        "ci95": None,
        "reason": "given",
    }
    assert look(lifetime, final=True)["fit"] == look(fresh, final=True)["fit"]
    # What leaves the IRF as it is does not read it again.
    lifetime.change(LifetimeParameters(s=3.5, mean_n=0.1, irf=1e-9))
    fit = look(lifetime, final=True)["fit"]["summary"]["fit"]
    assert (fit["s"], fit["irf_fwhm_s"]["value"]) == (3.5, 1e-9)
    lifetime.change(LifetimeParameters())
    assert look(lifetime, final=True)["fit"] == look(fed(decays(3000)), final=True)["fit"]


def test_folders_are_a_list_of_texts():
    assert make_parameters(LifetimeParameters, {"calibrate": ["a", "b"]}, "lifetime").calibrate == ["a", "b"]
    for wrong in ("a", [1.0], {"a": 1}):
        with pytest.raises(ParameterError, match=r"lifetime\.calibrate cannot be"):
            make_parameters(LifetimeParameters, {"calibrate": wrong}, "lifetime")


@pytest.mark.parametrize(
    ("irf", "words"), [("no_such_file.txt", "no such file"), (1e-7, "too wide"), ("text", "pulse period")]
)
def test_an_irf_that_cannot_be_is_refused_and_the_old_one_stays(tmp_path, irf, words):
    if irf == "text":
        # A response at 300 ns cannot be one of a pulse every 200 ns.
        path = tmp_path / "late.txt"
        lines = (f"{t} {1000 if 300 <= t < 303 else 1}" for t in range(400))
        path.write_text("\n".join(lines), encoding="utf-8")
        irf = str(path)
    lifetime = fed(decays(3000), irf=1e-9, s=3.5)
    before = look(lifetime, final=True)["fit"]
    with pytest.raises(ParameterError, match=words):
        lifetime.change(LifetimeParameters(irf=irf))
    assert lifetime.parameters == LifetimeParameters(irf=1e-9, s=3.5)
    assert look(lifetime, final=True)["fit"] == before
    with pytest.raises(ParameterError, match=words):
        node(irf=irf)


def test_the_checksum_of_a_response_that_is_a_file_is_said(tmp_path):
    path = tmp_path / "irf.txt"
    path.write_text("\n".join(f"{t} {1000 if 8 <= t < 11 else 1}" for t in range(100)), encoding="utf-8")
    lifetime = fed(decays(3000), irf=str(path))
    said = look(lifetime)["fit"]["summary"]["fit"]["irf_sha256"]
    assert said == hashlib.sha256(path.read_bytes()).hexdigest()
    lifetime.change(LifetimeParameters(irf=1e-9))
    assert look(lifetime)["fit"]["summary"]["fit"]["irf_sha256"] is None


def test_a_fit_range_is_fitted_shown_and_refused_where_it_cannot_be():
    lifetime = fed(decays(3000))
    whole = look(lifetime, final=True)
    assert whole["fit"]["summary"]["fit"]["fit_range_s"] is None
    assert whole["decay"]["fit_range_s"] is None
    lifetime.change(LifetimeParameters(fit_range_s=(0.0, 100e-9)))
    part = look(lifetime, final=True)
    fit = part["fit"]["summary"]["fit"]
    assert tuple(fit["fit_range_s"]) == part["decay"]["fit_range_s"] == pytest.approx((0.0, 100e-9))
    assert fit["photons"] + fit["photons_outside"] == whole["fit"]["summary"]["fit"]["photons"]
    with pytest.raises(ParameterError, match="does not lie within the pulse period"):
        lifetime.change(LifetimeParameters(fit_range_s=(0.0, 1e-6)))
    assert lifetime.parameters == LifetimeParameters(fit_range_s=(0.0, 100e-9))
    assert look(lifetime, final=True)["fit"] == part["fit"]


def test_the_history_follows_the_fits_and_stays_out_of_the_result():
    lifetime = node()
    lifetime.take(selection([False, True, True]))
    for photons in (50, 1000, 4000):
        lifetime.take(rows(decays(photons), [0, 1, 2]))
        results = look(lifetime)
    history = results["history"]
    assert history["photons"].tolist() == [100, 2000, 8000]
    assert np.isnan(history["tau_x_s"][0])
    summary = results["fit"]["summary"]["fit"]
    value, error = summary["tau_x_s"]["value"], summary["tau_x_s"]["stderr"]
    assert history["tau_x_s"][-1] == value
    assert history["tau_x_s_low"][-1] == pytest.approx(value - error)
    assert history["tau_x_s_high"][-1] == pytest.approx(value + error)
    assert np.all(np.isnan(history["beta"]))
    # The final fit is of the same photons: it takes the last place, with its interval.
    results = look(lifetime, final=True)
    assert results["history"]["photons"].tolist() == [100, 2000, 8000]
    low, high = results["fit"]["summary"]["fit"]["tau_x_s"]["ci68"]
    assert results["history"]["tau_x_s_low"][-1] == low
    assert results["history"]["tau_x_s_high"][-1] == high
    assert "history" not in str(results["fit"])
    lifetime.open(OPENING)
    assert look(lifetime) == {}


def test_the_time_to_go_is_that_at_the_rate_of_late():
    """200 photons in the last second and not 1,000: five times as long."""
    times_s = []
    for late in (1000, 200):
        lifetime = node(target_sigma=1e-4)
        told = selection([False, True, True])
        told.value.update(recorded_s=2.0, recent_s=1.0, recent_photons=late)
        lifetime.take(told)
        lifetime.take(rows(decays(2000), [0, 1, 2]))
        fit = look(lifetime)["fit"]["summary"]
        times_s.append(
            (fit["precision"]["photons_more"], fit["precision"]["time_more_s"], fit["fit"]["photons"])
        )
    (more, quick_s, photons), (same, slow_s, _) = times_s
    assert more == same
    # The fit has twice the photons that the selection speaks of.
    assert quick_s == pytest.approx(more / (photons / 2000 * 1000.0))
    assert slow_s == pytest.approx(5.0 * quick_s)


def fit_of(photons, **values):
    return DecayFit("mono", "", photons, 0, **{k: Estimate(*v) for k, v in values.items()})


def test_a_fit_of_no_more_photons_takes_the_place_of_those_before_it():
    history = History()
    for photons in (0, 10, 20, 30, 25, 25, 40):
        history.add(fit_of(photons, tau_x_s=(float(photons),)))
    value = history.value()
    assert value["photons"].tolist() == [10, 20, 25, 40]
    assert value["tau_x_s"].tolist() == [10.0, 20.0, 25.0, 40.0]


def test_the_band_is_the_interval_where_there_is_one():
    history = History()
    history.add(fit_of(1, beta=(0.3, 0.1)))
    history.add(fit_of(2, beta=(0.3, 0.1, (0.25, 0.45))))
    history.add(fit_of(3, beta=(0.3, 0.1, (None, 0.45))))
    history.add(fit_of(4, beta=(0.3,)))
    value = history.value()
    nan = float("nan")
    np.testing.assert_allclose(value["beta"], [0.3] * 4)
    np.testing.assert_allclose(value["beta_low"], [0.2, 0.25, nan, nan])
    np.testing.assert_allclose(value["beta_high"], [0.4, 0.45, 0.45, nan])
    np.testing.assert_array_equal(value["tau_xx_s_high"], [nan] * 4)


@given(photons=st.lists(st.integers(0, 40), max_size=80), most=st.integers(2, 9))
def test_the_history_stays_short_and_in_order(photons, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("photonstream.nodes.history.MOST_ENTRIES", most)
        history = History()
        for n in photons:
            history.add(fit_of(n, tau_x_s=(float(n),)))
            value = history.value()
            assert len({len(column) for column in value.values()}) == 1
            assert len(value["photons"]) <= most
            assert np.all(np.diff(value["photons"]) > 0)
            np.testing.assert_array_equal(value["photons"], value["tau_x_s"])
            if n:
                assert value["photons"][-1] == n


def test_the_history_of_a_long_run_shows_every_decade_of_photons():
    history = History()
    for fits in range(1, 4000):
        history.add(fit_of(100 * fits))
    photons = history.value()["photons"]
    assert (photons[0], photons[-1], len(photons)) == (100, 399_900, 512)
    # What is closest together goes first: the first fits are all there, the others as far apart as they have to be.
    assert photons[:50].tolist() == [100 * (k + 1) for k in range(50)]
    assert np.max(photons[51:] / photons[50:-1]) < 1.03


def test_a_window_moved_by_hand_begins_a_new_history():
    lifetime = node()
    lifetime.take(selection([False, True, True]))
    for photons in (1000, 2000):
        lifetime.take(rows(decays(photons), [0, 1, 2]))
        look(lifetime)
    # What the rule finds may shift as it learns; that belongs to how the values came about.
    lifetime.take(selection([False, True, True], window_hz=(4e3, None)))
    lifetime.take(rows(decays(3000), [0, 1, 2]))
    assert look(lifetime)["history"]["photons"].tolist() == [2000, 4000, 6000]
    lifetime.take(selection([True, True, True], chosen="given", window_hz=(0.0, None)))
    assert look(lifetime)["history"]["photons"].tolist() == [9000]
    lifetime.take(selection([True, True, True], chosen="given", window_hz=(0.0, 9e3)))
    assert look(lifetime)["history"]["photons"].tolist() == [9000]
    lifetime.take(rows(decays(4000), [0, 1, 2]))
    assert look(lifetime)["history"]["photons"].tolist() == [9000, 12000]
