"""What is said about beta that the decay cannot tell."""

import pytest

from photonstream.nodes.cautions import cautions

BETA, ETA = {"value": 0.3}, {"value": 0.25}
NOTHING = {"excitation_nm": None, "eg_ev": None}
TRACE = {"bin_s": 0.01, "bins": 1200}


@pytest.mark.parametrize(
    ("verdict", "beta", "said"),
    [("more than one", BETA, 1), ("consistent with one emitter", BETA, 0), ("more than one", None, 0)],
)
def test_more_than_one_emitter_is_said_beside_a_beta(verdict, beta, said):
    found = cautions({"beta": beta, "eta": None}, {"late": {"verdict": verdict}}, NOTHING, TRACE)
    assert len(found) == said
    assert all("more than one emitter" in words for words in found)


def test_without_pairs_nothing_is_said_of_emitters():
    assert cautions({"beta": BETA, "eta": ETA}, None, NOTHING, TRACE) == []
    assert cautions({"beta": BETA, "eta": ETA}, {"late": None}, NOTHING, TRACE) == []


def test_photons_of_less_than_two_gaps_multiply_no_carriers():
    result = {"beta": BETA, "eta": ETA}
    (words,) = cautions(result, None, {"excitation_nm": 640.0, "eg_ev": 1.58}, TRACE)
    assert "has 1.23 gaps of 1.58 eV" in words
    assert cautions(result, None, {"excitation_nm": 355.0, "eg_ev": 1.58}, TRACE) == []
    assert cautions({**result, "eta": None}, None, {"excitation_nm": 640.0, "eg_ev": 1.58}, TRACE) == []


def test_a_trace_of_one_bin_is_said():
    (words,) = cautions({"beta": None, "eta": None}, None, NOTHING, {"bin_s": 3600.0, "bins": 1})
    assert "single bin: bins of 3600 s" in words
