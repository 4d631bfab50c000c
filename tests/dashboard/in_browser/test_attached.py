"""A device recorded from its page, in a real browser: other settings, the end of a recording, the next one."""

import json
import signal
import subprocess
import sys

import pytest

from photonstream.nodes.formats import open_tag_file
from photonstream.nodes.recording_events import COMPLETE_TAG, events_path, parse_event
from photonstream.stream.topology_file import read_topology
from tests.dashboard.in_browser.asking import wait_for_words, wait_until, words

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")

COMMAND = (sys.executable, "-P", "-m", "photonstream.cli", "attach", "simulated", "--no-browser")
PATIENCE_S = 180
PATIENCE_MS = 1000 * PATIENCE_S


@pytest.fixture
def attached(tmp_path):
    """A run of attach with its page: the process, its folder, and the address of the page."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process, out, next(line.split()[1] for line in process.stdout if line.startswith("page: "))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)


def recorded(folder):
    """The tag file of a run, and the settings its device was armed with: as its events and as run.toml have them."""
    [path] = folder.glob("*.ptu")
    start = parse_event(events_path(path).read_text(encoding="utf-8").splitlines()[0])
    source = read_topology(folder / "run.toml").topology.nodes[0]
    return path, start.more["settings"], source.parameters["device"]["settings"]


def press_twice(page, button):
    page.click(f"{button}:enabled")
    page.click(f"{button}.sure")


def test_a_recording_ends_and_the_next_one_begins_with_other_settings(visit, attached):
    process, out, url = attached
    page = visit(url).page
    page.set_default_timeout(PATIENCE_MS)
    page.click("#settings")
    page.click("#device summary")
    for typed in ("T4", "T2"):
        page.fill("#set-device-mode", typed)
        page.press("#set-device-mode", "Enter")
        wait_for_words(page, "#notice", "not 'T4'" if typed == "T4" else "armed with mode = T2")
    wait_for_words(page, "#device", "mode (now: T3)")
    press_twice(page, "#stop")
    wait_for_words(page, "#next", "start next particle")
    path, *armed = recorded(out)
    assert open_tag_file(path).header[COMPLETE_TAG] is True
    assert [settings["mode"] for settings in armed] == ["T3", "T3"]
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["parameters"]["source"]["device"]["settings"]["mode"] == "T3"
    # The result stays on the page, and nothing is recorded meanwhile.
    wait_for_words(page, "#state", "Complete")
    assert process.poll() is None
    assert list(out.parent.iterdir()) == [out]
    press_twice(page, "#next")
    after = out.with_name("out_2")
    wait_until(page, lambda: (after / "run.toml").exists() and list(after.glob("*.ptu")))
    wait_for_words(page, "#state", "Live")
    wait_for_words(page, "#next", "next particle")
    assert words(page, "#stop") == "stop the run"
    path, *armed = recorded(after)
    assert [settings["mode"] for settings in armed] == ["T2", "T2"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert open_tag_file(path).header[COMPLETE_TAG] is True
