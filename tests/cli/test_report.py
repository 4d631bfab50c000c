"""``photonstream report``: report.html anew from the folder of a run, or one sentence why not."""

import json
import os
from pathlib import Path

import pytest

from photonstream.cli.main import main

RECORDING = Path(__file__).resolve().parents[2] / "replay_data" / "nc_355nm.ptu"


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    assert main(["replay", str(RECORDING), "--headless", "--mean-n", "0.1", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def small(tmp_path):
    """A folder whose result.json is all there is."""
    (tmp_path / "result.json").write_text(json.dumps({"schema": 1}), encoding="utf-8")
    return tmp_path


def refused(folder, capsys):
    """What is said of a folder that no report is made of: one line, and bad input."""
    assert main(["report", str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_the_report_of_a_run_comes_back_and_nothing_else_changes(replayed, capsys):
    page = replayed / "report.html"
    size = page.stat().st_size
    others = {file: file.read_bytes() for file in replayed.glob("*.*") if file != page}
    page.unlink()
    capsys.readouterr()
    assert main(["report", str(replayed)]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    # Bokeh gives its models new names each time, so the pages are alike and not equal.
    assert abs(page.stat().st_size - size) < 0.01 * size
    assert json.loads((replayed / "result.json").read_bytes())["recording"]["sha256"] in page.read_text(
        "utf-8"
    )
    assert {file: file.read_bytes() for file in replayed.glob("*.*") if file != page} == others


def test_an_older_page_is_replaced(small):
    (small / "report.html").write_text("of an older version", encoding="utf-8")
    assert main(["report", str(small)]) == 0
    assert "of an older version" not in (small / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"schema": 1, "fit": {"mod', "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[]", "not an object"),
        (b'{"schema": 0}', "written with schema 0; this version reads 1"),
    ],
)
def test_a_result_that_cannot_be_read(small, content, said, capsys):
    (small / "result.json").write_bytes(content)
    (small / "report.html").write_text("what was there", encoding="utf-8")
    assert f"{small / 'result.json'}: {said}" in refused(small, capsys)
    assert (small / "report.html").read_text(encoding="utf-8") == "what was there"


def test_a_curve_that_is_cut(small, capsys):
    (small / "trace.csv").write_text(
        "time_start,time_stop,counts\ns,s,counts\n0,1,5\n1,2\n", encoding="utf-8"
    )
    assert f"{small / 'trace.csv'}: " in refused(small, capsys)


def test_no_folder_and_no_finished_run(tmp_path, capsys):
    assert "there is no such folder" in refused(tmp_path / "nowhere", capsys)
    assert "this is no finished run" in refused(tmp_path, capsys)


def test_a_page_that_cannot_be_replaced(small, capsys):
    (small / "report.html").mkdir()
    assert f"{small / 'report.html'}: the report cannot be written: " in refused(small, capsys)
    assert sorted(file.name for file in small.iterdir()) == ["report.html", "result.json"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes into every folder")
def test_a_folder_that_is_read_only(small, capsys):
    small.chmod(0o555)
    try:
        assert "report.html: the report cannot be written: Permission denied" in refused(small, capsys)
    finally:
        small.chmod(0o755)
