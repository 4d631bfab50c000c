"""Results that are compared, and ledgers that are added up, made by hand."""

import json

import pytest

from photonstream.cli.campaign.results import other_results, unbalanced


def line(node, into, out, *, ended=0, lost=0):
    ended = {"photon": ended} if ended else {}
    return {
        "node": node,
        "events_in": into,
        "events_out": out,
        "events_lost": lost,
        "ended": ended,
        "held": 0,
    }


GOOD = [line("source", 100, 100), line("decode", 100, 60, ended=40), line("decay", 60, 0, ended=60)]


@pytest.fixture
def folder(tmp_path):
    """Writes a result folder."""

    def write(
        name, *, tau=47.0, speed=None, restarts=(), ledger=GOOD, interrupted=False, records=100, trace="1,2\n"
    ):
        place = tmp_path / name
        place.mkdir()
        result = {
            "parameters": {"source": {"speed": speed}, "decode": {}},
            "restarts": list(restarts),
            "interrupted": interrupted,
            "recording": {"records": records, "notes": []},
            "fit": {"tau_x_s": tau},
            "ledger": ledger,
        }
        (place / "result.json").write_text(json.dumps(result), encoding="utf-8")
        if trace is not None:
            (place / "trace.csv").write_text(trace, encoding="utf-8")
        return place

    return write


def test_how_it_was_read_is_no_difference(folder):
    assert other_results(folder("a", speed=1.0, restarts=["decay"]), folder("b")) == []


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"tau": 47.000000000000004}, "in fit"),
        ({"interrupted": True}, "in interrupted"),
        ({"records": 99}, "in recording"),
        ({"trace": "1,3\n"}, "trace.csv"),
        ({"trace": None}, "trace.csv"),
    ],
)
def test_any_other_is_said(folder, how, words):
    [sentence] = other_results(folder("a", **how), folder("b"))
    assert words in sentence


def test_a_ledger_adds_up_and_is_that_of_all_records(folder):
    assert unbalanced(folder("a"), 100) == []
    [sentence] = unbalanced(folder("b"), 101)
    assert "of 101 records 100 were read and 100 decoded" in sentence
    for name, bad in (
        ("c", line("decay", 60, 0, ended=59)),
        ("d", line("decay", 60, 0, ended=50, lost=10)),
        ("e", line("decay", 60, 1, ended=60)),
    ):
        [sentence] = unbalanced(folder(name, ledger=[*GOOD[:2], bad]), 100)
        assert "decay: 60 came in" in sentence
