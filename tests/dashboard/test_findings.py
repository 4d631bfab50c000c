"""The words that go with the numbers, and that no number stands alone."""

from pathlib import Path

import pytest

from photonstream.dashboard.detail import detail_rows
from photonstream.dashboard.facts import selection_text
from photonstream.dashboard.findings import Findings
from photonstream.dashboard.folder import RunFolder


def findings(result):
    return Findings(RunFolder(Path("run"), result, {}))


def by_label(rows):
    return {row.label: row for row in rows}


def shown(text):
    return text.replace("\u00a0", " ").replace("\u2009", " ").replace("\u2212", "-")


def test_two_components_with_beta(result):
    rows = by_label(findings(result).rows())
    beta = rows["beta (apparent, s = 4, <N> not corrected)"]
    assert shown(beta.value) == "27.0 ± 1.1 %"
    assert shown(beta.interval) == "24.9 to 29.1"
    eta = rows["CM efficiency per absorbed photon, <N>-corrected"]
    assert (shown(eta.value), eta.remark) == ("23.2 ± 1.4 %", "two levels")
    assert shown(rows["exciton lifetime τₓ"].value) == "46.80 ± 0.21 ns"
    assert shown(rows["biexciton lifetime τₓₓ"].value) == "3.61 ± 0.12 ns"
    labels = [*rows]
    amplitude = next(k for k, label in enumerate(labels) if "amplitude share" in label)
    assert "photon share" in labels[amplitude + 1]
    assert shown(rows[labels[amplitude]].value) == "43.5 ± 1.2 %"
    assert shown(rows[labels[amplitude + 1]].value) == "5.60 ± 0.31 %"


def test_outside_the_domain_it_is_a_fast_component(result):
    result |= {"beta": None, "beta_reason": "no beta: tau_xx is above tau_x/4", "eta": None}
    rows = by_label(findings(result).rows())
    assert "fast component lifetime τₓₓ" in rows
    assert not any("biexciton" in label for label in rows)
    beta = rows["beta (apparent, s = 4, <N> not corrected)"]
    assert (beta.value, beta.remark) == ("none", "no beta: tau_xx is above tau_x/4")


def test_one_component(result):
    result["fit"] |= {"model": "mono", "tau_xx_s": None, "amplitude_xx": None, "photon_share_xx": None}
    signed = {"value": -0.004, "stderr": 0.011, "ci68": None, "ci95": [-0.026, 0.018]}
    result |= {"beta": None, "beta_reason": "one component suffices", "beta_signed": signed, "eta": None}
    result |= {"beta_upper95": 0.0171, "assumed_tau_xx_s": 3.9e-9}
    found = findings(result)
    rows = by_label(found.rows())
    assert found.verdict == "One component suffices"
    upper = rows["beta, upper limit"]
    assert shown(upper.value) == "1.7 %"
    assert "95 %" in upper.interval
    assert shown(upper.remark) == "fast lifetime of 3.9 ns assumed"
    assert shown(rows["beta, signed"].value) == "-0.4 ± 1.1 %"
    assert not any("τₓₓ" in label for label in rows)


def test_a_share_ends_at_nothing_and_at_the_whole(result):
    few = {"value": 0.07, "stderr": 0.052, "ci68": None, "ci95": None}
    result["fit"] |= {"photon_share_xx": few, "irf_tail_share": few | {"value": 0.93}}
    intervals = {row.label: row.interval for row in findings(result).same_rows()}
    assert shown(intervals["share of the photons"]) == "about 0.0 to 17.2"
    details = {row.label: row.interval for row in detail_rows(result["fit"], ())}
    assert shown(details["instrument response, share in its tail"]) == "about 82.8 to 100.0"


def test_no_fit_gives_its_reason(result):
    result["fit"] = {"model": "none", "reason": "too few photons: 12, 300 needed"}
    result |= {"beta": None, "eta": None}
    found = findings(result)
    (row,) = found.rows()
    assert (row.value, row.remark) == ("none", "too few photons: 12, 300 needed")
    assert found.verdict == "No lifetime fitted"


def test_too_few_photons_are_no_finding_of_one_component(result):
    result["fit"] |= {"model": "mono", "verdict": "not enough photons yet"}
    assert findings(result).verdict == "Not enough photons"


