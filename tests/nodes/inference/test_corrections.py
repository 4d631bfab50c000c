"""Dead time, one photon per sync and afterpulses, put in by the simulator and taken out by the fit.

The simulator's detectors come after its photons, so with one seed the same photons arrive with and without a flaw,
and the shift of beta is free of their counting noise.
"""

from dataclasses import replace

import numpy as np
import pytest

from photonstream.nodes.inference.cascade import biexciton_share
from photonstream.nodes.inference.decay_data import DecayData, FitOptions
from photonstream.nodes.inference.fit import fit_decay
from photonstream.nodes.inference.systematics import DETECTORS, systematics
from photonstream.nodes.pipeline import photon_path, standard
from photonstream.nodes.simulate import PRESETS, simulate, with_settings
from photonstream.stream.runner import InlineRunner


def particle(photons=2.4e6, **settings):
    """The 355 nm nanocrystal in the two-level world, where the formula of beta is exact."""
    parameters = replace(PRESETS["355nm"].parameters, blinking=None)
    parameters = with_settings(parameters, {"max_excitons": 2, "efficiency": (0.5, 0.5), **settings})
    arriving_hz = parameters.emitters * -np.expm1(-parameters.mean_n) * parameters.repetition_rate_hz
    seen = (1.0 - parameters.detector.beam_splitter) * parameters.detector.efficiency[0]
    seen += parameters.detector.beam_splitter * parameters.detector.efficiency[1]
    return replace(parameters, duration_s=photons / (arriving_hz * seen))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Decay data of simulated parameters, each simulated once."""
    path = tmp_path_factory.mktemp("flaws") / "nc.ptu"
    known = {}

    def record(parameters):
        if parameters not in known:
            simulate(parameters, path)
            rows = InlineRunner(photon_path({"source": {"path": str(path)}})).run().results["decay", "rows"]
            value = rows.value
            known[parameters] = DecayData(
                value["counts"].sum(axis=0),
                value["resolution_s"],
                value["pulse_period_s"],
                float(parameters.pulses),
            )
        return known[parameters]

    return record


def fitted(data, **options):
    return fit_decay(data, FitOptions(intervals=False, **options))


PILE_UP = {"one_photon_per_sync": True}
AFTERPULSES = {"afterpulse_probability": 0.05, "afterpulse_s": 30e-9, "dead_time_s": 25e-9}
ONE_DETECTOR = {"beam_splitter": 0.0}


@pytest.mark.parametrize(
    ("world", "flaw", "figures", "shift"),
    [
        ({**ONE_DETECTOR, "efficiency": (0.2, 0.2)}, PILE_UP, {"pile_up": True}, 0.013),
        (ONE_DETECTOR, PILE_UP, {"pile_up": True}, 0.032),
        ({"efficiency": (0.2, 0.2)}, {"dead_time_s": 25e-9}, {"dead_time_s": 25e-9}, 0.006),
        ({}, {"dead_time_s": 25e-9}, {"dead_time_s": 25e-9}, 0.014),
        ({}, {"dead_time_s": 500e-9}, {"dead_time_s": 500e-9}, 0.018),
        (
            {"efficiency": (0.06, 0.06)},
            AFTERPULSES,
            {"afterpulsing": 0.05, "afterpulse_s": 30e-9, "dead_time_s": 25e-9},
            0.022,
        ),
        (
            {},
            {**AFTERPULSES, **PILE_UP, "dead_time_s": 80e-9},
            {"afterpulsing": 0.05, "afterpulse_s": 30e-9, "dead_time_s": 80e-9, "pile_up": True},
            0.010,
        ),
    ],
)
def test_a_flaw_shifts_beta_and_its_correction_takes_it_back(recorded, world, flaw, figures, shift):
    photons = 1.2e6 if world.get("efficiency") == (0.06, 0.06) else 2.4e6
    ideal, flawed = recorded(particle(photons, **world)), recorded(particle(photons, **world, **flaw))
    clean, raw = fitted(ideal), fitted(flawed)
    assert raw.beta.value - clean.beta.value == pytest.approx(shift, rel=0.25)
    found = fitted(flawed, **figures, mean_n=0.1)
    assert abs(found.beta.value - clean.beta.value) < 0.05 * shift + 5e-4
    assert abs(found.tau_x_s.value - clean.tau_x_s.value) < 0.1e-9
    assert found.goodness["z"] < 3.0
    # Leftovers of earlier pulses make it 0.001 more than B.
    assert abs(found.beta.value - biexciton_share(0.1, 0.257) - 0.001) < 3.0 * found.beta.stderr


def test_what_a_dead_time_may_still_do_is_told_without_n_and_with_its_error(recorded):
    """Independent photons would hide fewer exciton photons than a biexciton's own does: beta stays too high."""
    ideal, flawed = (recorded(particle(8e5, **flaw)) for flaw in ({}, {"dead_time_s": 80e-9}))
    clean = fitted(ideal)

    def part_of(**given):
        options = FitOptions(intervals=False, dead_time_s=80e-9, **given)
        fit = fit_decay(flawed, options)
        return fit, next(p for p in systematics(flawed, options, fit, "") if p.source == DETECTORS)

    fit, part = part_of()
    wrong = fit.beta.value - clean.beta.value
    assert wrong > 0.005
    assert part.sigma == pytest.approx(wrong, rel=0.25)
    assert "<N> is not known" in part.how
    fit, part = part_of(mean_n=0.1, mean_n_relative_error=0.3)
    less, more = (fitted(flawed, dead_time_s=80e-9, mean_n=n).beta.value for n in (0.1 / 1.3, 0.13))
    assert part.sigma == pytest.approx(0.5 * (more - less), rel=0.1)
    assert abs(fit.beta.value - clean.beta.value) < part.sigma
    options = FitOptions(intervals=False, afterpulsing=0.01)
    parts = [p for p in systematics(flawed, options, fit_decay(flawed, options), "") if p.source == DETECTORS]
    assert [part.quantity for part in parts] == ["beta", "tau_x_s", "tau_xx_s"]
    for part in parts:
        assert (part.sigma, part.how) == (
            None,
            "corrected by the figures that were given, which have no error",
        )


