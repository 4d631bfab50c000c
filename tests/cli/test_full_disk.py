"""A disk that is really full: what is recorded stays whole, what was found is printed, and the exit code says so."""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import threading

import pytest

from photonstream.cli.main import main
from photonstream.nodes.disk_space import LEAST_BYTES
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.base import TagFileError
from photonstream.nodes.recording_events import COMPLETE_TAG
from tests.cli.test_replay import NC_355

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a small file system is mounted")

COMMAND = (sys.executable, "-P", "-m", "photonstream.cli")
PATIENCE_S = 180
# Beyond what is left free when a recording ends by itself.
ROOM_BYTES = 64 << 20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={LEAST_BYTES + ROOM_BYTES}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("only an administrator may mount a file system")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk):
    """Take all the room that is left; the other one writes meanwhile."""
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(1 << 16)):
            pass


def run_until_full(ended, disk, command, pattern):
    """Fill ``disk`` while the process records; gives its exit code, what it said, and the recording."""
    process = subprocess.Popen(
        [*COMMAND, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    ended(process)
    waiting, path = threading.Event(), None
    for _ in range(PATIENCE_S * 50):
        path = next(disk.glob(pattern), None)
        try:
            if path is not None and open_tag_file(path).records > 100_000:
                break
        except TagFileError:
            pass
        assert process.poll() is None, process.communicate()
        waiting.wait(0.02)
    fill(disk)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err, open_tag_file(path)


def test_a_recording_on_it_ends_whole(small_disk, ended):
    command = [
        "record",
        "simulated",
        "--set",
        "background_hz=500k,500k",
        "--out",
        str(small_disk / "run.ptu"),
    ]
    code, _, err, file = run_until_full(ended, small_disk, command, "*.ptu")
    assert code == 3, err
    assert re.search("run.ptu: the disk is nearly full|run.ptu cannot be written: No space left", err)
    assert "Traceback" not in err
    assert file.declared_records == file.records == sum(map(len, file.blocks())) > 100_000
    assert file.header[COMPLETE_TAG] is True


def test_what_was_found_of_it_is_printed_and_can_be_found_again(small_disk, ended, tmp_path):
    out_folder = small_disk / "out"
    command = ["attach", "simulated", "--headless", "--placement", "threads", "--out", str(out_folder)]
    code, out, err, file = run_until_full(
        ended, small_disk, [*command, "--set", "device.background_hz=50k,50k"], "out/*.ptu"
    )
    assert code == 3, err
    assert "No space left on device" in err
    assert "Traceback" not in err
    assert "beta" in out
    assert file.records > 100_000
    assert not (out_folder / "result.json").exists()
    (small_disk / "filler").unlink()
    again = tmp_path / "again"
    path = next(out_folder.glob("*.ptu"))
    assert main(["replay", str(path), "--headless", "--placement", "inline", "--out", str(again)]) == 0
    result = json.loads((again / "result.json").read_text(encoding="utf-8"))
    assert result["recording"]["records"] == file.records
    assert str(result["recording"]["photons"]) in re.sub(r"\s", "", out)


def test_a_report_for_which_there_is_no_room_leaves_the_results_and_says_so(tmp_path, ended):
    """A quota for a file that the page alone exceeds."""
    most = 600_000
    process = subprocess.Popen(
        [
            *COMMAND,
            "replay",
            str(NC_355),
            "--headless",
            "--placement",
            "inline",
            "--out",
            str(tmp_path / "out"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    ended(process)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3, err
    words = (
        "the results are complete, but report.html could not be written: File too large; photonstream report"
    )
    assert words in err
    assert "Traceback" not in err
    assert "beta" in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"result.json", "trace.csv"} <= names
    assert not any("report" in name for name in names)
    assert main(["report", str(tmp_path / "out")]) == 0