@pytest.mark.parametrize(
    "result_part", [{}, {"fit": None}, {"fit": {"model": "none"}}, {"fit": {"model": 7}}]
)
def test_a_result_without_a_fit_still_says_something(result_part):
    (row,) = findings(result_part).rows()
    assert row.value == "none"
    assert row.remark


def test_eta_of_several_models(result):
    value = {"value": 0.2, "stderr": 0.02, "ci68": None, "ci95": None}
    result["eta"] = {"two_levels": value, "cascade": value | {"value": 0.18}}
    rows = [row for row in findings(result).rows() if row.label.startswith("CM efficiency")]
    assert [(shown(row.value), row.remark) for row in rows] == [
        ("20.0 ± 2.0 %", "two levels"),
        ("18.0 ± 2.0 %", "cascade"),
    ]


def test_eta_is_a_range_over_its_models_by_name(result):
    result["eta_models"] = {"n<=2 closed form": 0.232, "n^2 cascade": 0.199}
    row = by_label(findings(result).rows())["CM efficiency per absorbed photon, <N>-corrected"]
    assert shown(row.value) == "19.9 to 23.2 %"
    # 20.5 to 25.9 is that of the closed form alone.
    assert shown(row.interval) == "17.2 to 25.9"
    assert row.remark == "by model: n<=2 closed form 23.2 %, n^2 cascade 19.9 %, each ± 1.4 %"


def test_a_model_that_has_no_eta_is_named(result):
    result["eta_models"] = {"n<=2 closed form": 0.232, "n^2 cascade": None}
    row = by_label(findings(result).rows())["CM efficiency per absorbed photon, <N>-corrected"]
    assert shown(row.value) == "23.2 ± 1.4 %"
    assert row.remark == "two levels; no value by the n^2 cascade"
    result["eta_models_reason"] = "no such cascade is read as this decay"
    row = by_label(findings(result).rows())["CM efficiency per absorbed photon, <N>-corrected"]
    assert row.remark == "two levels; no value by the n^2 cascade (no such cascade is read as this decay)"


def test_what_to_mind_about_beta_stands_with_it(result):
    result["beta_reason"] = "the pulse period is 2.1 tau_x"
    rows = by_label(findings(result).rows())
    beta = rows["beta (apparent, s = 4, <N> not corrected)"]
    assert shown(beta.value) == "27.0 ± 1.1 %"
    assert beta.remark == "the pulse period is 2.1 tau_x"


def test_corrections_are_named_with_their_figures(result):
    assert "corrected for" not in by_label(findings(result).rows())
    result["fit"]["corrections"] = {
        "dead_time_s": 2.5e-8,
        "pile_up": True,
        "afterpulsing": 0.005,
        "afterpulse_s": 5e-8,
        "photon_statistics": "one emitter",
    }
    row = by_label(findings(result).rows())["corrected for"]
    assert shown(row.value) == "dead time 25 ns, one photon per sync, afterpulsing 0.5 % (after 50 ns)"
    assert row.remark == "photons taken as those of one emitter"
    result["fit"]["corrections"] |= {"dead_time_s": None, "pile_up": False, "photon_statistics": None}
    row = by_label(findings(result).rows())["corrected for"]
    assert (shown(row.value), row.remark) == ("afterpulsing 0.5 % (after 50 ns)", "")


def test_eta_without_mean_n_says_why_not(result):
    result |= {"eta": None, "eta_reason": "no eta: <N> is not known"}
    row = by_label(findings(result).rows())["CM efficiency per absorbed photon, <N>-corrected"]
    assert (row.value, row.remark) == ("none", "no eta: <N> is not known")


def test_no_value_without_an_error_or_a_word_about_it(result):
    result["fit"]["irf_fwhm_s"] = {
        **{"value": 1e-10, "stderr": None, "ci68": None, "ci95": None},
        "reason": "given",
    }
    result["fit"]["another_s"] = {"value": 2e-9, "stderr": None, "ci68": None, "ci95": None}
    found = findings(result)
    rows = by_label([*found.rows(), *found.detail_rows()])
    assert shown(rows["instrument response, FWHM"].value) == "0.1 ns (given)"
    assert shown(rows["another"].value) == "2 ns (no error computed)"
    for label, row in rows.items():
        exact = label == "photons fitted"
        assert exact or "±" in row.value + row.interval or "(" in row.value or row.remark, label


