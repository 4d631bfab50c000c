"""Processes and temporary files of a run are found, whoever started them, and its clock can be set."""

import datetime
import os
import subprocess
import sys
import time

import pytest

from photonstream.cli.campaign import site as site_module
from photonstream.cli.campaign.clock import clock_environment, set_clock
from photonstream.cli.campaign.site import Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found through /proc")


def test_what_is_left_is_said_and_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(site_module, "GONE_WITHIN_S", 0.0)
    site = Site(tmp_path)
    try:
        assert site.left() == []
        process = site.start(
            "somebody", ["follow", str(tmp_path / "run.ptu"), "--headless", "--idle-timeout=none"]
        )
        assert site.processes() == {"somebody": process.pid}
        (site.temporary / "socket").touch()
        assert site.left() == [
            f"process somebody ({process.pid}) is still there",
            f"{site.temporary / 'socket'} is still there",
        ]
    finally:
        site.end()
    assert process.returncode == -9
    assert not site.temporary.exists()
    assert site.processes() == {}


SAY = """
import datetime, time
print(time.time(), time.time_ns(), datetime.datetime.now(datetime.UTC).isoformat(), time.monotonic())
print(isinstance(datetime.datetime(2026, 1, 1), datetime.datetime), isinstance(3, datetime.datetime))
"""


@pytest.mark.parametrize("offset_s", [0.0, -9e8, 3600.0])
def test_the_clock_of_a_process_is_set_and_its_monotonic_one_is_not(tmp_path, offset_s):
    environment = os.environ | clock_environment(tmp_path)
    set_clock(tmp_path, offset_s)
    before, steady = time.time(), time.monotonic()
    said = subprocess.run([sys.executable, "-P", "-c", SAY], env=environment, check=True, capture_output=True)
    after = time.time()
    first, second = said.stdout.decode().splitlines()
    wall_s, wall_ns, iso, monotonic_s = first.split()
    told = datetime.datetime.fromisoformat(iso).timestamp()
    for each in (float(wall_s), int(wall_ns) / 1e9, told):
        assert before + offset_s - 1e-3 <= each <= after + offset_s + 1e-3
    assert steady <= float(monotonic_s) <= time.monotonic()
    assert second == "True False"