def test_a_bright_excitation_is_corrected_too(recorded):
    """0.18 photons per pulse and channel: independent ones would lose a tenth, one emitter's lose 4 %."""
    ideal, flawed = (
        recorded(particle(4e6, mean_n=1.0, **flaw)) for flaw in ({}, {"dead_time_s": 80e-9, **PILE_UP})
    )
    assert 0.95 < flawed.photons / ideal.photons < 0.97
    clean, raw = fitted(ideal), fitted(flawed)
    assert raw.beta.value - clean.beta.value > 0.03
    found = fitted(flawed, dead_time_s=80e-9, pile_up=True, mean_n=1.0)
    assert abs(found.beta.value - clean.beta.value) < 0.003
    # One emitter's photons are not independent, and taking them so overdoes it here.
    independent = fitted(flawed, dead_time_s=80e-9, pile_up=True)
    assert independent.beta is None or independent.beta.value < clean.beta.value - 0.01
    assert "give <N>" in independent.reason


@pytest.mark.parametrize(
    ("flaw", "figures"),
    [(PILE_UP, {"pile_up": True}), ({"dead_time_s": 25e-9}, {"dead_time_s": 25e-9})],
)
def test_the_light_of_many_emitters_is_corrected_as_independent(recorded, flaw, figures):
    world = {"emitters": 80, "efficiency": (0.05, 0.05)}
    clean, raw = fitted(recorded(particle(**world))), fitted(recorded(particle(**world, **flaw)))
    assert raw.beta.value - clean.beta.value > 0.03
    found = fitted(recorded(particle(**world, **flaw)), **figures)
    assert abs(found.beta.value - clean.beta.value) < 0.003


def test_the_curves_are_of_what_is_recorded(recorded):
    figures = {"dead_time_s": 25e-9, "afterpulsing": 0.05, "afterpulse_s": 30e-9}
    data = recorded(particle(1.2e6, **AFTERPULSES, efficiency=(0.06, 0.06)))
    fit = fitted(data, **figures, mean_n=0.1)
    assert fit.curves.total.sum() == pytest.approx(data.photons, rel=1e-3)
    np.testing.assert_allclose(fit.curves.total, fit.curves.x + fit.curves.xx + fit.curves.background)
    assert fit.corrections == {
        "dead_time_s": 25e-9,
        "pile_up": False,
        "afterpulsing": 0.05,
        "afterpulse_s": 30e-9,
        "photon_statistics": "one emitter",
    }


def test_nothing_is_corrected_unless_a_figure_is_given(truth):
    decay = truth()
    counts = decay.draw(np.random.default_rng(1))[None, :]
    with_pulses = fit_decay(DecayData(counts, decay.bin_s, decay.period_s, 1e6), FitOptions())
    without = fit_decay(DecayData(counts, decay.bin_s, decay.period_s), FitOptions())
    assert with_pulses.corrections is None
    assert with_pulses.beta == without.beta
    np.testing.assert_array_equal(with_pulses.curves.total, without.curves.total)
    # A perfect detector that is named leads to the same place.
    perfect = fit_decay(
        DecayData(counts, decay.bin_s, decay.period_s), FitOptions(dead_time_s=0.0, afterpulsing=0.0)
    )
    assert perfect.beta.value == pytest.approx(without.beta.value, rel=1e-6)
    assert perfect.corrections["photon_statistics"] is None


def test_a_warm_fit_is_corrected_as_the_cold_one_is(recorded):
    data = recorded(particle(**ONE_DETECTOR, **PILE_UP))
    options = FitOptions(intervals=False, pile_up=True, mean_n=0.1)
    cold = fit_decay(data, options)
    warm = fit_decay(data, options, cold=False, start=cold.start)
    assert warm.beta.value == pytest.approx(cold.beta.value, abs=1e-5)


def test_figures_that_do_not_fit_the_data_are_refused(truth):
    decay = truth()
    counts = decay.draw(np.random.default_rng(1))[None, :]
    with pytest.raises(ValueError, match="how many laser pulses"):
        fitted(DecayData(counts, decay.bin_s, decay.period_s), pile_up=True)
    with pytest.raises(ValueError, match=r"blind for .* of the photons"):
        fitted(DecayData(counts, decay.bin_s, decay.period_s, 1e5), dead_time_s=1e-6)
    with pytest.raises(ValueError, match="without afterpulsing"):
        FitOptions(afterpulse_s=1e-8)
    with pytest.raises(ValueError, match=r"pulses is 0\.0"):
        DecayData(counts, decay.bin_s, decay.period_s, 0.0)


def test_the_pipeline_takes_the_figures_and_counts_the_pulses_of_the_selected_time(tmp_path):
    path = tmp_path / "nc.ptu"
    parameters = particle(1.2e6, **ONE_DETECTOR, **PILE_UP)
    simulate(parameters, path)

    def beta(**lifetime):
        topology = standard({"source": {"path": str(path)}, "lifetime": lifetime})
        result = InlineRunner(topology).run().results["results", "result"].value
        return result["beta"]["value"], result["fit"]["corrections"]

    raw, nothing = beta()
    found, figures = beta(pile_up=True, mean_n=0.1)
    assert nothing is None
    assert figures["pile_up"] is True
    assert raw - found == pytest.approx(0.032, rel=0.25)
