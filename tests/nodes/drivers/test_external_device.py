"""A driver of somebody else, in a package outside: found, recorded and tested there, and quoted by docs/drivers.md."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from photonstream.nodes.drivers import driver_class
from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.formats.records import GENERIC_T2
from photonstream.nodes.recording_events import COMPLETE_TAG
from photonstream.stream.node import ParameterError

ROOT = Path(__file__).resolve().parents[3]
DEVICE = ROOT / "tests" / "external_device"
COMMAND = ("-P", "-m", "photonstream.cli")
QUOTED = re.compile(r"<!-- quoted from (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)


def run_there(environment, *arguments, **options):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_it_is_listed_and_recorded_where_it_is_installed(outside_device, tmp_path):
    listed = run_there(outside_device, *COMMAND, "devices")
    assert re.search(r"^pulser +ready +a steady pulse on one channel$", listed.stdout, re.MULTILINE)
    path = tmp_path / "pulses.ptu"
    options = ["pulser:channel=2", "--set", "period_s=1ms", "--time", "0.4", "--out", path]
    done = run_there(outside_device, "-W", "error", *COMMAND, "record", *options)
    assert (done.returncode, done.stderr) == (0, "")
    file = open_tag_file(path)
    assert (file.record_type, file.header[COMPLETE_TAG]) == (GENERIC_T2, True)
    assert file.header["HW_SerialNo"] == "0001"
    records = np.concatenate(list(file.blocks()))
    clicks = records[records >> np.uint32(25) == 2]
    assert 390 <= clicks.size < 5000
    # A click every 1,000,000 ticks, counter wraps taken into account.
    assert set(np.diff(clicks.astype(np.int64)) % GENERIC_T2.wrap_ticks) == {1_000_000}


def test_its_own_tests_pass_where_it_is_installed(outside_device, tmp_path):
    shutil.copytree(DEVICE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    command = ("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")
    done = run_there(outside_device, *command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_nobody_finds_it_where_it_is_not_installed():
    with pytest.raises(ParameterError, match="there is no device 'pulser'"):
        driver_class("pulser")


def test_the_docs_quote_what_is_run_here():
    quoted = dict(QUOTED.findall((ROOT / "docs" / "drivers.md").read_text(encoding="utf-8")))
    files = ("src/steady_pulser.py", "tests/test_steady_pulser.py", "pyproject.toml")
    assert sorted(quoted) == sorted(f"tests/external_device/{name}" for name in files)
    for name, text in quoted.items():
        assert text == (ROOT / name).read_text(encoding="utf-8"), name
