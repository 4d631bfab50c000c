"""``photonstream figures``: figures for a paper from the folder of a run, or one sentence why not."""

import json
import sys

import pytest

from photonstream.cli.main import main

TRACE = "time_start,time_stop,counts,rate,on\ns,s,counts,1/s,\n0,0.01,5,500,0\n0.01,0.02,150,15000,1\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"schema": 1}), encoding="utf-8")
    (tmp_path / "trace.csv").write_text(TRACE, encoding="utf-8")
    return tmp_path


def test_the_paths_are_told(folder, capsys):
    assert main(["figures", str(folder)]) == 0
    written = [folder / "figures" / f"trace.{kind}" for kind in ("pdf", "png")]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in written]
    assert all(path.stat().st_size for path in written)
    assert main(["figures", str(folder), "--out", str(folder / "deep" / "elsewhere")]) == 0
    assert (folder / "deep" / "elsewhere" / "trace.pdf").exists()


def test_a_run_without_curves_has_none(folder, capsys):
    (folder / "trace.csv").unlink()
    assert main(["figures", str(folder)]) == 0
    assert capsys.readouterr().out == "no figures: the run has neither bins, delays nor pairs\n"


def test_without_matplotlib_it_says_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "photonstream.dashboard.paper", raising=False)
    assert main(["figures", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install 'photonstream[paper]'" in said
    assert not (folder / "figures").exists()


def test_a_folder_that_is_no_run_or_takes_nothing(folder, tmp_path, capsys):
    assert main(["figures", str(tmp_path / "nowhere")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    (folder / "figures").write_text("in the way", encoding="utf-8")
    assert main(["figures", str(folder)]) == 2
    assert f"{folder / 'figures'}: figures cannot be written: " in capsys.readouterr().err
    assert main(["figures", str(folder / "result.json")]) == 2