def test_channels_and_unknown_estimates_are_in_the_details(result):
    result["fit"]["skew_s"] = {"value": 2e-10, "stderr": 1e-11, "ci68": None, "ci95": None}
    rows = by_label(findings(result).detail_rows())
    assert shown(rows["channel 0: t0"].value) == "3.0000 ± 0.0044 ns"
    assert shown(rows["skew"].value) == "0.200 ± 0.010 ns"
    assert shown(rows["reduced χ²"].interval) == "expected 1 ± 0.05"


def test_warnings(result):
    result["fit"]["reason"] = "channel 1 left out"
    result["fit"]["warnings"] = ["beta depends on the selection"]
    result["interrupted"] = True
    interrupted, *others = findings(result).warnings()
    assert "interrupted" in interrupted
    assert others == ["channel 1 left out", "beta depends on the selection"]


def test_a_state_chosen_by_hand_is_no_neutral_exciton(result):
    levels = [{"state": 1, "rate_hz": 30e3, "on": False}, {"state": 2, "rate_hz": 20e3, "on": True}]
    result["states"] |= {"method": "hmm", "chosen": "given", "levels": levels}
    found = findings(result)
    labels = [row.label for row in found.rows()]
    assert "slow component lifetime τₓ" in labels
    assert "fast component lifetime τₓₓ" in labels
    assert not any("exciton" in label for label in labels)
    (warning,) = found.warnings()
    assert warning.startswith("State 2 was selected by hand, not the neutral one")
    # The neutral one may be given too.
    result["states"]["levels"] = [dict(level, on=level["state"] == 1) for level in levels]
    assert findings(result).warnings() == []


def test_a_window_that_selects_everything_says_so(result):
    result["states"]["levels"] = result["states"]["levels"][1:]
    (warning,) = findings(result).warnings()
    assert warning.startswith("The trace shows one level of brightness")
    result["states"]["chosen"] = "given"
    assert findings(result).warnings() == []


def test_lifetimes_of_a_model_that_does_not_fit_have_no_errors(result):
    result["fit"]["verdict"] = "does not fit"
    result["beta"], result["beta_reason"] = None, "no beta: the model misses the data"
    result["eta"] = None
    rows = by_label(findings(result).rows())
    assert shown(rows["slow component lifetime τₓ"].value) == "46.8 ns (of a model that does not fit)"
    assert "±" not in rows["fast component lifetime τₓₓ"].value + rows["fast component, photon share"].value
    # Background and width are of the same description, the channels' own as well.
    result["fit"]["channels"] = {"0": {"t0_s": {"value": 3e-9, "stderr": 1e-12, "ci68": None, "ci95": None}}}
    of_fit = [*findings(result).rows(), *findings(result).detail_rows()]
    assert shown(by_label(of_fit)["channel 0: t0"].value) == "3 ns (of a model that does not fit)"
    assert [row.label for row in of_fit if "±" in row.value] == []


def test_without_an_emitter_there_are_no_states(result):
    levels = [{"state": 1, "rate_hz": 140.0, "on": True}, {"state": 2, "rate_hz": 3e3, "on": False}]
    result["states"] |= {"method": "hmm", "levels": levels, "resolved": False, "unresolved": "why"}
    run = RunFolder(Path(), result, {})
    assert selection_text(run) == "the neutral one of 2 states"
    assert any("States not resolved: why" in words for words in Findings(run).warnings())
    result["fit"] |= {"model": "none", "reason": "no emitter: a flat background"}
    assert "no emitter" in selection_text(run)
    assert not any("States" in words for words in Findings(run).warnings())


