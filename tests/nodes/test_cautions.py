"""What is said about beta that the decay cannot tell."""

import pytest

from photonstream.nodes.cautions import cautions

BETA, ETA = {"value": 0.3}, {"value": 0.25}
NOTHING = {"excitation_nm": None, "eg_ev": None}
TRACE = {"bin_s": 0.01, "bins": 1200}
STATES = {"dwell_times": None}


@pytest.mark.parametrize(
    ("verdict", "beta", "said"),
    [("more than one", BETA, 1), ("consistent with one emitter", BETA, 0), ("more than one", None, 0)],
)
def test_more_than_one_emitter_is_said_beside_a_beta(verdict, beta, said):
    found = cautions({"beta": beta, "eta": None}, {"late": {"verdict": verdict}}, NOTHING, TRACE, STATES)
    assert len(found) == said
    assert all("more than one emitter" in words for words in found)


def test_without_pairs_nothing_is_said_of_emitters():
    assert cautions({"beta": BETA, "eta": ETA}, None, NOTHING, TRACE, STATES) == []
    assert cautions({"beta": BETA, "eta": ETA}, {"late": None}, NOTHING, TRACE, STATES) == []


def test_photons_of_less_than_two_gaps_multiply_no_carriers():
    result = {"beta": BETA, "eta": ETA}
    (words,) = cautions(result, None, {"excitation_nm": 640.0, "eg_ev": 1.58}, TRACE, STATES)
    assert "has 1.23 gaps of 1.58 eV" in words
    assert cautions(result, None, {"excitation_nm": 355.0, "eg_ev": 1.58}, TRACE, STATES) == []
    assert (
        cautions({**result, "eta": None}, None, {"excitation_nm": 640.0, "eg_ev": 1.58}, TRACE, STATES) == []
    )


def test_a_trace_of_one_bin_is_said():
    (words,) = cautions({"beta": None, "eta": None}, None, NOTHING, {"bin_s": 3600.0, "bins": 1}, STATES)
    assert "single bin: bins of 3600 s" in words


@pytest.mark.parametrize(
    ("accuracy", "visits", "said"),
    [(0.9997, 40, False), (0.977, 40, True), (0.977, 4000, False), (None, 40, False)],
)
def test_dwells_are_not_believed_where_mistakes_are_as_many_as_visits(accuracy, visits, said):
    # 12 s in bins of 1 ms: .023 of them are 276.
    times = {"bin_s": 0.001, "selected": {"dwells": visits - 5, "shorter": 5}}
    found = cautions(
        {"beta": BETA, "eta": None}, None, NOTHING, TRACE, {"accuracy": accuracy, "dwell_times": times}
    )
    assert len(found) == said
    assert all("some 300 bins of 1 ms" in words and "40 visits" in words for words in found)
