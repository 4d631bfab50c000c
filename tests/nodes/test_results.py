"""The results node: what of the run it writes down, and that it writes anew when something changes after the end."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from photonstream.nodes import results
from photonstream.nodes.experiment import read_experiment
from photonstream.nodes.pipeline import READERS, standard
from photonstream.nodes.results import Results, ResultsParameters, plain
from photonstream.nodes.states import States, StatesParameters
from photonstream.stream.node import ParameterError, make_parameters
from photonstream.stream.orders import Orders
from photonstream.stream.runner import InlineRunner
from photonstream.stream.topology import Topology, TopologyError

INTERRUPTED = Path(__file__).resolve().parents[2] / "replay_data" / "nc_355nm_interrupted.ptu"
ORDERS = Orders(
    parameters={
        "source": {"path": "x.ptu", "speed": None},
        "states": {"on": (20e3, math.inf)},
        "lifetime": {"mean_n": 0.1},
        "results": {"out": "somewhere"},
    },
    restarts=({"node": "decay", "epoch": 1, "cause": "killed by signal 9"},),
)


@pytest.fixture(scope="module")
def final():
    """The final results of all nodes of a short recording."""
    parameters = {"source": {"path": str(INTERRUPTED)}, "states": {"method": "window"}}
    return InlineRunner(standard(parameters)).run().results


def node(final, out=None, orders=ORDERS):
    made = Results(
        "results", ResultsParameters(out=None if out is None else str(out), experiment=experiment())
    )
    made.inputs = READERS["results"]
    made.orders = orders
    for result in final.values():
        made.take(result)
    return made


def experiment(**given):
    return read_experiment(None) | given


def written(made):
    result, writing = made.snapshot(final=True)
    assert writing.value == {"failed": ""}
    assert (result.node, result.key, result.final) == ("results", "result", True)
    return result.value


def test_parameters_and_restarts_are_those_of_the_run(final):
    result = written(node(final))
    assert result["parameters"] == {
        "source": {"path": "x.ptu", "speed": None},
        "states": {"on": [20e3, None]},
        "lifetime": {"mean_n": 0.1},
    }
    assert result["restarts"] == [{"node": "decay", "epoch": 1, "cause": "killed by signal 9"}]
    assert [line["node"] for line in result["ledger"]][:3] == ["source", "decode", "intensity"]
    # Restarts are bookkeeping: nothing else depends on them.
    calm = written(node(final, orders=dataclasses.replace(ORDERS, restarts=())))
    assert calm.pop("restarts") == []
    assert calm == {key: value for key, value in result.items() if key != "restarts"}


def test_there_is_nothing_before_the_end(final, tmp_path):
    assert list(node(final, tmp_path).snapshot(final=False)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_parameter_of_earlier_versions_is_refused():
    with pytest.raises(ParameterError, match="no parameter 'settings'"):
        make_parameters(ResultsParameters, {"settings": {}}, "results")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mean_n": math.nan}, "mean_n must be a number from 0 on"),
        ({"mean_n": math.inf}, "mean_n must be a number from 0 on"),
        ({"mean_n": -0.1}, "mean_n must be a number from 0 on"),
        ({"excitation_nm": "355"}, "excitation_nm must be a number"),
        ({"eg_ev": True}, "eg_ev must be a number"),
        ({"eg_ev": 0}, "eg_ev must be above 0: leave it out"),
        ({"excitation_nm": 0.0}, "excitation_nm must be above 0"),
        ({"excitation_nm": 1e15}, r"excitation_nm is 1e\+15: a wavelength lies between 100 and 20000 nm"),
        ({"excitation_nm": 3.55e-7}, "excitation_nm is 3.55e-07: a wavelength lies between 100 and 20000 nm"),
        ({"emission_nm": 99.0}, "emission_nm is 99: a wavelength"),
        ({"power_w": [1.0]}, "power_w must be a number"),
        ({"power_w": 1e6}, r"power_w is 1e\+06: a power of excitation is at most 1000 W"),
        ({"particle": 7}, "particle must be a text"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused_however_it_comes(given, words):
    with pytest.raises(ParameterError, match=words):
        make_parameters(ResultsParameters, {"experiment": given}, "results")


@pytest.mark.parametrize(
    "given", [{}, {"mean_n": 0.1}, {"particle": "NC 7", "power_w": 3}, {"notes": "caf\udce9"}]
)
def test_what_is_known_of_an_experiment_may_be_little(final, tmp_path, given):
    made = node(final, tmp_path)
    made.change(make_parameters(ResultsParameters, {"experiment": given, "out": str(tmp_path)}, "results"))
    assert written(made)["experiment"].items() >= given.items()
    assert (tmp_path / "result.json").exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((20e3, math.inf), [20e3, None]),
        ({"a": (-math.inf, {"b": (1, "x")})}, {"a": [None, {"b": [1, "x"]}]}),
        (0.5, 0.5),
        (True, True),
        (None, None),
    ],
)
def test_plain(value, expected):
    made = plain(value)
    assert made == expected
    assert type(made) is type(expected)


def test_the_folder_is_written_anew_after_a_change(final, tmp_path, monkeypatch):
    made = node(final, tmp_path)
    first = written(made)
    (tmp_path / "report.html").write_text("of the first", encoding="utf-8")
    on_before = (tmp_path / "trace.csv").read_text(encoding="utf-8")
    complete = []
    write = results.write_atomically

    def watched(path, content):
        complete.append((path.name, (tmp_path / "result.json").exists()))
        write(path, content)

    monkeypatch.setattr(results, "write_atomically", watched)
    # The window moves to the dark bins: only the nodes behind it speak again.
    states = States("states", StatesParameters())
    assert Results.live == {"experiment", "discarded"}
    value = dict(final["states", "selection"].value)
    value["on_levels"] = ~value["on_levels"]
    made.take(states.result("selection", value, final=True))
    made.change(ResultsParameters(out=str(tmp_path), experiment=experiment(particle="NC 7", mean_n=0.1)))
    made.orders = dataclasses.replace(ORDERS, version=1, parameters={"states": {"on": (0.0, 1e3)}})
    second = written(made)
    assert not any(there for _, there in complete)
    assert complete[-1][0] == "result.json"
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == second
    assert second["experiment"]["particle"] == "NC 7"
    assert second["parameters"] == {"states": {"on": [0.0, 1e3]}}
    assert second["recording"] == first["recording"]
    assert not (tmp_path / "report.html").exists()

    def selected(text):
        return [line.rsplit(",", 1)[1] for line in text.splitlines()[2:]]

    swapped = {"0": "1", "1": "0"}
    now = (tmp_path / "trace.csv").read_text(encoding="utf-8")
    assert selected(now) == [swapped[on] for on in selected(on_before)]
    assert len(set(selected(now))) == 2


def without(name):
    """The standard line of which the results do not read ``name``."""
    *others, last = standard({"source": {"path": str(INTERRUPTED)}}).nodes
    inputs = tuple(each for each in last.inputs if each != name)
    return Topology((*others, dataclasses.replace(last, inputs=inputs)))


@pytest.mark.parametrize("name", ["states", "lifetime"])
def test_a_line_without_what_the_result_is_made_of_is_refused_before_it_starts(name):
    with pytest.raises(TopologyError, match=f"node 'results' has to read {name} too"):
        InlineRunner(without(name))


def test_pairs_may_be_left_out():
    outcome = InlineRunner(without("antibunching")).run()
    assert outcome.results["results", "result"].value["antibunching"] is None
