"""The files of replay_data are what their manifest says, and can be made again."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ptufile
import pytest

FOLDER = Path(__file__).parents[2] / "replay_data"
FILES = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))["files"]


@pytest.fixture(params=FILES, ids=[each["file"] for each in FILES])
def entry(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


def test_every_file_is_listed_and_small() -> None:
    assert sorted(each["file"] for each in FILES) == sorted(path.name for path in FOLDER.glob("*.ptu"))
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 4e6


def test_content_is_that_of_the_manifest(entry: dict[str, Any]) -> None:
    content = (FOLDER / entry["file"]).read_bytes()
    assert len(content) == entry["bytes"]
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_photons_are_those_of_the_truth(entry: dict[str, Any]) -> None:
    content = (FOLDER / entry["file"]).read_bytes()
    start = content.index(b"Header_End") + 48
    words = np.frombuffer(content[start : start + (len(content) - start) // 4 * 4], "<u4")
    channels = (words[words >> 31 == 0] >> 25) & 63
    assert words.size == entry["truth"]["records"]
    counts = np.bincount(channels, minlength=2).tolist()
    assert {str(channel): count for channel, count in enumerate(counts)} == entry["truth"][
        "photons_per_channel"
    ]


def test_only_the_interrupted_file_has_no_count(entry: dict[str, Any]) -> None:
    with ptufile.PtuFile(FOLDER / entry["file"]) as file:
        declared = file.tags["TTResult_NumberOfRecords"]
    interrupted = "interrupted" in entry["file"]
    assert declared == (0 if interrupted else entry["truth"]["records"])
    assert (FOLDER / f"{entry['file']}.truth.json").exists() is not interrupted


def test_one_command_makes_the_same_bytes_again(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "make.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    for each in FILES:
        assert (tmp_path / each["file"]).read_bytes() == (FOLDER / each["file"]).read_bytes()
    assert (tmp_path / "manifest.json").read_bytes() == (FOLDER / "manifest.json").read_bytes()
