"""Reading a run's folder: tables with holes, and one clear error for each way it can be broken."""

import json

import numpy as np
import pytest

from photonstream.dashboard.folder import ReportError, read_curve, read_folder
from photonstream.nodes.tables import Column, csv_text


def test_a_table_with_empty_cells(tmp_path):
    file = tmp_path / "c.csv"
    file.write_text("time,counts,note\ns,counts,\n0,5,\n1,,3\n,7,4\n")
    curve = read_curve(file)
    assert dict(curve.units) == {"time": "s", "counts": "counts", "note": ""}
    np.testing.assert_array_equal(curve["time"], [0, 1, np.nan])
    np.testing.assert_array_equal(curve["counts"], [5, np.nan, 7])
    np.testing.assert_array_equal(curve["note"], [np.nan, 3, 4])


def test_what_the_pipeline_writes_comes_back(tmp_path):
    written = [
        Column("a", "s", np.array([0.5, np.nan, 3e-9])),
        Column("n", "counts", np.array([1, 2, 2**40])),
        Column("b", "", np.array([np.nan, 1.25, np.nan])),
    ]
    (tmp_path / "c.csv").write_text("".join(csv_text("c", written)))
    curve = read_curve(tmp_path / "c.csv")
    assert curve.rows == 3
    for column in written:
        np.testing.assert_array_equal(curve[column.name], column.values)


@pytest.mark.parametrize("text", ["", "time,rate\n", "time,rate\ns,1/s\n"])
def test_a_table_without_rows(tmp_path, text):
    (tmp_path / "c.csv").write_text(text)
    curve = read_curve(tmp_path / "c.csv")
    assert curve.rows == 0
    assert curve["rate"].shape == (0,)


def test_a_missing_column_is_nan(tmp_path):
    (tmp_path / "c.csv").write_text("time\ns\n1\n2\n")
    curve = read_curve(tmp_path / "c.csv")
    assert "on" not in curve
    np.testing.assert_array_equal(curve["on"], [np.nan, np.nan])


@pytest.mark.parametrize("rows", ["1,two\n", "1,2,3\n", "1,2\n3\n"])
def test_no_table_of_numbers(tmp_path, rows):
    (tmp_path / "c.csv").write_text("a,b\n,\n" + rows)
    with pytest.raises(ReportError, match=r"c\.csv"):
        read_curve(tmp_path / "c.csv")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ReportError, match="nowhere: there is no such folder"):
        read_folder(tmp_path / "nowhere")


def test_a_folder_without_result(tmp_path):
    with pytest.raises(ReportError, match=r"no result\.json"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{", "not valid JSON"), ("[1]", "not an object"), ('{"schema": 99}', "schema 99")],
)
def test_a_result_that_cannot_be_read(tmp_path, content, complaint):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ReportError, match=complaint):
        read_folder(tmp_path)


def test_missing_curves_and_sections_are_empty(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"fit": None, "states": 3}))
    (tmp_path / "other.csv").write_text("not ours")
    run = read_folder(tmp_path)
    assert run.curve("trace").rows == 0
    assert run.section("fit") == run.section("states") == run.section("recording") == {}