def test_states_that_are_not_resolved_stand_beside_the_window(result):
    others = {"window": result["beta"], "tau_x_s": {"window": result["fit"]["tau_xx_s"]}}
    result["states"] |= {"method": "hmm", "resolved": False, "unresolved": "four are the most"}
    result["other_selections"] = others
    (words,) = findings(result).warnings()
    assert "States not resolved: four are the most." in words
    assert "hidden Markov τₓ 46.80 ± 0.21 ns, beta 27.0 ± 1.1 %; window of rates τₓ 3.61 ± 0.12 ns" in shown(
        words
    )


@pytest.mark.parametrize("known", [True, False])
def test_what_depends_on_the_selection_is_said_of_each_figure(result, known):
    others = {"left_out": None, "tau_x_s": {"left_out": result["fit"]["tau_x_s"]}, "depends": True}
    result["other_selections"] = others | {"reason": "no beta: why", "window": None}
    if known:
        result["other_selections"]["depending"] = ["beta", "tau_x_s"]
    beta, *more = findings(result).warnings()
    assert beta == (
        "Beta depends on the selection: with every bin judged without its own photons there is none (no beta: why)."
    )
    assert [shown(words).rpartition("photons ")[2] for words in more] == ["it is 46.80 ± 0.21 ns."] * known


def test_what_stands_with_beta_is_not_said_again(result):
    result["beta"], result["beta_reason"] = None, "no beta: too fast"
    result["fit"]["reason"] = "too fast; channel 1 left out"
    result["precision"] = {"target_sigma": 0.02, "photons_more": None, "reason": "no beta: too fast"}
    found = findings(result)
    assert found.warnings() == ["channel 1 left out"]
    assert found.precision_row().remark == "no beta"
    assert found.precision_row().label == "to measure for an error of β of 0.02"


def test_where_the_run_was_to_end_and_how_far_it_read(result):
    result["precision"] = {"target_sigma": 0.02, "photons_more": 0.0, "met_photons": 28_000}
    row = findings(result).precision_row()
    assert shown(row.value) == "reached at 28 000 photons"
    # What ended it was the end of the file.
    assert row.remark.endswith("by then all had been read")
    result["interrupted"] = True
    assert "the reading ended; 2 000 more had been read" in shown(findings(result).precision_row().remark)
    result["precision"]["met_photons"] = 31_000
    assert "some are not selected in the end" in findings(result).precision_row().remark
    assert not any("interrupted" in words for words in findings(result).warnings())


@pytest.mark.parametrize(("brightest", "name"), [(True, "exciton"), (False, "slow component")])
def test_a_window_below_the_brightest_level_selects_no_exciton(result, brightest, name):
    levels = [{"rate_hz": 12e3, "on": not brightest}, {"rate_hz": 25e3, "on": brightest}]
    result["states"] |= {"method": "window", "chosen": "given", "levels": levels}
    assert findings(result).lifetime_rows()[0].label.startswith(name)


def test_a_fast_component_that_may_be_the_tail_is_no_number(result):
    why = "the fast component cannot be told from the fitted tail"
    result["beta"], result["beta_reason"] = None, f"no beta: {why}"
    for key in ("tau_xx_s", "amplitude_x", "amplitude_xx", "photon_share_x", "photon_share_xx"):
        result["fit"][key] = None
    result["fit"] |= {"verdict": "fast component or tail", "reason": why, "irf_tail_reason": why}
    found = findings(result)
    assert "may be the instrument response's own tail" in found.verdict
    row = by_label(found.rows())["fast component lifetime τₓₓ and shares"]
    assert (row.value, row.remark) == ("none", why)
    assert not any("unknown" in row.value for row in found.rows() if "component" in row.label)


def test_figures_of_a_tail_have_an_error_or_say_why_not(result):
    result["fit"] |= {
        "irf_tail_share": {
            **{"value": 0.1, "stderr": None, "ci68": None, "ci95": None},
            "reason": "the data do not determine it",
        },
    }
    row = by_label(findings(result).detail_rows())["instrument response, share in its tail"]
    assert shown(row.value) == "10 % (the data do not determine it)"


@pytest.mark.parametrize(("channels", "words"), [(1, ""), (2, " (widest)")])
def test_of_several_channels_the_width_is_that_of_the_widest(result, channels, words):
    result["fit"]["channels"] = {str(n): {} for n in range(channels)}
    assert f"instrument response, FWHM{words}" in by_label(findings(result).rows())
