"""``photonstream info``: what a tag file holds."""

import json
from pathlib import Path

import pytest

from photonstream.cli.main import main

REPLAY_DATA = Path(__file__).resolve().parents[2] / "replay_data"
MANIFEST = json.loads((REPLAY_DATA / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", MANIFEST["files"], ids=lambda e: e["file"])
def test_the_shipped_recordings_hold_what_their_truth_says(entry, capsys):
    assert main(["info", "--json", str(REPLAY_DATA / entry["file"])]) == 0
    info = json.loads(capsys.readouterr().out)
    truth = entry["truth"]
    assert info["sha256"] == entry["sha256"]
    assert info["photons_per_channel"] == truth["photons_per_channel"]
    assert info["records"] == truth["records"]


def test_people_get_units_and_notes(capsys):
    assert main(["info", str(REPLAY_DATA / "nc_355nm_interrupted.ptu")]) == 0
    out = capsys.readouterr().out
    assert "4.75 MHz" in out
    assert "64 ps" in out
    assert "channel 0" in out
    assert "note: " in out


def test_help_teaches(capsys):
    for arguments in (["--help"], ["replay", "--help"], ["info", "--help"], ["simulate", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert "usage: photonstream" in capsys.readouterr().out


def test_without_a_command_usage_is_shown(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "usage: photonstream" in capsys.readouterr().err
